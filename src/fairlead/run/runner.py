"""Executes a plan inside a session: every step by the table, the checks between, and the way back."""

from __future__ import annotations

import asyncio
import itertools
import json
import shlex
import textwrap
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

from fairlead.engines.damage import names_damage
from fairlead.errors import FairleadError, Halted, Lost, Unreachable
from fairlead.journal.target import Done, Saw, TooLate
from fairlead.model import (
    Check,
    Entry,
    Event,
    Finding,
    Ledger,
    Plan,
    Result,
    ServiceChange,
    Step,
    TakeBack,
    Where,
    as_where,
    blockers,
    side_by_side,
    together,
    why_not,
)
from fairlead.outside.clock import Clock
from fairlead.run.session import ONE_LINE, ONE_PROGRAM, Session
from fairlead.run.table import Move, move

DataWish = Literal["", "all", "migrated", "none"]
"""What a person says of data on a way back; empty = what the plan says."""
RunChecks = Callable[[Iterable[Check]], Awaitable[list[Finding]]]
Listen = Callable[[Event], None]

PROOF_PATIENCE = 20.0
"""Seconds that a service may take after its switch until its checks are ok."""
PROOF_PAUSE = 0.25
"""Seconds between two looks while waiting for that."""
DEEP_LIMIT = 60.0
"""Seconds that databases have to be read to their end on a way back; what takes longer is not known."""
HEAVY = 4
"""Databases that are dumped or restored at once from one account. On two processors eight cost their servers a fifth
more than four, for nothing."""
RECOVERIES = 3
"""How often a run climbs over a lost connection before it asks for a human."""


