"""Migrate one database of the demo's estate to what a release needs: what prisma, drush or alembic are elsewhere.

    migrate.py apply|probe DATABASE      with the release's folder as working folder

The release's VERSION says to which: its column is added, and some old rows are written in a new way. `probe` prints
`after` or `before`. Standard library only.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

OLD = 60
"""Rows up to this number are written anew."""


def apply(database: sqlite3.Connection, version: str) -> None:
    """All of it or nothing, whatever else is being written."""
    database.execute("BEGIN IMMEDIATE")
    columns = {name for _, name, *_ in database.execute("PRAGMA table_info(entries)")}
    if version not in columns:
        database.execute(f'ALTER TABLE entries ADD COLUMN "{version}" TEXT')
    database.execute("UPDATE entries SET text = text || ? WHERE id <= ?", (f" ({version})", OLD))
    database.execute("UPDATE settings SET value = ? WHERE key = 'schema'", (version,))
    database.execute("COMMIT")


def migrated_to(database: sqlite3.Connection) -> str:
    """The version whose schema the database has."""
    return str(database.execute("SELECT value FROM settings WHERE key = 'schema'").fetchone()[0])


def main(verb: str, path: str) -> None:
    """Do what the command line says."""
    version = Path("VERSION").read_text().strip()
    database = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=20, isolation_level=None)
    if verb == "probe":
        print("after" if migrated_to(database) == version else "before")
    elif migrated_to(database) != version:
        apply(database, version)
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
