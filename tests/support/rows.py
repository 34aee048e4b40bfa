"""Tables of which a part takes too long for every commit."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def some_long(rows: Iterable[Any], kept: Container[Any] | None = None, *, every: int = 0) -> list[Any]:
    """All rows, those marked `long` that are not among `kept`, or not the first of `every` so many.

    A row is known by its first word where it has several. Rows marked `long` run in `make prove`.
    """
    marked: list[Any] = []
    for number, row in enumerate(rows):
        words = row if isinstance(row, tuple) else (row,)
        short = number % every == 0 if kept is None else words[0] in kept
        marked.append(pytest.param(*words, marks=() if short else pytest.mark.long))
    return marked
