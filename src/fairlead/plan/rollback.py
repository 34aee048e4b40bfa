"""The plan that takes a finished deployment back: to the releases that were live before it."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.config import EnvironmentSpec, Installation
from fairlead.errors import NotReady
from fairlead.model import Plan, ServiceChange, Step, difference
from fairlead.outside.connect import Hosts
from fairlead.plan.deploy import accounts, look_everywhere, proofs, standing, untouched, watch_targets
from fairlead.strategies import release

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
    changes = [_turned(change, found[change.service]) for change in wanted if change.service in found]
    # The last one activated is the first to go back.
    changes.reverse()
    steps = [_switch(installation, environment, change) for change in changes]
    changed = {change.service: change for change in changes}
    trees = tuple(
        check
        for change in changes
        for check in release.tree_checks(environment.services[change.service], change.after, change.before)
    )
    return Plan(
        kind="rollback",
        project=installation.project,
        environment=environment.name,
        lock_host=environment.lock_host,
        accounts=accounts(installation, environment, (step.host for step in steps)),
        services=tuple(changes),
        untouched=untouched(installation, environment, steps, changed, ()),
        steps=tuple(steps),
        staged=trees,
        proven={c.service: proofs(environment.services[c.service], c.after) for c in changes},
        standing=standing(environment, changed, found),
        watch=watch_targets(environment, changed),
        watch_rules=environment.watch,
        lease=environment.lease,
        remarks=(DATA_REMARK,) if undone.databases else (),
    )


def _turned(change: ServiceChange, found: release.Found) -> ServiceChange:
    if found.current != change.after:
        raise NotReady(
            f"{change.service} runs {found.current or 'nothing'}, not {change.after} which that deployment left",
            "`fairlead history` shows what came after it; roll that back instead",
        )
    if not change.before:
        raise NotReady(f"{change.service} was deployed for the first time: there is no release to go back to")
    if change.before not in found.releases:
        raise NotReady(f"{change.service}: release {change.before} is no longer on {change.host}", "deploy it again")
    return change.model_copy(
        update={
            "before": change.after,
            "after": change.before,
            "version": "",
            "files": difference(found.tree, found.tree),
        }
    )


def _switch(installation: Installation, environment: EnvironmentSpec, change: ServiceChange) -> Step:
    service = environment.services[change.service]
    return release.switch(service, installation.hosts[service.host], change.after, change.before)
