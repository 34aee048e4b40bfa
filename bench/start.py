"""What it costs to be started: people and scripts do that often."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.result import TIMES, Result, compared, timed

FAIRLEAD = Path(sys.executable).with_name("fairlead")
SOURCE = Path(__file__).parents[1] / "src"


def help_page() -> Result:
    """`fairlead --help` against the bare interpreter."""
    # as an installation has it: sources that were edited since would be compiled again by every start
    subprocess.run([sys.executable, "-m", "compileall", "-q", SOURCE], check=True)
    asked, bare = [str(FAIRLEAD), "--help"], [sys.executable, "-c", "pass"]
    pairs = [(_run(asked), _run(bare)) for _ in range(1 + TIMES)][1:]  # the first one warms the disk's cache
    return compared("help", "fairlead --help", "python3 -c pass", 6, pairs)


def _run(argv: list[str]) -> float:
    return timed(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL))
