from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fairlead.config import DatabaseSpec
from fairlead.model import Backup, Command, Finding
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets


class Made(NamedTuple):
    """What became of one database's backup: always a finding, and the backup where there is one."""

    finding: Finding
    backup: Backup | None


class Engine(Protocol):
    """What Fairlead asks of a kind of database; a module of this package for each.

    Everything happens on the host that reaches the database. What is wrong with one database is a `Finding` about it,
    so that none hides another; `Unreachable`, `Lost` and `NotReady` are raised only for the host as a whole.
    """

    async def ping(self, host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
        """Is each of them reachable, and if not, why precisely; in the order of `databases`. Changes nothing."""
        ...

    async def backup(
        self, host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets, *, label: str = ""
    ) -> list[Made]:
        """Copy each into its store and prove the copy there; in the order of `databases`."""
        ...

    async def restore(self, host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
        """Write a backup into a new database `into` (SQLite: a new file) and prove it there; never into an old one."""
        ...

    def backup_command(self, databases: Sequence[DatabaseSpec], label: str) -> Command:
        """The backup as a step's change; run twice with one label it copies once. Names secrets, holds none."""
        ...

    def backup_probe(self, databases: Sequence[DatabaseSpec], label: str) -> Command:
        """The probe of `backup_command`: prints `after` when each has a proven backup of that label, else `before`."""
        ...
