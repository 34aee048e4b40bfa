"""Databases that are empty, large or lost in the middle, and backups that are not what they were."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support import mariadb, postgres
from support.box import FREE, Box, Boxes, ended, says, until

PRINTABLE = "".join(chr(sign) for sign in range(32, 127)) + "äß€😀"


class Maria:
    """A real MariaDB server, as these rows need one."""

    lost = (("the server ended the connection in the middle of the dump", "was it restarted or killed?"),)

    def __init__(self) -> None:
        self.folder = mariadb.open_folder()
        self.server = mariadb.MariaDB(self.folder / "server")
        self.passwords = dict(mariadb.PASSWORDS)

    def databases(self) -> set[str]:
        return self.server.databases()

    def group(self, user: str = "svc", password: str = mariadb.USER) -> dict[str, Any]:
        master = {"user": "fairlead", "password": mariadb.ROOT}
        return group("mariadb", self.server.port, user, password, master)

    def make(self, name: str, tables: int) -> None:
        self.server.create(name, "".join(f"create table t{n} as select {n} as a;" for n in range(tables)), rows=None)

    def tables(self, database: str) -> int:
        where = f"from information_schema.tables where table_schema = '{database}'"
        return int(self.server.sql(f"select count(*) {where}"))

    def account(self, name: str, password: str) -> None:
        quoted = password.replace("\\", "\\\\").replace("'", "\\'")
        self.server.sql(f"create or replace user {name}@'%' identified by '{quoted}'; grant all on *.* to {name}@'%'")

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Somebody holds a table, so that a dump waits in its middle."""
        words = ("mariadb", "--no-defaults", "-uroot", f"--socket={self.server.socket}", f"mo_{name}")
        with talking(words, "lock tables t1 write; select sleep(100);\n"):
            until(lambda: "sleep" in self.server.sql("show processlist"), "the lock")
            yield

    def waits(self) -> bool:
        return "Waiting for table metadata lock" in self.server.sql("show processlist")

    def kill(self) -> None:
        self.server.stop(signal.SIGKILL)


class Postgres:
    """The same of PostgreSQL."""

    def __init__(self) -> None:
        self.server = postgres.Postgres()
        self.passwords = dict(postgres.PASSWORDS)
        says, login = "the server was lost while it was dumped", f"127.0.0.1:{self.server.port}"
        self.lost = (
            (f"{says}: port closed", "is PostgreSQL running there?"),
            (f"{says}: {login} ends the connection at the login", "look into the server's log"),  # just after the kill
        )

    def databases(self) -> set[str]:
        return self.server.databases

    def group(self, user: str = "svc", password: str = postgres.SERVICE) -> dict[str, Any]:
        master = {"user": "fairlead", "password": postgres.MASTER}
        return group("postgres", self.server.port, user, password, master)

    def make(self, name: str, tables: int) -> None:
        self.server.make(f"mo_{name}", *(f"create table t{n} as select {n} as a" for n in range(tables)))

    def tables(self, database: str) -> int:
        return int(self.server.sql("select count(*) from pg_tables where schemaname = 'public'", database=database))

    def account(self, name: str, password: str) -> None:
        self.server.sql(f"create role {name} superuser login password {postgres.quoted(password)} in role tested")

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        where = ("-h", str(self.server.data), "-p", str(self.server.port), "-U", "postgres", "-d", f"mo_{name}")
        with talking(("psql", "-X", "-q", *where), "begin; lock table t1; select pg_sleep(100);\n"):
            until(
                lambda: (
                    "pg_sleep" in self.server.sql("select query from pg_stat_activity where pid <> pg_backend_pid()")
                ),
                "the lock",
            )
            yield

    def waits(self) -> bool:
        return self.server.sql("select count(*) from pg_locks where not granted") != "0"

    def kill(self) -> None:
        self.server.stop()


def group(engine: str, port: int, user: str, password: str, maintenance: dict[str, str]) -> dict[str, Any]:
    """What fairlead.yml says of the databases."""
    login = {
        "address": "127.0.0.1",
        "port": port,
        "tls": "off",
        "user": user,
        "password": password,
        "maintenance": maintenance,
    }
    store = {"host": "server", "path": "backups", "keep": 9}
    return {"engine": engine, "reached_from": "server", **login, "database": "mo_{name}", "backup_store": store}


@contextmanager
def talking(words: tuple[str, ...], text: str) -> Iterator[None]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, **pipes) as other:
        assert other.stdin
        other.stdin.write(text.encode())
        other.stdin.flush()
        try:
            yield
        finally:
            other.kill()


Engine = Maria | Postgres


