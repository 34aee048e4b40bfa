"""Faults planted in a copy of the product: an experiment is believed after it has found them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from prove.mutations import Copy, Mutation
from prove.table import Row


class Planted(NamedTuple):
    """One promise broken, and the engine that it is tried on."""

    engine: str
    name: str
    file: str
    """Below src/fairlead."""
    old: str
    """Stands there exactly once."""
    new: str

    @property
    def mutation(self) -> Mutation:
        """As what it is put into the copy."""
        return Mutation(self.name, self.file, self.old, self.new, ())


Trial = Callable[[str, Mapping[str, str]], list[str]]
"""Plays rounds on an engine, with more variables for the operator; returns what it found to be wrong."""


def found(faults: Iterable[Planted], trial: Trial) -> Row:
    """Plant them one by one; each must be found. That nothing is found without them is what all other rounds show."""
    began, failures, tried = time.monotonic(), [], 0
    with tempfile.TemporaryDirectory(prefix="fl-planted-") as folder:
        copy = Copy(Path(folder))
        if not copy.imported():
            return Row("planted faults that must be found", 0, ["another fairlead is imported than the copy"])
        for fault in faults:
            tried += 1
            try:
                with copy.broken(fault.mutation):
                    wrong = trial(fault.engine, {"PYTHONPATH": copy.environ["PYTHONPATH"]})
            except RuntimeError as error:
                failures.append(f"{fault.name} ({fault.engine}): {error}")
                continue
            print(f"planted, {fault.engine}, {fault.name}: {wrong[:1] or 'NOT FOUND'}", file=sys.stderr, flush=True)
            failures += [] if wrong else [f"{fault.name} ({fault.engine}) was not found"]
    return Row("planted faults that must be found", tried, failures, time.monotonic() - began)
