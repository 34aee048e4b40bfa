"""Every step from every state of its record and of its ground, each reached for real, forward and back, each twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fairlead.errors import Fenced, Halted
from fairlead.journal.target import Target
from fairlead.model import Command, Entry, Step, shell
from fairlead.outside.local import LocalHost
from fairlead.run.runner import HEAVY, Runner, WayBack
from fairlead.run.session import Session
from support.processes import until
from support.small import DO, HERE, PROBE, THERE, OnceLost, Site, accounts, site, small, stands

SEES = ("before", "after", "between", "cannot_tell")
FAILS = 'mkdir -p ground; echo do >>"ground/$1.log"; exit 7'


async def reach(session: Session, here: Site, step: Step, record: str, sees: str) -> None:
    """Bring a step's record to a state as a run does, then its ground to what the probe is to see."""
    intent = {what: Entry.model_validate({"kind": "intent", "step": step.id, "what": what}) for what in ("do", "undo")}
    if record in ("begun", "begun_undo", "undone"):
        await session.append(intent["do"])  # what an operator leaves who was killed right then
    if record in ("begun_undo", "undone"):
        await session.append(intent["undo"])
    if record in ("done", "failed", "left"):
        await session.change(step, "do", alone=True)
    if record in ("found", "undone", "left"):
        await session.append(Entry.model_validate({"kind": "outcome", "step": step.id, "what": record}))
    assert session.fact(step).state == record
    here.set(step.id, sees)
    (here.home() / "ground" / f"{step.id}.log").unlink(missing_ok=True)


async def led(work: object) -> str:
    """How leading a step ended, in a word."""
    try:
        await work  # type: ignore[misc]
    except WayBack:
        return "back"
    except Halted:
        return "halt"
    return "ok"


# record -> how it ends and which changes really ran, when the ground is: before, after, between, cannot_tell
FORWARD = {
    "none": ("ok: do", "ok:", "halt:", "back:"),
    "begun": ("ok: do", "ok:", "ok: undo do", "halt:"),
    "done": ("halt:", "ok:", "halt:", "halt:"),
    "failed": ("back:", "back:", "back:", "halt:"),
    "found": ("halt:", "ok:", "halt:", "halt:"),
    "begun_undo": ("ok: do", "ok: undo do", "ok: undo do", "halt:"),
    "undone": ("ok: do", "halt:", "halt:", "halt:"),
}
BACKWARD = {
    "none": ("ok:", "ok:", "halt:", "ok:"),
    "found": ("ok:", "ok:", "halt:", "ok:"),
    "undone": ("ok:", "ok:", "halt:", "halt:"),
    "left": ("ok:", "ok:", "ok:", "ok:"),
    "begun": ("ok:", "ok: undo", "ok: undo", "halt:"),
    "done": ("ok:", "ok: undo", "ok: undo", "halt:"),
    "failed": ("ok:", "ok: undo", "ok: undo", "halt:"),
    "begun_undo": ("ok:", "ok: undo", "ok: undo", "halt:"),
}


@pytest.mark.parametrize("alone", [True, False], ids=["one trip", "two trips"])
@pytest.mark.parametrize("record", FORWARD)
async def test_forward_from_every_state(tmp_path: Path, record: str, alone: bool) -> None:
    steps = {sees: small(f"s-{sees}", do=FAILS if record == "failed" else DO) for sees in SEES}
    async with site(tmp_path, steps.values()) as here, here.held() as (session, runner):
        for sees, wanted in zip(SEES, FORWARD[record], strict=True):
            step = steps[sees]
            await reach(session, here, step, record, sees)
            ended = await led(runner.forward(step, alone=alone))
            assert f"{ended}: {here.ran(step.id)}".strip() == wanted, sees
            if ended != "ok":
                assert here.ground(step.id) == sees, "it has changed something nevertheless"
                continue
            assert here.ground(step.id) == "after"
            assert await led(runner.forward(step, alone=alone)) == "ok"
            assert f"ok: {here.ran(step.id)}".strip() == wanted, f"{sees}: the second time it changed something"


