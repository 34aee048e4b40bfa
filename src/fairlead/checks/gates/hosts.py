"""Gate `hosts`: can every account of the environment be worked on?"""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.host import Growth, Needs, check_host
from fairlead.checks.rights import Right, Unit
from fairlead.checks.run import Asked, together
from fairlead.config import CommandWord, HostSpec, ServiceSpec
from fairlead.model import Finding

LIMIT = 8.0
"""Seconds that one host has."""


def gate(context: GateContext) -> Gate:
    """All hosts of the environment at once."""

    async def look() -> list[Finding]:
        return await together([Asked("host", name, look_at(context, name)) for name in used_hosts(context)], LIMIT)

    return Gate("hosts", "ssh, clock, load, disk, programs and rights of every account", look, "usable", LIMIT + 2)


def used_hosts(context: GateContext) -> list[str]:
    """Names of the environment's hosts, the lock host first."""
    services = (service.host for service in context.environment.services.values() if service.host)
    data = (host for one in context.databases for host in (one.host, one.store.host))
    return list(dict.fromkeys((context.environment.lock_host, *services, *data)))


async def look_at(context: GateContext, name: str) -> Finding:
    """One of the environment's hosts, with all that the environment needs there."""
    return await check_host(context.hosts, name, needs_of(context, name))


def needs_of(context: GateContext, name: str) -> Needs:
    """What the environment needs of one of its hosts: for its services, its databases and their backups."""
    known = context.installation.hosts[name]
    services = [s for s in context.environment.services.values() if s.host == name and s.strategy != "verify_only"]
    own = [d for d in context.databases if d.host == name]
    stored = [d for d in context.databases if d.store.host == name]
    programs = {"python3": any(d.engine == "sqlite" for d in own), "age": any(d.store.encrypt for d in own)}
    folders = [folder for s in services for folder in (s.path, s.beside) if folder] + [d.store.path for d in stored]
    grows = [Growth("release", s.beside or s.path, _staged(s)) for s in services]
    grows += [Growth("copies", d.store.path, f"{d.store.path}/{d.name}") for d in stored]
    rights = [Right(argv) for s in services for argv in _commands(s, known) if argv and _is_there(argv[0], s)]
    return Needs(
        programs=tuple(word for word, needed in programs.items() if needed),
        folders=tuple(dict.fromkeys(folders)),
        grows=tuple(grows),
        rights=tuple(dict.fromkeys(rights)),
        units=tuple(_unit(s, known) for s in services if s.unit and _words(s)),
        load=known.load,
    )


def _staged(service: ServiceSpec) -> str:
    """The folder of a service's releases; that of a docroot comes beside it, where the live one was staged."""
    return f"{service.beside}/{service.name}" if service.beside else service.path


def _is_there(program: str, service: ServiceSpec) -> bool:
    """It is the machine's; what belongs to a release comes with it."""
    return "/" not in program or (program.startswith("/") and not program.startswith(f"{service.path}/"))


def _words(service: ServiceSpec) -> list[CommandWord]:
    """What is done with a service's unit."""
    switches: dict[str, list[CommandWord]] = {"restart": ["restart"], "reload": ["reload"]}
    stops: list[CommandWord] = ["stop"] if service.maintenance and service.maintenance.stop else []
    return switches.get(service.on_switch.kind, []) + stops


def _commands(service: ServiceSpec, host: HostSpec) -> Iterator[tuple[str, ...]]:
    """All that a plan will run for a service."""
    yield from (host.commands.argv(word, unit=service.unit) for word in _words(service) if service.unit)
    if service.owner:
        yield host.commands.argv("own", owner=service.owner, path=f"{_staged(service)}/releases/.part-{'0' * 12}")
    yield from (service.on_switch.run, service.on_switch.stop)
    if service.maintenance:
        yield from (*service.maintenance.on, *service.maintenance.off)
    if service.migrations:
        yield from (*service.migrations.apply, service.migrations.probe, *service.migrations.undo)


def _unit(service: ServiceSpec, host: HostSpec) -> Unit:
    commands = (host.commands.argv(word, unit=service.unit) for word in _words(service))
    needed = any("systemctl" in argv for argv in commands)
    return Unit(service.unit, host.commands.argv("show", unit=service.unit), needed)
