"""Databases that answer, and whose tables do not: bytes in the files of real servers are really changed."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.engines import mariadb, postgres, sqlite
from fairlead.model import Finding
from fairlead.outside.secrets import Secrets
from support import postgres as pg
from support.databases import make, spec
from support.mariadb import SECRETS, MariaDB, open_folder
from support.places import Place

NONE = Secrets(())


def damage(file: Path, at: int, length: int = 64) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(b"\xa5" * length)


def refuses(found: Finding, table: str) -> None:
    assert found.status == "fail" and f"the table {table} is damaged: " in found.says, found
    assert list(found.evidence["damaged"]) == [table]  # type: ignore[call-overload]


@pytest.fixture
def maria() -> Iterator[MariaDB]:
    folder = open_folder()
    with MariaDB(folder / "server") as one:
        yield one
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_page_of_mariadb(here: Place, maria: MariaDB) -> None:
    maria.create("crm", "create table orders (id int primary key, a varchar(900));", rows=50)
    maria.sql("insert into orders select seq, repeat('x', 900) from seq_1_to_400", "mo_crm")
    whole = await mariadb.deep(here.host, maria.spec(), SECRETS)
    assert (whole.status, whole.says) == ("ok", "every table can be read"), whole
    maria.stop()
    damage(maria.data / "mo_crm/orders.ibd", 16384 * 6 + 200)
    maria.start()
    (reached,) = await mariadb.ping(here.host, [maria.spec()], SECRETS)
    assert reached.status == "ok", "it answers"
    refuses(await mariadb.deep(here.host, maria.spec(), SECRETS), "orders")


@pytest.mark.long
async def test_a_table_of_mariadb_whose_file_is_gone(here: Place, maria: MariaDB) -> None:
    maria.create("crm", "create table orders (id int primary key);", rows=5)
    maria.stop()
    (maria.data / "mo_crm/orders.ibd").unlink()
    maria.start()
    refuses(await mariadb.deep(here.host, maria.spec(), SECRETS), "orders")


async def test_a_server_that_is_gone_is_not_damaged(here: Place, maria: MariaDB) -> None:
    maria.create("crm")
    maria.stop(signal.SIGKILL)
    found = await mariadb.deep(here.host, maria.spec(), SECRETS)
    assert (found.status, found.evidence) == ("unknown", {}) and "is closed" in found.says, found


PG_WAYS = {
    "page": lambda file: damage(file, 8192 + 100),
    "cut": lambda file: file.write_bytes(file.read_bytes()[: 8192 * 2]),
    "gone": lambda file: file.unlink(),
    "header": lambda file: damage(file, 0, 24),
}


async def test_files_of_postgres(here: Place) -> None:
    """A table for each way, and one that is well."""
    with pg.Postgres() as server:
        server.make("mo_idp", "create table people (id int)", "insert into people select generate_series(1, 50)")
        paths = {}
        for table in PG_WAYS:
            made = f"create table {table} as select g, repeat('x', 500) as a from generate_series(1, 200) g"
            server.sql("set role svc", made, database="mo_idp")
            paths[table] = server.sql(f"select pg_relation_filepath('{table}')", database="mo_idp")
        whole = await postgres.deep(here.host, server.spec(), pg.secrets())
        assert (whole.status, whole.says) == ("ok", "every table can be read"), whole
        server.sql("analyze", database="mo_idp")
        server.sql("checkpoint")
        server.stop(signal.SIGINT)
        server._run(pg.binary("pg_checksums"), "--enable", "-D", str(server.data))
        for table, way in PG_WAYS.items():
            way(server.data / paths[table])
        server.start()
        (reached,) = await postgres.ping(here.host, [server.spec()], pg.secrets())
        assert reached.status == "ok", "it answers"
        found = await postgres.deep(here.host, server.spec(), pg.secrets())
        assert found.status == "fail" and list(found.evidence["damaged"]) == [  # type: ignore[call-overload]
            f"public.{one}" for one in sorted(PG_WAYS)
        ]
        assert found.says.endswith("; 3 more are: public.gone, public.header, public.page"), found


async def test_a_page_of_sqlite(here: Place) -> None:
    path = make(here.home / "data/crm.db", rows=5)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("create table orders (id integer primary key, a)")
    db.executemany("insert into orders (a) values (?)", [("x" * 500,) for _ in range(200)])
    (root,) = db.execute("select rootpage from sqlite_master where name = 'orders'").fetchone()
    db.close()
    assert (await sqlite.deep(here.host, spec(), NONE)).status == "ok"
    damage(path, 4096 * (root - 1), 300)
    (reached,) = await sqlite.ping(here.host, [spec()], NONE)
    assert reached.status == "ok", "it answers"
    refuses(await sqlite.deep(here.host, spec(), NONE), "orders")


async def test_a_sqlite_database_that_is_locked_is_not_damaged(here: Place) -> None:
    path = make(here.home / "data/crm.db")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("begin exclusive")
    began = time.monotonic()
    found = await sqlite.deep(here.host, spec(), NONE)
    db.close()
    assert (found.status, found.evidence) == ("unknown", {}) and "is locked" in found.says
    assert time.monotonic() - began < 30
