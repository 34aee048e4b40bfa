"""Shells that print, an sshd that admits few, and clocks that are an hour off."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterable
from functools import partial

from prove.lab.attempts import one_by_one, unless
from prove.lab.files import ended
from prove.lab.hosts import COMMAND, SITE, Installation, kill
from prove.table import Row

SSHD = "/etc/ssh/sshd_config.d/lab.conf"
WAITS = """
import socket, sys, time
socket = socket.create_connection((sys.argv[1], 22))
print("in", flush=True)
time.sleep(600)
"""
"""Somebody who connects and never logs in."""


def rows(lab: Installation, scale: float, dice: random.Random) -> Iterable[Row]:
    """One after the other on the same hosts; each leaves them as they were."""
    lab.install()
    yield from one_by_one(
        lab,
        (
            ("a shell that prints when it starts", _prints),
            ("MaxSessions 2, so one at a time", partial(_sessions, number=2)),
            ("MaxSessions 1, so none", partial(_sessions, number=1)),
            ("MaxStartups 1, while somebody waits to log in", _startups),
            ("a clock an hour ahead", partial(_clock, off="+1 hour")),
            ("a clock an hour behind", partial(_clock, off="-1 hour")),
        ),
    )


def _prints(lab: Installation) -> tuple[str, list[str]]:
    rc = f"/{SITE}/.bashrc"
    lab.on(
        "plesk", f"printf 'echo welcome to plesk\\nprintf \"no newline\"\\necho oops >&2\\n' >{rc}; chown deploy {rc}"
    )
    try:
        lab.write()
        ready = lab.run("ready")
        wrong = unless("prints text before every command" in ready.text, "ready does not say so", ready)
        note, more = ended(lab, lab.deploy(), 0, "new")
        return note, [*wrong, *more]
    finally:
        lab.on("plesk", f"rm {rc}")


def _sshd(lab: Installation, line: str) -> None:
    """Another line for sshd, or none."""
    lab.on("plesk", f"echo '{line}' >{SSHD} && systemctl restart ssh")
    end = time.monotonic() + 20
    while not lab.reached_by_ssh("plesk"):
        if time.monotonic() > end:
            raise RuntimeError("sshd does not answer")


def _sessions(lab: Installation, number: int) -> tuple[str, list[str]]:
    _sshd(lab, f"MaxSessions {number}")
    try:
        lab.write()
        said = lab.deploy()
    finally:
        _sshd(lab, "")
    return ended(lab, said, 0, "new") if number > 1 else ended(lab, said, 1, "old", "opens no further session")


def _startups(lab: Installation) -> tuple[str, list[str]]:
    lab.write()
    _sshd(lab, "MaxStartups 1")
    words = [str(COMMAND), "run", "python3", "-c", WAITS, lab.address("plesk")]
    waiting = subprocess.Popen(
        words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        assert waiting.stdout
        waiting.stdout.readline()
        refused = lab.deploy()
    finally:
        kill(waiting)
    wrong = unless(refused.code == 1 and "MaxStartups" in refused.text, "nobody was let in", refused)
    said = lab.deploy()
    _sshd(lab, "")
    note, more = ended(lab, said, 0, "new")
    return f"refused after {refused.seconds:.0f} s; then {note}", [*wrong, *more]


def _clock(lab: Installation, off: str) -> tuple[str, list[str]]:
    """All hosts have this machine's clock, so what tells the time there is in its place."""
    shim = f'#!/bin/sh\nexec /usr/bin/date -d "{off}" "$@"\n'
    lab.write()
    (lab.root("plesk") / "usr/local/bin/date").write_text(shim)
    lab.on("plesk", "chmod 755 /usr/local/bin/date")
    try:
        said = lab.deploy()
    finally:
        lab.on("plesk", "rm /usr/local/bin/date")
    return ended(lab, said, 1, "old", "s ahead of ours" if "+" in off else "s behind ours")
