"""What can be said of an environment before anything is changed: its gates, and the activation report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fairlead.checks.drills import check_drills
from fairlead.checks.gate import Gate, GateContext, ask_gates
from fairlead.checks.gates import commit as commit_gate
from fairlead.checks.gates import gates_of, hosts, lock
from fairlead.checks.run import Asked, together
from fairlead.config.gates import ALWAYS
from fairlead.errors import FairleadError, NotReady
from fairlead.model import Deployment, Evidence, Finding, GateAnswer, Model, Plan, blockers, sha256
from fairlead.outside.git import WorkingCopy

if TYPE_CHECKING:
    from fairlead.app.facade import Fairlead


ONLY_TELL = ("commit", "pulls")
"""Gates that are not counted among those that decide."""
SLOW = 60.0
"""Seconds: `status` does not ask a gate that may take longer, and says what it said last."""


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
    branch: str = ""
    """Of the working copy; empty = not known, or nobody asks for it."""
    commit: str = ""
    """What would be deployed; empty = not known, or nobody asks for it."""
    databases_reachable: int
    databases_total: int
    gates_open: int = 0
    """Of the gates that the environment asks for, without those that only tell; slow ones by what they said last."""
    gates_total: int = 0
    gates: tuple[GateAnswer, ...] = ()
    """Those, and those that only tell."""
    findings: tuple[Finding, ...]
    """Hosts, the lock, and databases that are not ok."""

    @property
    def ready(self) -> bool:
        """Nothing that was looked at says no."""
        return not blockers(self.findings) and not any(gate.blocks for gate in self.gates)

    def gate(self, name: str) -> GateAnswer | None:
        """What a gate says; None = it was not asked for."""
        return next((one for one in self.gates if one.gate == name), None)


class Ready:
    """The questions before a deployment, for an open installation's environment."""

    def __init__(self, app: Fairlead) -> None:
        self._app = app

    async def ask(self, plan: Plan | None = None) -> Readiness:
        """May a deployment start? All gates in parallel; one `fail` or `unknown` is a no. What they say is kept.

        Of a plan: what gates that an environment asks for said of its commit before counts while nothing has moved.
        """
        async with self._context(plan) as context:
            wanted, gates, now = await self._about(context, plan), gates_of(context), self._app.clock.now()
            known = self._known(wanted, [one for one in gates if one.of_commit]) if plan else {}
            missing = (one for one in gates if one.name not in known)
            asked, _ = await asyncio.gather(ask_gates(missing, now), self._app.announcer.send())
            told = known | {one.gate: one for one in asked}
        evidence = wanted.model_copy(update={"gates": tuple(told[one.name] for one in gates)})
        self._app.store.save_evidence(evidence, now)
        return Readiness(gates=evidence.gates, commit=evidence.commit, evidence=evidence.hash)

    async def mend(self, told: Readiness) -> list[Finding]:
        """Make the backups that are missing; what came of each. Nothing else can be mended by a command."""
        missing = [one.subject for gate in told.gates if gate.gate == "backups" for one in gate.findings if one.blocks]
        return await self._app.data.backup(missing) if missing else []

    async def _about(self, context: GateContext, plan: Plan | None) -> Evidence:
        """What the evidence will be about, before anybody was asked."""
        copy = await self._copy(context)
        return Evidence(
            environment=context.environment.name,
            commit=copy.commit if copy else "",
            uncommitted=copy.changed if copy else (),
            config=sha256(context.installation.to_json()),
            services=tuple(f"{one.service} {one.after}" for one in plan.services) if plan else (),
        )

    async def _copy(self, context: GateContext) -> WorkingCopy | None:
        """What would be deployed; None = nobody asks for it, or it is not known, and the gates say why."""
        if context.environment.gates.any_asked:
            with suppress(NotReady):
                return await commit_gate.copy_of(context)
        return None

    def _known(self, wanted: Evidence, gates: Sequence[Gate]) -> dict[str, GateAnswer]:
        """What these gates have said already of what nothing has moved in, if it was a yes and young enough."""
        valid, now = self._app.environment.gates.valid, self._app.clock.now()
        words, found = [one.name for one in gates], dict[str, GateAnswer]()
        for evidence in self._app.store.evidence(wanted.environment):
            for one in evidence.gates if evidence.holds_for(wanted) else ():
                if one.gate in words and 0 <= now - one.at <= valid:
                    found.setdefault(one.gate, one)
        return {word: one for word, one in found.items() if not one.blocks}

    async def status(self) -> Status:
        """The activation report: the last deployment, branch and CI, databases, connections, gates; all at once."""
        async with self._context() as context:
            looks: Iterable[Asked] = [
                *(Asked("host", name, hosts.look_at(context, name)) for name in hosts.used_hosts(context)),
                Asked("lock", context.environment.lock_host, lock.lock_is_free(context)),
            ]
            if context.databases:
                now, name = context.clock.now(), context.environment.name
                drill = check_drills(context.databases, context.hosts, name, now=now)
                looks = [*looks, Asked("drill", name, drill)]
            findings, databases, last, gates, copy = await asyncio.gather(
                together(looks, hosts.LIMIT),
                self._app.data.check(),
                self._last(),
                self._asked_for(context),
                self._copy(context),
            )
        counted = [one for one in gates if one.gate not in ONLY_TELL]
        return Status(
            environment=self._app.environment.name,
            last=last,
            branch=copy.branch if copy else "",
            commit=copy.commit if copy else "",
            databases_reachable=sum(not one.blocks for one in databases),
            databases_total=len(databases),
            gates_open=sum(not one.blocks for one in counted),
            gates_total=len(counted),
            gates=gates,
            findings=(*findings, *(one for one in databases if one.status != "ok")),
        )

    async def _asked_for(self, context: GateContext) -> tuple[GateAnswer, ...]:
        """The gates that the environment asks for; slow ones by what they said last, if that still counts."""
        several = [one for one in gates_of(context) if one.name not in ALWAYS]
        slow = [one for one in several if one.alone or one.limit > SLOW]
        known = self._known(await self._about(context, None), slow) if slow else {}
        told = {one.gate: one for one in await ask_gates(one for one in several if one not in slow)} | known
        return tuple(told.get(one.name) or _not_asked(one) for one in several)

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


def _not_asked(gate: Gate) -> GateAnswer:
    """Nobody has asked it of this commit; that is no yes."""
    says = "was not asked lately about what is checked out"
    return GateAnswer(
        gate=gate.name, looks_at=gate.looks_at, status="unknown", says=says, hint="`fairlead ready` asks all gates"
    )
