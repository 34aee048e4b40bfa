from __future__ import annotations

import asyncio
import posixpath
import random
import shlex
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

from fairlead.errors import Lost, Unreachable
from fairlead.model import Account, Command, Result
from fairlead.outside.environment import login_environment
from fairlead.outside.lifeline import PATIENCE, Broken, Task, each_alone, result_of, run_on_lifeline
from fairlead.outside.process import Child, Ended, Listening, Saying, start
from fairlead.outside.secrets import Secrets
from fairlead.outside.ssh_master import Master
from fairlead.outside.ssh_shell import Shell

T = TypeVar("T")
Kind = Literal["look", "change", "word"]
"""What a command is: word = it keeps record and lock, and is short."""

AT_ONCE, SESSIONS = 8, 9
"""Commands at once on one connection, and sessions, those that wait or are just ending included: sshd's default for
MaxSessions is 10, and the master itself needs one."""

LASTING = AT_ONCE - 1
"""Of these, commands that may take long, looks and changes: what keeps the record and the lock waits for none of them.
One less are changes: a look that waits until one of them ends looks like a host, or a database, that is gone."""

LOOKS = 4
"""Of these, commands that only look: a session costs processes on both sides, and one that is used again does not."""

LONGEST = 128 * 1024
"""Bytes of a line: no word of it can be longer than that for a program on Linux."""

SPARE = 3
"""Open sessions that wait for the next change, since each change uses one up."""

