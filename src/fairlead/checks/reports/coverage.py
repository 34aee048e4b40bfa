from __future__ import annotations

from typing import Any

from fairlead.checks.reports.report import Report, count, document, mapping, number
from fairlead.errors import NotReady

_KINDS = ("lines", "statements", "functions", "branches")
_ROUNDED = 0.02


def read(raw: bytes) -> Report:
    """`coverage-summary.json`: shares in percent of lines, statements, functions and branches."""
    total = mapping(mapping(document(raw), "report").get("total"), "total")
    if not count(mapping(total.get("lines"), "total.lines").get("total"), "total.lines.total"):
        raise NotReady("no line of code was measured")
    return Report("coverage", figures={kind: _share(kind, total[kind]) for kind in _KINDS if kind in total})


def _share(kind: str, value: Any) -> float:
    part = mapping(value, f"total.{kind}")
    all_of_it, covered = (count(part.get(word), f"total.{kind}.{word}") for word in ("total", "covered"))
    share = number(part.get("pct"), f"total.{kind}.pct")
    if covered > all_of_it or abs(share - (100 * covered / all_of_it if all_of_it else 100)) > _ROUNDED:
        raise NotReady(f"the report contradicts itself: total.{kind}.pct is not what its counts give")
    return share
