"""Kill -9 while a database is backed up, restored in place or taken back: of the operator, or of the database's server.

After `fairlead resume` the database must be all old or all new, what was live must be kept, and `--undo` must work.
"""

from __future__ import annotations

import os
import queue
import random
import shutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from prove.estate import descendants, standing
from prove.planted import Planted, found
from prove.table import Row
from support.box import FREE, Told
from support.data_witness import Found
from support.live_data import Maria, Postgres
from support.taken_back import PLACES, Ground

ROUNDS = 312
"""Kills, on the three engines in turn."""
WORDS = {
    "backup": ("db", "backup"),
    "restore": ("db", "restore", "crm", "--yes"),
    "undo": ("db", "restore", "crm", "--undo", "--yes"),
}
VICTIMS = ("operator", "family", "server", "both")
MOMENTS = {"backup": "", "restore": '"db-crm.swap"', "undo": '"db-crm.unswap"'}
"""What the record says when the step that moves the data has begun."""
NOTES = {"restore": '"state": "swapping"', "undo": '"state": "unswapping"'}
"""What a note beside a file says while its content moves, which it does in a fraction of its step's time."""
REACH = {"sqlite": 0.1, "mariadb": 0.6, "postgres": 0.6}
"""Seconds from there on within which a blow falls: about as long as the data moves, else most would come too late."""
ROWS = {"sqlite": 30_000, "mariadb": 4000, "postgres": 4000}
LEASE = 10
"""Seconds that a resume waits for after a kill; on a machine so busy that nothing is heard for so long, runs halt."""
BUDGET = 90 * 60.0
"""Seconds after which no further round is begun; the table then says how many there were."""
SPARE = 1.4
"""So many times the wanted rounds are at hand: a round whose command ended before the blow does not count."""


FAULTS = (
    Planted(
        "sqlite",
        "a swap that was begun counts as done after a kill",
        "engines/sqlite.remote",
        'if state in HALF or os.path.lexists(item["kept"] + ".lock"):\n        return "between"',
        'if state in HALF or os.path.lexists(item["kept"] + ".lock"):\n        return "after"',
    ),
    Planted(
        "mariadb",
        "a swap that was begun counts as done after a kill",
        "engines/mariadb_swap.remote",
        '{"forward": "between",',
        '{"forward": "after",',
    ),
    Planted(
        "postgres",
        "an open run is not seen by a resume",
        "run/operate.py",
        '    state = await session.read()\n    if state.run == "-":\n        return None\n    plan =',
        "    state = await session.read()\n    if state.run:\n        return None\n    plan =",
    ),
)
TRIES = 12
"""Kills among which a planted fault must be found."""


@dataclass(frozen=True)
class Blow:
    """One round: what is going on, who is killed, when, and what is lost with it."""

    number: int
    act: str
    victim: str
    """operator, family (with all that it has started here), server, or both of these. A file's server is the program
    that is at work on its host."""
    home_lost: bool
    in_the_move: bool
    """Once the data begins to move; otherwise at any moment of the command."""
    moment: float
    """0 to 1."""
    away: float
    """Seconds for which a server stays away."""
    again: bool
    """The resume is killed too, and another one follows."""


@dataclass
class Tally:
    """What came of the rounds."""

    failures: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    @property
    def tried(self) -> int:
        """Kills that hit."""
        return self.seen["old"] + self.seen["new"]


