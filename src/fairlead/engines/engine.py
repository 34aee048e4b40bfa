from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from fairlead.config import DatabaseSpec
from fairlead.model import Backup, Beside, Command, Drill, Finding, Ledger, Reported
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

Spare = Mapping[str, Collection[str]]
"""By database: labels and SHA-256 of backups that somebody still needs, so that no new one retires them."""


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
        self,
        host: Host,
        databases: Sequence[DatabaseSpec],
        secrets: Secrets,
        *,
        label: str = "",
        spare: Spare | None = None,
    ) -> list[Made]:
        """Copy each into its store and prove the copy there; in the order of `databases`.

        `spare`: backups that stay, however many and however old.
        """
        ...

    async def restore(self, host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
        """Write a backup into a new database `into` (SQLite: a new file) and prove it there; never into an old one."""
        ...

    async def reported(self, host: Host, database: DatabaseSpec, secrets: Secrets) -> list[Reported] | None:
        """What the table `backup_metadata` in this database says of others' backups; None = there is no such table.

        Raises NotReady where it cannot be read.
        """
        ...

    async def deep(self, host: Host, database: DatabaseSpec, secrets: Secrets) -> Finding:
        """Read every table to its end: which are damaged? Changes nothing, and takes as long as a backup."""
        ...

    async def drill(self, host: Host, chosen: Backup, database: DatabaseSpec, secrets: Secrets, *, run: str) -> Drill:
        """Restore a backup into a scratch database of the server's (SQLite: a file), count it and drop it again.

        How it ended is noted beside the backups, with the word `run`; what an earlier drill left is dropped before.
        """
        ...

    def backup_command(self, databases: Sequence[DatabaseSpec], label: str, *, spare: Spare | None = None) -> Command:
        """The backup as a step's change; run twice with one label it copies once. Names secrets, holds none."""
        ...

    def backup_probe(self, databases: Sequence[DatabaseSpec], label: str) -> Command:
        """The probe of `backup_command`: prints `after` when each has a proven backup of that label, else `before`."""
        ...

    # A restore takes a database back without destroying anything. All its names hold a label, `YYYYMMDD_word`.

    def shadow_name(self, database: DatabaseSpec, label: str) -> str:
        """The database (SQLite: the file) beside the live one that a backup is restored into."""
        ...

    def kept_name(self, database: DatabaseSpec, label: str) -> str:
        """The database (SQLite: the file) beside the live one that keeps what was live."""
        ...

    def shadow_command(self, database: DatabaseSpec, backup: Backup | Sequence[str], label: str) -> Command:
        """Fill the shadow and prove it; run twice it fills once. Live is not touched.

        `backup`: one that is there, or labels under which some will have been made: the first of them that counts.
        """
        ...

    def shadow_probe(self, database: DatabaseSpec, label: str) -> Command:
        """`after`: the shadow is proven, or its swap has begun; `between`: half filled or half dropped."""
        ...

    def shadow_undo(self, database: DatabaseSpec, label: str) -> Command:
        """Drop the shadow; one that has been live is kept instead. Refused while its swap stands."""
        ...

    def swap_command(
        self, database: DatabaseSpec, label: str, *, fenced: bool = False, end_blockers: bool = False
    ) -> Command:
        """Make live the kept one and the shadow live, all or nothing. Counters go on from the larger of both.

        `fenced`: nobody writes, so that triggers may be made again. `end_blockers`: sessions that hold a lock and do
        nothing may be ended.
        """
        ...

    def swap_probe(self, database: DatabaseSpec, label: str) -> Command:
        """Where the swap stands; do and undo both mend `between`."""
        ...

    def swap_undo(self, database: DatabaseSpec, label: str) -> Command:
        """Make the kept one live again and what was live the shadow; from before, after and between."""
        ...

    def kept_drop_command(self, database: DatabaseSpec, label: str) -> Command:
        """Drop what was kept under that label, and nothing else; run twice it drops once."""
        ...

    def kept_probe(self, database: DatabaseSpec, label: str) -> Command:
        """The probe of `kept_drop_command`: `before` while something lies under that name, else `after`."""
        ...

    async def beside(self, host: Host, databases: Sequence[DatabaseSpec]) -> list[Beside]:
        """What lies beside these databases that a restore has made. Raises NotReady where that cannot be told."""
        ...

    async def room(self, host: Host, databases: Sequence[DatabaseSpec]) -> list[Finding]:
        """Can a second database be made beside each? `fail` where the server would refuse, `unknown` where it cannot be
        asked. `triggers` in the evidence names some of those that let it be swapped only `fenced`. Changes nothing.
        """
        ...

    async def ledger(
        self, host: Host, database: DatabaseSpec, label: str, secrets: Secrets, *, limit_rows: int = 1_000_000
    ) -> Ledger:
        """What live and kept differ in; larger tables are counted, not compared. Raises NotReady where it cannot be."""
        ...

    async def estimate(self, host: Host, database: DatabaseSpec, backup: Backup, secrets: Secrets) -> Ledger:
        """What was written since that backup, cheaply; changes nothing. Raises NotReady where it cannot be told."""
        ...
