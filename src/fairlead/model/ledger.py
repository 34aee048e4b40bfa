from __future__ import annotations

from typing import Literal

from fairlead.model.base import Model


class TableLedger(Model):
    """What was written to one table since a backup: numbers of rows, never their values."""

    table: str
    only_live: int | None = None
    """Rows that only the live database has; None = not known. In a table without a key, a changed row is one that only
    the live database has and one that only the kept one has."""
    only_kept: int | None = None
    """Rows that only the kept database (in an estimate: the backup) has; None = not known."""
    changed: int | None = None
    """Rows that both have, with other values; None = not known."""
    exact: bool
    """Every row was compared; otherwise the numbers are an estimate."""
    says: str = ""
    """What limits the numbers, or how they were found, as a sentence; empty = nothing to add."""

    @property
    def differs(self) -> bool:
        """False only when the table is known to be equal on both sides."""
        return not self.exact or (self.only_live, self.only_kept, self.changed) != (0, 0, 0)

    @property
    def unknown(self) -> bool:
        """Nothing was counted."""
        return self.only_live is None and self.only_kept is None and self.changed is None


class Ledger(Model):
    """What stands to be lost or was set aside when a database is taken back, table by table."""

    database: str
    """The name that fairlead.yml gives the database."""
    kind: Literal["exact", "estimate"]
    """exact: the live database was compared with the kept one, every row of every table; estimate: not all of it was,
    or it was compared with what is known of a backup."""
    tables: tuple[TableLedger, ...]

    @property
    def differing(self) -> tuple[TableLedger, ...]:
        """The tables that are not known to be equal."""
        return tuple(table for table in self.tables if table.differs)

    @property
    def written(self) -> tuple[TableLedger, ...]:
        """The tables that something was written to, or of which that is not known."""
        return tuple(one for one in self.differing if any((one.only_live, one.only_kept, one.changed)) or one.unknown)
