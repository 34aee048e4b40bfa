"""Real servers: the whole installation in the lab of systemd hosts, and what breaks there while Fairlead deploys.

Everything happens in the lab's own network namespaces (see lab/README.md). What is true at the end is read inside the
hosts, past their sshd and without a line of Fairlead: files with mode and owner, the unit, a dump of every database.
"""

from __future__ import annotations

import importlib
import os
import random
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from prove.table import Row

PARTS = ("whole", "breaks", "files", "logins", "databases")
"""Modules of this package; `--only 2` = the second."""


def experiment(scale: float, seed: int, only: int | None = None) -> Iterable[Row]:
    """Needs root."""
    if os.geteuid():
        yield Row("the lab of systemd hosts", 0, ["booting hosts needs root; again as root: `python -m prove lab`"])
        return
    from prove.lab.hosts import COMMAND, LONG, SERVERS, Installation

    with tempfile.TemporaryDirectory(prefix="fl-prove-lab-") as folder:
        lab = Installation(Path(folder))
        try:
            lab.set_up(*SERVERS)
            for number, name in enumerate(PARTS, 1):
                if only in (None, number):
                    part = importlib.import_module(f"prove.lab.{name}")
                    yield from part.rows(lab, scale, random.Random(f"{seed} {name}"))
        finally:
            subprocess.run([COMMAND, "down"], capture_output=True, timeout=LONG)
