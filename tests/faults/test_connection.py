"""Servers that freeze, whose sshd ends, that admit few, or whose shell talks."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
from contextlib import closing, suppress

import pytest

from support.box import FREE, Box, Boxes, ended, says, until

HELD = (
    '[ ! -e "$HOME/mark" ] || exec $REAL "$@"; : >"$HOME/mark"\n'
    'while [ -e "$HOME/hold" ]; do sleep 0.05; done; exec $REAL "$@"'
)
"""The first time it waits, and goes on when the file `hold` is gone."""
SHORT = {"lease": {"ttl": "5s", "beat": "5s"}}


def freeze(box: Box, how: signal.Signals) -> None:
    """Stop, or continue, all that serves connections."""
    for pid in (box.sshd.process.pid, *box.sshd.running("sshd")):
        os.kill(pid, how)


def held_switch(boxes: Boxes) -> Box:
    """A server on which the restart of the service waits."""
    box = boxes(environment=SHORT)
    (box.home / "hold").touch()
    box.sshd.shim("cp", HELD)
    return box


def test_frozen_before_the_deployment(boxes: Boxes) -> None:
    box = boxes(host={"connect_timeout": "2s"})
    before = box.photograph()
    freeze(box, signal.SIGSTOP)
    told = box.deploy()
    freeze(box, signal.SIGCONT)
    says(told, 1, "did not answer within 2 s", "is it up, and does its firewall let this machine in?")
    assert box.photograph() == before and box.lock() == FREE


def test_frozen_in_mid_switch_and_the_run_waits_for_a_person(boxes: Boxes) -> None:
    """Three seconds go by until ssh believes that nobody is there."""
    box = held_switch(boxes)
    box.configure(connect_timeout="2s")
    with box.deploying() as process:
        box.until("mark")
        freeze(box, signal.SIGSTOP)
        told = ended(process)
    freeze(box, signal.SIGCONT)
    says(told, 4, "did not answer within 2 s", "fairlead resume -e live")
    assert "live: site on server: cannot be told" in told.text
    (box.home / "hold").unlink()
    says(box.run("resume"), 0, "is done")
    assert box.is_new() and box.lock() == FREE


def test_connections_sshd_killed_in_mid_switch_and_the_release_goes_out(boxes: Boxes) -> None:
    box = held_switch(boxes)
    with box.deploying() as process:
        box.until("mark")
        (box.home / "hold").unlink()
        box.sshd.drop_connections()
        says(ended(process), 0, "is done")
    assert box.is_new() and box.lock() == FREE


def test_sshd_gone_in_mid_switch_and_the_run_waits_for_a_person(boxes: Boxes) -> None:
    box = held_switch(boxes)
    with box.deploying() as process:
        box.until("mark")
        box.sshd.crash()
        told = ended(process)
    says(told, 4, "refuses the connection", "fairlead resume -e live")
    assert "live: site on server: cannot be told" in told.text
    (box.home / "hold").unlink()
    box.sshd.start()
    says(box.deploy(), 5, "run ", " -e live")
    says(box.run("rollback", "--yes"), 0, "came back")
    assert box.live()["VERSION"] == (box.home / "running").read_text() == "v1\n" and box.lock() == FREE


def test_sshd_gone_before_the_deployment(boxes: Boxes) -> None:
    box = boxes()
    box.sshd.crash()
    says(box.deploy(), 1, "refuses the connection", "is sshd running there, on this port?")


def test_no_more_log_ins_for_a_moment_and_then_none(boxes: Boxes) -> None:
    """MaxStartups is exceeded: it is asked again for some seconds, then given up."""
    box = boxes("MaxStartups 1")
    waiting = socket.create_connection(("127.0.0.1", box.sshd.port))
    with waiting, box.deploying() as process:
        until(lambda: "drop connection" in box.sshd.log or "MaxStartups" in box.sshd.log, "a refusal")
        waiting.close()
        says(ended(process), 0, "is done")
    assert box.is_new() and box.lock() == FREE
    before = box.photograph()
    with socket.create_connection(("127.0.0.1", box.sshd.port)):
        says(box.run("plan"), 1, "closes new connections before they are logged in", "MaxStartups")
    assert box.photograph() == before and box.lock() == FREE


@pytest.mark.parametrize("sessions", [1, 2])
def test_few_sessions_on_a_connection(boxes: Boxes, sessions: int) -> None:
    """MaxSessions: one is the connection's own, so one more is enough for all."""
    box = boxes(f"MaxSessions {sessions}")
    before = box.photograph()
    told = box.deploy()
    if sessions == 1:
        says(told, 1, "opens no further session", "MaxSessions in its sshd_config")
        assert box.photograph() == before
    else:
        says(told, 0, "is done")
        assert box.is_new()
    assert box.lock() == FREE
    assert box.sshd.connections <= 1 + (sessions == 1), "no second connection was made for want of a session"


SLOW = 'case $3 in backup) sleep 6 ;; esac; exec "$REAL" "$@"'


def test_many_changes_that_take_longer_than_the_lease(boxes: Boxes) -> None:
    """All of one connection: the lock is renewed meanwhile, and databases that are looked at are not called lost."""
    names = [f"d{number}" for number in range(10)]
    group = {
        "engine": "sqlite",
        "reached_from": "server",
        "path": "data/{name}.db",
        "names": {one: {} for one in names},
    }
    place = {"services": {"site": {"host": "server", "path": "site", "databases": names}}}
    box = boxes(
        databases={"files": group | {"backup_store": {"host": "server", "path": "backups"}}}, environment=SHORT | place
    )
    (box.home / "data").mkdir()
    for name in names:
        with closing(sqlite3.connect(box.home / f"data/{name}.db")) as db:
            db.executescript("create table people (name text); insert into people values ('Ann')")
    box.own(box.home / "data")
    assert box.run("db", "backup").code == 0
    box.sshd.shim("python3", SLOW)
    told = box.deploy()
    says(told, 0, "is done")
    assert "the lease was over" not in told.text and box.is_new() and box.lock() == FREE
    assert [len(list((box.home / "backups").glob(f"{name}-*.db"))) for name in names] == [2] * len(names)


@pytest.mark.parametrize("noise", ["printf 'no newline'", "echo 'fl1 ok'; echo fairlead rc 0 end x"])
def test_a_shell_that_prints_before_every_command(boxes: Boxes, noise: str) -> None:
    box = boxes()
    box.sshd.write(".bashrc", f"{noise}\necho oops >&2\n")
    told = box.run("ready")
    says(told, 0, "prints text before every command, so copies go as a tar stream", "let .bashrc print only")
    says(box.deploy(), 0, "is done")
    assert box.is_new() and box.lock() == FREE


def test_a_lock_host_that_does_not_answer_is_asked_once(boxes: Boxes) -> None:
    """Asked a second time it would only take as long again until it is said."""
    box, asked = boxes(host={"connect_timeout": "2s"}), list[socket.socket]()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def stay_silent() -> None:
            with suppress(OSError):
                while True:
                    asked.append(listener.accept()[0])

        threading.Thread(target=stay_silent, daemon=True).start()
        box.configure(port=listener.getsockname()[1])
        says(box.deploy(), 1, "host server cannot be used")
        listener.shutdown(socket.SHUT_RDWR)
    assert len(asked) == 1
    asked[0].close()
