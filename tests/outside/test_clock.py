from __future__ import annotations

import asyncio
import time

from fairlead.outside.clock import Clock, FakeClock, SystemClock


async def test_half_an_hour_passes_at_once() -> None:
    clock, began = FakeClock(now=1000.0), time.monotonic()
    for _ in range(60):
        await clock.sleep(30)
    assert (clock.now(), clock.monotonic()) == (2800.0, 1800.0) and time.monotonic() - began < 1


async def test_sleepers_together_take_the_longest_time() -> None:
    clock = FakeClock()
    await asyncio.gather(clock.sleep(5), clock.sleep(10), clock.sleep(-3))
    assert clock.monotonic() == 10


def test_a_jump_is_not_seen_by_the_monotonic_clock() -> None:
    clock = FakeClock(now=1000.0)
    clock.jump(-500)
    assert (clock.now(), clock.monotonic()) == (500.0, 0.0)


async def test_the_machine_s_clock() -> None:
    clock: Clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.01)
    await clock.sleep(-1)
    assert clock.monotonic() - before >= 0.01 and abs(clock.now() - time.time()) < 1
