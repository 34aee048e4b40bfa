"""Plans that take databases back to a backup, and back again: what is live is kept, never overwritten."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fairlead.checks.databases import as_check
from fairlead.config import DatabaseSpec, EnvironmentSpec, Installation, ServiceSpec
from fairlead.engines import ENGINES
from fairlead.model import Backup, Plan, Run, Step, canonical, sha256, turned
from fairlead.plan.deploy import assembled, standing
from fairlead.strategies import STRATEGIES

OPEN_REMARK = "writers are not stopped: what they write until the swap is kept, and is not in the restored database"


class Chosen(NamedTuple):
    """One database, and the backup that it is taken back to."""

    database: DatabaseSpec
    backup: Backup
    label: str
    """Under which the replaced one is kept."""


def restore_label(database: str, backup: Backup, now: float) -> str:
    """A label that no restore had before: the day, and a word for what is restored and when."""
    word = sha256(canonical([database, backup.file, backup.sha256, now]))[:8]
    return f"{time.strftime('%Y%m%d', time.gmtime(now))}_{word}"


def plan_restore(
    installation: Installation, environment: EnvironmentSpec, chosen: Iterable[Chosen], *, end_blockers: bool = False
) -> Plan:
    """Restore beside the live databases, prove it there, stop whoever writes, swap, and let them write again.

    `end_blockers`: sessions that hold a lock and do nothing may be ended.
    """
    several = list(chosen)
    fences = _fences(installation, environment, [one.database for one in several])
    fenced = fences.whole
    steps = [
        *(_shadow(one) for one in several),
        *fences.enter,
        *(_swap(one, fenced=fenced, end_blockers=end_blockers) for one in several),
        *fences.leave,
    ]
    labels = {one.database.name: one.label for one in several}
    return _planned(installation, environment, steps, [one.database for one in several], labels, fences)


def plan_undo(
    installation: Installation, environment: EnvironmentSpec, databases: Iterable[tuple[DatabaseSpec, str]]
) -> Plan:
    """Make live again what was kept under these labels; what is live until then becomes the shadow."""
    several = list(databases)
    names = [database for database, _ in several]
    fences = _fences(installation, environment, names)
    back = [_unswap(database, label, fenced=fences.whole) for database, label in several]
    return _planned(installation, environment, [*fences.enter, *back, *fences.leave], names, {}, fences)


class _Fences(NamedTuple):
    """Steps that keep services from writing."""

    enter: tuple[Step, ...]
    leave: tuple[Step, ...]
    whole: bool
    """No service that uses one of the databases is left out."""


def _fences(installation: Installation, environment: EnvironmentSpec, databases: Iterable[DatabaseSpec]) -> _Fences:
    names = {database.name for database in databases}
    writers = [service for service in environment.services.values() if names & set(service.databases)]
    waiting = [service for service in writers if service.maintenance and service.strategy in STRATEGIES]
    enter, leave = (_maintenance(installation, waiting, on=on) for on in (True, False))
    return _Fences(enter, leave, len(waiting) == len(writers))


def _maintenance(installation: Installation, services: Iterable[ServiceSpec], *, on: bool) -> tuple[Step, ...]:
    return tuple(
        step
        for service in services
        for step in STRATEGIES[service.strategy].fence(service, installation.hosts[service.host], on=on)
    )


def _shadow(one: Chosen) -> Step:
    engine, database = ENGINES[one.database.engine], one.database
    shadow = engine.shadow_name(database, one.label)
    return Step(
        id=f"db-{database.name}.shadow",
        title=f"{database.name}: restore beside it",
        host=database.host,
        phase="stage",
        do=Run(command=engine.shadow_command(database, one.backup, one.label)),
        probe=engine.shadow_probe(database, one.label),
        undo=engine.shadow_undo(database, one.label),
        shows=(f"restore {one.backup.file} -> {shadow}, and count it there",),
        shows_back=(f"drop {shadow}",),
    )


def _swap(one: Chosen, *, fenced: bool, end_blockers: bool) -> Step:
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


def _unswap(database: DatabaseSpec, label: str, *, fenced: bool) -> Step:
    engine = ENGINES[database.engine]
    live, kept = database.database or database.path, engine.kept_name(database, label)
    return Step(
        id=f"db-{database.name}.unswap",
        title=f"{database.name}: swap back",
        host=database.host,
        phase="activate",
        do=Run(command=engine.swap_undo(database, label)),
        probe=turned(engine.swap_probe(database, label)),
        undo=engine.swap_command(database, label, fenced=fenced),
        loss="finish",
        shows=(f"{kept} -> {live}", f"{live} -> {engine.shadow_name(database, label)}"),
        shows_back=(f"{live} -> {kept}",),
    )


def _planned(
    installation: Installation,
    environment: EnvironmentSpec,
    steps: list[Step],
    databases: list[DatabaseSpec],
    labels: Mapping[str, str],
    fences: _Fences,
) -> Plan:
    return assembled(
        installation,
        environment,
        [],
        steps,
        databases,
        kind="restore",
        labels=dict(labels),
        proven={"": tuple(as_check(database) for database in databases)},
        standing={**standing(environment, {}, {}), "": tuple(as_check(database) for database in databases)},
        remarks=() if fences.whole else (OPEN_REMARK,),
    )
