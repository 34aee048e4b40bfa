"""What a benchmark gives back, and how a time is taken."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

TIMES = 5
"""Of so many runs the median counts."""
SCALE = float(os.environ.get("BENCH_SCALE", "1"))
"""Share of the files and rows that the large ones have; only 1 is a result."""


@dataclass(frozen=True)
class Result:
    """One row of the table."""

    name: str
    what: str
    against: str
    ratio: float
    """The median of `what`, by the median of `against`."""
    goal: float
    """The ratio may be at most this."""
    median_s: float
    """The median of `what`, in seconds."""

    @property
    def reached(self) -> bool:
        return self.ratio <= self.goal

    def row(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": round(self.ratio, 2), "median_s": round(self.median_s, 4)}


def compared(name: str, what: str, against: str, goal: float, pairs: list[tuple[float, float]]) -> Result:
    """A result from seconds of `what` and of `against`, measured in turn so that a busy machine slows both."""
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Result(name, what, against, ours / theirs, goal, ours)


def in_seconds(name: str, what: str, goal: float, seconds: list[float]) -> Result:
    """A result whose goal is a time: it is compared with one second."""
    median = statistics.median(seconds)
    return Result(name, what, "1 s", median, goal, median)


def timed(do: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


async def timed_async(do: Callable[[], Awaitable[object]]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    await do()
    return time.perf_counter() - began
