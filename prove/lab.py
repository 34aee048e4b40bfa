"""Real servers: what breaks in the lab of systemd hosts while Fairlead deploys there, and what is live afterwards.

Everything happens in the lab's own network namespaces (see lab/README.md). What is true at the end is read inside the
host, past its sshd and without a line of Fairlead.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from prove.table import Row

ROOT = Path(__file__).parents[1]
LAB = Path(os.environ.get("LAB_DIR", "/var/lib/fairlead-lab"))
COMMAND = ROOT / "lab/lab.sh"
SITE = "var/www/vhosts/example.org"
PLACES = {"api": "subdomains/api", "frontend": "subdomains/www", "games": "subdomains/games"}
LONG = 600.0
"""Seconds for any one command."""
HEAVY = 24
"""MiB of the games, so that an upload has a middle."""
ROUNDS = {"reboot": 6, "freeze": 3, "killssh": 6}

LOOK = """
import hashlib, json, os, pathlib, subprocess, sys, urllib.request
site = pathlib.Path(sys.argv[1])
told = {}
for name, place in json.loads(sys.argv[2]).items():
    top = site / place
    link = os.readlink(top / "current") if (top / "current").is_symlink() else ""
    live = (top / ".live").read_text().strip() if (top / ".live").exists() else ""
    files = {}
    if link:
        for path in sorted((top / "current/").rglob("*")):
            if path.is_file() and path.name != "release.json":
                files[str(path.relative_to(top / "current"))] = hashlib.sha256(path.read_bytes()).hexdigest()
    told[name] = {"link": link, "live": live, "files": files, "parts": [p.name for p in top.glob("releases/.part-*")]}
ask = ["systemctl", "show", "-p", "MainPID,ActiveState", "api-fastapi"]
show = subprocess.run(ask, capture_output=True, text=True).stdout
unit = dict(line.split("=", 1) for line in show.split())
try:
    unit["cwd"] = os.readlink(f"/proc/{unit['MainPID']}/cwd")
    unit["says"] = json.load(urllib.request.urlopen("http://127.0.0.1:8081/version", timeout=5))["release"]
except (OSError, ValueError) as error:
    unit["says"] = str(error)
