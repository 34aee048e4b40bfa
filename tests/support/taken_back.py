"""A server with one database `crm` that clients write to, an operator before it, and rounds that take its data back.

Operators use the real command line over a real sshd; what is true is seen by `support.data_witness` and known from
`support.written`.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from support.box import Box, Told
from support.data_witness import Found, MariaWitness, PostgresWitness, SqliteWitness, Witness, difference
from support.live_data import Maria, Place, Postgres, Sqlite
from support.sshd import Sshd
from support.written import KEYS, Book, schema, some, word, writers

PATIENT = {"connect_timeout": "60s"}
"""Of the host: several of these estates stand at once, on a machine that has other work too."""
PLACES: dict[str, Any] = {"mariadb": Maria, "postgres": Postgres, "sqlite": Sqlite}


class Ground:
    """`with Ground(engine) as ground:`; everything lies in folders of its own."""

    def __init__(self, engine: str, rows: int = 0, environ: Mapping[str, str] = {}, lease: int = 30) -> None:
        """`rows`: so many people are there from the beginning; `environ`: more variables of the operator; `lease`:
        seconds after which a killed operator's lock may be taken.
        """
        self.engine, self.rows, self.environ, self.book = engine, rows, environ, Book()
        self.lease = {"ttl": f"{lease}s", "beat": f"{min(lease, 5)}s"}

    def __enter__(self) -> Self:
        self.stack = ExitStack()
        try:
            self._build()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def _build(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fl-back-", dir="/tmp"))
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        place = PLACES[self.engine]
        sshd = self.stack.enter_context(Sshd(self.folder / "sshd"))
        environ = {**place.passwords, **self.environ}
        self.box = Box(self.folder, sshd, environ=environ, environment={"lease": self.lease}, host=PATIENT)
        self.place: Place = place(self.box.home, self.folder)
        self.stack.callback(self.place.close)
        self.box.databases = {"data": self.place.group() | {"names": {"crm": {}}}}
        self.box.configure()
        self.witness = self._witness()
        self._fill()
        if self.rows:
            self.insert("first", self.rows)

    def _witness(self) -> Witness:
        if isinstance(self.place, Maria):
            # What was acknowledged outlives the server's process, which it does not as the tests start it.
            self.place.server.options += ("--innodb-flush-log-at-trx-commit=2",)
            self.place.server.stop()
            self.place.server.start()
            return MariaWitness(self.place.server.socket, "mo_crm")
        if isinstance(self.place, Postgres):
            return PostgresWitness(self.place.server.data, self.place.server.port, "mo_crm")
        (self.box.home / "data").mkdir()
        return SqliteWitness(self.box.home / "data/crm.db")

    def _fill(self) -> None:
        old = [] if self.engine == "sqlite" else ["drop table people"]
        self._ask("; ".join([*old, *schema(self.engine)]))
        if self.engine == "sqlite":
            self.box.own(self.box.home / "data")

    def insert(self, name: str, count: int) -> None:
        """So many more people, in one statement."""
        marks = [f"{name}-{number}" for number in range(count)]
        rows = ", ".join(f"({n}.5, '2026-02-11', '{mark}', 1, '{word(mark, 1)}')" for n, mark in enumerate(marks))
        self._ask(f"insert into people (amount, born, mark, version, word) values {rows}")

    def change(self, name: str) -> None:
        """Some rows are new, some have changed, and one is gone; `name` was never used before."""
        self.insert(name, 5)
        self._ask("update people set version = version + 1, word = 'changed' where id % 97 = 1")
        self._ask("delete from people where id = (select * from (select min(id) from people) first)")

    def _ask(self, sql: str) -> None:
        talk = self.witness.talk()
        talk.ask(sql)
        talk.close()

    def look(self) -> Found:
        """The live database."""
        return self.witness.look(self.witness.live)

    def kept(self) -> Found | None:
        """The one that lies beside it; None = there is not exactly one."""
        names = self.witness.beside()
        return self.witness.look(names[0]) if len(names) == 1 else None

    def sweep(self) -> None:
        """Drop what lies beside the live database."""
        for name in self.witness.beside():
            self.witness.drop(name)


class Round:
    """Clients write while a database is backed up, restored in place, and taken back to what was live before."""

    def __init__(self, ground: Ground, seed: str) -> None:
        self.ground, self.dice = ground, random.Random(seed)
        self.wrong: list[str] = []
        self.said: list[Told] = []
        self.differing = 0
        """Rows in which live and kept differed, by the truth."""
        self.busy = self.dice.random() < 0.5
        """Clients go on writing during the undo."""

    def play(self, name: str) -> list[str]:
        """Everything that is not as it must be; `name` is part of every mark."""
        ground = self.ground
        ground.book.begin(ground.look())
        with writers(ground.engine, ground.witness, ground.book, self.dice, name) as self.writers:
            self._back_up_and_restore() and self._undo()
            self.writers.rest()
        self.wrong += ground.book.twice()
        ground.sweep()
        return self.wrong

    def _back_up_and_restore(self) -> bool:
        book, pause = self.ground.book, self._pause
        self.writers.go()
        pause()
        began = time.monotonic()
        made = self._run("db", "backup")
        backup = began, time.monotonic()
        pause()
        restore = time.monotonic()
        done = made and self._run("db", "restore", "crm", "--yes", "--reason", "a round")
        pause()
        self.writers.rest()
        self.live, kept = self.ground.look(), self.ground.kept() if done else None
        if not kept:
            self.wrong += [] if not done else [f"beside it there are {self.ground.witness.beside()}"]
            return False
        self._must("after the restore", book.lost(self.live, kept))
        self._must("live", book.invented(self.live))
        self._must("kept", book.invented(kept))
        self._must("restored", book.not_as_backed_up(self.live, backup, restore))
        self._must("the ledger", self._ledger(self.live, kept))
        self.kept = kept
        return True

    def _ledger(self, live: Found, kept: Found) -> list[str]:
        told = self.ground.box.run("db", "ledger", "crm", "--json")
        if told.code:
            return [f"ended with {told.code}: {told.text[-400:]}"]
        tables = json.loads(told.out)["ledgers"][0]["tables"]
        says = {one["table"].rpartition(".")[2]: one for one in tables}
        truth = difference(live.rows, kept.rows, KEYS)
        self.differing = sum(map(sum, truth.values()))
        return [
            f"{table}: it says {says.get(table)}, and {truth[table]} is true"
            for table in truth
            if _numbers(says.get(table, {}), keyed=bool(KEYS[table])) != (*truth[table], True)
        ]

    def _undo(self) -> None:
        ground, book = self.ground, self.ground.book
        if self.busy:
            self.writers.go()
            self._pause()
        undo = time.monotonic()
        done = self._run("db", "restore", "crm", "--undo", "--yes")
        if self.busy:
            self._pause()
        self.writers.rest()
        if not done:
            return
        live, beside = ground.look(), ground.kept()
        if not beside:
            self.wrong.append(f"after the undo there are {ground.witness.beside()}")
            return
        self._must("after the undo", book.lost(live, beside))
        self._must("taken back", book.not_as_kept(live, self.kept, undo))
        if not self.busy:
            self._must("the checksums", self._checksums(live, beside))

    def _checksums(self, live: Found, beside: Found) -> list[str]:
        pairs = {"what was kept": (self.kept, live), "what was live": (self.live, beside)}
        return [f"{what} is not what it was" for what, (was, now) in pairs.items() if was.checksum != now.checksum]

    def _run(self, *words: str) -> bool:
        told = self.ground.box.run(*words)
        self.said.append(told)
        if told.code:
            self.wrong.append(f"{' '.join(words)} ended with {told.code}: {told.text.strip()[-500:]}")
        return told.code == 0

    def _must(self, when: str, wrong: list[str]) -> None:
        if wrong:
            self.wrong.append(f"{when}: {some(wrong)}")

    def _pause(self) -> None:
        time.sleep(self.dice.uniform(0.05, 0.5))


def _numbers(told: dict[str, Any], *, keyed: bool) -> tuple[Any, ...]:
    """What a ledger says of a table; without a key there is no changed row, and so it may be said or left out."""
    changed = told.get("changed") if keyed else told.get("changed") or 0
    return told.get("only_live"), told.get("only_kept"), changed, told.get("exact")
