"""Reports of tools, from bytes to counts and figures; a file for each format. Nothing here reads a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fairlead.checks.reports import (
    aggregate,
    bandit,
    coverage,
    dsgvo,
    eslint,
    gitleaks,
    lighthouse,
    npm_audit,
    pip_audit,
    radon,
    sarif,
    semgrep,
)
from fairlead.checks.reports.report import SEVERITIES, Issue, Report

READERS: Mapping[str, Callable[[bytes], Report]] = {
    "aggregate": aggregate.read,
    "bandit": bandit.read,
    "coverage": coverage.read,
    "dsgvo": dsgvo.read,
    "eslint": eslint.read,
    "gitleaks": gitleaks.read,
    "lighthouse": lighthouse.read,
    "npm-audit": npm_audit.read,
    "pip-audit": pip_audit.read,
    "radon": radon.read,
    "sarif": sarif.read,
    "semgrep": semgrep.read,
}
"""Formats by the word that fairlead.yml has for them. Each raises NotReady for a report that proves nothing."""

__all__ = ["READERS", "SEVERITIES", "Issue", "Report"]
