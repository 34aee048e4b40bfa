"""What an experiment says of itself, and the table that is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

SHOWN = 12
"""So many failures of one row are shown, the others are counted."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    """What was tried, in a few words."""
    tried: int
    """How often it was really tried; a round in which nothing could be tried does not count."""
    failures: list[str] = field(default_factory=list)
    """One sentence each, ending in what repeats it."""
    seconds: float = 0.0
    note: str = ""
    """What a reader should know of how it was tried."""

    def line(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, line: str) -> Row:
        """Read what `line` wrote."""
        return cls(**json.loads(line))


def table(rows: Iterable[tuple[str, Row]]) -> str:
    """Rows with the experiment each belongs to, as text."""
    head = ("experiment", "what was tried", "tried", "failures", "seconds")
    body = [(name, row.name, f"{row.tried}", f"{len(row.failures)}", f"{row.seconds:.0f}") for name, row in rows]
    widths = [max(len(cells[column]) for cells in (head, *body)) for column in range(len(head))]
    return "\n".join(
        [_aligned(head, widths), "  ".join("-" * width for width in widths)]
        + [_aligned(cells, widths) for cells in body]
    )


def _aligned(cells: tuple[str, ...], widths: list[int]) -> str:
    words = [
        text.ljust(width) if column < 2 else text.rjust(width)
        for column, (text, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(words).rstrip()


def remarks(rows: Iterable[tuple[str, Row]]) -> str:
    """Notes, and the failures with what repeats them."""
    told: list[str] = []
    for name, row in rows:
        if row.note:
            told.append(f"{name}, {row.name}: {row.note}")
        told += [f"FAILED {name}, {row.name}: {failure}" for failure in row.failures[:SHOWN]]
        if len(row.failures) > SHOWN:
            told.append(f"FAILED {name}, {row.name}: and {len(row.failures) - SHOWN} more")
    return "\n".join(told)
