"""Reports of tools, of our own making but in the tools' shapes: clean, with findings, and as wrappers fake them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

PLANTED = "AKIA7PLANTEDSECRET99"
"""What the scanners have found; it must never be seen again."""
COMMIT = "4f2a9c1e8b7d6a5f4e3d2c1b0a9f8e7d6c5b4a39"
MADE = "2026-11-20T10:00:00Z"


def raw(report: Any) -> bytes:
    return json.dumps(report).encode()


def sarif(*results: dict[str, Any], **run: Any) -> dict[str, Any]:
    """One run of a tool like Trivy: severities stand with the rules, results only point there."""
    rules = [
        {"id": "CVE-2026-1", "defaultConfiguration": {"level": "note"},
         "properties": {"security-severity": "9.8", "tags": ["vulnerability", "security", "CRITICAL"]}},
        {"id": "CVE-2026-2", "properties": {"security-severity": "7.0", "tags": ["security"]}},
        {"id": "CVE-2026-3", "properties": {"tags": ["MEDIUM"]}, "defaultConfiguration": {"level": "error"}},
        {"id": "STYLE", "defaultConfiguration": {"level": "note"}},
        {"id": "PLAIN"},
    ]  # fmt: skip
    driver = {"name": "Scanner", "version": "1.2.3", "rules": rules}
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": list(results)} | run]}


def result(named: str = "", index: int | None = None, **more: Any) -> dict[str, Any]:
    place = {"artifactLocation": {"uri": "src/app.py"}, "region": {"startLine": 7, "snippet": {"text": PLANTED}}}
    found: dict[str, Any] = {"message": {"text": f"found {PLANTED}"}, "locations": [{"physicalLocation": place}]}
    found |= {"ruleId": named} if named else {}
    found |= {"ruleIndex": index} if index is not None else {}
    return found | more


def _leak(line: int) -> dict[str, Any]:
    return {
        "RuleID": "aws-access-token", "Description": "a key", "StartLine": line, "EndLine": line,
        "File": "deploy/env.sh",
        "Match": f"key={PLANTED}", "Secret": PLANTED, "Commit": COMMIT, "Entropy": 3.9, "Author": "Huber",
        "Email": "huber@example.org", "Date": MADE, "Message": f"add {PLANTED}", "Tags": [],
        "Fingerprint": f"{COMMIT}:deploy/env.sh:aws-access-token:{line}",
    }  # fmt: skip


def _bandit(*found: tuple[str, int], **counts: int) -> dict[str, Any]:
    own = {f"SEVERITY.{word}": sum(one == word for one, _ in found) for word in ("UNDEFINED", "LOW", "MEDIUM", "HIGH")}
    totals = own | {f"SEVERITY.{word}": number for word, number in counts.items()} | {"loc": 120, "nosec": 0}
    results = [
        {"test_id": "B105", "issue_severity": word, "issue_confidence": "HIGH", "filename": "app/a.py",
         "line_number": line,
         "issue_text": f"Possible hardcoded password: '{PLANTED}'", "code": f"{line} PASSWORD = '{PLANTED}'\n"}
        for word, line in found
    ]  # fmt: skip
    metrics = {"_totals": totals, "app/a.py": dict(totals)}
    return {"errors": [], "generated_at": MADE, "metrics": metrics, "results": results}


def _eslint(errors: int, warnings: int) -> dict[str, Any]:
    messages = [
        {"ruleId": "no-eval", "severity": severity, "line": 4, "message": PLANTED}
        for severity in [2] * errors + [1] * warnings
    ]
    return {
        "filePath": "/srv/site/src/main.js", "messages": messages, "suppressedMessages": [], "errorCount": errors,
        "fatalErrorCount": 0, "warningCount": warnings, "source": f"const key = '{PLANTED}'",
    }  # fmt: skip


def _semgrep(*severities: str) -> dict[str, Any]:
    results = [
        {"check_id": "no-eval", "path": "app/a.py", "start": {"line": 8}, "end": {"line": 8},
         "extra": {"severity": word, "message": PLANTED, "lines": PLANTED, "metadata": {}}}
        for word in severities
    ]  # fmt: skip
    return {"version": "1.185.0", "results": results, "errors": [], "paths": {"scanned": ["app/a.py"]}}


def _npm(**packages: str) -> dict[str, Any]:
    words = ("info", "low", "moderate", "high", "critical")
    counts = {word: list(packages.values()).count(word) for word in words}
    listed = {name: {"name": name, "severity": word, "via": [], "range": "<1"} for name, word in packages.items()}
    told = {"vulnerabilities": counts | {"total": len(packages)}, "dependencies": {"prod": 9, "total": 9}}
    return {"auditReportVersion": 2, "vulnerabilities": listed, "metadata": told}


def _pip(*vulnerable: str) -> dict[str, Any]:
    sound = {"name": "click", "version": "8.1.7", "vulns": []}
    bad = [
        {"name": name, "version": "1.0", "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2"], "aliases": []}]}
        for name in vulnerable
    ]
    return {"dependencies": [sound, *bad], "fixes": []}


def lighthouse(*scores: float) -> dict[str, Any]:
    """Five audits of performance, and one score of accessibility."""
    names = ("first-contentful-paint", "largest-contentful-paint", "speed-index", "total-blocking-time", "layout-shift")
    audits = {
        name: {"id": name, "score": score, "numericValue": 900.0} for name, score in zip(names, scores, strict=True)
    }
    references = [{"id": name, "weight": 10} for name in names] + [{"id": "diagnostics", "weight": 0}]
    return {
        "lighthouseVersion": "12.8.2", "fetchTime": MADE, "requestedUrl": "https://www.example.org/",
        "finalDisplayedUrl": "https://www.example.org/", "audits": audits | {"alt": {"score": 1}},
        "categories": {
            "performance": {"score": round(sum(scores) / 5, 2), "auditRefs": references},
            "accessibility": {"score": 1, "auditRefs": [{"id": "alt", "weight": 3}]},
        },
    }  # fmt: skip


def _coverage(covered: int) -> dict[str, Any]:
    share = {"total": 200, "covered": covered, "skipped": 0, "pct": covered / 2}
    kinds = ("lines", "statements", "functions", "branches")
    return {"total": {kind: dict(share) for kind in kinds}, "/srv/a.ts": {kind: dict(share) for kind in kinds}}


def radon(high: int, low: int) -> dict[str, Any]:
    return {f"app/a{n}.py": {"mi": 62.5, "rank": "A"} for n in range(high)} | {
        f"app/c{n}.py": {"mi": 8.1, "rank": "C"} for n in range(low)
    }


def _dsgvo(**checks: str) -> dict[str, Any]:
    words = list(checks.values())
    summary = {"total_checks": len(words), "passed": words.count("passed"), "failed": words.count("failed")}
    entries = {
        name: {"status": word, "issues": 0 if word == "passed" else 2, "details": ["huber@example.org in line 3"]}
        for name, word in checks.items()
    }
    return {
        "timestamp": MADE, "environment": "production", "overall_status": "failed" if "failed" in words else "passed",
        "summary": summary | {"warnings": words.count("warning"), "compliance_score": 50}, "checks": entries,
    }  # fmt: skip


def _aggregate(**gates: bool) -> dict[str, Any]:
    return {
        "metadata": {"generated_at": MADE, "branch": "main", "commit": COMMIT},
        "summary": {"overall_status": "passed" if all(gates.values()) else "failed", "total": len(gates)},
        "quality_gates": {name: {"passed": yes, "details": "..."} for name, yes in gates.items()},
    }


CLEAN: dict[str, Any] = {
    "aggregate": _aggregate(security_gate=True, performance_gate=True),
    "bandit": _bandit(),
    "coverage": _coverage(180),
    "dsgvo": _dsgvo(pii_in_logs="passed", encryption="passed"),
    "eslint": [_eslint(0, 0), _eslint(0, 0)],
    "gitleaks": [],
    "lighthouse": lighthouse(0.95, 0.95, 0.9, 1, 1),
    "npm-audit": _npm(),
    "pip-audit": _pip(),
    "radon": radon(9, 1),
    "sarif": sarif(),
    "semgrep": _semgrep(),
}
"""By format: a report that says that all is well."""

FOUND: dict[str, Any] = {
    "aggregate": _aggregate(security_gate=False, performance_gate=True, quality_gate=False),
    "bandit": _bandit(("HIGH", 3), ("MEDIUM", 9), ("LOW", 11), ("LOW", 12)),
    "coverage": _coverage(60),
    "dsgvo": _dsgvo(pii_in_logs="failed", encryption="passed", consent="warning", retention="failed"),
    "eslint": [_eslint(2, 1), _eslint(0, 2)],
    "gitleaks": [_leak(3), _leak(14), _leak(15), _leak(92)],
    "lighthouse": lighthouse(0.4, 0.5, 0.5, 0.6, 0.6),
    "npm-audit": _npm(minimist="critical", lodash="high", axios="high", ms="moderate", debug="low"),
    "pip-audit": _pip("django", "jinja2", "pyyaml"),
    "radon": radon(3, 7),
    "sarif": sarif(result("CVE-2026-1", 0), result("CVE-2026-2", 1), result("CVE-2026-3"), result("STYLE", 3)),
    "semgrep": _semgrep("ERROR", "ERROR", "WARNING", "CRITICAL"),
}
"""By format: a report of something wrong."""

Change = Callable[[Any], Any]


def without(*path: str | int) -> Change:
    """The report without a part."""

    def change(report: Any) -> Any:
        part = report
        for step in path[:-1]:
            part = part[step]
        del part[path[-1]]
        return report

    return change


def with_(value: Any, *path: str | int) -> Change:
    """The report with another value somewhere."""

    def change(report: Any) -> Any:
        part = report
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = value
        return report

    return change


def changed(report: Any, *changes: Change) -> Any:
    report = copy.deepcopy(report)
    for change in changes:
        report = change(report)
    return report