_PAUSES = (0.0, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each try of what was refused a session."""


class _NothingRan(Exception):
    """A client of the master found no session, or what was asked may be asked again."""


class SshHost:
    """A login on another machine, by the system's OpenSSH: what `ssh host` reaches, this reaches.

    A connection that is lost is opened again by the next command; the one that was running raises `Lost`. Looks share
    sessions, one after another. A change has a session for itself, which ends with it: a daemon that it leaves may
    hold the outputs and print whenever it likes.
    """

    copies_with: Literal["rsync", "tar"] = "rsync"

    def __init__(self, account: Account, secrets: Secrets, via: SshHost | None = None) -> None:
        self.account, self._secrets = account, secrets
        self._master: Master = Master(account, secrets, via._master if via else None)
        self._looking = asyncio.Semaphore(LOOKS)
        self._doing: dict[asyncio.Future[bool], Kind] = {}
        self._most = LASTING  # that the host has sessions for, as far as is known
        self._idle: list[Shell] = []
        self._open = 0  # sessions, whatever they do
        self._scarce = False  # a session was refused: none is held that is not used
        self._behind: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Log in now rather than with the first command. Raises Unreachable or NotReady."""
        if not self._master.alive:
            self._dismiss(self._idle)
        await self._master.open()
        # rsync takes what a login shell prints for its own protocol; a stream into tar has no answer to be spoilt.
        self.copies_with = "tar" if self._master.noisy else "rsync"

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        """See `Host.run`."""
        task = Task(command.argv, command.cwd, await self._secrets.stdin_of(command) + stdin, command.timeout)
        await self.open()  # before the queue, so that all who wait share one failure
        async with self._looking:
            return await self._retried(lambda: self._run(task), "look")

    async def call(self, line: str, *, stdin: bytes = b"", beat: float = 0.0, timeout: float = 60.0) -> Result:
        """See `Host.call`. Exit code 255 may be the line's own or that of a connection that was lost very late."""
        alone = bool(beat)
        kind: Kind = "change" if alone else "word"
        return await self._retried(lambda: self._call(line, Saying(stdin, beat / 3), timeout, alone=alone), kind)

    async def rsync(self, source: Path, to: str, *, remote_program: str, link_from: str = "", timeout: float) -> Result:
        """See `Host.rsync`."""
        if not shutil.which("rsync"):
            raise Unreachable("rsync is not installed on this machine", hint="apt-get install rsync")
        link = [f"--link-dest={_link(link_from, to)}"] if link_from else []
        # Whole files: what rsync 3.5 patches together from an old one, 3.2 on the far side refuses as not verified.
        argv = ["rsync", "-rlpW", "--checksum", "-s", "--timeout=20", *link, f"--rsync-path={remote_program}"]
        return await self._retried(lambda: self._rsync(argv, f"{source.absolute()}/", to, timeout), "change")

    async def aclose(self) -> None:
        """See `Host.aclose`."""
        self._scarce = True
        while self._idle or self._behind:  # one that is being opened comes last
            self._dismiss(self._idle)
            await asyncio.wait(self._behind)
        await self._master.aclose()

    async def _retried(self, do: Callable[[], Awaitable[T]], kind: Kind) -> T:
        """Do it in turn, and again where it is proven that nothing ran."""
        while True:
            others: list[set[asyncio.Future[bool]]] = []
            for pause in _PAUSES:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                await self.open()
                while self._full_for(kind):
                    await asyncio.wait(self._lasting(), return_when=asyncio.FIRST_COMPLETED)
                others.append(set(self._doing))
                with suppress(_NothingRan):
                    return await self._noted(do, kind)
                self._dismiss(self._idle)
            # What has been going on for the last three tries has a session; what finds none ends sooner.
            if held := len(set(self._doing).intersection(*others[2:])):
                self._most = max(1, min(self._most, held - 1))
            if not await _one_ended(others[-1]):  # its end makes room
                raise self._no_session()

    def _lasting(self) -> list[asyncio.Future[bool]]:
        return [going for going, kind in self._doing.items() if kind != "word"]

    def _full_for(self, kind: Kind) -> bool:
        """Whether another one of that kind has to wait until something that may take long has ended."""
        changes = sum(other == "change" for other in self._doing.values())
        enough = kind == "change" and changes >= max(1, self._most - 1)
        return kind != "word" and (enough or len(self._lasting()) >= self._most)

    async def _noted(self, do: Callable[[], Awaitable[T]], kind: Kind) -> T:
        """Do it, and let others know that it is going on, and in the end whether it had a session."""
        going: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        ran = True
        self._doing[going] = kind
        try:
            return await do()
        except _NothingRan:
            ran = False
            raise
        finally:
            del self._doing[going]
            going.set_result(ran)

    def _no_session(self) -> Unreachable:
        return Unreachable(
            f"{self.account.address} opens no further session on the connection of account {self.account.name}",
            hint="MaxSessions in its sshd_config should be 10, the default, or more",
        )

    async def _run(self, task: Task) -> Result:
        result = await run_on_lifeline(self._look, task, known=True)
        if not isinstance(result, Broken):
            return result
        if not result.begun and (self._refused(result.ended.stderr) or await self._master.died(within=0.5)):
            raise _NothingRan  # or so little that it may be looked again
        raise self._lost(f"`{task.argv[0]}`", result.ended)

    async def _call(self, line: str, saying: Saying, timeout: float, *, alone: bool) -> Result:
        ended = await self._ask(line, Listening(keep_end=True), saying, timeout, alone=alone)
        if ended.code == 255:
            if self._refused(ended.stderr):
                raise _NothingRan
            if await self._master.died(within=0.5):
                raise self._lost("a shell line")
        return result_of(ended, timeout)

    async def _look(self, line: str, listening: Listening, saying: Saying, timeout: float) -> Ended:
        return await self._ask(line, listening, saying, timeout, alone=False)

    async def _ask(self, line: str, listening: Listening, saying: Saying, timeout: float, *, alone: bool) -> Ended:
        """Run a line in an open session, or else in a new one; `alone` in one that ends with it."""
        if len(line) > LONGEST:
            raise self._not_sent("Argument list too long")
        shell = await self._session()
        try:
            ended = await shell.ask(line, listening, saying, timeout, patience=PATIENCE)
            self._scarce = self._scarce or self._refused(ended.stderr)
            if alone:
                self._later(self._spare())
            return ended
        finally:
            if shell.usable and not alone:
                self._idle.append(shell)
            else:
                self._dismiss([shell])

    async def _session(self) -> Shell:
        """One that waits and has not ended meanwhile, or else a new one."""
        while self._idle:
            shell = self._idle.pop()
            if shell.usable:
                return shell
            self._dismiss([shell])
        return await self._begin()

    async def _begin(self) -> Shell:
        await self._make_room()
        self._open += 1
        try:
            return await Shell.begin(self._start)
        except BaseException:
            self._open -= 1
            raise

    async def _make_room(self) -> None:
        """Before a session is opened: end one that waits, where there are many, and let those go that are ending."""
        while self._open >= SESSIONS and (self._idle or self._behind):
            self._dismiss(self._idle[:1])
            await asyncio.wait(self._behind, return_when=asyncio.FIRST_COMPLETED)

    async def _spare(self) -> None:
        """Open what the next changes will use, while nobody waits for it."""
        if not self._scarce and len(self._idle) < SPARE and self._open < AT_ONCE:
            with suppress(Unreachable):
                spare = await self._begin()
                self._idle.append(spare)

    def _dismiss(self, shells: list[Shell]) -> None:
        """End these sessions, while nobody waits for it."""
        for shell in shells:
            self._later(self._end(shell))
        gone = list(shells)
        self._idle[:] = [shell for shell in self._idle if shell not in gone]

    async def _end(self, shell: Shell) -> None:
        try:
            await shell.end(PATIENCE)
        finally:
            self._open -= 1

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)

    async def _rsync(self, argv: list[str], source: str, to: str, timeout: float) -> Result:
        reach = shlex.join(self._master.client[:-1])
        # On a life line of its own: rsync would otherwise outlive us until the copy is done.
        task = Task((*argv, "-e", reach, source, f"x:{to}"), str(Path.cwd()), b"", timeout)
        await self._make_room()
        self._open += 1
        try:
            result = await run_on_lifeline(each_alone(_start_here), task)
        finally:
            self._open -= 1
        if isinstance(result, Broken):
            raise self._lost("`rsync`")
        if self._refused(result.stderr.encode()):
            self._scarce = True
            raise _NothingRan
        if result.code and await self._master.died(within=0.5 if result.code in (12, 255) else 0):
            raise self._lost("`rsync`")
        return result

    async def _start(self, line: str, listening: Listening) -> Child:
        try:
            return await start((*self._master.client, line), listening, env=login_environment())
        except OSError as error:
            raise self._not_sent(error.strerror or "") from error

    def _not_sent(self, why: str) -> Unreachable:
        return Unreachable(
            f"no command can be sent to account {self.account.name}: {why}", hint="is the command shorter than 128 KB?"
        )

    def _refused(self, stderr: bytes) -> bool:
        return self._master.refusal.encode() in stderr

    def _lost(self, what: str, ended: Ended | None = None) -> Lost:
        said = f" (its session ended with {ended.code})" if ended else ""
        return Lost(
            f"the connection to {self.account.address} broke while {what} may have been running{said}",
            hint=f"`ssh {self.account.address}` shows whether it is back",
        )


async def _one_ended(several: Iterable[asyncio.Future[bool]]) -> bool:
    """Wait until one of these that had a session ends; False = none of them had one."""
    for first in asyncio.as_completed(several):
        if await first:
            return True
    return False


async def _start_here(line: str, listening: Listening) -> Child:
    return await start(("sh", "-c", line), listening, env=login_environment())


def _link(link_from: str, to: str) -> str:
    # rsync takes a relative --link-dest from the folder that it writes, we from the home.
    return link_from if link_from.startswith("/") else posixpath.relpath(link_from, to)
