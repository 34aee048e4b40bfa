"""The life of a run: what becomes of lock, record and ground when it ends well, comes back, halts or must not start."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from fairlead.errors import FairleadError, Fenced, Halted, Moved, NotReady, OpenRun, Unreachable
from fairlead.journal.target import HeldBy
from fairlead.model import Check, Deployment, Finding, Plan
from fairlead.run import operate
from support.small import HERE, THERE, OnceLost, Site, accounts, site, small, stands

FAILS = 'mkdir -p ground; echo do >>"ground/$1.log"; exit 7'


async def deploy(here: Site, *, replanned: Plan | Exception | None = None, watch: bool = False) -> Deployment:
    async def replan() -> Plan:
        if isinstance(replanned, Exception):
            raise replanned
        return replanned or here.plan

    return await operate.deploy(here.plan, here.context(), reason="why", watch=watch, replan=replan)


async def resume(here: Site, *, available: bool = True) -> Deployment | None:
    async def have(plan: Plan, missing: list[str]) -> bool:
        return available

    return await operate.resume("t", HERE, here.context(), watch=False, available=have)


def stage_and_two(**of_b: object) -> list[object]:
    return [small("up", phase="stage"), small("a"), small("b", **of_b)]


def lock_is(here: Site, state: str, *, run: bool) -> None:
    assert here.lock()[2] == state
    assert (here.lock()[4] != "-") is run


async def test_a_run_that_ends_well(tmp_path: Path) -> None:
    async with site(tmp_path, [*stage_and_two(), small("c", host=THERE)]) as here:
        assert (await deploy(here)).state == "done"
        assert [here.ran(name) for name in ("up", "a", "b")] == ["do", "do", "do"]
        assert here.ran("c", THERE) == "do"
        lock_is(here, "free", run=False)
        kinds = [line.split('"kind":"')[1].split('"')[0] for line in here.record().splitlines()]
        assert (kinds[0], kinds[-1]) == ("run", "end")
        assert here.plan.way_back_hash in here.record().splitlines()[0], "the way back stands before the first change"
        assert (here.home() / ".fairlead/t/plans" / here.plan.hash).read_text() == here.plan.to_json()


async def test_a_run_that_comes_back(tmp_path: Path) -> None:
    async with site(tmp_path, stage_and_two(do=FAILS)) as here:
        done = await deploy(here)
        assert (done.state, here.ran("up"), here.ran("a")) == ("back", "do undo", "do undo")
        assert "step b failed" in done.why_back
        lock_is(here, "free", run=False)


async def test_a_run_comes_back_that_cannot_tell_where_a_step_stands_before_it_is_begun(tmp_path: Path) -> None:
    """Nothing of it is anybody's to take back, so nobody is kept waiting for a human."""
    async with site(tmp_path, stage_and_two(probe="echo no such login >&2; exit 1")) as here:
        done = await deploy(here)
        assert (done.state, here.ran("a"), here.ran("b")) == ("back", "do undo", "")
        assert done.why_back == "step b: the record says `none`, the host says `cannot_tell`: no such login"
        lock_is(here, "free", run=False)


async def test_a_run_that_halts_stays_open_and_gives_the_lock_back(tmp_path: Path) -> None:
    async with site(tmp_path, stage_and_two(probe="echo between")) as here:
        with pytest.raises(Halted, match="step b: the record says `none`, the host says `between`") as halt:
            await deploy(here)
        assert halt.value.exit_code == 4
        assert (here.ran("a"), here.ran("b")) == ("do", "")
        lock_is(here, "free", run=True)
        assert "halted: step b" in here.record()
        with pytest.raises(OpenRun):
            await deploy(here)


