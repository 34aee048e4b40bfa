from __future__ import annotations

import re
from collections.abc import Iterator

from fairlead.config.database import ENGINES, DatabaseSpec
from fairlead.config.problems import Path, Problem
from fairlead.config.rules.ground import Ground
from fairlead.config.service import STRATEGIES, ServiceSpec

_SECRET_HEADER = re.compile(r"authorization|cookie|token|secret|password|(^|[-_])key$", re.IGNORECASE)


def strategy_has_its_keys(ground: Ground) -> Iterator[Problem]:
    """A service has what its strategy cannot work without."""
    for environment, service in ground.services():
        missing = [key for key in STRATEGIES[service.strategy].needs if not getattr(service, key)]
        if missing:
            keys = ", ".join(f"`{key}`" for key in missing)
            what = f"strategy {service.strategy} needs {keys}"
            hint = f"`source` is written in services.{service.name}" if "source" in missing else ""
            yield ground.problem(ground.spot(environment, service.name), what, hint)


def docroots_share_nothing_by_link(ground: Ground) -> Iterator[Problem]:
    """`shared` is for releases beside each other; `beside` is for docroots."""
    for environment, service in ground.services():
        if service.strategy == "in_place" and service.shared:
            path = ground.spot(environment, service.name, "shared")
            yield ground.problem(path, "is not for `in_place`: nothing is linked into a docroot", "write `protected`")
    for path, entry in ground.written():
        name = str(path[-1])
        strategies = {service.strategy for _, service in ground.services() if service.name == name}
        if getattr(entry, "beside", "") and strategies and "in_place" not in strategies:
            yield ground.problem((*path, "beside"), "is only for `in_place`")


def requests_have_a_url(ground: Ground) -> Iterator[Problem]:
    """Health and identity are asked at a URL."""
    for environment, service in ground.services():
        for key in ("health", "identity"):
            if getattr(service, key) and not service.url:
                yield ground.problem(ground.spot(environment, service.name), f"`{key}` needs `url`")


def switch_has_a_unit(ground: Ground) -> Iterator[Problem]:
    """Only a unit can be restarted, reloaded or stopped."""
    for environment, service in ground.services():
        kind, maintenance = service.on_switch.kind, service.maintenance
        if kind in ("restart", "reload") and not service.unit:
            path = ground.spot(environment, service.name, "on_switch")
            yield ground.problem(
                path, f"`{kind}` needs `unit`", "give the service a `unit`, or a command: {run: [...]}"
            )
        if maintenance and maintenance.stop and not service.unit and not service.on_switch.stop:
            path = ground.spot(environment, service.name, "maintenance", "stop")
            yield ground.problem(path, "needs `unit`, or `on_switch` with `stop`")


def maintenance_is_one_thing(ground: Ground) -> Iterator[Problem]:
    """A page, two commands, or a stop."""
    for path, entry in ground.written():
        if (given := entry.maintenance) is None:
            continue
        ways = (bool(given.page), bool(given.on or given.off), given.stop)
        if sum(ways) != 1 or bool(given.on) != bool(given.off):
            what = "should be either `page`, or `on` and `off`, or `stop: true`"
            yield ground.problem((*path, "maintenance"), what)


def secret_headers_are_named(ground: Ground) -> Iterator[Problem]:
    """What proves who asks is a secret, and a secret is given by its name."""
    for path, entry in ground.written():
        for number, check in enumerate(entry.health):
            for header, value in check.headers.items():
                if isinstance(value, str) and _SECRET_HEADER.search(header):
                    where = (*path, "health", number, "headers", header)
                    hint = f"write `{header}: {{secret: NAME}}`, and put its whole value into one of `sources`"
                    yield ground.problem(where, "should be the name of a secret, not a secret itself", hint)


def sharing_changes_nothing(ground: Ground) -> Iterator[Problem]:
    """A service that may lie where another environment's does is only looked at."""
    for environment, service in ground.services():
        if service.shared_place and service.strategy != "verify_only":
            path = ground.spot(environment, service.name, "shared")
            yield ground.problem(path, "`shared: verify_only` needs `strategy: verify_only`")


def databases_are_its_environments(ground: Ground) -> Iterator[Problem]:
    """A service uses databases of its own environment, and migrates only those that it uses."""
    owners = {database.name: database.environment for database in ground.installation.databases}
    for environment, service in ground.services():
        for number, name in enumerate(service.databases):
            if owners.get(name) not in (environment, None, ""):
                path = ground.spot(environment, service.name, "databases", number)
                hint = "two environments never share a database"
                yield ground.problem(path, f"`{name}` belongs to {owners[name]}", hint)


def migrated_databases_are_used(ground: Ground) -> Iterator[Problem]:
    """A migration changes only databases that its service uses."""
    for environment, service in ground.services():
        for number, name in enumerate(service.migrations.databases if service.migrations else ()):
            if name not in service.databases:
                path = ground.spot(environment, service.name, "migrations", "databases", number)
                yield ground.problem(path, f"`{name}` is not in the `databases` of {service.name} in {environment}")


def migrations_have_a_login(ground: Ground) -> Iterator[Problem]:
    """The account that migrations are given exists, and gets into its databases from where they run."""
    for environment, service in ground.services():
        if (given := service.migrations) is None:
            continue
        path = ground.spot(environment, service.name, "migrations", "migrate_as")
        if given.needs and not given.migrate_as:
            yield ground.problem(path, "`needs` is about an account", "write `migrate_as: service` or `maintenance`")
        for one in ground.installation.databases:
            if given.migrate_as and one.name in given.databases:
                yield from _login_of(ground, path, service, one)


def _login_of(ground: Ground, path: Path, service: ServiceSpec, database: DatabaseSpec) -> Iterator[Problem]:
    asks = service.migrations.migrate_as if service.migrations else None
    if asks == "maintenance" and not database.maintenance and ENGINES[database.engine].port:
        yield ground.problem(path, f"databases.{database.group} has no `maintenance` account")
    if service.host and database.host != service.host:
        what = f"`{database.name}` is reached from `{database.host}`, and the migrations run on `{service.host}`"
        yield ground.problem(path, what, "leave `migrate_as` out, and give the commands a login of their own")


def lists_have_no_doubles(ground: Ground) -> Iterator[Problem]:
    """Nothing stands twice in a list of names, and no shared path lies inside another."""
    for environment, service in ground.services():
        for key in ("depends_on", "databases"):
            names = getattr(service, key)
            for number, name in enumerate(names):
                if name in names[:number]:
                    yield ground.problem(ground.spot(environment, service.name, key, number), "stands here twice")
        shared = [path.rstrip("/") for path in service.shared]
        for number, path in enumerate(shared):
            others = shared[:number] + shared[number + 1 :]
            if any(f"{path}/".startswith(f"{other}/") for other in others):
                where = ground.spot(environment, service.name, "shared", number)
                yield ground.problem(where, "is inside another shared path, or stands here twice")


RULES = (
    strategy_has_its_keys,
    docroots_share_nothing_by_link,
    requests_have_a_url,
    switch_has_a_unit,
    maintenance_is_one_thing,
    secret_headers_are_named,
    sharing_changes_nothing,
    databases_are_its_environments,
    migrated_databases_are_used,
    migrations_have_a_login,
    lists_have_no_doubles,
)
