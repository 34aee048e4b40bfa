"""The plan of a deployment: artifacts, the specification and what is on the hosts now become one table of steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from fairlead.checks.databases import as_check
from fairlead.config import DatabaseSpec, EnvironmentSpec, Installation, ServiceSpec
from fairlead.engines import Spare
from fairlead.errors import FairleadError, NotReady
from fairlead.model import (
    Account,
    Check,
    DataBack,
    DatabaseCheck,
    Plan,
    ServiceChange,
    Step,
    Tree,
    Untouched,
    WatchTarget,
)
from fairlead.outside.connect import Hosts
from fairlead.plan.beside import drops, expired_beside
from fairlead.plan.data import (
    Backups,
    OpenTo,
    backups,
    data_back,
    database_name,
    expected_outage,
    in_place,
    migrations,
    open_remarks,
    refuse_no_room,
    refuse_triggers,
    room_beside,
    standby,
    to_take_back,
)
from fairlead.plan.prepare import Artifact
from fairlead.strategies import STRATEGIES, systemd
from fairlead.strategies.proof import health_checks, identity_checks

T = TypeVar("T")
U = TypeVar("U")
DATA_REMARK = "the way back leaves data as it is: databases are backed up before, but not taken back"


async def plan_deploy(
    installation: Installation,
    environment: EnvironmentSpec,
    artifacts: Mapping[str, Artifact],
    hosts: Hosts,
    *,
    day: str,
    spare: Awaitable[Spare | None] | None = None,
) -> Plan:
    """What it takes to make these artifacts live. Looks at the hosts, changes nothing.

    `day`: YYYYMMDD, for the names of what a way back keeps. `spare`: gives the backups that a rollback of what is live
    now needs, which this deployment's own must not retire; it gives None where nobody knows them, so none is retired.
    Without it nothing is needed.

    Raises NotReady naming every host that does not answer and everything that stands in the way.
    """
    services = [environment.services[name] for name in environment.services if name in artifacts]
    own = installation.databases_of(environment.name)
    looks = look_everywhere(services, hosts, {name: artifact.tree for name, artifact in artifacts.items()})
    beside = both(expired_beside(own, hosts, day), room_beside(installation, _may_go_back(own), hosts))
    (found, needed), (over, room) = await both(both(looks, spare or _nothing()), beside)
    changes, steps = _changed(installation, services, artifacts, found)
    databases = _touched_databases(installation, environment, changes)
    migrated = migrations(environment, steps)
    refuse_no_room(to_take_back(databases, migrated), room)
    changes = await with_units(installation, environment, changes, hosts)
    made = await backups(databases, migrated, changes, hosts, needed)
    new = {change.service for change in changes if not change.before}
    back = data_back(installation, environment, databases, made, migrated, new=new, day=day)
    refuse_triggers(_open_to(back), room, "`rollback: {data: none}` of the database")
    filled, cleared = standby(databases, back)
    around = [*made.before, *filled, *_with_final(steps, made, back), *cleared]
    around += drops(over, {one.name: one for one in own}) if changes else []
    more = {"data": back, "backups": made.labels}
    return _assemble(installation, environment, changes, around, databases, found, more)


def _changed(
    installation: Installation,
    services: Iterable[ServiceSpec],
    artifacts: Mapping[str, Artifact],
    found: Mapping[str, Any],
) -> tuple[list[ServiceChange], list[Step]]:
    """What changes for the services that do not run their artifact yet, and the steps to it."""
    changes: list[ServiceChange] = []
    steps: list[Step] = []
    for service in services:
        artifact, seen, strategy = artifacts[service.name], found[service.name], STRATEGIES[service.strategy]
        if not strategy.lives(artifact.tree, seen):
            changes.append(strategy.change(service, artifact.tree, artifact.version, seen))
            steps += strategy.steps(service, installation.hosts[service.host], artifact.tree, seen)
    return changes, steps


async def with_units(
    installation: Installation, environment: EnvironmentSpec, changes: Iterable[ServiceChange], hosts: Hosts
) -> list[ServiceChange]:
    """The changes, and what systemd says of the unit of each where nothing of ours is live yet."""

    async def with_unit(change: ServiceChange) -> ServiceChange:
        service = environment.services[change.service]
        if change.before or not service.unit:
            return change
        asked = systemd.asked(service, installation.hosts[change.host])
        said = await (await hosts.get(change.host)).run(asked)
        return change.model_copy(update={"unit": systemd.told(service, said)})

    return await all_or_errors(map(with_unit, changes))


async def _nothing() -> Spare:
    return {}


def _may_go_back(databases: Iterable[DatabaseSpec]) -> list[DatabaseSpec]:
    return [one for one in databases if one.rollback.data != "none"]


def _with_final(steps: Iterable[Step], made: Backups, back: DataBack) -> Iterator[Step]:
    """The last backups before the steps that they are for; those say how what they do is taken back."""
    taken = {step: one.database for one in back.databases for step in one.migrations}
    for step in steps:
        yield from made.final.get(step.id, ())
        if step.id in taken:
            again = f"restore {taken[step.id]} from its backup; what was written since is kept"
            yield step.model_copy(update={"warns": (), "shows_back": (again,)})
        else:
            yield step


async def look_everywhere(
    services: Iterable[ServiceSpec], hosts: Hosts, trees: Mapping[str, Tree] | None = None
) -> dict[str, Any]:
    """What lies at each service's place now, by service, as its strategy tells it; `trees` are what is to be there.

    Raises NotReady naming everything that stands in the way.
    """
    wanted, wishes = list(services), trees or {}
    answers = await all_or_errors(_look(service, hosts, wishes.get(service.name)) for service in wanted)
    return {service.name: found for service, found in zip(wanted, answers, strict=True)}


async def all_or_errors(looks: Iterable[Awaitable[T]]) -> list[T]:
    """Take all looks at once, to their ends; what failed becomes one NotReady with a line for each."""
    answers = await asyncio.gather(*looks, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    for error in errors:
        if not isinstance(error, FairleadError):
            raise error
    if errors:
        hints = dict.fromkeys(hint for error in errors if (hint := getattr(error, "hint", "")))
        raise NotReady("\n".join(dict.fromkeys(map(str, errors))), "\n".join(hints))
    return [answer for answer in answers if not isinstance(answer, BaseException)]


async def both(one: Awaitable[T], other: Awaitable[U]) -> tuple[T, U]:
    """Two looks together, both to their ends; then the first error is raised."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


