from __future__ import annotations

from typing import Literal

from fairlead.model.base import Model


class Beside(Model):
    """A database (SQLite: a file) beside a live one that a restore has made there."""

    database: str
    """The name that fairlead.yml gives the live one."""
    name: str
    """Its own name on the server, or its path."""
    label: str
    """`YYYYMMDD_word`: of the restore that made it."""
    role: Literal["kept", "shadow"]
    """kept: it was live until it was replaced; shadow: it is, or was, to become live."""
    size: int | None = None
    """Bytes; None = not known."""

    @property
    def day(self) -> str:
        """YYYYMMDD of the plan that made it."""
        return self.label[:8]
