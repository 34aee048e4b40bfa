"""Kill -9 of the operator's process in the middle of a deployment, then `resume` from a fresh checkout.

Whatever was killed when, the estate must be all new or all old, with every service alive and every row kept.
"""

from __future__ import annotations

import queue
import random
import shutil
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from prove.estate import FULL, SMALL, Ground, Operator, entries
from prove.table import Row

ROUNDS = {"three services": 460, "seven services": 44}
SIZES = {"three services": SMALL, "seven services": FULL}
WORKERS = {"three services": ("server", "annex", "server", "annex", "server"), "seven services": ("server",)}
"""The lock host of each estate that rounds are played on at the same time."""
BUDGET = 50 * 60.0
"""Seconds after which no further round is begun; the table then says how many there were."""
SPARE = 1.3
"""So many times the wanted rounds are at hand: a round whose operator ended before the blow does not count."""
EVIDENCE = Path(__file__).parents[1] / "build" / "prove"


@dataclass(frozen=True)
class Blow:
    """One round: when the operator is killed, what is lost with it, and how often its successor is killed too."""

    number: int
    size: str
    at_line: bool
    """Exactly when the record has the line; otherwise at a random moment in the step after it."""
    line: int
    """Counted up from 0 without an end; an estate takes it modulo the lines that its record has."""
    family: bool
    home_lost: bool
    sources_lost: bool
    again: bool
    """Deploy a version that is still there from before, so that there is nothing to upload."""
    resumes_killed: int


@dataclass
class Tally:
    """What came of the rounds of one size."""

    failures: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    lines: set[int] = field(default_factory=set)
    missed: int = 0
    """Rounds whose operator had ended before the blow."""
    began: float = field(default_factory=time.monotonic)

    @property
    def tried(self) -> int:
        """Rounds that were really played."""
        return sum(self.seen[which] for which in ("old", "new", "mixed"))

    def wants(self, wanted: int) -> bool:
        """Whether there should be more of them."""
        return self.tried < wanted and time.monotonic() < self.began + BUDGET


