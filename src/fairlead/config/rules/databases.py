from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.database import ENGINES, DatabaseSpec
from fairlead.config.problems import Path, Problem
from fairlead.config.rules.ground import Ground
from fairlead.config.rules.machines import machine, machine_seen_from

_ONLY_SERVER = ("address", "port", "tls", "database", "user", "password", "maintenance")
_ONLY_MADE = ("server", "clients", "admin", "made_by")
_ONLY_FILE = ("path",)
_MAKING = tuple(dict.fromkeys(key for engine in ENGINES.values() for key in engine.making))
_LONGEST = 63  # PostgreSQL; MariaDB takes one more


def keys_fit_engine(ground: Ground) -> Iterator[Problem]:
    """A server has an address, a file has a path, and neither has keys of the other."""
    for name, group in ground.file.databases.items():
        server = ENGINES[group.engine].port is not None
        needed = "address" if server else "path"
        if not getattr(group, needed):
            yield ground.problem(("databases", name), f"{group.engine} needs `{needed}`")
        for path, entry in (
            (("databases", name), group),
            *((("databases", name, "names", key), value) for key, value in group.names.items()),
        ):
            foreign = [key for key in _MAKING if key not in ENGINES[group.engine].making]
            for key in (*(_ONLY_FILE if server else (*_ONLY_SERVER, *_ONLY_MADE)), *foreign):
                if key in entry.model_fields_set:
                    yield ground.problem((*path, key), f"is not for {group.engine}")


def accounts(ground: Ground) -> Iterator[Problem]:
    """A server's databases have a password and names that the engines take."""
    for database in ground.installation.databases:
        if not ENGINES[database.engine].port:
            continue
        if database.password is None:
            hint = "give the name of a secret, such as `password: {NAME}_DB_PASS`"
            yield ground.problem(("databases", database.group), "needs `password`", hint)
        if max(len(database.database), len(database.user)) > _LONGEST:
            yield ground.problem(place_of(database), f"name or user on the server is longer than {_LONGEST}")


def administrators(ground: Ground) -> Iterator[Problem]:
    """Whoever makes databases can log in, and knows where their accounts come from."""
    for name, group in ground.file.databases.items():
        if (admin := group.admin) is None:
            continue
        path: Path = ("databases", name, "admin")
        local = admin.password is None or bool(admin.socket)
        if group.made_by == "panel":
            yield ground.problem(path, "is not for `made_by: panel`: nothing is made there")
        if local and not group.server:
            what = "needs `server`, or `password` to log in from `reached_from`"
            yield ground.problem(path, what, "give one of the `hosts`, an account on the server's machine")
        if admin.run_as and not local:
            yield ground.problem((*path, "run_as"), "is only for a login over the server's socket, without `password`")
        if not group.clients:
            hint = f"give the address that the server sees `{group.reached_from}` come from"
            yield ground.problem(path, "needs `clients`: accounts are bound to them", hint)


def belong(ground: Ground) -> Iterator[Problem]:
    """Every database belongs to one environment and stands in one group."""
    first = dict[str, str]()
    for database in ground.installation.databases:
        if not database.environment:
            hint = f"give `environment` here or in databases.{database.group}"
            yield ground.problem(place_of(database), "belongs to no environment", hint)
        if database.name in first:
            what = f"the name stands in databases.{first[database.name]} too"
            yield ground.problem(place_of(database), what, "a database's name is its own in the whole file")
        first.setdefault(database.name, database.group)


def limits(ground: Ground) -> Iterator[Problem]:
    """No group has more databases than may exist there."""
    for group in ground.installation.groups.values():
        names = ground.document.names("databases", group.name, "names") or ()
        if group.limit and len(names) > group.limit:
            what = f"{len(names)} databases, but `limit` is {group.limit}"
            yield ground.problem(("databases", group.name, "names"), what)


def stores(ground: Ground) -> Iterator[Problem]:
    """Backups lie on the host that reaches the database: that is where they are made."""
    for name, group in ground.file.databases.items():
        host, reaches = group.backup_store.host, group.reached_from
        if host not in ("", reaches) and {host, reaches} <= ground.installation.hosts.keys():
            what = f"backups are written on `{reaches}`, the host that the databases are reached from"
            path = ("databases", name, "backup_store", "host")
            yield ground.problem(path, what, f"write `host: {reaches}`, or leave it out")


def places(ground: Ground) -> Iterator[Problem]:
    """No two names mean the same database."""
    first = dict[tuple[object, ...], DatabaseSpec]()
    for database in ground.installation.databases:
        place = _place(ground, database)
        if place is None:
            continue
        other = first.setdefault(place, database)
        if other is not database and other.name != database.name:
            what = f"is the same database as `{other.name}`" + (
                f" of {other.environment}" if other.environment != database.environment else ""
            )
            yield ground.problem(place_of(database), what, "two environments never share a database")


def replaced(ground: Ground) -> Iterator[Problem]:
    """In place there is nothing that could wait beside, and only MariaDB has no better way."""
    for database in ground.installation.databases:
        if database.rollback.place == "in_place" and database.engine != "mariadb":
            yield ground.problem(place_of(database), f"`place: in_place` is not for {database.engine}", "leave it out")
        elif database.rollback.place == "in_place" and database.rollback.standby:
            yield ground.problem(place_of(database), "`standby` has nothing to wait beside with `place: in_place`")


def _place(ground: Ground, database: DatabaseSpec) -> tuple[object, ...] | None:
    hosts = ground.installation.hosts
    if database.host not in hosts:
        return None
    if ENGINES[database.engine].port:
        server = machine_seen_from(database.host, database.address, hosts)
        return database.engine, server, database.port, database.database
    account = hosts[database.host].account
    return database.engine, machine(database.host, hosts), account.user, account.home, database.path


def place_of(database: DatabaseSpec) -> Path:
    """Where a database is written."""
    return "databases", database.group, "names", database.name


RULES = (keys_fit_engine, accounts, administrators, belong, limits, stores, places, replaced)
