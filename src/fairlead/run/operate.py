"""The life of a run: deploy, resume, go back, close. Each takes the lock, leads the run on, and gives the lock back."""

from __future__ import annotations

import asyncio
import math
import secrets as randomness
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from fairlead.errors import Damaged, FairleadError, Fenced, Halted, Moved
from fairlead.journal.history import deployment_of
from fairlead.journal.target import Acquired, HeldBy, State
from fairlead.model import (
    NOBODY_ASKED,
    Deployment,
    Entry,
    ErrorShare,
    Event,
    Finding,
    Lease,
    Passed,
    Plan,
    RecordLine,
    Sample,
    Step,
    Upload,
    blockers,
)
from fairlead.outside.clock import Clock
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.outside.secrets import Secrets
from fairlead.plan.deploy import both
from fairlead.run.guard import Guard
from fairlead.run.runner import (
    DataWish,
    Deep,
    Listen,
    RunChecks,
    Runner,
    Stop,
    WayBack,
    Written,
    nobody_knows,
    nobody_reads,
)
from fairlead.run.session import Session
from fairlead.run.watch import Watch

OBSERVE_EVERY = 0.5
"""Seconds between two looks at every service while it is being switched: the resolution of measured downtime."""
YOUNG = 10.0
"""Seconds for which a plan's looks count as taken now, if no other run was there meanwhile."""
KEEP_RUNS = 50
"""How many records of runs the lock host keeps."""


async def nobody_listens(run: str, plan: Plan, first: Entry) -> None:
    """Nobody is told that a run begins."""


@dataclass
class Context:
    """What a run needs from the world, and where it tells what it does."""

    hosts: Hosts
    secrets: Secrets
    artifacts: ArtifactStore
    clock: Clock
    checks: RunChecks
    who: str
    listen: Listen
    stop: Stop = field(default_factory=Stop)
    expected: Callable[[Step], float | None] = lambda step: None
    keep: Callable[[str, list[Sample], list[ErrorShare]], None] = lambda run, samples, shares: None
    proof: Callable[[str, list[Finding]], None] = lambda run, findings: None
    written: Written = nobody_knows
    """What was written to databases since the first of the backups with these labels that counts."""
    deep: Deep = nobody_reads
    """Reads every table of databases to its end."""
    passed: Passed = NOBODY_ASKED
    """What the gates said, or who has overridden them; for the record."""
    begun: Callable[[str, Plan, Entry], Awaitable[None]] = nobody_listens
    """Hears of a run, with the first line of its record, before its first change, and when it is taken over."""
    ended: Callable[[str, list[RecordLine], Plan], None] = lambda run, lines, plan: None
    """Hears of a run that has ended, with its whole record."""

    def tell(self, kind: str, says: str, ok: bool | None = None) -> None:
        """Send one event to whoever watches."""
        self.listen(Event.model_validate({"at": self.clock.now(), "kind": kind, "says": says, "ok": ok}))


def new_run_id(now: float) -> str:
    """A word that sorts by time and is unique: `20261123-041500-3fa2`."""
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(now)) + "-" + randomness.token_hex(2)


async def deploy(
    plan: Plan,
    ctx: Context,
    *,
    reason: str,
    watch: bool,
    replan: Callable[[], Awaitable[Plan]],
    looked: float = -math.inf,
) -> Deployment:
    """Carry out an approved plan. Returns a deployment that is `done` or came `back`.

    `looked`: the clock's monotonic time before the plan's first look, where it went on from there without a pause. If
    that was moments ago, and no other run was there since, the hosts need not be looked at a second time.

    Raises Busy or OpenRun when it must not start, Moved when the ground is no longer what the plan was made for,
    Fenced when somebody took over, Halted when a human is needed; then the run stays open.
    """
    session = _session(ctx, plan.environment, plan.lock_host)
    held = await session.begin(plan.to_json().encode(), new_run_id(ctx.clock.now()), plan.lease)
    async with _guarded(session, ctx):
        await session.raise_fences(plan.hosts)
        if _nothing_between(held, looked, ctx):
            now, first = plan, await _first_line(plan, ctx, reason)
        else:
            now, first = await both(replan(), _first_line(plan, ctx, reason))
        if now.hash != plan.hash:
            await session.release(done=True)
            raise Moved("what is on the servers is no longer what the plan was made for", "make and approve a new plan")
        await session.append(first)
        await ctx.begun(session.run, plan, first)
        return await _saying_what_is_live(plan, session, ctx, _lead(plan, session, ctx, watch=watch))


