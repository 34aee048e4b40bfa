"""Run experiments one after the other, each in a process group of its own with a time limit, and print one table."""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prove.table import Row, remarks, table

ROOT = Path(__file__).parents[1]

EXPERIMENTS = {
    "kills": 60,
    "stops": 25,
    "races": 15,
    "signals": 20,
    "fuzz": 30,
    "secrets": 30,
    "mutations": 90,
    "docroot": 30,
    "swapload": 30,
    "github": 30,
    "ledger": 120,
    "datakills": 120,
    "reports": 40,
    "privacy": 20,
    "rows": 30,
    "lab": 60,
    "firewall": 25,
}
"""Module of this package -> minutes that it may take."""

GRACE = 60.0
"""Seconds that an experiment has to put its estates away after it was told to end."""


def main() -> int:
    """Exit code 0 = nothing failed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that experiments are put away
    told = arguments()
    if told.inside:
        return inside(told.names[0], told)
    seed = told.seed if told.seed is not None else random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}, scale {told.scale:g}", flush=True)
    rows = [(name, row) for name in told.names or EXPERIMENTS for row in outside(name, seed, told)]
    print(f"\n{table(rows)}\n\n{remarks(rows)}".rstrip(), flush=True)
    return 1 if any(row.failures for _, row in rows) else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m prove", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    parser.add_argument("--scale", type=float, default=1.0, help="0.1 = a tenth of the rounds")
    parser.add_argument("--seed", type=int, help="repeats the choices of an earlier run")
    parser.add_argument("--only", type=int, help="this round alone")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if unknown := [name for name in told.names if name not in EXPERIMENTS]:
        parser.error(f"no experiment {unknown[0]!r}; there are: {', '.join(EXPERIMENTS)}")
    return told


def outside(name: str, seed: int, told: argparse.Namespace) -> Iterator[Row]:
    """Start one experiment and hand on what it says; that it did not say how it ended is a failure too."""
    again = f"python -m prove {name} --seed {seed} --scale {told.scale:g}"
    began = time.monotonic()
    print(f"-- {name}", flush=True)
    with tempfile.NamedTemporaryFile("r", prefix="fl-prove-rows-") as said:
        command = [sys.executable, "-m", "prove", name, "--seed", str(seed), "--scale", str(told.scale)]
        command += ["--inside", said.name] + (["--only", str(told.only)] if told.only is not None else [])
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        try:
            ended = patiently(process, EXPERIMENTS[name] * 60)
        finally:
            put_down(process)
        yield from map(Row.of, said)
    if not ended or process.returncode:
        why = f"exit code {process.returncode}" if ended else f"not ended after {EXPERIMENTS[name]} minutes"
        yield Row("the experiment itself", 1, [f"{why}; again with `{again}`"], time.monotonic() - began)


def patiently(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for its end; False = it did not come in time."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
        return True
    return False


def put_down(process: subprocess.Popen[bytes]) -> None:
    """TERM to the experiment, which then puts its estates away; KILL to its group when it does not."""
    if process.poll() is None:
        process.terminate()
        patiently(process, GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def inside(name: str, told: argparse.Namespace) -> int:
    """Be the experiment: rows go to the file, everything else to the terminal."""
    sys.path.insert(0, str(ROOT / "tests"))
    signal.signal(signal.SIGTERM, give_up)
    experiment = importlib.import_module(f"prove.{name}").experiment
    more = {"only": told.only} if told.only is not None and "only" in inspect.signature(experiment).parameters else {}
    with Path(told.inside).open("w", buffering=1) as file:
        for row in experiment(told.scale, told.seed, **more):
            file.write(row.line() + "\n")
    return 0


def give_up(*_: object) -> None:
    """Told to end: leave no estate behind, whatever other threads are doing."""
    estate = sys.modules.get("prove.estate")
    if estate:
        estate.put_away()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