@pytest.mark.parametrize("alone", [True, False], ids=["one trip", "two trips"])
@pytest.mark.parametrize("record", BACKWARD)
async def test_back_from_every_state(tmp_path: Path, record: str, alone: bool) -> None:
    steps = {sees: small(f"s-{sees}", do=FAILS if record == "failed" else DO) for sees in SEES}
    async with site(tmp_path, steps.values()) as here, here.held() as (session, runner):
        for sees, wanted in zip(SEES, BACKWARD[record], strict=True):
            step = steps[sees]
            await reach(session, here, step, record, sees)
            ended = await led(runner.backward(step, alone=alone))
            assert f"{ended}: {here.ran(step.id)}".strip() == wanted, sees
            if ended == "ok":
                assert await led(runner.backward(step, alone=alone)) == "ok"
                assert f"ok: {here.ran(step.id)}".strip() == wanted, f"{sees}: the second time it changed something"
            if "undo" in wanted:
                assert here.ground(step.id) == "before"
                assert session.fact(step).state == "undone"


@pytest.mark.parametrize("sees", SEES)
@pytest.mark.parametrize("record", FORWARD)
async def test_staging_from_every_state(tmp_path: Path, record: str, sees: str) -> None:
    """Two steps of one service, of which the first stands there: both are asked beforehand, in one trip."""
    first = small("first", phase="stage", service="api", do=FAILS if record == "failed" else DO)
    steps = [first, small("second", phase="stage", service="api")]
    async with site(tmp_path, steps) as here, here.held() as (session, runner):
        await reach(session, here, first, record, sees)
        ended = await led(runner.stage())
        wanted = FORWARD[record][SEES.index(sees)]
        assert f"{ended}: {here.ran('first')}".strip() == wanted
        assert here.ran("second") == ("do" if ended == "ok" else "")
        if ended == "ok":
            assert session.fact(steps[1]).state == "done" and session.fact(steps[1]).attempts == 1


async def test_what_was_announced_and_never_begun_is_not_undone(tmp_path: Path) -> None:
    steps = [small("first", phase="stage", service="api", do=FAILS), small("second", phase="stage", service="api")]
    async with site(tmp_path, steps) as here, here.held() as (session, runner):
        assert await led(runner.stage()) == "back"
        assert session.fact(steps[1]).state == "begun"
        assert await led(runner.back("it failed")) == "ok"
        assert (here.ran("first"), here.ran("second")) == ("do", "")
        assert session.fact(steps[1]).state == "undone"


async def test_staging_looks_and_announces_once_for_each_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [
        small(f"{service}.{word}", host=host, phase="stage", service=service)
        for host in (HERE, THERE)
        for service in (f"{host}1", f"{host}2")
        for word in ("up", "put")
    ]
    async with site(tmp_path, steps) as here, here.held() as (_, runner):
        looks, words = [], []
        run, append = LocalHost.run, Target.append

        async def looked(host: LocalHost, command: Command, **more: Any) -> Any:
            looks.append(host.account.name)
            return await run(host, command, **more)

        async def written(target: Target, *told: Any) -> int:
            words.append(told[-1])
            return await append(target, *told)

        monkeypatch.setattr(LocalHost, "run", looked)
        monkeypatch.setattr(Target, "append", written)
        assert await led(runner.stage()) == "ok"
        assert sorted(looks) == [HERE, THERE]
        assert [data.count(b'"kind":"intent"') for data in words] == [len(steps)]
        assert {here.ran(step.id, step.host) for step in steps} == {"do"}


SEVERAL = """n=0; for name; do n=$((n + 1)); word=before; [ ! -e "ground/$name" ] || word=$(cat "ground/$name")
[ $# -eq 1 ] || word="$n $word"; echo "$word"; done; echo $# >>asked"""


@pytest.mark.parametrize("limit, asked", [(100_000, [1, 1, 4]), (10, [1] * 6)])
async def test_a_program_that_can_is_asked_about_several_steps_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, asked: list[int]
) -> None:
    """Where the question would be too long, one by one. What is there already is looked at once more in its turn."""
    monkeypatch.setattr("fairlead.run.runner.ONE_PROGRAM", limit)
    probes = [shell(SEVERAL if number else f"{SEVERAL} # another", f"s{number}") for number in range(5)]
    steps = [
        small(f"s{number}", phase="stage").model_copy(update={"probe": probe.model_copy(update={"several": True})})
        for number, probe in enumerate(probes)
    ]
    async with site(tmp_path, steps) as here, here.held() as (_, runner):
        here.set("s2", "after")
        assert await led(runner.stage()) == "ok"
        assert [here.ran(step.id) for step in steps] == ["do", "do", "", "do", "do"]
        assert sorted(map(int, (here.home() / "asked").read_text().split())) == asked


