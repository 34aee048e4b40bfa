from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from fairlead.config.database import Login
from fairlead.config.types import (
    Arguments,
    Commands,
    Count,
    Flag,
    HeaderName,
    InnerPath,
    Json,
    Line,
    LocalPath,
    MoreSeconds,
    Name,
    Owner,
    Port,
    Privilege,
    RemotePath,
    Seconds,
    SecretName,
    SharedPath,
    Statuses,
    Text,
    Unit,
    Url,
    UrlPath,
    either,
    enum,
    listed_or,
    one_of,
    text,
)
from fairlead.model import Model, SecretRef


class Strategy(NamedTuple):
    """What the file has to know of a way to bring out a service."""

    needs: tuple[str, ...]
    """Keys without which it cannot work."""


STRATEGIES = {
    "release": Strategy(("host", "path", "source")),
    "in_place": Strategy(("host", "path", "source")),
    "verify_only": Strategy(()),
}
"""Strategies by name; a new one is one row."""

StrategyName = Annotated[str, BeforeValidator(text), AfterValidator(one_of(STRATEGIES)), enum(STRATEGIES)]


class BuildEntry(Model):
    """What is built on the operator's machine and becomes the release."""

    folder: LocalPath
    """The service's folder, relative to the folder of this file."""
    build: Commands = ()
    """Commands that build it, run in that folder."""
    output: InnerPath = ""
    """What is released: a folder inside `folder`, such as `dist`; without it, the folder itself."""
    exclude: tuple[Line, ...] = (".git",)
    """Names and patterns that are left out; `__pycache__` always is."""
    version: LocalPath = ""
    """A file inside `folder` whose first line people call the version; without it, the commit."""
    timeout: MoreSeconds = 900.0
    """How long the build may take."""


class SecretEntry(Model):
    """A secret in a header."""

    secret: SecretName
    """Its name."""


HeaderValue = Annotated[SecretEntry | str, either(SecretEntry, Line)]


class HealthEntry(Model):
    """One request and what the answer must be."""

    path: UrlPath
    """Appended to the service's `url`."""
    status: Statuses = (200,)
    """The status, or a list of those that are right."""
    fields: dict[Line, Json] = Field(default={}, alias="json")
    """Dotted paths into a JSON answer and the values that must be there."""
    content_type: Line = ""
    """The answer's media type must begin with this."""
    contains: Text = ""
    """A text that must be in the answer."""
    headers: dict[HeaderName, HeaderValue] = {}
    """Headers of the request; `{secret: NAME}` for a secret value."""
    timeout: MoreSeconds = 5.0
    """Later is no answer."""
    slow: Seconds = 0.0
    """Slower is a warning; 0 = never."""


class IdentityEntry(Model):
    """Where the running service says which release it is."""

    path: UrlPath
    """Appended to the service's `url`."""
    field: Line = Field(default="release", alias="json")
    """Dotted path into the JSON answer; its value must be the release's id, as in `release.json`."""


MigrateAs = Literal["service", "maintenance"]


class MigrationEntry(Model):
    """Changes of databases that belong to a release; run on the host, in the new release's folder."""

    apply: Commands
    """Brings the databases up to the release."""
    probe: Arguments
    """Prints one word: `before`, `after`, `between` or `cannot_tell`; without it a crash could not be undone."""
    preview: Commands = ()
    """Prints what `apply` would do, and changes nothing."""
    undo: Commands = ()
    """Leads back to before, also when it is run twice."""
    phase: Annotated[Literal["before", "after"], BeforeValidator(text)] = "before"
    """`before` the service's switch, or `after` it, under maintenance."""
    databases: tuple[Name, ...] = ()
    """Those that it changes; by default all databases of the service."""
    migrate_as: Annotated[MigrateAs | None, BeforeValidator(text)] = None
    """Whose login the commands are given: the `service`'s or the group's `maintenance` account. They find it in the
    file that FAIRLEAD_DATABASES names; without this key, they bring one of their own."""
    needs: tuple[Privilege, ...] = ()
    """MariaDB: privileges that they need; a deployment is not ready where that account lacks one."""
    timeout: MoreSeconds = 600.0
    """How long it may take."""


class MaintenanceEntry(Model):
    """How users are told to wait: a page, two commands, or the unit is stopped."""

    page: RemotePath = ""
    """A file that the web server shows instead while it exists; relative to the service's `path`."""
    on: Commands = ()
    """Begins the maintenance; `{path}` is the service's."""
    off: Commands = ()
    """Ends it; must survive running twice."""
    stop: Flag = False
    """Stop the service meanwhile."""


