from __future__ import annotations

import asyncio
import random
import secrets as random_words
import shlex
from pathlib import Path

from fairlead.errors import Unreachable
from fairlead.model import Account
from fairlead.outside.environment import login_environment
from fairlead.outside.process import Child, Listening, happens, start
from fairlead.outside.program import run_program
from fairlead.outside.scratch import Scratch
from fairlead.outside.secrets import Secrets
from fairlead.outside.ssh_key import key_file
from fairlead.outside.ssh_trouble import trouble

ATTEMPTS = 5
"""How often a server that is only busy is asked again for a login."""

_OPTIONS = {
    "ControlMaster": "yes",
    "ControlPersist": "no",
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "ServerAliveCountMax": "3",
    "ConnectionAttempts": "1",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "Tunnel": "no",
    "ClearAllForwardings": "yes",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
    "LogLevel": "INFO",
}


class Master:
    """The one connection to an account: an `ssh -M` whose standard input we hold, so that it dies with us.

    With `-N` instead of a remote `cat` it would stay for ever after a kill -9. Everything else is a client of its
    socket and has no way to a connection of its own: one that gets no session from the master goes on to look up
    `refusal`, a name that cannot exist, and says so, which proves that nothing was run.
    """

    def __init__(self, account: Account, secrets: Secrets, via: Master | None) -> None:
        self.account, self._secrets, self._via = account, secrets, via
        self._child: Child | None = None
        self._scratch: Scratch | None = None
        self._opening: asyncio.Task[None] | None = None
        self._noisy = False
        # A label may have 63 characters, so this is refused without asking any name server.
        self.refusal = f"fairlead-no-session-{random_words.token_hex(24)}"

    @property
    def alive(self) -> bool:
        """Whether there is a connection now."""
        return self._child is not None and not self._child.exited.is_set()

    @property
    def noisy(self) -> bool:
        """Whether the login shell has printed something before it came to the command."""
        return self._noisy

    @property
    def client(self) -> tuple[str, ...]:
        """The command that a shell line is appended to. Only after `open`."""
        assert self._scratch  # noqa: S101 - open() made it
        return ("ssh", "-F", str(self._scratch.path / "config"), "-T", "x")

    @property
    def words(self) -> str:
        """What the connection has said on stderr."""
        return self._child.output(2).decode(errors="replace") if self._child else ""

    async def open(self) -> None:
        """Log in, unless there is a connection. Concurrent callers share one attempt and its failure.

        Raises Unreachable, and NotReady for a missing or odd key.
        """
        if self.alive:
            return
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_heard)
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        if self._via:
            await self._via.open()
        await self._drop()
        self._prepare()
        for attempt in range(ATTEMPTS):
            error, again = await self._attempt()
            if not error:
                return
            if not again or attempt == ATTEMPTS - 1:
                raise error
            await asyncio.sleep(random.uniform(0.2, 0.6) * 2**attempt)  # noqa: S311 - jitter

    async def died(self, within: float) -> bool:
        """Whether the connection is lost, or is so within so many seconds."""
        if self._child:
            await happens(self._child.exited, within)
        return not self.alive

    async def aclose(self) -> None:
        """End the connection; no process, socket or file of it is left."""
        if self._opening:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._drop()
        if self._scratch:
            self._scratch.remove()
            self._scratch = None

    async def _drop(self) -> None:
        child, self._child = self._child, None
        if child:
            await child.end(patience=3.0)
        if self._scratch:
            self._socket.unlink(missing_ok=True)  # a master that was killed leaves it, and the next would not take it

    def _prepare(self) -> None:
        if self._scratch:
            return
        self._scratch = Scratch()
        lines = (
            "Host *",
            f"ControlPath {self._socket}",
            "ControlMaster no",
            "BatchMode yes",
            f"HostName {self.refusal}",
        )
        self._scratch.write("config", "\n".join(lines) + "\n")

    @property
    def _socket(self) -> Path:
        assert self._scratch  # noqa: S101
        return self._scratch.path / "ctl"

    async def _attempt(self) -> tuple[Unreachable | None, bool]:
        """Try to log in once: the error, if any, and whether another attempt is worth it."""
        ready = f"fairlead-{random_words.token_hex(8)}"
        heard = len(self._via.words) if self._via else 0
        key, ours = await self._key()
        try:
            child = await self._start(ready, key)
            try:
                said = await self._wait_for(child, ready)
            except BaseException:
                await child.end(patience=0)
                raise
            if said and key and "Permission denied (" in said:
                said = await _about_key(key) + said
        finally:
            if ours and key:
                key.unlink(missing_ok=True)  # needed for the login only, so that a kill -9 leaves none
        if said is None:
            self._child, self._noisy = child, not child.output(1).startswith(ready.encode())
            return None, False
        await child.end(patience=0)
        # Why a jump failed is told by the connection to the jump host, not by ours.
        return trouble(self.account, (self._via.words[heard:] if self._via else "") + said)

    async def _key(self) -> tuple[Path | None, bool]:
        assert self._scratch  # noqa: S101
        if not self.account.key:
            return None, False
        return key_file(self.account.key.name, await self._secrets.open(self.account.key), self._scratch)

    async def _start(self, ready: str, key: Path | None) -> Child:
        # The remote shell's own word is waited for, not only the socket: it proves that commands can be run there.
        line = f"echo {ready}; exec cat >/dev/null"
        listening = Listening(limit=64 * 1024, keep_end=True, mark=ready.encode(), mark_on=frozenset({1}))
        argv = ("ssh", *self._arguments(key), "--", self.account.address, line)
        try:
            return await start(argv, listening, env=login_environment())
        except FileNotFoundError as error:
            raise Unreachable("ssh is not installed on this machine", "apt-get install openssh-client") from error

    def _arguments(self, key: Path | None) -> list[str]:
        account = self.account
        options = {"ControlPath": str(self._socket), "ConnectTimeout": f"{max(1, round(account.connect_timeout))}"}
        options["ServerAliveInterval"] = f"{max(1, round(account.connect_timeout / 2))}"
        options |= _OPTIONS
        if account.known_hosts:
            options["UserKnownHostsFile"] = f'"{Path(account.known_hosts).expanduser()}"'
        if key:
            options |= {"IdentityFile": f'"{key}"', "IdentitiesOnly": "yes"}
        if self._via:
            options["ProxyCommand"] = shlex.join([*self._via.client[:-1], "-W", "%h:%p", "x"])
        words = ["-F", str(Path(account.ssh_config).expanduser())] if account.ssh_config else []
        words += ["-p", str(account.port)] if account.port else []
        words += ["-l", account.user] if account.user else []
        return ["-T", *words, *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]

    async def _wait_for(self, child: Child, ready: str) -> str | None:
        """None when the connection stands, otherwise what ssh said."""
        # ConnectTimeout ends with the key exchange and counts for each address of a name.
        await happens(child.complete, self.account.connect_timeout + 5)
        if ready.encode() in child.output(1) and not child.exited.is_set():
            return None
        said = (child.output(2) + child.output(1)).decode(errors="replace")
        return said if child.exited.is_set() else said + "\nthe login timed out"


async def _about_key(key: Path) -> str:
    # In batch mode ssh passes over a key with a passphrase without a word.
    argv = ("ssh-keygen", "-y", "-P", "", "-f", str(key))
    return (await run_program(argv, folder=Path("/"), env=login_environment())).stderr


def _heard(opening: asyncio.Task[None]) -> None:
    # Its callers may all have been cancelled: asyncio would then complain that nobody looked at the error.
    if not opening.cancelled():
        opening.exception()