async def test_programs_that_are_too_long_together_go_one_after_the_other(tmp_path: Path) -> None:
    """Linux takes no argument of more than 128 KB, and one trip is one line."""
    padding = "\n: " + "x" * 90_000
    long, *several = (
        small(name, do=DO + padding, probe=padding + "\n" + PROBE, phase=phase)
        for name, phase in (("s", "activate"), ("s1", "stage"), ("s2", "stage"), ("s3", "stage"))
    )
    async with site(tmp_path, [*several, long]) as here, here.held() as (session, runner):
        assert await led(runner.stage()) == "ok"
        assert await led(runner.forward(long, alone=True)) == "ok"
        assert {here.ran(step.id) for step in (long, *several)} == {"do"}
        assert session.fact(long).state == session.fact(several[2]).state == "done"


async def test_an_undo_counts_only_when_the_probe_says_before(tmp_path: Path) -> None:
    lies = small("s", undo='echo undo >>"ground/$1.log"')
    async with site(tmp_path, [lies]) as here, here.held() as (session, runner):
        await runner.forward(lies, alone=True)
        assert await led(runner.backward(lies, alone=True)) == "halt"
        assert here.ran("s") == "do undo undo undo"
        assert session.fact(lies).state == "begun_undo"


async def test_a_change_that_is_begun_again_and_again_is_not_begun_a_fourth_time(tmp_path: Path) -> None:
    step = small("s")
    async with site(tmp_path, [step]) as here, here.held() as (session, runner):
        for _ in range(3):
            await session.append(Entry(kind="intent", step="s", what="do"))
        assert await led(runner.forward(step, alone=True)) == "back"
        assert here.ran("s") == ""


@pytest.mark.parametrize(
    "probe",
    ["echo after; exit 1", "echo perhaps", "exit 0", "echo after >&2", "sleep 9"],
    ids=["fails", "another word", "says nothing", "on stderr", "too slow"],
)
async def test_a_probe_that_does_not_answer_cannot_tell(tmp_path: Path, probe: str) -> None:
    step = small("s", probe=probe)
    if "sleep" in probe:
        step = step.model_copy(update={"probe": step.probe.model_copy(update={"timeout": 0.2})})
    async with site(tmp_path, [step]) as here, here.held() as (_, runner):
        assert await runner.probe(step) == "cannot_tell"
        assert await led(runner.forward(step, alone=True)) == "back"
        assert here.ran("s") == ""


@pytest.mark.parametrize(
    "probe",
    [
        "echo 'the server takes no'; echo 'connections'; echo cannot_tell",
        "echo the server takes no connections >&2; exit 1",
    ],
    ids=["it cannot tell", "it fails"],
)
async def test_what_a_probe_says_of_its_doubt_is_told(tmp_path: Path, probe: str) -> None:
    steps = (small("s", probe=probe),)
    async with site(tmp_path, steps) as here, here.held() as (_, runner):
        with pytest.raises(WayBack, match=r"the host says `cannot_tell`: the server takes no connections$"):
            await runner.forward(steps[0], alone=False)


async def test_the_last_word_of_a_probe_counts(tmp_path: Path) -> None:
    step = small("s", probe="echo before; echo warning: old; echo after")
    async with site(tmp_path, [step]) as here, here.held() as (_, runner):
        assert await runner.probe(step) == "after"
        assert here.ran("s") == ""


async def test_a_failing_change_turns_round_and_says_why(tmp_path: Path) -> None:
    step = small("s", do='mkdir -p ground; echo do >>"ground/$1.log"; echo no space left; exit 28')
    async with site(tmp_path, [step]) as here, here.held() as (session, runner):
        with pytest.raises(WayBack, match="exit code 28: no space left"):
            await runner.forward(step, alone=True)
        assert session.fact(step).state == "failed"
        await runner.back("it failed")
        assert session.fact(step).state == "undone"


