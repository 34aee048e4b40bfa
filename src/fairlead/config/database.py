from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator

from fairlead.config.types import (
    Address,
    Count,
    Flag,
    Identifier,
    MoreSeconds,
    Name,
    PathPattern,
    Port,
    RemotePath,
    SecretName,
    SecretPattern,
    User,
    bare_name,
    enum,
    one_of,
    text,
)
from fairlead.model import Model, SecretRef

Tls = Literal["off", "required", "verify"]
TakenBack = Literal["all", "migrated", "none"]
OnNewRows = Literal["keep_and_restore", "stop_and_ask"]


class Engine(NamedTuple):
    """What the file has to know of an engine."""

    port: int | None
    """Where its server listens by default; None = there is no server, the database is a file."""


ENGINES = {"mariadb": Engine(3306), "postgres": Engine(5432), "sqlite": Engine(None)}
"""Engines by name; a new one is one row."""

EngineName = Annotated[str, BeforeValidator(text), AfterValidator(one_of(ENGINES)), enum(ENGINES)]


class RollbackEntry(Model):
    """Whether the way back of a deployment takes a database back too, to the backup made for that deployment."""

    data: Annotated[TakenBack, BeforeValidator(text)] = "migrated"
    """`migrated` (if a migration of the deployment has changed it and cannot undo that by itself), `all` (whatever
    the deployment has changed) or `none`."""
    on_new_rows: Annotated[OnNewRows, BeforeValidator(text)] = "keep_and_restore"
    """What was written since that backup: `keep_and_restore` keeps it beside, in the database that is replaced;
    `stop_and_ask` stops for a person."""
    standby: Flag = False
    """Restore the backup beside the live database before the deployment changes anything: it proves the backup, and
    the way back only renames."""


class DatabaseEntry(Model):
    """One database of a group; what is left out comes from the group."""

    environment: Name = ""
    """The environment it belongs to."""
    personal: Flag = False
    """Does it hold personal data?"""
    database: Identifier = ""
    """Its name on the server."""
    user: Identifier = ""
    """The account that services use."""
    password: SecretPattern = ""
    """Name of the secret with that account's password."""
    rollback: RollbackEntry = RollbackEntry()
    """Whether a way back takes it back."""


class MaintenanceAccountEntry(Model):
    """The account for backup and restore; a service's own account may do less."""

    user: User
    """Its name on the server."""
    password: SecretName
    """Name of the secret with its password."""


class StoreEntry(Model):
    """Where backups of a group lie."""

    host: Name = ""
    """The one the databases are reached from, which is the default too."""
    path: RemotePath = ""
    """A folder there; by default `fairlead-backups/GROUP`."""
    keep: Count = 14
    """How many backups of each database are kept."""
    max_age: MoreSeconds = 86400.0
    """An older backup counts as none."""


class GroupEntry(Model):
    """Databases that have engine, server and naming in common. `{name}` in a pattern is the database's name here."""

    engine: EngineName
    """`mariadb`, `postgres` or `sqlite`."""
    reached_from: Name
    """One of the `hosts`: only from there is the server (or the file) reached."""
    address: Address = ""
    """Server, as seen from `reached_from`. Not for sqlite."""
    port: Port | None = None
    """Its port; by default the engine's."""
    tls: Annotated[Tls, BeforeValidator(text)] = "verify"
    """`off`, `required` (encrypted) or `verify` (and the server proves who it is)."""
    database: Identifier = "{name}"
    """Pattern of the database's name on the server, such as `mo_{name}`."""
    user: Identifier = "{name}"
    """Pattern of the services' account, such as `svc_{name}`."""
    password: SecretPattern = ""
    """Pattern of the secret's name with that account's password, such as `MO_{NAME}_DB_PASS`."""
    maintenance: MaintenanceAccountEntry | None = None
    """The account for backup and restore."""
    path: PathPattern = ""
    """SQLite: pattern of the file's path on the host, such as `data/{name}.db`."""
    limit: Count | None = None
    """At most so many databases may exist there."""
    environment: Name = ""
    """The environment of those that name none; may be left out where there is only one environment."""
    backup_store: StoreEntry = StoreEntry()
    """Where their backups lie."""
    rollback: RollbackEntry = RollbackEntry()
    """Whether a way back takes them back."""
    names: dict[Name, Annotated[DatabaseEntry, bare_name(DatabaseEntry)]] = {}
    """The databases, by name."""