async def _look(service: ServiceSpec, hosts: Hosts, tree: Tree | None) -> Any:
    host, strategy = await hosts.get(service.host), STRATEGIES[service.strategy]
    result = await host.run(strategy.look(service), stdin=strategy.wants(tree))
    try:
        found = strategy.read(result.stdout)
    except (ValueError, KeyError) as error:
        what = f"{service.name}: {service.host}:{service.path} cannot be read: {error or result.last_words}"
        raise NotReady(what, f"`fairlead doctor` shows what is missing on {service.host}") from error
    strategy.refuse(service, found, tree)
    return found


def _touched_databases(
    installation: Installation, environment: EnvironmentSpec, changes: Sequence[ServiceChange]
) -> list[DatabaseSpec]:
    """Those that a changed service uses, and those that go back with whatever is changed."""
    wanted = {name for change in changes for name in environment.services[change.service].databases}
    own = installation.databases_of(environment.name) if changes else ()
    return [one for one in own if one.name in wanted or one.rollback.data == "all"]


def _assemble(
    installation: Installation,
    environment: EnvironmentSpec,
    changes: list[ServiceChange],
    steps: list[Step],
    databases: list[DatabaseSpec],
    found: Mapping[str, Any],
    more: Mapping[str, Any],
) -> Plan:
    ordered = [step for phase in ("stage", "activate", "close") for step in steps if step.phase == phase]
    specs = environment.services
    return assembled(
        installation,
        environment,
        changes,
        ordered,
        databases,
        kind="deploy",
        staged=tuple(
            check
            for change in changes
            for check in STRATEGIES[change.strategy].staged(specs[change.service], change, found[change.service])
        ),
        standing=standing(environment, {change.service: change for change in changes}, found),
        guards=guards(installation, environment),
        remarks=tuple(_remarks(ordered, databases, more["data"])),
        **more,
    )


def assembled(
    installation: Installation,
    environment: EnvironmentSpec,
    changes: Sequence[ServiceChange],
    steps: Sequence[Step],
    databases: Sequence[DatabaseSpec] = (),
    **more: Any,
) -> Plan:
    """A plan with everything that follows from its changes and its steps; `more` are the fields that do not."""
    changed = {change.service: change for change in changes}
    back: DataBack = more.get("data", DataBack())
    words: dict[str, Any] = {
        "project": installation.project,
        "environment": environment.name,
        "lock_host": environment.lock_host,
        "accounts": accounts_of(installation, environment, [step.host for step in (*steps, *back.steps)]),
        "services": tuple(changes),
        "databases": tuple(database_name(database) for database in databases),
        "untouched": _untouched(installation, environment, steps, changed, databases),
        "steps": tuple(steps),
        "proven": {c.service: proofs(environment.services[c.service], c.tells) for c in changes if not c.gone},
        "watch": _watch_targets(environment, changed),
        "watch_rules": environment.watch,
        "lease": environment.lease,
    }
    return Plan(**{**words, **more})


