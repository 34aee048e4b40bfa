"""The frame that all gates go through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fairlead.app.ready import Readiness
from fairlead.checks.gate import Gate, GateContext, ask_gate, ask_gates
from fairlead.checks.gates import ALWAYS, GATES
from fairlead.config.gates import GATES as WORDS
from fairlead.errors import Unreachable
from fairlead.model import Finding, Status


def seen(*statuses: Status) -> list[Finding]:
    return [
        Finding(check="c", subject=f"s{number}", status=status, says=f"it is {status}", hint=f"type {status}")
        for number, status in enumerate(statuses)
    ]


def gate(answer: Callable[[], Any] | list[Finding], name: str = "g", **more: Any) -> Gate:
    async def look() -> list[Finding]:
        return await answer() if callable(answer) else answer

    return Gate(name, "what it looks at", look, "fine", **more)


async def never() -> list[Finding]:
    await asyncio.Event().wait()
    return seen("ok")


async def breaks() -> list[Finding]:
    raise KeyError("x")


async def unreachable() -> list[Finding]:
    raise Unreachable("no route", "look at the cable")


SAYS = {
    "one yes": (seen("ok"), "ok", "it is ok"),
    "all say yes": (seen("ok", "ok", "ok"), "ok", "3/3 fine"),
    "a warning does not block": (seen("ok", "warn"), "warn", "1/2 fine: s1"),
    "one no among many": (seen("ok", "fail", "ok"), "fail", "2/3 fine: s1"),
    "one not known among many": (seen("unknown", "ok"), "unknown", "1/2 fine: s0"),
    "a no is told before what is not known": (seen("unknown", "fail"), "fail", "0/2 fine: s1"),
    "not known is told before a warning": (seen("warn", "unknown"), "unknown", "0/2 fine: s1"),
    "many": (seen(*["fail"] * 5), "fail", "0/5 fine: s0, s1, s2 and 2 more"),
    "nothing was looked at": ([], "unknown", "it has looked at nothing"),
    "no answer in time": (never, "unknown", "no answer within 0.05 s"),
    "a mistake of ours": (breaks, "unknown", "the check itself failed: KeyError: 'x'"),
    "an error for people": (unreachable, "unknown", "no route"),
}


@pytest.mark.parametrize("row", SAYS)
async def test_what_a_gate_says(row: str) -> None:
    answer, status, says = SAYS[row]
    told = await ask_gate(gate(answer, limit=0.05))
    assert (told.status, told.says) == (status, says)
    assert told.blocks == (status in ("fail", "unknown"))
    assert Readiness(gates=(told,)).ok == (not told.blocks)
    assert told.findings, "whatever it says, it says of something"


async def test_the_hint_is_that_of_what_is_worst() -> None:
    assert (await ask_gate(gate(seen("warn", "fail")))).hint == "type fail"
    assert (await ask_gate(gate(unreachable))).hint == "look at the cable"


def test_nobody_asked_is_no() -> None:
    assert not Readiness(gates=()).ok


async def test_all_at_once_and_those_that_measure_speed_alone_at_the_end() -> None:
    running, told = set[str](), list[str]()
    beside: dict[str, set[str]] = {}

    def looks(name: str, **more: Any) -> Gate:
        async def look() -> list[Finding]:
            running.add(name)
            for _ in range(20):
                await asyncio.sleep(0)
                beside.setdefault(name, set()).update(running)
            running.remove(name)
            return seen("ok")

        return gate(look, name, **more)

    gates = [looks("fast1", alone=True), looks("a"), looks("b"), looks("fast2", alone=True), looks("c")]
    answers = await ask_gates(gates, 7.0, lambda one: told.append(one.gate))
    assert [one.gate for one in answers] == ["fast1", "a", "b", "fast2", "c"], "in the order given"
    assert {one.at for one in answers} == {7.0}
    assert beside["a"] == {"a", "b", "c"}
    assert (beside["fast1"], beside["fast2"]) == ({"fast1"}, {"fast2"})
    assert told[-2:] == ["fast1", "fast2"]
    assert sorted(told[:3]) == ["a", "b", "c"]


async def test_one_that_hangs_takes_no_answer_from_the_others() -> None:
    answers = await ask_gates([gate(never, "hangs", limit=0.05), gate(seen("ok"), "answers"), gate(breaks, "breaks")])
    assert [one.status for one in answers] == ["unknown", "ok", "unknown"]


async def test_gates_that_only_wait_take_as_long_as_the_slowest() -> None:
    def waits(number: int) -> Gate:
        async def look() -> list[Finding]:
            await asyncio.sleep(0.05 * number)
            return seen("ok")

        return gate(look, f"g{number}")

    clock = asyncio.get_running_loop().time
    began = clock()
    answers = await ask_gates([waits(number) for number in range(1, 17)])
    took = clock() - began
    assert took < 1.5 * max(one.ms for one in answers) / 1000
    assert len(answers) == 16


def context() -> GateContext:
    nothing: Any = SimpleNamespace()
    return GateContext(nothing, nothing, Path(), nothing, nothing, nothing, nothing)


async def test_what_several_gates_need_is_looked_for_once() -> None:
    asked = list[int]()
    shared = context()

    async def find() -> int:
        asked.append(1)
        await asyncio.sleep(0)
        return 7

    assert await asyncio.gather(*(shared.once("x", find) for _ in range(5))) == [7] * 5
    assert len(asked) == 1
    await shared.aclose()


async def test_a_gate_whose_time_is_over_does_not_end_what_others_wait_for() -> None:
    shared, go = context(), asyncio.Event()

    async def find() -> int:
        await go.wait()
        return 7

    async def look() -> list[Finding]:
        await shared.once("x", find)
        return seen("ok")

    hasty = await ask_gate(gate(look, limit=0.02))
    patient = asyncio.create_task(ask_gate(gate(look)))
    await asyncio.sleep(0)
    go.set()
    assert (hasty.status, (await patient).status) == ("unknown", "ok")
    await shared.aclose()


async def test_what_nobody_waits_for_any_more_is_ended() -> None:
    shared = context()
    ended = list[bool]()

    async def find() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    waiting = asyncio.create_task(shared.once("x", find))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await shared.aclose()
    assert ended == [True]
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_each_word_of_the_file_has_its_gate() -> None:
    assert tuple(GATES) == WORDS
    assert len(ALWAYS) == 8
