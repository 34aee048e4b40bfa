"""What the journal costs: one recorded and fenced change over ssh, against the same command without either."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from bench.line import DELAY, long_line
from bench.result import TIMES, Result, compared, timed_async

from fairlead.model import Entry, Lease, Run, Step, shell
from fairlead.outside.clock import SystemClock
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.outside.ssh import SshHost
from fairlead.run.session import Session
from support.sshd import Sshd

GOAL = 3.0
"""Round trips, each as long as the bare command takes."""


def journaled_step() -> list[Result]:
    """On loopback, where only work counts; then over a line, where trips count too, also for a second account."""
    with tempfile.TemporaryDirectory() as folder, Sshd(Path(folder) / "sshd") as sshd, long_line(sshd.port) as far:
        near = asyncio.run(_measure(sshd, Path(folder), sshd.port, "", ["server"]))
        line = f", line of {DELAY * 2000:.0f} ms"
        return near + asyncio.run(_measure(sshd, Path(folder), far, line, ["server", "annex"]))


async def _measure(sshd: Sshd, folder: Path, port: int, line: str, on: list[str]) -> list[Result]:
    key = sshd.known_hosts.read_text().split(maxsplit=1)[1]
    sshd.known_hosts.write_text(f"[127.0.0.1]:{port} {key}")
    states = {"server": f".fairlead-{port}", "annex": f".fairlead-annex-{port}"}
    accounts = {
        name: sshd.account(name, state=state).model_copy(update={"port": port}) for name, state in states.items()
    }
    async with Hosts(accounts, sshd.secrets) as hosts:
        artifacts = ArtifactStore(folder / "artifacts")
        session = Session(
            hosts, "bench", "server", who="bench", clock=SystemClock(), secrets=sshd.secrets, artifacts=artifacts
        )
        await session.acquire("new", "bench-1", Lease())
        await session.raise_fences(accounts)
        await session.append(Entry(kind="run"))
        found = [await _against_ssh(session, name, line) for name in on]
        await session.release(done=True)
    return found


async def _against_ssh(session: Session, name: str, line: str) -> Result:
    """Medians of a step whose change is `true`, and of `ssh x true` on the same master; probes are not included."""
    host = await session.hosts.get(name)
    assert isinstance(host, SshHost)
    ssh = (*host._master.client, "true")  # the very command that every trip of ours is, with nothing around it
    nothing = shell("true")
    step = Step(id=f"{name}.true", title="true", host=name, phase="activate", do=Run(command=nothing), probe=nothing)

    async def ours() -> None:
        done = await session.change(step, "do", alone=True)
        assert done.rc == 0, done

    async def bare() -> None:
        process = await asyncio.create_subprocess_exec(*ssh, stdin=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0

    pairs = [(await timed_async(ours), await timed_async(bare)) for _ in range(1 + TIMES)][1:]
    where = "over ssh, 1 trip" if name == session.lock_host else "on another account, 2 trips"
    short = "step" + "_far" * bool(line) + "_annex" * (name != session.lock_host)
    return compared(short, f"one journaled step {where}{line}", "bare ssh, same master", GOAL, pairs)
