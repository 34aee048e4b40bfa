"""What the demo claims at its end, looked up in the estate itself: over HTTP, in /proc and in the databases' files."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from fairlead.demo.config import DATABASES, MIGRATED, SERVICES
from fairlead.demo.estate import Estate
from fairlead.demo.sources import tree_of


def services(estate: Estate) -> list[dict[str, Any]]:
    """Name, version, whether its identity is proven, and the milliseconds of its answer, of every service."""
    return [service(estate, name) for name in SERVICES]


def service(estate: Estate, name: str) -> dict[str, Any]:
    """What the service itself says, and whether it is true."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(f"{estate.urls[name]}/version", timeout=5) as answer:  # noqa: S310 - our own loopback
            told = json.loads(answer.read())
    except (OSError, ValueError):
        told = {}
    ms = round(1000 * (time.monotonic() - began), 1)
    proven = identity_holds(estate.service(name), told)
    return {"name": name, "version": told.get("version", ""), "identity_proven": proven, "ms": ms}


def identity_holds(folder: Path, told: dict[str, Any]) -> bool:
    """The process that answered was started in the live release, and that folder has the content it is named for."""
    try:
        started_in = Path(f"/proc/{told['pid']}/cwd").readlink()
    except (OSError, KeyError):
        return False
    live = (folder / "current").resolve()
    return started_in == live and tree_of(live).hash[:12] == live.name == told.get("release")


def databases(estate: Estate) -> dict[str, int]:
    """How many of the databases can be opened and are whole."""
    return {"reachable": sum(is_whole(estate.database(name)) for name in DATABASES), "total": len(DATABASES)}


def is_whole(path: Path) -> bool:
    """Open a database, check it, and read from it."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=5)
        try:
            checked = connection.execute("PRAGMA quick_check").fetchone()[0]
            return bool(checked == "ok" and connection.execute("SELECT count(*) FROM entries").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error:
        return False


def rows(estate: Estate) -> Rows:
    """Look for every row that was acknowledged."""
    promised: dict[str, set[str]] = {}
    for line in estate.acknowledged.read_text().splitlines():
        database, _, mark = line.partition(" ")
        promised.setdefault(database, set()).add(mark)
    marks = {database: live_and_kept(estate, database) for database in promised}
    lost = sum(len(promised[database] - live - kept) for database, (live, kept) in marks.items())
    aside = sum(len((promised[database] & kept) - live) for database, (live, kept) in marks.items())
    return Rows(sum(map(len, promised.values())), lost, aside)


class Rows(NamedTuple):
    """What became of the rows that were acknowledged to their writers."""

    acknowledged: int
    lost: int
    """In no database any more."""
    kept: int
    """Not live, but in what was kept when a database was taken back."""


def schemas(estate: Estate) -> dict[str, str]:
    """The version whose schema each migrated database has."""
    found = {}
    for name in MIGRATED.values():
        with closing(sqlite3.connect(f"file:{estate.database(name)}?mode=rw", uri=True, timeout=5)) as connection:
            found[name] = str(connection.execute("SELECT value FROM settings WHERE key = 'schema'").fetchone()[0])
    return found


def live_and_kept(estate: Estate, database: str) -> tuple[set[str], set[str]]:
    """The marks of all rows of a database, and of those that were kept when it was taken back."""
    live = estate.home / "data" / f"{database}.db"
    several = live.parent.glob(f"{live.name}__kept_????????_????????")
    return marks_in(live), set().union(*map(marks_in, several))


def marks_in(path: Path) -> set[str]:
    """The marks of all rows of a database; none where it does not answer."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=5)
        try:
            return {mark for (mark,) in connection.execute("SELECT mark FROM entries")}
        finally:
            connection.close()
    except sqlite3.Error:
        return set()
