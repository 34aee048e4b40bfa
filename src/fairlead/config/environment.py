from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from fairlead.config.database import DatabaseSpec, login
from fairlead.config.gates import AnnounceWord, GatesEntry, GatesSpec, gates_spec
from fairlead.config.order import Needs, ordered, reached
from fairlead.config.service import PlacedEntry, ServiceEntry, ServiceSpec, merged, service_spec
from fairlead.config.types import MoreSeconds, Name, Seconds, Share, Wrong, bare_name, text
from fairlead.model import Lease, Model, WatchRules


def _whole(value: float) -> float:
    # Below that a busy machine loses its lock by itself, and its changes are ended for no reason.
    if value < 5 or value != int(value):
        raise Wrong("should be whole seconds, at least 5")
    return value


WholeSeconds = Annotated[Seconds, AfterValidator(_whole)]


class WatchEntry(Model):
    """How long a deployment is watched, and what starts the way back."""

    duration: Seconds = 1800.0
    """How long; 0 = not at all."""
    interval: MoreSeconds = 30.0
    """Time between two looks."""
    down_for: MoreSeconds = 120.0
    """A service that has not answered rightly for so long starts the way back."""
    error_share: Share = 0.05
    """A larger share of failed requests starts the way back."""
    window: MoreSeconds = 300.0
    """The share is taken over this last time."""
    min_requests: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = 20
    """Fewer requests than this in the window are not enough to judge."""
    lost_database: Annotated[Literal["back", "halt"], BeforeValidator(text)] = "back"
    """What starts when a database is lost during the deployment: the way back, or a stop for a human to look."""


class LeaseEntry(Model):
    """How the lock is held; whole seconds, at least 5."""

    ttl: WholeSeconds = 30.0
    """A holder that was not heard of for so long may be replaced."""
    beat: WholeSeconds = 15.0
    """A running change that hears nothing from its operator for so long is ended; at most `ttl`."""


class EnvironmentEntry(Model):
    """Services that belong together and go out together."""

    lock_host: Name = ""
    """The host that holds lock and record; by default the first one that a service here uses."""
    unattended: Annotated[Literal["allow", "refuse"], BeforeValidator(text)] = "refuse"
    """May a deployment start without a person saying yes?"""
    watch: WatchEntry = WatchEntry()
    """The watch over a deployment."""
    lease: LeaseEntry = LeaseEntry()
    """How the lock is held."""
    gates: GatesEntry = GatesEntry()
    """What a deployment has to pass before it may start."""
    announce: tuple[AnnounceWord, ...] = ()
    """Whom its deployments are told: `github` = an issue for each, from the plan to the result."""
    services: dict[Name, Annotated[PlacedEntry, bare_name(PlacedEntry)]] = {}
    """The services of this environment; one that is not listed does not exist here."""


class EnvironmentSpec(Model):
    """One environment, everything resolved."""

    name: str
    lock_host: str
    unattended: bool = False
    watch: WatchRules = WatchRules()
    lease: Lease = Lease()
    gates: GatesSpec = GatesSpec()
    announce: tuple[str, ...] = ()
    services: dict[str, ServiceSpec] = {}
    """In the order of deployment: what a service depends on stands before it."""


def placed_services(entry: EnvironmentEntry, shared: dict[str, ServiceEntry]) -> dict[str, PlacedEntry]:
    """The environment's services, merged with what they are everywhere, in the order of `services`."""
    return {name: merged(shared[name], entry.services[name]) for name in shared if name in entry.services}


def needs_of(placed: dict[str, PlacedEntry], shared: dict[str, ServiceEntry]) -> dict[str, tuple[str, ...]]:
    """What every service depends on, as one environment sees it; those outside it keep their own needs."""
    return {name: placed.get(name, entry).depends_on for name, entry in shared.items()}


def environment_spec(
    name: str, entry: EnvironmentEntry, shared: dict[str, ServiceEntry], hosts: tuple[str, ...]
) -> EnvironmentSpec:
    """The environment that an entry stands for; `hosts` are the names of all hosts in the file's order."""
    placed = placed_services(entry, shared)
    needs = needs_of(placed, shared)
    order = [service for service in ordered(needs) if service in placed]
    inside = {service: service_spec(service, placed[service], _ahead(service, needs, order)) for service in order}
    inside = {service: _settled(name, spec, inside.values()) for service, spec in inside.items()}
    used = [service.host for service in entry.services.values() if service.host]
    return EnvironmentSpec(
        name=name,
        lock_host=entry.lock_host or next(iter((*used, *hosts)), ""),
        unattended=entry.unattended == "allow",
        watch=WatchRules(**entry.watch.model_dump()),
        lease=Lease(ttl=int(entry.lease.ttl), beat=int(entry.lease.beat)),
        gates=gates_spec(entry.gates),
        announce=entry.announce,
        services=inside,
    )


def with_logins(environment: EnvironmentSpec, databases: Iterable[DatabaseSpec]) -> EnvironmentSpec:
    """The environment whose migrations know the logins that they are to be given."""
    several = list(databases)
    services = {name: _with_logins(spec, several) for name, spec in environment.services.items()}
    return environment.model_copy(update={"services": services})


def _with_logins(service: ServiceSpec, databases: list[DatabaseSpec]) -> ServiceSpec:
    migrations = service.migrations
    if migrations is None or migrations.migrate_as is None:
        return service
    maintenance = migrations.migrate_as == "maintenance"
    logins = tuple(login(one, maintenance=maintenance) for one in databases if one.name in migrations.databases)
    return service.model_copy(update={"migrations": migrations.model_copy(update={"logins": logins})})


def _settled(environment: str, spec: ServiceSpec, all_of_it: Iterable[ServiceSpec]) -> ServiceSpec:
    """A service that knows its surroundings: whoever lies in its docroot is protected."""
    if spec.strategy != "in_place" or not spec.path:
        return spec.model_copy(update={"environment": environment, "beside": ""})
    others = [other for other in all_of_it if other.path and other.host == spec.host and other.name != spec.name]
    inner = [o.path.removeprefix(f"{spec.path}/") for o in others if o.path.startswith(f"{spec.path}/")]
    around = [o.path for o in others if o.strategy == "in_place" and spec.path.startswith(f"{o.path}/")]
    beside = spec.beside or f"{min([spec.path, *around], key=len)}.fairlead"
    protected = tuple(dict.fromkeys((*spec.protected, *inner)))
    return spec.model_copy(update={"environment": environment, "beside": beside, "protected": protected})


def _ahead(service: str, needs: Needs, order: list[str]) -> tuple[str, ...]:
    found = reached(service, needs)
    return tuple(name for name in order if name in found)