class StoreSpec(Model):
    """Where backups lie, how many are kept and how old the newest may be."""

    host: str
    path: str
    keep: int = 14
    max_age: float = 86400.0
    """Seconds."""


class RollbackSpec(Model):
    """What a way back does with a database."""

    data: TakenBack = "migrated"
    on_new_rows: OnNewRows = "keep_and_restore"
    standby: bool = False


class MaintenanceAccount(Model):
    """A database account that may back up and restore."""

    user: str
    password: SecretRef


class DatabaseSpec(Model):
    """One database, everything resolved."""

    name: str
    group: str
    engine: str
    host: str
    """The host it is reached from; for sqlite, the one it lies on."""
    environment: str
    database: str = ""
    """Name on the server; empty for sqlite."""
    user: str = ""
    password: SecretRef | None = None
    maintenance: MaintenanceAccount | None = None
    path: str = ""
    """SQLite: the file, relative to the home of `host` or absolute."""
    address: str = ""
    port: int | None = None
    tls: Tls = "off"
    personal: bool = False
    store: StoreSpec
    rollback: RollbackSpec = RollbackSpec()


class GroupSpec(Model):
    """A group of databases."""

    name: str
    engine: str
    host: str
    address: str = ""
    port: int | None = None
    tls: Tls = "off"
    limit: int | None = None
    maintenance: MaintenanceAccount | None = None
    store: StoreSpec
    databases: tuple[str, ...] = ()
    """Names, in the file's order."""


def group_spec(name: str, entry: GroupEntry) -> GroupSpec:
    """The group that an entry of `databases` stands for."""
    given = entry.backup_store
    store = StoreSpec(
        host=given.host or entry.reached_from,
        path=given.path or f"fairlead-backups/{name}",
        keep=given.keep,
        max_age=given.max_age,
    )
    account = entry.maintenance
    server = ENGINES[entry.engine].port
    return GroupSpec(
        name=name,
        engine=entry.engine,
        host=entry.reached_from,
        address=entry.address,
        port=entry.port or server,
        tls=entry.tls if server else "off",
        limit=entry.limit,
        maintenance=account and MaintenanceAccount(user=account.user, password=SecretRef(name=account.password)),
        store=store,
        databases=tuple(entry.names),
    )


def database_spec(name: str, group: GroupSpec, entry: GroupEntry, environment: str) -> DatabaseSpec:
    """The database that a name in a group stands for; `environment` is that of databases that name none."""
    given = entry.names[name]
    server: dict[str, Any] = {}
    if ENGINES[entry.engine].port:
        password = pattern(given.password or entry.password, name)
        server = {
            "database": pattern(given.database or entry.database, name),
            "user": pattern(given.user or entry.user, name),
            "password": SecretRef(name=password) if password else None,
        }
    return DatabaseSpec(
        name=name,
        group=group.name,
        environment=given.environment or entry.environment or environment,
        path=pattern(entry.path, name),
        personal=given.personal,
        **group.model_dump(include={"engine", "host", "address", "port", "tls"}),
        maintenance=group.maintenance,
        store=group.store,
        rollback=_rollback(entry.rollback, given.rollback),
        **server,
    )


def _rollback(group: RollbackEntry, own: RollbackEntry) -> RollbackSpec:
    """A database's own keys come before those of its group."""
    keys = {name: getattr(entry, name) for entry in (group, own) for name in entry.model_fields_set}
    return RollbackSpec(**keys)


def pattern(text: str, name: str) -> str:
    """Put a name into `{name}`, or in capitals into `{NAME}`."""
    return text.replace("{name}", name).replace("{NAME}", name.upper().replace("-", "_"))
