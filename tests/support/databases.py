"""Real SQLite files, and the specs that fairlead.yml would give for them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fairlead.config.database import DatabaseSpec, StoreSpec


def spec(name: str = "crm", path: str = "data/crm.db", **more: object) -> DatabaseSpec:
    words = {"name": name, "group": "local", "engine": "sqlite", "host": "here", "environment": "production"}
    store = {"host": "here", "path": "backups", "keep": 14, "max_age": 86400.0}
    given = {key: more.pop(key) for key in ("keep", "keep_days", "shrink", "max_age") if key in more}
    folder = {"path": more.pop("store")} if "store" in more else {}
    place = {"host": more.pop("store_host")} if "store_host" in more else {}
    return DatabaseSpec.model_validate(
        {**words, "path": path, **more, "store": StoreSpec.model_validate({**store, **given, **folder, **place})}
    )


def make(path: Path, rows: int = 10, wal: bool = False) -> Path:
    """A database with a table of `rows` rows, an empty table, and names that need quoting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    if wal:
        db.execute("pragma journal_mode = wal")
    db.execute("create table people (id integer primary key, name text)")
    db.execute('create table "odd "" name; --" (a)')
    db.execute("begin")
    db.executemany("insert into people (name) values (?)", [(f"n{number}",) for number in range(rows)])
    db.execute("commit")
    db.close()
    return path


def rows_of(path: Path) -> list[tuple[int, str]]:
    db = sqlite3.connect(path)
    try:
        return db.execute("select * from people order by id").fetchall()
    finally:
        db.close()
