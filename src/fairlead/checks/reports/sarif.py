"""SARIF 2.1.0 from any tool: Trivy, Codacy, Semgrep, CodeQL, ESLint ..."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from fairlead.checks.reports.report import (
    SEVERITIES,
    Issue,
    Report,
    document,
    flag,
    line,
    listing,
    mapping,
    name,
    text,
    when,
)
from fairlead.errors import NotReady

_LEVELS = {"error": "high", "warning": "medium", "note": "low", "none": "info"}
_NO_ISSUE = ("pass", "notApplicable", "informational")
"""Kinds of results that say that there is nothing wrong."""
_SCORES = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"))
"""`security-severity` is a CVSS score from 0 to 10: from here on; below is low."""


class _Tool(NamedTuple):
    name: str
    components: list[list[dict[str, Any]]]
    """Rules of the driver, then those of each extension."""


def read(raw: bytes) -> Report:
    """All runs together. A run that did not end well, or has no results at all, did not run."""
    report = mapping(document(raw), "report")
    if report.get("version") != "2.1.0":
        raise NotReady("the report is no SARIF 2.1.0")
    runs = [mapping(entry, "run") for entry in listing(report.get("runs"), "runs")]
    if not runs:
        raise NotReady("the report has no run of a tool")
    tools = [_tool(run) for run in runs]
    for run in runs:
        _refuse_broken(run)
    found = [result for run, tool in zip(runs, tools, strict=True) for result in _results(run, tool)]
    suppressed = sum(issue is None for issue in found)
    return Report(
        ", ".join(dict.fromkeys(tool.name for tool in tools)),
        tuple(issue for issue in found if issue),
        suppressed=suppressed,
        commit=_commit(runs),
        made=min((time for run in runs if (time := _ended(run)) is not None), default=None),
    )


def _tool(run: dict[str, Any]) -> _Tool:
    tool = mapping(run.get("tool"), "tool")
    driver = mapping(tool.get("driver"), "tool.driver")
    if "fallback" in (driver.get("version"), driver.get("semanticVersion")):
        raise NotReady("the report is a fallback that was written without the tool")
    components = [driver, *listing(tool.get("extensions", []), "tool.extensions")]
    return _Tool(name(text(driver.get("name"), "tool.driver.name")), [_rules(part) for part in components])


def _rules(component: Any) -> list[dict[str, Any]]:
    rules = listing(mapping(component, "component of the tool").get("rules") or [], "rules")
    return [mapping(rule, "rule") for rule in rules]


def _refuse_broken(run: dict[str, Any]) -> None:
    """Raise NotReady for a run that says itself that it failed, or whose results lie elsewhere."""
    if mapping(run.get("externalPropertyFileReferences", {}), "externalPropertyFileReferences").get("results"):
        raise NotReady("the results lie in other files")
    for entry in listing(run.get("invocations", []), "invocations"):
        invocation = mapping(entry, "invocation")
        if not flag(invocation.get("executionSuccessful"), "executionSuccessful"):
            raise NotReady("the tool says that it failed")
        for word in ("toolExecutionNotifications", "toolConfigurationNotifications"):
            notes = [mapping(note, word) for note in listing(invocation.get(word, []), word)]
            if any(note.get("level") == "error" for note in notes):
                raise NotReady("the tool says that something went wrong while it ran")


def _results(run: dict[str, Any], tool: _Tool) -> Iterator[Issue | None]:
    """Issues; None = suppressed."""
    for entry in listing(run.get("results"), "results"):
        result = mapping(entry, "result")
        if result.get("kind", "fail") in _NO_ISSUE or result.get("baselineState") == "absent":
            continue
        yield None if _suppressed(result) else _issue(result, tool)


def _suppressed(result: dict[str, Any]) -> bool:
    """Somebody has accepted it; a suppression that is still looked at, or was rejected, is none."""
    several = [mapping(one, "suppression") for one in listing(result.get("suppressions") or [], "suppressions")]
    return bool(several) and all(one.get("status", "accepted") == "accepted" for one in several)


def _issue(result: dict[str, Any], tool: _Tool) -> Issue:
    named, rule = _rule(result, tool)
    file, number = _place(result)
    return Issue(_severity(result, rule), name(named), name(file), number)


def _rule(result: dict[str, Any], tool: _Tool) -> tuple[str, dict[str, Any]]:
    """The rule's name and what the tool says about it: by its place in the list, where that fits, else by name."""
    reference = mapping(result.get("rule") or {}, "rule of a result")
    own = result.get("ruleId") or reference.get("id") or ""
    index = result.get("ruleIndex", reference.get("index", -1))
    rules = _component(mapping(reference.get("toolComponent") or {}, "toolComponent").get("index", -1), tool)
    there = rules[index] if _is_index(index, rules) else {}
    if there and (not own or _fits(own, there)):
        return own or there.get("id") or "", there
    by_name = [rule for rules in tool.components for rule in rules if _fits(own, rule)]
    return own, max(by_name, key=lambda rule: len(str(rule.get("id"))), default={})


