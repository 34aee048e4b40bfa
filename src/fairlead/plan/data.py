"""Steps that take databases back to a backup, what keeps their writers still meanwhile, and the backups themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from fairlead.config import DatabaseSpec, EnvironmentSpec, Installation, ServiceSpec
from fairlead.engines import ENGINES, store
from fairlead.model import Backup, Command, DataBack, Run, ServiceChange, Step, TakeBack, canonical, sha256, turned
from fairlead.outside.connect import Hosts
from fairlead.strategies import STRATEGIES


class Chosen(NamedTuple):
    """One database, and the backup that it is taken back to."""

    database: DatabaseSpec
    backup: Backup | Sequence[str]
    """One that is there, or labels under which one will have been made: the first that counts."""
    label: str
    """Under which the replaced one is kept."""


class Fences(NamedTuple):
    """Steps that keep services from writing."""

    enter: tuple[Step, ...]
    leave: tuple[Step, ...]
    whole: bool
    """No service that uses one of the databases is left out."""


def database_name(database: DatabaseSpec) -> str:
    """What people know it by: its name on the server, or for a file the name that fairlead.yml gives it."""
    return database.database or database.name


# -- steps


def shadow(one: Chosen) -> Step:
    """Restore the backup beside the live database and prove it there."""
    engine, database = ENGINES[one.database.engine], one.database
    name = engine.shadow_name(database, one.label)
    source = one.backup.file if isinstance(one.backup, Backup) else "the backup that was made for this"
    return Step(
        id=f"db-{database.name}.shadow",
        title=f"{database.name}: restore beside it",
        host=database.host,
        phase="stage",
        do=Run(command=engine.shadow_command(database, one.backup, one.label)),
        probe=engine.shadow_probe(database, one.label),
        undo=engine.shadow_undo(database, one.label),
        shows=(f"restore {source} -> {name}, and count it there",),
        shows_back=(f"drop {name}",),
    )


def swap(one: Chosen, *, fenced: bool, end_blockers: bool) -> Step:
    """Make the shadow live; what was live is kept."""
    engine, database, label = ENGINES[one.database.engine], one.database, one.label
    live, kept = database.database or database.path, engine.kept_name(database, label)
    return Step(
        id=f"db-{database.name}.swap",
        title=f"{database.name}: swap",
        host=database.host,
        phase="activate",
        do=Run(command=engine.swap_command(database, label, fenced=fenced, end_blockers=end_blockers)),
        probe=engine.swap_probe(database, label),
        undo=engine.swap_undo(database, label),
        loss="finish",
        shows=(f"{live} -> {kept}", f"{engine.shadow_name(database, label)} -> {live}"),
        shows_back=(f"{kept} -> {live}",),
    )


def fences(installation: Installation, services: Iterable[ServiceSpec], names: Collection[str]) -> Fences:
    """Maintenance of those services that use one of the databases."""
    writers = [service for service in services if set(names) & set(service.databases)]
    waiting = [service for service in writers if service.maintenance and service.strategy in STRATEGIES]
    enter, leave = (
        tuple(
            step
            for service in waiting
            for step in STRATEGIES[service.strategy].fence(service, installation.hosts[service.host], on=on)
        )
        for on in (True, False)
    )
    return Fences(enter, leave, len(waiting) == len(writers))


# -- a deployment's backups, and its way back


class Backups(NamedTuple):
    """The backups that a deployment makes."""

    before: tuple[Step, ...]
    """While it is staged."""
    final: Mapping[str, tuple[Step, ...]]
    """By the migration that they stand before: what it changes, once its writers are still."""
    labels: Mapping[str, tuple[str, ...]]
    """By database: what its backups are found by, the best to take it back to first."""


async def backups(
    databases: Iterable[DatabaseSpec],
    migrated: Mapping[str, tuple[str, ...]],
    changes: Iterable[ServiceChange],
    hosts: Hosts,
) -> Backups:
    """A backup of each database before the first activation, and one more right before what changes it.

    `migrated`: by database, the steps that do. One that waits beside the live database is not copied again: the way
    back leads to what waits.
    """
    purpose = " ".join(change.after for change in changes)
    several = list(databases)
    seen = await _seen(several, hosts)
    before: list[Step] = []
    final: dict[str, tuple[Step, ...]] = {}
    labels: dict[str, tuple[str, ...]] = {}
    for one in several:
        label = store.backup_label(purpose, (backup for backup in seen if backup.database == one.name))
        before.append(_backup(one, label, "backup"))
        labels[one.name] = (label,)
        for step in () if one.rollback.standby else migrated.get(one.name, ()):
            last = sha256(canonical([label, step]))[:12]
            words = {"phase": "activate", "service": step.partition(".")[0], "title": f"{one.name}: back up once more"}
            copy = _backup(one, last, f"final-{step.partition('.')[0]}", labels[one.name]).model_copy(update=words)
            final[step] = (*final.get(step, ()), copy)
            labels[one.name] = (*labels[one.name][:-1], last, label)
    return Backups(tuple(before), final, labels)


async def _seen(databases: Iterable[DatabaseSpec], hosts: Hosts) -> list[Backup]:
    stores: dict[str, set[str]] = {}
    for one in databases:
        stores.setdefault(one.store.host, set()).add(one.store.path)

    async def there(name: str, paths: set[str]) -> list[Backup]:
        return await store.backups(await hosts.get(name), paths)

    found = await asyncio.gather(*(there(name, paths) for name, paths in stores.items()))
    return [backup for several in found for backup in several]


def _backup(database: DatabaseSpec, label: str, word: str, needed: Sequence[str] = ()) -> Step:
    return Step(
        id=f"db-{database.name}.{word}",
        title=f"back up {database_name(database)}",
        host=database.host,
        phase="stage",
        do=Run(command=ENGINES[database.engine].backup_command([database], label, spare={database.name: needed})),
        probe=ENGINES[database.engine].backup_probe([database], label),
        back="stays",
        shows=(
            f"back up {database.engine} {database_name(database)} -> {database.store.path}, "
            "with SHA-256, row counts and integrity check",
        ),
    )


def migrations(environment: EnvironmentSpec, steps: Iterable[Step]) -> dict[str, tuple[str, ...]]:
    """By database, the steps that change it and cannot take that back by themselves, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for step in steps:
        spec = environment.services[step.service].migrations if step.back == "by_data" else None
        for name in spec.databases if spec else ():
            found[name] = (*found.get(name, ()), step.id)
    return found


