"""One holder of one environment's lock, and the only door through which a run changes anything on its hosts."""

from __future__ import annotations

import asyncio
import secrets as randomness
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from fairlead.errors import FairleadError, Fenced, Halted, NotReady
from fairlead.journal.record import encode, read_record
from fairlead.journal.target import Acquired, Done, FencedBy, Saw, State, Target
from fairlead.model import Command, Entry, Lease, Receipt, RecordLine, Run, Step, StepFact, Upload, step_fact
from fairlead.outside.clock import Clock
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.outside.secrets import Secrets

FRESH_PAUSE = 1.0
"""Seconds between two tries to open a new connection for a step that is about that."""
ONE_LINE = 100_000
"""Characters that several probes, or a probe and its change, may have together. They are sent as one line, and Linux
takes no argument of more than 128 KB; each of them alone is kept well below that."""
ONE_PROGRAM = 125_000
"""The same for one program that is asked about several things: its words are quoted only once."""
STUCK_AFTER = 30.0
"""Seconds that a takeover waits for changes that do not end when told to."""


class Session:
    """Holds the lock of `environment` on `lock_host` for one run, renews it, writes the record, runs fenced changes.

    Every method may raise `Fenced` (somebody took over: stop at once, change nothing more), `Unreachable` or `Lost`.
    """

    def __init__(
        self,
        hosts: Hosts,
        environment: str,
        lock_host: str,
        *,
        who: str,
        clock: Clock,
        secrets: Secrets,
        artifacts: ArtifactStore,
    ) -> None:
        self.hosts, self.environment, self.lock_host, self.who = hosts, environment, lock_host, who
        self.clock, self.secrets, self.artifacts = clock, secrets, artifacts
        self.nonce = randomness.token_hex(8)
        self.lease = Lease()
        self.token, self.run = 0, "-"
        self.fenced: Fenced | None = None
        self.lines: list[RecordLine] = []
        self.receipts: dict[str, tuple[Receipt, ...]] = {}
        self._targets: dict[str, Target] = {}
        self._offsets: dict[str, float] = {}
        self._lease_end = 0.0  # by the lock host's clock
        self._heard: tuple[float, float] = (0.0, 0.0)  # the lock host's now, and our monotonic time then
        self._pen = asyncio.Lock()
        self._pending: list[Entry] = []
        self._intended: set[str] = set()  # steps whose intent is written, and whose change has not begun
        self._renewer: asyncio.Task[None] | None = None
        self._raised = 0  # the token for which the lock host's fence was raised with the claim
        self._claiming = False

    async def target(self, host: str) -> Target:
        """The environment's folder on that account, through its open connection."""
        if host not in self._targets:
            self._targets[host] = Target(await self.hosts.get(host), self.environment)
        return self._targets[host]

    async def read(self, run: str = "") -> State:
        """Lock, fence and, for `run` or else the open run, record and receipts. Claims nothing."""
        state = await (await self.target(self.lock_host)).read(run)
        self.lines = list(read_record(state.record))
        there = [line.entry for line in self.lines]
        self._pending = [entry for entry in self._pending if entry not in there]
        return state

    async def begin(self, plan: bytes, run: str, lease: Lease) -> Acquired:
        """Keep the plan on the lock host, take the lock for a new run and raise its fence there, in one trip."""
        self.lease = lease
        lock = await self.target(self.lock_host)
        held, raised = await lock.begin(plan, self.nonce, lease.ttl, run, self.who)
        self.token, self.run = held.token, held.run
        self._raised = held.token if raised else 0
        self._hear(held.now)
        self._keep_renewing()
        return held

    async def acquire(self, mode: Literal["new", "resume", "anew"], run: str, lease: Lease) -> Acquired:
        """Take the lock: `new` for a run of its own, `resume` for the open one, `anew` to raise our own token."""
        self.lease = lease
        held = await self._claim(mode, run, self.token)
        self._keep_renewing()
        return held

    def _keep_renewing(self) -> None:
        if self._renewer is None:
            self._renewer = asyncio.create_task(self._renew(asyncio.current_task()), name="renew the lease")

    async def _claim(self, mode: Literal["new", "resume", "anew"], run: str, minimum: int) -> Acquired:
        lock = await self.target(self.lock_host)
        self._claiming = True
        try:
            held = await lock.acquire(mode, self.nonce, self.lease.ttl, run, self.who, minimum)
            self.token, self.run = held.token, held.run
        finally:
            self._claiming = False
        self._hear(held.now)
        return held

    async def raise_fences(self, hosts: Iterable[str], patience: float = 0.0) -> None:
        """Make our token the only one that counts on every one of these accounts; the lock host first.

        Raises Halted naming the accounts that could not be reached or whose changes did not end.
        """
        if self._raised != self.token:
            await self._raise(self.lock_host, patience)
        others = [host for host in dict.fromkeys(hosts) if host != self.lock_host]
        answers = await asyncio.gather(*(self._raise(host, patience) for host in others), return_exceptions=True)
        fenced = [answer for answer in answers if isinstance(answer, Fenced)]
        if fenced:
            raise fenced[0]
        failed = {
            host: answer for host, answer in zip(others, answers, strict=True) if isinstance(answer, BaseException)
        }
        if failed:
            raise Halted(
                "; ".join(f"{host}: {error}" for host, error in failed.items()),
                f"nothing was begun; when they answer: `fairlead resume {self.run} -e {self.environment}`",
            )
        await self._compare_clocks({h: now for h, now in zip(others, answers, strict=True) if isinstance(now, int)})

    async def _compare_clocks(self, raised: Mapping[str, int]) -> None:
        """How far the hosts' clocks are before the lock host's, told by their answers alone.

        The lock host is asked last. With our own clock between two answers, an answer that was read late (we were
        stopped, the line was slow) would let changes begin after the lease is over.
        """
        if raised:
            lock = await self.target(self.lock_host)
            now = await lock.renew(self.token, self.run, self.lease.ttl)
            self._hear(now)
            self._offsets |= {host: float(theirs - now) for host, theirs in raised.items()}

    async def _raise(self, host: str, patience: float) -> int:
        """The host's now, once our token is the only one that counts there."""
        target = await self.target(host)
        try:
            raised = await target.raise_fence(self.token, patience, wait=STUCK_AFTER)
        except FencedBy as error:
            higher = error.token
            if higher <= self.token:
                raise
            # A fence above the lock: the lock host lost its memory. Climb above it and raise again.
            await self._claim("anew", self.run, higher)
            await self._raise(self.lock_host, patience)
            raised = await target.raise_fence(self.token, patience, wait=STUCK_AFTER)
        return raised.now

    def late(self, host: str) -> int:
        """The last second, by that host's clock, at which a change of ours may still begin there."""
        return int(self._lease_end + self._offsets.get(host, 0.0) - 1)

    def fact(self, step: Step) -> StepFact:
        """What the record says of a step, outcomes that are not yet written included."""
        pending = [RecordLine(seq=0, token=self.token, entry=entry) for entry in self._pending]
        return step_fact([*self.lines, *pending], step.id)

    def later(self, entry: Entry) -> None:
        """Note an entry that rides along with the next append."""
        self._pending.append(entry.model_copy(update={"at": self.clock.now()}))

    async def append(self, *entries: Entry) -> None:
        """Write what is pending and these entries; returns when the lock host has them on disk.

        While one trip is under way, whoever comes waits, and then all of theirs go together.
        """
        for entry in entries:
            self.later(entry)
        async with self._pen:
            lines, data = self._compose(())
            if data:
                lock = await self.target(self.lock_host)
                self._hear(await lock.append(self.token, self.run, self.lease.ttl, data))
                self._written(lines)

    async def intend(self, steps: Iterable[Step]) -> None:
        """Record, in one trip, that these steps will be done: their changes follow without another word."""
        steps = list(steps)
        await self.append(*(self._intent(step, "do") for step in steps))
        self._intended |= {step.id for step in steps}

    def is_intended(self, step: Step) -> bool:
        """Whether its intent is written and its change has not begun: it stands where it stood then."""
        return step.id in self._intended

    def takes_one_trip(self, step: Step, what: Literal["do", "undo"], *, alone: bool) -> bool:
        """Whether a change of it may share a round trip with its intent: see `change`."""
        elsewhere = what == "do" and (step.fresh or isinstance(step.do, Upload))
        return alone and step.host == self.lock_host and not elsewhere

    def joins_its_probe(self, step: Step, *, alone: bool) -> bool:
        """Whether its change may share that trip with its probe too: see `probe_and_do`."""
        if not self.takes_one_trip(step, "do", alone=alone) or step.probe.stdin is not None:
            return False
        return len(shlex.join((*step.probe.argv, *_command(step, "do").argv))) < ONE_LINE

    async def probe_and_do(self, step: Step) -> Done | Saw:
        """`change` for a step that `joins_its_probe`, in the same trip as its probe: only where that says `before`."""
        return await self._change(step, "do", alone=True, probe=step.probe)

    async def change(self, step: Step, what: Literal["do", "undo"], *, alone: bool) -> Done:
        """Record the intent, then run the step's `do` or `undo` behind the fence of its host.

        `alone`: no other change of this run is going on, so intent and change may share one round trip.
        """
        done = await self._change(step, what, alone=alone)
        assert isinstance(done, Done)  # noqa: S101 - without a probe nothing is seen
        return done

    async def _change(
        self, step: Step, what: Literal["do", "undo"], *, alone: bool, probe: Command | None = None
    ) -> Done | Saw:
        intended = what == "do" and step.id in self._intended
        self._intended.discard(step.id)
        intent = self._intent(step, what, written=intended)
        change_id = f"{self.token}.{step.id}.{intent.attempt}"
        if not intended and self.takes_one_trip(step, what, alone=alone):
            began = self.clock.monotonic()
            done = await self._in_one_trip(step, what, intent, change_id, probe)
            if isinstance(done, Saw):
                return done
        else:
            if not intended:
                await self.append(intent)
            began = self.clock.monotonic()
            done = await self._behind_fence(step, what, change_id)
        done = replace(done, output=self.secrets.redact(done.output))  # a program may say what it was told
        seconds = round(self.clock.monotonic() - began, 3)
        self.later(intent.model_copy(update={"kind": "outcome", "rc": done.rc, "seconds": seconds}))
        return done

    def _intent(self, step: Step, what: Literal["do", "undo"], *, written: bool = False) -> Entry:
        """The next one of a step, or the last one where that is `written`."""
        fact = self.fact(step)
        attempt = fact.attempts + fact.undo_attempts + (not written)
        return Entry(kind="intent", step=step.id, what=what, attempt=attempt)

    async def _behind_fence(self, step: Step, what: Literal["do", "undo"], change_id: str) -> Done:
        if what == "do" and step.fresh:
            return await self._over_new_connection(step, change_id)
        return await self._on(await self.target(step.host), step, what, change_id)

    async def _over_new_connection(self, step: Step, change_id: str) -> Done:
        """Where none succeeds in time, the step has failed: that one succeeds is what it is about."""
        end = self.clock.monotonic() + step.fresh
        while True:
            try:
                async with self.hosts.fresh(step.host) as host:
                    return await self._on(Target(host, self.environment), step, "do", change_id)
            except NotReady as error:
                if self.clock.monotonic() >= end:
                    says = f"no new connection succeeded within {step.fresh:g} s: {error}"
                    return Done(rc=255, output=says, now=0)
            await self.clock.sleep(FRESH_PAUSE)

    async def _on(self, target: Target, step: Step, what: Literal["do", "undo"], change_id: str) -> Done:
        late, beat = self.late(step.host), self.lease.beat
        if what == "do" and isinstance(step.do, Upload):
            source = self.artifacts.path(step.do.artifact)
            return await target.upload(self.token, change_id, late, source, step.do, grace=step.grace, beat=beat)
        command = _command(step, what)
        stdin = await self.secrets.stdin_of(command)
        return await target.run(
            self.token, change_id, late, command, loss=step.loss, grace=step.grace, beat=beat, stdin=stdin
        )

    async def _in_one_trip(
        self, step: Step, what: Literal["do", "undo"], intent: Entry, change_id: str, probe: Command | None
    ) -> Done | Saw:
        """Intent and change together, where the lock host is the host."""
        command = _command(step, what)
        stdin = await self.secrets.stdin_of(command)
        target = await self.target(step.host)
        async with self._pen:
            lines, data = self._compose((intent,))
            began, late = self.lock_now(), self.late(step.host)
            done = await target.step(
                self.run,
                self.lease.ttl,
                data,
                self.token,
                change_id,
                late,
                command,
                loss=step.loss,
                grace=step.grace,
                beat=self.lease.beat,
                stdin=stdin,
                probe=probe,
            )
            if isinstance(done, Saw):
                return done
            self._lease_end = max(self._lease_end, began + self.lease.ttl)  # the trip renewed when it began
            self._written(lines)
            return done

    async def release(self, *, done: bool) -> None:
        """Write what is pending and give the lock back; `done` closes the run, else it stays open for anybody."""
        await self._stop_renewing()
        lock = await self.target(self.lock_host)
        async with self._pen:
            lines, data = self._compose(())
            await lock.release(self.token, self.run, done, ttl=self.lease.ttl, data=data)
            self._written(lines)

    async def recover(self, hosts: Iterable[str], patience: float = 0.0) -> None:
        """After a lost connection in mid-change: take a higher token, so that the first one cannot go on, and read."""
        self._targets.clear()
        await self.acquire("anew", self.run, self.lease)
        await self.raise_fences(hosts, patience)
        await self.read()
        self._pending.clear()
        self._intended.clear()
        await self.append(Entry(kind="taken", who=self.who, says="after a lost connection"))

    async def close(self) -> None:
        """Stop renewing; the lease runs out by itself unless `release` was called."""
        await self._stop_renewing()

    def _compose(self, entries: Iterable[Entry]) -> tuple[list[RecordLine], bytes]:
        now = self.clock.now()
        waiting = [*self._pending, *(entry.model_copy(update={"at": now}) for entry in entries)]
        first = self.lines[-1].seq + 1 if self.lines else 1
        lines = [RecordLine(seq=first + i, token=self.token, entry=entry) for i, entry in enumerate(waiting)]
        return lines, b"".join(encode(line.entry, line.seq, line.token) for line in lines)

    def _written(self, lines: list[RecordLine]) -> None:
        self.lines += lines
        written = {id(line.entry) for line in lines}
        self._pending = [entry for entry in self._pending if id(entry) not in written]

    def _hear(self, lock_now: float) -> None:
        self._heard = (lock_now, self.clock.monotonic())
        self._lease_end = lock_now + self.lease.ttl

    def lock_now(self) -> float:
        """Unix time by the lock host's clock, as far as we know it."""
        return self._heard[0] + self.clock.monotonic() - self._heard[1]

    async def _renew(self, holder: asyncio.Task[object] | None) -> None:
        """Renew every third of the lease. Fenced: cancel the holder, who then changes nothing more."""
        while True:
            await asyncio.sleep(self.lease.ttl / 3)
            token = self.token
            try:
                lock = await self.target(self.lock_host)
                self._hear(await lock.renew(token, self.run, self.lease.ttl))
            except Fenced as error:
                if self._claiming or token != self.token:
                    continue  # the higher token may be our own; if it is not, the claim itself is refused
                self.fenced = error
                if holder is not None:
                    holder.cancel("somebody took over")
                return
            except FairleadError:
                continue  # the lease says how long this may go on; the hosts refuse changes after it

    async def _stop_renewing(self) -> None:
        if self._renewer is not None:
            self._renewer.cancel()
            await asyncio.wait([self._renewer])
            self._renewer = None


def _command(step: Step, what: Literal["do", "undo"]) -> Command:
    """The command of a step that is not an upload, one way or the other."""
    command = step.do.command if what == "do" and isinstance(step.do, Run) else step.undo
    if command is None:
        raise Halted(f"{step.title} cannot be undone by a command")
    return command