@pytest.fixture(scope="module", params=[Maria, Postgres], ids=["mariadb", "postgres"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made: Engine = request.param()
    with made.server:
        yield made
    shutil.rmtree(getattr(made, "folder", ""), ignore_errors=True)


def server(boxes: Boxes, engine: Engine, tables: int, **login: str) -> tuple[Box, str]:
    """A server that reaches a new database with so many tables, and the database's name."""
    name = next(name for name in (f"crm{n}" for n in range(99)) if f"mo_{name}" not in engine.databases())
    engine.make(name, tables)
    given = engine.group(**login) | {"names": {name: {}}}
    return boxes(databases={"external": given}, environ=engine.passwords), name


def kept(box: Box) -> list[Path]:
    """Files in the store."""
    return sorted(path for path in (box.home / "backups").rglob("*") if path.is_file())


@pytest.mark.parametrize("tables", [0, 300], ids=["an empty database", "three hundred tables"])
def test_backed_up_and_restored(boxes: Boxes, engine: Engine, tables: int) -> None:
    box, name = server(boxes, engine, tables)
    says(box.run("db", "backup"), 0, f"{tables} rows in {tables} tables")
    into = f"mo_again{tables}"
    says(box.run("db", "restore", name, "--into", into), 0, f"restored into {into}")
    assert engine.tables(into) == tables == engine.tables(f"mo_{name}")
    says(box.run("db", "restore", name, "--into", into), 1, "exists already")
    assert engine.tables(into) == tables


def test_server_killed_in_mid_dump(boxes: Boxes, engine: Engine) -> None:
    box, name = server(boxes, engine, 3)
    with engine.held(name):
        process = box.operator.start("db", "backup")
        until(engine.waits, "the dump to wait")
        engine.kill()
        told = ended(process)
    engine.server.start()  # it is that of the rows to come too
    says(told, 1, *next((said for said in engine.lost if said[0] in told.text), engine.lost[0]))
    assert "0/1 databases backed up" in told.out
    assert kept(box) == []
    says(box.run("ready"), 1, "no backup", f"fairlead db backup {name}")
    until(lambda: box.run("db", "check").code == 0, "the server to be back")
    assert engine.tables(f"mo_{name}") == 3


def test_backup_truncated_by_one_byte(boxes: Boxes, engine: Engine) -> None:
    box, name = server(boxes, engine, 3)
    says(box.run("db", "backup"), 0, "3 rows in 3 tables")
    backup = next(path for path in kept(box) if not path.name.endswith(".json"))
    backup.write_bytes(backup.read_bytes()[:-1])
    before = box.photograph()
    says(box.deploy(), 1, "does not count", "fairlead ready")
    told = box.run("db", "restore", name, "--into", "mo_cut")
    says(told, 1, "it does not count: its file is cut short", "`fairlead db backups` lists them")
    says(box.run("db", "backups"), 0, "does not count: its file is cut short or changed")
    assert "mo_cut" not in engine.databases()
    assert box.photograph() == before and box.lock() == FREE


def test_a_newer_backup_that_does_not_count_is_passed_over_and_that_is_said(boxes: Boxes, engine: Engine) -> None:
    box, name = server(boxes, engine, 3)
    says(box.run("db", "backup"), 0, "3 rows in 3 tables")
    first = {path.name for path in kept(box)}
    says(box.run("db", "backup"), 0, "3 rows in 3 tables")
    last = next(path for path in kept(box) if path.name not in first and not path.name.endswith(".json"))
    last.write_bytes(last.read_bytes()[:-1])
    passed = f"{last.name} is newer and was passed over, it does not count: its file is cut short or changed"
    says(box.run("db", "restore", name, "--into", "mo_older"), 0, passed, "`fairlead db backups` lists them")
    assert engine.tables("mo_older") == 3
    asked = box.run("db", "restore", name)
    assert passed in asked.text and engine.tables(f"mo_{name}") == 3


def test_two_backups_at_once(boxes: Boxes, engine: Engine) -> None:
    box, _ = server(boxes, engine, 300)
    first, second = (box.operator.start("db", "backup", "--json") for _ in range(2))
    told = [ended(first), ended(second)]
    assert 0 in [one.code for one in told]
    for one in told:
        assert one.code == 0 or (one.code == 1 and "another backup of it is being written" in one.text), one.text
    says(box.run("ready"), 0, "unchanged since it was proven")
    assert not [path for path in kept(box) if path.name.endswith(".part")]


def test_a_password_with_every_printable_character(boxes: Boxes, engine: Engine) -> None:
    engine.account("odd", PRINTABLE)
    engine.passwords["ODD"] = PRINTABLE
    box, name = server(boxes, engine, 3, user="odd", password="ODD")
    for group in box.databases.values():  # dumped and restored by it too
        group["maintenance"] = {"user": "odd", "password": "ODD"}
    box.configure()
    says(box.run("db", "check"), 0, "1/1 databases reachable")
    several = [("db", "backup"), ("db", "restore", name, "--into", "mo_again")]
    told = [box.run(*words) for words in several]
    says(told[0], 0, "3 rows in 3 tables")
    says(told[1], 0, "mo_again")
    assert not any(PRINTABLE in one.text for one in told)
    texts = [path.read_bytes() for path in box.home.rglob("*") if path.is_file()]
    assert not any(PRINTABLE.encode() in text for text in texts)
