"""One server with one service on it, behind a real sshd, and an operator before it who runs the real command line.

What is live is read by the witness; a fault is put into the server by programs that stand before its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.operator import Operator
from support.sshd import KEY, Sshd
from support.witness import tree

USE = 'set -e; cp -- "$1/current/VERSION" running; [ ! -e "$1/current/broken" ] || exit 9'
"""What stands for a restart: the process that runs is the file `running`."""
BUSY = {"load": {"warn": 1000, "fail": 1000}}
"""Of a host: tests ask much of this machine."""
HEAVY = 600_000
"""Bytes of one file of every version, so that an upload has a middle."""

Photograph = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Told:
    """How a command ended, and what a person sees of it."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both outputs."""
        return f"{self.out}\n{self.err}"


def says(told: Told, code: int, what: str, hint: str = "") -> None:
    """The command ended with this code, said this sentence and this hint, and no traceback."""
    assert told.code == code, f"ended with {told.code}, not {code}:\n{told.text}"
    assert "Traceback" not in told.text
    assert what in told.text, f"{what!r} is not in\n{told.text}"
    assert any(hint in line for line in told.text.splitlines() if "hint: " in line) or not hint, told.text


def release(**more: Any) -> dict[str, Any]:
    """A service whose releases lie side by side."""
    return {"on_switch": {"run": ["sh", "-c", USE, "x", "site"]}, **more}


def in_place(**more: Any) -> dict[str, Any]:
    """A service in a docroot that stays a folder."""
    return {"strategy": "in_place", **more}


@dataclass
class Box:
    """Everything of it lies in `folder` and in the sshd's home."""

    folder: Path
    sshd: Sshd
    service: dict[str, Any] = field(default_factory=release)
    host: dict[str, Any] = field(default_factory=dict)
    """More keys of the host in fairlead.yml."""
    databases: dict[str, Any] = field(default_factory=dict)
    """Groups of databases, all of this environment."""
    environment: dict[str, Any] = field(default_factory=dict)
    """More keys of the one environment."""
    sources: list[Any] = field(default_factory=list)
    """Where settings and secrets come from, where that is not the environment alone."""
    more: dict[str, Any] = field(default_factory=dict)
    """More keys of fairlead.yml."""
    environ: dict[str, str] = field(default_factory=dict)
    root: Path = Path("/")
    """Where the server's own view of the file system begins."""

    def __post_init__(self) -> None:
        (self.folder / "checkout").mkdir()
        self.operator = Operator(self.folder / "checkout", self.folder / "operator", self.sshd.environ | self.environ)
        self.configure()
        self.write("v1")

    # -- the operator's side

    def configure(self, **host: Any) -> None:
        """Write fairlead.yml, with more keys of the host."""
        login = {"address": "127.0.0.1", "port": self.sshd.port, "user": self.sshd.user, "key": KEY}
        login |= {"known_hosts": str(self.sshd.known_hosts), **BUSY, **self.host, **host}
        environment = {
            "unattended": "allow",
            "watch": {"duration": 0},
            "services": {"site": {"host": "server", "path": "site"}},
            **self.environment,
        }
        document = {
            "fairlead": 1,
            "project": "box",
            **({"sources": self.sources} if self.sources else {}),
            **self.more,
            "hosts": {"server": login},
            "databases": {name: {"environment": "live", **group} for name, group in self.databases.items()},
            "services": {"site": {"source": {"folder": "site", "version": "VERSION"}, **self.service}},
            "environments": {"live": environment},
        }
        (self.operator.folder / "fairlead.yml").write_text(json.dumps(document))

    def write(self, version: str, more: Mapping[str, str] = {}) -> None:
        """The next version of the service, in the checkout."""
        source = self.operator.folder / "site"
        shutil.rmtree(source, ignore_errors=True)
        heavy = f"{version} " * (HEAVY // len(f"{version} "))
        texts = {"VERSION": f"{version}\n", "index.html": version, "same": "same", "heavy": heavy, **more}
        for name, text in texts.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)

    def write_much(self) -> None:
        """The next version differs in more than is sent in one go: it goes by rsync, where there is one."""
        self.write("v2", {"large": "v2 " * 1_500_000})

    def run(self, *words: str) -> Told:
        """A command to its end."""
        done = self.operator.run(*words)
        return Told(done.returncode, done.stdout, done.stderr)

    def deploy(self, *words: str) -> Told:
        """Deploy what lies in the checkout, without asking anybody."""
        return self.run("deploy", "--yes", *words)

    @contextmanager
    def deploying(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """The same, while it goes on; `ended` waits for its end."""
        process = self.operator.start("deploy", "--yes", *words)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    # -- the server's side

    @property
    def home(self) -> Path:
        """The account's home, as the server sees it."""
        return self.root / str(self.sshd.home).removeprefix("/")

    def put(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file of the account in its home."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        self.own(self.home / Path(path).parts[0])
        return file

    def own(self, folder: Path) -> None:
        """Let the account own a folder with all that is in it."""
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{self.sshd.user}:{self.sshd.user}", str(folder)], check=True)

    def until(self, name: str) -> None:
        """Wait until the server has made this file in its home."""
        end = time.monotonic() + 60
        while not (self.home / name).exists():
            assert time.monotonic() < end, f"{name} was never made"
            time.sleep(0.01)

    # -- the witness

    def photograph(self) -> Photograph:
        """Everything in the home but Fairlead's own folder and what the fault itself left."""
        return {path: what for path, what in tree(self.home, but=(".fairlead", "mark")).items() if path != "."}

    def live(self) -> dict[str, str]:
        """The texts that a visitor gets."""
        top = self.home / "site" / ("" if self.service.get("strategy") else "current")
        return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}

    def is_new(self) -> bool:
        """What lies in the checkout is live, and running, and no half of anything lies about."""
        source = self.operator.folder / "site"
        want = {str(path.relative_to(source)): path.read_text() for path in source.rglob("*") if path.is_file()}
        live = {path: text for path, text in self.live().items() if path in want}
        runs = self.service.get("strategy") or (self.home / "running").read_text() == want["VERSION"]
        return live == want and bool(runs) and not list(self.home.rglob(".part-*"))

    def lock(self) -> tuple[str, bool]:
        """`free` or `held`, and whether a run is open."""
        words = (self.home / ".fairlead/live/lock").read_text().split()
        return words[2], words[4] != "-"


Boxes = Callable[..., Box]
"""Makes a box with v1 live; its arguments are options of sshd, then `sshd` for more of that, then fields of `Box`."""
FREE, OPEN = ("free", False), ("free", True)
"""What `lock` says when all is over, and when a run waits to be resumed."""


def ended(process: subprocess.Popen[str]) -> Told:
    """A command that was started, to its end."""
    out, err = process.communicate(timeout=280)
    return Told(process.returncode, out, err)


def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for something outside."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.01)