async def test_a_halted_run_goes_on_when_its_reason_is_gone(tmp_path: Path) -> None:
    probe = (
        '[ -e repaired ] || { echo between; exit; }; if [ -e "ground/$1" ]; then cat "ground/$1"; else echo before; fi'
    )
    async with site(tmp_path, stage_and_two(probe=probe)) as here:
        with pytest.raises(Halted):
            await deploy(here)
        (here.home() / "repaired").touch()
        done = await resume(here)
        assert done is not None
        assert (done.state, here.ran("a"), here.ran("b")) == ("done", "do", "do")
        lock_is(here, "free", run=False)


async def test_a_halted_run_is_taken_back(tmp_path: Path) -> None:
    async with site(tmp_path, stage_and_two()) as here:
        here.set("b", "between")
        with pytest.raises(Halted):
            await deploy(here)
        here.set("b", "before")
        done = await operate.go_back("t", HERE, here.context(), reason="we want it back")
        assert done is not None
        assert (done.state, here.ran("up"), here.ran("a"), here.ran("b")) == ("back", "do undo", "do undo", "")


async def test_what_was_on_its_way_back_never_goes_forward_again(tmp_path: Path) -> None:
    undo = '[ -e repaired ] || exit 1; echo undo >>"ground/$1.log"; rm -f "ground/$1"'
    steps = [small("up", phase="stage"), small("a", undo=undo), small("b", do=FAILS)]
    async with site(tmp_path, steps) as here:
        with pytest.raises(Halted, match=r"begun_undo.*; undoing it: exit code 1, no output") as halt:
            await deploy(here)
        assert halt.value.hint.startswith("repair that on here, then `fairlead resume -e t`")
        (here.home() / "repaired").touch()
        done = await resume(here)
        assert done is not None
        assert (done.state, here.ran("b"), here.ran("up")) == ("back", "do", "do undo")


async def test_a_run_is_ended_by_hand_and_everything_stays(tmp_path: Path) -> None:
    async with site(tmp_path, stage_and_two(probe="echo between")) as here:
        with pytest.raises(Halted):
            await deploy(here)
        done = await operate.close("t", HERE, here.context(), reason="repaired by hand")
        assert done is not None
        assert (done.state, here.ground("a")) == ("closed", "after")
        lock_is(here, "free", run=False)
        assert await operate.close("t", HERE, here.context(), reason="again") is None


@pytest.mark.parametrize("verb", ["resume", "go_back", "close"])
async def test_where_nothing_is_open_nothing_is_done(tmp_path: Path, verb: str) -> None:
    async with site(tmp_path, [small("a")]) as here:
        if verb == "resume":
            assert await resume(here) is None
        else:
            assert await getattr(operate, verb)("t", HERE, here.context(), reason="x") is None
        assert not (here.home() / ".fairlead/t").exists(), "a look has claimed something"


AT_ONCE: dict[str, tuple[float, float | None, bool]] = {
    "nobody was ever there": (1.0, None, False),
    "the last run was long before": (1.0, 100.0, False),
    "the plan is too old": (operate.YOUNG + 1, None, True),
    "another run was there since": (5.0, 3.0, True),
    "another run may have been there since": (5.0, 5.0, True),
}
"""How many seconds ago the plan's first look was, how long nobody has held the lock, and whether it is made again."""


@pytest.mark.parametrize(("ago", "idle", "again"), AT_ONCE.values(), ids=AT_ONCE)
async def test_a_plan_made_a_moment_ago_is_not_made_again(
    tmp_path: Path, ago: float, idle: float | None, again: bool
) -> None:
    async with site(tmp_path, [small("a")]) as here:
        made: list[int] = []

        async def replan() -> Plan:
            made.append(1)
            return here.plan

        if idle is not None:
            async with here.held("r0") as (session, _):
                await session.release(done=True)
            at = time.time() - idle
            os.utime(here.home() / ".fairlead/t/lock", (at, at))
        looked = here.clock.monotonic() - ago
        context = here.context()
        done = await operate.deploy(here.plan, context, reason="", watch=False, replan=replan, looked=looked)
        assert (done.state, bool(made)) == ("done", again)


