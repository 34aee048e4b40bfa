from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator

from fairlead.config.types import (
    Address,
    ClientAddress,
    Count,
    Flag,
    Identifier,
    MoreSeconds,
    Name,
    PathPattern,
    Port,
    Privilege,
    Recipient,
    RemotePath,
    SecretName,
    SecretPattern,
    Share,
    User,
    Word,
    bare_name,
    enum,
    one_of,
    text,
)
from fairlead.model import Model, SecretRef

Tls = Literal["off", "required", "verify"]
MadeBy = Literal["fairlead", "panel"]
TakenBack = Literal["all", "migrated", "none"]
OnNewRows = Literal["keep_and_restore", "stop_and_ask"]
ReplacedAt = Literal["beside", "in_place"]


class Engine(NamedTuple):
    """What the file has to know of an engine."""

    port: int | None
    """Where its server listens by default; None = there is no server, the database is a file."""
    making: tuple[str, ...] = ()
    """Keys of a group that say how its databases are made."""


ENGINES = {
    "mariadb": Engine(3306, ("privileges", "character_set", "collation")),
    "postgres": Engine(5432, ("template",)),
    "sqlite": Engine(None),
}
"""Engines by name; a new one is one row."""

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "INDEX", "REFERENCES")
"""What a service's account on MariaDB may do, where nothing else is said."""

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
    place: Annotated[ReplacedAt, BeforeValidator(text)] = "beside"
    """Where a backup is restored: `beside` (a second database is filled while the live one is used, and swapped in), or
    `in_place` (MariaDB, where its server has no room for a second one: the live database is kept in a backup, emptied
    and filled, while all its services wait)."""
    keep_days: Count = 7
    """For so many days what was replaced stays beside the live database; the next deployment after that drops it."""


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
    privileges: tuple[Privilege, ...] = ()
    """MariaDB: what that account may do there, and nothing else."""
    rollback: RollbackEntry = RollbackEntry()
    """Whether a way back takes it back."""


class MaintenanceAccountEntry(Model):
    """The account for backup and restore; a service's own account may do less."""

    user: User
    """Its name on the server."""
    password: SecretName
    """Name of the secret with its password."""


class AdminEntry(Model):
    """The account that makes databases and accounts; nothing else uses it.

    With a password it logs in from `reached_from`; without one, or with `socket`, over the server's socket on `server`.
    """

    user: User
    """Its name on the server, such as `root` or `postgres`."""
    password: SecretName | None = None
    """Name of the secret with its password; without it, the server knows the login on `server` by its socket."""
    run_as: User = ""
    """The login on `server` that the server knows it by: its client program runs through `sudo -n -u`."""
    socket: RemotePath = ""
    """The server's socket (MariaDB) or the folder that it lies in (PostgreSQL); by default where the client program
    looks for it."""


class EncryptEntry(Model):
    """Backups are encrypted with age on the host where they are made; reading one takes an identity."""

    to: tuple[Recipient, ...]
    """Public keys, each `age1...`: whoever has the identity of one of them can read the backups."""
    identity: SecretName
    """Name of the secret with an identity, `AGE-SECRET-KEY-1...`: only a restore and a drill ask for it."""


class StoreEntry(Model):
    """Where backups of a group lie."""

    host: Name = ""
    """The one the databases are reached from, which is the default too."""
    path: RemotePath = ""
    """A folder there; by default `fairlead-backups/GROUP`."""
    keep: Count = 14
    """At most so many backups of each database are kept."""
    keep_days: Count | None = None
    """None is kept longer than so many days, but the last one that counts, and what a way back still needs."""
    shrink: Share = 0.5
    """A backup smaller than this share of the one before does not count until a person accepts it."""
    max_age: MoreSeconds = 86400.0
    """An older backup counts as none."""
    encrypt: EncryptEntry | None = None
    """Encrypt them; those of databases that are `personal` are made no other way."""


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
    server: Name = ""
    """One of the `hosts`: an account on the machine that the server runs on, to make databases over its socket."""
    clients: tuple[ClientAddress, ...] = ()
    """The addresses that the server sees its clients come from: accounts are bound to them, and `fairlead db firewall`
    lets nobody else reach the port."""
    admin: AdminEntry | None = None
    """The account that makes databases and accounts; without it, they are only verified."""
    made_by: Annotated[MadeBy, BeforeValidator(text)] = "fairlead"
    """Who makes the databases: `fairlead`, or a `panel`: then they are verified, and it is said what to do there."""
    privileges: tuple[Privilege, ...] = PRIVILEGES
    """MariaDB: what a service's account may do in its database, and nothing else."""
    character_set: Word = "utf8mb4"
    """MariaDB: a database's default."""
    collation: Word = "utf8mb4_unicode_ci"
    """MariaDB: a database's default."""
    template: Word = "template1"
    """PostgreSQL: the database that new ones are copied from."""
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


