from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.checks.reports.report import Issue, Report, document, listing, mapping, name, text
from fairlead.errors import NotReady


def read(raw: bytes) -> Report:
    """`pip-audit --format json`. It knows no severities, so each vulnerability counts as one that cannot be told.

    A package that it skipped was not looked at: without `--strict` it exits 0 all the same.
    """
    report = mapping(document(raw), "report")
    packages = [mapping(entry, "dependency") for entry in listing(report.get("dependencies"), "dependencies")]
    if not packages:
        raise NotReady("pip-audit looked at no package")
    skipped = [name(package.get("name")) for package in packages if "skip_reason" in package]
    if skipped:
        raise NotReady(f"pip-audit could not look at {len(skipped)} packages, the first is {skipped[0]}")
    return Report("pip-audit", tuple(issue for package in packages for issue in _issues(package)))


def _issues(package: dict[str, Any]) -> Iterator[Issue]:
    which = f"{text(package.get('name'), 'name')} {text(package.get('version'), 'version')}"
    for entry in listing(package.get("vulns"), "vulns"):
        yield Issue("unknown", name(text(mapping(entry, "vulnerability").get("id"), "id")), name(which))
