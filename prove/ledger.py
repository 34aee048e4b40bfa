"""Clients write at random while the real command line backs up, restores in place and undoes; then the books are read.

Every acknowledged row must be live or kept, the ledger true, the undo exact, and no number given out twice.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prove.estate import standing
from prove.planted import Planted, found
from prove.table import Row
from support.taken_back import PLACES, Ground, Round

ROUNDS = 201
"""On the three engines in turn."""
BUDGET = 90 * 60.0
"""Seconds after which no further round is begun; the table then says how many there were."""
EVIDENCE = Path(__file__).parents[1] / "build" / "prove"


FAULTS = (
    Planted(
        "mariadb",
        "counters stay where the backup had them",
        "engines/mariadb_swap.remote",
        "    def raise_counters(self):\n",
        "    def raise_counters(self):\n        return\n",
    ),
    Planted(
        "mariadb",
        "the ledger passes over changed rows",
        "engines/mariadb_ledger.remote",
        "(rows - only), changed",
        "(rows - only), 0",
    ),
    Planted(
        "postgres",
        "counters stay where the backup had them",
        "engines/postgres_swap.remote",
        "        carry_on(live, new)\n",
        "",
    ),
    Planted(
        "sqlite",
        "what is written between the copy and the lock is not looked for",
        "engines/sqlite.remote",
        "            if not unchanged():\n                raise Written",
        "            pass",
    ),
)
TRIES = 5
"""Rounds in which a planted fault must be found."""


@dataclass
class Tally:
    """What came of the rounds of one engine."""

    failures: list[str] = field(default_factory=list)
    tried: int = 0
    acknowledged: int = 0
    doubtful: int = 0
    numbers: int = 0
    differing: int = 0
    busy: int = 0
    seconds: float = 0.0


MANY = 1_000_000
"""Rows of the largest table whose ledger is exact: of larger ones rows are only counted."""
COUNTED = {
    "mariadb": "from seq_1_to_{rows}",
    "postgres": "from generate_series(1, {rows}) seq",
    "sqlite": "from (with recursive n(seq) as (select 1 union all select seq + 1 from n where seq < {rows}) "
    "select seq from n)",
}
JOINED = {"mariadb": "concat('m-', seq)", "postgres": "'m-' || seq", "sqlite": "'m-' || seq"}
ADDED, CHANGED, GONE = 777, "id % 9973 = 1", "id % 99991 = 2"


def experiment(scale: float, seed: int, only: int | None = None) -> Iterable[Row]:
    """All rounds, an estate of each engine at once."""
    count = max(len(PLACES), round(ROUNDS * scale))
    chosen = [only] if only is not None else list(range(count))
    todo = {engine: chosen_of(chosen, number) for number, engine in enumerate(PLACES)}
    tallies = {engine: Tally() for engine in PLACES}
    threads = [
        threading.Thread(target=work, args=(engine, todo[engine], tallies[engine], seed), daemon=True)
        for engine in PLACES
        if todo[engine]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in (engine for engine in PLACES if todo[engine]):
        yield row(engine, tallies[engine], len(todo[engine]))
    if only is None:
        for engine in PLACES:
            yield large(engine, max(10_000, round(MANY * scale)) - ADDED)
        yield found(FAULTS[: max(2, round(len(FAULTS) * scale))], lambda engine, environ: trial(engine, environ, seed))


def large(engine: str, rows: int) -> Row:
    """The ledger of one large table: what differs is known, since one statement each has made it so."""
    failures, began, note = [], time.monotonic(), ""
    try:
        with standing(Ground(engine)) as ground:
            talk = ground.witness.talk()
            people = "insert into people (amount, born, mark, version, word) select 1.5, '2026-02-11', "
            counted = f"{JOINED[engine]}, 1, 'w' {COUNTED[engine]}"
            talk.ask(people + counted.format(rows=rows))
            done = [ground.box.run("db", "backup")]
            sizes = "; ".join(f"select count(*) from people where {which}" for which in (CHANGED, GONE))
            changed, gone = (int(line[0]) for line in talk.ask(sizes))
            talk.ask(f"update people set version = 2 where {CHANGED}; delete from people where {GONE}")
            talk.ask(people + counted.format(rows=ADDED))
            talk.close()
            done.append(ground.box.run("db", "restore", "crm", "--yes", "--reason", "a large table"))
            asked = time.monotonic()
            done.append(ground.box.run("db", "ledger", "crm", "--json"))
            took = time.monotonic() - asked
            failures += [f"ended with {one.code}: {one.text[-400:]}" for one in done if one.code]
            if not failures:
                tables = json.loads(done[-1].out)["ledgers"][0]["tables"]
                says = next(one for one in tables if one["table"].rpartition(".")[2] == "people")
                told = tuple(says.get(key) for key in ("only_live", "only_kept", "changed", "exact"))
                truth = (gone, ADDED, changed, True)
                failures += [f"it says {told}, and {truth} is true"] if told != truth else []
                note = f"{truth[:3]} rows were only live, only kept, changed; the ledger took {took:.1f} s"
    except Exception as error:
        failures.append(f"the experiment itself: {type(error).__name__}: {error}")
        traceback.print_exc()
    return Row(f"the ledger of a table of {rows} rows, {engine}", 1, failures, time.monotonic() - began, note)


def chosen_of(numbers: Iterable[int], engine: int) -> list[int]:
    """The rounds of one engine."""
    return [number for number in numbers if number % len(PLACES) == engine]


def work(engine: str, rounds: list[int], tally: Tally, seed: int) -> None:
    """Play rounds on one estate; one that was found broken is given up for a new one."""
    began, left = time.monotonic(), list(rounds)
    while left and time.monotonic() < began + BUDGET:
        try:
            with standing(Ground(engine)) as ground:
                while left and time.monotonic() < began + BUDGET:
                    if not play(ground, left.pop(0), tally, seed):
                        break
                tally.numbers += len(ground.book.numbers)
                tally.acknowledged += ground.book.acknowledged
                tally.doubtful += ground.book.doubtful
        except Exception as error:  # a broken experiment must not look like a good one
            tally.failures.append(f"the experiment itself: {type(error).__name__}: {error}")
            traceback.print_exc()
            if len(tally.failures) > 5:
                break
    tally.seconds = time.monotonic() - began


def play(ground: Ground, number: int, tally: Tally, seed: int) -> bool:
    """One round; False when something was not as it must be."""
    one = Round(ground, f"{seed} {number}")
    wrong = one.play(f"r{number}")
    tally.tried += 1
    tally.differing += one.differing
    tally.busy += one.busy
    if wrong:
        again = f"python -m prove ledger --seed {seed} --only {number}"
        tally.failures.append(f"round {number} of {ground.engine}: {'; '.join(wrong[:4])}; `{again}`")
        folder = EVIDENCE / f"ledger-{seed}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for n, told in enumerate(one.said):
            (folder / f"{n}.txt").write_text(f"{told.code}\n{told.text}")
    print(f"ledger {ground.engine} {number} {one.differing} rows differ {wrong or ''}", file=sys.stderr, flush=True)
    return not wrong


def trial(engine: str, environ: Mapping[str, str], seed: int) -> list[str]:
    """Rounds until something is wrong."""
    with standing(Ground(engine, environ=environ)) as ground:
        for number in range(TRIES):
            if wrong := Round(ground, f"{seed} planted {number}").play(f"p{number}"):
                return wrong
    return []


def row(engine: str, tally: Tally, wanted: int) -> Row:
    """The table's line for one engine."""
    failures = list(tally.failures)
    if tally.tried < wanted:
        failures.append(f"only {tally.tried} of {wanted} rounds could be played")
    note = (
        f"{tally.acknowledged} writes were acknowledged and {tally.doubtful} were not; {tally.numbers} numbers were "
        f"given out; the ledgers had {tally.differing} rows; {tally.busy} undos under writers, the others by checksum"
    )
    return Row(f"writers during backup, restore and undo, {engine}", tally.tried, failures, tally.seconds, note)
