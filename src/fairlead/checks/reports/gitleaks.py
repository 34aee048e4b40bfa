"""Gitleaks. Its `Match` and `Secret` hold what must not be seen again, so they are not even looked at."""

from __future__ import annotations

from typing import Any

from fairlead.checks.reports.report import Issue, Report, document, line, listing, mapping, name, text


def read(raw: bytes) -> Report:
    """A list of leaks, `[]` when there are none; `{"findings": []}` is what a wrapper writes that did not run it."""
    return Report("gitleaks", tuple(map(_issue, listing(document(raw), "list of leaks"))))


def _issue(entry: Any) -> Issue:
    leak = mapping(entry, "leak")
    return Issue(
        "critical", name(text(leak.get("RuleID"), "RuleID")), name(leak.get("File")), line(leak.get("StartLine"))
    )