def _nothing_between(held: Acquired, looked: float, ctx: Context) -> bool:
    """What the plan was made for is as young as a second look would be after a slow one, and no run was there since."""
    ago = ctx.clock.monotonic() - looked
    return ago < YOUNG and held.idle > ago + 1.0


async def _first_line(plan: Plan, ctx: Context, reason: str) -> Entry:
    """What the run is, written before its first change; with the services and databases that are sick already."""
    standing = [check for checks in plan.standing.values() for check in checks if check.kind != "tree"]
    findings, reached = await asyncio.gather(ctx.checks(standing), ctx.checks(plan.guards))
    sick = tuple(dict.fromkeys(finding.subject for finding in findings if finding.blocks))
    for finding in blockers(reached):
        ctx.tell("warning", f"the database {finding.subject} does not answer, so it is not guarded: {finding.says}")
    return Entry(
        kind="run",
        plan=plan.hash,
        way_back=plan.way_back_hash,
        project=plan.project,
        environment=plan.environment,
        who=ctx.who,
        says=reason,
        sick=sick,
        evidence=ctx.passed.evidence,
        overridden=ctx.passed.overridden,
        absent=tuple(finding.subject for finding in blockers(reached)),
    )


async def resume(
    environment: str, lock_host: str, ctx: Context, *, watch: bool, available: Available
) -> Deployment | None:
    """Finish or undo the open run, whoever began it. None = nothing was open. Waits for a dead holder's lease.

    Goes back when the run already did, or when an artifact that still must be uploaded cannot be had here.
    """
    return await _take_over(environment, lock_host, ctx, turn=Turn(), watch=watch, available=available)


async def go_back(
    environment: str, lock_host: str, ctx: Context, *, reason: str, data: DataWish = ""
) -> Deployment | None:
    """Take the open run back. None = nothing was open. `data`: which databases too; empty = as its plan says."""

    async def nothing_needed(plan: Plan, missing: list[str]) -> bool:
        return True

    turn = Turn(reason, data)
    return await _take_over(environment, lock_host, ctx, turn=turn, watch=False, available=nothing_needed)


class Turn(NamedTuple):
    """A person's word that a run goes back; without a reason it was not said."""

    why: str = ""
    data: DataWish = ""


Available = Callable[[Plan, list[str]], Awaitable[bool]]
"""Whether artifacts (tree hashes) of a plan are, or can be made, available on this machine."""


async def close(environment: str, lock_host: str, ctx: Context, *, reason: str) -> Deployment | None:
    """End the open run by hand and leave everything as it stands. None = nothing was open."""
    session = _session(ctx, environment, lock_host)
    state = await session.read()
    if state.run == "-":
        return None
    await _claim(session, state, ctx, Lease())
    async with _guarded(session, ctx):
        await session.raise_fences(())
        await session.read()
        plan = await _plan_of(session)
        await session.append(Entry(kind="end", verdict="closed", says=reason, who=ctx.who))
        await session.release(done=True)
        return deployment_of(state.run, session.lines, plan)


async def release_lock(environment: str, lock_host: str, ctx: Context) -> str:
    """Take the lock of a holder who is gone and give it back free. Returns the run that stays open, `-` = none.

    Raises HeldBy while the holder's lease is not over.
    """
    session = _session(ctx, environment, lock_host)
    state = await session.read()
    if state.run == "-":
        return "-"
    await session.acquire("resume", state.run, Lease())
    async with _guarded(session, ctx):
        await session.raise_fences(())
        await session.read()
        await session.append(Entry(kind="taken", who=ctx.who, says="to give the lock up"))
        await session.release(done=False)
    return state.run


async def _take_over(
    environment: str, lock_host: str, ctx: Context, *, turn: Turn, watch: bool, available: Available
) -> Deployment | None:
    session = _session(ctx, environment, lock_host)
    state = await session.read()
    if state.run == "-":
        return None
    plan = await _plan_of(session)
    await _claim(session, state, ctx, plan.lease if plan else Lease())
    async with _guarded(session, ctx):
        if plan is None:
            await session.read()
            plan = await _plan_of(session)
        if plan is None:
            return await _nothing_begun(session, state)
        ctx.hosts.know(plan.accounts)
        await session.raise_fences(plan.hosts, _patience(plan, session))
        await session.read()
        await session.append(Entry(kind="taken", who=ctx.who))
        await _told_again(plan, session, ctx)
        work = _lead_on(plan, session, ctx, turn=turn, watch=watch, available=available)
        return await _saying_what_is_live(plan, session, ctx, work)


async def _told_again(plan: Plan, session: Session, ctx: Context) -> None:
    """Whoever goes on tells of the run too: the one who began it may never have been heard."""
    first = next((line.entry for line in session.lines if line.entry.kind == "run"), None)
    if first is not None:
        await ctx.begun(session.run, plan, first)