class SwitchEntry(Model):
    """A command of your own that makes the service use the release that was switched to; `{path}` is the service's."""

    run: Arguments
    """Run after the switch; must survive running twice."""
    status: Arguments = ()
    """Exits 0 while the service runs."""
    stop: Arguments = ()
    """Stops the service."""
    leaves: Flag = False
    """It starts a process that is meant to stay."""


SWITCHES = ("restart", "reload", "nothing")
SwitchWord = Annotated[str, BeforeValidator(text), AfterValidator(one_of(SWITCHES)), enum(SWITCHES)]
SHARED = ("verify_only",)
SharedWord = Annotated[str, BeforeValidator(text), AfterValidator(one_of(SHARED)), enum(SHARED)]


class ServiceEntry(Model):
    """What a service is, the same in every environment."""

    strategy: StrategyName = "release"
    """`release` (folders beside each other and a link to the live one), `in_place` (a docroot that must stay a folder)
    or `verify_only` (looked at, never changed)."""
    source: BuildEntry | None = None
    """Where its files come from."""
    depends_on: tuple[Name, ...] = ()
    """Services that are brought out before it."""
    health: tuple[HealthEntry, ...] = ()
    """Requests that must be answered rightly."""
    identity: IdentityEntry | None = None
    """Where it says which release it is."""
    migrations: MigrationEntry | None = None
    """Changes of its databases."""
    shared: Annotated[tuple[str, ...] | str, listed_or(SharedWord, SharedPath)] = ()
    """Paths kept beside the releases and linked into each: `uploads/` is made where it is missing, `.env` must exist.
    Or `verify_only`: may lie where another one's does."""
    protected: tuple[InnerPath, ...] = ()
    """A release that contains one of these paths is refused. In a docroot they are never written."""
    keep: Count = 5
    """How many releases are kept."""
    owner: Owner = ""
    """`user:group` of its files."""
    maintenance: MaintenanceEntry | None = None
    """How users are told to wait."""
    on_switch: Annotated[SwitchEntry | str, either(SwitchEntry, SwitchWord)] = ""
    """`restart`, `reload`, `nothing` or a command; by default `restart` where there is a unit."""
    settle: Seconds = 5.0
    """How long the unit is watched after a restart or reload: it must stay active, in the same process."""


class PlacedEntry(ServiceEntry):
    """Where a service is in one environment; keys of `services` given here replace those there."""

    host: Name = ""
    """One of the `hosts`."""
    path: RemotePath = ""
    """Its folder there. For `release` it holds `releases/`, `shared/` and the link `current`, which is to be served;
    for `in_place` it is the docroot."""
    beside: RemotePath = ""
    """For `in_place`: a folder on the docroot's file system, not served, for all that is Fairlead's; by default the
    docroot's path with `.fairlead` behind it."""
    url: Url = ""
    """Where it answers."""
    unit: Unit = ""
    """Its systemd unit."""
    port: Port | None = None
    """The port it listens on."""
    databases: tuple[Name, ...] = ()
    """Those that it uses."""
    access_log: RemotePath = ""
    """The web server's log on the host; the share of failed requests is read from it."""


PLACED = tuple(key for key in PlacedEntry.model_fields if key not in ServiceEntry.model_fields)
"""Keys that only an environment may give."""


class SourceSpec(Model):
    """What is built on the operator's machine and becomes the release."""

    folder: str
    """Relative to the folder of fairlead.yml."""
    build: tuple[tuple[str, ...], ...] = ()
    output: str = ""
    """A folder inside `folder`; empty = the folder itself."""
    exclude: tuple[str, ...] = (".git",)
    version: str = ""
    """A file inside `folder`; empty = the commit."""
    timeout: float = 900.0
    """Seconds."""


class HealthSpec(Model):
    """One request and what the answer must be."""

    path: str = "/"
    status: tuple[int, ...] = (200,)
    fields: dict[str, JsonValue] = {}
    """Dotted paths into a JSON body and the values they must have."""
    content_type: str = ""
    contains: str = ""
    headers: dict[str, str | SecretRef] = {}
    timeout: float = 5.0
    """Seconds."""
    slow_ms: float = 0.0
    """Milliseconds; 0 = never."""


class IdentitySpec(Model):
    """Where the running service says which release it is."""

    path: str
    field: str = "release"
    """Dotted path into the JSON body."""


class MigrationSpec(Model):
    """Changes of databases that belong to a release."""

    apply: tuple[tuple[str, ...], ...]
    probe: tuple[str, ...]
    preview: tuple[tuple[str, ...], ...] = ()
    undo: tuple[tuple[str, ...], ...] = ()
    phase: Literal["before", "after"] = "before"
    databases: tuple[str, ...] = ()
    migrate_as: MigrateAs | None = None
    needs: tuple[str, ...] = ()
    logins: tuple[Login, ...] = ()
    """Of those databases, in the file's order; none where `migrate_as` is not given."""
    timeout: float = 600.0
    """Seconds."""


