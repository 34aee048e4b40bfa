from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fairlead.checks.looked import host_by_host, looked_at_all, within
from fairlead.config.database import DatabaseSpec, StoreSpec
from fairlead.engines import ENGINES, Engine
from fairlead.model import DatabaseCheck, Finding
from fairlead.outside.connect import Hosts
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets


async def check_databases(
    databases: Sequence[DatabaseSpec], hosts: Hosts, secrets: Secrets, *, limit: float = 8.0
) -> list[Finding]:
    """Is each database reachable: one round trip for each host, all hosts at once; in the order of `databases`.

    After `limit` seconds what a host has not answered is `unknown`.
    """
    by_engine: dict[str, list[DatabaseSpec]] = {}
    for one in databases:
        by_engine.setdefault(one.engine, []).append(one)
    answers = await asyncio.gather(
        *(_ping(ENGINES[word], group, (hosts, secrets), limit) for word, group in by_engine.items())
    )
    findings = {finding.subject: finding for several in answers for finding in several}
    return [findings[one.name] for one in databases]


def as_spec(check: DatabaseCheck) -> DatabaseSpec:
    """The database that a plan's look is about; of its backups a plan says nothing here."""
    words = check.model_dump(exclude={"kind", "subject"})
    store = StoreSpec(host=check.host, path="")
    return DatabaseSpec.model_validate({**words, "name": check.subject, "group": "", "environment": "", "store": store})


def as_check(database: DatabaseSpec) -> DatabaseCheck:
    """The look at a database as data."""
    words = database.model_dump(include=set(DatabaseCheck.model_fields))
    return DatabaseCheck.model_validate({**words, "subject": database.name})


async def _ping(
    engine: Engine, databases: Sequence[DatabaseSpec], ways: tuple[Hosts, Secrets], limit: float
) -> list[Finding]:
    hosts, secrets = ways

    async def ask(host: Host, group: Sequence[DatabaseSpec]) -> list[Finding]:
        return await engine.ping(host, group, secrets)

    return await by_host(databases, hosts, Look("database", lambda one: one.host, ask, limit))


@dataclass(frozen=True)
class Look:
    """One look at the databases of one host."""

    check: str
    host_of: Callable[[DatabaseSpec], str]
    """Where to look."""
    ask: Callable[[Host, Sequence[DatabaseSpec]], Awaitable[list[Finding]]]
    limit: float
    """Seconds."""


async def by_host(databases: Sequence[DatabaseSpec], hosts: Hosts, look: Look) -> list[Finding]:
    """Look host by host, all at once; in the order of `databases`."""

    async def on_host(name: str, group: list[DatabaseSpec]) -> list[Finding]:
        async def ask() -> list[Finding]:
            return await look.ask(await hosts.get(name), group)

        subjects = tuple(one.name for one in group)
        return await looked_at_all(look.check, subjects, within(look.limit, ask()))

    return await host_by_host(databases, look.host_of, on_host)