async def _saying_what_is_live(plan: Plan, session: Session, ctx: Context, work: Awaitable[Deployment]) -> Deployment:
    """When the run halts, add to its sentence what is live where: whoever is called must know first of all."""
    try:
        return await work
    except Halted as halt:
        if not isinstance(halt, Damaged):
            halt.what += "\n" + "\n".join(await _runner(plan, session, ctx).what_is_live())
        raise


async def _nothing_begun(session: Session, state: State) -> Deployment:
    """The run's holder died before its first line: the plan was never begun."""
    if any(line.entry.kind == "run" for line in session.lines):
        raise Damaged("the open run's plan is missing on the lock host", "look at what is live, then `fairlead close`")
    await session.raise_fences(())
    await session.append(Entry(kind="end", verdict="closed", says="nothing had been begun", who=session.who))
    await session.release(done=True)
    return deployment_of(state.run, session.lines, None)


async def _lead_on(
    plan: Plan, session: Session, ctx: Context, *, turn: Turn, watch: bool, available: Available
) -> Deployment:
    kinds = {line.entry.kind for line in session.lines}
    if "end" in kinds:
        await session.release(done=True)
        return deployment_of(session.run, session.lines, plan)
    if "back" in kinds:
        return await _back(plan, session, _runner(plan, session, ctx), ctx, turn)
    if not turn.why:
        missing = await _missing_artifacts(plan, session, ctx)
        if missing and not await available(plan, missing):
            turn = Turn("what was to be uploaded is not on this machine")
    if turn.why:
        return await _back(plan, session, _runner(plan, session, ctx), ctx, turn)
    return await _lead(plan, session, ctx, watch=watch)


async def _missing_artifacts(plan: Plan, session: Session, ctx: Context) -> list[str]:
    """Tree hashes that an unfinished upload needs and that are not in the local store."""
    uploads = [step for step in plan.steps if isinstance(step.do, Upload)]
    open_ones = [step for step in uploads if session.fact(step).state not in ("done", "found")]
    wanted = {step.do.artifact for step in open_ones if isinstance(step.do, Upload)}
    return sorted(name for name in wanted if not ctx.artifacts.has(name))


async def _lead(plan: Plan, session: Session, ctx: Context, *, watch: bool) -> Deployment:
    """Forward to the end, or back to the beginning."""
    guard = Guard.over(plan.guards, (n for line in session.lines for n in line.entry.absent), ctx.checks, ctx.clock)
    runner = _runner(plan, session, ctx)
    runner.lost = lambda: guard.why
    try:
        async with guard.standing():
            await runner.stage()
            async with _observed(plan, session, ctx):
                findings = await runner.activate()
            await asyncio.gather(session.append() if watch else asyncio.sleep(0), guard.look())
            runner.heed_loss()
            ctx.proof(session.run, findings)
            if watch:
                guard.every = plan.watch_rules.interval
                await _watch(plan, session, ctx, guard)
                runner.heed_loss()
        await runner.tidy()
    except WayBack as turn:
        return await _back(plan, session, runner, ctx, Turn(turn.why))
    return await _end(plan, session, ctx, "done")


async def _watch(plan: Plan, session: Session, ctx: Context, guard: Guard) -> None:
    # After a resume the watch begins anew: what nobody looked at was not watched.
    seconds = plan.watch_rules.duration
    await session.append(Entry(kind="watch"))
    ctx.tell("phase", f"watching for {seconds:.0f} s")
    why = await _watcher(plan, session, ctx).run(seconds, lambda: bool(guard.why))
    if why:
        raise WayBack(why)
    if ctx.stop.why:
        raise Halted(
            f"{ctx.stop.why}: the new release is live, but was not watched to the end",
            f"`fairlead resume -e {plan.environment}` goes on watching, "
            f"`fairlead rollback -e {plan.environment}` goes back",
        )


async def _back(plan: Plan, session: Session, runner: Runner, ctx: Context, turn: Turn) -> Deployment:
    async with _observed(plan, session, ctx):
        findings = await runner.back(turn.why, turn.data)
    ctx.proof(session.run, findings)
    return await _end(plan, session, ctx, "back")


async def _end(plan: Plan, session: Session, ctx: Context, verdict: str) -> Deployment:
    session.later(Entry.model_validate({"kind": "end", "verdict": verdict, "who": ctx.who}))
    await asyncio.gather(session.release(done=True), _forget_old_runs(session, ctx))
    ctx.ended(session.run, session.lines, plan)
    ctx.tell("end", "done" if verdict == "done" else "everything is back as it was", ok=True)
    return deployment_of(session.run, session.lines, plan)