def data_back(
    installation: Installation,
    environment: EnvironmentSpec,
    databases: Iterable[DatabaseSpec],
    made: Backups,
    migrated: Mapping[str, tuple[str, ...]],
    *,
    new: Collection[str],
    day: str,
) -> DataBack:
    """How the way back of a deployment takes these databases back.

    `new`: services that are not live yet, and so are ended by the way back itself. `day`: YYYYMMDD, for the names of
    what is kept.
    """
    several = [one for one in databases if one.rollback.data == "all" or migrated.get(one.name)]
    services = [one for one in environment.services.values() if one.name not in new]
    around = fences(installation, services, {one.name for one in several})
    still = {step.service for step in around.enter}
    taken = []
    for one in several:
        users = [service.name for service in environment.services.values() if one.name in service.databases]
        chosen = Chosen(one, made.labels[one.name], f"{day}_{sha256(canonical(made.labels[one.name]))[:8]}")
        taken.append(
            TakeBack(
                database=one.name,
                label=chosen.label,
                data=one.rollback.data,
                on_new_rows=one.rollback.on_new_rows,
                migrations=migrated.get(one.name, ()),
                writers=tuple(name for name in users if name in still),
                shadow=shadow(chosen),
                swap=swap(chosen, fenced=still >= set(users), end_blockers=True),
            )
        )
    return DataBack(databases=tuple(taken), enter=around.enter, leave=around.leave)


def standby(databases: Iterable[DatabaseSpec], back: DataBack) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Steps that restore beside live databases while a deployment is staged, and those that clear up at its end."""
    waits = {one.name for one in databases if one.rollback.standby}
    several = [one for one in back.databases if one.database in waits]
    # A server that is gone keeps nobody from going back: what waits there is cleared away afterwards, where that works.
    filled = tuple(one.shadow.model_copy(update={"back": "stays", "shows_back": ()}) for one in several)
    return filled, tuple(_cleared(one, one.shadow.undo) for one in several if one.shadow.undo)


def _cleared(one: TakeBack, undo: Command) -> Step:
    return Step(
        id=one.clear,
        title=f"{one.database}: drop what waited beside it",
        host=one.shadow.host,
        phase="close",
        do=Run(command=undo),
        probe=turned(one.shadow.probe),
        back="no",
        shows=one.shadow.shows_back,
    )