def _component(index: Any, tool: _Tool) -> list[dict[str, Any]]:
    extensions = tool.components[1:]
    return extensions[index] if _is_index(index, extensions) else tool.components[0]


def _is_index(index: Any, things: list[Any]) -> bool:
    return isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(things)


def _fits(own: Any, rule: dict[str, Any]) -> bool:
    """A result may name a part of a rule: `CA1000/1` is of CA1000."""
    return isinstance(own, str) and bool(own) and (own == rule.get("id") or own.startswith(f"{rule.get('id')}/"))


def _severity(result: dict[str, Any], rule: dict[str, Any]) -> str:
    """The graver of what result and rule say as a score; without one a word among the tags, then the level."""
    parts = [mapping(one.get("properties") or {}, "properties") for one in (result, rule)]
    scores = [_score(part["security-severity"]) for part in parts if "security-severity" in part]
    tags = [tag for part in parts for tag in listing(part.get("tags") or [], "tags")]
    words = [tag.lower() for tag in tags if isinstance(tag, str) and tag.lower() in SEVERITIES]
    found = scores or words or [_level(result, rule)]
    return max(found, key=SEVERITIES.index)


def _score(value: Any) -> str:
    try:
        score = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        return "unknown"
    if not 0 <= score <= 10:
        return "unknown"
    return next((word for least, word in _SCORES if score >= least), "low")


def _level(result: dict[str, Any], rule: dict[str, Any]) -> str:
    usual = mapping(rule.get("defaultConfiguration") or {}, "defaultConfiguration").get("level")
    level = result.get("level") or usual or "warning"
    return _LEVELS.get(level, "unknown") if isinstance(level, str) else "unknown"


def _place(result: dict[str, Any]) -> tuple[str, int]:
    """The first file and line that a result names."""
    for entry in listing(result.get("locations") or [], "locations")[:1]:
        place = mapping(mapping(entry, "location").get("physicalLocation") or {}, "physicalLocation")
        file = mapping(place.get("artifactLocation") or {}, "artifactLocation").get("uri")
        region = mapping(place.get("region") or {}, "region")
        return (unquote(file) if isinstance(file, str) else ""), line(region.get("startLine"))
    return "", 0


def _commit(runs: list[dict[str, Any]]) -> str:
    """The commit that all runs name; raises NotReady where they name different ones."""
    several = [entry for run in runs for entry in listing(run.get("versionControlProvenance") or [], "provenance")]
    named = {text(mapping(one, "provenance").get("revisionId", "?"), "revisionId") for one in several} - {"?"}
    if len(named) > 1:
        raise NotReady("the report is about more than one commit")
    return next(iter(named), "")


def _ended(run: dict[str, Any]) -> float | None:
    times = [one["endTimeUtc"] for one in run.get("invocations", []) if one.get("endTimeUtc")]
    return min((at for time in times if (at := when(time, "endTimeUtc")) is not None), default=None)
