from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Time, so that half an hour of watching takes milliseconds in a test."""

    def now(self) -> float:
        """Unix time in seconds; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let so many seconds pass; none when negative."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.time()

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(max(0.0, seconds))


class FakeClock:
    """A clock for tests: sleeping advances it at once. Tasks that sleep together wake in the order of their times."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now, self._passed = now, 0.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self._now + self._passed

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._passed

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`; others get their turn first."""
        wake = self._passed + max(0.0, seconds)
        await asyncio.sleep(0)
        self._passed = max(self._passed, wake)

    def jump(self, seconds: float) -> None:
        """Set unix time forwards or backwards, as an administrator might; `monotonic` does not notice."""
        self._now += seconds
