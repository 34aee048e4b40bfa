"""Who gets the lock: two operators, eight processes at once, and the successor of a dead holder."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fairlead.errors import FairleadError
from fairlead.journal.target import HeldBy, Target
from fairlead.model import Lease
from prove.estate import SMALL, Ground, until
from prove.light import HOSTS, RUN, Ring, fork, kill, ring, split
from prove.table import Row

OPERATORS, CROWDS, DEAD = 24, 240, 48
"""Rounds of the three."""
CROWD = 8
TTL = 2

Play = Callable[[Ring, random.Random], tuple[list[str], str]]
"""A round: what was wrong, and what kind of round it was."""


def experiment(scale: float, seed: int, only: int | None = None) -> Iterable[Row]:
    """Rounds are numbered 0-, 10000- and 20000-."""

    def chosen(first: int, count: int) -> list[int]:
        numbers = range(first, first + max(1, round(count * scale)))
        return [number for number in numbers if only in (None, number)]

    if numbers := chosen(20_000, DEAD):
        yield _row("the lock of a dead holder: taken after its lease, not before", numbers, seed, dead_holder, 8)
    if numbers := chosen(10_000, CROWDS):
        yield _row(f"{CROWD} processes acquire at once: one wins where one may", numbers, seed, crowd, 4)
    if numbers := chosen(0, OPERATORS):
        yield two_operators(numbers, seed)


def again(seed: int, number: int) -> str:
    """What repeats a round."""
    return f"`python -m prove races --seed {seed} --only {number}`"


# -- whole operators


def two_operators(numbers: list[int], seed: int) -> Row:
    """`fairlead deploy` twice at once, from two machines, on two estates beside each other."""
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        parts = zip(split(numbers, 2), ("server", "annex"), strict=True)
        done = [pool.submit(_on_one_estate, part, lock_host, seed) for part, lock_host in parts if part]
        told = [failures for each in done for failures in each.result()]
    failures = [f"round {number}: {'; '.join(wrong)}; {again(seed, number)}" for number, wrong in told if wrong]
    return Row("two operators deploy at once: the second is refused", len(told), failures, time.monotonic() - began)


def _on_one_estate(numbers: list[int], lock_host: str, seed: int) -> list[tuple[int, list[str]]]:
    with Ground(SMALL, lock_host) as ground:  # type: ignore[arg-type]
        return [(number, _one_refused(ground, random.Random(f"{seed} {number}"))) for number in numbers]


def _one_refused(ground: Ground, dice: random.Random) -> list[str]:
    old, new = ground.live, ground.write(ground.next_version())
    before = ground.records()
    first = ground.operate("deploy", "--yes")
    if ground.wait_for_line(first, before, dice.randint(1, 15)) is None:
        first.end()
        return [f"the first ended before the second began: {first.text[-300:]}"]
    lock = (ground.state / "lock").read_text()
    second = ground.operate("deploy", "--yes", home=ground.folder / "second")
    code, owner = second.end(), (ground.state / "lock").read_text()
    wrong = [] if code == 5 else [f"the second ended with {code}: {second.text[-300:]}"]
    wrong += [] if owner == lock or not first.runs else [f"the lock was {lock}, is {owner}"]
    if (code := first.end()) != 0:
        wrong.append(f"the first ended with {code}: {first.text[-300:]}")
    which, more = ground.verdict(old, new)
    wrong += more + ([] if which == "new" else [f"everything is {which}"])
    ground.live = new if which == "new" else old
    ground.sweep()
    return wrong


# -- light holders


def _row(title: str, numbers: list[int], seed: int, play: Play, slots: int) -> Row:
    """Rounds in several processes; each answers with lines of JSON on one pipe."""
    began = time.monotonic()
    reading, writing = os.pipe()
    pids = []
    for part in split(numbers, min(slots, len(numbers))):
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _be_slot(part, seed, play, writing)
        pids.append(pid)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            told = [json.loads(line) for line in pipe]
    except BaseException:
        kill(*pids)
        raise
    for pid in pids:
        os.waitpid(pid, 0)
    failures = [f"round {number}: {'; '.join(wrong)}; {again(seed, number)}" for number, wrong, _ in told if wrong]
    if len(told) < len(numbers):
        failures.append(f"only {len(told)} of {len(numbers)} rounds told how they ended")
    seen = Counter(note for *_, note in told if note)
    note = ", ".join(f"{what} {times}" for what, times in sorted(seen.items()))
    return Row(title, len(told), failures, time.monotonic() - began, note)


def _be_slot(numbers: list[int], seed: int, play: Play, writing: int) -> None:
    """Never returns."""
    try:
        for number in numbers:
            try:
                with ring() as place:
                    wrong, note = play(place, random.Random(f"{seed} {number}"))
            except BaseException as error:  # a broken experiment must not look like a good one
                wrong, note = [f"the experiment itself: {type(error).__name__}: {error}"], ""
            os.write(writing, (json.dumps([number, wrong, note]) + "\n").encode())
    finally:
        os._exit(0)


def crowd(place: Ring, dice: random.Random) -> tuple[list[str], str]:
    """Eight processes at once: on a lock that is free, held, left by a dead holder, or with an open run."""
    ground = dice.choice(("free", "dead holder", "held", "open run"))
    mode = "resume" if ground == "dead holder" else "new"
    asyncio.run(_prepare(place, ground))
    token, go = int(place.lock()[1]), place.folder / "go"
    pids = [fork(lambda number=number: _try(place, mode, number, go)) for number in range(CROWD)]  # type: ignore[misc]
    ready = [place.folder / f"ready-{number}" for number in range(CROWD)]
    try:
        if not until(lambda: all(path.exists() for path in ready), 30):
            return ["not all came to the start"], ""
        go.touch()
        for pid in pids:
            os.waitpid(pid, 0)
    except BaseException:
        kill(*pids)
        raise
    said = [(place.folder / f"said-{number}").read_text() for number in range(CROWD)]
    won = [words for words in said if words.startswith("won")]
    may = ground in ("free", "dead holder")
    wrong = [] if len(won) == may else [f"{len(won)} won on a lock that was {ground}: {said}"]
    if may and [word for word in said if word.split()[0] not in ("won", "HeldBy", "OpenRunOf")]:
        wrong.append(f"{said}")
    if int(place.lock()[1]) != token + may or (may and won and won[0].split()[1] != place.lock()[1]):
        wrong.append(f"the token was {token}, is {place.lock()[1]}; {won}")
    return wrong, ground


async def _prepare(place: Ring, ground: str) -> None:
    async with place.session("before") as session:
        lock = await session.target("a")
        ttl = 600 if ground == "held" else TTL
        held = await lock.acquire("new", "first", ttl, RUN, "before")
        if ground in ("free", "open run"):
            await lock.release(held.token, RUN, done=ground == "free")
        if ground == "dead holder":
            (place.state("a") / "lease").write_text(f"{held.token} {held.now - 1} {TTL}\n")


async def _try(place: Ring, mode: str, number: int, go: Path) -> None:
    """One of the eight: everything is prepared, then all begin in the same moment."""
    async with place.session(f"rival{number}") as session:
        lock: Target = await session.target("a")
        await lock.read()
        (place.folder / f"ready-{number}").touch()
        while not go.exists():
            time.sleep(0.0005)
        words = "nothing"
        try:
            held = await lock.acquire(mode, secrets.token_hex(8), 600, RUN, session.who)  # type: ignore[arg-type]
            words = f"won {held.token}"
        except FairleadError as error:
            words = f"{type(error).__name__} {error}"
        (place.folder / f"said-{number}").write_text(words)


def dead_holder(place: Ring, dice: random.Random) -> tuple[list[str], str]:
    """A holder is killed; somebody asks without a pause, and the lock host's clock says when it was let in."""
    holder = fork(lambda: _hold(place))
    try:
        if not until((place.folder / "holds").exists, 30):
            return ["the holder never held"], ""
        time.sleep(dice.uniform(0, 1.5 * TTL))
    finally:
        kill(holder)
    end = int((place.state("a") / "lease").read_text().split()[1])
    taken, tries = asyncio.run(_insist(place))
    wrong = [] if taken >= end else [f"taken at {taken}, the lease ended at {end}"]
    if taken > end + 2:
        wrong.append(f"taken only at {taken}, the lease had ended at {end}")
    if not tries and taken > end:
        return wrong, "its lease was over already"
    return wrong, "refused first, then let in"


async def _hold(place: Ring) -> None:
    async with place.session("holder") as session:
        await session.acquire("new", RUN, Lease(ttl=TTL, beat=TTL))
        await session.raise_fences(HOSTS)
        (place.folder / "holds").touch()
        await asyncio.sleep(3600)


async def _insist(place: Ring) -> tuple[int, int]:
    """The lock host's time when we got the lock, and how often we were refused."""
    async with place.session("successor") as session:
        lock = await session.target("a")
        for tries in range(2000):
            try:
                held = await lock.acquire("resume", secrets.token_hex(8), 600, RUN, "successor")
                return held.now, tries
            except HeldBy:
                await asyncio.sleep(0.02)
    raise RuntimeError("the lock was never let go")
