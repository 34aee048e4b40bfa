"""Gates of quality: what reports of tools are worth, and whether they say enough good."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from fairlead.checks.looked import looked
from fairlead.checks.reports import READERS, SEVERITIES, Issue, Report
from fairlead.config.quality import QualitySpec, ReportSpec
from fairlead.errors import NotReady
from fairlead.model import Finding, Status, sha256
from fairlead.outside.files import Stamp, read_first_line, read_stamped, stamp
from fairlead.outside.git import WorkingCopy
from fairlead.outside.program import run_program

CLOCKS_DIFFER = 60.0
"""Seconds by which a report may seem to come from the future."""
SHOWN = 3
"""So many issues are named, the rest are counted."""
SHORTEST_COMMIT = 7


@dataclass(frozen=True)
class Place:
    """Where tools run, and what for."""

    base: Path
    """The folder of fairlead.yml."""
    env: Mapping[str, str]
    """What the tools' commands see; no secrets."""
    copy: WorkingCopy | NotReady
    """What would be deployed, or why that is not known."""
    now: float
    """Unix time in seconds."""


@dataclass(frozen=True)
class Seen:
    """A report that was read, and where it came from."""

    entry: ReportSpec
    report: Report
    made: float
    """Unix time."""
    sha256: str
    code: int = 0
    """Exit code of the command that made it."""


async def check_quality(gate: QualitySpec, place: Place) -> Finding:
    """Run the gate's commands one after the other, read all its reports, and judge them together."""
    return await looked(gate.name, gate.name, _ask(gate, place))


async def _ask(gate: QualitySpec, place: Place) -> Finding:
    # One after the other: each of these tools takes all processors that it finds.
    return judged(gate, [await _see(entry, place) for entry in gate.reports], place.base)


async def _see(entry: ReportSpec, place: Place) -> Seen:
    """Raises NotReady when the report does not prove that the tool ran on what would be deployed."""
    seen = await (_made(entry, place) if entry.run else _left(entry, place))
    if isinstance(place.copy, WorkingCopy):
        _fits(seen, place.copy, place.now)
    return seen


async def _made(entry: ReportSpec, place: Place) -> Seen:
    """Run the tool. What it prints is never repeated: a scanner prints what it has found."""
    file = place.base / entry.file
    before = stamp(file) if entry.file else None
    result = await run_program(entry.run, folder=place.base / entry.folder, env=place.env, timeout=entry.timeout)
    command = shlex.join(entry.run)
    if result.code not in (0, *entry.findings):
        why = "did not end in time" if result.code == 124 else f"exited {result.code}"
        raise NotReady(f"`{command}` {why}", f"run it by hand in {entry.folder} to see why")
    raw, after = await _read(file) if entry.file else (result.stdout.encode(), None)
    if entry.file and after == before:
        raise NotReady(f"`{command}` did not write {entry.file}", "does its report go somewhere else?")
    return Seen(entry, _understood(entry, raw), place.now, sha256(raw), result.code)


async def _left(entry: ReportSpec, place: Place) -> Seen:
    """What CI has left. Raises NotReady also where it is not known what would be deployed."""
    if isinstance(place.copy, NotReady):
        raise NotReady(f"for which commit {entry.file} should be is not known: {place.copy.what}", place.copy.hint)
    raw, found = await _read(place.base / entry.file)
    report = _understood(entry, raw)
    if entry.commit:
        named = await asyncio.to_thread(read_first_line, place.base / entry.commit)
        _same_commit(named, place.copy.commit, entry)
    seen = Seen(entry, report, found.modified if report.made is None else report.made, sha256(raw))
    if entry.max_age is not None and place.now - seen.made > entry.max_age:
        raise NotReady(f"{entry.file} is {(place.now - seen.made) / 3600:.1f} h old", "let CI make it anew")
    return seen


async def _read(file: Path) -> tuple[bytes, Stamp]:
    return await asyncio.to_thread(read_stamped, file)


def _understood(entry: ReportSpec, raw: bytes) -> Report:
    try:
        return READERS[entry.format](raw)
    except NotReady as error:
        where = entry.file or f"what `{shlex.join(entry.run)}` printed"
        raise NotReady(f"{where} counts as not run: {error.what}", _hint(entry)) from None


def _fits(seen: Seen, copy: WorkingCopy, now: float) -> None:
    """Raises NotReady for a report about something else than what would be deployed."""
    made = seen.made if seen.report.made is None else seen.report.made
    where = seen.entry.file or seen.entry.format
    if seen.report.commit:
        _same_commit(seen.report.commit, copy.commit, seen.entry)
    if made < copy.committed:
        raise NotReady(f"{where} is older than commit {copy.commit[:12]}", _hint(seen.entry))
    if made > now + CLOCKS_DIFFER:
        raise NotReady(f"{where} comes from the future, so a clock is wrong", _hint(seen.entry))


