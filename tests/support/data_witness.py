"""One database of each engine as its own client programs see it: its rows, its definitions, what lies beside it.

Imports nothing from the product, so that the product cannot be its own witness.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Line = tuple[str, ...]
"""One row: its columns in their order, as text."""
Rows = Mapping[str, Counter[Line]]
"""Table -> how often each row is there."""


class Gone(Exception):
    """The session ended before it had answered: what was asked may have been done, or not."""


class Talk(Protocol):
    """A session: one statement, or one transaction, after the other."""

    def ask(self, sql: str) -> list[Line]:
        """What the statements print. Raises Gone."""
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True)
class Found:
    """One database at one moment, while nobody writes."""

    rows: Rows
    definitions: str

    @property
    def checksum(self) -> int:
        """Equal for equal contents; for this process only."""
        return hash((self.definitions, *((name, frozenset(self.rows[name].items())) for name in sorted(self.rows))))


class Witness(Protocol):
    """Where one database lives, whatever keeps it."""

    live: str
    """Its name; a file's path."""

    def look(self, name: str) -> Found:
        """All rows and definitions of a database here."""
        ...

    def beside(self) -> list[str]:
        """The databases that lie beside the live one and have its name in theirs."""
        ...

    def drop(self, name: str) -> None:
        """Drop one of them."""
        ...

    def talk(self) -> Talk:
        """A session in the live database. Raises Gone where nobody is let in."""
        ...


class Client:
    """A client program that is fed through a pipe and ends at the first error."""

    def __init__(self, argv: Sequence[str], separator: str = "\t") -> None:
        pipe = subprocess.PIPE
        self.separator, self.mark = separator, os.urandom(6).hex()
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    def ask(self, sql: str) -> list[Line]:
        assert self.process.stdin and self.process.stdout
        found: list[Line] = []
        try:
            self.process.stdin.write(f"{sql};\nselect '{self.mark}';\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Gone from None
        for raw in self.process.stdout:
            line = raw.decode().rstrip("\n")
            if line == self.mark:
                return found
            found.append(tuple(line.split(self.separator)))
        raise Gone

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()


class MariaWitness:
    """A schema of a MariaDB server, through its socket."""

    def __init__(self, socket: Path, live: str) -> None:
        self.live = live
        self.client = ["mariadb", "--no-defaults", "-uroot", f"--socket={socket}", "--default-character-set=utf8mb4"]
        self.client += ["--binary-mode", "-NB"]

    def look(self, name: str) -> Found:
        kinds = dict(self._rows(f"show full tables from `{name}`"))
        tables = [table for table, kind in kinds.items() if kind == "BASE TABLE" and not table.startswith("_")]
        rows = {table: Counter(self._rows(f"select * from `{name}`.`{table}`")) for table in tables}
        shown = [self._rows(f"show create table `{name}`.`{table}`") for table in sorted(tables)]
        return Found(rows, re.sub(r" AUTO_INCREMENT=\d+", "", f"{sorted(kinds)} {shown}").replace("'_fairlead', ", ""))

    def beside(self) -> list[str]:
        return [name for (name,) in self._rows("show databases") if name.startswith(f"{self.live}_")]

    def drop(self, name: str) -> None:
        self._rows(f"drop database `{name}`")

    def talk(self) -> Client:
        return Client([*self.client, "--unbuffered", f"--database={self.live}"])

    def _rows(self, sql: str) -> list[Line]:
        return _lines([*self.client, "--binary-as-hex", "-e", sql])


class PostgresWitness:
    """A database of a PostgreSQL server, through its socket."""

    def __init__(self, folder: Path, port: int, live: str) -> None:
        self.live, self.where = live, ["-h", str(folder), "-p", str(port), "-U", "postgres"]

    def look(self, name: str) -> Found:
        asked = "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        tables = [table for (table,) in self._rows(name, asked)]
        rows = {table: Counter(self._rows(name, f"copy public.{table} to stdout")) for table in tables}
        dump = ["pg_dump", *self.where, "--schema-only", name]
        definitions = [line for line in _lines(dump) if not re.match(r"\\(un)?restrict ", line[0])]  # random words
        return Found(rows, str(definitions))

    def beside(self) -> list[str]:
        found = self._rows("postgres", "select datname from pg_database")
        return [name for (name,) in found if name.startswith(f"{self.live}_")]

    def drop(self, name: str) -> None:
        self._rows("postgres", f'drop database "{name}" with (force)')

    def talk(self) -> Client:
        return Client([*self._psql(self.live), "-F\t"])

    def _psql(self, database: str) -> list[str]:
        return ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *self.where, "-d", database]

    def _rows(self, database: str, sql: str) -> list[Line]:
        return _lines([*self._psql(database), "-c", sql])


class SqliteWitness:
    """A file."""

    def __init__(self, path: Path) -> None:
        self.path, self.live = path, str(path)

    def look(self, name: str) -> Found:
        db = sqlite3.connect(f"file:{name}?mode=ro", uri=True, timeout=30, isolation_level=None)
        try:
            db.execute("begin")
            asked = "select type, name, sql from sqlite_master where sql is not null order by name"
            made = [row for row in db.execute(asked) if not row[1].startswith(("_fairlead", "sqlite_"))]
            tables = [name for kind, name, _ in made if kind == "table"]
            rows = {table: Counter(map(_texts, db.execute(f'select * from "{table}"'))) for table in tables}
            return Found(rows, json.dumps(made))
        finally:
            db.close()

    def beside(self) -> list[str]:
        found = self.path.parent.glob(f"{self.path.name}__*")
        return sorted(str(path) for path in found if path.suffix == "" or re.fullmatch(r".*_[0-9a-f]{8}", path.name))

    def drop(self, name: str) -> None:
        for path in Path(name).parent.glob(f"{Path(name).name}*"):
            path.unlink()

    def talk(self) -> SqliteTalk:
        return SqliteTalk(self.path)


class SqliteTalk:
    """A connection that waits for others as an application would."""

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)

    def ask(self, sql: str) -> list[Line]:
        try:
            return [line for one in sql.split(";") if one.strip() for line in map(_texts, self._run(one))]
        except sqlite3.OperationalError:
            if self.db.in_transaction:
                self.db.execute("rollback")
            raise Gone from None

    def _run(self, one: str) -> list[tuple[object, ...]]:
        return self.db.execute(one).fetchall()

    def close(self) -> None:
        self.db.close()


def _texts(row: Sequence[object]) -> Line:
    return tuple(word if isinstance(word, str) else repr(word) for word in row)


def _lines(argv: Sequence[str]) -> list[Line]:
    done = subprocess.run(argv, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{argv[0]}: {done.stderr.decode()[-600:]}")
    return [tuple(line.split("\t")) for line in done.stdout.decode().split("\n") if line]


# -- what two of them differ in


def difference(live: Rows, kept: Rows, keys: Mapping[str, int]) -> dict[str, tuple[int, int, int]]:
    """Table -> rows only live, rows only kept, and rows of both with other values.

    `keys`: of how many columns, the first ones, the primary key is; 0 = none: then rows are equal or they are not.
    """
    return {table: _differ(live[table], kept[table], keys[table]) for table in keys}


def _differ(live: Counter[Line], kept: Counter[Line], key: int) -> tuple[int, int, int]:
    if not key:
        return (live - kept).total(), (kept - live).total(), 0
    here, there = ({line[:key]: line for line in side} for side in (live, kept))
    changed = sum(here[each] != there[each] for each in here.keys() & there.keys())
    return len(here.keys() - there.keys()), len(there.keys() - here.keys()), changed
