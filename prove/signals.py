"""Ctrl-C and SIGTERM at random moments of a deployment: the exit code says what stands, and it is so."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from prove.estate import SMALL, Ground, Operator
from prove.light import split
from prove.table import Row

ROUNDS = 72
SIZE = replace(SMALL, watch={**SMALL.watch, "duration": "3s"})
"""Long enough to be hit while it is watching."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
ENDED_BY_IT = {130, 143, -signal.SIGINT, -signal.SIGTERM}
"""Before the first change, that is all there is to say."""


def experiment(scale: float, seed: int, only: int | None = None) -> Iterable[Row]:
    """Half of the rounds with each signal."""
    numbers = [number for number in range(max(2, round(ROUNDS * scale))) if only in (None, number)]
    began, seen = time.monotonic(), Counter[str]()
    with ThreadPoolExecutor(3) as pool:
        parts = [part for part in split(numbers, 3) if part]
        done = [
            pool.submit(_on_one_estate, part, ("server", "annex")[index % 2], seed, seen)
            for index, part in enumerate(parts)
        ]
        told = [each for one in done for each in one.result()]
    failures = [
        f"round {number}: {'; '.join(wrong)}; `python -m prove signals --seed {seed} --only {number}`"
        for number, wrong in told
        if wrong
    ]
    note = ", ".join(f"{what} {times}" for what, times in sorted(seen.items()))
    yield Row("Ctrl-C and SIGTERM during a deployment", len(told), failures, time.monotonic() - began, note)


def _on_one_estate(numbers: list[int], lock_host: str, seed: int, seen: Counter[str]) -> list[tuple[int, list[str]]]:
    told: list[tuple[int, list[str]]] = []
    while len(told) < len(numbers):  # an estate that was found broken is given up for a new one
        with Ground(SIZE, lock_host) as ground:  # type: ignore[arg-type]
            for number in numbers[len(told) :]:
                wrong = _round(ground, number, random.Random(f"{seed} {number}"), seen)
                told.append((number, wrong))
                print(f"signals {number} {wrong or ''}", file=sys.stderr, flush=True)
                if wrong:
                    break
    return told


def _round(ground: Ground, number: int, dice: random.Random, seen: Counter[str]) -> list[str]:
    old, new = ground.live, ground.write(ground.next_version())
    before = ground.records()
    deploy = ground.operate("deploy", "--yes")
    _wait(ground, deploy, dice)
    twice = _send(deploy, SIGNALS[number % 2], dice)
    code = deploy.end()
    wrong = [f"a traceback: {deploy.text[-400:]}"] if _unasked_traceback(deploy.text) else []
    if ground.open_run() != "-":
        seen["4, run open" + (", asked twice" if twice else "")] += 1
        wrong += [] if code == 4 else [f"the run is open and the exit code is {code}: {deploy.text[-300:]}"]
        code = _settle(ground, dice, seen)
    begun = bool(ground.records() - before)
    which, more = ground.verdict(old, new)
    wrong += more
    seen[f"{code if begun else 'before the run'}, {which}"] += 1
    right = {(0, "new"), (3, "old")} | (set() if begun else {(each, "old") for each in ENDED_BY_IT})
    if (code, which) not in right:
        wrong.append(f"exit code {code} and everything is {which}: {deploy.text[-300:]}")
    ground.live = new if which == "new" else old
    ground.sweep()
    return wrong


def _unasked_traceback(text: str) -> bool:
    """Python's own answer to Ctrl-C while it is still importing is as good as any."""
    return "Traceback" in text and not text.rstrip().endswith("KeyboardInterrupt")


def _wait(ground: Ground, deploy: Operator, dice: random.Random) -> None:
    """Until some moment: mostly in the run, some before it, some in the watch at its end."""
    if dice.random() < 0.15:
        time.sleep(dice.uniform(0.02, 1.5))
        return
    known = ground.records()
    line = dice.randint(1, 27)
    ground.wait_for_line(deploy, known, line)
    time.sleep(dice.uniform(0, 3.0 if line > 24 else 0.4))


def _send(deploy: Operator, number: signal.Signals, dice: random.Random) -> bool:
    """The signal, in a few rounds twice; whether it was twice."""
    twice = dice.random() < 0.2
    if deploy.runs:
        deploy.process.send_signal(number)
    if twice:
        time.sleep(dice.uniform(0, 0.4))
        if deploy.runs:
            deploy.process.send_signal(number)
    return twice


def _settle(ground: Ground, dice: random.Random, seen: Counter[str]) -> int:
    """Lead an open run to its end, one way or the other; the exit code that says the same as a deployment's would."""
    words = dice.choice((("resume",), ("rollback", "--yes")))
    operator = ground.run(*words)
    seen[f"settled by {words[0]}"] += 1
    code = operator.process.returncode
    return 3 if words[0] == "rollback" and code == 0 else code
