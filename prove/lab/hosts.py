"""The lab's hosts, an operator before them, and what is true inside, read past sshd and without a line of Fairlead."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from support import witness
from support.witness import Photograph, moved

ROOT = Path(__file__).parents[2]
LAB = Path(os.environ.get("LAB_DIR", "/var/lib/fairlead-lab"))
COMMAND = ROOT / "lab/lab.sh"
SITE = "var/www/vhosts/example.org"
LONG = 600.0
"""Seconds for any one command."""
PLACES = {name: f"subdomains/{name}" for name in ("api", "crm", "games", "admin", "n8n")}
PLACES["frontend"] = "subdomains/www"
MIGRATED = ("votes", "crm")
"""Databases that a version brings something into."""

TREES = """
import sys
print(json.dumps({folder: tree(Path(folder)) for folder in sys.argv[1:]}))
"""
ASK_UNIT = """
import json, os, subprocess, urllib.request
ask = ["systemctl", "show", "-p", "MainPID,ActiveState", "api-fastapi"]
unit = dict(line.split("=", 1) for line in subprocess.run(ask, capture_output=True, text=True).stdout.split())
try:
    unit["cwd"] = os.readlink(f"/proc/{unit['MainPID']}/cwd")
    unit["says"] = json.load(urllib.request.urlopen("http://127.0.0.1:8081/version", timeout=5))["release"]
    unit["ready"] = urllib.request.urlopen("http://127.0.0.1:8081/readyz", timeout=5).status
except (OSError, ValueError) as error:
    unit["says"] = str(error)
print(json.dumps(unit))
"""
"""Runs inside the web host."""
ASK_DATABASES = {
    "mariadb": (
        "for d in $(mariadb -Ne \"show databases like 'mo\\\\_%'\"); do printf '%s ' $d; "
        "mariadb-dump --routines --skip-comments --skip-dump-date --order-by-primary $d | sha256sum; done"
    ),
    "pg": (
        'cd /; as() { runuser -u postgres -- "$@"; }; '
        "for d in $(as psql -Atc \"select datname from pg_database where datname like 'mo_%'\"); do "
        "printf '%s ' $d; as pg_dump $d | grep -v restrict | sha256sum; done"
    ),
}
"""All that a database holds, as the server's own tool writes it; run inside, as root."""
SERVERS = {"plesk": "mariadb", "mysql": "mariadb", "pg": "pg"}


class Said(NamedTuple):
    """How a command ended, all that it said, and how long it took."""

    code: int
    text: str
    seconds: float

    def line(self, words: str) -> str:
        """The first line that holds these words; empty = none does."""
        return next((line.strip() for line in self.text.splitlines() if words in line), "")


