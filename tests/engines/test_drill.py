"""Drills on real servers: a backup is restored into a scratch database, counted and dropped, whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fairlead.checks.drills import judged
from fairlead.config.database import DatabaseSpec
from fairlead.engines import ENGINES, Engine, sqlite, store
from fairlead.model import Backup, Drill
from fairlead.outside.secrets import Secrets
from support import mariadb as maria
from support import postgres as pg
from support.databases import make, spec
from support.places import Place
from support.sealed import NAME, Key


@dataclass
class Case:
    """One engine's database of ten people, and a backup of it."""

    here: Place
    engine: Engine
    database: DatabaseSpec
    secrets: Secrets
    there: Callable[[], set[str]]
    """Every database or file beside."""
    occupy: Callable[[str], object]
    """Make a database of somebody else's with that name."""
    scratch: str

    async def backup(self) -> Backup:
        (made,) = await self.engine.backup(self.here.host, [self.database], self.secrets)
        assert made.backup, made.finding
        return made.backup

    async def drill(self, one: Backup, run: str = "r1") -> Drill:
        return await self.engine.drill(self.here.host, one, self.database, self.secrets, run=run)

    async def noted(self) -> list[Drill]:
        return await store.drills(self.here.host, ["backups"])


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[maria.MariaDB, pg.Postgres]]:
    folder = maria.open_folder()
    with ExitStack() as stack:
        yield stack.enter_context(maria.MariaDB(folder / "server")), stack.enter_context(pg.Postgres())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def case(request: pytest.FixtureRequest, here: Place, servers: tuple[maria.MariaDB, pg.Postgres]) -> Iterator[Case]:
    mysql, post = servers
    secrets = Secrets(environ={**maria.PASSWORDS, **pg.PASSWORDS})
    if request.param == "mariadb":
        mysql.create("crm", "create table orders (id int primary key); insert into orders values (1), (2);")

        def occupy(name: str) -> object:
            return mysql.sql(f"create database `{name}`; create table `{name}`.theirs (a int)")

        yield Case(here, ENGINES["mariadb"], mysql.spec(), secrets, mysql.databases, occupy, "mo_crm__drill")
        mysql.sql("".join(f"drop database `{one}`;" for one in mysql.databases()))
    elif request.param == "postgres":
        post.make("mo_crm", "create table people (id int); insert into people select generate_series(1, 10);")
        yield Case(
            here, ENGINES["postgres"], post.spec("crm"), secrets, lambda: post.databases, post.make, "mo_crm__drill"
        )
        for one in post.databases:
            if one.startswith("mo_"):
                post.sql(f'drop database "{one}" with (force)')
    else:
        make(here.home / "data/crm.db")

        def files() -> set[str]:
            return {path.name for path in (here.home / "data").iterdir()}

        yield Case(here, ENGINES["sqlite"], spec(), secrets, files, lambda name: None, sqlite._scratch(spec()))


async def test_a_backup_is_restored_counted_dropped_and_noted(case: Case) -> None:
    one, before = await case.backup(), case.there()
    found = await case.drill(one)
    assert found.passed and found.rows == one.rows and found.seconds > 0 and found.file == one.file, found
    assert case.there() == before
    assert await case.noted() == [found]
    assert [backup.flaw for backup in await store.backups(case.here.host, ["backups"])] == [""], "the note is no backup"
    assert sorted(path.name for path in (case.here.home / "backups").iterdir())[0] == ".drill-crm.json"


async def test_one_that_does_not_pass_is_noted_too(case: Case) -> None:
    one, before = await case.backup(), case.there()
    note = case.here.home / one.manifest
    told = json.loads(note.read_text())
    table = next(name for name, rows in told["rows"].items() if rows)
    note.write_text(json.dumps(told | {"rows": told["rows"] | {table: 99}}))
    found = await case.drill(one)
    assert not found.passed and found.says.startswith("the restored database has other rows than its manifest says")
    assert case.there() == before and await case.noted() == [found]
    note.write_text(json.dumps(told))
    assert (await case.drill(one, "r2")).passed and [drill.run for drill in await case.noted()] == ["r2"]


