"""Deployments into a docroot that others live in too, and ways back: nothing foreign may be lost or changed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from prove.table import Row

ROUNDS = 50


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """So many deployments into one docroot, each with another version; half of them are taken back or fail."""
    from support.docroot import rounds

    began, failures, tried = time.monotonic(), list[str](), 0
    with tempfile.TemporaryDirectory(prefix="fl-prove-") as folder:
        for number, wrong in rounds(Path(folder), max(1, round(ROUNDS * scale)), seed):
            tried = max(tried, number)
            failures += [f"round {number}: {what}; again with --seed {seed}" for what in wrong]
    note = "a tree like WordPress, a forum, games/, .env and uploads that grow; judged by type, mode, owner and content"
    yield Row("deployments and ways back in a shared docroot", tried, failures, time.monotonic() - began, note)