async def test_ground_that_moved_between_plan_and_lock(tmp_path: Path) -> None:
    async with site(tmp_path, [small("a")]) as here:
        moved = here.plan.model_copy(update={"remarks": ("something else",)})
        with pytest.raises(Moved):
            await deploy(here, replanned=moved)
        assert here.ran("a") == ""
        lock_is(here, "free", run=False)
        assert (await deploy(here)).state == "done", "and a plan that fits may follow at once"


@pytest.mark.parametrize(
    "error", [NotReady("the build fails now"), Unreachable("there is silent")], ids=["build", "host"]
)
async def test_a_plan_that_cannot_be_made_again_leaves_nothing_open(tmp_path: Path, error: FairleadError) -> None:
    async with site(tmp_path, [small("a")]) as here:
        with pytest.raises(type(error)):
            await deploy(here, replanned=error)
        assert here.ran("a") == ""
        lock_is(here, "free", run=False)


async def test_a_second_operator_is_refused_and_the_first_keeps_the_lock(tmp_path: Path) -> None:
    async with site(tmp_path, [small("a")]) as here, here.held("first") as (session, _):
        with pytest.raises(HeldBy) as busy:
            await deploy(here)
        assert busy.value.exit_code == 5
        assert here.lock()[2:5] == ["held", session.nonce, "first"]


async def test_nothing_was_begun_by_a_run_without_a_first_line(tmp_path: Path) -> None:
    async with site(tmp_path, [small("a")]) as here:
        async with here.held("first") as (session, _):
            await session.release(done=False)
        done = await resume(here)
        assert done is not None
        assert done.state in ("closed", "nothing")
        assert here.ran("a") == ""
        lock_is(here, "free", run=False)


async def test_a_sick_service_is_noted_before_the_first_change(tmp_path: Path) -> None:
    async with site(tmp_path, [small("a")], standing={"api": (stands("api"),)}) as here:
        here.sick.add("api")
        await deploy(here)
        assert '"sick":["api"]' in here.record().splitlines()[0]


async def test_an_old_state_that_is_not_proven_asks_for_a_human(tmp_path: Path) -> None:
    broken = stands("api", "[ ! -e ground/a.log ]")
    async with site(tmp_path, [small("a"), small("b", do=FAILS)], standing={"api": (broken,)}) as here:
        with pytest.raises(Halted, match="the old state is not proven"):
            await deploy(here)
        assert here.ran("a") == "do undo"
        lock_is(here, "free", run=True)


async def test_a_staged_tree_that_is_not_right_is_not_activated(tmp_path: Path) -> None:
    async with site(tmp_path, stage_and_two(), staged=(stands("api", "exit 1"),)) as here:
        done = await deploy(here)
        assert (done.state, here.ran("up"), here.ran("a")) == ("back", "do undo", "")


async def test_old_releases_that_cannot_be_deleted_are_a_warning(tmp_path: Path) -> None:
    async with site(tmp_path, [small("a"), small("prune", phase="close", back="no", undo=None, do=FAILS)]) as here:
        assert (await deploy(here)).state == "done"
        assert any(event.kind == "warning" and "prune" in event.says for event in here.events)


async def test_taken_over_in_the_middle_it_writes_nothing_more(tmp_path: Path) -> None:
    """The other one comes while a step runs: our change ends, and nothing of ours follows."""
    async with site(tmp_path, stage_and_two()) as here:
        ctx = here.context()

        async def checks(asked: Iterable[Check]) -> list[Finding]:
            if here.ran("up") and not here.ran("a"):
                (here.home() / ".fairlead/t/lease").write_text("0 0 0\n")
                other = here.session()
                await other.acquire("resume", here.lock()[4], here.plan.lease)
                await other.raise_fences(here.plan.hosts)
                await other.close()
            return await Site.checks(here, asked)

        ctx.checks = checks

        async def replan() -> Plan:
            return here.plan

        with pytest.raises(Fenced) as fenced:
            await operate.deploy(here.plan, ctx, reason="", watch=False, replan=replan)
        assert fenced.value.exit_code == 5
        assert here.ran("a") == ""
        assert '"note"' not in here.record()
        lock_is(here, "held", run=True)