class MaintenanceSpec(Model):
    """How users are told to wait; exactly one of page, on and off, stop."""

    page: str = ""
    on: tuple[tuple[str, ...], ...] = ()
    off: tuple[tuple[str, ...], ...] = ()
    stop: bool = False


class SwitchSpec(Model):
    """What happens after the link was switched."""

    kind: Literal["restart", "reload", "nothing", "run"] = "nothing"
    run: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    leaves: bool = False


class ServiceSpec(Model):
    """One service in one environment, everything resolved."""

    name: str
    strategy: str = "release"
    environment: str = ""
    host: str = ""
    path: str = ""
    beside: str = ""
    """For in_place: the folder that holds what is ours, a folder for each service; empty for others."""
    url: str = ""
    """Without a slash at its end."""
    unit: str = ""
    port: int | None = None
    access_log: str = ""
    source: SourceSpec | None = None
    depends_on: tuple[str, ...] = ()
    """Services of the same environment, also those it depends on through services that are not in it."""
    health: tuple[HealthSpec, ...] = ()
    identity: IdentitySpec | None = None
    migrations: MigrationSpec | None = None
    shared: tuple[str, ...] = ()
    shared_place: bool = False
    """It may lie where another environment's does; then it is verify_only."""
    protected: tuple[str, ...] = ()
    keep: int = 5
    owner: str = ""
    maintenance: MaintenanceSpec | None = None
    on_switch: SwitchSpec = SwitchSpec()
    settle: float = 5.0
    """Seconds that the unit must last after a restart or reload."""
    databases: tuple[str, ...] = ()


def merged(shared: ServiceEntry, placed: PlacedEntry) -> PlacedEntry:
    """A service as one environment has it: keys given there replace those given for all."""
    keys = {name: getattr(entry, name) for entry in (shared, placed) for name in entry.model_fields_set}
    return PlacedEntry.model_construct(**keys)


_SAME = {
    "name",
    "strategy",
    "host",
    "path",
    "beside",
    "url",
    "unit",
    "port",
    "access_log",
    "protected",
    "keep",
    "settle",
    "owner",
    "databases",
}


def service_spec(name: str, entry: PlacedEntry, depends_on: tuple[str, ...]) -> ServiceSpec:
    """The service that a merged entry stands for."""
    return ServiceSpec(
        name=name,
        depends_on=depends_on,
        source=entry.source and SourceSpec(**entry.source.model_dump()),
        health=tuple(map(_health, entry.health)),
        identity=entry.identity and IdentitySpec(path=entry.identity.path, field=entry.identity.field),
        migrations=_migrations(entry),
        shared=entry.shared if isinstance(entry.shared, tuple) else (),
        shared_place=isinstance(entry.shared, str),
        maintenance=_maintenance(entry),
        on_switch=_switch(entry),
        **{key: getattr(entry, key) for key in PlacedEntry.model_fields if key in _SAME},
    )


def _health(entry: HealthEntry) -> HealthSpec:
    headers = {
        name: SecretRef(name=value.secret) if isinstance(value, SecretEntry) else value
        for name, value in entry.headers.items()
    }
    return HealthSpec(
        headers=headers, slow_ms=entry.slow * 1000, **entry.model_dump(exclude={"headers", "slow"}, by_alias=False)
    )


def _migrations(entry: PlacedEntry) -> MigrationSpec | None:
    if entry.migrations is None:
        return None
    given = entry.migrations.model_dump()
    return MigrationSpec(**{**given, "databases": given["databases"] or entry.databases})


def _maintenance(entry: PlacedEntry) -> MaintenanceSpec | None:
    if entry.maintenance is None:
        return None
    given = entry.maintenance.model_dump()
    words = {word: tuple(_at(entry.path, argv) for argv in given[word]) for word in ("on", "off")}
    return MaintenanceSpec(**{**given, **words})


def _at(path: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """A command that may name the service's folder."""
    return tuple(word.replace("{path}", path) for word in argv)


def _switch(entry: PlacedEntry) -> SwitchSpec:
    if isinstance(entry.on_switch, SwitchEntry):
        given = entry.on_switch.model_dump()
        words = {word: _at(entry.path, given[word]) for word in ("run", "status", "stop")}
        return SwitchSpec(kind="run", **{**given, **words})
    return SwitchSpec.model_validate({"kind": entry.on_switch or ("restart" if entry.unit else "nothing")})
