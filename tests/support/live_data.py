"""One database `mo_crm` (SQLite: a file) of each engine, which rows write to and read past Fairlead, and migrate."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any, Protocol

from support import mariadb, postgres


class Place(Protocol):
    """A database that these rows can write to and read, past Fairlead."""

    def group(self) -> dict[str, Any]:
        """What fairlead.yml says of it."""
        ...

    @property
    def client(self) -> list[str]:
        """A command that runs, in a release on the server, the statements that are its last word."""
        ...

    def sql(self, text: str) -> str:
        """Run a statement in the live database; what it says, a row a line."""
        ...

    def close(self) -> None:
        """End its server."""
        ...


class Maria:
    """`mo_crm` on a real MariaDB."""

    @property
    def client(self) -> list[str]:
        login = ["-ufairlead", f"-p{mariadb.PASSWORDS[mariadb.ROOT]}", "-h127.0.0.1", f"-P{self.server.port}"]
        return ["mariadb", "--no-defaults", "--skip-ssl", *login, "mo_crm", "-e"]

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

    @property
    def client(self) -> list[str]:
        words = f"postgresql://fairlead:{postgres.PASSWORDS[postgres.MASTER]}@127.0.0.1:{self.server.port}/mo_crm"
        return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", words, "-c"]

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

    client = [
        "python3",
        "-c",
        "import sqlite3, sys; sqlite3.connect('../../../data/crm.db').executescript(sys.argv[1])",
    ]

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


def names(place: Place) -> str:
    """The people of the live database."""
    return " ".join(place.sql(PEOPLE).split())


def there(place: Place) -> set[str]:
    """The databases on its server that are called as the tests' are."""
    assert isinstance(place, Maria | Postgres)
    found = place.server.databases
    return {name for name in (found() if callable(found) else found) if name.startswith("mo_")}


def migration(place: Place, *after: str, **more: Any) -> dict[str, Any]:
    """A migration that changes both what tables look like and what is in them; `after`: what is written behind it."""
    asks = "select extra from people limit 1"
    probe = ["sh", "-c", '"$@" >/dev/null 2>&1 && echo after || echo before', "x", *place.client, asks]
    apply = [[*place.client, text] for text in (MIGRATE, *after)]
    return {"apply": apply, "probe": probe, "databases": ["crm"], **more}


MIGRATE = "alter table people add column extra int; update people set name = 'A' where id = 1;"
