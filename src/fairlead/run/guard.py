"""Looks at a plan's databases for as long as it is carried out, beside everything else, and says when one is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fairlead.model import DatabaseCheck, Finding
from fairlead.outside.clock import Clock
from fairlead.run.runner import RunChecks

EVERY = 5.0
"""Seconds between two looks while services are staged and switched; a watch takes its own interval."""
CONFIRM = 1.0
"""Seconds until a database that said no is asked a second time: one no may be a restart of its server."""


@dataclass
class Guard:
    """The databases that answered when the run began, and whether all of them still do."""

    databases: tuple[DatabaseCheck, ...]
    checks: RunChecks
    clock: Clock
    every: float
    """Seconds between two looks."""
    why: str = ""
    """Which are lost and by what, as a sentence; "" = none."""

    @classmethod
    def over(cls, databases: Iterable[DatabaseCheck], absent: Iterable[str], checks: RunChecks, clock: Clock) -> Guard:
        """A guard that leaves out the databases that were `absent` from the beginning."""
        gone = set(absent)
        return cls(tuple(one for one in databases if one.subject not in gone), checks, clock, EVERY)

    async def look(self) -> None:
        """Look once, and at those that say no a second time."""
        lost = await self._refusing(self.databases)
        if lost and not self.why:
            await self.clock.sleep(CONFIRM)
            names = {finding.subject for finding in lost}
            lost = await self._refusing(one for one in self.databases if one.subject in names)
            self.why = self.why or sentence(lost)

    async def _refusing(self, databases: Iterable[DatabaseCheck]) -> list[Finding]:
        return [finding for finding in await self.checks(databases) if finding.blocks]

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Guard]:
        """Look every now and then, until the end of the block."""
        task = asyncio.create_task(self._look_on(), name="guard") if self.databases else None
        try:
            yield self
        finally:
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _look_on(self) -> None:
        while not self.why:
            await self.clock.sleep(self.every)
            await self.look()


def sentence(lost: Iterable[Finding]) -> str:
    """Databases by their common cause: `shop and crm are lost: port 3306 of db is closed`; empty where none is."""
    causes: dict[str, list[str]] = {}
    for finding in lost:
        causes.setdefault(f"{finding.says} ({finding.hint})" if finding.hint else finding.says, []).append(
            finding.subject
        )
    return "; ".join(f"{_named(names)} lost during the deployment: {cause}" for cause, names in causes.items())


def _named(names: list[str]) -> str:
    if len(names) == 1:
        return f"the database {names[0]} was"
    return f"{len(names)} databases ({', '.join(names)}) were"
