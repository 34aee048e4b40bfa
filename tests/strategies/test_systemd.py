"""Restarts that succeed, and what becomes of the unit after: rows of situations, played by a stand-in for systemctl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fairlead.config import HostSpec, ServiceSpec
from fairlead.config.host import PRESETS
from fairlead.config.service import SwitchSpec
from fairlead.journal.target import Done
from fairlead.model import Account
from fairlead.run.runner import _parts, _said
from fairlead.strategies import release, systemd

HOST = HostSpec(name="plesk", account=Account(name="plesk", kind="local"), commands=PRESETS["systemd"])
STAND_IN = Path(__file__).with_name("systemctl")
LOOKS = 4

Look = dict[str, object] | str
"""What systemd says at one look; a text = it cannot be asked, and says that."""


def unit(state: str = "active", sub: str = "running", **more: object) -> dict[str, object]:
    known = {"LoadState": "loaded", "ActiveState": state, "SubState": sub, "Type": "simple", "Result": "success"}
    return {**known, "MainPID": 100, "NRestarts": 0, "ExecMainCode": 0, "ExecMainStatus": 0, **more}


RUNS = unit()
DEAD = unit("failed", "failed", Result="exit-code", MainPID=0, ExecMainCode=1, ExecMainStatus=3)
WAITS = unit("activating", "auto-restart", Result="exit-code", MainPID=0, ExecMainCode=1, ExecMainStatus=1)
STARTS = unit("activating", "start", Type="notify")
RELOADS = unit("reloading", "reload", Type="notify")
DONE = unit("inactive", "dead", MainPID=0, ExecMainCode=1)


class World:
    """A unit with a story, and a shell that runs what a switch runs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.story, programs = folder / "story", folder / "bin"
        self.story.mkdir()
        programs.mkdir()
        for name in ("systemctl", "journalctl"):
            shutil.copy(STAND_IN, programs / name)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        monkeypatch.setenv("UNIT_STORY", str(self.story))
        self.programs = programs

    def play(
        self, looks: tuple[Look, ...], restart: tuple[int, str] = (0, ""), log: tuple[int, str] = (0, "it broke")
    ) -> None:
        for name, (code, words) in {"restart": restart, "log": log}.items():
            (self.story / name).write_text(f"{code}\n{words}\n")
        for number, look in enumerate(looks, 1):
            told = look if isinstance(look, str) else "\n".join(f"{key}={value}" for key, value in look.items())
            (self.story / f"{number}").write_text(f"{int(isinstance(look, str))}\n{told}\n")

    def switch(self, word: Any = "restart", settle: float = LOOKS) -> Done:
        service = ServiceSpec(name="api", unit="api-fastapi", settle=settle)
        lines = systemd.lasting(service, HOST, word)
        done = subprocess.run(["sh", "-c", lines], capture_output=True, text=True, timeout=30)
        return Done(done.returncode, f"{done.stdout}{done.stderr}", 0)

    @property
    def looks(self) -> int:
        return len((self.story / "looks").read_text())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    here = World(tmp_path, monkeypatch)
    (here.programs / "sleep").write_text("#!/bin/sh\n")  # the looks are told apart by their number, not by their time
    (here.programs / "sleep").chmod(0o755)
    monkeypatch.setattr(systemd, "STARTING", 8.0)
    return here


LASTS: dict[str, tuple[Look, ...]] = {
    "it runs on": (RUNS,),
    "it starts slowly, after a command that did not wait": (
        STARTS,
        STARTS,
        STARTS,
        STARTS,
        STARTS,
        STARTS,
        STARTS,
        RUNS,
    ),
    "it is still reloading": (RELOADS, RELOADS, RUNS),
    "it reloads by itself meanwhile": (RUNS, RELOADS, RUNS),
    "it had been started again before, and not since": (unit(NRestarts=3),),
    "a oneshot that has done its work": (unit("inactive", "dead", Type="oneshot", MainPID=0),),
    "a oneshot that stays active": (unit("active", "exited", Type="oneshot", MainPID=0),),
    "a systemd that does not count restarts": (unit(NRestarts=""),),
    "systemctl is not there": ("sh: 1: systemctl: not found",),
    "systemd does not answer": ("Failed to connect to bus: No such file or directory",),
    "systemd stops to answer": (RUNS, RUNS, "Failed to connect to bus"),
    "a unit that another program runs": (unit("inactive", "dead", LoadState="not-found"),),
}

LEFT, ELSE = "did not last {}: ", "did not last {}; another process took its place: "
FAILED = "failed (failed), not started again, exit status 3"
BREAKS: dict[str, tuple[tuple[Look, ...], str]] = {
    "it dies after three seconds": ((RUNS, RUNS, RUNS, DEAD), LEFT + FAILED),
    "it is dead at once": ((DEAD,), LEFT + FAILED),
    "it ends without a complaint": ((RUNS, DONE), LEFT + "inactive (dead), not started again, exit status 0"),
    "it waits to be started again": (
        (RUNS, WAITS),
        LEFT + "activating (auto-restart), not started again, exit status 1",
    ),
    "it is started again and again": (
        (RUNS, unit(MainPID=101, NRestarts=2)),
        ELSE + "active (running), started again 2 times",
    ),
    "it was killed, and started again": (
        (RUNS, unit(NRestarts=1, ExecMainCode=2, ExecMainStatus=9)),
        ELSE + "active (running), started again once, killed by signal 9",
    ),
    "it breaks at the last look": ((*[RUNS] * LOOKS, DEAD), LEFT + FAILED),
    "it never gets to run": ((STARTS,), "was still not there {}: activating (start), not started again"),
    "a oneshot that failed": ((DEAD | {"Type": "oneshot"},), LEFT + FAILED),
}


