from __future__ import annotations

from collections.abc import Iterable

from fairlead.model.base import Model
from fairlead.model.duration import duration


class Drill(Model):
    """A backup that was restored into a scratch database, counted and dropped again, to prove that it can be."""

    database: str
    """The name that fairlead.yml gives the database."""
    run: str = ""
    """Drills of one command have the same."""
    passed: bool
    says: str = ""
    """Why it did not pass, as a sentence."""
    hint: str = ""
    file: str = ""
    """The backup that was restored."""
    rows: dict[str, int] = {}
    """By table, counted in what was restored."""
    size: int = 0
    """Bytes of the backup."""
    started: float = 0.0
    """Unix time by the host's clock, seconds."""
    seconds: float = 0.0
    """From reading the backup until the scratch database was dropped."""


def drills_in_words(found: Iterable[Drill], of: int | None = None) -> str:
    """How many of these passed, and how long it took from the first to the last: `17/17, 4 min 10 s`."""
    several = list(found)
    passed = sum(one.passed for one in several)
    whole = max((one.started + one.seconds for one in several), default=0.0) - min(
        (one.started for one in several), default=0.0
    )
    return f"{passed}/{len(several) if of is None else of}, {duration(whole)}"