lock = site / ".fairlead/production/lock"
print(json.dumps({"services": told, "unit": unit, "lock": lock.read_text().split() if lock.exists() else []}))
"""
"""Runs inside the host."""

Files = dict[str, dict[str, str]]


@dataclass
class Lab:
    """The hosts, and an operator before them with two versions in hand."""

    folder: Path
    count: int = 0
    live: Files = field(default_factory=dict)

    # -- hosts

    def hosts(self, *words: str) -> str:
        """`lab.sh WORDS`. Raises RuntimeError with its last words."""
        done = subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=LONG, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"lab.sh {' '.join(words[:3])}: {done.stderr[-400:]}")
        return done.stdout

    def booted(self) -> None:
        """Wait until systemd says that the host is up, after a fault."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            asked = subprocess.run(
                [COMMAND, "exec", "plesk", "systemctl", "is-system-running"],
                capture_output=True,
                text=True,
                timeout=LONG,
            )
            if asked.stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise RuntimeError("plesk did not come up again")

    def seen(self) -> dict[str, Any]:
        """What is there, read inside the host; the API gets some seconds to answer."""
        end = time.monotonic() + 30
        while True:
            told: dict[str, Any] = json.loads(
                self.hosts("exec", "plesk", "python3", "-c", LOOK, f"/{SITE}", json.dumps(PLACES))
            )
            if len(told["unit"]["says"]) == 12 or time.monotonic() > end:
                return told
            time.sleep(0.5)

    # -- the operator

    def set_up(self) -> None:
        """An installation of the services that need no database, and nothing deployed yet."""
        self.hosts("up", "plesk")
        self.hosts("reset", "plesk")
        for path in (LAB / "operator").iterdir():
            shutil.copy(path, self.folder)
        file = self.folder / "fairlead.yml"
        told = yaml.safe_load(file.read_text())
        del told["databases"], told["environments"]["staging"]
        placed = told["environments"]["production"]["services"]
        told["services"] = {name: told["services"][name] for name in PLACES}
        told["environments"]["production"]["services"] = {name: placed[name] for name in PLACES}
        for service in placed.values():
            service.pop("databases", None)
        file.write_text(yaml.safe_dump(told, sort_keys=False, width=200))

    def write(self, **more: float) -> Files:
        """Write a version that was never seen; returns what it holds."""
        spec = importlib.util.spec_from_file_location("sources", ROOT / "lab/sources.py")
        assert spec and spec.loader
        sources = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sources)
        self.count += 1
        sources.write(self.folder / "source", f"v{self.count}", **more)
        return {name: _files(self.folder / "source" / name) for name in PLACES}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`fairlead WORDS` in the operator's namespace."""
        state = {f"XDG_{kind.upper()}_HOME": str(self.folder / kind) for kind in ("state", "cache")}
        command = [f"{COMMAND}", "run", f"{ROOT}/.venv/bin/fairlead", *words, "-e", "production"]
        return subprocess.Popen(
            command, cwd=self.folder, env=os.environ | state | {"HOME": str(self.folder)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *words: str) -> tuple[int, str]:
        """The same to its end: exit code, and all that it said."""
        return _end(self.start(*words))

    def deploy(self) -> tuple[int, str]:
        """Without the watch."""
        return self.run("deploy", "--yes", "--no-watch")

    # -- the record, seen from outside

    def lines(self) -> int:
        """Lines of all records on the host; they only grow."""
        runs = LAB / "hosts/plesk" / SITE / ".fairlead/production/runs"
        return sum(path.read_bytes().count(b"\n") for path in runs.glob("*.rec")) if runs.is_dir() else 0

    def wait_for_line(self, process: subprocess.Popen[str], number: int) -> bool:
        """False when the deployment ended before."""
        before = self.lines()
        while self.lines() < before + number:
            if process.poll() is not None:
                return False
            time.sleep(0.01)
        return True

    # -- the verdict

    def verdict(self, new: Files, *, closed: bool = True) -> tuple[str, list[str]]:
        """`old`, `new` or `mixed`, and everything that is wrong with it."""
        seen = self.seen()
        files = {name: told["files"] for name, told in seen["services"].items()}
        which = "old" if files == self.live else "new" if files == new else "mixed"
        wrong = [] if which != "mixed" else ["neither the old nor the new release is live everywhere"]
        for name, told in seen["services"].items():
            linked = told["link"].removeprefix("releases/")
            wrong += [f"{name}: linked {linked}, marked {told['live']}"] if told["live"] != linked else []
            wrong += [f"{name}: left behind {part}" for part in told["parts"]]
        linked, unit = seen["services"]["api"]["link"].removeprefix("releases/"), seen["unit"]
        if (unit["ActiveState"], Path(unit.get("cwd", "")).name, unit["says"]) != ("active", linked, linked):
            wrong.append(f"api: linked {linked}, but the unit is {unit}")
        lock = seen["lock"]
        wrong += [f"the lock says {' '.join(lock)}"] if closed and (lock[2], lock[4]) != ("free", "-") else []
        if which == "new":
            self.live = new
        return which, wrong


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """Needs root."""
    if os.geteuid():
        yield Row("the lab of systemd hosts", 0, ["booting hosts needs root; again as root: `python -m prove lab`"])
        return
    with tempfile.TemporaryDirectory(prefix="fl-prove-lab-") as folder:
        lab, dice = Lab(Path(folder)), random.Random(seed)
        try:
            lab.set_up()
            yield _row(
                "deployed by systemctl over ssh, as an account with sudo for that alone", lambda: _by_systemctl(lab)
            )
            yield _row("a unit that dies three seconds after a restart that succeeded", lambda: _dies(lab))
            yield _row("a disk that is full", lambda: _full(lab))
            yield _row("a disk that fills up while the release arrives", lambda: _fills(lab))
            for kind, title in (
                ("killssh", "every connection's sshd killed"),
                ("reboot", "the host rebooted"),
                ("freeze", "the host frozen"),
            ):
                rounds = max(1, round(ROUNDS[kind] * scale))
                yield _broken(
                    lab, kind, f"{title} in mid-deployment", [dice.randint(1, 10) for _ in range(rounds)], seed
                )
        finally:
            subprocess.run([COMMAND, "down"], capture_output=True, timeout=LONG)


def _row(title: str, attempt: Callable[[], tuple[str, list[str]]]) -> Row:
    began = time.monotonic()
    note, failures = attempt()
    return Row(title, 1, failures, time.monotonic() - began, note)


def _by_systemctl(lab: Lab) -> tuple[str, list[str]]:
    wrong, pids = [], []
    for _ in range(2):
        new = lab.write()
        code, said = lab.deploy()
        which, more = lab.verdict(new)
        wrong += [*_unless((code, which) == (0, "new"), code, which, said), *more]
        pids.append(lab.seen()["unit"]["MainPID"])
    wrong += ["the unit's main process is the same"] if len(set(pids)) < 2 else []
    return f"main process {pids[0]}, then {pids[-1]}", wrong


def _dies(lab: Lab) -> tuple[str, list[str]]:
    new = lab.write(dies=3)
    code, said = lab.deploy()
    which, wrong = lab.verdict(new)
    told = next((line for line in said.splitlines() if "did not last" in line), "")
    wrong += [] if told else ["it was not said that the unit did not last"]
    return f"exit code {code}, {which}: {told.strip()}", [
        *_unless((code, which) == (3, "old"), code, which, said),
        *wrong,
    ]


def _full(lab: Lab) -> tuple[str, list[str]]:
    games = f"/{SITE}/{PLACES['games']}"
    lab.hosts("fault", "plesk", "full", games, "4m")
    new = lab.write(heavy=HEAVY)
    code, said = lab.deploy()
    which, wrong = lab.verdict(new)
    lab.hosts("exec", "plesk", "umount", games)
    return f"exit code {code}, {which}", [*_unless((code, which) == (1, "old"), code, which, said), *wrong]


def _fills(lab: Lab) -> tuple[str, list[str]]:
    games = f"/{SITE}/{PLACES['games']}"
    lab.hosts("fault", "plesk", "full", games, "200m")
    new = lab.write(heavy=3 * HEAVY)
    process = lab.start("deploy", "--yes", "--no-watch")
    lab.wait_for_line(process, 1)
    lab.hosts("fault", "plesk", "fill", games)
    code, said = _end(process)
    which, wrong = lab.verdict(new)
    lab.hosts("exec", "plesk", "umount", games)
    return f"exit code {code}, {which}", [*_unless((code, which) == (3, "old"), code, which, said), *wrong]


def _broken(lab: Lab, kind: str, title: str, lines: list[int], seed: int) -> Row:
    began, tried, failures, told = time.monotonic(), 0, [], []
    for line in lines:
        new = lab.write(heavy=HEAVY)
        process = lab.start("deploy", "--yes", "--no-watch")
        if lab.wait_for_line(process, line):
            tried += 1
            lab.hosts("fault", "plesk", kind)
        code, said = _end(process)
        codes = [code]
        lab.hosts("heal", "plesk")
        lab.booted()
        for _ in range(3):
            if codes[-1] in (0, 3):
                break
            time.sleep(2)
            codes.append(lab.run("resume", "--no-watch")[0])
        which, wrong = lab.verdict(new)
        told.append(f"line {line}: {' '.join(map(str, codes))} {which}")
        wrong += _unless((codes[-1], which) in ((0, "new"), (3, "old")), codes[-1], which, said)
        failures += [f"line {line}: {each}; `python -m prove lab --seed {seed}`" for each in wrong]
    return Row(title, tried, failures, time.monotonic() - began, "; ".join(told))


def _unless(good: bool, code: int, which: str, said: str) -> list[str]:
    return [] if good else [f"exit code {code}, {which} is live: {' '.join(said.split())[-400:]}"]


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=LONG)
    return process.returncode, said


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
