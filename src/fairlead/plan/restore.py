"""Plans that take databases back to a backup, and back again: what is live is kept, never overwritten."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from fairlead.checks.databases import as_check
from fairlead.config import DatabaseSpec, EnvironmentSpec, Installation
from fairlead.engines import ENGINES
from fairlead.model import Backup, Plan, Run, Step, canonical, sha256, turned
from fairlead.outside.connect import Hosts
from fairlead.plan.data import (
    Chosen,
    Fences,
    expected_outage,
    fences,
    in_place,
    open_remarks,
    refuse_no_room,
    refuse_triggers,
    refuse_writers,
    room_beside,
    shadow,
    swap,
)
from fairlead.plan.deploy import assembled, standing


def restore_label(database: str, backup: Backup, now: float) -> str:
    """A label that no restore had before: the day, and a word for what is restored and when."""
    word = sha256(canonical([database, backup.file, backup.sha256, now]))[:8]
    return f"{time.strftime('%Y%m%d', time.gmtime(now))}_{word}"


async def plan_restore(
    installation: Installation,
    environment: EnvironmentSpec,
    chosen: Iterable[Chosen],
    hosts: Hosts,
    *,
    end_blockers: bool = False,
) -> Plan:
    """Restore beside the live databases, prove it there, stop whoever writes, swap, and let them write again.

    `end_blockers`: sessions that hold a lock and do nothing may be ended. Raises NotReady where no second database can
    be made beside one, or its server cannot be asked; or where one is replaced in place and not all who write to it can
    be kept from that.
    """
    several = list(chosen)
    databases = [one.database for one in several]
    room = await room_beside(installation, databases, hosts)
    refuse_no_room(databases, room, now=True)
    around = fences(installation, environment.services.values(), {one.database.name for one in several})
    refuse_triggers(around.open_to, room)
    refuse_writers(databases, environment.services.values(), {step.service for step in around.enter})
    steps = [
        *(shadow(one) for one in several),
        *around.enter,
        *(swap(one, fenced=one.database.name not in around.open_to, end_blockers=end_blockers) for one in several),
        *around.leave,
    ]
    names: dict[str, Any] = {
        "labels": {one.database.name: one.label for one in several},
        "backups": {one.database.name: (one.backup.sha256,) for one in several if isinstance(one.backup, Backup)},
    }
    outages = [expected_outage(d, b) for d, b, _ in several if in_place(d) and isinstance(b, Backup)]
    return _planned(installation, environment, steps, databases, names, around, outages)


def plan_undo(
    installation: Installation, environment: EnvironmentSpec, databases: Iterable[tuple[DatabaseSpec, str]]
) -> Plan:
    """Make live again what was kept under these labels; what is live until then becomes the shadow."""
    several = list(databases)
    undone = [database for database, _ in several]
    around = fences(installation, environment.services.values(), {database.name for database in undone})
    refuse_writers(undone, environment.services.values(), {step.service for step in around.enter})
    back = [_unswap(database, label, fenced=database.name not in around.open_to) for database, label in several]
    outages = [expected_outage(database) for database in undone if in_place(database)]
    return _planned(installation, environment, [*around.enter, *back, *around.leave], undone, {}, around, outages)


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
    names: Mapping[str, Any],
    around: Fences,
    remarks: Iterable[str],
) -> Plan:
    return assembled(
        installation,
        environment,
        [],
        steps,
        databases,
        kind="restore",
        **names,
        proven={"": tuple(as_check(database) for database in databases)},
        standing={**standing(environment, {}, {}), "": tuple(as_check(database) for database in databases)},
        remarks=(*open_remarks("the restore", around.open_to), *remarks),
    )