def _same_commit(named: str, commit: str, entry: ReportSpec) -> None:
    if len(named) < SHORTEST_COMMIT or not commit.startswith(named.lower()):
        what = f"{entry.file or entry.format} is for another commit than {commit[:12]}"
        raise NotReady(what, _hint(entry))


def _hint(entry: ReportSpec) -> str:
    return f"run it by hand: {shlex.join(entry.run)}" if entry.run else f"let CI make {entry.file} anew"


def judged(gate: QualitySpec, several: Sequence[Seen], base: Path) -> Finding:
    """What the gate's reports say together."""
    status, says = _figures(gate, several) if gate.least else _issues(gate, several, base)
    odd = next((seen for seen in several if seen.code and not _has_something(gate, seen)), None)
    if odd:
        status = "unknown"
        says = (
            f"`{shlex.join(odd.entry.run)}` exited {odd.code}, as if it had found something, and its report has nothing"
        )
    evidence: dict[str, JsonValue] = {"reports": [_evidence(seen) for seen in several]}
    hint = "" if status == "ok" else f"`fairlead ready` asks again; {_hint((odd or _worst(gate, several)).entry)}"
    return Finding(check=gate.name, subject=gate.name, status=status, says=says, hint=hint, evidence=evidence)


def _worst(gate: QualitySpec, several: Sequence[Seen]) -> Seen:
    """The report that says most against it."""
    return max(
        several, key=lambda seen: (len(_counting(gate, seen.report)), -min(seen.report.figures.values(), default=0))
    )


def _has_something(gate: QualitySpec, seen: Seen) -> bool:
    """Is there in the report what an exit code for findings speaks of?"""
    figures = seen.report.figures
    low = any(figures[word] < least for word, least in gate.least.items() if word in figures)
    return low or bool(seen.report.issues) or bool(seen.report.suppressed)


def _figures(gate: QualitySpec, several: Sequence[Seen]) -> tuple[Status, str]:
    told: list[str] = []
    status: Status = "ok"
    for word, least in gate.least.items():
        found = [seen.report.figures[word] for seen in several if word in seen.report.figures]
        if not found:
            return "unknown", f"no report has the figure {word}"
        if min(found) < least:
            status = "fail"
        told.append(f"{word} is {_number(min(found))}, at least {_number(least)}" + " is asked" * (min(found) < least))
    return status, "; ".join(told)


def _number(value: float) -> str:
    """Rounded down: 89.96 is not 90."""
    return f"{int(value * 10) / 10:g}"


def _issues(gate: QualitySpec, several: Sequence[Seen], base: Path) -> tuple[Status, str]:
    found = [issue for seen in several for issue in _counting(gate, seen.report)]
    tools = ", ".join(seen.report.tool for seen in several)
    accepted = sum(seen.report.suppressed for seen in several)
    tail = f" ({accepted} accepted)" * bool(accepted)
    if not found:
        kind = "" if gate.severity == "info" else f" of severity {gate.severity} or graver"
        return "ok", f"no issues{kind}: {tools}{tail}"
    counted = Counter(issue.severity for issue in found)
    words = ", ".join(f"{counted[word]} {word}" for word in reversed(SEVERITIES) if counted[word])
    status: Status = "fail" if len(found) > gate.most else "ok"
    return status, f"{len(found)} issues by {tools}: {words}; {_quoted(found, base)}{tail}"


def _counting(gate: QualitySpec, report: Report) -> list[Issue]:
    least = SEVERITIES.index(gate.severity)
    return [issue for issue in report.issues if SEVERITIES.index(issue.severity) >= least]


def _quoted(found: Sequence[Issue], base: Path) -> str:
    """Some of the issues, the gravest first: rule, file and line, and nothing of what was found there."""
    order = sorted(found, key=lambda issue: -SEVERITIES.index(issue.severity))
    shown = ", ".join(_place(issue, base) for issue in order[:SHOWN])
    return shown + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _place(issue: Issue, base: Path) -> str:
    file = issue.file.removeprefix("file://").removeprefix(f"{base}/")
    where = f"{file}:{issue.line}" if issue.line else file
    return f"{issue.rule} in {where}" if file else issue.rule


def _evidence(seen: Seen) -> JsonValue:
    report = seen.report
    return {
        "tool": report.tool,
        "format": seen.entry.format,
        "file": seen.entry.file,
        "sha256": seen.sha256,
        "made": round(seen.made if report.made is None else report.made, 3),
        "commit": report.commit,
        "issues": dict(Counter(issue.severity for issue in report.issues)),
        "accepted": report.suppressed,
        "figures": dict(report.figures),
    }
