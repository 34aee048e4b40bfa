"""The rows of the tests that are marked `long`: every state that a step can be found in, and more moments of death."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from prove.table import Row

ROOT = Path(__file__).parents[1]


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """All of them, whatever the scale; a line for each file."""
    del scale, seed
    with tempfile.TemporaryDirectory(prefix="fl-prove-") as folder:
        report = Path(folder) / "report.xml"
        shared = ("-n", "3", "--dist", "loadfile")
        subprocess.run([sys.executable, "-m", "pytest", "-m", "long", "-q", *shared, f"--junitxml={report}"], cwd=ROOT)
        cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    if not cases:
        yield Row("rows marked long", 0, ["no row was run; again with `pytest -m long`"])
    for file in dict.fromkeys(case.get("classname", "") for case in cases):
        own = [case for case in cases if case.get("classname") == file]
        wrong = [
            case.get("name", "") for case in own if case.find("failure") is not None or case.find("error") is not None
        ]
        failures = [f"{file.replace('.', '/')}.py::{name}" for name in wrong]
        yield Row(f"long rows of {file}", len(own), failures, sum(float(case.get("time", 0)) for case in own))