async def test_two_at_once(case: Case) -> None:
    one, before = await case.backup(), case.there()
    found = await asyncio.gather(*(case.drill(one, f"r{number}") for number in range(3)))
    says = {drill.says for drill in found if not drill.passed}
    assert any(drill.passed for drill in found) and says <= {"another drill of it is going on"}, found
    assert case.there() == before and [drill.passed for drill in await case.noted()] == [True]


async def test_what_a_killed_one_left_is_dropped_by_the_next(case: Case) -> None:
    """Its program is killed when the scratch database is there; the server may still be at work on it."""
    one, before = await case.backup(), case.there()
    name = case.scratch.rpartition("/")[2]
    if case.database.engine == "sqlite":
        (case.here.home / case.scratch).write_bytes(b"half" * 9999)
    for _ in range(40 if case.database.engine != "sqlite" else 0):
        task = asyncio.create_task(case.drill(one))
        while name not in case.there() and not task.done():
            await asyncio.sleep(0.002)
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"drill" in words and b"python3" in words[0]:
                with_signal(int(process.name))
        await asyncio.wait({task})
        if name in case.there():
            break
    assert name in case.there(), "one of the kills came in time"
    assert (await case.drill(one)).passed
    assert case.there() == before


def with_signal(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.parametrize("case", ["mariadb", "postgres"], indirect=True)
async def test_a_database_of_somebody_else_is_not_touched(case: Case) -> None:
    one = await case.backup()
    case.occupy(case.scratch)
    before = case.there()
    found = await case.drill(one)
    assert found.says == "there is a database mo_crm__drill that no drill has made"
    assert case.there() == before


async def test_an_encrypted_backup(case: Case) -> None:
    key = Key.new()
    case.database = key.sealed(case.database)
    one = await case.backup()
    case.secrets = Secrets(environ={**maria.PASSWORDS, **pg.PASSWORDS, NAME: Key.new().identity})
    assert "no identity matched" in (await case.drill(one)).says
    case.secrets = Secrets(environ={**maria.PASSWORDS, **pg.PASSWORDS, NAME: key.identity})
    assert (await case.drill(one)).passed


async def test_a_backup_that_was_cut_since(case: Case) -> None:
    one, before = await case.backup(), case.there()
    file = case.here.home / one.file
    file.write_bytes(file.read_bytes()[:-1])
    assert (await case.drill(one)).says.startswith("the backup does not count: its file is cut short")
    assert case.there() == before


NOW = 1_800_000_000.0
DAY = 86_400.0


def drilled(name: str, days: float = 2, seconds: float = 10, **more: object) -> Drill:
    words = {"database": name, "run": "r1", "passed": True, "started": NOW - days * DAY, "seconds": seconds}
    return Drill.model_validate(words | more)


JUDGED = {
    "never": ([], "warn", "no backup was ever restored to see whether it can be"),
    "all passed": ([drilled("crm"), drilled("shop", seconds=250)], "ok", "last drill 2 days ago: 2/2, 4 min 10 s"),
    "long ago": (
        [drilled("crm", 40), drilled("shop", 40)],
        "warn",
        "last drill 40 days ago: 2/2, 10 s",
    ),
    "one failed": (
        [drilled("crm"), drilled("shop", passed=False, says="the disk is full")],
        "warn",
        "last drill 2 days ago: 1/2, 10 s; shop: the disk is full",
    ),
    "one never": ([drilled("crm")], "warn", "last drill 2 days ago: 1/2, 10 s; never: shop"),
    "one of another day": (
        [drilled("crm", 9, run="r0"), drilled("shop", seconds=3)],
        "ok",
        "last drill 2 days ago: 1/2, 3 s",
    ),
}


@pytest.mark.parametrize("row", JUDGED)
def test_drills_are_judged(row: str) -> None:
    found, status, says = JUDGED[row]
    told = judged([spec(), spec("shop", "data/shop.db")], found, "live", NOW)
    assert (told.status, told.says) == (status, says)
    assert told.hint == ("" if status == "ok" else "fairlead db drill")
