"""What Fairlead can do for one installation, as methods that take words and return models."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from fairlead.app.announce import Announced, Announcer
from fairlead.app.data import Data
from fairlead.app.opening import Opening, begun
from fairlead.app.ready import Ready
from fairlead.checks.run import CheckContext, run_checks
from fairlead.config import DatabaseSpec
from fairlead.errors import Busy, CallError, FairleadError, NotReady, OpenRun, Refused
from fairlead.journal.history import deployment_of, step_times, timeline
from fairlead.journal.record import read_record
from fairlead.journal.store import Store
from fairlead.journal.target import State, Target
from fairlead.model import (
    NOBODY_ASKED,
    Check,
    Deployment,
    ErrorShare,
    Event,
    Finding,
    Passed,
    Plan,
    RecordLine,
    Report,
    Sample,
    ServiceChange,
    Step,
    Upload,
    WayBackTime,
)
from fairlead.outside.clock import Clock, SystemClock
from fairlead.outside.environment import build_environment, folders, who
from fairlead.outside.files import ArtifactStore
from fairlead.outside.git import WorkingCopy, working_copy
from fairlead.outside.http import HttpClient
from fairlead.plan.adopt import plan_adopt
from fairlead.plan.deploy import all_or_errors, both, plan_deploy, proofs
from fairlead.plan.expect import expected_way_back
from fairlead.plan.prepare import Artifact, prepare
from fairlead.plan.rollback import plan_rollback
from fairlead.run import operate
from fairlead.run.measure import downtime_ms
from fairlead.run.runner import DataWish, Stop

HEALTH_LIMIT = 8.0
"""Seconds that one look of `health` or `ready` has; the whole answer comes in under ten."""

KEEP_ARTIFACTS = 50
"""How many built trees the operator's machine keeps."""

UNDONE_BY = {"restore": "`fairlead db restore NAME --undo`", "firewall": "`fairlead db firewall --undo`"}
"""What takes a finished run back that is no deployment."""

Listen = Callable[[Event], None]
D = TypeVar("D")


def _silent(event: Event) -> None:
    del event


async def _not_here() -> Plan:
    raise NotReady("a plan that takes something back is carried out by the command that made it", "make it again")


