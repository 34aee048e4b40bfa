"""Programs that we start: each in a session of its own, so that Ctrl-C at the terminal reaches us and not them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

T = TypeVar("T")

MEGABYTE = 1 << 20
LIMIT = 64 * MEGABYTE
"""Bytes of one output that are kept."""


def prepare_loop() -> None:
    """Call before the event loop is made: without it Python 3.11 starts one thread for every child process."""
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on a loop that starts child processes well."""
    prepare_loop()
    return asyncio.run(main)


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    """Its exit code, or minus the signal that ended it."""
    stdout: bytes
    stderr: bytes
    seconds: float
    timed_out: bool = False
    overflowed: bool = False
    """It printed more than the limit and was ended for it."""


@dataclass(frozen=True)
class Listening:
    """How much of a program's outputs is kept, and when they are complete before their end."""

    limit: int = LIMIT
    """Bytes for each output."""
    keep_end: bool = False
    """Above the limit: True drops what came first, False ends the program."""
    mark: bytes = b""
    """Complete when this was seen in each of `mark_on`; empty = when the program has ended."""
    mark_on: frozenset[int] = frozenset({1, 2})


class _Output:
    def __init__(self, listening: Listening) -> None:
        self.data, self.listening, self.marked = bytearray(), listening, False

    def add(self, chunk: bytes) -> bool:
        """Keep `chunk`; False when there is no room for it."""
        start = max(0, len(self.data) - len(self.listening.mark))
        self.data += chunk
        if self.listening.mark and not self.marked:
            self.marked = self.data.find(self.listening.mark, start) >= 0
        if self.listening.keep_end and len(self.data) > 2 * self.listening.limit:
            del self.data[: -self.listening.limit]
        return self.listening.keep_end or len(self.data) <= self.listening.limit


class Child(asyncio.SubprocessProtocol):
    """A running program with its three pipes. Made by `start`; whoever starts one ends it."""

    def __init__(self, listening: Listening) -> None:
        self.exited, self.ending, self._left = asyncio.Event(), False, False
        self._closed, self._writable, self._open = asyncio.Event(), asyncio.Event(), {1, 2}
        self._writable.set()
        self.outputs: dict[int, _Output] = {}
        self.listen(listening)

    def listen(self, listening: Listening, *, said: Mapping[int, bytes] = MappingProxyType({})) -> None:
        """Begin to listen anew; of what was printed before, only `said` counts, by output."""
        self.listening = listening
        self.outputs = {1: _Output(listening), 2: _Output(listening)}
        self.complete, self.overflowed = asyncio.Event(), False
        for fd, data in said.items():
            self.outputs[fd].add(data)
        self._look()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop: it runs."""
        self.transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Called by the loop: it printed something."""
        if not self.outputs[fd].add(data):
            self.overflowed = True
            self.complete.set()
        if self.marked:
            self.complete.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Called by the loop: one of its three pipes is closed."""
        self._open.discard(fd)
        if fd == 0:
            self._writable.set()
        self._look()

    def process_exited(self) -> None:
        """Called by the loop: it has ended; its outputs may not have."""
        self.exited.set()
        if self._left:
            self.transport.close()
        # A daemon that it left may keep an output open for ever; what it said itself is here by then.
        asyncio.get_running_loop().call_later(1.0, self._complete)
        self._look()

    def _complete(self) -> None:
        self.complete.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: it has ended and all its pipes are closed."""
        self._closed.set()

    def pause_writing(self) -> None:
        """Called by the loop: it reads slower than we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by the loop: it has caught up."""
        self._writable.set()

    def _look(self) -> None:
        if self.exited.is_set() and not self._open:
            self.complete.set()

    @property
    def marked(self) -> bool:
        """Whether the mark that was listened for has been printed."""
        return bool(self.listening.mark) and all(self.outputs[n].marked for n in self.listening.mark_on)

    @property
    def code(self) -> int | None:
        """Exit code, minus the signal, or None while it runs."""
        return self.transport.get_returncode()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.transport.get_pid()

    def output(self, fd: int) -> bytes:
        """What was printed so far on 1 or 2."""
        return bytes(self.outputs[fd].data)

    async def send(self, data: bytes) -> None:
        """Write to its standard input; what it no longer wants to read is dropped."""
        pipe = cast(asyncio.WriteTransport, self.transport.get_pipe_transport(0))
        for start in range(0, len(data), 256 * 1024):
            await self._writable.wait()
            if pipe.is_closing():
                return
            pipe.write(data[start : start + 256 * 1024])

    async def beat(self, every: float) -> None:
        """Write one `.` every so many seconds, for ever."""
        while True:
            await asyncio.sleep(every)
            await self.send(b".")

    def hang_up(self) -> None:
        """End its standard input."""
        pipe = self.transport.get_pipe_transport(0)
        if pipe:
            pipe.close()

    async def end(self, patience: float) -> None:
        """Hang up; after `patience` seconds TERM, a second later KILL. Returns when it is gone.

        Only the program itself is signalled, never its process group: that may hold the watcher of a life line, which
        has yet to end what it watches. It sees the end of its input as everything else does.
        """
        self.ending = True
        self.hang_up()
        try:
            if not await happens(self.exited, patience):
                self._signal(signal.SIGTERM)
            await happens(self.exited, 1.0)
        finally:
            if self.exited.is_set():
                self.transport.close()
            else:
                self._signal(signal.SIGKILL)
                self._left = True
        await happens(self._closed, 2.0)

    def _signal(self, number: signal.Signals) -> None:
        # Not by the transport, nor is that closed before: both look whether it has ended, and take its exit code away
        # from the loop, which then reports 255 and says so on the terminal. Until `exited` its number is its own.
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


