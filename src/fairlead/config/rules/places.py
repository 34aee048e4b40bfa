from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.problems import Problem
from fairlead.config.rules.ground import Ground
from fairlead.config.rules.machines import Folder, folder, machine
from fairlead.config.service import ServiceSpec

_OWN = "give each environment its own"


def folders_are_apart(ground: Ground) -> Iterator[Problem]:
    """No service's folder is another's or lies inside it, in whatever environment; but a docroot may hold others."""
    taken = list(_folders(ground))
    for number, (environment, service, mine) in enumerate(taken):
        for other_environment, other, theirs in taken[:number]:
            if environment == other_environment and (_hosts(service, mine, theirs) or _hosts(other, theirs, mine)):
                continue
            if mine.holds(theirs) or theirs.holds(mine):
                how = "is the folder" if mine == theirs else "is inside or around the folder"
                what = f"{how} of `{other.name}`" + f" of {other_environment}" * (environment != other_environment)
                yield ground.problem(
                    ground.spot(environment, service.name, "path"), what, _hint(environment, other_environment)
                )


def _hosts(service: ServiceSpec, mine: Folder, theirs: Folder) -> bool:
    """A docroot that another service lies in: it protects what is there."""
    return service.strategy == "in_place" and mine.holds(theirs) and mine != theirs


def places_beside_docroots_are_apart(ground: Ground) -> Iterator[Problem]:
    """What is kept beside a docroot lies in nobody's folder, and no two environments keep theirs in one."""
    hosts, first = ground.installation.hosts, dict[Folder, str]()
    taken = list(_folders(ground))
    for environment, service, _ in taken:
        if not service.beside:
            continue
        beside = folder(service.host, service.beside, hosts)
        path = ground.spot(environment, service.name, "beside")
        if first.setdefault(beside, environment) != environment:
            yield ground.problem(path, f"is used by {first[beside]} too", _OWN)
        for _, other, theirs in taken:
            if beside.holds(theirs) or theirs.holds(beside):
                what = (
                    f"what is kept beside the docroot, in {service.beside}, would lie inside or around `{other.name}`"
                )
                yield ground.problem(path, what, "set `beside` to a folder of its own, not served to anybody")


def _hint(environment: str, other: str) -> str:
    return _OWN if environment != other else "give each service a folder of its own"


def _folders(ground: Ground) -> Iterator[tuple[str, ServiceSpec, Folder]]:
    hosts = ground.installation.hosts
    for environment, service in ground.services():
        if service.path and service.host in hosts and not service.shared_place:
            yield environment, service, folder(service.host, service.path, hosts)


def state_and_backups_are_apart(ground: Ground) -> Iterator[Problem]:
    """What a web server serves never holds lock, record or backups, nor do they lie around it."""
    hosts = ground.installation.hosts
    groups = ground.installation.groups.values()
    kept = [("the state folder", host.name, folder(host.name, host.account.state, hosts)) for host in hosts.values()]
    kept += [
        (f"the backups of `{group.name}`", group.store.host, folder(group.store.host, group.store.path, hosts))
        for group in groups
        if group.store.host in hosts
    ]
    for environment, service, mine in _folders(ground):
        for what, host, theirs in kept:
            if mine.holds(theirs) or theirs.holds(mine):
                path = ground.spot(environment, service.name, "path")
                yield ground.problem(path, f"is inside or around {what} on {host}", "keep them apart")


def units_and_ports_are_apart(ground: Ground) -> Iterator[Problem]:
    """Two environments never share a unit or a port of one machine."""
    hosts = ground.installation.hosts
    first = dict[tuple[str, str, object], tuple[str, str]]()
    for environment, service in ground.services():
        if service.host not in hosts or service.shared_place:
            continue
        for key in ("unit", "port"):
            if (value := getattr(service, key)) is None or value == "":
                continue
            place = (machine(service.host, hosts), key, _unit(value))
            other_environment, other = first.setdefault(place, (environment, service.name))
            if other_environment != environment:
                what = f"is the {key} of `{other}` of {other_environment}"
                yield ground.problem(ground.spot(environment, service.name, key), what, _OWN)


def _unit(value: object) -> object:
    return value.removesuffix(".service") if isinstance(value, str) else value


RULES = (
    folders_are_apart,
    places_beside_docroots_are_apart,
    state_and_backups_are_apart,
    units_and_ports_are_apart,
)