ANSWERS = {
    "an engine's": ('{"ok": false, "says": "the disk is full", "hint": "make room"}', "the disk is full; make room"),
    "after other words": ('noise; echo \'{"says": "no room", "hint": ""}\'', "no room"),
    "other JSON": ('{"error": 7}', '{"error": 7}'),
    "a list": ("[1]", "[1]"),
    "half of one": ('{"says": "the disk', '{"says": "the disk'),
}
"""What a program prints that fails -> what a person is told of it."""


@pytest.mark.parametrize(("prints", "told"), ANSWERS.values(), ids=ANSWERS)
async def test_of_an_engine_s_answer_its_sentence_is_told(tmp_path: Path, prints: str, told: str) -> None:
    prints = f"'{prints}'" if prints.startswith(("{", "[")) else prints
    step = small("s", do=f"echo {prints}; exit 1")
    async with site(tmp_path, [step]) as here, here.held() as (_, runner):
        with pytest.raises(WayBack) as back:
            await runner.forward(step, alone=True)
        assert back.value.why == f"step s failed: exit code 1: {told}"


# -- the way back as a whole


async def test_the_way_back_leaves_found_stays_and_data_and_says_so(tmp_path: Path) -> None:
    steps = (
        small("backup", phase="stage", back="stays", undo=None),
        small("found"),
        small("data", back="by_data", undo=None),
        small("ours"),
    )
    async with site(tmp_path, steps) as here, here.held() as (session, runner):
        here.set("found", "after")
        await runner.stage()
        await runner.activate()
        await runner.back("told to")
        await session.append()
        ran = {step.id: here.ran(step.id) for step in steps}
        assert ran == {"backup": "do", "found": "", "data": "do", "ours": "do undo"}
        assert here.ground("found") == here.ground("data") == here.ground("backup") == "after"
        assert '"what":"left"' in here.record()
        assert '"what":"found"' in here.record()
        assert any("data is left as it is" in event.says for event in here.events if event.kind == "warning")
        await runner.back("again")  # the way back may be gone twice
        assert {step.id: here.ran(step.id) for step in steps} == ran


async def test_a_step_that_nothing_takes_back_halts_the_way_back(tmp_path: Path) -> None:
    step = small("s", back="no", undo=None)
    async with site(tmp_path, [step]) as here, here.held() as (_, runner):
        await runner.activate()
        assert await led(runner.back("told to")) == "halt"
        assert here.ground("s") == "after"


async def test_what_could_not_be_undone_is_tried_again_when_somebody_asks(tmp_path: Path) -> None:
    step = small("s", undo='[ -e repaired ] && rm -f "ground/$1"')
    async with site(tmp_path, [step]) as here, here.held() as (session, runner):
        await runner.activate()
        assert await led(runner.back("told to")) == "halt"
        (here.home() / "repaired").touch()
        await here.runner(session).back("again")
        assert here.ground("s") == "before"


async def test_activation_goes_back_in_reverse_and_staging_after_it(tmp_path: Path) -> None:
    note = 'mkdir -p ground; echo "$1" >>ground/order; rm -f "ground/$1"'
    steps = (small("stage", phase="stage", undo=note), small("first", undo=note), small("second", undo=note))
    async with site(tmp_path, steps) as here, here.held() as (_, runner):
        await runner.stage()
        await runner.activate()
        await runner.back("told to")
        assert (here.home() / "ground/order").read_text().split() == ["second", "first", "stage"]


async def test_the_way_back_is_recorded_before_anything_is_undone(tmp_path: Path) -> None:
    step = small("s", undo='grep -c \'"kind":"back"\' .fairlead/t/runs/r1.rec >ground/told; rm -f "ground/$1"')
    async with site(tmp_path, [step]) as here, here.held() as (_, runner):
        await runner.activate()
        await runner.back("told to")
        assert (here.home() / "ground/told").read_text().strip() == "1"


