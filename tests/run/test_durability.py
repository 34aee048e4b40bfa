"""What was answered `ok` is on the disk: where the disk cannot say so, nothing is answered `ok`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fairlead.journal.record import encode
from fairlead.journal.target import SCRIPT
from fairlead.model import Entry, sha256

LINE = encode(Entry(kind="run"), 1, 1)
CALLS = {
    "acquire": (["acquire", "new", "n1", "30", "r1", "me", "0"], b"", "disk lock"),
    "release": (["release", "1", "r1", "done"], b"", "disk lock"),
    "append": (["append", "1", "r1", "30", str(len(LINE))], LINE, "disk record"),
    "store": (["store", sha256(b"plan"), "4"], b"plan", "disk plan"),
    "raise": (["raise", "1", "0", "1", "2"], b"", "disk fence"),
    "step": (
        ["step", "r1", "30", str(len(LINE)), "1", "1.s.1", "9" * 12, *["end", "9", "1", "9", "0", "true"]],
        LINE,
        "disk record",
    ),
}


class Disk:
    """An account whose `sync` can be broken; every call of it is noted."""

    def __init__(self, folder: Path) -> None:
        self.home, self.shims, self.log = folder / "home", folder / "shims", folder / "synced"
        self.home.mkdir()
        self.shims.mkdir()
        self.script = folder / "fl.sh"
        self.script.write_text(SCRIPT)
        self.sync(0)

    def sync(self, code: int) -> None:
        real = shutil.which("sync")
        shim = self.shims / "sync"
        shim.write_text(f'#!/bin/sh\necho "$*" >>{self.log}\n[ {code} = 0 ] || exit {code}\nexec {real} "$@"\n')
        shim.chmod(0o755)

    def call(self, words: list[str], stdin: bytes = b"") -> str:
        environ = {"HOME": str(self.home), "PATH": f"{self.shims}:{os.environ['PATH']}"}
        argv = ["sh", str(self.script), words[0], str(self.home / ".fairlead/t"), *words[1:]]
        done = subprocess.run(argv, input=stdin, env=environ, cwd=self.home, stdout=subprocess.PIPE, timeout=60)
        return next(line[4:] for line in reversed(done.stdout.decode().splitlines()) if line.startswith("fl1 "))


def ready(disk: Disk, verb: str) -> None:
    """Everything that comes before this verb."""
    for before in ("acquire", "raise"):
        if verb in (before, "store"):
            break
        assert disk.call(*CALLS[before][:2]).startswith("ok")
    (disk.home / ".fairlead/t/plans").mkdir(parents=True, exist_ok=True)
    (disk.home / ".fairlead/t/runs").mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize("verb", CALLS)
def test_a_disk_that_cannot_be_flushed_is_no_ok(tmp_path: Path, verb: str) -> None:
    disk = Disk(tmp_path)
    ready(disk, verb)
    disk.sync(1)
    words, stdin, says = CALLS[verb]
    assert disk.call(words, stdin) == says


def test_each_line_is_flushed_and_the_folder_of_a_new_record(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    ready(disk, "append")
    disk.log.write_text("")
    assert disk.call(*CALLS["append"][:2]).startswith("ok")
    assert disk.log.read_text().splitlines() == ["-d runs/r1.rec", "runs"]
    again = encode(Entry(kind="note"), 2, 1)
    assert disk.call(["append", "1", "r1", "30", str(len(again))], again).startswith("ok")
    assert disk.log.read_text().splitlines()[2:] == ["-d runs/r1.rec"]


def test_the_lock_is_flushed_before_and_after_it_takes_its_name(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    ready(disk, "acquire")
    assert disk.call(*CALLS["acquire"][:2]).startswith("ok")
    assert disk.log.read_text().splitlines()[-4:] == ["fence.new", ".", "lock.new", "."]
