"""What a run's record says, told for people: reconstructed from the target alone, on any machine."""

from __future__ import annotations

from collections.abc import Sequence, Set

from fairlead.model import Deployment, Entry, Plan, RecordLine, StepTime, step_fact
from fairlead.model.deployment import State


def deployment_of(run: str, lines: Sequence[RecordLine], plan: Plan | None) -> Deployment:
    """Summarise one run. `plan` may be gone from the target; then services and versions stay empty."""
    entries = [line.entry for line in lines]
    first = entries[0] if entries else Entry(kind="note")
    end = next((entry for entry in reversed(entries) if entry.kind == "end"), None)
    back = next((entry for entry in entries if entry.kind == "back"), None)
    return Deployment(
        id=run,
        project=first.project,
        environment=first.environment,
        kind=plan.kind if plan else "deploy",
        state=_state(entries, end),
        plan=first.plan,
        started=first.at,
        ended=end.at if end else 0.0,
        who=first.who,
        reason=first.says,
        evidence=first.evidence,
        overridden=first.overridden,
        services=tuple(change.service for change in plan.services) if plan else (),
        versions={c.service: f"{c.after} {c.version}".strip() for c in plan.services} if plan else {},
        before={c.service: c.before for c in plan.services} if plan else {},
        why_back=back.says if back else "",
        back_at=back.at if back else 0.0,
        back_seconds=round(end.at - back.at, 3) if back and end else 0.0,
        kept=_kept(list(lines), plan) if plan else {},
        watch_rules=plan.watch_rules if plan else None,
    )


def _kept(lines: list[RecordLine], plan: Plan) -> dict[str, str]:
    """What a finished restore has kept, or the way back of a deployment."""
    swapped = (one for one in plan.data.databases if step_fact(lines, one.swap.id).state == "done")
    ends = {line.entry.verdict for line in lines}
    return (dict(plan.labels) if "done" in ends else {}) | {one.database: one.label for one in swapped}


def _state(entries: Sequence[Entry], end: Entry | None) -> State:
    if not entries:
        return "nothing"
    return (end.verdict or "closed") if end else "open"


def step_times(lines: Sequence[RecordLine], plan: Plan | None) -> tuple[StepTime, ...]:
    """Every change with its beginning and length, in the order in which they began."""
    steps = {step.id: step for step in (*plan.steps, *plan.data.steps)} if plan else {}
    begun: dict[tuple[str, str], float] = {}
    times = []
    for entry in (line.entry for line in lines):
        if entry.kind == "intent":
            begun[entry.step, entry.what] = entry.at
        elif entry.kind == "outcome" and entry.what in ("do", "undo") and (entry.step, entry.what) in begun:
            step = steps.get(entry.step)
            times.append(
                StepTime(
                    step=entry.step,
                    title=step.title if step else entry.step,
                    service=step.service if step else "",
                    what="do" if entry.what == "do" else "undo",
                    started=begun.pop((entry.step, entry.what)),
                    seconds=entry.seconds or 0.0,
                    rc=entry.rc or 0,
                    phase=step.phase if step else "",
                )
            )
    return tuple(sorted(times, key=lambda time: time.started))


def timeline(lines: Sequence[RecordLine], plan: Plan | None) -> tuple[tuple[float, str], ...]:
    """The run as sentences: unix time and what happened."""
    titles = {step.id: step.title for step in (*plan.steps, *plan.data.steps)} if plan else {}
    entries = [line.entry for line in lines]
    ended = {(entry.step, entry.what, entry.attempt) for entry in entries if entry.kind == "outcome"}
    told = ((e.at, _tell(e, titles) or _tell_unheard(e, titles, ended)) for e in entries)
    return tuple((at, sentence) for at, sentence in told if sentence)


def _tell_unheard(entry: Entry, titles: dict[str, str], ended: Set[tuple[str, str, int]]) -> str:
    """A change that was begun and of which nothing more was heard."""
    if entry.kind != "intent" or (entry.step, entry.what, entry.attempt) in ended:
        return ""
    return f"{'undo ' * (entry.what == 'undo')}{titles.get(entry.step, entry.step)}: begun, its end was not heard"


def _tell(entry: Entry, titles: dict[str, str]) -> str:
    title = titles.get(entry.step, entry.step)
    if entry.kind == "run":
        return f"{entry.who} began{': ' + entry.says if entry.says else ''}"
    if entry.kind == "outcome":
        return _tell_outcome(entry, title)
    told = {
        "back": f"going back: {entry.says}",
        "taken": f"{entry.who} took over{': ' + entry.says if entry.says else ''}",
        "watch": "watching began",
        "end": {"done": "done", "back": "everything is back and proven", "closed": f"closed by hand: {entry.says}"}.get(
            entry.verdict, "ended"
        ),
        "note": entry.says,
    }
    return told.get(entry.kind, "")


def _tell_outcome(entry: Entry, title: str) -> str:
    took = f" ({entry.seconds:.1f} s)" if entry.seconds else ""
    if entry.what in ("do", "undo"):
        verb = title if entry.what == "do" else f"undo {title}"
        return verb + took if entry.rc in (0, None) else f"{verb} failed with exit code {entry.rc}{took}"
    told = {"seen": "was found done", "found": "was there before", "undone": "is as before", "left": "is left as it is"}
    return f"{title} {told.get(entry.what, '')}"