async def start(
    argv: Sequence[str],
    listening: Listening = Listening(),
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Child:
    """Start a program. Raises OSError where that cannot be done: no such program, no such folder, line too long.

    Cancelled, it leaves no program behind.
    """
    loop = asyncio.get_running_loop()
    pipe = asyncio.subprocess.PIPE
    starting = asyncio.ensure_future(
        loop.subprocess_exec(
            lambda: Child(listening),
            *argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    )
    try:
        # asyncio waits for ever for a child whose start is cancelled before its pipes are connected.
        _, child = await asyncio.shield(starting)
    except asyncio.CancelledError:
        _, child = await starting
        # With patience: a wrapper that gets TERM in its first moments would leave its command without a watcher.
        await child.end(patience=4.0)
        raise
    return child


@dataclass(frozen=True)
class Saying:
    """What a program is told on its standard input, which stays open until the program has ended."""

    stdin: bytes = b""
    beat: float = 0.0
    """After `stdin`, one `.` every so many seconds; 0 = none."""


async def converse(child: Child, saying: Saying, *, timeout: float, patience: float, stays: bool = False) -> Ended:
    """Talk to `child` until its outputs are complete or `timeout` seconds are over (0 = never), then end it.

    However this is left, by cancellation too, the child is gone afterwards: its standard input ends first, and it has
    `patience` seconds to end by itself. Only one that `stays`, and has printed its mark, is left as it is.
    """
    loop = asyncio.get_running_loop()
    began, in_time = loop.time(), False
    talk = asyncio.create_task(_talk(child, saying))
    try:
        in_time = await happens(child.complete, timeout or None)
    finally:
        talk.cancel()
        if not (stays and in_time and child.marked and not child.overflowed):
            await child.end(patience)
    code = child.code if child.code is not None else -signal.SIGKILL
    return Ended(code, child.output(1), child.output(2), loop.time() - began, not in_time, child.overflowed)


async def happens(event: asyncio.Event, within: float | None) -> bool:
    """Whether it happens within so many seconds; None = wait for ever.

    Not `asyncio.wait_for`: up to Python 3.11 that loses a cancellation which comes in the moment of the event.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
            return True
    return False


async def _talk(child: Child, saying: Saying) -> None:
    await child.send(saying.stdin)
    if saying.beat:
        await child.beat(saying.beat)
