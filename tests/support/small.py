"""A run in the small: real lock, record and fence on local accounts in a folder, and steps that are a few shell words.

A step's ground is the file `ground/NAME` in its account's home: absent = before, else it holds after, between or
anything else (= cannot tell). `ground/NAME.log` gets a line for each change that really ran.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlead.checks.databases import as_spec, check_databases
from fairlead.errors import Lost
from fairlead.model import (
    Account,
    Check,
    Command,
    CommandCheck,
    DatabaseCheck,
    Event,
    Finding,
    Lease,
    Plan,
    Result,
    Run,
    Step,
    shell,
)
from fairlead.outside.clock import Clock, SystemClock
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets
from fairlead.run.operate import Context
from fairlead.run.runner import Runner, Stop
from fairlead.run.session import Session

HERE, THERE = "here", "there"
LEASE = Lease(ttl=20, beat=5)

DO = 'mkdir -p ground; echo do >>"ground/$1.log"; echo after >"ground/$1"'
UNDO = 'mkdir -p ground; echo undo >>"ground/$1.log"; rm -f "ground/$1"'
PROBE = 'if [ -e "ground/$1" ]; then cat "ground/$1"; else echo before; fi'


def small(name: str, *, do: str = DO, undo: str | None = UNDO, probe: str = PROBE, **more: Any) -> Step:
    """A step that is called like its ground; $1 in the scripts is its name."""
    given = {"id": name, "title": f"step {name}", "host": HERE, "service": name, "phase": "activate", **more}
    back = shell(undo, name) if undo is not None else None
    return Step.model_validate(
        {"do": Run(command=shell(do, name, timeout=20)), "probe": shell(probe, name), "undo": back, **given}
    )


def stands(subject: str, script: str = "exit 0", host: str = HERE) -> CommandCheck:
    """A check that is ok while `script` exits 0 in the account's home."""
    return CommandCheck(subject=subject, host=host, command=shell(script))


class OnceLost(Hosts):
    """Accounts whose connection breaks once: at the first call that `at` is in.

    before: nothing was run. after: it was run to its end, but nobody heard. midway: it has begun and goes on for now.
    """

    def __init__(
        self, accounts: dict[str, Account], at: str, when: str, begun: Callable[[], bool] = lambda: True
    ) -> None:
        super().__init__(accounts, Secrets())
        self.at, self.when, self.begun, self.lost = at, when, begun, 0
        self.running: set[asyncio.Task[Result]] = set()

    async def get(self, name: str) -> Host:
        return _OnceLost(await super().get(name), self)


@dataclass
class _OnceLost:
    host: Host
    line_of: OnceLost

    def __getattr__(self, name: str) -> Any:
        return getattr(self.host, name)

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        return await self.host.run(command, stdin=stdin)

    async def call(self, line: str, **more: Any) -> Result:
        told = self.line_of
        if told.lost or told.at not in line:
            return await self.host.call(line, **more)
        told.lost += 1
        if told.when == "after":
            await self.host.call(line, **more)
        elif told.when == "midway":
            task = asyncio.create_task(self.host.call(line, **more))
            told.running.add(task)
            while not told.begun():
                await asyncio.sleep(0.01)
        raise Lost("the connection broke")


@dataclass
class Site:
    """Two local accounts, an operator before them."""

    folder: Path
    hosts: Hosts
    plan: Plan
    stop: Stop = field(default_factory=Stop)
    events: list[Event] = field(default_factory=list)
    sick: set[str] = field(default_factory=set)
    """Subjects of checks that say no, whatever they look at."""
    asked: list[str] = field(default_factory=list)
    """Subjects of the checks that were asked."""
    clock: Clock = field(default_factory=SystemClock)

    def home(self, host: str = HERE) -> Path:
        return self.folder / host

    def ground(self, name: str, host: str = HERE) -> str:
        file = self.home(host) / "ground" / name
        return file.read_text().strip() if file.exists() else "before"

    def set(self, name: str, sees: str, host: str = HERE) -> None:
        file = self.home(host) / "ground" / name
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
        if sees != "before":
            file.write_text(f"{sees}\n")

    def ran(self, name: str, host: str = HERE) -> str:
        """Which changes of the step really ran, in order."""
        file = self.home(host) / "ground" / f"{name}.log"
        return " ".join(file.read_text().split()) if file.exists() else ""

    async def checks(self, checks: Iterable[Check]) -> list[Finding]:
        """Run command checks; `sick` ones say no. Databases are really asked."""
        found = []
        for check in checks:
            if isinstance(check, DatabaseCheck):
                found += await check_databases([as_spec(check)], self.hosts, Secrets())
                continue
            assert isinstance(check, CommandCheck)
            self.asked.append(check.subject)
            ok = (await (await self.hosts.get(check.host)).run(check.command)).ok and check.subject not in self.sick
            found.append(
                Finding(
                    check="command", subject=check.subject, status="ok" if ok else "fail", says="ok" if ok else "no"
                )
            )
        return found

    def context(self) -> Context:
        """What `run/operate` needs."""
        artifacts = ArtifactStore(self.folder / "artifacts")
        who, listen = "tests@here", self.events.append
        return Context(self.hosts, Secrets(), artifacts, self.clock, self.checks, who, listen, self.stop)

    def session(self) -> Session:
        ctx = self.context()
        more = {"who": ctx.who, "clock": ctx.clock, "secrets": ctx.secrets, "artifacts": ctx.artifacts}
        return Session(self.hosts, self.plan.environment, HERE, **more)  # type: ignore[arg-type]

    def runner(self, session: Session) -> Runner:
        return Runner(self.plan, session, self.checks, self.clock, self.events.append, stop=self.stop)

    def record(self) -> str:
        """The record as it lies there, all runs."""
        return "".join(file.read_text() for file in sorted(self.home().glob(".fairlead/t/runs/*.rec")))

    def lock(self) -> list[str]:
        """FORMAT TOKEN STATE NONCE RUN WHO."""
        return (self.home() / ".fairlead/t/lock").read_text().split()

    @asynccontextmanager
    async def held(self, run: str = "r1") -> AsyncIterator[tuple[Session, Runner]]:
        """The lock of a new run, with every fence raised."""
        session = self.session()
        await session.acquire("new", run, self.plan.lease)
        try:
            await session.raise_fences(self.plan.hosts)
            yield session, self.runner(session)
        finally:
            await session.close()


def accounts(folder: Path) -> dict[str, Account]:
    """Two of them, with homes in `folder`."""
    for name in (HERE, THERE):
        (folder / name).mkdir(exist_ok=True)
    return {name: Account(name=name, kind="local", home=str(folder / name)) for name in (HERE, THERE)}


def planned(folder: Path, steps: Iterable[Step], **more: Any) -> Plan:
    """A plan of these steps on these accounts."""
    given: dict[str, Any] = {"kind": "deploy", "project": "p", "environment": "t", "lock_host": HERE, "lease": LEASE}
    given |= {"accounts": accounts(folder), "services": (), "steps": tuple(steps)}
    return Plan.model_validate({**given, **more})


@asynccontextmanager
async def site(folder: Path, steps: Iterable[Step], hosts: Hosts | None = None, **more: Any) -> AsyncIterator[Site]:
    """A site for a plan of these steps; `hosts` may be such as break."""
    plan = planned(folder, steps, **more)
    async with hosts or Hosts(plan.accounts, Secrets()) as opened:
        yield Site(folder, opened, plan)
