"""Models as lines of text: calm, readable without colour."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

import click

from fairlead.model import (
    Backup,
    Beside,
    Deployment,
    Drill,
    Event,
    Finding,
    GateAnswer,
    Inventory,
    Ledger,
    Plan,
    Step,
    TableLedger,
    WayBackTime,
    blockers,
    duration,
)
from fairlead.model import Status as Seen

if TYPE_CHECKING:
    from fairlead.app import Announced, Readiness, Status

SIGNS = {"ok": "✓", "warn": "!", "fail": "✗", "unknown": "?"}
PHASES = {
    "stage": "stage, in parallel, nothing live is changed",
    "activate": "activate, in this order",
    "close": "after the watch",
}
MOST = 8
"""So many findings of a gate are told one by one."""
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "unknown": "yellow"}


def quiet(event: Event) -> None:
    """Listen to nothing."""
    del event


def finding(found: Finding) -> str:
    """One line: sign, what was looked at, what was seen, milliseconds."""
    return _line(found.status, found.check, f"{found.subject:<12} ", found.says, found.ms)


def _line(status: Seen, what: str, subject: str, says: str, ms: float | None) -> str:
    sign = click.style(SIGNS[status], fg=COLOURS[status])
    took = f" ({ms:.0f} ms)" if ms is not None else ""
    return f"{sign} {what:<9} {subject}{ascii_path(says)}{took}"


def announced(told: Announced) -> list[str]:
    """When, what, and whether it has arrived."""
    what = "called off" if told.called_off else ", ".join(told.services)
    arrived = f"told in issue #{told.issue}" if told.issue else "was told already"
    if told.waits:
        arrived = f"not told yet, kept for the next run: {told.waits}"
    return [f"window of {told.environment}: {told.says}", f"  {what}", f"  {ascii_path(arrived)}"]


def findings(found: Iterable[Finding]) -> list[str]:
    """One line each, then what blocks and the next thing to type."""
    several = list(found)
    told = [finding(one) for one in several]
    return [*told, *(f"hint: {hint}" for hint in hints(several))]


def readiness(told: Readiness) -> list[str]:
    """One line for each gate, then what blocks, the next thing to type, and the answer."""
    gates = [_line(one.status, one.gate, "", one.says, one.ms) for one in told.gates]
    verdict = "ready for deployment" if told.ok else f"blocked by {', '.join(one.gate for one in told.blocking)}"
    return [*gates, *noted(told.gates), verdict]


def status(told: Status) -> list[str]:
    """The activation report."""
    hosts = [one for one in told.findings if one.check == "host"]
    lines = [
        f"last deployment: {deployment(told.last) if told.last else 'none yet'}",
        *_versions(told.last),
        *_branch(told),
        f"databases: {told.databases_reachable}/{told.databases_total}",
        f"ssh: {sum(not one.blocks for one in hosts)}/{len(hosts)} accounts can be worked on",
    ]
    if told.gates_total:
        lines.append(f"gates: {told.gates_open}/{told.gates_total} open")
    closed = [_line(one.status, one.gate, "", one.says, None) for one in told.gates if one.status != "ok"]
    verdict = "ready to ask `fairlead ready`" if told.ready else "not ready: see above"
    return [*lines, *map(finding, told.findings), *closed, verdict]


def _versions(last: Deployment | None) -> list[str]:
    """What it wanted, by what people call it, or else by the release's hash."""
    if last is None or not last.versions:
        return []
    names = ((name, version.partition(" ")) for name, version in last.versions.items())
    return ["versions: " + ", ".join(f"{name} {ascii_path(word or tree)}" for name, (tree, _, word) in names)]


def _branch(told: Status) -> list[str]:
    if not told.commit:
        return []
    asked = told.gate("ci")
    ci = f", CI: {asked.status}, {ascii_path(asked.says)}" if asked else ""
    return [f"branch: {ascii_path(told.branch) or 'none'} at {told.commit[:12]}{ci}"]


def noted(gates: Iterable[GateAnswer]) -> list[str]:
    """What of these gates is not ok, finding by finding as far as a screen has room, and the next things to type."""
    shown: list[str] = []
    several = [(gate.gate, [one for one in gate.findings if one.status != "ok"]) for gate in gates]
    for gate, found in several:
        shown += [finding(one) for one in sorted(found, key=lambda one: not one.blocks)[:MOST]]
        if len(found) > MOST:
            shown.append(f"  {gate}: and {len(found) - MOST} more, `--json` has them all")
    return [*shown, *(f"hint: {hint}" for hint in hints(one for _, found in several for one in found))]


def hints(found: Iterable[Finding]) -> list[str]:
    """The next things to type, each once; those that differ only in their subject become one."""
    grouped: dict[str, list[str]] = {}
    for one in found:
        for hint in one.hint.splitlines() if one.status != "ok" else ():
            head, is_last, _ = hint.rpartition(f" {one.subject}")
            whole = is_last and hint.endswith(one.subject)
            grouped.setdefault(head if whole else hint, []).extend([one.subject] if whole else [])
    return [" ".join([head, *dict.fromkeys(subjects)]) for head, subjects in grouped.items()]


