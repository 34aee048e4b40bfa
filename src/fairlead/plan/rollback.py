"""The plan that takes a finished deployment back: to the releases that were live before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fairlead.config import EnvironmentSpec, Installation
from fairlead.model import Backup, Check, Plan, ServiceChange, Step
from fairlead.outside.connect import Hosts
from fairlead.plan.data import (
    Chosen,
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
from fairlead.plan.deploy import assembled, look_everywhere, standing
from fairlead.strategies import STRATEGIES, adopt

DATA_REMARK = "data is left as it is: only code goes back"
TAKEN_REMARK = "goes back to its backup; what was written since is kept beside"


async def plan_rollback(
    installation: Installation, environment: EnvironmentSpec, undone: Plan, chosen: Sequence[Chosen], hosts: Hosts
) -> Plan:
    """Switch every service that `undone` changed back to what was live before it, and take the `chosen` databases back
    too, before that and while nobody writes: services before which nothing was live are ended by then. Looks at the
    hosts, changes nothing.

    Raises NotReady where a service no longer runs what that deployment left, or where the old release is gone.
    """
    known = [change for change in undone.services if change.service in environment.services]
    found = await look_everywhere([environment.services[change.service] for change in known], hosts)
    turned = [
        _turned(installation, environment, undone, change, found[change.service])
        for change in reversed(known)  # the last activated goes first
    ]
    changes = [change for change, _, _ in turned]
    gone = {change.service for change in changes if change.gone}
    ended = [step for change, several, _ in turned for step in several if change.gone]
    steps = [step for change, several, _ in turned for step in several if not change.gone]
    remain = [service for service in environment.services.values() if service.name not in gone]
    around = fences(installation, remain, {one.database.name for one in chosen})
    databases = [one.database for one in chosen]
    room = await room_beside(installation, databases, hosts)
    refuse_no_room(databases, room, now=True)
    refuse_triggers(around.open_to, room, "`--data none`")
    refuse_writers(databases, remain, {step.service for step in around.enter})
    data = [*map(shadow, chosen), *ended, *around.enter]
    data += [swap(one, fenced=one.database.name not in around.open_to, end_blockers=True) for one in chosen]
    return assembled(
        installation,
        environment,
        changes,
        [*data, *steps, *around.leave],
        [one.database for one in chosen],
        kind="rollback",
        labels={one.database.name: one.label for one in chosen},
        staged=tuple(check for _, _, checks in turned for check in checks),
        standing=standing(environment, {change.service: change for change in changes}, found),
        remarks=(
            *_about_data(undone, chosen),
            *open_remarks("the rollback", around.open_to),
            *(warning for step in (*ended, *steps) for warning in step.warns),
        ),
    )


def _about_data(undone: Plan, chosen: Sequence[Chosen]) -> Iterable[str]:
    if undone.databases and not chosen:
        yield DATA_REMARK
    for one in chosen:
        yield f"{one.database.name}: {TAKEN_REMARK}"
        if in_place(one.database) and isinstance(one.backup, Backup):
            yield expected_outage(one.database, one.backup)


def _turned(
    installation: Installation, environment: EnvironmentSpec, undone: Plan, change: ServiceChange, seen: Any
) -> tuple[ServiceChange, tuple[Step, ...], tuple[Check, ...]]:
    """One service's change the other way round, its steps, and what must hold before them."""
    if undone.kind == "adopt":
        return adopt.back(change, undone.way_back, seen)
    service = environment.services[change.service]
    return STRATEGIES[change.strategy].back(service, installation.hosts[service.host], change, seen)
