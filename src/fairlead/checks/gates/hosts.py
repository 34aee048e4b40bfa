"""Gate `hosts`: can every account of the environment be worked on?"""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.host import check_host
from fairlead.checks.run import Asked, together
from fairlead.model import Finding

LIMIT = 8.0
"""Seconds that one host has."""


def gate(context: GateContext) -> Gate:
    """All hosts of the environment at once."""

    async def look() -> list[Finding]:
        return await together([Asked("host", name, look_at(context, name)) for name in used_hosts(context)], LIMIT)

    return Gate("hosts", "ssh, clock, disk, programs and rights of every account", look, "usable", LIMIT + 2)


def used_hosts(context: GateContext) -> list[str]:
    """Names of the environment's hosts, the lock host first."""
    services = (service.host for service in context.environment.services.values() if service.host)
    names = [context.environment.lock_host, *services, *(database.host for database in context.databases)]
    return list(dict.fromkeys(names))


async def look_at(context: GateContext, name: str) -> Finding:
    """One of the environment's hosts, with all that the environment needs there."""
    own = [d for d in context.databases if d.host == name]
    needs = {"python3": any(d.engine == "sqlite" for d in own), "age": any(d.store.encrypt for d in own)}
    services = context.environment.services.values()
    folders = [s.path for s in services if s.host == name and s.strategy != "verify_only"]
    folders += [d.store.path for d in context.databases if d.store.host == name]
    programs = tuple(word for word, needed in needs.items() if needed)
    return await check_host(context.hosts, name, programs=programs, folders=tuple(dict.fromkeys(folders)))
