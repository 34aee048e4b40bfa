"""The plan that takes a finished deployment back: to the releases that were live before it."""

from __future__ import annotations

from collections.abc import Iterable

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
    specs = [environment.services[change.service] for change in wanted if change.service in environment.services]
    found = await look_everywhere(specs, hosts)
    changes: list[ServiceChange] = []
    steps: list[Step] = []
    staged: list[Check] = []
    for change in reversed([change for change in wanted if change.service in found]):  # the last activated goes first
        service, strategy = environment.services[change.service], STRATEGIES[change.strategy]
        host, seen = installation.hosts[service.host], found[change.service]
        if undone.kind == "adopt":
            turned, several, checks = adopt.back(change, undone.way_back, seen)
        else:
            turned, several, checks = strategy.back(service, host, change, seen)
        changes.append(turned)
        steps += several
        staged += checks
    return assembled(
        installation,
        environment,
        changes,
        steps,
        kind="rollback",
        staged=tuple(staged),
        standing=standing(environment, {change.service: change for change in changes}, found),
        remarks=(*([DATA_REMARK] if undone.databases else []), *(warning for step in steps for warning in step.warns)),
    )
