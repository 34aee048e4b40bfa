"""The post-mortem of a run that came back: what Fairlead knows is filled in, what people know has a marked place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fairlead.model import Report, Sample, duration
from fairlead.surfaces.page import figures
from fairlead.surfaces.page.words import (
    BACK_TARGET,
    clean,
    clock,
    names,
    percent,
    several,
    total_seconds,
    utc,
)

FILL_IN = "**to be filled in by people**"
_MEANS_SOMETHING = re.compile(r"([\\`*_\[\]<>#|~$&])")


def post_mortem(report: Report) -> str:
    """The run as Markdown, from its record. Every value is escaped: a sentence stays a sentence."""
    run = report.deployment
    parts = [
        [f"# Deployment rollback post-mortem: {text(run.project)} in {text(run.environment)}"],
        ["## Incident details", "", *_details(report), "", *_services(report)],
        ["## Timeline", "", *_timeline(report)],
        ["## What was proven afterwards", "", *_proof(report)],
        ["## Root cause", "", *_cause(report)],
        ["## Prevention measures", "", *_measures()],
        ["## Data", "", *_data(report)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def text(value: str) -> str:
    """A value on one line, in which nothing is Markdown or HTML."""
    return _MEANS_SOMETHING.sub(r"\\\1", clean(value)).strip()


def code(value: str) -> str:
    """A value as code; its own backticks cannot end it, its own bars cannot end a table's cell."""
    shown = clean(value).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}" if shown.strip() else "–"


def _details(report: Report) -> list[str]:
    run = report.deployment
    total = total_seconds(run)
    touched = [name for name in figures.services(report) if name in _touched(report)]
    return [
        f"- **Timestamp:** {utc(run.back_at or run.started)} (the way back began); the run began {utc(run.started)}",
        f"- **Trigger:** {text(run.why_back) or 'not recorded'}",
        f"- **Duration of the way back:** {_way_back(report)}",
        f"- **Duration of the whole run:** {'not known' if total is None else duration(total)}",
        f"- **Affected services:** {names(map(code, touched)) if touched else 'none was changed while it was live'}",
        f"- **Run:** {code(run.id)} by {code(run.who)}, plan {code(run.plan[:12])}",
        f"- **Reason given for the run:** {text(run.reason) or 'none'}",
    ]


def _way_back(report: Report) -> str:
    seconds = report.deployment.back_seconds
    if not seconds:
        return "not known, its end is not on record"
    target = duration(BACK_TARGET)
    over = seconds - BACK_TARGET
    return f"{duration(seconds)} ({f'{duration(over)} over' if over > 0 else 'within'} the target of {target})"


def _touched(report: Report) -> set[str]:
    """Services whose live state was changed; all of the plan's where the record does not tell the phases apart."""
    if any(step.phase for step in report.steps):
        return {step.service for step in report.steps if step.phase == "activate"}
    return set(report.deployment.services)


def _rows(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def _services(report: Report) -> list[str]:
    run = report.deployment
    rows = [
        (code(name), _release(run.before, name), _release(run.versions, name), figures.downtime(report, name))
        for name in figures.services(report)
    ]
    heads = ("Service", "Release before, live again", "Release that was wanted", "Longest downtime")
    if run.state != "back":
        heads = ("Service", "Release before", "Release that was wanted", "Longest downtime")
    return (
        _rows(heads, rows) if rows else ["The plan is gone from the lock host, so services and releases are not known."]
    )


def _release(releases: dict[str, str], service: str) -> str:
    return "not known" if service not in releases else code(releases[service]) if releases[service] else "nothing"


def _timeline(report: Report) -> list[str]:
    if not report.timeline:
        return ["The record tells nothing of this run."]
    rows = [(clock(at), text(says)) for at, says in report.timeline]
    return [f"On {utc(report.timeline[0][0], '%Y-%m-%d')}, times in UTC.", "", *_rows(("Time", "What happened"), rows)]


def _proof(report: Report) -> list[str]:
    if not report.findings:
        return ["The proof is not on this machine; the record says only how the run ended."]
    return [
        f"- {finding.status}: {code(finding.subject)}, {text(finding.check)}: {text(finding.says)}"
        for finding in report.findings
    ]


def _cause(report: Report) -> list[str]:
    return [
        "What Fairlead saw:",
        "",
        *(f"- {seen}" for seen in _evidence(report)),
        "",
        f"Why it came to this, and why no check before the activation found it: {FILL_IN}",
        "",
        "> …",
    ]


def _evidence(report: Report) -> list[str]:
    run = report.deployment
    seen = [f"the way back began with: {text(run.why_back) or 'no recorded reason'}"]
    for step in report.steps:
        if step.rc:
            verb = "taking back " if step.what == "undo" else ""
            seen.append(f"{clock(step.started)} {verb}{text(step.title)} failed with exit code {step.rc}")
    seen += [_failed_looks(report, service) for service in figures.by_service(report.samples)]
    seen += [_worst(one) for one in figures.failures(report, figures.window_of(report, figures.seen_span(report)))]
    if not report.samples:
        seen.append("no samples on this machine: how the services answered is not known here")
    return [sentence for sentence in seen if sentence]


def _failed_looks(report: Report, service: str) -> str:
    looks = figures.by_service(report.samples)[service]
    failed = [sample for sample in looks if sample.ok is False]
    if not failed:
        return ""
    said = next((sample.says for sample in failed if sample.says), "")
    told = f"{code(service)}: {len(failed)} of {several(len(looks), 'look')} failed, {_when(report, failed)}"
    return told + (f"; the first said: {text(said)}" if said else "")


def _when(report: Report, failed: Sequence[Sample]) -> str:
    first, last = failed[0].at, failed[-1].at
    active = figures.activation(report.steps)
    told = f"between {clock(first)} and {clock(last)}" if len(failed) > 1 else f"at {clock(first)}"
    return f"{told}, during the activation" if active and active[0] <= first and last <= active[1] else told


def _worst(one: figures.Failures) -> str:
    worst = one.worst
    if worst is None or not worst.errors or worst.share is None:
        return ""
    return (
        f"{code(one.service)}: up to {percent(worst.share)} of requests failed, by {one.source} "
        f"({worst.errors:,} of {worst.requests:,} at {clock(worst.at)})"
    )


def _measures() -> list[str]:
    return [
        f"- [ ] A check that would have found it before the activation: {FILL_IN}",
        f"- [ ] A change that keeps it from happening again: {FILL_IN}",
        f"- [ ] Who does that until when: {FILL_IN}",
    ]


def _data(report: Report) -> list[str]:
    backups = [
        step.title for step in report.steps if step.step.endswith(".backup") and step.what == "do" and not step.rc
    ]
    made = (
        f"This run had made {several(len(backups), 'backup')} before: {names(map(text, backups))}." if backups else ""
    )
    return [
        "Data was left as it is: the way back brought releases back and took nothing back in any database. "
        "What was written meanwhile was not touched.",
        *(["", made] if made else []),
    ]