def experiment(scale: float, seed: int, only: int | None = None) -> Iterable[Row]:
    """All rounds, several estates at once."""
    tallies = {size: Tally() for size in ROUNDS}
    wanted = {size: max(1, round(count * scale)) for size, count in ROUNDS.items()}
    blows = {size: list(blows_of(size, round(wanted[size] * SPARE), seed)) for size in ROUNDS}
    if only is not None:
        blows = {size: [blow for blow in several if blow.number == only] for size, several in blows.items()}
        wanted = {size: len(several) for size, several in blows.items()}
    threads = [
        threading.Thread(target=work, args=(size, lock_host, todo, wanted[size], tallies[size], seed), daemon=True)
        for size, lock_hosts in WORKERS.items()
        for todo in [_queue(blows[size])]
        for lock_host in lock_hosts[: max(1, round(len(lock_hosts) * scale * 5))]
        if wanted[size]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for size, tally in tallies.items():
        if wanted[size]:
            yield row(size, tally, wanted[size])


def blows_of(size: str, count: int, seed: int) -> Iterator[Blow]:
    """The rounds of one size: each property holds in exactly its share of them, whatever the others are."""
    dice = random.Random(f"{seed} {size}")
    first = 0 if size == "three services" else 10_000

    def share(part: float) -> list[bool]:
        column = [number < round(count * part) for number in range(count)]
        dice.shuffle(column)
        return column

    family, home_lost, sources, again = share(0.5), share(0.5), share(0.5), share(0.15)
    for number in range(count):
        killed = dice.choices((0, 1, 2), (70, 22, 8))[0]
        lost = home_lost[number] and sources[number]
        line = number // 2 if number % 2 == 0 else dice.randrange(1000)
        yield Blow(
            first + number, size, number % 2 == 0, line, family[number], home_lost[number], lost, again[number], killed
        )


def _queue(blows: Iterable[Blow]) -> queue.SimpleQueue[Blow]:
    todo: queue.SimpleQueue[Blow] = queue.SimpleQueue()
    for blow in blows:
        todo.put(blow)
    return todo


def work(size: str, lock_host: str, todo: queue.SimpleQueue[Blow], wanted: int, tally: Tally, seed: int) -> None:
    """Play rounds on one estate until there are none; one that was found broken is given up for a new one."""
    while tally.wants(wanted):
        with ExitStack() as stack:
            try:
                ground = stack.enter_context(Ground(SIZES[size], lock_host))  # type: ignore[arg-type]
                stage = Stage(ground, tally, seed)
                stage.learn()
                while tally.wants(wanted):
                    if not stage.play(todo.get_nowait()):
                        break
            except queue.Empty:
                return
            except Exception as error:  # a broken experiment must not look like a good one
                tally.failures.append(f"the experiment itself: {type(error).__name__}: {error}")
                traceback.print_exc()
                if len(tally.failures) > 5:
                    return


@dataclass
class Stage:
    """One estate and the rounds on it."""

    ground: Ground
    tally: Tally
    seed: int
    lines: int = 0
    """A whole record has so many."""

    def learn(self) -> None:
        """Deploy once without harm."""
        old, new = self.ground.live, self.ground.write(self.ground.next_version())
        operator = self.ground.run("deploy", "--yes")
        which, wrong = self.ground.verdict(old, new)
        if (operator.process.returncode, which, wrong) != (0, "new", []):
            raise RuntimeError(f"without harm already: {which} {wrong} {operator.text[-600:]}")
        self.lines = max(path.read_bytes().count(b"\n") for path in self.ground.records())
        self.ground.live = new

    def play(self, blow: Blow) -> bool:
        """One round; False when the estate is no longer what it should be."""
        dice = random.Random(f"{self.seed} {blow.size} {blow.number}")
        ground, old = self.ground, self.ground.live
        version = f"v{ground.count - 2}" if blow.again and ground.count > 3 else ground.next_version()
        new = ground.write(version)
        if new == old:
            new = ground.write(ground.next_version())
        before = ground.records()
        deploy = ground.operate("deploy", "--yes")
        line = self._strike(deploy, before, blow, dice)
        if line is None:
            return self._missed(deploy, old, new)
        checkout = self._lose(blow)
        said = [deploy]
        for _ in range(blow.resumes_killed):
            said.append(self._resume_and_kill(checkout, dice))
        was_open = said[-1].found_open
        if not said[-1].finished:
            was_open = ground.open_run() != "-"
            said.append(ground.run("resume", folder=checkout))
        return self._judge(blow, line, old, new, ground.records() - before, said, was_open=was_open)

    def _strike(self, deploy: Operator, before: set[Path], blow: Blow, dice: random.Random) -> int | None:
        line = 1 + blow.line % self.lines
        path = self.ground.wait_for_line(deploy, before, line)
        if path is None:
            return None
        if not blow.at_line:
            time.sleep(dice.uniform(0, 0.35))
        if not deploy.runs:
            return None
        deploy.kill(family=blow.family)
        return path.read_bytes().count(b"\n")

    def _missed(self, deploy: Operator, old: dict, new: dict) -> bool:
        """It had ended before the blow came: a deployment like any other, and not a round."""
        deploy.end()
        self.tally.missed += 1
        which, wrong = self.ground.verdict(old, new)
        if deploy.process.returncode == 0 and which == "new" and not wrong:
            self.ground.live = new
            return True
        said = f"not killed, and yet {which}, exit {deploy.process.returncode}, {wrong}: {deploy.text[-500:]}"
        self.tally.failures.append(said)
        print(f"kills: {said}", file=sys.stderr, flush=True)
        return False

    def _lose(self, blow: Blow) -> Path:
        checkout = self.ground.checkout(sources=not blow.sources_lost)
        if blow.home_lost:
            self.ground.forget_home()
        return checkout

    def _resume_and_kill(self, checkout: Path, dice: random.Random) -> Operator:
        """A resume that is killed once it has written, or while it waits; it may be faster than the blow."""
        ground = self.ground
        size = {path: path.stat().st_size for path in ground.records()}
        found_open = ground.open_run() != "-"  # the one before may have come to its end before it was killed
        resume = ground.operate("resume", folder=checkout)
        resume.found_open = found_open
        if dice.random() < 0.3:
            time.sleep(dice.uniform(0.3, 4.0))
        else:
            while resume.runs and all(path.stat().st_size == size[path] for path in size):
                time.sleep(0.005)
            time.sleep(dice.uniform(0, 1.2))
        resume.finished = not resume.runs
        if not resume.finished:
            resume.kill(family=dice.random() < 0.5)
            self.tally.seen["resumes killed"] += 1
        return resume

    def _judge(
        self,
        blow: Blow,
        line: int,
        old: dict,
        new: dict,
        records: set[Path],
        said: list[Operator],
        *,
        was_open: bool,
    ) -> bool:
        which, wrong = self.ground.verdict(old, new)
        code = said[-1].process.returncode
        begun = any(entry["kind"] == "intent" for path in records for entry in entries(path))
        # Nothing to do is a yes: nothing had been changed, or one that was killed had come to the end.
        right = {(0, "new"), (3, "old")} | ({(0, "old")} if not begun or not was_open else set())
        if (code, which) not in right:
            wrong.append(f"resume ended with {code} and everything is {which}")
        self._count(blow, which, line, begun)
        if wrong:
            again = f"python -m prove kills --seed {self.seed} --only {blow.number}"
            self.tally.failures.append(f"round {blow.number} ({blow}), line {line}: {'; '.join(wrong[:6])}; `{again}`")
            self._keep_evidence(blow, records, said)
        self.ground.sweep()
        self.ground.live = new if which == "new" else old
        print(f"kills {blow.number} line {line} {which} {wrong or ''}", file=sys.stderr, flush=True)
        return not wrong

    def _count(self, blow: Blow, which: str, line: int, begun: bool) -> None:
        seen = self.tally.seen
        seen[which] += 1
        self.tally.lines |= {line} if blow.at_line else set()
        for name in ("at_line", "family", "home_lost", "sources_lost"):
            seen[name] += getattr(blow, name)
        seen["nothing begun"] += not begun

    def _keep_evidence(self, blow: Blow, records: set[Path], said: list[Operator]) -> None:
        folder = EVIDENCE / f"kills-{self.seed}-{blow.number}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in records:
            shutil.copy(path, folder)
        for number, operator in enumerate(said):
            text = f"{' '.join(operator.words)} -> {operator.process.returncode}\n{operator.text}"
            (folder / f"{number}.txt").write_text(text)


def row(size: str, tally: Tally, wanted: int) -> Row:
    """The table's line for one size."""
    seen = tally.seen
    failures = list(tally.failures)
    if tally.tried < wanted:
        failures.append(f"only {tally.tried} of {wanted} rounds could be played")
    note = (
        f"{seen['at_line']} at a step boundary ({len(tally.lines)} different lines of the record), the others inside "
        f"steps; home deleted in {seen['home_lost']}, the sources too in {seen['sources_lost']}; whole family killed "
        f"in {seen['family']}; {seen['resumes killed']} resumes killed too; ended new {seen['new']}, old {seen['old']} "
        f"({seen['nothing begun']} before the first change), mixed {seen['mixed']}; {tally.missed} too late"
    )
    return Row(f"kill -9 of the operator, {size}", tally.tried, failures, time.monotonic() - tally.began, note)
