"""Steps that drop what restores have kept beside live databases, once nobody will want it back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta

from fairlead.config import DatabaseSpec
from fairlead.engines import ENGINES
from fairlead.errors import FairleadError
from fairlead.model import Beside, Command, Run, Step, turned
from fairlead.outside.connect import Hosts


def last_day(one: Beside, database: DatabaseSpec) -> date:
    """The last day on which it is kept. Raises ValueError for a label that holds no day."""
    return date.fromisoformat(one.day) + timedelta(days=database.rollback.keep_days)


def expired(there: Iterable[Beside], databases: Mapping[str, DatabaseSpec], day: str) -> list[Beside]:
    """What was to be kept until a day before `day`, YYYYMMDD."""
    found = []
    for one in there:
        with suppress(ValueError):
            if last_day(one, databases[one.database]) < date.fromisoformat(day):
                found.append(one)
    return found


async def look_beside(databases: Iterable[DatabaseSpec], hosts: Hosts) -> list[Beside]:
    """What lies beside these databases, each server asked once. Raises NotReady where one cannot be asked."""
    groups: dict[tuple[str, str], list[DatabaseSpec]] = {}
    for one in databases:
        groups.setdefault((one.engine, one.host), []).append(one)

    async def ask(engine: str, host: str, several: Sequence[DatabaseSpec]) -> list[Beside]:
        return await ENGINES[engine].beside(await hosts.get(host), several)

    found = await asyncio.gather(*(ask(*place, several) for place, several in groups.items()))
    return sorted((one for several in found for one in several), key=lambda one: (one.database, one.label, one.role))


async def expired_beside(databases: Sequence[DatabaseSpec], hosts: Hosts, day: str) -> list[Beside]:
    """What a deployment may drop after it; nothing where that cannot be told now, since the next one will ask again."""
    with suppress(FairleadError):
        return expired(await look_beside(databases, hosts), {one.name: one for one in databases}, day)
    return []


def drops(several: Iterable[Beside], databases: Mapping[str, DatabaseSpec]) -> list[Step]:
    """Steps that drop them. A shadow that was live once is first put aside, as what is kept."""
    found: list[Step] = []
    for one in several:
        database, engine = databases[one.database], ENGINES[databases[one.database].engine]
        if one.role == "shadow":
            aside, probe = engine.shadow_undo(database, one.label), turned(engine.shadow_probe(database, one.label))
            found.append(_drop(one, database, "put aside", aside, probe))
        command, probe = engine.kept_drop_command(database, one.label), engine.kept_probe(database, one.label)
        found.append(_drop(one, database, "drop", command, probe))
    return found


def _drop(one: Beside, database: DatabaseSpec, word: str, command: Command, probe: Command) -> Step:
    return Step(
        id=f"db-{one.database}.{word.replace(' ', '-')}-{one.label}",
        title=f"{one.database}: {word} what was kept from {date.fromisoformat(one.day)}",
        host=database.host,
        phase="close",
        do=Run(command=command),
        probe=probe,
        back="no",
        shows=(f"{word} {one.name}",),
    )
