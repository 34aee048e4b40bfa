"""Databases taken back to a backup in place of the live ones, and back again, by the command line."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any, Protocol

import pytest

from support import mariadb, postgres
from support.box import FREE, OPEN, Box, Boxes, ended, says, until


class Place(Protocol):
    """A database that these rows can write to and read, past Fairlead."""

    def group(self) -> dict[str, Any]:
        """What fairlead.yml says of it."""
        ...

    def sql(self, text: str) -> str:
        """Run a statement in the live database; what it says, a row a line."""
        ...


class Maria:
    """`mo_crm` on a real MariaDB."""

    passwords = dict(mariadb.PASSWORDS)

    def __init__(self, home: Path, folder: Path) -> None:
        del home, folder
        self.folder = mariadb.open_folder()
        self.server = mariadb.MariaDB(self.folder / "server")
        self.server.__enter__()
        self.server.create("crm", TABLE, rows=None)

    def group(self) -> dict[str, Any]:
        return login("mariadb", self.server.port, mariadb.USER, mariadb.ROOT)

    def sql(self, text: str) -> str:
        return self.server.sql(text, "mo_crm")

    def close(self) -> None:
        self.server.__exit__(None, None, None)
        shutil.rmtree(self.folder)


class Postgres:
    """`mo_crm` on a real PostgreSQL."""

    passwords = dict(postgres.PASSWORDS)

    def __init__(self, home: Path, folder: Path) -> None:
        del home, folder
        self.server = postgres.Postgres()
        self.server.__enter__()
        self.server.make("mo_crm", *filter(None, TABLE.split(";")))

    def group(self) -> dict[str, Any]:
        return login("postgres", self.server.port, postgres.SERVICE, postgres.MASTER)

    def sql(self, text: str) -> str:
        return self.server.sql(text, database="mo_crm")

    def close(self) -> None:
        self.server.__exit__(None, None, None)


class Sqlite:
    """A file in the account's home."""

    passwords: dict[str, str] = {}

    def __init__(self, home: Path, folder: Path) -> None:
        del folder
        self.path = home / "data/crm.db"

    def group(self) -> dict[str, Any]:
        store = {"host": "server", "path": "backups", "keep": 9}
        return {"engine": "sqlite", "reached_from": "server", "path": "data/{name}.db", "backup_store": store}

    def sql(self, text: str) -> str:
        with sqlite3.connect(self.path, isolation_level=None) as db:
            db.executescript(text) if ";" in text else None
            rows = [] if ";" in text else db.execute(text).fetchall()
        return "\n".join("|".join(map(str, row)) for row in rows)

    def close(self) -> None:
        """A file needs none."""


TABLE = "create table people (id integer primary key, name varchar(20));insert into people values (1, 'a'), (2, 'b');"
PEOPLE = "select name from people order by id"


def login(engine: str, port: int, password: str, master: str) -> dict[str, Any]:
    words = {"address": "127.0.0.1", "port": port, "tls": "off", "user": "svc", "password": password}
    store = {"host": "server", "path": "backups", "keep": 9}
    account = {"user": "fairlead", "password": master}
    more = {"database": "mo_{name}", "backup_store": store, "maintenance": account}
    return {"engine": engine, "reached_from": "server", **words, **more}


@pytest.fixture(params=[Maria, Postgres, Sqlite], ids=["mariadb", "postgres", "sqlite"])
def crm(request: pytest.FixtureRequest, boxes: Boxes, tmp_path: Path) -> Any:
    """A box with the database `crm`, of which there is a backup with `a` and `b`."""
    box = boxes(environ=request.param.passwords)
    place = request.param(box.home, tmp_path)
    box.databases = {"data": place.group() | {"names": {"crm": {}}}}
    box.configure()
    if isinstance(place, Sqlite):
        box.put("data/.keep", "")
        place.sql(TABLE)
        box.own(box.home / "data")
    says(box.run("db", "backup"), 0, "2 rows in 1 tables")
    place.sql("insert into people values (3, 'c');")
    place.sql("update people set name = 'B' where id = 2;")
    assert names(place) == "a B c"
    yield box, place
    place.close()


def names(place: Place) -> str:
    return " ".join(place.sql(PEOPLE).split())


def test_taken_back_and_back_again(crm: tuple[Box, Place]) -> None:
    box, place = crm
    told = box.run("db", "restore", "crm", "--yes", "--reason", "an import went wrong")
    says(told, 0, "is done")
    assert names(place) == "a b" and box.lock() == FREE
    assert "people: 0 only live, 1 only kept, 1 changed" in told.out, told.out
    says(box.run("db", "ledger", "crm"), 0, "1 only kept, 1 changed")
    place.sql("insert into people values (9, 'i');")
    says(box.run("db", "restore", "crm", "--undo", "--yes"), 0, "is done")
    assert names(place) == "a B c"
    says(box.run("db", "restore", "crm", "--undo", "--yes"), 2, "nothing is kept of crm", "fairlead history")
    says(box.run("db", "restore", "crm", "--yes"), 0, "is done")
    assert names(place) == "a b" and box.lock() == FREE


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_as_json(crm: tuple[Box, Place]) -> None:
    box, _ = crm
    told = box.run("db", "restore", "crm", "--yes", "--json")
    found = json.loads(told.out)
    assert told.code == 0 and found["deployment"]["state"] == "done" and list(found["kept"]) == ["crm"]
    assert found["ledgers"][0]["tables"][0]["only_kept"] == 1
    assert "'c'" not in told.text


WRONG = {
    "no such database": (("mail",), "no database 'mail'", "crm"),
    "no such backup": (("crm", "--backup", "x"), "no proven backup x of crm", "fairlead db backups"),
    "two names and one backup": (("crm", "mail", "--backup", "x"), "for one database", "name one"),
    "undo of nothing": (("crm", "--undo"), "nothing is kept of crm", "fairlead history"),
    "undo of a backup": (("crm", "--undo", "--backup", "x"), "--undo makes live what is kept", ""),
}


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
@pytest.mark.parametrize("row", WRONG)
def test_what_cannot_be_asked_for(crm: tuple[Box, Place], row: str) -> None:
    box, place = crm
    words, what, hint = WRONG[row]
    says(box.run("db", "restore", *words, "--yes"), 2, what, hint)
    assert names(place) == "a B c"


def test_killed_in_the_middle_and_finished_from_another_machine(crm: tuple[Box, Place]) -> None:
    box, place = crm
    box.environment["lease"] = {"ttl": "5s", "beat": "5s"}
    box.configure()
    record = box.home / ".fairlead/live/runs"
    there = set(record.iterdir())
    process = box.operator.start("db", "restore", "crm", "--yes")

    def begun() -> bool:
        new = [path for path in record.iterdir() if path not in there]
        return bool(new) and new[0].read_text().count('"intent"') >= 2

    until(begun, "the swap to begin")
    process.kill()
    ended(process)
    shutil.rmtree(box.operator.home)
    told = box.run("resume", "--no-watch")
    assert told.code in (0, 3), told.text
    assert names(place) == ("a b" if told.code == 0 else "a B c") and box.lock() == FREE


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_what_it_was_made_for_is_shown_before(crm: tuple[Box, Place]) -> None:
    """Nobody is here to say yes: the plan of it can be read all the same, and nothing is changed."""
    box, place = crm
    told = box.run("db", "restore", "crm")
    says(told, 5, "nobody is here to approve the plan")
    assert names(place) == "a B c" and box.lock() != OPEN