class WayBack(Exception):
    """Raised inside a run to turn round; `why` is one sentence."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


Written = Callable[[Mapping[str, Sequence[str]]], Awaitable[list[Ledger]]]


async def nobody_knows(labels: Mapping[str, Sequence[str]]) -> list[Ledger]:
    """Where databases cannot be asked what was written to them since their backups."""
    raise Halted(
        f"nobody can say what was written to {', '.join(labels)}", "look at it, then `fairlead rollback --data`"
    )


Deep = Callable[[Iterable[str]], Awaitable[list[Finding]]]


async def nobody_reads(names: Iterable[str]) -> list[Finding]:
    """Where databases cannot be read to their end."""
    del names
    return []


@dataclass
class Stop:
    """A request to end the run, such as Ctrl-C: the step in hand is finished first."""

    why: str = ""
    again: bool = False
    """Asked a second time: do not go back, leave the run open."""

    def ask(self, why: str) -> None:
        """Ask to stop; asking twice means: at once, after the step in hand."""
        self.again = bool(self.why)
        self.why = self.why or why

    def answered(self) -> None:
        """What was asked has been done; a new request counts again."""
        self.why, self.again = "", False


@dataclass
class Runner:
    """One run of one plan."""

    plan: Plan
    session: Session
    checks: RunChecks
    clock: Clock
    listen: Listen
    expected: Callable[[Step], float | None] = lambda step: None
    stop: Stop = field(default_factory=Stop)
    written: Written = nobody_knows
    """What was written to databases since the first of the backups with these labels that counts."""
    deep: Deep = nobody_reads
    """Reads every table of databases of these names to its end; as long as a backup takes."""
    lost: Callable[[], str] = lambda: ""
    """Why the run must not go on, as a sentence, such as a database that is gone; "" = it may."""
    _turning: bool = False
    _turns: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _doubts: dict[str, str] = field(default_factory=dict)
    """By step: why its last probe could not tell, where it has said so."""
    _proof: dict[str, list[Finding]] = field(default_factory=dict)

    # -- forward

    async def stage(self) -> None:
        """Everything that changes nothing live: steps of different services in parallel. Raises WayBack or Halted."""
        self._phase("staging", "nothing live is changed")
        await self._climbing(self._stage)

    async def _stage(self) -> None:
        await self._look_ahead(self._steps("stage"))
        await _all_or_first_error(self._lane(lane) for lane in _lanes(self._steps("stage")))
        await self._must_be_ok(self.plan.staged, "after staging", patience=0)

    async def _look_ahead(self, steps: list[Step]) -> None:
        """Ask where steps stand that were never begun, a host in one trip, and record all that will be done in one.

        What stands `before` stays there until it is done here: nobody else changes anything behind this fence.
        """
        self._heed_stop()
        new = [step for step in steps if self.session.fact(step).state == "none"]
        groups: dict[object, list[Step]] = {}
        for step in (step for step in new if step.probe.stdin is None or step.probe.several):
            program = (step.probe.argv[:-1], step.probe.stdin) if step.probe.several else ()
            groups.setdefault((step.host, program), []).append(step)
        seen = await asyncio.gather(*(self._probes(several) for several in groups.values()))
        await self.session.intend(step for step in new if any(one.get(step.id) == "before" for one in seen))

    async def _probes(self, steps: list[Step]) -> dict[str, Where]:
        """Where these steps on one account stand, by step: all of one program, or of programs that take no secrets."""
        one_program, probes = steps[0].probe.several, [step.probe for step in steps]
        if one_program and len(steps) == 1:
            return {steps[0].id: await self.probe(steps[0])}
        command = side_by_side(probes) if one_program else together(probes)
        if len(shlex.join(command.argv)) > (ONE_PROGRAM if one_program else ONE_LINE):
            half = len(steps) // 2
            if not half:
                return {}  # it is asked alone, when its turn comes
            return {**await self._probes(steps[:half]), **await self._probes(steps[half:])}
        result = await (await self.session.hosts.get(steps[0].host)).run(command)
        words = dict(line.split(" ", 1) for line in result.stdout.splitlines() if " " in line)
        return {step.id: as_where(words.get(str(number), "")) for number, step in enumerate(steps, 1)}

    async def _lane(self, steps: Iterable[Step]) -> None:
        for step in steps:
            async with self._turn(step):
                if self._turning:
                    return
                try:
                    await self.forward(step, alone=False)
                except BaseException:
                    self._turning = True
                    raise

    def _turn(self, step: Step) -> AbstractAsyncContextManager[object]:
        """To be held while it is done: heavy ones wait for each other."""
        return self._turns.setdefault(step.host, asyncio.Semaphore(HEAVY)) if step.heavy else nullcontext()

    async def activate(self) -> list[Finding]:
        """Switch service after service, strictly in order; each is proven before the next is touched.

        Returns the proof.
        """
        self._phase("activating", ", ".join(change.service for change in self.plan.services))
        self._proof = {}
        await self._climbing(self._activate)
        return [finding for findings in self._proof.values() for finding in findings]

    async def _activate(self) -> None:
        steps = self._steps("activate")
        last = {step.service: step for step in steps}
        for group in _turns(steps):
            await _all_or_first_error(self.forward(step, alone=len(group) == 1) for step in group)
            for step in group:
                if step is last[step.service]:
                    checks = self.plan.proven.get(step.service, ())
                    found = await self._must_be_ok(checks, f"{step.service} after its switch", patience=PROOF_PATIENCE)
                    self._proof[step.service] = found

    async def tidy(self) -> None:
        """After the watch: delete what nobody needs. A failure here is a warning, the new release stands."""
        await self._tidy(step.id for step in self._steps("close"))

    async def _tidy(self, names: Iterable[str]) -> None:
        wanted = set(names)
        for step in (step for step in self._steps("close") if step.id in wanted):
            try:
                await self.forward(step, alone=True)
            except (WayBack, Halted) as error:
                self._event("warning", str(error), step=step.id)

    async def forward(self, step: Step, *, alone: bool) -> None:
        """Lead one step to `after`, from wherever it stands."""
        self._heed_stop()
        for _ in range(2 * RECOVERIES):
            done, sees = await self._try(step, alone=alone)
            if done is not None and done.rc != 0:
                raise WayBack(f"{step.title} failed: {_said(done)}")
            if done is not None:
                return
            chosen = move(self.session.fact(step), sees, "forward")
            if chosen in ("next", "found", "seen"):
                self._settle(step, chosen)
                return
            if chosen == "back" and sees == "cannot_tell":
                raise WayBack(self._stands(step, sees))
            if chosen == "back":
                raise WayBack(f"{step.title} failed")
            if chosen == "halt":
                raise Halted(self._stands(step, sees))
            if chosen == "undo_then_do":
                await self._change(step, "undo", alone=alone)
        raise WayBack(f"{step.title} did not succeed in several attempts")

    async def _try(self, step: Step, *, alone: bool) -> tuple[Done | None, Where]:
        """Look where the step stands, and do it where the table says so: what came of it, and what was seen."""
        if self.session.is_intended(step):
            return await self._change(step, "do", alone=alone), "before"
        fact = self.session.fact(step)
        if self.session.joins_its_probe(step, alone=alone) and move(fact, "before", "forward") == "do":
            done = await self._probe_and_do(step)
            if isinstance(done, Done):
                return done, "before"
            if done.where != "cannot_tell":  # which has no reason with it, so it is asked for
                return None, done.where
        sees = await self.probe(step)
        if move(fact, sees, "forward") != "do":
            return None, sees
        return await self._change(step, "do", alone=alone), sees

    def _settle(self, step: Step, chosen: Move) -> None:
        if chosen in ("found", "seen"):
            self.session.later(Entry(kind="outcome", step=step.id, what=chosen, probe="after"))
            self._event("step_ended", f"{step.title}: already there", step=step.id, service=step.service, ok=True)

    # -- back

    async def back(self, why: str, data: DataWish = "") -> list[Finding]:
        """Undo in reverse what this run has done, and prove that the old state stands. Returns the proof.

        Databases go back first, while nobody writes: which ones is decided once, by the plan or by a person (`data`).
        Raises Halted where that cannot be done or cannot be proven.
        """
        self.stop.answered()  # what was asked before this point has been answered by turning round
        self._turning = False
        lost, self.lost = bool(self.lost()), lambda: ""
        why = await self._looked_into(why)
        taken = await self._to_take_back(why, data, lost=lost)
        self._event("back", f"going back: {why}")
        await self._ask_first(taken, data)
        await self._climbing(lambda: self._take_data_back(taken))
        await self._climbing(self._undo)
        await self._climbing(self._let_write)
        proof = await self._prove_old_state()
        await self._tidy(one.clear for one in self.plan.data.databases if one not in taken)
        return proof

    async def _looked_into(self, why: str) -> str:
        """An error that names damage makes every database in question be read to its end: what is said then is added.

        What is damaged is offered to be restored, by a person: which data goes back by itself stays the plan's word.
        """
        if not names_damage(why) or any(line.entry.kind == "back" for line in self.session.lines):
            return why
        found = await self._read_deeply()
        if hurt := [one for one in found if one.evidence.get("damaged")]:
            return f"{why}; {_damage(hurt)}"
        doubt = [one.subject for one in found if one.blocks]
        says = f"whether {', '.join(doubt)} is damaged is not known" if doubt else "yet every table can be read"
        return f"{why}; {says}" if found else why

    async def _read_deeply(self) -> list[Finding]:
        """What is said of the databases that the plan's services use; what is not known within the limit is unknown."""
        names = tuple(self.plan.backups) or tuple(one.subject for one in self.plan.guards)
        if not names:
            return []
        self._phase("reading every table", ", ".join(names))
        try:
            async with asyncio.timeout(DEEP_LIMIT):
                return await self.deep(names)
        except (FairleadError, TimeoutError) as error:
            says = getattr(error, "what", f"not read within {DEEP_LIMIT:.0f} s")
            return [Finding(check="tables", subject=name, status="unknown", says=says) for name in names]

    async def _to_take_back(self, why: str, data: DataWish, *, lost: bool) -> list[TakeBack]:
        """The databases that the record says; the first time, or where a person decides anew, it is written there."""
        said = [line.entry for line in self.session.lines if line.entry.kind == "back"]
        names = said[-1].data if said else ()
        if not said or data:
            swapped = (one for one in self.plan.data.databases if self.session.fact(one.swap).state == "done")
            chosen = dict.fromkeys([*(one.database for one in swapped), *self._wished(data, lost=lost)])
            names = tuple(chosen)
            await self.session.append(Entry(kind="back", says=why, who=self.session.who, data=names))
        return [one for one in self.plan.data.databases if one.database in names]

    def _wished(self, data: DataWish, *, lost: bool) -> list[str]:
        """By default what its policy says; nothing where nothing was begun that could have changed it.

        That a database was `lost` says nothing against the data of any: only what was migrated must fit its code again.
        """
        says = {
            one.database: "migrated" if lost and one.data == "all" else one.data for one in self.plan.data.databases
        }
        begun = {step.id for step in self.plan.steps if self._may_have_changed(step)}
        changing = {step for step in begun if step.endswith((".switch", ".migrate"))}
        return [
            one.database
            for one in self.plan.data.databases
            if {"none": False, "migrated": bool(begun & set(one.migrations)), "all": bool(changing)}[
                data or says[one.database]
            ]
        ]

    def _may_have_changed(self, step: Step) -> bool:
        return self.session.fact(step).state not in ("none", "found", "undone")

    async def _ask_first(self, taken: list[TakeBack], data: DataWish) -> None:
        """Raise Halted where something was written that a person must decide about."""
        asks = [one.database for one in taken if one.on_new_rows == "stop_and_ask" and not self._swapping(one)]
        if not asks or data:
            return
        labels = {name: self.plan.backups[name] for name in asks}
        new = [ledger for ledger in await self.written(labels) if ledger.written]
        if new:
            told = "; ".join(f"{one.database}: {', '.join(table.table for table in one.written)}" for one in new)
            raise Halted(
                f"something was written since the backup: {told}; nothing was taken back",
                f"`fairlead rollback -e {self.plan.environment} --data migrated` takes the data back all the same and "
                "keeps what was written beside it, `--data none` leaves data as it is",
            )

    def _swapping(self, one: TakeBack) -> bool:
        return self.session.fact(one.swap).state != "none"

    async def _take_data_back(self, taken: list[TakeBack]) -> None:
        """Restore beside, end first releases, keep writers still, swap: each for all databases at once."""
        if not taken:
            return
        writers = {name for one in taken for name in one.writers}
        fences = [step for step in self.plan.data.enter if step.service in writers]
        self._phase("taking data back", ", ".join(one.database for one in taken))
        try:
            await self._at_once([one.shadow for one in taken])
            for step in self.plan.way_back:
                if step.id in self.plan.data.ends:
                    await self.backward(step, alone=True)
            await self._at_once(fences)
            await self._at_once([one.swap for one in taken])
        except WayBack as error:
            raise Halted(f"data could not be taken back: {error.why}", self._data_hint()) from error

    async def _at_once(self, steps: list[Step]) -> None:
        await self._look_ahead(steps)
        await _all_or_first_error(self._lane([step]) for step in steps)

    def _data_hint(self) -> str:
        here = f"-e {self.plan.environment}"
        return (
            f"repair that, then `fairlead resume {here}`; `fairlead rollback {here} --data none` leaves data as it is"
        )

    async def _let_write(self) -> None:
        """Lift what kept services from writing; where a switch taken back has done that already, it is found so."""
        entered = {step.service for step in self.plan.data.enter if self.session.fact(step).state != "none"}
        for step in self.plan.data.leave:
            if step.service in entered:
                await self.forward(step, alone=True)

    async def _undo(self) -> None:
        steps = self.plan.way_back
        for step in (step for step in steps if step.phase == "activate"):
            await self.backward(step, alone=True)
        staged = [step for step in steps if step.phase == "stage"]
        await _all_or_first_error(self._lane_back(lane) for lane in _lanes(staged))

    async def _lane_back(self, steps: list[Step]) -> None:
        for step in steps:
            await self.backward(step, alone=False)

    async def backward(self, step: Step, *, alone: bool) -> None:
        """Lead one step to `before`, if it is ours."""
        if self.stop.why:
            raise Halted(f"{self.stop.why} on the way back, before `{step.title}`", self._resume_hint())
        last, tried = "", 0
        for _ in range(2 * RECOVERIES):
            fact = self.session.fact(step)
            if step.back == "by_data" and fact.state not in ("none", "undone", "found"):
                self._leave(step)
                return
            sees = await self.probe(step)
            # Attempts before this one count no more: whoever asks again may have repaired what was in the way.
            chosen = move(fact.model_copy(update={"undo_attempts": tried}), sees, "back")
            if chosen == "next":
                return
            if chosen == "undone":
                self.session.later(Entry(kind="outcome", step=step.id, what="undone", probe="before"))
                return
            if chosen == "halt":
                raise Halted(self._stands(step, sees) + last, self._repair_hint(step) if last else "")
            done = await self._change(step, "undo", alone=alone)
            last, tried = f"; undoing it: {_said(done)}" if done.rc else "", tried + 1
        raise Halted(f"{step.title} could not be taken back in several attempts{last}", self._repair_hint(step))

    def _leave(self, step: Step) -> None:
        """A step that only goes back with its data: say whether that went back."""
        names = next((line.entry.data for line in reversed(self.session.lines) if line.entry.kind == "back"), ())
        ours = [one.database for one in self.plan.data.databases if step.id in one.migrations]
        says = "data is left as it is"
        if ours and set(ours) <= set(names):
            says = f"taken back with the data of {', '.join(ours)}"
        else:
            self._event("warning", f"{step.title}: {says}", step=step.id, service=step.service)
        self.session.later(Entry(kind="outcome", step=step.id, what="left", says=says))

    async def _prove_old_state(self) -> list[Finding]:
        self._phase("proving the old state", "")
        sick = {name for line in self.session.lines for name in line.entry.sick}
        checks = [
            c for name, several in self.plan.standing.items() for c in several if name not in sick or c.kind != "http"
        ]
        findings = await self._settled(checks, PROOF_PATIENCE)
        if blockers(findings):
            what = f"everything was taken back, but the old state is not proven: {why_not(findings)}"
            hurt = [one for one in await self._read_deeply() if one.evidence.get("damaged")]
            raise Halted(f"{what}; {_damage(hurt)}" if hurt else what)
        return findings

    # -- both

    async def what_is_live(self) -> list[str]:
        """One sentence a service: which release it has now, as far as its host can be asked."""
        switches = {step.service: step for step in self._steps("activate") if step.id == f"{step.service}.switch"}
        changes = [change for change in self.plan.services if change.service in switches]
        seen = await asyncio.gather(*(self._seen(switches[change.service]) for change in changes))
        return [_live(change, where) for change, where in zip(changes, seen, strict=True)]

    async def _seen(self, step: Step) -> Where:
        try:
            async with asyncio.timeout(10.0):
                return await self.probe(step)
        except (FairleadError, TimeoutError):
            return "cannot_tell"

    async def probe(self, step: Step) -> Where:
        """Ask where the step stands; an answer that is not one of the four words is `cannot_tell`."""
        host = await self.session.hosts.get(step.host)
        result = await host.run(step.probe)
        where = as_where(result.stdout) if result.ok else "cannot_tell"
        self._doubts[step.id] = self.session.secrets.redact(_doubt(result)) if where == "cannot_tell" else ""
        return where

    async def _change(self, step: Step, what: Literal["do", "undo"], *, alone: bool) -> Done:
        """One change with its events."""
        started = self._begins(step, what)
        done = await self.session.change(step, what, alone=alone)
        self._ends(step, what, done, started)
        return done

    async def _probe_and_do(self, step: Step) -> Done | Saw:
        """One change with its events, together with its probe."""
        started = self._begins(step, "do")
        done = await self.session.probe_and_do(step)
        if isinstance(done, Done):
            self._ends(step, "do", done, started)
        return done

    def _begins(self, step: Step, what: Literal["do", "undo"]) -> float:
        expected = self.expected(step) if what == "do" else None
        self._event("step_started", _verb(step, what), step=step.id, service=step.service, expected=expected)
        return self.clock.monotonic()

    def _ends(self, step: Step, what: Literal["do", "undo"], done: Done, started: float) -> None:
        seconds, verb = self.clock.monotonic() - started, _verb(step, what)
        says = verb if done.rc == 0 else f"{verb}: {_said(done)}"
        self._event("step_ended", says, step=step.id, service=step.service, ok=done.rc == 0, seconds=seconds)
        _, note, quoted = _parts(done)
        if note and (quoted or done.rc == 0):
            self._event("warning", f"{note}:\n{quoted}" if quoted else note, step=step.id, service=step.service)

    async def _climbing(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work; when a connection was lost in the middle, take a higher token and go through it again.

        Never simply send a change again: the first one may still be running. With the higher token the host ends it,
        and the table decides from what its probe sees.
        """
        for _ in range(RECOVERIES):
            try:
                return await work()
            except (Lost, TooLate, Unreachable) as error:
                self._event("warning", f"{error}; taking over from ourselves")
                await self._recover(error)
        raise Halted("the connection was lost too often", self._resume_hint())

    async def _recover(self, error: Exception) -> None:
        self._turning = False
        try:
            await self.session.recover(self.plan.hosts)
        except (Lost, Unreachable) as again:
            raise Halted(f"{error}; then {again}", self._resume_hint()) from error

    def _repair_hint(self, step: Step) -> str:
        return f"repair that on {step.host}, then `fairlead resume -e {self.plan.environment}`"

    def _resume_hint(self) -> str:
        return f"when the hosts answer again: `fairlead resume -e {self.plan.environment}`"

    async def _must_be_ok(self, checks: Iterable[Check], when: str, patience: float) -> list[Finding]:
        findings = await self._settled(list(checks), patience)
        for finding in findings:
            self._event("check", f"{finding.subject}: {finding.says}", service=finding.subject, ok=not finding.blocks)
        if blockers(findings):
            raise WayBack(f"{when}: {why_not(findings)}")
        return findings

    async def _settled(self, checks: list[Check], patience: float) -> list[Finding]:
        """Look until all is ok or patience is over; only what was not ok is asked again."""
        end = self.clock.monotonic() + patience
        findings = dict(enumerate(await self.checks(checks)))
        while bad := [number for number, finding in findings.items() if finding.blocks]:
            if self.clock.monotonic() >= end:
                break
            await self.clock.sleep(PROOF_PAUSE)
            again = await self.checks([checks[number] for number in bad])
            findings.update(zip(bad, again, strict=True))
        return list(findings.values())

    def _heed_stop(self) -> None:
        if self.stop.again:
            raise Halted(f"{self.stop.why} twice", "go on with `fairlead resume`, or back with `fairlead rollback`")
        if self.stop.why:
            raise WayBack(self.stop.why)
        self.heed_loss()

    def heed_loss(self) -> None:
        """Where something is lost that the run needs, raise WayBack or Halted, as the plan says."""
        why = self.lost()
        if why and self.plan.watch_rules.lost_database == "halt":
            raise Halted(f"{why}; nothing more is changed", self._resume_hint())
        if why:
            raise WayBack(why)

    def _steps(self, phase: str) -> list[Step]:
        return [step for step in self.plan.steps if step.phase == phase]

    def _stands(self, step: Step, sees: Where) -> str:
        state, doubt = self.session.fact(step).state, self._doubts.get(step.id, "")
        return f"{step.title}: the record says `{state}`, the host says `{sees}`" + (f": {doubt}" if doubt else "")

    def _phase(self, name: str, says: str) -> None:
        self._event("phase", f"{name}: {says}" if says else name)

    def _event(self, kind: str, says: str, **more: object) -> None:
        self.listen(Event.model_validate({"at": self.clock.now(), "kind": kind, "says": says, **more}))


def _damage(hurt: Iterable[Finding]) -> str:
    """Damaged databases, and the restore that is offered for each."""
    return "; ".join(f"the database {one.subject}: {one.says}; it can be restored: `{one.hint}`" for one in hurt)


def _verb(step: Step, what: Literal["do", "undo"]) -> str:
    return step.title if what == "do" else f"undo {step.title}"


def _live(change: ServiceChange, where: Where) -> str:
    told = {
        "before": change.before or "nothing, as before",
        "after": f"{change.leads_to} (new)",
        "between": f"something between {change.before or 'nothing'} and {change.leads_to}",
        "cannot_tell": "cannot be told",
    }
    return f"live: {change.service} on {change.host}: {told[where]}"


def _parts(done: Done) -> tuple[str, str, str]:
    """What a change said: programs' own words, a sentence of ours behind `fairlead: `, and what that quotes."""
    own, _, ours = f"\n{done.output}".partition("\nfairlead: ")
    note, _, quoted = ours.partition("\n")
    return own, note, textwrap.indent(quoted.strip("\n"), "    ")


def _doubt(result: Result) -> str:
    """What a probe has said before its last word, in one line; where it failed, its last words."""
    return " ".join(result.stdout.split()[:-1])[-300:] if result.ok else result.last_words


def _said(done: Done) -> str:
    own, note, _ = _parts(done)
    own = _answer(own) or " ".join(own.split())[-300:]
    words = "; ".join(part for part in (own, note) if part)
    code = f"exit code {done.rc}" + f" (signal {done.rc - 128})" * (done.rc > 128)
    return f"{code}: {words}" if words else f"{code}, no output"


def _answer(own: str) -> str:
    """Sentence and hint, where the last that a program said is an answer of an engine; else nothing."""
    last = own.strip().rpartition("\n")[2]
    try:
        told = json.loads(last)
    except ValueError:
        return ""
    if not isinstance(told, dict) or not isinstance(told.get("says"), str):
        return ""
    return "; ".join(part for part in (told["says"], told.get("hint")) if part)


def _turns(steps: Iterable[Step]) -> list[list[Step]]:
    """Steps one by one, but swaps of databases that follow each other at once, as a way back does them too."""
    swaps = itertools.groupby(steps, lambda step: step.id.endswith((".swap", ".unswap")))
    return [turn for swap, several in swaps for turn in ([[*several]] if swap else [[step] for step in several])]


def _lanes(steps: Iterable[Step]) -> list[list[Step]]:
    """Steps of one service, or of one database, in their order; services and databases beside each other."""
    lanes: dict[str, list[Step]] = {}
    for step in steps:
        lanes.setdefault(step.service or step.id.partition(".")[0], []).append(step)
    return list(lanes.values())


async def _all_or_first_error(lanes: Iterable[Awaitable[None]]) -> None:
    """Run lanes together. When one turns round the others finish the step in hand, then the first error is raised."""
    answers = await asyncio.gather(*lanes, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    halts = [error for error in errors if not isinstance(error, WayBack)]
    for error in (*halts, *errors):
        raise error
