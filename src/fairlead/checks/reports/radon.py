from __future__ import annotations

from typing import Any

from fairlead.checks.reports.report import Issue, Report, agree, document, mapping, name, number, text
from fairlead.errors import NotReady

_ABOVE = {"A": 19.0, "B": 9.0}
"""Radon's ranks: what is above; the rest is C."""
_ROUNDED = 0.01


def read(raw: bytes) -> Report:
    """`radon mi --json`: `maintainability` is the share of modules with rank A, in percent.

    A bare maintainability index of 85 says nothing: three lines have 85, and much of the standard library has 50.
    """
    modules = mapping(document(raw), "report")
    if not modules:
        raise NotReady("radon looked at no module")
    ranks = {file: _rank(file, mapping(entry, "module")) for file, entry in modules.items()}
    lower = tuple(Issue("medium", f"rank {rank}", name(file)) for file, rank in ranks.items() if rank != "A")
    share = 100 * (len(ranks) - len(lower)) / len(ranks)
    return Report("radon", issues=lower, figures={"maintainability": share})


def _rank(file: str, module: dict[str, Any]) -> str:
    if "error" in module:
        raise NotReady(f"radon could not read {name(file)}")
    rank, index = text(module.get("rank"), "rank"), number(module.get("mi"), "mi")
    if not 0 <= index <= 100 + _ROUNDED:
        raise NotReady("mi of the report is not what the tool writes")
    agree(rank, next((word for word, above in _ABOVE.items() if index > above), "C"), "a rank does not fit its index")
    return rank