class Hosts:
    """The lab's hosts, and an operator before them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.more: dict[str, str] = {}
        """Of the operator's environment."""

    def lab(self, *words: str) -> str:
        """`lab.sh WORDS`. Raises RuntimeError with its last words."""
        done = subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=LONG, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"lab.sh {' '.join(words)[:80]}: {done.stderr[-400:]}")
        return done.stdout

    def on(self, host: str, script: str) -> str:
        """A shell script inside a host, as root."""
        return self.lab("exec", host, "sh", "-c", script)

    def fails_on(self, host: str, script: str) -> bool:
        """Whether it does not end with 0."""
        return bool(subprocess.run([COMMAND, "exec", host, "sh", "-c", script], capture_output=True).returncode)

    def root(self, host: str) -> Path:
        """The host's `/`, as its own processes see it."""
        nspawn = int((LAB / "run" / f"{host}.pid").read_text())
        first = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()[0]
        return Path(f"/proc/{first}/root")

    def trees(self, *folders: str) -> dict[str, Photograph]:
        """What the witness sees in folders of the web host, from inside: a link is followed there."""
        script = Path(witness.__file__).read_text() + TREES
        done = subprocess.run(
            [str(COMMAND), "exec", "plesk", "python3", "-", *folders],
            input=script, capture_output=True, text=True, timeout=LONG,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the witness: {done.stderr[-400:]}")
        found: dict[str, Photograph] = json.loads(done.stdout)
        return found

    def set_up(self, *hosts: str) -> None:
        """Boot them, and give the operator a folder with the whole installation."""
        self.lab("up", *hosts)
        for path in (LAB / "operator").iterdir():
            shutil.copy(path, self.folder)
        told = (self.folder / ".env.deployment").read_text()
        self.settings = dict(line.split("=", 1) for line in told.split("\n") if "=" in line)
        self.file = self.folder / "fairlead.yml"
        self.whole = self.file.read_text()

    def address(self, host: str) -> str:
        """Where the others find it."""
        return self.settings[f"LAB_{host.upper()}"]

    def reached_by_ssh(self, host: str) -> bool:
        """Whether a new SSH connection succeeds."""
        words = [str(COMMAND), "ssh", "-o", "ConnectTimeout=5", host, "true"]
        return not subprocess.run(words, capture_output=True, timeout=LONG).returncode

    def anew(self) -> None:
        """The hosts as they were made, and whoever asks them is answered."""
        self.lab("reset", *SERVERS)
        self.file.write_text(self.whole)
        self.forget()
        end = time.monotonic() + 60
        while not all(map(self.reached_by_ssh, SERVERS)):
            if time.monotonic() > end:
                raise RuntimeError("the hosts are up, but their sshd does not answer")

    def forget(self) -> None:
        """The operator's machine is another one: nothing is left but the checkout."""
        for kind in ("state", "cache"):
            shutil.rmtree(self.folder / kind, ignore_errors=True)

    def change(self, old: str, new: str) -> None:
        """Another text in fairlead.yml."""
        text = self.file.read_text()
        if text.count(old) != 1:
            raise RuntimeError(f"fairlead.yml has {text.count(old)} times: {old}")
        self.file.write_text(text.replace(old, new))

    def start(self, *words: str, environment: str = "production") -> subprocess.Popen[str]:
        """`fairlead WORDS` in the operator's namespace."""
        state = {f"XDG_{kind.upper()}_HOME": str(self.folder / kind) for kind in ("state", "cache")}
        command = [f"{COMMAND}", "run", f"{ROOT}/.venv/bin/fairlead", *words, "-e", environment]
        self.began = time.monotonic()
        environ = os.environ | state | {"HOME": str(self.folder)} | self.more
        return subprocess.Popen(
            command, cwd=self.folder, env=environ, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def run(self, *words: str, environment: str = "production") -> Said:
        """The same to its end."""
        return self.end(self.start(*words, environment=environment))

    def end(self, process: subprocess.Popen[str]) -> Said:
        """Wait for the end of what was started last."""
        said, _ = process.communicate(timeout=LONG)
        return Said(process.returncode, said, time.monotonic() - self.began)


def kill(process: subprocess.Popen[str]) -> None:
    """The operator's program and all that it started are gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class Installation(Hosts):
    """The whole installation on the hosts: seven services, seventeen databases, versions of them, and a verdict."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.count = 0
        self.written: dict[str, dict[str, str]] = {}
        """Service -> file -> hash, of the version that was written last."""
        self.before: Photograph = {}
        """What was live when it was."""
        self.length = 0
        """Lines of the record of a deployment."""

    def install(self) -> None:
        """The hosts as they were made, and a first version on them. Raises RuntimeError where that fails."""
        self.anew()
        self.back_up()
        self.write()
        said = self.deploy()
        self.length = self.lines()
        which, wrong = self.verdict()
        if (said.code, which, wrong) != (0, "new", []):
            raise RuntimeError(
                f"the first version: {said.code}, {which}, {wrong}: {' '.join(said.text.split())[-800:]}"
            )

    def back_up(self) -> None:
        """All databases: without backups nothing goes out."""
        for environment in ("production", "staging"):
            said = self.run("db", "backup", environment=environment)
            if said.code:
                raise RuntimeError(f"backups of {environment}: {said.text[-400:]}")

    def write(self, **more: Any) -> None:
        """Write a version that was never seen, and photograph what is live."""
        spec = importlib.util.spec_from_file_location("sources", ROOT / "lab/sources.py")
        assert spec and spec.loader
        sources = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sources)
        self.count += 1
        sources.write(self.folder / "source", f"v{self.count}", **more)
        self.written = {name: _files(self.folder / "source" / name) for name in PLACES}
        self.before = self.photograph()

    def deploy(self) -> Said:
        """Without the watch."""
        return self.run("deploy", "--yes", "--no-watch")

    # -- the record, seen from outside

    def lines(self) -> int:
        """Lines of all records on the host; they only grow."""
        runs = self.root("plesk") / SITE / ".fairlead/production/runs"
        return sum(path.read_bytes().count(b"\n") for path in runs.glob("*.rec")) if runs.is_dir() else 0

    def wait_for_line(self, process: subprocess.Popen[str], number: int) -> bool:
        """False when the deployment ended before."""
        before = self.lines()
        while self.lines() < before + number:
            if process.poll() is not None:
                return False
            time.sleep(0.01)
        return True

    def booted(self, host: str) -> None:
        """Wait until systemd says that the host is up, after a fault."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            asked = subprocess.run(
                [COMMAND, "exec", host, "systemctl", "is-system-running"], capture_output=True, text=True, timeout=LONG
            )
            if asked.stdout.strip() in ("running", "degraded"):
                return
            time.sleep(0.2)
        raise RuntimeError(f"{host} did not come up again")

    # -- what is there

    def photograph(self) -> Photograph:
        """Every file with mode and owner, the unit, and a hash of each database."""
        top = self.root("plesk") / SITE
        lock = top / ".fairlead/production/lock"
        folders = {name: f"/{SITE}/{place}/current" for name, place in PLACES.items()}
        trees = self.trees(*folders.values(), f"/{SITE}/httpdocs")
        return {
            "links": {name: _link(top / place / "current") for name, place in PLACES.items()},
            "trees": {name: trees[folder] for name, folder in folders.items()},
            "marks": {name: _text(top / place / ".live") for name, place in PLACES.items()},
            "parts": [f"{path}" for place in PLACES.values() for path in (top / place).glob("releases/.part-*")],
            "website": trees[f"/{SITE}/httpdocs"],
            "databases": self.databases(),
            "unit": self.unit(wait=(top / PLACES["api"] / "current").exists()),
            "lock": _text(lock).split(),
        }

    def unit(self, *, wait: bool) -> dict[str, str]:
        """Of the API: process, folder, and what it says of itself; it may get some seconds to answer."""
        end = time.monotonic() + (30 if wait else 0)
        while True:
            told: dict[str, str] = json.loads(self.lab("exec", "plesk", "python3", "-c", ASK_UNIT))
            if "ready" in told or time.monotonic() > end:
                return told
            time.sleep(0.5)

    def databases(self) -> dict[str, str]:
        """Name -> a hash of all that it holds, as its server's own tool writes it."""
        told = "".join(self.on(host, ASK_DATABASES[kind]) for host, kind in SERVERS.items())
        sums = (line.split()[:2] for line in told.splitlines())
        return {name: hash_ for name, hash_ in sums if "__" not in name}  # but not what is kept beside

    # -- the verdict

    def verdict(self, *, closed: bool = True) -> tuple[str, list[str]]:
        """`old`, `new` or `mixed`, and everything that is wrong with it."""
        seen, old = self.photograph(), self.before
        which = "old" if not _differs(old, seen) else "new" if not self._not_new(seen) else "mixed"
        wrong = [] if which != "mixed" else [f"not as before: {_differs(old, seen)[:4]}", *self._not_new(seen)[:4]]
        for name, link in seen["links"].items():
            linked, mark = link.removeprefix("releases/"), seen["marks"][name].strip()
            wrong += [f"{name}: linked {linked}, marked {mark}"] if mark != linked else []
        wrong += [f"left behind: {part}" for part in seen["parts"]]
        wrong += [f"the website: {path} {moved(old['website'].get(path), seen['website'].get(path))}"
                  for path in old["website"].keys() | seen["website"].keys()
                  if old["website"].get(path) != seen["website"].get(path)]  # fmt: skip
        linked, unit = seen["links"]["api"].removeprefix("releases/"), seen["unit"]
        if linked and (unit["ActiveState"], Path(unit.get("cwd", "")).name, unit["says"]) != ("active", linked, linked):
            wrong.append(f"api: linked {linked}, but the unit is {unit}")
        lock = seen["lock"]
        wrong += [f"the lock says {' '.join(lock)}"] if closed and lock and (lock[2], lock[4]) != ("free", "-") else []
        return which, wrong

    def _not_new(self, seen: Photograph) -> list[str]:
        """Where what is there is not the version that was written last."""
        wrong = []
        for name, files in self.written.items():
            there = {path: told["sha256"] for path, told in seen["trees"][name].items() if "sha256" in told}
            there.pop("release.json", None)
            wrong += [f"{name} is not the new one"] if there != files else []
        for name, hash_ in seen["databases"].items():
            was = self.before["databases"].get(name)
            if was and (was == hash_) == (name.removeprefix("mo_") in MIGRATED):
                wrong.append(f"{name} is {'as before' if was == hash_ else 'another'}")
        return wrong


def _differs(old: Photograph, new: Photograph) -> list[str]:
    """What of files, links and databases is not as it was; databases that are kept beside do not count."""
    wrong = [f"{name}: link" for name in PLACES if old["links"][name] != new["links"][name]]
    for name in PLACES:
        was, now = old["trees"][name], new["trees"][name]
        paths = [path for path in was.keys() | now.keys() if was.get(path) != now.get(path)]
        wrong += [f"{name}: {path} {moved(was.get(path), now.get(path))}" for path in paths]
    others = [name for name, hash_ in old["databases"].items() if new["databases"].get(name) != hash_]
    return wrong + [f"{name} holds something else" for name in others]


def _link(path: Path) -> str:
    return str(path.readlink()) if path.is_symlink() else ""


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
