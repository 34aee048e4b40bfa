"""Holders that are stopped past their lease, replaced, and woken: nothing of theirs may be accepted any more.

Each holder is a process with the real session on two accounts; its changes write `TOKEN STEP` into a file there. That
file is the witness: after the first line of a higher token there must be none of a lower one.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import fairlead.journal.target as journal_target
from fairlead.errors import FairleadError, Fenced, Lost
from fairlead.journal.record import encode
from fairlead.journal.target import FencedBy, HeldBy, TooLate
from fairlead.model import Entry, Lease, Run
from fairlead.run.session import Session
from prove.estate import record_troubles
from prove.light import FIRST_LINE, HOSTS, RUN, Ring, ended, fork, kill, ring, split
from prove.table import Row

Woken = Literal["last", "first", "unreached"]
KINDS: dict[Woken, tuple[int, str]] = {
    "last": (450, "stopped past the lease, woken when its successor has ended"),
    "first": (450, "stopped past the lease, woken before its successor's first change"),
    "unreached": (110, "the same, and its successor never reached one of the two accounts"),
}
SLOTS = 14
"""So many rounds at the same time: most of a round is waiting for a lease."""
TTL = 2
LIMIT = 60.0
"""Seconds for a whole round."""
MUTANTS: dict[str, tuple[Woken, str, str]] = {
    "the gate does not compare the token": (
        "first",
        '    [ "$fence_token $fence_state" = "$1 open" ] || no fenced "$fence_token $fence_state"\n    if',
        "    if",
    ),
    "the record does not compare the token": (
        "first",
        '    [ "$lock_state $lock_token $lock_run" = "held $1 $2" ] ||',
        "    true ||",
    ),
    "the gate does not look at the clock": ("unreached", '    [ "$now" -le "$2" ] || no late', "    true"),
}
"""What is taken out of the target's script -> how a woken holder then gets through."""
CONTROLS = 16
"""Rounds of each."""


@dataclass(frozen=True)
class Round:
    """One holder and its successor."""

    number: int
    woken: Woken
    script: str = ""
    """A mutant of the target's script, empty = the product's own."""


@dataclass
class Told:
    """What was seen in one round."""

    number: int
    woken: Woken
    violations: list[str] = field(default_factory=list)
    """What the holder got through."""
    failures: list[str] = field(default_factory=list)
    """What else was wrong."""
    refused: int = 0


def experiment(scale: float, seed: int, only: int | None = None) -> Iterable[Row]:
    """The three kinds, then mutants of the script that must be noticed."""
    first = 0
    for woken, (count, title) in KINDS.items():
        rounds = [Round(first + number, woken) for number in range(max(1, round(count * scale)))]
        first += 10_000
        if chosen := [one for one in rounds if only in (None, one.number)]:
            yield _row(title, chosen, seed)
    for title, (woken, old, new) in MUTANTS.items():
        rounds = [Round(first + number, woken, mutant(old, new)) for number in range(max(4, round(CONTROLS * scale)))]
        first += 10_000
        if only is None:
            yield _control(title, rounds, seed)


def mutant(old: str, new: str) -> str:
    """The target's script with one thing taken out. Raises RuntimeError when that is no longer there."""
    if journal_target.SCRIPT.count(old) != 1:
        raise RuntimeError(f"the script no longer has, exactly once: {old}")
    return journal_target.SCRIPT.replace(old, new)


def _row(title: str, rounds: list[Round], seed: int) -> Row:
    began = time.monotonic()
    told = play(rounds, seed)
    failures = [
        f"round {one.number}: {'; '.join([*one.violations, *one.failures])}; `{again(seed, one.number)}`"
        for one in told
        if one.violations or one.failures
    ]
    if len(told) < len(rounds):
        failures.append(f"only {len(told)} of {len(rounds)} rounds told how they ended")
    note = f"{sum(one.refused for one in told)} calls of the woken were refused, 0 changes may be accepted"
    return Row(title, len(told), failures, time.monotonic() - began, note)


