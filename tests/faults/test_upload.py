"""Uploads that are cut in the middle."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from support.box import FREE, Box, Boxes, ended, in_place, release, says

HOW = [("rsync", "rsync"), ("tar", "tar"), ("what differs", "tar"), ("docroot", "rsync"), ("docroot, tar", "tar")]
RECEIVES = {"rsync": "case $* in *--server*) ;; *)", "tar": "case $* in *-x*) ;; *)"}
"""Called otherwise, a program is only looked at."""
FEED = 'stdbuf -o0 head -c 200000; : >"$HOME/mark"; while [ -e "$HOME" ]; do sleep 0.1; done'
HALF = f'{{ {FEED}; }} | $REAL "$@"'
"""The far side gets so many bytes and then no more, and the connection stays."""


def shim(program: str, script: str) -> str:
    """What happens the first time that something arrives."""
    return f'{RECEIVES[program]} exec $REAL "$@";; esac; [ ! -e "$HOME/mark" ] || exec $REAL "$@"\n{script}'


def sent(boxes: Boxes, how: str) -> Box:
    """Where a release that differs much goes by this program, or one that differs little does."""
    service = in_place() if "docroot" in how else release()
    box = boxes(sshd={"lacks": ("rsync",) if how.endswith("tar") else ()}, service=service)
    if how != "what differs":
        box.write_much()
    return box


@pytest.mark.parametrize(("how", "program"), HOW)
def test_connection_cut_and_the_upload_is_done_again(boxes: Boxes, how: str, program: str) -> None:
    box = sent(boxes, how)
    box.sshd.shim(program, shim(program, HALF))
    with box.deploying() as process:
        box.until("mark")
        box.sshd.drop_connections()
        says(ended(process), 0, "is done")
    assert box.is_new() and box.lock() == FREE


KILLED = {
    "rsync": f"exec $REAL \"$@\" < <(exec env -u FAIRLEAD_CHANGE setsid sh -c '{FEED}' 2>/dev/null)",
    "tar": 'stdbuf -o0 head -c 200000 | $REAL "$@"',
}
"""The same for rsync, whose feeder is out of the way when it is killed; tar's input ends too early."""


@pytest.mark.parametrize(("how", "program"), HOW)
def test_far_side_ends_in_the_middle_and_all_is_as_it_was(boxes: Boxes, how: str, program: str) -> None:
    box = sent(boxes, how)
    box.sshd.shim(program, shim(program, KILLED[program]))
    before = box.photograph()
    with box.deploying() as process:
        if program == "rsync":
            box.until("mark")
            for pid in box.sshd.running("rsync"):
                os.kill(pid, signal.SIGKILL)
        told = ended(process)
    says(told, 3, "upload")
    assert ("exit code 137 (signal 9)" if program == "rsync" else "Unexpected EOF") in told.text, told.text
    assert box.photograph() == before and box.lock() == FREE


@pytest.mark.parametrize("service", [release(), in_place()], ids=["releases", "docroot"])
def test_a_host_without_rsync_is_said_before_and_in_the_plan(boxes: Boxes, service: dict[str, Any]) -> None:
    box = boxes(sshd={"lacks": ("rsync",)}, service=service)
    box.write_much()
    says(box.run("ready"), 0, "it has no rsync, so releases go as a tar stream", "apt-get install rsync")
    says(box.run("plan"), 0, "as one tar stream")
    says(box.deploy(), 0, "is done")
    assert box.is_new() and box.lock() == FREE