async def _forget_old_runs(session: Session, ctx: Context) -> None:
    """Delete the oldest records, and plans that none of the others needs; a failure is a warning."""
    try:
        target = await session.target(session.lock_host)
        for head in (await target.list())[:-KEEP_RUNS]:
            await target.forget(head.run)
    except FairleadError as error:
        ctx.tell("warning", f"old records could not be deleted: {error}")


@asynccontextmanager
async def _guarded(session: Session, ctx: Context) -> AsyncIterator[None]:
    """Whatever happens, say what stands: a halt leaves the run open and the lock free, a takeover writes nothing."""
    try:
        yield
    except (Fenced, Moved):
        raise
    except asyncio.CancelledError:
        if session.fenced is not None:
            raise session.fenced from None
        raise
    except FairleadError as error:
        left = await _left(session, error)
        if left is error:
            raise
        raise left from error
    finally:
        await session.close()


async def _left(session: Session, error: FairleadError) -> FairleadError:
    """Give the lock back; the run stays open, and a human is needed, where its record has begun."""
    halt = error if isinstance(error, Halted) else Halted(error.what, error.hint)
    try:
        await session.read()  # an append that nobody answered may stand there: a note must not take its number
        if not session.lines:
            await session.release(done=True)
            error.hint = "nothing was begun, and the lock was given back"
            return error
        await session.append(Entry(kind="note", says=f"halted: {error.what}"[:500], who=session.who))
        await session.release(done=False)
        if "fairlead " not in halt.hint:
            halt.hint = f"{halt.hint}; then `fairlead resume -e {session.environment}`".removeprefix("; then ")
    except FairleadError as again:
        halt.hint = f"{halt.hint}; the lock could not be given back ({again}), its lease runs out by itself".strip("; ")
    return halt


@asynccontextmanager
async def _observed(plan: Plan, session: Session, ctx: Context) -> AsyncIterator[None]:
    """Look at every service while it is switched, so that downtime is measured and not guessed.

    Whichever release answers, it answers: identity is not asked here.
    """
    healths = tuple(
        target.model_copy(update={"checks": tuple(c for c in target.checks if c.kind == "http" and c.check == "http")})
        for target in plan.watch
    )
    watcher = _watcher(plan.model_copy(update={"watch": healths}), session, ctx)

    async def observe() -> None:
        while True:
            await watcher.look()
            await ctx.clock.sleep(OBSERVE_EVERY)

    task = asyncio.create_task(observe(), name="observe")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _watcher(plan: Plan, session: Session, ctx: Context) -> Watch:
    def keep(samples: list[Sample], shares: list[ErrorShare]) -> None:
        ctx.keep(session.run, samples, shares)

    return Watch(plan, ctx.hosts, ctx.checks, ctx.clock, ctx.listen, ctx.stop, keep)


def _runner(plan: Plan, session: Session, ctx: Context) -> Runner:
    return Runner(plan, session, ctx.checks, ctx.clock, ctx.listen, ctx.expected, ctx.stop, ctx.written, ctx.deep)


def _session(ctx: Context, environment: str, lock_host: str) -> Session:
    return Session(
        ctx.hosts, environment, lock_host, who=ctx.who, clock=ctx.clock, secrets=ctx.secrets, artifacts=ctx.artifacts
    )


async def _claim(session: Session, state: State, ctx: Context, lease: Lease) -> None:
    """Take the open run's lock; a holder who is not heard of any more is waited for until the lease is over."""
    for _ in range(3):
        try:
            await session.acquire("resume", state.run, lease)
            return
        except HeldBy as held:
            if held.seconds > lease.ttl or ctx.stop.why:
                raise
            ctx.tell("phase", f"{held}; waiting {held.seconds} s for the lease")
            await ctx.clock.sleep(held.seconds + 1)
    await session.acquire("resume", state.run, lease)


async def _plan_of(session: Session) -> Plan | None:
    first = next((line.entry for line in session.lines if line.entry.kind == "run"), None)
    if first is None:
        return None
    raw = await (await session.target(session.lock_host)).plan(first.plan)
    return Plan.model_validate_json(raw) if raw else None


def _patience(plan: Plan, session: Session) -> float:
    """Seconds to let a change finish that may not be ended, such as a migration that its operator left behind."""
    running: Iterable[Step] = (
        s for s in (*plan.steps, *plan.data.steps) if s.loss == "finish" and session.fact(s).state == "begun"
    )
    return max((step.do.command.timeout for step in running if not isinstance(step.do, Upload)), default=0.0)
