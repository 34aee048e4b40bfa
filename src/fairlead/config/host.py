from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from fairlead.config.types import (
    Address,
    Arguments,
    LocalPath,
    MoreSeconds,
    Name,
    Port,
    Positive,
    RemotePath,
    SecretName,
    User,
    Wrong,
    either,
    enum,
    one_of,
    placeholders,
    text,
)
from fairlead.model import Account, Model, SecretRef

Command = Annotated[Arguments, AfterValidator(lambda argv: tuple(map(placeholders("unit", "owner", "path"), argv)))]

CommandWord = Literal["restart", "reload", "stop", "status", "show", "log", "own", "firewall"]
PROPERTIES = "LoadState,ActiveState,SubState,Type,Result,MainPID,NRestarts,ExecMainCode,ExecMainStatus"
LOG_LINES = "20"


class HostCommands(Model):
    """What an account may run for its services, with `{unit}`, `{owner}` and `{path}` still to be put in."""

    restart: tuple[str, ...]
    reload: tuple[str, ...]
    stop: tuple[str, ...]
    status: tuple[str, ...]
    show: tuple[str, ...]
    log: tuple[str, ...]
    own: tuple[str, ...]
    firewall: tuple[str, ...]

    def argv(self, word: CommandWord, **values: str) -> tuple[str, ...]:
        """The command of that word with `unit=`, `owner=` and `path=` put in; a value never becomes two arguments."""
        found: tuple[str, ...] = getattr(self, word)
        for name, value in values.items():
            found = tuple(part.replace(f"{{{name}}}", value) for part in found)
        return found


def _systemd(*program: str, root: tuple[str, ...] = ()) -> HostCommands:
    user = ("--user",) if "--user" in program else ()  # to look needs no sudo
    return HostCommands(
        restart=(*program, "restart", "{unit}"),
        reload=(*program, "reload", "{unit}"),
        stop=(*program, "stop", "{unit}"),
        status=("systemctl", *user, "is-active", "--quiet", "{unit}"),
        show=("systemctl", *user, "show", "--property", PROPERTIES, "{unit}"),
        log=(*root, "journalctl", *user, "--quiet", "--no-pager", "--lines", LOG_LINES, "--unit", "{unit}"),
        own=(*root, "chown", "-R", "{owner}", "{path}"),
        firewall=("sudo", "-n", "ufw") if program[0] == "sudo" else ("ufw",),
    )


PRESETS = {
    "systemd": _systemd("systemctl"),
    "user": _systemd("systemctl", "--user"),
    "sudo": _systemd("sudo", "-n", "systemctl", root=("sudo", "-n")),
    # On Plesk a subscription's user belongs to psacln and may give its own files to that group without sudo.
    "plesk": _systemd("sudo", "-n", "systemctl"),
}
"""Commands by the name of a preset; a new one is one row."""

Preset = Annotated[str, BeforeValidator(text), AfterValidator(one_of(PRESETS)), enum(PRESETS)]


class CommandsEntry(Model):
    """Commands of an account; those left out come from the preset."""

    preset: Preset = "systemd"
    """Where the other commands come from: `systemd` (plain systemctl), `user` (systemctl --user), `sudo` or `plesk`."""
    restart: Command = ()
    """Restarts `{unit}`."""
    reload: Command = ()
    """Makes `{unit}` read its files again without ending it."""
    stop: Command = ()
    """Stops `{unit}`."""
    status: Command = ()
    """Exits 0 while `{unit}` runs."""
    show: Command = ()
    """Prints what systemd knows of `{unit}`, as `systemctl show` does: whether it lasts is asked after a restart."""
    log: Command = ()
    """Prints the last lines of `{unit}`'s log: they are quoted when it does not last."""
    own: Command = ()
    """Gives everything below `{path}` to `{owner}`."""
    firewall: Command = ()
    """Runs ufw, which is its last word; what stands before that is put before `cat` and `tee` too, for ufw's files."""


class LoadEntry(Model):
    """How busy a machine may be before a deployment: its load of the last minute for each of its cores."""

    warn: Positive = 2.0
    """From here on it is said."""
    fail: Positive = 16.0
    """From here on nothing is deployed."""


def _rising(entry: LoadEntry) -> LoadEntry:
    if entry.warn > entry.fail:
        raise Wrong("`fail` should be at least `warn`")
    return entry


class HostEntry(Model):
    """An account that services or databases are reached through."""

    connect: Annotated[Literal["ssh", "local"], BeforeValidator(text)] = "ssh"
    """`ssh`, or `local`: this machine."""
    address: Address = ""
    """Host name, address or an alias of your ssh_config. Needed for ssh."""
    port: Port | None = None
    """Port of the SSH server; without it, what ssh_config says, or 22."""
    user: User = ""
    """The login; without it, what ssh_config says."""
    key: SecretName | None = None
    """Name of the secret that holds the private key: a path, the key itself, or the key in base64."""
    known_hosts: LocalPath = ""
    """A known_hosts file of its own instead of yours. Host keys are always checked."""
    ssh_config: LocalPath = ""
    """An ssh_config file of its own instead of yours."""
    via: Name = ""
    """Another of the `hosts` to jump through."""
    home: LocalPath = ""
    """Only for local: a folder that takes the place of the home."""
    state: RemotePath = ".fairlead"
    """Where lock, record and fence lie."""
    connect_timeout: MoreSeconds = 10.0
    """How long to wait for a connection; one that is silent for one and a half times as long is lost."""
    load: Annotated[LoadEntry, AfterValidator(_rising)] = LoadEntry()
    """How busy it may be before a deployment."""
    commands: Annotated[CommandsEntry | str, either(CommandsEntry, Preset)] = Field(default="systemd")
    """What this account may run: the name of a preset, or commands."""


class LoadSpec(Model):
    """Load of the last minute for each core, from which it is said, and from which nothing is deployed."""

    warn: float = 2.0
    fail: float = 16.0


class HostSpec(Model):
    """A host as the rest of Fairlead knows it."""

    name: str
    account: Account
    commands: HostCommands
    load: LoadSpec = LoadSpec()


def host_spec(name: str, entry: HostEntry) -> HostSpec:
    """The host that an entry of `hosts` stands for."""
    account = Account(
        name=name,
        kind=entry.connect,
        key=SecretRef(name=entry.key) if entry.key else None,
        **entry.model_dump(exclude={"connect", "key", "commands", "load"}),
    )
    load = LoadSpec(**entry.load.model_dump())
    return HostSpec(name=name, account=account, commands=_commands(entry.commands), load=load)


def _commands(given: CommandsEntry | str) -> HostCommands:
    if isinstance(given, str):
        return PRESETS[given]
    own = given.model_dump(exclude={"preset"}, exclude_unset=True)
    return PRESETS[given.preset].model_copy(update=own)