@pytest.mark.parametrize(
    ("sick_before", "ends"), [((), "halt"), (("api",), "ok")], ids=["it was well before", "it was sick before"]
)
async def test_what_was_sick_before_is_not_held_against_the_way_back(
    tmp_path: Path, sick_before: tuple[str, ...], ends: str
) -> None:
    from fairlead.model import Check, Finding, HttpCheck

    standing = {
        "api": (HttpCheck(subject="api", url="http://x/"),),
        "crm": (HttpCheck(subject="crm", url="http://y/"),),
    }
    async with site(tmp_path, [small("s")], standing=standing) as here, here.held() as (session, runner):

        async def checks(asked: object) -> list[Finding]:
            several: list[Check] = list(asked)  # type: ignore[call-overload]
            return [
                Finding(check="http", subject=c.subject, status="fail" if c.subject == "api" else "ok", says="!")
                for c in several
            ]

        runner.checks = checks
        await session.append(Entry(kind="run", plan=here.plan.hash, sick=sick_before))
        await runner.activate()
        assert await led(runner.back("told to")) == ends
        assert here.ground("s") == "before"


# -- lanes


async def test_stage_lanes_run_beside_each_other(tmp_path: Path) -> None:
    """Each waits until the other one has begun: one after the other they would never end."""
    wait = 'for i in $(seq 200); do [ -e "ground/OTHER.log" ] && break; sleep 0.05; done; [ -e "ground/OTHER.log" ]'
    meet = f'mkdir -p ground; echo do >>"ground/$1.log"; {wait} && echo after >"ground/$1"'
    steps = (
        small("a", phase="stage", do=meet.replace("OTHER", "b")),
        small("b", phase="stage", do=meet.replace("OTHER", "a")),
    )
    async with site(tmp_path, steps) as here, here.held() as (_, runner):
        await runner.stage()
        assert here.ground("a") == here.ground("b") == "after"


BUSY = """mkdir -p ground; echo do >>"ground/$1.log"; touch "busy-$1"; n=0
while [ ! -e enough ] && [ $n -lt 400 ]; do n=$((n + 1)); sleep 0.05; done
rm "busy-$1"; echo after >"ground/$1" """


@pytest.mark.parametrize("fails", [False, True])
async def test_of_heavy_steps_only_some_are_done_at_once(tmp_path: Path, fails: bool) -> None:
    """The others of the stage do not wait for them; when one fails, those that wait are not begun."""
    ends = 'mkdir -p ground; echo do >>"ground/$1.log"; exit 3' if fails else DO
    several = [small(f"db-{n}.backup", do=BUSY, service="", phase="stage", heavy=True) for n in range(9)]
    steps = [small("quick", phase="stage", do=ends), *several]
    async with site(tmp_path, steps) as here, here.held() as (_, runner):
        staged = asyncio.create_task(led(runner.stage()))
        assert await until(lambda: len(list(here.home().glob("busy-*"))) == HEAVY and here.ran("quick") == "do")
        assert not fails or await until(lambda: any("exit code 3" in event.says for event in here.events))
        (here.home() / "enough").touch()
        assert await staged == ("back" if fails else "ok")
        begun = [step.id for step in several if here.ran(step.id)]
        assert len(begun) == (HEAVY if fails else len(several))


async def test_steps_of_one_lane_keep_their_order(tmp_path: Path) -> None:
    needs = '[ -e ground/a1 ] && echo do >>"ground/$1.log" && echo after >"ground/$1"'
    steps = (small("a1", phase="stage", service="a"), small("a2", phase="stage", service="a", do=needs))
    async with site(tmp_path, steps) as here, here.held() as (_, runner):
        await runner.stage()
        assert here.ground("a2") == "after"


async def test_when_a_lane_fails_the_others_finish_the_step_in_hand_and_begin_no_other(tmp_path: Path) -> None:
    fails = "for i in $(seq 200); do [ -e ground/b1.log ] && break; sleep 0.05; done; exit 3"
    slow = 'mkdir -p ground; echo do >>"ground/$1.log"; sleep 0.7; echo after >"ground/$1"'
    steps = (
        small("a", phase="stage", do=fails),
        small("b1", phase="stage", service="b", do=slow),
        small("b2", phase="stage", service="b"),
    )
    async with site(tmp_path, steps) as here, here.held() as (_, runner):
        assert await led(runner.stage()) == "back"
        assert (here.ground("b1"), here.ground("b2")) == ("after", "before")
        await runner.back("a failed")
        assert here.ran("b1") == "do undo"


