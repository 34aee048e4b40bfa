"""A change of a firewall on trial: what the script leaves on the host, played with a stand-in for ufw."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlead.outside.files import package_text

STAND_IN = Path(__file__).with_name("ufw")
ALLOW, DENY = "prepend allow 22/tcp", "prepend deny 3306/tcp"
BY, BY_ANOTHER = "10.0.0.1 4000 10.0.0.2 22", "10.0.0.1 4001 10.0.0.2 22"
SOON, LATE = "1", "100000"
"""Rounds that the switch waits: a round takes some milliseconds here."""


class Host:
    """An account with ufw, and whoever asks the script there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.etc, self.home, programs = folder, folder / "etc/ufw", folder / "home", folder / "bin"
        for made in (self.etc, self.home, programs):
            made.mkdir(parents=True)
        for name, text in (("ufw.conf", "ENABLED=no\n"), ("user.rules", "allow 80/tcp\n"), ("user6.rules", "# none")):
            (self.etc / name).write_text(text)
        shutil.copy(STAND_IN, programs)
        (programs / "sleep").write_text("#!/bin/sh\nexec /bin/sleep 0.02\n")  # the switch counts rounds, not time
        (programs / "sleep").chmod(0o755)
        self.environ = {"PATH": f"{programs}:/usr/bin:/bin", "ETC": str(self.etc), "FAIRLEAD_CHANGE": "t.1"}

    def start(self, verb: str, *args: str, by: str = BY, **environ: str) -> subprocess.Popen[str]:
        words = [verb, ".fairlead", "ufw", "", str(self.etc), *args]
        return subprocess.Popen(
            ["sh", "-c", 'eval "$1"', "fairlead", package_text("strategies/ufw.sh"), *words],
            cwd=self.home,
            env={**self.environ, "SSH_CONNECTION": by, **environ},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ask(self, verb: str, *args: str, by: str = BY, **environ: str) -> tuple[int, str]:
        process = self.start(verb, *args, by=by, **environ)
        said, _ = process.communicate(timeout=30)
        return process.returncode, said.strip()

    def apply(self, trial: str = LATE, *rules: str, label: str = "one", **environ: str) -> tuple[int, str]:
        return self.ask("apply", label, trial, LATE, "rules", *(rules or (ALLOW, DENY)), **environ)

    def sum(self) -> str:
        told = self.ask("look")[1]
        return next(line.split()[1] for line in told.splitlines() if line.startswith("sum "))

    def keep(self, label: str = "one") -> str:
        """Keep what is there now; its sum."""
        now = self.sum()
        assert self.ask("keep", label, now)[0] == 0 and self.ask("kept", label, now)[1] == "after"
        return now

    @property
    def state(self) -> dict[str, str]:
        """ufw's files and whether it runs."""
        files = {name: (self.etc / name).read_text() for name in ("ufw.conf", "user.rules", "user6.rules")}
        return {**files, "on": str((self.etc / ".on").exists())}

    def flags(self, label: str = "one") -> set[str]:
        names = {path.name.partition(".")[0] for path in (self.home / ".fairlead/.firewall" / label).iterdir()}
        return names - {"before", "after", "switch"}

    def where(self, label: str = "one") -> str:
        return self.ask("probe", label)[1]

    def switches(self) -> list[int]:
        """Processes of switches that wait or work."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"switch" in words and str(self.etc).encode() in words:
                found.append(int(path.parent.name))
        return found


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    for pid in made.switches():
        os.kill(pid, signal.SIGKILL)


def test_what_is_confirmed_in_time_stays(host: Host) -> None:
    host.keep()
    assert host.where() == "before"
    assert host.apply() == (0, "")
    assert (host.where(), host.flags(), len(host.switches())) == ("after", {"armed", "applied"}, 1)
    assert host.ask("confirmed", "one")[1] == "before"
    assert host.ask("confirm", "one", by=BY_ANOTHER) == (0, "")
    until(lambda: not host.switches())
    assert host.ask("confirmed", "one")[1] == "after" and host.where() == "after"
    assert host.state["user.rules"] == "deny 3306/tcp\nallow 22/tcp\nallow 80/tcp\n" and host.state["on"] == "True"


def test_ssh_is_let_in_before_ufw_is_switched_on(host: Host) -> None:
    host.keep()
    host.apply()
    heard = (host.etc / ".heard").read_text().splitlines()
    changes = [line for line in heard if not line.startswith("status")]
    assert changes == [ALLOW, DENY, "enable"]


def test_what_is_not_confirmed_is_brought_back_byte_for_byte(host: Host) -> None:
    before = host.state
    host.keep()
    assert host.apply(SOON)[0] == 0
    until(lambda: "restored" in host.flags())
    until(lambda: not host.switches())
    assert host.state == before
    # The trial was made and led nowhere: that is for the confirmation to say.
    assert host.where() == "after"
    code, said = host.ask("confirm", "one", by=BY_ANOTHER)
    assert (code, said) == (1, "no new connection came in time: the state before was brought back")
    assert host.ask("undo", "one")[0] == 0 and host.where() == "before" and host.state == before


def test_the_connection_that_made_the_change_confirms_nothing(host: Host) -> None:
    host.keep()
    host.apply()
    code, said = host.ask("confirm", "one", by=BY)
    assert (code, said) == (1, "this connection is older than the rules, and proves nothing")
    assert "armed" in host.flags() and host.ask("confirmed", "one")[1] == "before"


def test_the_switch_outlives_whoever_armed_it(host: Host) -> None:
    before = host.state
    host.keep()
    process = host.start("apply", "one", SOON, "40", "rules", ALLOW, DENY, UFW_HANGS="deny")
    until(lambda: "armed" in host.flags() and (host.etc / "user.rules").read_text().startswith("allow 22"))
    assert host.where() == "between"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: "restored" in host.flags())
    assert host.state == before


def test_the_switch_is_no_part_of_the_change(host: Host) -> None:
    """It would be ended with it, or be waited for."""
    host.keep()
    host.apply()
    (pid,) = host.switches()
    assert os.getsid(pid) == pid
    assert {Path(f"/proc/{pid}/fd/{number}").readlink().name for number in (0, 1, 2)} == {"null", "switch.log"}


@pytest.mark.parametrize("running", [False, True], ids=["ufw was off", "ufw was on"])
@pytest.mark.parametrize("moment", ["a rule is refused", "on trial", "confirmed", "gone off"])
def test_undo_brings_back_what_was_there(host: Host, running: bool, moment: str) -> None:
    if running:
        subprocess.run([STAND_IN, "enable"], env=host.environ, check=True)
    before = host.state
    host.keep()
    if moment == "a rule is refused":
        code, said = host.apply(LATE, ALLOW, DENY, UFW_BREAKS="deny")
        assert code == 1 and "ERROR: deny" in said and host.where() == "between"
    else:
        assert host.apply(SOON if moment == "gone off" else LATE)[0] == 0
    if moment == "gone off":
        until(lambda: "restored" in host.flags())
    if moment == "confirmed":
        host.ask("confirm", "one", by=BY_ANOTHER)
        host.ask("unconfirm", "one")
        assert (host.ask("confirmed", "one")[1], host.where()) == ("before", "after")
    for _ in range(2):
        assert host.ask("undo", "one") == (0, "")
        assert (host.where(), host.state) == ("before", before)
    until(lambda: not host.switches())
    assert host.state == before


def test_a_rule_that_ufw_passes_over_is_a_failure(host: Host) -> None:
    host.keep()
    code, said = host.apply(LATE, "prepend allow 80/tcp")
    assert code == 1 and "Skipping" in said


def test_where_ufw_has_moved_nothing_is_done(host: Host) -> None:
    was = host.keep()
    (host.etc / "user.rules").write_text("allow 443/tcp\n")
    code, said = host.apply()
    assert (code, said) == (1, "ufw is no longer as it was when the plan was made")
    assert host.state["user.rules"] == "allow 443/tcp\n" and not host.switches()
    code, said = host.ask("keep", "two", was)
    assert (code, said) == (1, "ufw is no longer as it was when the plan was made")


def test_rules_that_somebody_changed_afterwards_are_not_ours_to_undo(host: Host) -> None:
    host.keep()
    host.apply()
    host.ask("confirm", "one", by=BY_ANOTHER)
    with (host.etc / "user.rules").open("a") as file:
        file.write("allow 443/tcp\n")
    assert host.where() == "cannot_tell"


def test_what_was_kept_comes_back_on_trial_too(host: Host) -> None:
    before = host.state
    host.keep()
    host.apply()
    host.ask("confirm", "one", by=BY_ANOTHER)
    changed = host.state
    host.keep("two")
    assert host.ask("apply", "two", LATE, LATE, "back", "one", by=BY_ANOTHER)[0] == 0
    assert host.state == before and host.where("two") == "after"
    assert host.ask("undo", "two")[0] == 0 and host.state == changed
    assert host.ask("apply", "two", SOON, LATE, "back", "one", by=BY_ANOTHER)[0] == 0
    until(lambda: "restored" in host.flags("two"))
    assert host.state == changed
    assert host.where() == "after"


def test_a_second_attempt_takes_no_switch_over_from_the_first(host: Host) -> None:
    host.keep()
    host.apply()
    host.ask("undo", "one")
    assert host.apply()[0] == 0
    until(lambda: len(host.switches()) == 1)
    assert host.ask("confirm", "one", by=BY_ANOTHER)[0] == 0


def test_confirmed_and_brought_back_are_never_both(host: Host) -> None:
    before, seen, trial, lag = host.state, set[str](), 16, 0
    host.keep()
    for _ in range(12):  # the trial gets as long as a confirmation takes, which looks before it make longer
        assert host.apply(str(trial))[0] == 0
        for _ in range(lag):
            host.where()
        confirmed = host.ask("confirm", "one", by=BY_ANOTHER)[0] == 0
        if confirmed:
            trial, lag = max(1, trial // 2), lag if trial > 1 else 2 * lag + 1
        else:
            trial, lag = trial if lag else trial * 2, lag // 2
        until(lambda: not host.switches())
        flags = host.flags() & {"confirmed", "fired"}
        assert flags == ({"confirmed"} if confirmed else {"fired"})
        assert (host.state == before) is not confirmed
        seen |= flags
        host.ask("undo", "one")
        assert host.state == before
    assert seen == {"confirmed", "fired"}, "the race was not tried"


def test_look_says_whether_a_change_is_on_trial(host: Host) -> None:
    host.keep()
    assert "trial" not in host.ask("look")[1].splitlines()
    host.apply()
    assert "trial" in host.ask("look")[1].splitlines()
    for pid in host.switches():
        os.kill(pid, signal.SIGKILL)  # as a reboot does
    until(lambda: "trial" not in host.ask("look")[1].splitlines())  # whoever inherits them must have heard of their end
    assert "armed" in host.flags()
    assert host.ask("confirm", "one", by=BY_ANOTHER)[0] == 0


def test_look_says_what_stands_in_the_way(host: Host) -> None:
    (host.etc / "user6.rules").unlink()
    told = host.ask("look")[1].splitlines()
    assert f"shut {host.etc}/user6.rules" in told and told[-1] == "whole"
    refused = host.ask("look", UFW_BREAKS="verbose")[1].splitlines()
    assert "refused ERROR: verbose" in [line.strip() for line in refused]
    (host.folder / "bin/ufw").unlink()
    elsewhere = shutil.which("ufw", path="/usr/bin:/bin:/usr/sbin:/sbin")  # the machine may have its own
    assert ("lacks" in host.ask("look")[1].splitlines()) is (elsewhere is None)
