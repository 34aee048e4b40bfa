"""Mutations of the example file, far more of them than the tests try: an installation, or a message with a position.

The mutations are those of `tests/config/test_fuzz.py`; each process tries others.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prove.table import Row

EXAMPLES = 12_000
"""Of all mutations together."""
TESTS = ("test_a_damaged_file_is_refused_with_positions_or_loads", "test_wrong_values_anywhere")
PROCESSES = 2
ROOT = Path(__file__).parents[1]


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """Both kinds of mutations, split over as many processes as there are cores."""
    began = time.monotonic()
    each = max(1, round(EXAMPLES * scale / len(TESTS) / PROCESSES))
    jobs = [(test, seed * PROCESSES + number) for test in TESTS for number in range(PROCESSES)]
    told: list[dict[str, Any]] = []
    for start in range(0, len(jobs), PROCESSES):
        running = [_started(test, each, own) for test, own in jobs[start : start + PROCESSES]]
        told += [_ended(process) for process in running]
    yield _row("mutations of the example that end in a traceback", told, "tracebacks", began)
    yield _row("mutations with a message without a position", told, "positions", began)


def _started(test: str, examples: int, seed: int) -> subprocess.Popen[str]:
    environ = os.environ | {"FAIRLEAD_FUZZ": str(examples), "PYTHONPATH": str(ROOT / "tests")}
    argv = [sys.executable, "-m", "prove.fuzz", test, str(seed)]
    return subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    try:
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        told = {"tried": 0, "refused": 0, "tracebacks": [f"a process ended with {process.returncode}"], "positions": []}
    return told


def _row(name: str, told: list[dict[str, Any]], kind: str, began: float) -> Row:
    tried, refused = sum(one["tried"] for one in told), sum(one["refused"] for one in told)
    failures = [failure for one in told for failure in one[kind]]
    note = f"{refused} were refused with a message, {tried - refused} were still right"
    return Row(name, tried, failures, time.monotonic() - began, note)


def main(test: str, seed: int) -> None:
    """Try one kind of mutations; how often and what failed as one line of JSON."""
    from hypothesis import seed as seeded

    fuzz = importlib.import_module("config.test_fuzz")
    told: dict[str, Any] = {"tried": 0, "refused": 0, "tracebacks": [], "positions": []}
    fuzz.answer = _counting(fuzz, told)
    # Hypothesis raises what it has shrunk; the counts above are of everything that it tried on the way, too.
    try:
        seeded(seed)(getattr(fuzz, test))()
    except BaseException:
        if not told["tracebacks"] and not told["positions"]:
            told["tracebacks"].append(f"{test}, seed {seed}: {traceback.format_exc()[-400:]}")
    print(json.dumps(told), flush=True)


def _counting(fuzz: Any, told: dict[str, Any]) -> Any:
    load, parse, wrong = fuzz.load, fuzz.parse, fuzz.ConfigError

    def answer(raw: bytes, settings: dict[str, str]) -> None:
        told["tried"] += 1
        try:
            load(parse(raw), settings)
        except wrong as error:
            told["refused"] += 1
            lines = (error.what + "\n" + error.hint).split("\n")
            if any(not fuzz.POSITION.fullmatch(line) for line in error.what.split("\n")) or not all(
                line.isprintable() for line in lines
            ):
                _keep(told["positions"], f"{error.what[:200]!r} for {raw[:60]!r}...")
        except Exception as error:
            _keep(told["tracebacks"], f"{type(error).__name__}: {error} for {raw[:60]!r}...")

    return answer


def _keep(kept: list[str], failure: str) -> None:
    if len(kept) < 20:
        kept.append(failure)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
