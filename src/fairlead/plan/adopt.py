"""The plan that makes what somebody else put onto a server the first release of a service."""

from __future__ import annotations

from fairlead.config import EnvironmentSpec, Installation, ServiceSpec
from fairlead.errors import CallError, NotReady
from fairlead.model import Plan
from fairlead.outside.connect import Hosts
from fairlead.plan.deploy import assembled, proofs, standing, with_units
from fairlead.strategies import adopt


async def plan_adopt(installation: Installation, environment: EnvironmentSpec, name: str, hosts: Hosts) -> Plan:
    """Turn the folder that is live into `releases/ID` and a link. Looks at the host, changes nothing.

    Raises CallError for a service that is not brought out by `release`, NotReady where there is nothing to adopt.
    """
    service = environment.services[name]
    if service.strategy != "release":
        raise CallError(
            f"{name} is {service.strategy}: only services with strategy release are adopted", _hint(service)
        )
    host = await hosts.get(service.host)
    result = await host.run(adopt.look(service))
    try:
        found = adopt.read(result.stdout)
    except ValueError as error:
        what = f"{name}: {service.host}:{service.path} cannot be read: {result.last_words or error}"
        raise NotReady(what, f"`fairlead doctor` shows what is missing on {service.host}") from error
    adopt.refuse(service, found)
    steps = adopt.steps(service, found)
    (change,) = await with_units(installation, environment, [adopt.change(service, found)], hosts)
    return assembled(
        installation,
        environment,
        [change],
        steps,
        kind="adopt",
        staged=adopt.staged(service, found),
        proven={name: (adopt.proven(service, found), *proofs(service, change.tells))},
        standing=standing(environment, {}, {}),
        remarks=tuple(warning for step in steps for warning in step.warns),
    )


def _hint(service: ServiceSpec) -> str:
    kept = service.strategy == "in_place"
    return f"`fairlead deploy {service.name}` keeps what it replaces" if kept else "it is looked at, never deployed"
