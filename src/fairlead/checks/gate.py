"""A gate: one question that `ready` asks before a deployment may start. All are asked at once, each within its time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fairlead.checks.logs import Forgotten, Scans
from fairlead.checks.looked import looked_at_all, within
from fairlead.config import DatabaseSpec, EnvironmentSpec, Installation
from fairlead.errors import NotReady
from fairlead.model import Finding, GateAnswer, summed_up, worst
from fairlead.outside.clock import Clock
from fairlead.outside.connect import Hosts
from fairlead.outside.github_http import Cache, Forgetful
from fairlead.outside.http import HttpClient
from fairlead.outside.secrets import Secrets

T = TypeVar("T")

LOOK_LIMIT = 8.0
"""Seconds that one look has, where its gate says nothing else; the whole answer comes in under ten."""


@dataclass(frozen=True)
class Gate:
    """One question, and how to ask it."""

    name: str
    looks_at: str
    """In words for people."""
    look: Callable[[], Coroutine[Any, Any, list[Finding]]]
    """Changes nothing. What it raises, and no finding at all, count as `unknown`."""
    good: str = "ok"
    """What is said of those findings that are ok: `17/17 reachable`."""
    limit: float = LOOK_LIMIT
    """Seconds; a gate that has not answered then is `unknown`."""
    alone: bool = False
    """It measures speed: asked after all others have answered, one at a time."""
    of_commit: bool = False
    """What it says is said of the commit, and counts for a while as long as nothing moves."""


@dataclass
class GateContext:
    """What gates look with and at."""

    installation: Installation
    environment: EnvironmentSpec
    base: Path
    """The folder of fairlead.yml."""
    hosts: Hosts
    http: HttpClient
    secrets: Secrets
    clock: Clock
    commit: str = ""
    """That of the plan which gates are asked for; empty = the one that is checked out."""
    uncommitted: tuple[str, ...] = ()
    """Of the plan: what differed from its commit when it was made."""
    cache: Cache = field(default_factory=Forgetful)
    """Where answers of GitHub are kept between two questions."""
    scans: Scans = field(default_factory=Forgotten)
    """Where it is kept how far logs were looked through."""
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Closed when all gates have answered."""
    _shared: dict[str, asyncio.Task[Any]] = field(default_factory=dict)

    @property
    def databases(self) -> tuple[DatabaseSpec, ...]:
        """Those of the environment."""
        return self.installation.databases_of(self.environment.name)

    async def once(self, key: str, find: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Find something that several gates need; it is looked for once, and each of them hears of its failure."""
        if key not in self._shared:
            self._shared[key] = asyncio.ensure_future(find())
        found: T = await asyncio.shield(self._shared[key])  # one gate whose time is over takes it from no other
        return found

    async def aclose(self) -> None:
        """End what is still being looked for, and close what was opened for it."""
        for task in self._shared.values():
            task.cancel()
        await asyncio.gather(*self._shared.values(), return_exceptions=True)
        await self.stack.aclose()


MakeGate = Callable[[GateContext], Gate | None]
"""A gate's file has one of these, `gate`: None = there is nothing that it could look at."""


async def ask_gates(
    gates: Iterable[Gate], at: float = 0.0, heard: Callable[[GateAnswer], None] = lambda answer: None
) -> list[GateAnswer]:
    """Ask all at once, then those that want to be alone; in the order given. `heard` gets each answer as it comes."""
    several = list(gates)
    answers: dict[str, GateAnswer] = {}

    async def ask(one: Gate) -> None:
        answers[one.name] = await ask_gate(one, at)
        heard(answers[one.name])

    await asyncio.gather(*(ask(one) for one in several if not one.alone))
    for one in several:
        if one.alone:
            await ask(one)
    return [answers[one.name] for one in several]


async def ask_gate(gate: Gate, at: float = 0.0) -> GateAnswer:
    """Ask one gate; `at` is now, in unix time. Whatever goes wrong on the way is `unknown`."""
    time = asyncio.get_running_loop().time
    began = time()
    found = await looked_at_all(gate.name, (gate.name,), _some(within(gate.limit, gate.look())))
    return GateAnswer(
        gate=gate.name,
        looks_at=gate.looks_at,
        status=worst(found),
        says=summed_up(found, gate.good),
        hint=next((one.hint for one in found if one.hint and one.status == worst(found)), ""),
        at=at,
        ms=round((time() - began) * 1000, 1),
        findings=tuple(found),
    )


async def _some(look: Awaitable[list[Finding]]) -> list[Finding]:
    found = await look
    if not found:
        raise NotReady("it has looked at nothing")
    return found
