"""A run's figures and verdict in words; every number with its unit, every time in UTC."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from fairlead.model import Deployment, duration

DEPLOY_TARGET = 1800.0
"""Seconds that a deployment should take at most."""
BACK_TARGET = 300.0
"""Seconds that the way back should take at most."""


def clean(text: str) -> str:
    """Text on one line; a control character, a lone surrogate or a turn of writing direction is shown, not obeyed."""
    return "".join(c if c.isprintable() else " " if c.isspace() else ascii(c)[1:-1] for c in text)


def utc(at: float, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """Unix seconds as a date in UTC; `not recorded` for 0 and for what is no date."""
    try:
        return time.strftime(form, time.gmtime(at)) if at > 0 else "not recorded"
    except (ValueError, OverflowError, OSError):
        return "not recorded"


def clock(at: float) -> str:
    """The time of day in UTC, with tenths of a second."""
    whole = utc(at, "%H:%M:%S")
    return whole if whole == "not recorded" else f"{whole}.{int(at * 10) % 10}"


def millis(ms: float) -> str:
    """Milliseconds with as many digits as can matter."""
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:,.0f} ms"


def percent(share: float) -> str:
    """A share of 0..1; a small one is never rounded down to nothing."""
    return "under 0.1%" if 0 < share < 0.001 else f"{share:.1%}".replace(".0%", "%")


def several(count: int, one: str, many: str = "") -> str:
    """`1 step`, `2 steps`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def names(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


class Verdict(NamedTuple):
    """How a run ended."""

    word: str
    tone: str
    headline: str
    more: str


def verdict(run: Deployment) -> Verdict:
    """What is to be said first."""
    return {"done": _done, "back": _back, "open": _open, "closed": _closed, "nothing": _nothing}[run.state](run)


def total_seconds(run: Deployment) -> float | None:
    """From the first line of the record to the last; None while there is no last, or where clocks disagree."""
    return run.ended - run.started if run.ended and run.ended >= run.started > 0 else None


def _which(run: Deployment) -> str:
    services = several(len(run.services), "service") if len(run.services) > 3 else names(run.services)
    return services if run.services else "The release"


def _done(run: Deployment) -> Verdict:
    verb = "is" if len(run.services) <= 1 else "are"
    where = "back on the earlier release" if run.kind == "rollback" else "live on the new release"
    return Verdict("Done", "good", f"{_which(run)} {verb} {where}", f"Every step in {run.environment} went through.")


def _back(run: Deployment) -> Verdict:
    took = f" after {duration(run.back_seconds)}" if run.back_seconds else ""
    more = f"What ran before runs again in {run.environment}, and that was proven{took}. Data was left as it is."
    return Verdict("Came back", "back", run.why_back or "the reason was not recorded", more)


def _open(run: Deployment) -> Verdict:
    hint = f"fairlead resume -e {run.environment} goes on with it or brings it back."
    if run.back_at or run.why_back:
        return Verdict("Open", "open", f"the way back has begun and is not finished: {run.why_back}", hint)
    return Verdict("Open", "open", "this run has not ended, and nothing says that it succeeded", hint)


def _closed(run: Deployment) -> Verdict:
    more = (
        "Fairlead proved neither the new state nor the old one; the last entry of the timeline says why it was closed."
    )
    return Verdict("Closed", "open", "this run was ended by hand", more)


def _nothing(run: Deployment) -> Verdict:
    return Verdict("Nothing", "open", "nothing is recorded of this run", f"The record in {run.environment} is empty.")