async def test_each_service_is_proven_before_the_next_is_touched(tmp_path: Path) -> None:
    proven = {"a": (stands("a", "[ -e ground/a ] && [ ! -e ground/b ]"),), "b": (stands("b"),)}
    async with site(tmp_path, [small("a"), small("b")], proven=proven) as here, here.held() as (_, runner):
        await runner.activate()
        assert here.asked == ["a", "b"]


async def test_a_service_that_is_not_proven_turns_the_run_round(tmp_path: Path) -> None:
    async with (
        site(tmp_path, [small("a"), small("b")], proven={"a": (stands("a", "exit 1"),)}) as here,
        here.held() as (_, runner),
    ):
        with pytest.raises(WayBack, match="a after its switch"):
            await runner.activate()
        assert here.ran("b") == ""


# -- asked to stop


async def test_asked_once_the_step_in_hand_is_finished_and_then_the_way_back_begins(tmp_path: Path) -> None:
    async with site(tmp_path, [small("a"), small("b")]) as here, here.held() as (session, runner):
        ask_at(here, runner, "step a", 1)
        with pytest.raises(WayBack, match="Ctrl-C"):
            await runner.activate()
        assert (here.ran("a"), here.ran("b")) == ("do", "")
        await runner.back("Ctrl-C")
        assert here.ran("a") == "do undo"
        assert session.fact(here.plan.step("a")).state == "undone"


async def test_asked_twice_it_stays_where_it_is(tmp_path: Path) -> None:
    async with site(tmp_path, [small("a"), small("b")]) as here, here.held() as (_, runner):
        ask_at(here, runner, "step a", 2)
        with pytest.raises(Halted, match="twice"):
            await runner.activate()
        assert (here.ran("a"), here.ran("b")) == ("do", "")


async def test_asked_on_the_way_back_it_stays_where_it_is(tmp_path: Path) -> None:
    async with site(tmp_path, [small("a"), small("b")]) as here, here.held() as (_, runner):
        await runner.activate()
        ask_at(here, runner, "undo step b", 1)
        with pytest.raises(Halted, match="on the way back"):
            await runner.back("told to")
        assert (here.ran("b"), here.ran("a")) == ("do undo", "do")


def ask_at(here: Site, runner: Runner, says: str, times: int) -> None:
    def listen(event: object) -> None:
        if getattr(event, "kind", "") == "step_started" and getattr(event, "says", "") == says:
            for _ in range(times):
                here.stop.ask("Ctrl-C")

    runner.listen = listen


# -- lost connections and takeovers

SLOW_ONCE = """mkdir -p ground; echo do >>"ground/$1.log"
[ "$(wc -l <"ground/$1.log")" -gt 1 ] || { echo between >"ground/$1"; sleep 30; echo late >>"ground/$1.log"; }
echo after >"ground/$1" """


@pytest.mark.parametrize("host", [HERE, THERE], ids=["on the lock host", "on another host"])
@pytest.mark.parametrize(
    ("when", "ran"),
    [("before", "do"), ("after", "do"), ("midway", "do undo do")],
    ids=["before it ran", "after it ran", "while it runs"],
)
async def test_a_lost_connection_is_climbed_over_and_nothing_is_done_twice(
    tmp_path: Path, host: str, when: str, ran: str
) -> None:
    step = small("s", host=host, do=SLOW_ONCE if when == "midway" else DO)
    log = tmp_path / host / "ground" / "s.log"
    hosts = OnceLost(accounts(tmp_path), ".s.1 ", when, begun=log.exists)
    async with site(tmp_path, [step], hosts) as here, here.held() as (session, runner):
        first = session.token
        await runner.activate()
        assert hosts.lost == 1
        assert session.token > first
        assert here.ran("s", host) == ran
        assert here.ground("s", host) == "after"
        assert session.fact(step).state == "done"
        await session.append()
        tokens = [int(line.split()[1]) for line in here.record().splitlines()]
        assert tokens == sorted(tokens)
        for task in hosts.running:
            task.cancel()
        await asyncio.gather(*hosts.running, return_exceptions=True)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_connection_while_undoing(tmp_path: Path, when: str) -> None:
    hosts = OnceLost(accounts(tmp_path), ".s.2 ", when)
    async with site(tmp_path, [small("s")], hosts) as here, here.held() as (session, runner):
        await runner.activate()
        await runner.back("told to")
        assert (hosts.lost, here.ran("s"), here.ground("s")) == (1, "do undo", "before")
        assert session.fact(here.plan.step("s")).state == "undone"


