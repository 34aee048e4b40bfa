"""One attempt in the lab becomes one row of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from prove.lab.hosts import Installation, Said
from prove.table import Row

Attempt = Callable[[], tuple[str, list[str]]]
"""Returns what a reader should know, and what was wrong."""


def attempted(title: str, attempt: Attempt, tried: int = 1, experiment: str = "lab") -> Row:
    """Carry it out, and say so; what raises RuntimeError was wrong too."""
    began = time.monotonic()
    try:
        note, wrong = attempt()
    except RuntimeError as error:
        note, wrong = "", [str(error)]
    print(f"   {title}: {len(wrong)} failures; {note}", flush=True)
    for each in wrong:
        print(f"      {each}", flush=True)
    failures = [f"{each}; `python -m prove {experiment}`" for each in wrong]
    return Row(title, tried, failures, time.monotonic() - began, note)


def one_by_one(
    lab: Installation, attempts: Iterable[tuple[str, Callable[[Installation], tuple[str, list[str]]]]]
) -> Iterator[Row]:
    """A row for each, on the same hosts."""
    for title, attempt in attempts:
        yield attempted(title, partial(attempt, lab))


def unless(good: bool, what: str, said: Said) -> list[str]:
    """Nothing, or how it ended instead."""
    return [] if good else [f"{what}: exit code {said.code}: {' '.join(said.text.split())[-700:]}"]