def experiment(scale: float, seed: int, only: int | None = None) -> Iterable[Row]:
    """All rounds, an estate of each engine at once."""
    each = max(1, round(ROUNDS * scale / len(PLACES)))
    tallies = {engine: Tally() for engine in PLACES}
    threads = []
    for engine, tally in tallies.items():
        todo: queue.SimpleQueue[Blow] = queue.SimpleQueue()
        for blow in blows_of(engine, round(each * SPARE) + 1, seed):
            if only in (None, blow.number):
                todo.put(blow)
        threads.append(threading.Thread(target=work, args=(engine, todo, each, tally, seed), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine, tally in tallies.items():
        if only is None or tally.seen:
            yield row(engine, tally, each if only is None else 1)
    if only is None:
        yield found(FAULTS[: max(2, round(len(FAULTS) * scale))], lambda engine, environ: trial(engine, environ, seed))


def blows_of(engine: str, count: int, seed: int) -> Iterator[Blow]:
    """The rounds of one engine."""
    dice = random.Random(f"{seed} {engine}")
    for number in range(count):
        victim = VICTIMS[number % len(VICTIMS)]
        yield Blow(
            1000 * [*PLACES].index(engine) + number,
            dice.choices((*WORDS,), (2, 5, 3))[0],
            victim,
            victim != "server" and number // len(VICTIMS) % 2 == 0,
            dice.random() < 0.5,
            dice.random(),
            dice.choice((0.0, 0.3, 2.0)),
            dice.random() < 0.1,
        )


def work(engine: str, todo: queue.SimpleQueue[Blow], wanted: int, tally: Tally, seed: int) -> None:
    """Play rounds on one estate; one that was found broken is given up for a new one."""
    while tally.tried < wanted and time.monotonic() < tally.began + BUDGET:
        try:
            with standing(Ground(engine, rows=ROWS[engine], lease=LEASE)) as ground:
                stage = Stage(ground, tally, seed)
                while tally.tried < wanted and time.monotonic() < tally.began + BUDGET:
                    if not stage.play(todo.get_nowait()):
                        break
        except queue.Empty:
            return
        except Exception as error:  # a broken experiment must not look like a good one
            tally.failures.append(f"the experiment itself: {type(error).__name__}: {error}")
            traceback.print_exc()
            if len(tally.failures) > 5:
                return


def trial(engine: str, environ: Mapping[str, str], seed: int) -> list[str]:
    """Kills of the operator, and mostly of what is at work on the host too, in restores, until something is wrong."""
    tally = Tally()
    with standing(Ground(engine, rows=ROWS[engine], lease=LEASE, environ=environ)) as ground:
        stage = Stage(ground, tally, seed)
        for blow in islice(blows_of(engine, 1000, seed), TRIES):
            moves = blow.number % 4 > 0
            victim = "both" if moves else "family"
            at = replace(blow, act="restore", victim=victim, in_the_move=moves, again=False)
            try:
                if not stage.play(at):
                    break
            except RuntimeError as error:  # not even a command without harm works after it
                return [str(error)]
    return tally.failures


class Stage:
    """One estate, and what is known of its database."""

    def __init__(self, ground: Ground, tally: Tally, seed: int) -> None:
        self.ground, self.tally, self.seed = ground, tally, seed
        self.took = {"backup": 1.0, "restore": 3.0, "undo": 2.0}
        self.backed_up = self.must("backup") or self.ground.look()
        self.wrong: list[str] = []

    def must(self, act: str) -> None:
        """A command without harm."""
        began = time.monotonic()
        told = self.ground.box.run(*WORDS[act])
        self.took[act] = time.monotonic() - began
        if told.code:
            raise RuntimeError(f"{act} without harm ended with {told.code}: {told.text[-600:]}")

    def play(self, blow: Blow) -> bool:
        """One round; False when something is not as it must be."""
        ground, self.wrong = self.ground, []
        ground.sweep()
        ground.change(f"x{blow.number}")
        if blow.act == "undo":
            self.kept = ground.look()
            self.must("restore")
        old = ground.look()
        new = {"backup": old, "restore": self.backed_up, "undo": self.kept if blow.act == "undo" else old}[blow.act]
        hit, open_run = self._strike(blow)
        code = self._resume(blow) if open_run else None
        now = ground.look()
        which = "old" if now.checksum == old.checksum else "new" if now.checksum == new.checksum else "mixed"
        if which == "mixed":
            self.wrong.append("the live database is neither what it was nor what it should become")
        else:
            self._judge(blow, which, code, old, new)
        self._count(blow, which, hit, open_run)
        return self._said(blow)

    # -- the blow

    def _strike(self, blow: Blow) -> tuple[bool, bool]:
        """Whether it hit before the command had ended, and whether a run is open then."""
        ground, there = self.ground, self._records()
        process = ground.box.operator.start(*WORDS[blow.act])
        word = MOMENTS[blow.act]
        if blow.in_the_move and word:
            while process.poll() is None and not self._moves(blow.act, there):
                time.sleep(0.002)
            time.sleep(blow.moment * REACH[ground.engine])
        else:
            time.sleep(blow.moment * self.took[blow.act])
        hit = process.poll() is None
        # Asked now: once the operator is gone it may be somebody else's child.
        far = [] if self._has_server else self.ground.box.sshd.running("python3")
        if hit and blow.victim != "server":
            _kill(process.pid, family=blow.victim != "operator")
        if blow.victim in ("server", "both"):
            self._kill_far(blow.away, far)
        out, err = process.communicate(timeout=170)
        self.told = Told(process.returncode, out, err)
        self.begun = '"kind":"run"' in self._said_since(there)  # from its first line on a run is led to its end
        if "Traceback" in err:
            self.wrong.append(f"it ended with a traceback: {err[-400:]}")
        if blow.home_lost:
            shutil.rmtree(ground.box.operator.home)
        return hit, self._open()

    @property
    def _has_server(self) -> bool:
        return isinstance(self.ground.place, Maria | Postgres)

    def _moves(self, act: str, there: set[str]) -> bool:
        """The data is being exchanged now, or will be in a moment."""
        if self._has_server:
            return MOMENTS[act] in self._said_since(there)
        return any(NOTES[act] in _text(note) for note in (self.ground.box.home / "data").glob("*.json"))

    def _kill_far(self, away: float, far: list[int]) -> None:
        place = self.ground.place
        if not isinstance(place, Maria | Postgres):
            for pid in far:
                _kill(pid, family=True)
            return
        _kill(place.server.process.pid, family=True)
        place.server.process.wait()
        time.sleep(away)
        place.server.start()

    def _records(self) -> set[str]:
        folder = self.ground.box.home / ".fairlead/live/runs"
        return {path.name for path in folder.iterdir()} if folder.exists() else set()

    def _said_since(self, there: set[str]) -> str:
        folder = self.ground.box.home / ".fairlead/live/runs"
        return "".join((folder / name).read_text(errors="replace") for name in self._records() - there)

    def _open(self) -> bool:
        lock = self.ground.box.home / ".fairlead/live/lock"
        return lock.exists() and self.ground.box.lock() != FREE

    def _resume(self, blow: Blow) -> int:
        if blow.again:
            process = self.ground.box.operator.start("resume", "--no-watch")
            time.sleep(blow.moment * 7)
            if process.poll() is None:
                _kill(process.pid, family=blow.moment < 0.5)
                self.tally.seen["resumes killed"] += 1
            process.communicate()
        self.told = self.ground.box.run("resume", "--no-watch")
        return self.told.code

    # -- the verdict

    def _judge(self, blow: Blow, which: str, code: int | None, old: Found, new: Found) -> None:
        # Where the run had not begun, or the resume before had come to its end, there is nothing left to do.
        done = ("old", "new") if blow.again else ("new",) if self.begun else ("old",)
        right = {None: ("old", "new"), 0: done, 3: ("old",)}
        if blow.act != "backup" and which not in right.get(code, ()):
            self.wrong.append(f"resume ended with {code}, and it is {which}: {self.told.text[-500:]}")
        if self._open():
            self.wrong.append(f"the lock says {self.ground.box.lock()}")
        if blow.act == "backup":
            self._backup_counts(old)
        else:
            self._kept(blow, which, old, new)
            self._undo_works(blow, which, old, new)

    def _kept(self, blow: Blow, which: str, old: Found, new: Found) -> None:
        """What was live is kept where something else is live now, and nothing half filled lies about."""
        right = {"new": [[old.checksum]], "old": [[new.checksum], *([[]] if blow.act == "restore" else [])]}[which]
        beside = self.ground.witness.beside()
        there = [self.ground.witness.look(name).checksum for name in beside]
        if there not in right:  # a swap that was taken back leaves what had been live
            self.wrong.append(f"{which}: beside it there are {beside}, and not what they should hold")

    def _undo_works(self, blow: Blow, which: str, old: Found, new: Found) -> None:
        """Back to what was live before the restore, whatever became of the round."""
        before = old if blow.act == "restore" else new
        if self.ground.look().checksum != self.backed_up.checksum:
            if blow.number % 3:
                return  # nothing to take back; now and then a whole restore shows that both still work
            self.ground.sweep()
            self.must("restore")
        self.must("undo")
        if self.ground.look().checksum != before.checksum:
            self.wrong.append("`db restore --undo` does not lead back to what was live")

    def _backup_counts(self, old: Found) -> None:
        """Whatever counts as the newest backup holds all of one moment; and another one can be made."""
        self.must("restore")
        now = self.ground.look()
        if now.checksum not in (old.checksum, self.backed_up.checksum):
            self.wrong.append("what counts as the newest backup is neither the one before nor the new one")
        self.must("undo")
        self.ground.sweep()
        self.must("backup")
        self.backed_up = self.ground.look()
        if self.backed_up.checksum != old.checksum:
            self.wrong.append("`db restore --undo` does not lead back to what was live")

    # -- the table

    def _count(self, blow: Blow, which: str, hit: bool, open_run: bool) -> None:
        seen = self.tally.seen
        if not hit:
            seen["too late"] += 1
            return
        seen[which] += 1
        for name in (blow.act, blow.victim):
            seen[name] += 1
        seen["home_lost"] += blow.home_lost
        seen["open"] += open_run

    def _said(self, blow: Blow) -> bool:
        print(
            f"datakills {self.ground.engine} {blow.number} {blow.act} {self.wrong or ''}", file=sys.stderr, flush=True
        )
        if self.wrong:
            again = f"python -m prove datakills --seed {self.seed} --only {blow.number}"
            self.tally.failures.append(f"{blow}: {'; '.join(self.wrong[:4])}; `{again}`")
        return not self.wrong


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _kill(pid: int, *, family: bool) -> None:
    """Before any of them can notice."""
    victims = [pid]
    with suppress(ProcessLookupError):
        if family:
            os.kill(pid, signal.SIGSTOP)
            victims += descendants(pid)
        for one in victims:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


def row(engine: str, tally: Tally, wanted: int) -> Row:
    """The table's line for one engine."""
    seen = tally.seen
    failures = list(tally.failures)
    if tally.tried < wanted:
        failures.append(f"only {tally.tried} of {wanted} rounds could be played")
    note = (
        f"during backup {seen['backup']}, restore {seen['restore']}, undo {seen['undo']}; the operator alone "
        f"{seen['operator']}, with its family {seen['family']}, the server {seen['server']}, both {seen['both']}; home "
        f"deleted in {seen['home_lost']}; {seen['open']} runs were left open, {seen['resumes killed']} resumes killed "
        f"too; ended old {seen['old']}, new {seen['new']}; {seen['too late']} too late"
    )
    return Row(f"kill -9 while data moves, {engine}", tally.tried, failures, time.monotonic() - tally.began, note)
