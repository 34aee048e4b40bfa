"""Steps that take databases back to a backup, what keeps their writers still meanwhile, and the backups themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from fairlead.checks.room import IN_PLACE, check_room, in_words
from fairlead.config import DatabaseSpec, EnvironmentSpec, Installation, ServiceSpec
from fairlead.engines import ENGINES, Spare, store
from fairlead.errors import NotReady
from fairlead.model import (
    Backup,
    Command,
    DataBack,
    Finding,
    Run,
    ServiceChange,
    Step,
    TakeBack,
    canonical,
    duration,
    sha256,
    turned,
)
from fairlead.outside.connect import Hosts
from fairlead.strategies import STRATEGIES

OpenTo = Mapping[str, Sequence[str]]
"""By database: services that use it and cannot be kept from writing; those without any are not in it."""


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
    open_to: OpenTo


def database_name(database: DatabaseSpec) -> str:
    """What people know it by: its name on the server, or for a file the name that fairlead.yml gives it."""
    return database.database or database.name


# -- steps


def shadow(one: Chosen) -> Step:
    """Restore the backup beside the live database and prove it there."""
    engine, database = ENGINES[one.database.engine], one.database
    name = engine.shadow_name(database, one.label)
    source = one.backup.file if isinstance(one.backup, Backup) else "the backup that was made for this"
    placed = in_place(database)
    shows = f"look whether {source} can be read" if placed else f"restore {source} -> {name}, and count it there"
    return Step(
        id=f"db-{database.name}.shadow",
        title=f"{database.name}: {'look at its backup' if placed else 'restore beside it'}",
        host=database.host,
        phase="stage",
        do=Run(command=engine.shadow_command(database, one.backup, one.label)),
        probe=engine.shadow_probe(database, one.label),
        undo=engine.shadow_undo(database, one.label),
        heavy=True,
        shows=(shows,),
        shows_back=() if placed else (f"drop {name}",),
    )


def swap(one: Chosen, *, fenced: bool, end_blockers: bool) -> Step:
    """Make the shadow live; what was live is kept."""
    engine, database, label = ENGINES[one.database.engine], one.database, one.label
    live, kept = database.database or database.path, engine.kept_name(database, label)
    beside = engine.shadow_name(database, label)
    return Step(
        id=f"db-{database.name}.swap",
        title=f"{database.name}: {'replace in place' if in_place(database) else 'swap'}",
        host=database.host,
        phase="activate",
        do=Run(command=engine.swap_command(database, label, fenced=fenced, end_blockers=end_blockers)),
        probe=engine.swap_probe(database, label),
        undo=engine.swap_undo(database, label),
        loss="finish",
        heavy=in_place(database),
        shows=_replaced(database, kept) if in_place(database) else (f"{live} -> {kept}", f"{beside} -> {live}"),
        shows_back=(f"{kept} -> {live}",),
    )


def in_place(database: DatabaseSpec) -> bool:
    """It is emptied and filled, where no second one can be made beside it."""
    return database.rollback.place == "in_place"


def _replaced(database: DatabaseSpec, kept: str) -> tuple[str, ...]:
    return (
        f"back up {database.database} -> {database.store.path}, as {kept}",
        f"empty {database.database}, fill it from the backup, and count it there: nobody can use it meanwhile",
    )


async def room_beside(
    installation: Installation, databases: Iterable[DatabaseSpec], hosts: Hosts
) -> Mapping[str, Finding]:
    """By database that is not replaced in place: can a second one be made beside it?"""
    several = [one for one in databases if not in_place(one)]
    return {one.subject: one for one in await check_room(installation, several, hosts)}


def refuse_no_room(databases: Iterable[DatabaseSpec], room: Mapping[str, Finding], *, now: bool = False) -> None:
    """Raises NotReady where no second database can be made beside one of these that is not replaced in place.

    `now`: it is to be made at once, so a server that cannot be asked is no place for it. Else that refuses nothing:
    it may be back when a way back needs it, and what is made there is made before what is live is touched.
    """
    asked = [one for one in databases if one.name in room]
    if several := [one for one in asked if room[one.name].status == "fail"]:
        says, hint = in_words(room[one.name] for one in several)
        hint += f"; or {IN_PLACE}" if any(one.engine == "mariadb" for one in several) else ""
        raise NotReady(f"no second database can be made, so data could not be taken back: {says}", hint)
    if silent := [room[one.name] for one in asked if now and room[one.name].blocks]:
        says, hint = in_words(silent)
        raise NotReady(f"nothing can be restored: {says}", hint)


def refuse_writers(databases: Iterable[DatabaseSpec], services: Iterable[ServiceSpec], still: Collection[str]) -> None:
    """Raises NotReady where one is replaced in place, and a service that uses it is not among those kept `still`."""
    several = list(services)
    for one in databases:
        users = [service.name for service in several if one.name in service.databases and service.name not in still]
        if users and in_place(one):
            raise NotReady(
                f"{one.name} is replaced in place, and {', '.join(users)} could write to it meanwhile",
                f"give `maintenance` to {', '.join(users)}",
            )


def refuse_triggers(open_to: OpenTo, room: Mapping[str, Finding], instead: str = "") -> None:
    """Raises NotReady where one of these has triggers: rows that are written while it is swapped would miss them, so
    the swap would be refused, and with it the way back. `instead`: what leaves its data as it is.
    """
    several = {name: users for name, users in open_to.items() if name in room and room[name].evidence.get("triggers")}
    if several:
        names, writers = ", ".join(several), _all_of(several)
        raise NotReady(
            f"{names}: has triggers, which rows would miss that {writers} could write while its data is taken back",
            f"give `maintenance` to {writers}" + f"; or {instead}, which leaves its data as it is" * bool(instead),
        )


def open_remarks(way: str, open_to: OpenTo) -> Iterable[str]:
    """What a plan says of writers that `way` (such as `the restore`) does not stop."""
    if open_to:
        yield (
            f"{way} does not stop {_all_of(open_to)}, without `maintenance`: what is written to {', '.join(open_to)} "
            "meanwhile is kept, and is not in what is live afterwards"
        )


def _all_of(open_to: OpenTo) -> str:
    return ", ".join(dict.fromkeys(name for several in open_to.values() for name in several))


def expected_outage(database: DatabaseSpec, backup: Backup | None = None) -> str:
    """What a plan says of a database that is replaced in place, from the backup that it is filled from, if it is there.

    Without it no number is said: a plan of an unmoved world must not differ by how fast a backup was.
    """
    says = f"{database.name} is replaced in place: its services wait while it is backed up, emptied and filled"
    return f"{says}, about {duration(max(1.0, OUTAGE * backup.seconds))}" if backup else says


OUTAGE = 5
"""Backed up, filled and checked: so many times as long as its backup alone took (measured: 3 to 5)."""


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
    free = [service for service in writers if service not in waiting]
    users = {name: [service.name for service in free if name in service.databases] for name in sorted(names)}
    return Fences(enter, leave, {name: several for name, several in users.items() if several})


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
    spare: Spare | None,
) -> Backups:
    """A backup of each database before the first activation, and one more right before what changes it.

    `spare`: what none of them retires; None = none retires anything. `migrated`: by database, the steps that change it.
    One that waits beside the live database is not copied again: the way back leads to what waits.
    """
    purpose = " ".join(change.after for change in changes)
    several = [one if spare is not None else keeping_all(one) for one in databases]
    needed = {one.name: sorted((spare or {}).get(one.name, ())) for one in several}
    seen = await _seen(several, hosts)
    before: list[Step] = []
    final: dict[str, tuple[Step, ...]] = {}
    labels: dict[str, tuple[str, ...]] = {}
    for one in several:
        label = store.backup_label(purpose, (backup for backup in seen if backup.database == one.name))
        before.append(_backup(one, label, "backup", needed[one.name]))
        labels[one.name] = (label,)
        for step in () if one.rollback.standby else migrated.get(one.name, ()):
            last = sha256(canonical([label, step]))[:12]
            words = {"phase": "activate", "service": step.partition(".")[0], "title": f"{one.name}: back up once more"}
            copy = _backup(one, last, f"final-{step.partition('.')[0]}", [*needed[one.name], *labels[one.name]])
            copy = copy.model_copy(update=words)
            final[step] = (*final.get(step, ()), copy)
            labels[one.name] = (*labels[one.name][:-1], last, label)
    return Backups(tuple(before), final, labels)


def keeping_all(database: DatabaseSpec) -> DatabaseSpec:
    """Where nobody can tell which backups are still needed, none is retired."""
    place = database.store.model_copy(update={"keep": 0, "keep_days": None})
    return database.model_copy(update={"store": place})


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
        heavy=True,
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


def to_take_back(databases: Iterable[DatabaseSpec], migrated: Mapping[str, tuple[str, ...]]) -> list[DatabaseSpec]:
    """Those of them that the way back of a deployment may take back without a person's word."""
    return [one for one in databases if one.rollback.data == "all" or migrated.get(one.name)]


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

    `new`: services that are not live yet. Nobody can keep those from writing, so the way back ends their releases
    before it takes data back; where a docroot is new nothing ends, so what its service uses is not replaced in place.
    `day`: YYYYMMDD, for the names of what is kept. Raises NotReady where another service could write to what is
    replaced in place.
    """
    ended = {name for name in new if environment.services[name].strategy == "release"}
    used = {name for one in environment.services.values() if one.name in {*new} - ended for name in one.databases}
    several = [one for one in to_take_back(databases, migrated) if not (in_place(one) and one.name in used)]
    services = [one for one in environment.services.values() if one.name not in new]
    around = fences(installation, services, {one.name for one in several})
    still = {step.service for step in around.enter}
    refuse_writers(several, services, still)
    taken = []
    for one in several:
        users = [service.name for service in environment.services.values() if one.name in service.databases]
        free = tuple(name for name in users if name not in {*still, *ended})
        chosen = Chosen(one, made.labels[one.name], f"{day}_{sha256(canonical(made.labels[one.name]))[:8]}")
        taken.append(
            TakeBack(
                database=one.name,
                label=chosen.label,
                data=one.rollback.data,
                on_new_rows=one.rollback.on_new_rows,
                migrations=migrated.get(one.name, ()),
                writers=tuple(name for name in users if name in still),
                open_to=free,
                shadow=shadow(chosen),
                swap=swap(chosen, fenced=not free, end_blockers=True),
            )
        )
    names = {one.name for one in several}
    ends = [
        f"{one.name}.switch" for one in environment.services.values() if one.name in ended and names & {*one.databases}
    ]
    return DataBack(databases=tuple(taken), ends=tuple(ends), enter=around.enter, leave=around.leave)


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
