"""What can be said of an environment before anything is changed: its gates, and the activation report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fairlead.checks.gate import GateContext, ask_gates
from fairlead.checks.gates import commit as commit_gate
from fairlead.checks.gates import gates_of, hosts, lock
from fairlead.checks.run import Asked, together
from fairlead.errors import FairleadError, NotReady
from fairlead.model import Deployment, Evidence, Finding, GateAnswer, Model, Plan, blockers, sha256

if TYPE_CHECKING:
    from fairlead.app.facade import Fairlead


class Readiness(Model):
    """What all gates say."""

    gates: tuple[GateAnswer, ...]
    """In the order in which they are told: those that are always asked, then those of `gates: {ask: ...}`."""
    commit: str = ""
    """Of which the gates were asked that the environment asks for; empty = not known, or it asks for none."""
    evidence: str = ""
    """Hash under which this is kept."""

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

    async def ask(self, plan: Plan | None = None) -> Readiness:
        """May a deployment start? All gates in parallel; one `fail` or `unknown` is a no. What they say is kept.

        Of a plan: what gates that an environment asks for said of its commit before counts while nothing has moved.
        """
        async with self._context(plan) as context:
            wanted = await self._about(context, plan)
            known = self._known(wanted) if plan else {}
            gates, now = gates_of(context), self._app.clock.now()
            asked = await ask_gates((one for one in gates if one.name not in known), now)
            told = known | {one.gate: one for one in asked}
        evidence = wanted.model_copy(update={"gates": tuple(told[one.name] for one in gates)})
        self._app.store.save_evidence(evidence, now)
        return Readiness(gates=evidence.gates, commit=evidence.commit, evidence=evidence.hash)

    async def _about(self, context: GateContext, plan: Plan | None) -> Evidence:
        """What the evidence will be about, before anybody was asked."""
        copy = None
        if context.environment.gates.of_commit:
            with suppress(NotReady):  # the gates say why
                copy = await commit_gate.copy_of(context)
        return Evidence(
            environment=context.environment.name,
            commit=copy.commit if copy else "",
            uncommitted=copy.changed if copy else (),
            config=sha256(context.installation.to_json()),
            services=tuple(f"{one.service} {one.after}" for one in plan.services) if plan else (),
        )

    def _known(self, wanted: Evidence) -> dict[str, GateAnswer]:
        """By gate: what those that an environment asks for have said already, if it was a yes and is young enough."""
        asked, now = self._app.environment.gates, self._app.clock.now()
        found: dict[str, GateAnswer] = {}
        for evidence in self._app.store.evidence(wanted.environment):
            for one in evidence.gates if evidence.holds_for(wanted) else ():
                if one.gate in asked.of_commit and 0 <= now - one.at <= asked.valid:
                    found.setdefault(one.gate, one)
        return {word: one for word, one in found.items() if not one.blocks}

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
    async def _context(self, plan: Plan | None = None) -> AsyncIterator[GateContext]:
        app = self._app
        context = GateContext(
            installation=app.installation,
            environment=app.environment,
            base=app.config_path.parent.absolute(),
            hosts=app.hosts,
            http=app.http,
            secrets=app.secrets,
            clock=app.clock,
            commit=plan.commit if plan else "",
            uncommitted=plan.uncommitted if plan else (),
            cache=app.store,
            scans=app.store,
        )
        try:
            yield context
        finally:
            await context.aclose()
