from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.config.environment import needs_of, placed_services
from fairlead.config.order import cycle
from fairlead.config.problems import Path, Problem, closest
from fairlead.config.rules.ground import Ground


def hosts(ground: Ground) -> Iterator[Problem]:
    """Every host that is named exists."""
    for path, name in _host_names(ground):
        yield from ground.unknown(path, name, "hosts")


def _host_names(ground: Ground) -> Iterator[tuple[Path, str]]:
    for name, host in ground.file.hosts.items():
        yield ("hosts", name, "via"), host.via
    for name, group in ground.file.databases.items():
        yield ("databases", name, "reached_from"), group.reached_from
        yield ("databases", name, "server"), group.server
        yield ("databases", name, "backup_store", "host"), group.backup_store.host
    for name, environment in ground.file.environments.items():
        yield ("environments", name, "lock_host"), environment.lock_host
        for number, log in enumerate(environment.gates.personal_data.logs if environment.gates.personal_data else ()):
            yield ("environments", name, "gates", "personal_data", "logs", number, "host"), log.host
        for service, placed in environment.services.items():
            yield ("environments", name, "services", service, "host"), placed.host


def environments(ground: Ground) -> Iterator[Problem]:
    """Every environment that a database names exists."""
    for name, group in ground.file.databases.items():
        yield from ground.unknown(("databases", name, "environment"), group.environment, "environments")
        for database, entry in group.names.items():
            path = ("databases", name, "names", database, "environment")
            yield from ground.unknown(path, entry.environment, "environments")


def services(ground: Ground) -> Iterator[Problem]:
    """Every service that an environment lists or another service depends on exists."""
    for name in ground.file.environments:
        for service in ground.document.names("environments", name, "services") or ():
            yield from ground.unknown(("environments", name, "services", service), service, "services")
    for path, entry in ground.written():
        for number, need in enumerate(entry.depends_on):
            yield from ground.unknown((*path, "depends_on", number), need, "services")


def databases(ground: Ground) -> Iterator[Problem]:
    """Every database that a service uses exists."""
    groups = ground.document.names("databases")
    lists = [ground.document.names("databases", group, "names") for group in groups or ()]
    if groups is None or None in lists:
        return
    known = [name for names in lists for name in names or ()]
    told = ground.file.backup_metadata
    if told and told not in known:
        yield ground.problem(("backup_metadata",), f"`{told}` is in no group of `databases`", closest(told, known))
    for environment, service in ground.services():
        for number, name in enumerate(service.databases):
            if name not in known:
                path = ground.spot(environment, service.name, "databases", number)
                yield ground.problem(path, f"`{name}` is in no group of `databases`", closest(name, known))


def circles(ground: Ground) -> Iterator[Problem]:
    """No host is reached through itself, no service waits for itself."""
    jumps = {name: (host.via,) for name, host in ground.file.hosts.items() if host.via}
    for name in _first_of_circle(jumps):
        yield ground.problem(("hosts", name, "via"), f"goes in a circle: {' -> '.join(cycle(name, jumps))}")
    shared = ground.file.services
    for environment, entry in ground.file.environments.items():
        needs = needs_of(placed_services(entry, shared), shared)
        for name in _first_of_circle(needs):
            path = ground.spot(environment, name, "depends_on")
            yield ground.problem(path, f"goes in a circle: {' -> '.join(cycle(name, needs))}")


def _first_of_circle(needs: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    seen = set[str]()
    for name in needs:
        if name not in seen and (way := cycle(name, needs)):
            seen.update(way)
            yield name


def secrets(ground: Ground) -> Iterator[Problem]:
    """What is a secret is never also put into the file's text as a setting."""
    for name in ground.installation.secrets:
        if name in ground.settings:
            what = f"{name} is a secret and cannot be a setting"
            yield ground.problem(ground.settings[name], what, "take another name for one of them")


RULES = (hosts, environments, services, databases, circles, secrets)