def plan(shown: Plan, back: WayBackTime) -> list[str]:
    """What a plan would do: first the places, then file by file, then command by command; and what `back` will take."""
    return [*_places(shown), "", *_files(shown), *_commands(shown), *_data(shown), *_end(shown, back)]


def _places(shown: Plan) -> list[str]:
    rest = shown.untouched
    hosts = ", ".join(dict.fromkeys(step.host for step in shown.steps)) or "no host"
    word = "databases backed up" if shown.kind == "deploy" else "databases"
    not_touched = [
        f"{word} {', '.join(names)}"
        for word, names in (("hosts", rest.hosts), ("services", rest.services), ("databases", rest.databases))
        if names
    ]
    return [
        f"{shown.kind} {shown.environment}: changes {hosts}; {word}: {', '.join(shown.databases) or 'none'}",
        f"not touched: {'; '.join(not_touched) or 'nothing is left out'}",
    ]


def _files(shown: Plan) -> list[str]:
    told = []
    for change in shown.services:
        version = f" ({ascii_path(change.version)})" if change.version else ""
        before, after = change.before or "nothing", change.leads_to
        told.append(f"{change.service} on {change.host}: {before} -> {after}{version}")
        for sign, paths in (("+", change.files.added), ("~", change.files.changed), ("-", change.files.deleted)):
            told += [f"    {sign} {ascii_path(path)}" for path in paths]
        told += _inventory(change.inventory) if change.inventory else []
        told += [f"    its unit {ascii_path(change.unit)}"] if change.unit else []
    return told


def _inventory(seen: Inventory) -> list[str]:
    """What lies there already: counts, then every file that somebody else put there and that is replaced or stays."""
    total = f"{seen.files} files, {seen.folders} folders, {seen.links} links" + f", {seen.others} others" * bool(
        seen.others
    )
    told = [f"    there already: {total}; {seen.untouched} stay as they are"]
    told += [f"      {shape}" for shape in seen.shapes]
    if seen.protected:
        told.append(f"    never written: {', '.join(map(ascii_path, seen.protected))}")
    for title, paths in (
        ("not Fairlead's, will be replaced, kept for the way back", seen.foreign),
        ("changed by hand, will be replaced, kept for the way back", seen.by_hand),
        ("changed by hand, no longer in the release, stays", seen.left),
    ):
        told += [f"    ! {ascii_path(path)}: {title}" for path in paths]
    return told


def ascii_path(path: str) -> str:
    """A path on one line: control characters are shown, not sent to the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in path)


def _commands(shown: Plan) -> list[str]:
    told: list[str] = []
    for phase, title in PHASES.items():
        steps = [step for step in shown.steps if step.phase == phase]
        if steps:
            told += ["", f"{title}:"]
            told += [line for number, step in enumerate(steps, 1) for line in _step(number, step)]
    return told


def _step(number: int, step: Step) -> list[str]:
    told = [f"  {number}. {step.title}  [{step.host}]"]
    told += [f"       {ascii_path(shown)}" for shown in step.shows]
    words = {"stays": "stays", "by_data": "data is left as it is", "no": "cannot be taken back"}
    back = "; ".join(step.shows_back) or words.get(step.back, "")
    return [*told, f"       back: {ascii_path(back)}"]


def _data(shown: Plan) -> list[str]:
    """What the way back does first, where it takes data back."""
    if not shown.data.databases:
        return []
    steps = [line for number, step in enumerate(shown.data.steps, 1) for line in _step(number, step)[:-1]]
    return ["", "way back, before anything else, where data is taken back:", *steps]


def _end(shown: Plan, expected: WayBackTime) -> list[str]:
    watched = f"watch: {shown.watch_rules.duration:g} s, every {shown.watch_rules.interval:g} s"
    if shown.guards:
        then = "start the way back" if shown.watch_rules.lost_database == "back" else "stop the run"
        watched += f"; one of {len(shown.guards)} databases that is lost meanwhile will {then}"
    steps = len(shown.way_back) + len(shown.data.steps)
    back = f"way back: {steps} steps, {shown.way_back_hash[:12]}{', ' + _expected(expected) if steps else ''}"
    commit = [f"commit {shown.commit}{_uncommitted(shown)}"] if shown.commit else []
    return ["", watched, back, *commit, *(f"! {remark}" for remark in shown.remarks), f"plan {shown.hash}"]


def _uncommitted(shown: Plan) -> str:
    """That what goes out may differ from its commit belongs to the approval."""
    paths = ", ".join(map(ascii_path, shown.uncommitted[:3]))
    more = f" and {len(shown.uncommitted) - 3} more" if len(shown.uncommitted) > 3 else ""
    return f", but not all of it is committed: {paths}{more}" if paths else ""


def _expected(back: WayBackTime) -> str:
    """How long it will take, as far as anybody knows."""
    unknown = f"{len(back.unmeasured)} of them never measured" if back.unmeasured else ""
    if not back.seconds:
        return unknown or "at once"
    data = f", {duration(back.data)} of it for data" if back.data else ""
    known = f"{'at least' if unknown else 'about'} {duration(back.seconds)} by what they took last time{data}"
    return f"{known}; {unknown}" if unknown else known


def deployment(one: Deployment) -> str:
    """One run on one line."""
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(one.started))
    took = duration(one.ended - one.started) if one.ended else "not ended"
    why = f": {ascii_path(one.why_back)}" if one.why_back else ""
    by_hand = f"  overridden: {', '.join(one.overridden)}" if one.overridden else ""
    return f"{one.id}  {when} UTC  {one.kind} {one.state}  {', '.join(one.services)}  {took}  {one.who}{why}{by_hand}"


def backup(one: Backup) -> str:
    """One backup on one line."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.started))
    counts = "counts, its content is what was proven" if one.intact else "counts"
    worth = f"does not count: {one.flaw}" if one.flaw else counts
    worth += ", encrypted" if one.sealed else ""
    worth += f", accepted: {one.accepted}" if one.accepted else ", empty as the database was" if one.empty else ""
    return f"{when} UTC  {one.database:<14} {one.size:>12} bytes  {worth}  {one.host}:{one.file}"


