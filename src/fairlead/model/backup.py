from __future__ import annotations

from typing import Literal

from fairlead.model.base import Model


class Backup(Model):
    """A copy of one database in a backup store, as its manifest tells it."""

    database: str
    """The name that fairlead.yml gives the database."""
    engine: Literal["mariadb", "postgres", "sqlite"] = "sqlite"
    host: str = ""
    """Name of the account that holds the store."""
    file: str
    """On that host: relative to the account's home, or absolute."""
    manifest: str
    """Beside the file; empty where there is none, and then the copy is not proven."""
    source: str = ""
    """What was copied: a path on that host, or the name and the server of a database."""
    size: int = 0
    """Bytes."""
    sha256: str = ""
    rows: dict[str, int] = {}
    """By table, counted in the copy itself."""
    started: float = 0.0
    """Unix time by that host's clock, seconds."""
    seconds: float = 0.0
    tools: dict[str, str] = {}
    """Programs and versions that made it."""
    label: str = ""
    """What it was made for; how a plan finds its own backup again."""
    proven: bool = False
    """The copy passed the engine's integrity check after it was written."""
    intact: bool | None = None
    """The file was hashed again and is (not) what the manifest says; None = not asked."""
    flaw: str = ""
    """Why it does not count, as a sentence; empty = no reason known."""
    accepted: str = ""
    """Why a person said that it counts although it was doubted; empty = nobody had to."""
    sealed: tuple[str, ...] = ()
    """The public keys that it is encrypted to with age; none = it is not."""
    empty: bool = False
    """It holds no row, and the server had none either when it was made."""
