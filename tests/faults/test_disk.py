"""Disks that are full, before or while something is written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.box import FREE, OPEN, Box, Boxes, in_place, release, says
from support.sshd import SSHD

MOUNTS = ("unshare", "-m", SSHD)
"""A server in which a small disk can be mounted that nobody else sees, and that goes with it."""
QUOTA = ("sh", "-c", 'ulimit -f 400; exec "$@"', "sh", SSHD)
"""No file may have more than 400 kB, in the shell's blocks of 1024 bytes or of 512."""
ONLY = 'case $* in {}) ;; *) exec $REAL "$@";; esac\n'
FILL = 'head -c 1G /dev/zero >"$HOME/{}/filler" 2>/dev/null\n'


def inside(box: Box, script: str, place: str, *words: str) -> None:
    """Run a script where the server's mounts are seen; $1 is that place of the home, and its last word."""
    enter = ("nsenter", "-t", str(box.sshd.process.pid), "-m", "sh", "-ec", f'{script} "$1"', "sh")
    subprocess.run([*enter, str(box.sshd.home / place), *words], check=True)


def small_disk(box: Box, place: str, megabytes: int) -> None:
    """Put a disk of its own below what is in `place` of the home."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    mount = (
        'cp -a "$1" /tmp/$$; mount -t tmpfs -o "size=$2m,mode=755" none "$1"; cp -a "/tmp/$$/." "$1"; rm -r /tmp/$$; ls'
    )
    inside(box, mount, place, str(megabytes))
    box.root = Path(f"/proc/{box.sshd.process.pid}/root")
    box.own(box.home / place)


def room(box: Box, place: str) -> None:
    """Somebody makes room."""
    (box.home / place / "filler").unlink()


def test_full_before_the_deployment_and_nothing_is_begun(boxes: Boxes) -> None:
    box = boxes(sshd={"program": MOUNTS})
    small_disk(box, "site", 5)
    before = box.photograph()
    says(box.run("ready"), 1, "the disk of site has 0.0 GB", "make room before a deployment fills it")
    says(box.deploy(), 1, "the disk of site has 0.0 GB")
    assert box.photograph() == before and box.lock() == FREE


PAGE = {"page": "wait.html"}
MOMENTS = {
    "while a release is uploaded": (release(), "rsync", "*--server*", "upload"),
    "while what differs is sent": (release(), "tar", "*-x*", "upload"),
    "while a docroot's release is uploaded": (in_place(), "rsync", "*--server*", "upload"),
    "while a docroot's files are laid ready": (in_place(), "cp", "*--parents*", "keep"),
    "before the switch": (release(), "sync", "releases", "switch"),
    "before maintenance is entered": (release(maintenance=PAGE), "sync", "releases", "maintenance"),
    "before a docroot's maintenance is entered": (in_place(maintenance=PAGE), "sync", "*/kept", "maintenance"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_full_meanwhile_and_all_is_as_it_was(boxes: Boxes, moment: str) -> None:
    service, program, when, step = MOMENTS[moment]
    box = boxes(sshd={"program": MOUNTS}, service=service)
    if program == "rsync":
        box.write_much()
    place = "." if service.get("strategy") else "site"
    small_disk(box, place, 250)
    box.sshd.shim(program, ONLY.format(when) + FILL.format(place) + 'exec $REAL "$@"')
    before = box.photograph()
    told = box.deploy()
    says(told, 3, step)
    assert "No space left on device" in told.text or "is its disk full?" in told.text
    room(box, place)
    assert box.photograph() == before and box.lock() == FREE


@pytest.mark.parametrize("maintenance", [{}, {"maintenance": PAGE}], ids=["", "under maintenance"])
def test_full_when_the_service_starts_and_all_is_as_it_was(boxes: Boxes, maintenance: dict[str, Any]) -> None:
    """The way back needs no room either."""
    box = boxes(sshd={"program": MOUNTS}, service=release(**maintenance))
    small_disk(box, "site", 250)
    box.sshd.shim("cp", f'[ "$1" != -a ] && grep -q v2 "$2" || exec $REAL "$@"\n{FILL.format("site")}exit 7')
    before = box.photograph()
    says(box.deploy(), 3, "switch")
    room(box, "site")
    assert box.photograph() == before and box.lock() == FREE


COMING_BACK = {
    "while what was kept is laid ready": ("*/back.*", 3, "everything is as it was"),
    "when all is in its place": (
        "*/deployed.new",
        4,
        "site.fairlead/site/deployed cannot be written: is its disk full?",
    ),
}
"""When, how it ends, and what is said. What is new goes before that is noted, which makes room."""


@pytest.mark.parametrize("moment", COMING_BACK)
def test_full_while_a_docroot_comes_back(boxes: Boxes, moment: str) -> None:
    """Nothing is lost, and where that cannot be noted the run waits for room. The record's own disk has some."""
    when, code, what = COMING_BACK[moment]
    refuses = {"run": ["sh", "-c", "grep -q v1 site/VERSION"]}
    box = boxes(sshd={"program": MOUNTS}, service=in_place(on_switch=refuses, maintenance=PAGE))
    small_disk(box, ".", 250)
    small_disk(box, ".fairlead", 250)
    going_back = '[ -e "$HOME/site.fairlead/site/kept/2/back.1" ] || exec $REAL "$@"\n'
    box.sshd.shim("cp", ONLY.format(when) + going_back + FILL.format(".") + 'exec $REAL "$@"')
    before = box.photograph()
    says(box.deploy(), code, what, "fairlead resume -e live" if code == 4 else "")
    assert box.live()["index.html"] == "v1" and box.lock() == (OPEN if code == 4 else FREE)
    (box.sshd.bin / "cp").unlink()
    room(box, ".")
    assert code == 3 or box.run("resume").code == 3
    assert box.photograph() == before and box.lock() == FREE


def test_a_file_that_is_too_large_for_the_quota_and_all_is_as_it_was(boxes: Boxes) -> None:
    box = boxes(sshd={"program": QUOTA})
    before = box.photograph()
    told = box.deploy()
    says(told, 3, "upload")
    assert "File too large" in told.text or "signal 25" in told.text or "exit code 153" in told.text, told.text
    assert box.photograph() == before and box.lock() == FREE


def test_no_room_for_the_record_and_the_run_waits_for_a_person(boxes: Boxes) -> None:
    box = boxes(sshd={"program": MOUNTS}, environment={"lease": {"ttl": "5s", "beat": "5s"}})
    box.write_much()
    small_disk(box, ".fairlead", 250)
    full = '[ ! -e "$HOME/mark" ] || cat /dev/zero >>"$HOME/.fairlead/filler" 2>/dev/null\nexec $REAL "$@"'
    box.sshd.shim("rsync", ONLY.format("*--server*") + ': >"$HOME/mark"; exec $REAL "$@"')
    box.sshd.shim("sync", full)
    live = box.live()
    says(box.deploy(), 4, "is its disk full?", "fairlead resume -e live")
    assert box.live() == live
    (box.sshd.bin / "sync").unlink()
    room(box, ".fairlead")
    says(box.run("resume"), 3, "came back")
    assert box.live() == live and box.lock() == FREE