def _remarks(steps: Iterable[Step], databases: Sequence[DatabaseSpec], back: DataBack) -> Iterable[str]:
    if any(databases) and not back.databases:
        yield DATA_REMARK
    for word, when in _WHEN.items():
        if names := [one.database for one in back.databases if one.data == word and (word == "all" or one.migrations)]:
            yield f"the way back takes back the data of {', '.join(names)} {when}; what was written since is kept"
    taken = {one.database for one in back.databases}
    for one in databases:
        if in_place(one) and one.name in taken:
            yield f"the way back: {expected_outage(one)}"
        elif in_place(one) and one.rollback.data == "all":
            yield f"the way back leaves {one.name} as it is: it is replaced in place, and a new service may write to it"
    for step in steps:
        yield from step.warns
    yield from open_remarks("the way back", _open_to(back))


def _open_to(back: DataBack) -> OpenTo:
    return {one.database: one.open_to for one in back.databases if one.open_to}


_WHEN = {"migrated": "once the migration has begun", "all": "once anything was switched or migrated"}


def proofs(service: ServiceSpec, expected_release: str) -> tuple[Check, ...]:
    """Health and identity of one service."""
    return (*health_checks(service), *identity_checks(service, expected_release))


def standing(
    environment: EnvironmentSpec, changed: Mapping[str, ServiceChange], found: Mapping[str, Any]
) -> dict[str, tuple[Check, ...]]:
    """What must hold after a way back: every service of the environment as it is now; nothing where nothing is live.

    What lay in a docroot before its first deployment counts: what was sick before is not held against it.
    """
    checks: dict[str, tuple[Check, ...]] = {}
    for name, service in environment.services.items():
        change = changed.get(name)
        if change and not change.before and change.inventory is None:
            continue
        now = change.before if change else found[name].current if name in found else ""
        now = "" if name in found and now in found[name].unnamed else now
        checks[name] = (
            *proofs(service, now),
            *(STRATEGIES[change.strategy].standing(service, change) if change else ()),
        )
    return checks


def _watch_targets(environment: EnvironmentSpec, changed: Mapping[str, ServiceChange]) -> tuple[WatchTarget, ...]:
    """Every service of the environment, as the watch looks at it."""
    return tuple(
        WatchTarget(
            service=name,
            checks=proofs(service, changed[name].tells if name in changed else ""),
            host=service.host,
            access_log=service.access_log,
        )
        for name, service in environment.services.items()
        if service.health and not (name in changed and changed[name].gone)
    )


def guards(installation: Installation, environment: EnvironmentSpec) -> tuple[DatabaseCheck, ...]:
    """A look at every database that a service of the environment uses, whether the plan changes that service or not."""
    used = {name for service in environment.services.values() for name in service.databases}
    own = (one for one in installation.databases_of(environment.name) if one.name in used)
    return tuple(as_check(one) for one in own)


def accounts_of(installation: Installation, environment: EnvironmentSpec, used: Iterable[str]) -> dict[str, Account]:
    """The accounts that a plan needs to be carried out, those that are jumped through included."""
    watched = (service.host for service in environment.services.values() if service.host and service.access_log)
    guarded = (check.host for check in guards(installation, environment))
    names = list(dict.fromkeys((environment.lock_host, *used, *watched, *guarded)))
    for name in names:
        via = installation.hosts[name].account.via
        if via and via not in names:
            names.append(via)
    return {name: installation.hosts[name].account for name in sorted(names)}


def _untouched(
    installation: Installation,
    environment: EnvironmentSpec,
    steps: Iterable[Step],
    changed: Iterable[str],
    databases: Iterable[DatabaseSpec],
) -> Untouched:
    """What fairlead.yml knows and this plan leaves alone."""
    used, touched = {step.host for step in steps}, {database_name(database) for database in databases}
    services = set(changed)
    return Untouched(
        hosts=tuple(name for name in installation.hosts if name not in used),
        services=tuple(name for name in environment.services if name not in services),
        databases=tuple(database_name(d) for d in installation.databases if database_name(d) not in touched),
    )