async def test_a_connection_that_breaks_for_good_leaves_an_open_run(tmp_path: Path) -> None:
    """Neither an exit code that says no, nor a lock that nobody gives back."""

    class Gone(OnceLost):
        gone = False

        async def get(self, name: str) -> object:  # type: ignore[override]
            if name == THERE and self.gone:
                raise Unreachable("there does not answer")
            return await super().get(name)

    hosts = Gone(accounts(tmp_path), "nothing is ever lost", "before")
    async with site(tmp_path, [small("a"), small("b", host=THERE), small("c", host=THERE)], hosts) as here:
        ctx = here.context()

        def listen(event: object) -> None:
            hosts.gone = hosts.gone or getattr(event, "says", "") == "step b"

        ctx.listen = listen

        async def replan() -> Plan:
            return here.plan

        with pytest.raises(Halted) as halt:
            await operate.deploy(here.plan, ctx, reason="", watch=False, replan=replan)
        assert "there" in halt.value.what
        assert "fairlead resume" in halt.value.hint
        lock_is(here, "free", run=True)
        hosts.gone = False
        done = await resume(here)
        assert done is not None
        assert (done.state, here.ran("a"), here.ran("b", THERE)) == ("done", "do", "do")


async def test_a_secret_that_is_missing_in_the_middle_leaves_an_open_run(tmp_path: Path) -> None:
    from fairlead.model import Run, SecretRef

    step = small("b")
    command = step.do.command.model_copy(update={"stdin": SecretRef(name="NO_SUCH_SECRET")})  # type: ignore[union-attr]
    async with site(tmp_path, [small("a"), step.model_copy(update={"do": Run(command=command)})]) as here:
        with pytest.raises(Halted, match="NO_SUCH_SECRET is missing") as halt:
            await deploy(here)
        assert "fairlead resume -e t" in halt.value.hint
        assert (here.ran("a"), here.ran("b")) == ("do", "")
        lock_is(here, "free", run=True)


async def test_a_host_that_is_silent_before_the_first_line_leaves_nothing_open(tmp_path: Path) -> None:
    class Silent(OnceLost):
        async def get(self, name: str) -> object:  # type: ignore[override]
            if name == THERE:
                raise Unreachable("there does not answer")
            return await super().get(name)

    hosts = Silent(accounts(tmp_path), "nothing is ever lost", "before")
    async with site(tmp_path, [small("a"), small("b", host=THERE)], hosts) as here:
        with pytest.raises(FairleadError, match="there does not answer"):
            await deploy(here)
        assert here.ran("a") == ""
        lock_is(here, "free", run=False)


async def test_a_note_never_takes_the_number_of_a_line_that_nobody_answered(tmp_path: Path) -> None:
    """A change was begun and its answer lost, then the host was silent for a while: the record stays whole."""

    class Deaf(OnceLost):
        silent = 0

        async def get(self, name: str) -> object:  # type: ignore[override]
            if self.lost and self.silent < 1:
                self.silent += 1
                raise Unreachable("here does not answer")
            return await super().get(name)

    hosts = Deaf(accounts(tmp_path), ".a.1 ", "after")
    async with site(tmp_path, [small("a"), small("b")], hosts) as here:
        with pytest.raises(Halted):
            await deploy(here)
        lock_is(here, "free", run=True)
        numbers = [int(line.split()[0]) for line in here.record().splitlines()]
        assert numbers == list(range(1, len(numbers) + 1))
        done = await resume(here)
        assert done is not None
        assert (done.state, here.ran("a"), here.ran("b")) == ("done", "do", "do")
