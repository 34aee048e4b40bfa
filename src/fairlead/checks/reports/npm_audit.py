from __future__ import annotations

from collections import Counter

from fairlead.checks.reports.report import Issue, Report, agree, count, document, mapping, name, text
from fairlead.errors import NotReady

_SEVERITIES = {"info": "info", "low": "low", "moderate": "medium", "high": "high", "critical": "critical"}


def read(raw: bytes) -> Report:
    """`npm audit --json` of npm 7 and newer: a package with a vulnerability is one issue, and all are counted twice."""
    report = mapping(document(raw), "report")
    if "error" in report:
        raise NotReady("npm audit got no answer from the registry")
    agree(count(report.get("auditReportVersion"), "auditReportVersion"), 2, "auditReportVersion is not 2")
    packages = mapping(report.get("vulnerabilities"), "vulnerabilities")
    told = mapping(mapping(report.get("metadata"), "metadata").get("vulnerabilities"), "metadata.vulnerabilities")
    issues = tuple(_issue(package, entry) for package, entry in packages.items())
    listed = Counter(issue.severity for issue in issues)
    for word, severity in _SEVERITIES.items():
        counted = count(told.get(word), f"metadata.vulnerabilities.{word}")
        agree(counted, listed[severity], f"it does not list as many {word} vulnerabilities as it counts")
    agree(count(told.get("total"), "metadata.vulnerabilities.total"), len(issues), "the total is not the sum")
    return Report("npm audit", issues)


def _issue(package: str, entry: object) -> Issue:
    word = text(mapping(entry, "vulnerability").get("severity"), "severity")
    if word not in _SEVERITIES:
        raise NotReady("severity of the report is not what the tool writes")
    return Issue(_SEVERITIES[word], name(package))
