from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.checks.reports.report import Report, document, listing, mapping, name, number, text, when
from fairlead.errors import NotReady

_ROUNDED = 0.011
"""A category is rounded to two digits after its audits were weighed."""


def read(raw: bytes) -> Report:
    """Lighthouse's JSON: scores are 0 to 1 there and 0 to 100 here, by category.

    A score that its own audits do not bear out is not believed.
    """
    report = mapping(document(raw), "report")
    text(report.get("lighthouseVersion"), "lighthouseVersion")
    if report.get("runtimeError"):
        code = mapping(report["runtimeError"], "runtimeError").get("code")
        raise NotReady(f"lighthouse could not load the page: {name(code)}")
    if not text(report.get("finalDisplayedUrl"), "finalDisplayedUrl").startswith(("http://", "https://")):
        raise NotReady("lighthouse saw no page of a web server")
    categories = mapping(report.get("categories"), "categories")
    if not categories:
        raise NotReady("lighthouse has judged no category")
    audits = mapping(report.get("audits"), "audits")
    figures = {word: _score(word, mapping(entry, word), audits) for word, entry in categories.items()}
    return Report("lighthouse", figures=figures, made=when(report.get("fetchTime"), "fetchTime"))


def _score(word: str, category: dict[str, Any], audits: dict[str, Any]) -> float:
    score = _share(category.get("score"), f"score of {name(word)}")
    weighed = list(_weighed(category, audits))
    total = sum(weight for weight, _ in weighed)
    if total and abs(sum(weight * part for weight, part in weighed) / total - score) > _ROUNDED:
        raise NotReady(f"the report contradicts itself: its audits do not give its score of {name(word)}")
    return round(score * 100, 1)


def _weighed(category: dict[str, Any], audits: dict[str, Any]) -> Iterator[tuple[float, float]]:
    """Weight and score of every audit that counts."""
    for entry in listing(category.get("auditRefs", []), "auditRefs"):
        reference = mapping(entry, "auditRef")
        weight = number(reference.get("weight"), "weight")
        if weight < 0:
            raise NotReady("weight of the report is not what the tool writes")
        if weight:
            audit = mapping(audits.get(text(reference.get("id"), "id")), "audit")
            yield weight, _share(audit.get("score"), "score of an audit")


def _share(value: Any, where: str) -> float:
    found = number(value, where)
    if not 0 <= found <= 1:
        raise NotReady(f"{where} is not between 0 and 1")
    return found