async def test_a_connection_that_is_lost_again_and_again_halts(tmp_path: Path) -> None:
    class Always(OnceLost):
        @property
        def lost(self) -> int:
            return 0

        @lost.setter
        def lost(self, value: int) -> None: ...

    hosts = Always(accounts(tmp_path), " step ", "before")
    async with site(tmp_path, [small("s")], hosts) as here, here.held() as (_, runner):
        with pytest.raises(Halted, match="lost too often") as halt:
            await runner.activate()
        assert "fairlead resume" in halt.value.hint
        assert here.ran("s") == ""


@pytest.mark.parametrize("alone", [True, False], ids=["one trip", "two trips"])
async def test_who_was_fenced_changes_and_writes_nothing_more(tmp_path: Path, alone: bool) -> None:
    async with site(tmp_path, [small("a"), small("b")]) as here, here.held() as (session, runner):
        await runner.forward(here.plan.step("a"), alone=alone)
        await session.append()
        (here.home() / ".fairlead/t/lease").write_text("0 0 0\n")  # as if it had run out
        other = here.session()
        await other.acquire("resume", "r1", here.plan.lease)
        await other.raise_fences(here.plan.hosts)
        written = here.record()
        with pytest.raises(Fenced):
            await runner.forward(here.plan.step("b"), alone=alone)
        with pytest.raises(Fenced):
            await session.append(Entry(kind="note"))
        with pytest.raises(Fenced):
            await session.release(done=True)
        assert here.ran("b") == ""
        assert here.record() == written
        await other.close()


async def test_a_host_that_somebody_else_raised_accepts_nothing_of_ours(tmp_path: Path) -> None:
    """The lock host has not heard of the other one yet: the other host's fence alone decides."""
    step = small("s", host=THERE)
    async with site(tmp_path, [step]) as here, here.held() as (session, runner):
        (here.home(THERE) / ".fairlead/t/fence").write_text(f"{session.token + 5} open\n")
        with pytest.raises(Fenced):
            await runner.forward(step, alone=True)
        assert here.ran("s", THERE) == ""


async def test_secrets_go_in_by_standard_input_only(tmp_path: Path) -> None:
    from fairlead.model import Run, SecretRef
    from fairlead.outside.secrets import Secrets

    seen = 'cat /proc/$$/cmdline /proc/$$/environ | tr "\\0" " " >"ground/$1.seen"'
    script = f'mkdir -p ground; cat >"ground/$1.got"; {seen}; echo after >"ground/$1"'
    command = Command(argv=("sh", "-c", script, "x", "s"), stdin=SecretRef(name="PASS"))
    step = small("s").model_copy(update={"do": Run(command=command)})
    async with site(tmp_path, [step]) as here, here.held() as (session, runner):
        session.secrets = Secrets(environ={"PASS": "sentinel-4711"})
        await runner.forward(step, alone=True)
        await session.append()
        ground = here.home() / "ground"
        assert (ground / "s.got").read_text() == "sentinel-4711"
        assert "sentinel-4711" not in (ground / "s.seen").read_text()
        assert "sentinel-4711" not in here.record() + here.plan.to_json()


MEETS = """mkdir -p ground; echo do >>"ground/$1.log"; touch "met-$1"; n=0
while [ ! -e met-db-a.swap ] || [ ! -e met-db-b.swap ]; do n=$((n + 1)); [ $n -lt 400 ] || exit 1; sleep 0.02; done
[ -e ground/fence.log ] && [ ! -e ground/lift.log ] && echo after >"ground/$1" """


async def test_swaps_of_several_databases_are_made_at_once(tmp_path: Path) -> None:
    """Each waits until the other has begun; what stands before and after them keeps its place."""
    swaps = [small(f"db-{name}.swap", do=MEETS, service="") for name in "ab"]
    async with site(tmp_path, [small("fence"), *swaps, small("lift")]) as here, here.held() as (_, runner):
        await runner.activate()
        assert [here.ran(name) for name in ("fence", "db-a.swap", "db-b.swap", "lift")] == ["do"] * 4
