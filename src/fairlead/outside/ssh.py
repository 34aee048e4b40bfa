from __future__ import annotations

import asyncio
import posixpath
import random
import shlex
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

from fairlead.errors import Lost, Unreachable
from fairlead.model import Account, Command, Result
from fairlead.outside.environment import login_environment
from fairlead.outside.lifeline import PATIENCE, Broken, Task, result_of, run_on_lifeline
from fairlead.outside.process import Child, Listening, Saying, converse, start
from fairlead.outside.secrets import Secrets
from fairlead.outside.ssh_master import Master

T = TypeVar("T")

AT_ONCE = 8
"""Commands at once on one connection: sshd's default for MaxSessions is 10, and the master itself needs one."""

_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each try of what was refused a session."""


class _NothingRan(Exception):
    """A client of the master found no session."""


class SshHost:
    """A login on another machine, by the system's OpenSSH: what `ssh host` reaches, this reaches.

    A connection that is lost is opened again by the next command; the one that was running raises `Lost`.
    """

    copies_with: Literal["rsync", "tar"] = "rsync"

    def __init__(self, account: Account, secrets: Secrets, via: SshHost | None = None) -> None:
        self.account, self._secrets = account, secrets
        self._master: Master = Master(account, secrets, via._master if via else None)
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._doing: set[asyncio.Future[None]] = set()

    async def open(self) -> None:
        """Log in now rather than with the first command. Raises Unreachable or NotReady."""
        await self._master.open()
        # rsync takes what a login shell prints for its own protocol; a stream into tar has no answer to be spoilt.
        self.copies_with = "tar" if self._master.noisy else "rsync"

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        """See `Host.run`."""
        task = Task(command.argv, command.cwd, await self._secrets.stdin_of(command) + stdin, command.timeout)
        return await self._retried(lambda: self._run(task))

    async def call(self, line: str, *, stdin: bytes = b"", beat: float = 0.0, timeout: float = 60.0) -> Result:
        """See `Host.call`. Exit code 255 may be the line's own or that of a connection that was lost very late."""
        return await self._retried(lambda: self._call(line, Saying(stdin, beat / 3), timeout))

    async def rsync(self, source: Path, to: str, *, remote_program: str, link_from: str = "", timeout: float) -> Result:
        """See `Host.rsync`."""
        if not shutil.which("rsync"):
            raise Unreachable("rsync is not installed on this machine", hint="apt-get install rsync")
        link = [f"--link-dest={_link(link_from, to)}"] if link_from else []
        # Whole files: what rsync 3.5 patches together from an old one, 3.2 on the far side refuses as not verified.
        argv = ["rsync", "-rlpW", "--checksum", "-s", "--timeout=20", *link, f"--rsync-path={remote_program}"]
        return await self._retried(lambda: self._rsync(argv, f"{source.absolute()}/", to, timeout))

    async def aclose(self) -> None:
        """See `Host.aclose`."""
        await self._master.aclose()

    async def _retried(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do it in turn, and again where it is proven that nothing ran."""
        await self.open()  # before the queue, so that all who wait share one failure
        async with self._turn:
            while True:
                others = set(self._doing)
                for pause in _PAUSES:
                    await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                    await self.open()
                    with suppress(_NothingRan):
                        return await self._noted(do)
                # What was going on all the while has a session, and its end makes room.
                holding = others & self._doing
                if not holding:
                    raise self._no_session()
                await asyncio.wait(holding, return_when=asyncio.FIRST_COMPLETED)

    async def _noted(self, do: Callable[[], Awaitable[T]]) -> T:
        """Do it, and let others know that it is going on."""
        going = asyncio.get_running_loop().create_future()
        self._doing.add(going)
        try:
            return await do()
        finally:
            self._doing.discard(going)
            going.set_result(None)

    def _no_session(self) -> Unreachable:
        return Unreachable(
            f"{self.account.address} opens no further session on the connection of account {self.account.name}",
            hint="MaxSessions in its sshd_config should be 10, the default, or more",
        )

    async def _run(self, task: Task) -> Result:
        result = await run_on_lifeline(self._start, task)
        if not isinstance(result, Broken):
            return result
        if not result.begun and self._refused(result.ended.stderr):
            raise _NothingRan
        raise self._lost(f"`{task.argv[0]}`")

    async def _call(self, line: str, saying: Saying, timeout: float) -> Result:
        child = await self._start(line, Listening(keep_end=True))
        ended = await converse(child, saying, timeout=timeout, patience=PATIENCE)
        if ended.code == 255:
            if self._refused(ended.stderr):
                raise _NothingRan
            if await self._master.died(within=0.5):
                raise self._lost("a shell line")
        return result_of(ended, timeout)

    async def _rsync(self, argv: list[str], source: str, to: str, timeout: float) -> Result:
        reach = shlex.join(self._master.client[:-1])
        # On a life line of its own: rsync would otherwise outlive us until the copy is done.
        task = Task((*argv, "-e", reach, source, f"x:{to}"), str(Path.cwd()), b"", timeout)
        result = await run_on_lifeline(_start_here, task)
        if isinstance(result, Broken):
            raise self._lost("`rsync`")
        if self._refused(result.stderr.encode()):
            raise _NothingRan
        if result.code and await self._master.died(within=0.5 if result.code in (12, 255) else 0):
            raise self._lost("`rsync`")
        return result

    async def _start(self, line: str, listening: Listening) -> Child:
        try:
            return await start((*self._master.client, line), listening, env=login_environment())
        except OSError as error:
            raise Unreachable(
                f"no command can be sent to account {self.account.name}: {error.strerror}",
                hint="is the command shorter than 128 KB?",
            ) from error

    def _refused(self, stderr: bytes) -> bool:
        return self._master.refusal.encode() in stderr

    def _lost(self, what: str) -> Lost:
        return Lost(
            f"the connection to {self.account.address} broke while {what} may have been running",
            hint=f"`ssh {self.account.address}` shows whether it is back",
        )


async def _start_here(line: str, listening: Listening) -> Child:
    return await start(("sh", "-c", line), listening, env=login_environment())


def _link(link_from: str, to: str) -> str:
    # rsync takes a relative --link-dest from the folder that it writes, we from the home.
    return link_from if link_from.startswith("/") else posixpath.relpath(link_from, to)
