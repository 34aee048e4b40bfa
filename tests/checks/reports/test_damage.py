"""Whatever happens to a report on its way: no traceback, and no yes that the untouched report would not have had.

Some formats carry sums of their own, which give a change away. In the others a list without its items is what the tool
writes when it has found nothing; there the exit code of the command gives it away, so they are tried with it.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.checks.quality import Seen, judged
from fairlead.checks.reports import READERS
from fairlead.config.quality import FORMATS, QualityEntry, quality_spec
from fairlead.errors import NotReady
from support.reports import CLEAN, FOUND, raw

ROUNDS = int(os.environ.get("FAIRLEAD_FUZZ", "400"))
"""How many damaged reports are tried; `make prove` tries more, and other ones each time."""
SUMS = frozenset({"aggregate", "bandit", "coverage", "dsgvo", "eslint", "lighthouse", "npm-audit", "radon"})
"""Formats in which no single change can hide what was found."""
HOSTILE: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, 1e300, 10**30, 100, "", "x", "0", "none", "\u0000", "\ud800", [], {}, [[]],
    [None],
    {"a": 1}, [{}], "passed", "A", "2.1.0", "error",
]  # fmt: skip


def verdict(form: str, data: bytes, code: int) -> str:
    """What a gate with its usual settings says; only NotReady may be raised on the way, and it means `unknown`."""
    least = {"coverage": {"lines": 80}}.get(form)
    name = {"npm-audit": "dependencies", "radon": "maintainability", "lighthouse": "performance"}.get(form, "security")
    entry = {"format": form, "run": ["tool"]}
    gate = quality_spec(name, QualityEntry.model_validate({"reports": [entry], **({"least": least} if least else {})}))
    try:
        report = READERS[form](data)
    except NotReady:
        return "unknown"
    return judged(gate, [Seen(gate.reports[0], report, 0.0, "", code)], Path("/")).status


def paths(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*here, key)
        yield from paths(inner, (*here, key))


@st.composite
def rebuilt(draw: st.DrawFn, report: Any) -> bytes:
    """One part of the report is another, is gone, is there twice or has another name."""
    report = copy.deepcopy(report)
    places = [(), *paths(report)]
    place = draw(st.sampled_from(places))
    if not place:
        return raw(draw(st.sampled_from(HOSTILE)))
    parent = report
    for step in place[:-1]:
        parent = parent[step]
    key, how = place[-1], draw(st.sampled_from(("other", "swapped", "gone", "twice", "renamed", "wrapped")))
    value = parent[key]
    if how == "gone" or (how == "renamed" and isinstance(parent, dict)):
        del parent[key]
    if how == "renamed" and isinstance(parent, dict):
        parent[draw(st.sampled_from((f"{key}s", str(key).upper(), ""))) or "x"] = value
    elif how == "twice" and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(value))
    elif how == "swapped":
        other: Any = report
        for step in draw(st.sampled_from(places)):
            other = other[step]
        parent[key] = copy.deepcopy(other)
    elif how == "wrapped":
        parent[key] = [value]
    elif how == "other":
        parent[key] = draw(st.sampled_from(HOSTILE))
    return raw(report)


@st.composite
def broken(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes are lost, doubled, changed, added or zeroed, up to three times."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), start + draw(st.integers(1, 400)))
        data = draw(
            st.sampled_from(
                (
                    data[:start],
                    data[:start] + data[end:],
                    data[:end] + data[start:],
                    data[:start]
                    + bytes(byte ^ 1 << (start % 8) for byte in data[start : start + 1])
                    + data[start + 1 :],
                    data[:start] + draw(st.binary(min_size=1, max_size=8)) + data[start:],
                    data[:start] + bytes(end - start) + data[end:],
                )
            )
        )
    return data


def test_the_seeds_are_what_they_should_be() -> None:
    for form in READERS:
        assert verdict(form, raw(FOUND[form]), 1) == "fail"
        counted_as_clean = form not in ("radon",)  # one module of ten may have another rank
        assert (verdict(form, raw(CLEAN[form]), 0) == "ok") or not counted_as_clean
    assert READERS.keys() == FORMATS.keys() == CLEAN.keys() == FOUND.keys()


@given(data=st.data(), form=st.sampled_from(sorted(READERS)))
@settings(max_examples=ROUNDS, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_a_damaged_report_never_says_yes(data: st.DataObject, form: str) -> None:
    report = FOUND[form]
    damaged = data.draw(st.one_of(rebuilt(report), broken(raw(report))))
    code = data.draw(st.sampled_from((0, 1))) if form in SUMS else 1
    assert verdict(form, damaged, code) in ("fail", "unknown")


@given(data=st.data(), form=st.sampled_from(sorted(READERS)))
@settings(max_examples=ROUNDS // 2, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_a_damaged_clean_report_gives_no_traceback(data: st.DataObject, form: str) -> None:
    damaged = data.draw(st.one_of(rebuilt(CLEAN[form]), broken(raw(CLEAN[form])), st.binary(max_size=200)))
    assert verdict(form, damaged, 0) in ("ok", "fail", "unknown")