def drills(found: Iterable[Drill]) -> list[str]:
    """One line for each, then the next things to type."""
    told, hints_of = [], []
    for one in found:
        sign = click.style(SIGNS["ok" if one.passed else "fail"], fg=COLOURS["ok" if one.passed else "fail"])
        says = f"{sum(one.rows.values())} rows in {len(one.rows)} tables" if one.passed else ascii_path(one.says)
        told.append(f"{sign} {one.database:<14} {says}, {duration(one.seconds)}")
        hints_of += [one.hint] if one.hint else []
    return [*told, *(f"hint: {hint}" for hint in dict.fromkeys(hints_of))]


def verdict(found: Iterable[Finding], yes: str, no: str) -> str:
    """The last line of an answer."""
    by_check: dict[str, list[str]] = {}
    for one in blockers(found):
        by_check.setdefault(one.check, []).append(one.subject)
    told = [f"{check} {_some(list(dict.fromkeys(subjects)))}" for check, subjects in by_check.items()]
    return f"{no}: {'; '.join(told)}" if told else yes


def _some(names: list[str]) -> str:
    """At most four names, and how many more: the lines above have them all."""
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


class Progress:
    """Tells a run as it happens, one line an event; a step's line says how long it took and took last time."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.began = time.monotonic()
        self.expected: dict[str, float | None] = {}

    def __call__(self, event: Event) -> None:
        """Print one event."""
        if event.kind == "step_started":
            self.expected[event.step] = event.expected
            if event.expected is None or event.expected < 1:
                return
            self._say("…", f"{event.says} (last time {duration(event.expected)})")
            return
        self._say(self._sign(event), event.says + self._took(event))

    def _took(self, event: Event) -> str:
        if event.seconds is None:
            return ""
        last = self.expected.get(event.step)
        return f"  {duration(event.seconds)}" + (f" (last time {duration(last)})" if last else "")

    def _sign(self, event: Event) -> str:
        if event.kind in ("phase", "watch"):
            return "·"
        if event.kind == "back":
            return click.style("↩", fg="yellow")
        if event.kind == "warning":
            return click.style("!", fg="yellow")
        return click.style("✓", fg="green") if event.ok else click.style("✗", fg="red")

    def _say(self, sign: str, says: str) -> None:
        click.echo(f"{time.monotonic() - self.began:6.1f} s {sign} {ascii_path(says)}", file=self.out)


def beside(one: Beside, until: str) -> str:
    """One line: what lies beside a database, how large it is, and how long it stays."""
    size = f"{one.size:>14} bytes" if one.size is not None else " " * 20
    return f"{one.database:<14} {one.role:<6} {size}  until {until or 'somebody drops it'}  {ascii_path(one.name)}"


def ledgers(found: Iterable[Ledger], between: str = "live and kept") -> list[str]:
    """What was written, database by database: only tables that are not known to be equal."""
    told = []
    for one in found:
        how = between if one.kind == "exact" else f"{between}, as far as is known"
        told.append(f"{one.database}: {how}: {'' if one.differing else 'no table differs'}".rstrip(": "))
        told += [f"    {ascii_path(table.table)}: {_rows(table)}" for table in one.differing]
    return told


def _rows(table: TableLedger) -> str:
    counted = (("only live", table.only_live), ("only kept", table.only_kept), ("changed", table.changed))
    numbers = ", ".join(f"{number} {word}" for word, number in counted if number is not None)
    return "; ".join(part for part in (numbers, table.says) if part) or "not known"
