"""One holder of the lock, against real accounts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairlead.errors import Fenced
from fairlead.journal.record import read_record
from fairlead.journal.target import Acquired, Done, FencedBy
from support.small import HERE, THERE, Site, site, small


async def refused_renewal(
    here: Site, monkeypatch: pytest.MonkeyPatch, *, by_itself: bool
) -> tuple[bool, Fenced | None]:
    """Take a higher token, answered only when the renewal of the lower one was refused: was the holder cancelled?"""
    async with here.held() as (session, _):
        target, refused = await session.target(HERE), asyncio.Event()
        acquire, renew = target.acquire, target.renew

        async def slow_acquire(*words: object) -> Acquired:
            held = await acquire(*words)  # type: ignore[arg-type]
            await refused.wait()
            return held

        async def heard_renew(*words: object) -> int:
            try:
                return await renew(*words)  # type: ignore[arg-type]
            except FencedBy:
                refused.set()
                raise

        monkeypatch.setattr(target, "renew", heard_renew)
        try:
            if by_itself:
                monkeypatch.setattr(target, "acquire", slow_acquire)
                await session.acquire("anew", session.run, session.lease)
                await asyncio.sleep(0)
            else:
                await acquire("anew", session.nonce, session.lease.ttl, session.run, "anna")
                await asyncio.sleep(30)
        except asyncio.CancelledError:
            return True, session.fenced
        return False, session.fenced


@pytest.mark.parametrize("by_itself", [True, False], ids=["its own higher token", "somebody else's"])
async def test_a_refused_renewal_stops_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_itself: bool
) -> None:
    async with site(tmp_path, [small("a")]) as here:
        here.plan = here.plan.model_copy(update={"lease": here.plan.lease.model_copy(update={"ttl": 1})})
        cancelled, fenced = await refused_renewal(here, monkeypatch, by_itself=by_itself)
        assert cancelled is not by_itself
        assert (fenced is None) is by_itself


async def test_an_answer_that_was_read_late_does_not_prolong_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path, [small("a"), small("b", host=THERE)]) as here:
        session, slept = here.session(), 0.0
        lock = await session.target(HERE)
        acquire, monotonic = lock.acquire, here.clock.monotonic

        async def read_late(*words: object) -> Acquired:
            nonlocal slept
            held = await acquire(*words)  # type: ignore[arg-type]
            slept = 1000.0  # the answer lay there while we were stopped
            return replace(held, now=held.now - 1000)

        monkeypatch.setattr(lock, "acquire", read_late)
        monkeypatch.setattr(here.clock, "monotonic", lambda: monotonic() + slept)
        await session.acquire("new", "r1", here.plan.lease)
        try:
            await session.raise_fences(here.plan.hosts)
            assert session.late(THERE) <= session._lease_end
        finally:
            await session.close()


async def test_intents_that_meet_are_written_together_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [small(name) for name in "abcdefg"]
    async with site(tmp_path, steps) as here, here.held() as (session, _):
        lock = await session.target(HERE)
        append, run, writes = lock.append, lock.run, 0

        async def counted(*words: Any) -> int:
            nonlocal writes
            writes += 1
            return await append(*words)

        async def noted(token: int, change: str, *words: Any, **more: Any) -> Done:
            recorded = {line.entry.step for line in read_record((await lock.read()).record)}
            assert change.split(".")[1] in recorded, f"{change} begins without its intent"
            return await run(token, change, *words, **more)

        monkeypatch.setattr(lock, "append", counted)
        monkeypatch.setattr(lock, "run", noted)
        done = await asyncio.gather(*(session.change(step, "do", alone=False) for step in steps))
        assert [one.rc for one in done] == [0] * 7 and writes == 2
        await session.append()
        assert [line.seq for line in read_record((await lock.read()).record)] == list(range(1, 15))
