"""Bandit's JSON. Its `issue_text` and `code` repeat passwords that it has found, so they are not looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.checks.reports.report import Issue, Report, count, document, line, listing, mapping, name, text, when
from fairlead.errors import NotReady

_SEVERITIES = {"UNDEFINED": "unknown", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}


def read(raw: bytes) -> Report:
    """Its results, and those that `metrics` counts and a filter of its command line keeps out of the list."""
    report = mapping(document(raw), "report")
    totals = mapping(mapping(report.get("metrics"), "metrics").get("_totals"), "metrics._totals")
    if errors := listing(report.get("errors"), "errors"):
        file = name(mapping(errors[0], "error").get("filename"))
        raise NotReady(f"bandit could not read {len(errors)} files, the first is {file}")
    if not count(totals.get("loc"), "metrics._totals.loc"):
        raise NotReady("bandit looked at no line of code")
    issues = [_issue(entry) for entry in listing(report.get("results"), "results")]
    return Report(
        "bandit", (*issues, *_unlisted(issues, totals)), made=when(report.get("generated_at"), "generated_at")
    )


def _issue(entry: Any) -> Issue:
    result = mapping(entry, "result")
    severity = _SEVERITIES.get(text(result.get("issue_severity"), "issue_severity"), "unknown")
    return Issue(severity, name(result.get("test_id")), name(result.get("filename")), line(result.get("line_number")))


def _unlisted(issues: list[Issue], totals: Mapping[str, Any]) -> Iterator[Issue]:
    listed = Counter(issue.severity for issue in issues)
    for word, severity in _SEVERITIES.items():
        counted = count(totals.get(f"SEVERITY.{word}"), f"metrics._totals.SEVERITY.{word}")
        if counted < listed[severity] and severity != "unknown":
            raise NotReady(f"the report contradicts itself: it lists more issues of severity {severity} than it counts")
        if counted > listed[severity]:
            more = counted - listed[severity]
            yield from [Issue(severity, "not listed")] * min(more, 1000)
