"""Every format: what is counted, and that nothing but a whole report of a tool that ran is believed."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from typing import Any

import pytest

from fairlead.checks.reports import READERS, Report
from fairlead.errors import NotReady
from support.reports import (
    CLEAN,
    COMMIT,
    FOUND,
    PLANTED,
    changed,
    lighthouse,
    radon,
    raw,
    result,
    sarif,
    with_,
    without,
)


def read(form: str, report: Any) -> Report:
    return READERS[form](report if isinstance(report, bytes) else raw(report))


def severities(report: Report) -> dict[str, int]:
    return dict(Counter(issue.severity for issue in report.issues))


COUNTED: dict[str, tuple[dict[str, int], dict[str, float]]] = {
    # format: severities, figures of the report with findings
    "aggregate": ({"high": 2}, {}),
    "bandit": ({"high": 1, "medium": 1, "low": 2}, {}),
    "coverage": ({}, {"lines": 30, "statements": 30, "functions": 30, "branches": 30}),
    "dsgvo": ({"high": 2, "medium": 1}, {}),
    "eslint": ({"high": 2, "medium": 3}, {}),
    "gitleaks": ({"critical": 4}, {}),
    "lighthouse": ({}, {"performance": 52, "accessibility": 100}),
    "npm-audit": ({"critical": 1, "high": 2, "medium": 1, "low": 1}, {}),
    "pip-audit": ({"unknown": 3}, {}),
    "radon": ({"medium": 7}, {"maintainability": 30}),
    "sarif": ({"critical": 1, "high": 1, "medium": 1, "low": 1}, {}),
    "semgrep": ({"high": 2, "medium": 1, "critical": 1}, {}),
}


@pytest.mark.parametrize("form", READERS)
def test_what_a_tool_found_is_counted_exactly(form: str) -> None:
    report = read(form, FOUND[form])
    assert (severities(report), dict(report.figures)) == COUNTED[form]


@pytest.mark.parametrize("form", READERS)
def test_a_clean_report_has_no_grave_issue(form: str) -> None:
    report = read(form, CLEAN[form])
    assert not set(severities(report)) - {"medium"}
    assert all(value >= 85 for value in report.figures.values())


@pytest.mark.parametrize("form", READERS)
def test_nothing_of_what_was_found_comes_out(form: str) -> None:
    report = read(form, FOUND[form])
    assert PLANTED not in repr(report)
    assert "example.org" not in repr(report).replace("www.example.org", "")


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize(
    "report", [b"", b" \n", b"null", b"{}", b'""', b"0", b"true", b"[[]]", b"[null]", b"\xff\xfe", b"\x00" * 40]
)
def test_what_is_no_report_is_not_believed(form: str, report: bytes) -> None:
    with pytest.raises(NotReady):
        read(form, report)


@pytest.mark.parametrize("form", READERS)
def test_a_report_cut_anywhere_is_not_believed(form: str) -> None:
    whole = raw(FOUND[form])
    for end in range(0, len(whole), 7):
        with pytest.raises(NotReady):
            read(form, whole[:end])


ENCODED = {
    "UTF-8 with a byte order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16 as PowerShell writes it": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
}


@pytest.mark.parametrize("encoded", ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("form", READERS)
def test_encodings(form: str, encoded: Any) -> None:
    assert read(form, encoded(json.dumps(FOUND[form]))) == read(form, FOUND[form])


NOT_RUN: dict[str, tuple[str, Any, str]] = {
    # case: format, report, part of the sentence
    "gitleaks: a wrapper's empty answer": ("gitleaks", {"findings": []}, "list of leaks"),
    "gitleaks: a leak without its rule": ("gitleaks", changed(FOUND["gitleaks"], without(0, "RuleID")), "RuleID"),
    "bandit: no metrics": ("bandit", changed(CLEAN["bandit"], without("metrics")), "metrics"),
    "bandit: a file that it could not read": (
        "bandit",
        changed(CLEAN["bandit"], with_([{"filename": "app/b.py", "reason": "syntax error"}], "errors")),
        "app/b.py",
    ),
    "bandit: no line of code": ("bandit", changed(CLEAN["bandit"], with_(0, "metrics", "_totals", "loc")), "no line"),
    "bandit: lists more than it counts": (
        "bandit",
        changed(FOUND["bandit"], with_(0, "metrics", "_totals", "SEVERITY.HIGH")),
        "contradicts itself",
    ),
    "eslint: no files": ("eslint", [], "no file"),
    "eslint: a file that it could not parse": (
        "eslint",
        changed(FOUND["eslint"], with_(True, 0, "messages", 0, "fatal")),
        "could not read",
    ),
    "eslint: errors are counted and not listed": (
        "eslint",
        changed(FOUND["eslint"], with_([], 0, "messages")),
        "contradicts itself",
    ),
    "semgrep: a file that took too long": (
        "semgrep",
        changed(CLEAN["semgrep"], with_([{"type": "Timeout", "level": "warn", "path": "app/b.py"}], "errors")),
        "app/b.py",
    ),
    "semgrep: no file was looked at": ("semgrep", changed(CLEAN["semgrep"], with_([], "paths", "scanned")), "no file"),
    "npm audit: the registry did not answer": ("npm-audit", {"error": {"code": "ENOAUDIT"}}, "no answer"),
    "npm audit: an old format": ("npm-audit", changed(CLEAN["npm-audit"], with_(1, "auditReportVersion")), "is not 2"),
    "npm audit: counts without a list": (
        "npm-audit",
        changed(FOUND["npm-audit"], with_({}, "vulnerabilities")),
        "contradicts itself",
    ),
    "npm audit: a list without counts": (
        "npm-audit",
        changed(FOUND["npm-audit"], with_(CLEAN["npm-audit"]["metadata"], "metadata")),
        "contradicts itself",
    ),
    "npm audit: a list that is milder than its counts": (
        "npm-audit",
        changed(FOUND["npm-audit"], with_("moderate", "vulnerabilities", "axios", "severity")),
        "contradicts itself",
    ),
    "pip-audit: a package that it skipped": (
        "pip-audit",
        {"dependencies": [{"name": "django", "skip_reason": "could not be audited"}], "fixes": []},
        "django",
    ),
    "pip-audit: no package": ("pip-audit", {"dependencies": [], "fixes": []}, "no package"),
    "lighthouse: the page did not load": (
        "lighthouse",
        changed(CLEAN["lighthouse"], with_({"code": "FAILED_DOCUMENT_REQUEST", "message": "x"}, "runtimeError")),
        "FAILED_DOCUMENT_REQUEST",
    ),
    "lighthouse: a score in percent": (
        "lighthouse",
        changed(CLEAN["lighthouse"], with_(96, "categories", "performance", "score")),
        "between 0 and 1",
    ),
    "lighthouse: no score": (
        "lighthouse",
        changed(CLEAN["lighthouse"], with_(None, "categories", "performance", "score")),
        "no score",
    ),
    "lighthouse: a score that its audits do not give": (
        "lighthouse",
        changed(FOUND["lighthouse"], with_(0.92, "categories", "performance", "score")),
        "contradicts itself",
    ),
    "lighthouse: the browser's own page": (
        "lighthouse",
        changed(CLEAN["lighthouse"], with_("chrome-error://chromewebdata/", "finalDisplayedUrl")),
        "no page",
    ),
    "coverage: nothing was measured": (
        "coverage",
        changed(CLEAN["coverage"], with_({"total": 0, "covered": 0, "skipped": 0, "pct": 100}, "total", "lines")),
        "no line",
    ),
    "coverage: a share that its counts do not give": (
        "coverage",
        changed(FOUND["coverage"], with_(95, "total", "lines", "pct")),
        "contradicts itself",
    ),
    "radon: a module that it could not read": (
        "radon",
        changed(CLEAN["radon"], with_({"error": "invalid syntax"}, "app/b.py")),
        "app/b.py",
    ),
    "radon: a rank that does not fit": ("radon", changed(radon(0, 3), with_("A", "app/c0.py", "rank")), "does not fit"),
    "dsgvo: a check that was skipped": (
        "dsgvo",
        changed(CLEAN["dsgvo"], with_("skipped", "checks", "encryption", "status")),
        "neither passed nor failed",
    ),
    "dsgvo: passed with issues": (
        "dsgvo",
        changed(CLEAN["dsgvo"], with_(3, "checks", "pii_in_logs", "issues")),
        "contradicts itself",
    ),
    "dsgvo: counts more checks than it lists": (
        "dsgvo",
        changed(CLEAN["dsgvo"], without("checks", "encryption")),
        "contradicts itself",
    ),
    "dsgvo: passed although a check failed": (
        "dsgvo",
        changed(FOUND["dsgvo"], with_("passed", "overall_status")),
        "contradicts itself",
    ),
    "aggregate: no gate": ("aggregate", changed(CLEAN["aggregate"], with_({}, "quality_gates")), "no gate"),
    "aggregate: passed as a word": (
        "aggregate",
        changed(CLEAN["aggregate"], with_("true", "quality_gates", "security_gate", "passed")),
        "not what the tool writes",
    ),
    "aggregate: passed although a gate failed": (
        "aggregate",
        changed(FOUND["aggregate"], with_("passed", "summary", "overall_status")),
        "contradicts itself",
    ),
    "sarif: another version": ("sarif", sarif() | {"version": "2.0.0"}, "no SARIF 2.1.0"),
    "sarif: no runs": ("sarif", sarif() | {"runs": []}, "no run"),
    "sarif: no tool": ("sarif", changed(sarif(), with_({}, "runs", 0, "tool")), "tool.driver"),
    "sarif: Codacy's fallback": (
        "sarif",
        changed(sarif(), with_("fallback", "runs", 0, "tool", "driver", "version")),
        "fallback",
    ),
    "sarif: no results": ("sarif", changed(sarif(), without("runs", 0, "results")), "results"),
    "sarif: results that are null": ("sarif", changed(sarif(), with_(None, "runs", 0, "results")), "results"),
    "sarif: one of two runs has none": ("sarif", changed(sarif(), lambda r: r | {"runs": [*r["runs"], {}]}), "tool"),
    "sarif: the tool failed": ("sarif", sarif(invocations=[{"executionSuccessful": False}]), "says that it failed"),
    "sarif: whether it failed is not said": ("sarif", sarif(invocations=[{}]), "executionSuccessful"),
    "sarif: an error while it ran": (
        "sarif",
        sarif(invocations=[{"executionSuccessful": True, "toolExecutionNotifications": [{"level": "error"}]}]),
        "went wrong",
    ),
    "sarif: an error in its configuration": (
        "sarif",
        sarif(invocations=[{"executionSuccessful": True, "toolConfigurationNotifications": [{"level": "error"}]}]),
        "went wrong",
    ),
    "sarif: results in other files": (
        "sarif",
        sarif(externalPropertyFileReferences={"results": [{"location": {"uri": "x"}}]}),
        "other files",
    ),
    "sarif: two commits": (
        "sarif",
        sarif(versionControlProvenance=[{"revisionId": "a" * 40}, {"revisionId": "b" * 40}]),
        "more than one commit",
    ),
    "a key that stands there twice": (
        "sarif",
        raw(sarif(result("PLAIN")))[:-3] + b', "results": []}]}',
        "no whole JSON",
    ),
    "a number that is none": ("lighthouse", raw(CLEAN["lighthouse"]).replace(b"0.95", b"NaN"), "no whole JSON"),
    "endless nesting": ("sarif", b"[" * 100_000, "no whole JSON"),
    "half of it is missing": ("gitleaks", raw(FOUND["gitleaks"])[:200], "no whole JSON"),
}


@pytest.mark.parametrize(("form", "report", "says"), NOT_RUN.values(), ids=NOT_RUN)
def test_a_tool_that_did_not_run_to_its_end_is_not_believed(form: str, report: Any, says: str) -> None:
    with pytest.raises(NotReady, match=says):
        read(form, report)


SARIF: dict[str, tuple[Any, dict[str, int]]] = {
    # case: report, severities
    "the rule's score by its place": (sarif(result(index=0)), {"critical": 1}),
    "the rule's score by its name": (sarif(result("CVE-2026-2")), {"high": 1}),
    "the place counts where no name is given": (sarif(result(index=3)), {"low": 1}),
    "a place that does not fit the name": (sarif(result("CVE-2026-1", 3)), {"critical": 1}),
    "a place that does not exist": (sarif(result("CVE-2026-1", 99)), {"critical": 1}),
    "a place below zero": (sarif(result("CVE-2026-1", -1)), {"critical": 1}),
    "a word among the tags": (sarif(result("CVE-2026-3")), {"medium": 1}),
    "the score is more than the level": (sarif(result("CVE-2026-1", level="note")), {"critical": 1}),
    "the result's own level": (sarif(result("STYLE", level="error")), {"high": 1}),
    "the rule's usual level": (sarif(result("STYLE")), {"low": 1}),
    "no level is a warning": (sarif(result("PLAIN")), {"medium": 1}),
    "a level that nobody knows": (sarif(result("PLAIN", level="fatal")), {"unknown": 1}),
    "a rule that is not described": (sarif(result("NEW")), {"medium": 1}),
    "no rule at all": (sarif(result()), {"medium": 1}),
    "a part of a rule": (sarif(result("CVE-2026-1/2")), {"critical": 1}),
    "a result's own score": (sarif(result("PLAIN", properties={"security-severity": 8.1})), {"high": 1}),
    "the higher of two scores": (sarif(result("CVE-2026-2", properties={"security-severity": "9.1"})), {"critical": 1}),
    "a score that is none": (sarif(result("PLAIN", properties={"security-severity": "high"})), {"unknown": 1}),
    "a score out of range": (sarif(result("PLAIN", properties={"security-severity": "11"})), {"unknown": 1}),
    "a rule by reference": (sarif(result(rule={"id": "CVE-2026-2", "index": 1})), {"high": 1}),
    "a rule of an extension": (
        changed(
            sarif(result(rule={"index": 0, "toolComponent": {"index": 0}})),
            with_([{"name": "x", "rules": [{"id": "X1", "properties": {"security-severity": "9.9"}}]}],
                  "runs", 0, "tool", "extensions"),
        ),
        {"critical": 1},
    ),
    "a rule of an extension by its name": (
        changed(
            sarif(result("X1")),
            with_([{"name": "x", "rules": [{"id": "X1", "properties": {"security-severity": "9.9"}}]}],
                  "runs", 0, "tool", "extensions"),
        ),
        {"critical": 1},
    ),
    "several runs are added": (
        changed(sarif(result(index=0)), lambda r: r | {"runs": [*r["runs"], *sarif(result(index=1))["runs"]]}),
        {"critical": 1, "high": 1},
    ),
    "accepted": (sarif(result(index=0, suppressions=[{"kind": "inSource"}])), {}),
    "accepted in words": (sarif(result(index=0, suppressions=[{"kind": "external", "status": "accepted"}])), {}),
    "acceptance is being looked at": (
        sarif(result(index=0, suppressions=[{"kind": "external", "status": "underReview"}])), {"critical": 1}),
    "acceptance was rejected": (
        sarif(result(index=0, suppressions=[{"kind": "inSource"}, {"kind": "external", "status": "rejected"}])),
        {"critical": 1}),
    "no suppression": (sarif(result(index=0, suppressions=[])), {"critical": 1}),
    "gone since the baseline": (sarif(result(index=0, baselineState="absent")), {}),
    "there since the baseline": (sarif(result(index=0, baselineState="unchanged")), {"critical": 1}),
    "a rule that was kept": (sarif(result(index=0, kind="pass")), {}),
    "only told": (sarif(result(index=0, kind="informational")), {}),
    "a human must look": (sarif(result("PLAIN", kind="review")), {"medium": 1}),
    "a successful run": (sarif(invocations=[{"executionSuccessful": True}]), {}),
    "warnings while it ran": (
        sarif(invocations=[{"executionSuccessful": True, "toolExecutionNotifications": [{"level": "warning"}]}]), {}),
}  # fmt: skip


@pytest.mark.parametrize(("report", "counted"), SARIF.values(), ids=SARIF)
def test_severities_of_sarif(report: Any, counted: dict[str, int]) -> None:
    assert severities(read("sarif", report)) == counted


def test_suppressed_issues_are_counted_apart() -> None:
    assert read("sarif", sarif(result(index=0, suppressions=[{"kind": "inSource"}]), result(index=1))).suppressed == 1


def test_sarif_names_its_commit_and_time() -> None:
    ended = [{"executionSuccessful": True, "endTimeUtc": "2026-11-20T10:00:00.5Z"}]
    report = read("sarif", sarif(versionControlProvenance=[{"revisionId": COMMIT}], invocations=ended))
    assert (report.commit, report.made) == (COMMIT, 1795168800.5)


def test_issues_have_file_and_line() -> None:
    assert read("sarif", sarif(result(index=0))).issues[0][1:] == ("CVE-2026-1", "src/app.py", 7)
    assert read("gitleaks", FOUND["gitleaks"]).issues[1][1:] == ("aws-access-token", "deploy/env.sh", 14)
    assert read("bandit", FOUND["bandit"]).issues[0][1:] == ("B105", "app/a.py", 3)


def test_what_bandit_counts_and_does_not_list_counts() -> None:
    filtered = changed(FOUND["bandit"], lambda report: report | {"results": report["results"][:1]})
    assert severities(read("bandit", filtered)) == {"high": 1, "medium": 1, "low": 2}


def test_a_name_cannot_write_to_the_terminal() -> None:
    report = read("gitleaks", changed(FOUND["gitleaks"], with_("a\x1b[2J\nb" + "c" * 999, 0, "File")))
    assert report.issues[0].file.isprintable()
    assert len(report.issues[0].file) == 200


def test_a_time_without_a_zone_is_none() -> None:
    assert read("dsgvo", changed(CLEAN["dsgvo"], with_("2026-11-20T10:00:00", "timestamp"))).made is None
    assert read("lighthouse", lighthouse(1, 1, 1, 1, 1)).made == 1795168800.0
