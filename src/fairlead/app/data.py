"""What Fairlead can do with the databases of one environment: look, back up, restore."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fairlead.checks.databases import check_databases
from fairlead.config import DatabaseSpec
from fairlead.engines import ENGINES, store
from fairlead.errors import CallError, FairleadError
from fairlead.model import Backup, Finding

if TYPE_CHECKING:
    from fairlead.app.facade import Fairlead

CHECK_LIMIT = 8.0
"""Seconds that all databases together have to answer."""


class Data:
    """The databases of an open installation's environment."""

    def __init__(self, app: Fairlead) -> None:
        self._app = app

    async def check(self) -> list[Finding]:
        """Is every database of the installation reachable from the host that must reach it?"""
        databases = self._app.installation.databases
        return await check_databases(databases, self._app.hosts, self._app.secrets, limit=CHECK_LIMIT)

    async def backup(self, names: Iterable[str] = ()) -> list[Finding]:
        """Back up the environment's databases, or those named, and prove each copy."""
        databases = self.named(names)
        groups: dict[tuple[str, str], list[DatabaseSpec]] = {}
        for database in databases:
            groups.setdefault((database.engine, database.host), []).append(database)
        made = await asyncio.gather(*(self._backup(group) for group in groups.values()))
        found = {finding.subject: finding for several in made for finding in several}
        return [found[database.name] for database in databases]

    async def _backup(self, databases: list[DatabaseSpec]) -> list[Finding]:
        try:
            host = await self._app.hosts.get(databases[0].host)
            engine = ENGINES[databases[0].engine]
            return [made.finding for made in await engine.backup(host, databases, self._app.secrets)]
        except FairleadError as error:
            return [
                Finding(check="backup", subject=d.name, status="unknown", says=error.what, hint=error.hint)
                for d in databases
            ]

    async def backups(self) -> list[Backup]:
        """What lies in the environment's backup stores, oldest first."""
        stores: dict[str, set[str]] = {}
        for database in self._app.own_databases():
            stores.setdefault(database.store.host, set()).add(database.store.path)
        found = [await store.backups(await self._app.hosts.get(host), paths) for host, paths in stores.items()]
        return sorted((one for several in found for one in several), key=lambda one: one.started)

    async def restore_into(self, name: str, into: str, file: str = "") -> Finding:
        """Write the newest proven backup of a database, or the named one, into a new file on its host, and prove it."""
        database = self.named([name])[0]
        host = await self._app.hosts.get(database.store.host)
        found = [one for one in await store.backups(host, [database.store.path]) if one.database == name and one.proven]
        chosen = [one for one in found if file in ("", one.file)]
        if not chosen:
            raise CallError(f"no proven backup {file}".rstrip() + f" of {name}", "`fairlead db backups` lists them")
        newest = max(chosen, key=lambda one: one.started)
        return await ENGINES[database.engine].restore(host, newest, database, into, self._app.secrets)

    def named(self, names: Iterable[str]) -> list[DatabaseSpec]:
        """These databases of the environment, or all. Raises CallError for a name that is not among them."""
        own, chosen = self._app.own_databases(), list(names)
        if unknown := [name for name in chosen if name not in {d.name for d in own}]:
            raise CallError(
                f"no database {unknown[0]!r} in {self._app.environment.name}", ", ".join(d.name for d in own)
            )
        return [database for database in own if not chosen or database.name in chosen]
