"""The plan that takes a finished deployment back: to the releases that were live before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fairlead.config import EnvironmentSpec, Installation
from fairlead.model import Check, Plan, ServiceChange, Step
from fairlead.outside.connect import Hosts
from fairlead.plan.deploy import assembled, look_everywhere, standing
from fairlead.strategies import STRATEGIES, adopt

DATA_REMARK = "data is left as it is: only code goes back"


async def plan_rollback(
    installation: Installation, environment: EnvironmentSpec, undone: Plan, services: Iterable[str], hosts: Hosts
) -> Plan:
    """Switch every service that `undone` changed back to what was live before it. Looks at the hosts, changes nothing.

    Raises NotReady where a service no longer runs what that deployment left, or where the old release is gone.
    """
    wanted = [change for change in undone.services if change.service in set(services)]
    known = [change for change in wanted if change.service in environment.services]
    found = await look_everywhere([environment.services[change.service] for change in known], hosts)
    turned = [
        _turned(installation, environment, undone, change, found[change.service])
        for change in reversed(known)  # the last activated goes first
    ]
    changes = [change for change, _, _ in turned]
    steps = [step for _, several, _ in turned for step in several]
    return assembled(
        installation,
        environment,
        changes,
        steps,
        kind="rollback",
        staged=tuple(check for _, _, checks in turned for check in checks),
        standing=standing(environment, {change.service: change for change in changes}, found),
        remarks=(*([DATA_REMARK] if undone.databases else []), *(warning for step in steps for warning in step.warns)),
    )


def _turned(
    installation: Installation, environment: EnvironmentSpec, undone: Plan, change: ServiceChange, seen: Any
) -> tuple[ServiceChange, tuple[Step, ...], tuple[Check, ...]]:
    """One service's change the other way round, its steps, and what must hold before them."""
    if undone.kind == "adopt":
        return adopt.back(change, undone.way_back, seen)
    service = environment.services[change.service]
    return STRATEGIES[change.strategy].back(service, installation.hosts[service.host], change, seen)