def _control(title: str, rounds: list[Round], seed: int) -> Row:
    began = time.monotonic()
    told = play(rounds, seed)
    caught = [one for one in told if one.violations]
    failures = [] if caught else ["no violation was seen: this experiment cannot fail"]
    most = Counter(violation.split(":")[0] for one in caught for violation in one.violations).most_common(3)
    note = f"caught in {len(caught)} of {len(told)}: {', '.join(f'{what} ({times})' for what, times in most)}"
    return Row(f"control: {title}", len(told), failures, time.monotonic() - began, note)


def again(seed: int, number: int) -> str:
    """What repeats a round."""
    return f"python -m prove stops --seed {seed} --only {number}"


def play(rounds: list[Round], seed: int) -> list[Told]:
    """Play rounds in several processes; each answers with lines of JSON on one pipe."""
    reading, writing = os.pipe()
    slots = []
    for part in split(range(len(rounds)), min(SLOTS, len(rounds))):
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            be_slot([rounds[number] for number in part], seed, writing)
        slots.append(pid)
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            told = [Told(**json.loads(line)) for line in pipe]
    except BaseException:
        kill(*slots)
        raise
    for pid in slots:
        os.waitpid(pid, 0)
    return told


def be_slot(rounds: list[Round], seed: int, writing: int) -> None:
    """Never returns."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        for one in rounds:
            told = Told(one.number, one.woken)
            if one.script:
                journal_target.SCRIPT = one.script
            try:
                play_one(one, told, random.Random(f"{seed} {one.number}"))
            except BaseException as error:  # a broken experiment must not look like a good one
                told.failures.append(f"the experiment itself: {type(error).__name__}: {error}")
                traceback.print_exc()
            os.write(writing, (json.dumps(told.__dict__) + "\n").encode())
    finally:
        os._exit(0)


def play_one(one: Round, told: Told, dice: random.Random) -> None:
    """Let one hold, stop it, let another take over, wake the first, and look."""
    with ring() as place:
        answers = place.folder / "answers.json"
        holder = fork(lambda: hold(place, answers, one))
        try:
            wanted, until = dice.randint(1, 5), time.monotonic() + LIMIT
            while sum(len(place.marks(host)) for host in HOSTS) < wanted:
                if time.monotonic() > until or os.waitpid(holder, os.WNOHANG)[0]:
                    told.failures.append("the holder never got to work")
                    return
                time.sleep(0.004)
            time.sleep(dice.uniform(0, 0.06))
            os.kill(holder, signal.SIGSTOP)
            asyncio.run(asyncio.wait_for(replace(place, one, told, holder), LIMIT))
        finally:
            kill(holder)
        look(place, told, answers)


async def hold(place: Ring, answers: Path, one: Round) -> None:
    """Take the lock and change one thing after the other until refused; then try everything else that there is."""
    async with place.session("holder") as session:
        await session.acquire("new", RUN, Lease(ttl=TTL, beat=TTL))
        await session.raise_fences(HOSTS)
        await session.append(FIRST_LINE)
        said: dict[str, str] = {}
        try:
            for number in range(10_000):
                host = HOSTS[number % 2]
                try:
                    await session.change(place.step(host, number, session.token), "do", alone=number % 4 == 0)
                except (TooLate, Lost):  # on a slow machine; what a run does then
                    await session.recover(HOSTS)
        except Fenced as error:
            said["its session"] = type(error).__name__
        except asyncio.CancelledError:
            said["its session"] = "FencedBy" if session.fenced else "cancelled for nothing"
        await session.close()  # or its renewer would cancel what follows
        await try_all(place, session, said, one)
        answers.write_text(json.dumps(said))


async def try_all(place: Ring, session: Session, said: dict[str, str], one: Round) -> None:
    """Past every decency of the session: ask the accounts directly, also as if its clock were an hour slow."""
    a, b = [await session.target(host) for host in HOSTS]
    token, lease = session.token, (RUN, TTL)
    line = encode(Entry(kind="note", says="woken"), session.lines[-1].seq + 1, token)
    late = {host: session.late(host) for host in HOSTS}
    future = int(time.time()) + 3600

    def change(host: str, number: int):
        do = place.step(host, number, token).do
        assert isinstance(do, Run)
        return do.command

    calls = {
        "run on a": lambda: a.run(token, f"{token}.w1.1", late["a"], change("a", 901)),
        "run on b": lambda: b.run(token, f"{token}.w2.1", late["b"], change("b", 902)),
        "run on a with a slow clock": lambda: a.run(token, f"{token}.w3.1", future, change("a", 903)),
        "step": lambda: a.step(*lease, line, token, f"{token}.w4.1", future, change("a", 904)),
        "append": lambda: a.append(token, *lease, line),
        "renew": lambda: a.renew(token, *lease),
        "raise on a": lambda: a.raise_fence(token, wait=1),
        "release": lambda: a.release(token, RUN, False),
    }
    if one.woken != "unreached":  # there only the clock stands between
        calls["run on b with a slow clock"] = lambda: b.run(token, f"{token}.w5.1", future, change("b", 905))
        calls["raise on b"] = lambda: b.raise_fence(token, wait=1)
    for name, call in calls.items():
        try:
            await call()
            said[name] = "accepted"
        except FairleadError as error:
            said[name] = type(error).__name__


async def replace(place: Ring, one: Round, told: Told, holder: int) -> None:
    """The successor: waits for the lease, takes over, works to the end, and wakes the first at its moment."""
    reached = HOSTS[:1] if one.woken == "unreached" else HOSTS
    async with place.session("successor") as session:
        await claim(session)
        await session.raise_fences(reached)
        await session.read()
        await session.append(Entry(kind="taken", who="successor"))
        taken, before = session.token, lower_marks(place, session.token)  # it may rise when the machine is slow
        if one.woken != "last":
            await wake(holder, told)
        for number in range(1000, 1003):
            await surely(place, session, reached, number)
        await session.release(done=True)
        if one.woken == "last":
            await wake(holder, told)
        if lower_marks(place, taken) != before:
            told.violations.append(f"a change of the woken one was made: {before} -> {lower_marks(place, taken)}")


async def claim(session: Session) -> None:
    """Take the open run's lock once its lease is over."""
    while True:
        try:
            await session.acquire("resume", RUN, Lease(ttl=TTL, beat=TTL))
            return
        except HeldBy:
            await asyncio.sleep(0.1)


