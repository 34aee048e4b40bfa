"""Light holders: processes that hold the real lock and make trivial changes, each a line `TOKEN STEP` in a file of the
account. Two local accounts, `a` with the lock and `b`, with homes of their own.

Processes are forked from one that has everything imported; so there must be no thread when they are.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fairlead.model import Account, Entry, Run, Step, shell
from fairlead.outside.clock import SystemClock
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.outside.process import run_async
from fairlead.outside.secrets import Secrets
from fairlead.run.session import Session

RUN = "run-1"
HOSTS = ("a", "b")
ENVIRONMENT = "prod"
FIRST_LINE = Entry(kind="run", plan="", environment=ENVIRONMENT, who="holder")


@dataclass(frozen=True)
class Ring:
    """Where holders meet."""

    folder: Path

    def home(self, host: str) -> Path:
        """The account's home."""
        return self.folder / host

    def state(self, host: str) -> Path:
        """The environment's folder there."""
        return self.home(host) / ".fairlead" / ENVIRONMENT

    def marks(self, host: str) -> list[tuple[int, str]]:
        """What changes have written there: token and step."""
        path = self.home(host) / "witness"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(line.split()[0]), line.split()[1]) for line in lines]

    def lock(self) -> list[str]:
        """Format, token, held or free, nonce, run, who."""
        return (self.state("a") / "lock").read_text().split()

    def record(self) -> Path:
        """The record of the one run."""
        return self.state("a") / "runs" / f"{RUN}.rec"

    def step(self, host: str, number: int, token: int) -> Step:
        """A change that writes one line."""
        write = shell('printf "%s %s\\n" "$1" "$2" >>witness', str(token), f"step{number}")
        return Step(
            id=f"step{number}", title="write a line", host=host, phase="stage", do=Run(command=write), probe=write
        )

    @asynccontextmanager
    async def session(self, who: str):
        """A session of its own, with its own connections; nothing is claimed yet."""
        accounts = {name: Account(name=name, kind="local", home=str(self.home(name))) for name in HOSTS}
        async with Hosts(accounts, Secrets()) as hosts:
            made = Session(
                hosts,
                ENVIRONMENT,
                "a",
                who=who,
                clock=SystemClock(),
                secrets=Secrets(),
                artifacts=ArtifactStore(self.folder / "artifacts"),
            )
            try:
                yield made
            finally:
                await made.close()


@contextmanager
def ring() -> Iterator[Ring]:
    """Two empty homes, in memory where there is such a place: what a disk keeps is not the question here."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="fl-prove-", dir=base))
    try:
        for name in HOSTS:
            (folder / name).mkdir()
        yield Ring(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fork(work: Callable[[], Awaitable[object]]) -> int:
    """A child that does this and ends; its exit code is 0 when it came to its end."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        run_async(work())  # type: ignore[arg-type]
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


async def ended(pid: int, seconds: float) -> bool:
    """Whether a child ends within so many seconds; one that does not is killed."""
    loop = asyncio.get_running_loop()
    last = loop.time() + seconds
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if loop.time() > last:
            kill(pid)
            return False
        await asyncio.sleep(0.01)
    return True


def kill(*pids: int) -> None:
    """Kill -9, and wait for the end."""
    for pid in pids:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def split(numbers: Iterable[int], parts: int) -> list[list[int]]:
    """Deal numbers out."""
    everything = list(numbers)
    return [everything[part::parts] for part in range(parts)]