@dataclass
class Fairlead:
    """One installation and one of its environments, with the connections that looking at it needs.

    Use as an async context manager; leaving it closes every connection.
    """

    config_path: Path
    environment_name: str = ""
    listen: Listen = _silent
    stop: Stop = field(default_factory=Stop)
    clock: Clock = field(default_factory=SystemClock)
    opening: Opening | None = None
    """What was opened beforehand; whoever did that closes it."""
    changing: bool = field(default=False, init=False)
    """A run is going on: a request to stop is heeded between two steps."""
    remake: Callable[[], Awaitable[Plan]] = field(default=_not_here, init=False)
    """Makes the plan that was made last, if it takes something back, from what is on the hosts now."""
    silent: set[str] = field(default_factory=set, init=False)
    """Hosts that did not answer when a plan was made: asking them again would only take as long again."""
    _looked: float = field(default=-math.inf, init=False)
    """The clock's monotonic time before the first look of the plan that was made last."""
    _known: bool = field(default=False, init=False)
    """The run's end stands in the local history."""

    async def __aenter__(self) -> Fairlead:
        self._stack = AsyncExitStack()
        opening = self.opening
        if opening is None:
            opening = await self._stack.enter_async_context(begun(self.config_path, self.environment_name))
        self.installation, self.environment = opening.installation, opening.environment
        self.secrets, self.hosts = opening.secrets, opening.hosts
        places = folders()
        self.artifacts = ArtifactStore(places.cache / "artifacts")
        self.store = Store(places.state / "history.db")
        self._stack.callback(self.store.close)
        self.http = await self._stack.enter_async_context(HttpClient())
        self.announcer = Announcer(self)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @property
    def data(self) -> Data:
        """What can be done with the environment's databases."""
        return Data(self)

    @property
    def readiness(self) -> Ready:
        """What can be said before anything is changed: the gates, and the activation report."""
        return Ready(self)

    # -- looking

    async def check(self, checks: Iterable[Check]) -> list[Finding]:
        """Run checks in parallel, each within its time; in the order in which they were given."""
        context = CheckContext(hosts=self.hosts, http=self.http, secrets=self.secrets)
        return await run_checks(checks, context, HEALTH_LIMIT)

    async def health(self) -> list[Finding]:
        """Every service and every database, all at once, in under ten seconds."""
        services, databases = await asyncio.gather(self._services(), self.data.check())
        return [*services, *databases]

    async def _services(self) -> list[Finding]:
        return await self.check(
            check for service in self.environment.services.values() for check in proofs(service, "")
        )

    def own_databases(self) -> list[DatabaseSpec]:
        """The databases of this environment."""
        return [d for d in self.installation.databases if d.environment == self.environment.name]

    async def lock(self) -> State:
        """Who holds the environment's lock, and which run is open."""
        return await (await self._lock_target()).read()

    async def must_be_free(self) -> None:
        """Raise Busy while somebody is at work on the environment, OpenRun where an earlier run was not finished."""
        state, name = await self.lock(), self.environment.name
        if state.lease_left:
            hint = (
                f"`fairlead status -e {name}` shows how far it is; a holder that is gone can be replaced after a while"
            )
            raise Busy(f"{state.who} is at work on {name}: run {state.run}", hint)
        if state.run != "-":
            hint = f"`fairlead resume -e {name}` finishes or undoes it, `fairlead rollback -e {name}` takes it back"
            raise OpenRun(f"run {state.run} by {state.who} is not finished", hint)

    async def release_lock(self) -> str:
        """Give up the lock of a holder whose lease is over; returns the run that stays open, or `-`."""
        return await self._run(operate.release_lock(*self._place(), self._context()))

    async def _lock_target(self) -> Target:
        return Target(await self.hosts.get(self.environment.lock_host), self.environment.name)

    # -- planning

    async def plan(self, services: Iterable[str] = ()) -> Plan:
        """Build, look at the hosts, and say what a deployment would do. Changes nothing on any target.

        Raises NotReady naming every host that does not answer, before any build command is run.
        """
        wanted = self._wanted(services)
        used = [self.environment.services[name] for name in wanted]
        copy = await self._copy()
        self._looked = self.clock.monotonic()
        places = dict.fromkeys([self.environment.lock_host, *(service.host for service in used)])
        reached = all_or_errors(self._reach(name) for name in places)
        if any(service.source and service.source.build for service in used):
            await reached
            made = await self._plan(await self._prepare(wanted), self.today())
        else:
            artifacts, _ = await both(self._prepare(wanted), reached)
            made = await self._plan(artifacts, self.today())
        return made.model_copy(update={"commit": copy.commit, "uncommitted": copy.changed}) if copy else made

    async def _copy(self) -> WorkingCopy | None:
        """What the plan will be made from, before any build writes into it; None = nobody asks, or nobody knows."""
        if not self.environment.gates.any_asked:
            return None
        try:
            return await working_copy(self.config_path.parent.absolute())
        except NotReady as error:
            self.tell("warning", f"which commit this is cannot be told: {error.what}")
            return None

    def expected_way_back(self, plan: Plan) -> WayBackTime:
        """How long going back from it takes, as far as its steps were measured before."""
        known = (self.store.durations(self.environment.name, what) for what in ("do", "undo"))
        return expected_way_back(plan, *known)

    def today(self) -> str:
        """YYYYMMDD, in UTC."""
        return time.strftime("%Y%m%d", time.gmtime(self.clock.now()))

    async def _reach(self, host: str) -> None:
        try:
            await self.hosts.get(host)
        except FairleadError as error:
            self.silent.add(host)
            raise NotReady(f"host {host} cannot be used: {error.what}", error.hint) from error

    async def _plan(self, artifacts: Mapping[str, Artifact], day: str) -> Plan:
        spare = self.data.needed(ended=True) if self.own_databases() else None
        return await plan_deploy(self.installation, self.environment, artifacts, self.hosts, day=day, spare=spare)

    async def _prepare(self, names: Iterable[str]) -> dict[str, Artifact]:
        """Build the named services, two at a time: builds are heavy, and the operator's machine is often small."""
        env = build_environment(self.installation.secrets)
        places = asyncio.Semaphore(2)

        async def one(name: str) -> Artifact:
            async with places:
                service = self.environment.services[name]
                base = self.config_path.parent.absolute()
                return await prepare(service, base, env, self.artifacts, clean=self.secrets.redact)

        names = list(names)
        self.tell("phase", "preparing: " + ", ".join(names))
        return dict(zip(names, await all_or_errors(one(name) for name in names), strict=True))

    def _wanted(self, names: Iterable[str]) -> list[str]:
        chosen = list(names)
        services = self.environment.services
        if unknown := [name for name in chosen if name not in services]:
            known = ", ".join(services)
            raise CallError(f"no service {unknown[0]!r} in {self.environment.name}", f"there are: {known}")
        deployable = [name for name, service in services.items() if service.strategy != "verify_only"]
        if refused := [name for name in chosen if name not in deployable]:
            raise CallError(f"{refused[0]} is verify_only: it is looked at, never deployed")
        return [name for name in deployable if not chosen or name in chosen]

    async def announce(self, names: Iterable[str], reason: str, *, off: bool = False) -> Announced:
        """Tell of the next deployment window, and of what is meant for it; `off`: that it is called off."""
        return await self.announcer.window(self._wanted(names), reason, off=off)

    # -- changing

    async def deploy(
        self,
        plan: Plan,
        *,
        reason: str = "",
        watch: bool = True,
        passed: Passed = NOBODY_ASKED,
        at_once: bool = False,
    ) -> Deployment:
        """Carry out a plan that a person has approved; `passed` is what its record says of the gates.

        `at_once`: it was made by `plan` just now, and nobody was waited for since.
        """
        if plan.environment != self.environment.name or plan.project != self.installation.project:
            raise Refused(f"this plan is for {plan.project}/{plan.environment}", "make one for this environment")

        async def replan() -> Plan:
            return await self.again(plan)

        context = replace(self._context(), passed=passed)
        looked = self._looked if at_once else -math.inf
        work = operate.deploy(plan, context, reason=reason, watch=watch, replan=replan, looked=looked)
        deployment = await self._run(work)
        await asyncio.to_thread(self.artifacts.keep_newest, KEEP_ARTIFACTS)
        return deployment

    async def again(self, plan: Plan) -> Plan:
        """The same plan, made anew from what is on the hosts now and the artifacts that it was made for.

        Raises NotReady when those artifacts are not on this machine and the sources here do not lead to them.
        """
        if plan.kind in ("rollback", "restore", "prune", "provision", "firewall"):
            return await self.remake()
        if plan.kind == "adopt":
            return _as_seen(plan, await self.plan_adopt(plan.services[0].service))
        uploads = {step.service: step.do.artifact for step in plan.steps if isinstance(step.do, Upload)}
        missing = [tree for tree in uploads.values() if not self.artifacts.has(tree)]
        if missing and not await self._make_artifacts(plan, missing):
            raise NotReady("what the plan would upload is not on this machine", "make a new plan here")
        versions = {change.service: change.version for change in plan.services}
        artifacts = {
            name: Artifact(service=name, tree=await self.artifacts.tree(tree), version=versions[name])
            for name, tree in uploads.items()
            if name in self.environment.services
        }
        made = await self._plan(artifacts, plan.data.day or self.today())
        return _as_seen(plan, made)

    async def _make_artifacts(self, plan: Plan, missing: list[str]) -> bool:
        """Build what is missing; true when the same content came out."""
        names = [s.service for s in plan.steps if isinstance(s.do, Upload) and s.do.artifact in missing]
        try:
            await self._prepare(self._wanted(names))
        except FairleadError as error:
            self.tell("warning", f"the release cannot be built again here: {error}")
            return False
        return all(self.artifacts.has(name) for name in missing)

    async def resume(self, *, watch: bool = True) -> Deployment | None:
        """Finish or undo the open run; None = nothing is open."""
        return await self._run(
            operate.resume(*self._place(), self._context(), watch=watch, available=self._make_artifacts)
        )

    async def go_back(self, reason: str, data: DataWish = "") -> Deployment | None:
        """Take the open run back; None = nothing is open. `data`: which databases too; empty = as its plan says."""
        return await self._run(operate.go_back(*self._place(), self._context(), reason=reason, data=data))

    async def close(self, reason: str) -> Deployment | None:
        """End the open run by hand, everything stays as it stands; None = nothing is open."""
        closed = await self._run(operate.close(*self._place(), self._context(), reason=reason))
        if closed is not None:
            self.announcer.ended(closed)
            await self.announcer.send()
        return closed

    async def plan_rollback(self, run: str = "", data: DataWish = "") -> Plan:
        """What it takes to go back to before a finished deployment: the named one, else the last.

        `data`: which databases go back too; empty = as fairlead.yml says of each.
        """
        state = await self.lock()
        if state.run != "-":
            raise OpenRun(f"run {state.run} is open", f"`fairlead rollback -e {self.environment.name}` takes it back")
        now = self.clock.now()

        async def make() -> Plan:
            undone = await self._finished(await self._lock_target(), run)
            chosen = await self.data.chosen_for(undone, data, now)
            return await plan_rollback(self.installation, self.environment, undone, chosen, self.hosts)

        self.remake = make
        return await make()

    async def plan_adopt(self, service: str) -> Plan:
        """What it takes to make the folder that is live now the first release of a service."""
        if service not in self.environment.services:
            known = ", ".join(self.environment.services)
            raise CallError(f"no service {service!r} in {self.environment.name}", f"there are: {known}")
        return await plan_adopt(self.installation, self.environment, service, self.hosts)

    async def _finished(self, target: Target, run: str) -> Plan:
        for head in reversed(await target.list()):
            if run and head.run != run:
                continue
            deployment, plan = await self._reconstruct(target, head.run)
            wanted = bool(run) or deployment.kind == "deploy"  # going back twice must not go forward again
            if wanted and deployment.state == "done" and plan is not None and plan.services:
                return plan
            if run:
                hint = UNDONE_BY.get(deployment.kind, "") if deployment.state == "done" else ""
                raise CallError(f"run {run} is {deployment.state}, there is nothing to take back", hint)
        raise CallError(
            f"no finished deployment {run}".rstrip() + f" in {self.environment.name}", "see `fairlead history`"
        )

    async def past_runs(self) -> AsyncIterator[tuple[Deployment, Plan | None]]:
        """The environment's runs, newest first, as their records tell them, with their plans where they are kept."""
        target = await self._lock_target()
        for head in reversed(await target.list()):
            yield await self._reconstruct(target, head.run)

    def _place(self) -> tuple[str, str]:
        return self.environment.name, self.environment.lock_host

    def _context(self) -> operate.Context:
        durations = self.store.durations(self.environment.name)

        def expected(step: Step) -> float | None:
            return durations.get(step.id)

        def keep(run: str, samples: list[Sample], shares: list[ErrorShare]) -> None:
            self.store.add_samples(run, samples)
            self.store.add_shares(run, shares)

        return operate.Context(
            hosts=self.hosts,
            secrets=self.secrets,
            artifacts=self.artifacts,
            clock=self.clock,
            checks=self.check,
            who=who(),
            listen=self._hear,
            stop=self.stop,
            expected=expected,
            keep=keep,
            proof=self.store.save_findings,
            written=self.data.written_since,
            deep=self.data.check_deeply,
            begun=self.announcer.begun,
            ended=self._ended,
        )

    def _ended(self, run: str, lines: list[RecordLine], plan: Plan) -> None:
        self.announcer.ended(self._keep(run, lines, plan))
        self._known = True

    async def _run(self, work: Awaitable[D]) -> D:
        """Do the work; where its end was not heard of, bring the local history up to date from the target."""
        self.changing, self._known = True, False
        async with self.announcer.telling():
            try:
                return await work
            finally:
                self.changing = False
                if not self._known:
                    await self._remember()

    async def _remember(self) -> None:
        try:
            await self.history(limit=1)
        except FairleadError as error:
            self.tell("warning", f"the local history was not brought up to date: {error}")

    # -- history

    async def history(self, limit: int = 20) -> list[Deployment]:
        """The last runs of the environment, newest first, from the target; kept in the local history."""
        target = await self._lock_target()
        heads = (await target.list())[-limit:]
        told = []
        for head in reversed(heads):
            known = self.store.load(head.run)
            if known is None or not known.ended:
                known, _ = await self._reconstruct(target, head.run)
            told.append(known)
        return told

    async def _reconstruct(self, target: Target, run: str) -> tuple[Deployment, Plan | None]:
        state = await target.read(run)
        lines = read_record(state.record)
        if not lines:
            raise CallError(f"no run {run} in {self.environment.name}", "see `fairlead history`")
        raw = await target.plan(lines[0].entry.plan) if lines[0].entry.plan else None
        plan = Plan.model_validate_json(raw) if raw else None
        return self._keep(run, lines, plan), plan

    def _keep(self, run: str, lines: Sequence[RecordLine], plan: Plan | None) -> Deployment:
        """Bring the local history up to date with a run's record."""
        deployment = deployment_of(run, lines, plan)
        self.store.save(deployment)
        self.store.add_steps(run, step_times(lines, plan))
        report = self.store.report(run)
        gaps = downtime_ms(report.samples) if report else {}
        self.store.save_extras(run, timeline(lines, plan), gaps)
        return deployment

    async def report(self, run: str = "") -> Report:
        """Everything known of a run; without a name, of the last one."""
        target = await self._lock_target()
        if not run:
            heads = await target.list()
            if not heads:
                raise CallError(f"nothing was ever deployed to {self.environment.name}", "see `fairlead plan`")
            run = heads[-1].run
        await self._reconstruct(target, run)
        report = self.store.report(run)
        if report is None:
            raise NotReady("the local history could not be written", "; ".join(self.store.warnings))
        return report

    def tell(self, kind: str, says: str) -> None:
        """Send one event to whoever watches."""
        self._hear(Event.model_validate({"at": self.clock.now(), "kind": kind, "says": says}))

    def _hear(self, event: Event) -> None:
        """Hand an event on without secrets: what a program said may be in it."""
        clean = event.model_copy(update={"says": self.secrets.redact(event.says)})
        self.announcer.hear(clean)
        self.listen(clean)


def _as_seen(approved: Plan, now: Plan) -> Plan:
    """A plan made again, with the counts and units that the person has seen: those move, and bind nobody."""
    seen = {change.service: change for change in approved.services}
    services = [_with_what_was_seen(change, seen.get(change.service, change)) for change in now.services]
    commit = {"commit": approved.commit, "uncommitted": approved.uncommitted}
    return now.model_copy(update={"services": tuple(services), **commit})


def _with_what_was_seen(now: ServiceChange, seen: ServiceChange) -> ServiceChange:
    inventory = seen.inventory if now.inventory else None
    return now.model_copy(update={"inventory": inventory, "unit": seen.unit if now.unit else ""})
