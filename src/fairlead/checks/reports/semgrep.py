from __future__ import annotations

from typing import Any

from fairlead.checks.reports.report import Issue, Report, document, flag, line, listing, mapping, name, text
from fairlead.errors import NotReady

_SEVERITIES = {
    "INFO": "low", "WARNING": "medium", "ERROR": "high", "LOW": "low", "MEDIUM": "medium", "HIGH": "high",
    "CRITICAL": "critical",
}  # fmt: skip


def read(raw: bytes) -> Report:
    """Semgrep's own JSON. A file that it could not read or had no time for blocks: nobody has looked at it."""
    report = mapping(document(raw), "report")
    text(report.get("version"), "version")
    if errors := listing(report.get("errors"), "errors"):
        where = name(mapping(errors[0], "error").get("path"))
        raise NotReady(f"semgrep could not look at everything: {len(errors)} errors, the first in {where}")
    if not listing(mapping(report.get("paths"), "paths").get("scanned"), "paths.scanned"):
        raise NotReady("semgrep looked at no file")
    results = [mapping(entry, "result") for entry in listing(report.get("results"), "results")]
    open_ones = [result for result in results if not _ignored(result)]
    return Report("semgrep", tuple(map(_issue, open_ones)), suppressed=len(results) - len(open_ones))


def _ignored(result: dict[str, Any]) -> bool:
    """Marked with `nosemgrep` in the code."""
    return flag(mapping(result.get("extra"), "extra").get("is_ignored", False), "is_ignored")


def _issue(result: dict[str, Any]) -> Issue:
    severity = _SEVERITIES.get(text(result["extra"].get("severity"), "severity"), "unknown")
    start = mapping(result.get("start"), "start")
    return Issue(severity, name(result.get("check_id")), name(result.get("path")), line(start.get("line")))
