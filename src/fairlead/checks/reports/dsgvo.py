from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from fairlead.checks.reports.report import Issue, Report, agree, count, document, mapping, name, text, when
from fairlead.errors import NotReady

_WORDS = {
    **dict.fromkeys(("pass", "passed", "ok", "success", "compliant"), "passed"),
    **dict.fromkeys(("warn", "warning", "warnings"), "warnings"),
    **dict.fromkeys(("fail", "failed", "failure", "error", "critical", "non_compliant", "non-compliant"), "failed"),
}
_SEVERITIES = {"warnings": "medium", "failed": "high"}


def read(raw: bytes) -> Report:
    """The report of a data protection check: a check that has not passed is an issue; its details stay unread."""
    report = mapping(document(raw), "report")
    made = when(report.get("timestamp"), "timestamp")
    outcomes = dict(_outcomes(mapping(report.get("checks"), "checks")))
    if not outcomes:
        raise NotReady("the data protection check looked at nothing")
    told, seen = mapping(report.get("summary"), "summary"), Counter(outcomes.values())
    agree(count(told.get("total_checks"), "summary.total_checks"), len(outcomes), "total_checks is not their number")
    for word in ("passed", "failed", "warnings"):
        agree(count(told.get(word), f"summary.{word}"), seen[word], f"it does not list as many {word} as it counts")
    overall = outcome(report.get("overall_status"), "overall_status")
    if (overall == "passed" and seen["failed"]) or (overall == "failed" and not seen["failed"] + seen["warnings"]):
        raise NotReady("the report contradicts itself: overall_status is not what its checks give")
    issues = tuple(Issue(_SEVERITIES[word], name(check)) for check, word in outcomes.items() if word != "passed")
    return Report("data protection check", issues, made=made)


def outcome(value: Any, where: str) -> str:
    """`passed`, `warnings` or `failed`. Raises NotReady for every other word: skipped is not passed."""
    found = _WORDS.get(text(value, where).lower())
    if found is None:
        raise NotReady(f"{where} says neither passed nor failed")
    return found


def _outcomes(checks: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for check, entry in checks.items():
        said = outcome(mapping(entry, "check").get("status"), f"status of {name(check)}")
        issues = entry.get("issues", 0)
        found = len(issues) if isinstance(issues, list) else count(issues, f"issues of {name(check)}")
        agree(bool(said == "passed" and found), False, f"{name(check)} has passed with issues")
        yield check, said