@pytest.mark.parametrize("looks", LASTS.values(), ids=LASTS)
def test_a_unit_that_lasts_or_cannot_be_asked(world: World, looks: tuple[Look, ...]) -> None:
    world.play(looks)
    assert world.switch().rc == 0


@pytest.mark.parametrize(("looks", "says"), BREAKS.values(), ids=BREAKS)
def test_a_unit_that_does_not(world: World, looks: tuple[Look, ...], says: str) -> None:
    world.play(looks, log=(0, "first line\nTraceback\n  KeyError: 'DB'"))
    done = world.switch()
    assert _said(done) == f"exit code 1: api-fastapi {says.format('after a restart that succeeded')}"
    assert _parts(done)[2] == "    first line\n    Traceback\n      KeyError: 'DB'"


def test_it_is_looked_at_until_it_has_settled(world: World) -> None:
    world.play((RUNS,))
    assert [world.switch(settle=settle) and world.looks for settle in (0, 0.2, 1, 5)] == [2, 2, 2, 6]


def test_what_breaks_is_not_waited_for(world: World) -> None:
    world.play((RUNS, DEAD))
    world.switch(settle=60)
    assert world.looks == 2


UNASKED: dict[str, tuple[Look, str]] = {
    "systemctl is not there": ("sh: 1: systemctl: not found", "sh: 1: systemctl: not found"),
    "systemd does not answer": ("Failed to connect to bus", "Failed to connect to bus"),
    "a unit that another program runs": (unit(LoadState="not-found"), "no such unit"),
}


@pytest.mark.parametrize(("look", "why"), UNASKED.values(), ids=UNASKED)
def test_that_systemd_cannot_be_asked_is_told(world: World, look: Look, why: str) -> None:
    world.play((look,))
    note = _parts(world.switch())[1]
    assert note == f"systemd cannot be asked about api-fastapi ({why}); its health decides"


def test_that_systemd_stops_to_answer_is_told(world: World) -> None:
    world.play((RUNS, RUNS, "Failed to connect to bus"))
    note = _parts(world.switch())[1]
    assert note == ("systemd cannot be asked any more about api-fastapi (Failed to connect to bus); its health decides")


ABSENT = unit("inactive", "dead", LoadState="not-found")
FAILS: dict[str, tuple[tuple[int, str], Look, str]] = {
    "sudo wants a password": ((1, "sudo: a password is required"), RUNS, "sudo: a password is required"),
    "polkit says no": ((4, "Authentication required."), "not on the bus", "Authentication required."),
    "no such unit": ((5, "Unit not found."), ABSENT, "Unit not found."),
    "it does not start": ((1, "Job failed."), DEAD, f"Job failed.; api-fastapi: {FAILED}"),
}


@pytest.mark.parametrize(("restart", "look", "says"), FAILS.values(), ids=FAILS)
def test_a_restart_that_fails_keeps_its_code_and_words(
    world: World, restart: tuple[int, str], look: Look, says: str
) -> None:
    world.play((look,), restart)
    assert _said(world.switch()) == f"exit code {restart[0]}: {says}"


LOGS = {
    "no line": ((0, ""), "its log is empty for this account"),
    "not allowed": ((1, "insufficient permissions"), "its log cannot be read: insufficient permissions"),
}


@pytest.mark.parametrize(("log", "says"), LOGS.values(), ids=LOGS)
def test_a_log_that_says_nothing(world: World, log: tuple[int, str], says: str) -> None:
    world.play((RUNS, DEAD), log=log)
    assert _parts(world.switch())[2].strip() == says


def test_a_reload_is_looked_at_too(world: World) -> None:
    world.play((RUNS, DEAD))
    assert "did not last after a reload that succeeded" in _said(world.switch("reload"))


def test_a_person_is_shown_the_command_alone() -> None:
    service = ServiceSpec(name="api", host="plesk", path="srv", unit="api", on_switch=SwitchSpec(kind="restart"))
    plesk = HOST.model_copy(update={"commands": PRESETS["plesk"]})
    step = release.switch(service, plesk, "b" * 12, "a" * 12)
    assert [step.shows[1], step.shows_back[1]] == ["sudo -n systemctl restart api"] * 2


ROWS = {
    "systemd": ("systemctl show", "journalctl --quiet"),
    "user": ("systemctl --user show", "journalctl --user --quiet"),
    "sudo": ("systemctl show", "sudo -n journalctl --quiet"),
    "plesk": ("systemctl show", "journalctl --quiet"),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_what_each_preset_looks_with(preset: str) -> None:
    commands = PRESETS[preset]
    show, log = (" ".join(commands.argv(word, unit="api")) for word in ("show", "log"))
    assert (show.split(" --property")[0], log.split(" --no-pager")[0]) == ROWS[preset]
    assert show.endswith(" api") and log.endswith(" --unit api")
