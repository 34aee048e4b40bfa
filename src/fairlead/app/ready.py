"""What can be said of an environment before anything is changed: its gates, and the activation report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fairlead.checks.gate import GateContext, ask_gates
from fairlead.checks.gates import gates_of, hosts, lock
from fairlead.checks.run import Asked, together
from fairlead.errors import FairleadError
from fairlead.model import Deployment, Finding, GateAnswer, Model, blockers

if TYPE_CHECKING:
    from fairlead.app.facade import Fairlead


class Readiness(Model):
    """What all gates say."""

    gates: tuple[GateAnswer, ...]
    """In the order in which they are told: those that are always asked, then those of `gates: {ask: ...}`."""

    @property
    def ok(self) -> bool:
        """A deployment may start; of nothing that was asked that is no."""
        return bool(self.gates) and not self.blocking

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that was seen."""
        return tuple(finding for gate in self.gates for finding in gate.findings)

    @property
    def blocking(self) -> tuple[GateAnswer, ...]:
        """The gates that say no, or could not say yes."""
        return tuple(gate for gate in self.gates if gate.blocks)


class Status(Model):
    """The activation report."""

    environment: str
    last: Deployment | None
    """The last run of the environment, whatever became of it."""
    databases_reachable: int
    databases_total: int
    findings: tuple[Finding, ...]

    @property
    def ready(self) -> bool:
        """Nothing that was looked at says no."""
        return not blockers(self.findings)


class Ready:
    """The questions before a deployment, for an open installation's environment."""

    def __init__(self, app: Fairlead) -> None:
        self._app = app

    async def ask(self) -> Readiness:
        """May a deployment start? All gates in parallel; one `fail` or `unknown` is a no."""
        async with self._context() as context:
            return Readiness(gates=tuple(await ask_gates(gates_of(context))))

    async def status(self) -> Status:
        """The activation report: the last deployment, how many databases answer, connections, an open run."""
        async with self._context() as context:
            looks: Iterable[Asked] = [
                *(Asked("host", name, hosts.look_at(context, name)) for name in hosts.used_hosts(context)),
                Asked("lock", context.environment.lock_host, lock.lock_is_free(context)),
            ]
            findings, databases, last = await asyncio.gather(
                together(looks, hosts.LIMIT), self._app.data.check(), self._last()
            )
        return Status(
            environment=self._app.environment.name,
            last=last,
            databases_reachable=sum(not one.blocks for one in databases),
            databases_total=len(databases),
            findings=(*findings, *(one for one in databases if one.status != "ok")),
        )

    async def _last(self) -> Deployment | None:
        try:
            return next(iter(await self._app.history(limit=1)), None)
        except FairleadError:
            return None  # the host's own finding says why

    @asynccontextmanager
    async def _context(self) -> AsyncIterator[GateContext]:
        app = self._app
        context = GateContext(
            installation=app.installation,
            environment=app.environment,
            base=app.config_path.parent.absolute(),
            hosts=app.hosts,
            http=app.http,
            secrets=app.secrets,
            clock=app.clock,
            cache=app.store,
        )
        try:
            yield context
        finally:
            await context.aclose()