async def surely(place: Ring, session: Session, reached: tuple[str, ...], number: int) -> None:
    """One change of the successor's, which a slow machine may make too late."""
    for _ in range(20):
        try:
            await session.change(place.step(reached[number % len(reached)], number, session.token), "do", alone=True)
            return
        except (TooLate, Lost):
            await session.recover(reached)
    raise RuntimeError("the machine is too slow for this lease")


async def wake(holder: int, told: Told) -> None:
    """SIGCONT, and wait until it has tried everything."""
    os.kill(holder, signal.SIGCONT)
    if not await ended(holder, 30):
        told.failures.append("the woken one did not come to an end")


def lower_marks(place: Ring, token: int) -> dict[str, int]:
    """How many lines of lower tokens each account has."""
    return {host: sum(mark < token for mark, _ in place.marks(host)) for host in HOSTS}


def look(place: Ring, told: Told, answers: Path) -> None:
    """The verdict, from the files."""
    for host in HOSTS:
        tokens = [token for token, _ in place.marks(host)]
        if tokens != sorted(tokens):
            told.violations.append(f"a lower token wrote after a higher one: on {host}: {tokens}")
    for trouble in record_troubles(place.record()):
        told.violations.append(f"the record is damaged: {trouble}")
    words = place.lock()
    if int(words[1]) < 2 or words[2] != "free" or words[4] != "-":
        told.violations.append(f"the lock is not the successor's: {' '.join(words)}")
    if not answers.exists():
        told.failures.append("the woken one said nothing")
        return
    for name, answer in json.loads(answers.read_text()).items():
        if answer in (FencedBy.__name__, TooLate.__name__):
            told.refused += 1
        else:
            told.violations.append(f"{name}: {answer}")
