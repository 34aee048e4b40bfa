"""Can a second database be made beside each, as drills, restores and ways back of data need it?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from fairlead.checks.databases import Look, by_host
from fairlead.config import Installation
from fairlead.config.database import DatabaseSpec
from fairlead.engines import ENGINES
from fairlead.model import Finding
from fairlead.outside.connect import Hosts
from fairlead.outside.host import Host

LIMIT = 60.0
"""Seconds that the servers behind one host have to say so."""

IN_PLACE = "let it be restored in place: `rollback: {place: in_place}`, and nobody can use it meanwhile"
"""What may be offered for MariaDB."""


async def check_room(
    installation: Installation, databases: Iterable[DatabaseSpec], hosts: Hosts, *, limit: float = LIMIT
) -> list[Finding]:
    """One finding for each: `fail` where its server has no room or refuses, `unknown` where it cannot be asked.

    Nothing is made. Where the file's own `limit` says no, the server is not asked.
    """
    several = list(databases)
    full = {one.subject: one for one in no_room(installation, several)}
    by_engine: dict[str, list[DatabaseSpec]] = {}
    for one in several:
        if one.name not in full:
            by_engine.setdefault(one.engine, []).append(one)
    answers = await asyncio.gather(*(_asked(word, group, hosts, limit) for word, group in by_engine.items()))
    found = full | {finding.subject: finding for group in answers for finding in group}
    return [found[one.name] for one in several]


async def _asked(engine: str, databases: Sequence[DatabaseSpec], hosts: Hosts, limit: float) -> list[Finding]:
    async def ask(host: Host, group: Sequence[DatabaseSpec]) -> list[Finding]:
        return await ENGINES[engine].room(host, group)

    return await by_host(databases, hosts, Look("room", lambda one: one.host, ask, limit))


def no_room(installation: Installation, databases: Iterable[DatabaseSpec]) -> list[Finding]:
    """A finding for each of these databases whose group is as large as its `limit` allows."""
    return [
        Finding(
            check="room",
            subject=one.name,
            status="fail",
            says=f"limit: {installation.groups[one.group].limit} leaves no room for a second database in {one.group}",
            hint=f"raise `limit` of databases.{one.group} by one, and the panel's own",
        )
        for one in databases
        if installation.is_full(one)
    ]


def in_words(findings: Iterable[Finding]) -> tuple[str, str]:
    """Databases by their common cause, and what may be done about each of them."""
    causes: dict[tuple[str, str], list[str]] = {}
    for one in findings:
        causes.setdefault((one.says, one.hint), []).append(one.subject)
    return (
        "; ".join(f"{', '.join(names)}: {says}" for (says, _), names in causes.items()),
        "; ".join(dict.fromkeys(hint for _, hint in causes)),
    )