class Encryption(Model):
    """Whom backups are encrypted to, and what reads them."""

    to: tuple[str, ...]
    identity: SecretRef


class StoreSpec(Model):
    """Where backups lie, how many are kept and how old the newest may be."""

    host: str
    path: str
    keep: int = 14
    keep_days: int | None = None
    shrink: float = 0.5
    max_age: float = 86400.0
    """Seconds."""
    encrypt: Encryption | None = None


class RollbackSpec(Model):
    """What a way back does with a database."""

    data: TakenBack = "migrated"
    on_new_rows: OnNewRows = "keep_and_restore"
    standby: bool = False
    place: ReplacedAt = "beside"
    keep_days: int = 7


class MaintenanceAccount(Model):
    """A database account that may back up and restore."""

    user: str
    password: SecretRef


class AdminAccount(Model):
    """The account that makes databases and accounts."""

    user: str
    password: SecretRef | None = None
    run_as: str = ""
    socket: str = ""

    @property
    def local(self) -> bool:
        """It logs in on the server's own machine, over its socket."""
        return self.password is None or bool(self.socket)


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
    privileges: tuple[str, ...] = ()
    """MariaDB: of the services' account, in the order of the file; empty for others."""
    personal: bool = False
    store: StoreSpec
    rollback: RollbackSpec = RollbackSpec()


class Login(Model):
    """How a program gets into a database."""

    name: str
    engine: str
    address: str = ""
    port: int | None = None
    tls: Tls = "off"
    database: str = ""
    user: str = ""
    password: SecretRef | None = None
    path: str = ""
    """SQLite: the file, relative to the login's home or absolute."""


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
    server: str = ""
    clients: tuple[str, ...] = ()
    admin: AdminAccount | None = None
    made_by: MadeBy = "fairlead"
    character_set: str = ""
    collation: str = ""
    template: str = ""
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
        keep_days=given.keep_days,
        shrink=given.shrink,
        max_age=given.max_age,
        encrypt=given.encrypt
        and Encryption(to=tuple(filter(None, given.encrypt.to)), identity=SecretRef(name=given.encrypt.identity)),
    )
    account = entry.maintenance
    server, making = ENGINES[entry.engine]
    return GroupSpec(
        name=name,
        engine=entry.engine,
        host=entry.reached_from,
        address=entry.address,
        port=entry.port or server,
        tls=entry.tls if server else "off",
        limit=entry.limit,
        maintenance=account and MaintenanceAccount(user=account.user, password=SecretRef(name=account.password)),
        server=entry.server,
        clients=entry.clients,
        admin=entry.admin and _admin(entry.admin),
        made_by=entry.made_by,
        **{key: getattr(entry, key) for key in making if key != "privileges"},
        store=store,
        databases=tuple(entry.names),
    )


def _admin(entry: AdminEntry) -> AdminAccount:
    password = SecretRef(name=entry.password) if entry.password else None
    return AdminAccount(user=entry.user, password=password, run_as=entry.run_as, socket=entry.socket)


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
    if "privileges" in ENGINES[entry.engine].making:
        server["privileges"] = tuple(dict.fromkeys(given.privileges or entry.privileges))
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


def login(database: DatabaseSpec, *, maintenance: bool) -> Login:
    """The login of the database's service, or of the maintenance account where there is one."""
    words = {key: getattr(database, key) for key in Login.model_fields}
    if maintenance and database.maintenance:
        words |= {"user": database.maintenance.user, "password": database.maintenance.password}
    return Login(**words)


def _rollback(group: RollbackEntry, own: RollbackEntry) -> RollbackSpec:
    """A database's own keys come before those of its group."""
    keys = {name: getattr(entry, name) for entry in (group, own) for name in entry.model_fields_set}
    return RollbackSpec(**keys)


def pattern(text: str, name: str) -> str:
    """Put a name into `{name}`, or in capitals into `{NAME}`."""
    return text.replace("{name}", name).replace("{NAME}", name.upper().replace("-", "_"))
