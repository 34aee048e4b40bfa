"""An estate to be cruel to: the demo's, on two accounts, one local and one over a real sshd, and the verdict on it.

What is true of it is read by `support.witness` and by this module from the files themselves; nothing is asked of the
product.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml

from fairlead.demo.config import DEPLOYED, SERVICES
from fairlead.demo.estate import Estate
from support.sshd import Sshd
from support.witness import Witness, disagreements, tree

ENVIRONMENT = "demo"
STATES = {"server": ".fairlead", "annex": ".fairlead-annex"}
"""Account -> its folder below the home that both share."""
PATIENCE = 180.0
"""Seconds after which an operator counts as one that never ends."""
QUIET_WITHIN = 8.0
"""Seconds in which everything that an ended operator started must be gone."""

Tree = dict[str, dict[str, Any]]
Standing = TypeVar("Standing", bound=AbstractContextManager[Any])


@dataclass(frozen=True)
class Size:
    """How much of the demo's estate there is, and how patient it is."""

    services: tuple[str, ...]
    on_annex: tuple[str, ...]
    databases: int
    """Of each service, at most."""
    ttl: int
    beat: int = 5
    watch: Mapping[str, Any] = field(
        default_factory=lambda: {"duration": "1s", "interval": "250ms", "down_for": "5s", "window": "4s"}
    )


SMALL = Size(("crm", "frontend", "games"), ("crm", "games"), 1, 6)
FULL = Size(tuple(SERVICES), ("games", "admin", "n8n"), 9, 8)


OPEN: list[Any] = []
"""Those that stand now, of whatever kind."""
CLOSING = threading.Event()
"""No more of them: everything is being put away."""


@contextmanager
def standing(ground: Standing) -> Iterator[Standing]:
    """Another kind of estate, which is put away too when everything is."""
    OPEN.append(ground)
    try:
        with ground:
            yield ground
    finally:
        OPEN.remove(ground)


def put_away() -> None:
    """End everything, from a signal handler: also what other threads are in the middle of."""
    CLOSING.set()
    for pid in descendants(os.getpid()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for ground in list(OPEN):
        with suppress(Exception):
            ground.__exit__()


class Operator:
    """A running `fairlead`; what it says goes into a file."""

    def __init__(self, words: Iterable[str], folder: Path, environ: Mapping[str, str], said: Path) -> None:
        self.words, self.said, self.finished, self.found_open = tuple(words), said, False, True
        with said.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fairlead", *self.words],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.began = time.monotonic()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def text(self) -> str:
        """What it has said so far."""
        return self.said.read_text(errors="replace")

    def end(self, patience: float = PATIENCE) -> int:
        """Wait for its end; one that never ends is killed, and its exit code is 124."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill(family=True)
            return 124

    def kill(self, *, family: bool) -> None:
        """With -9: it alone, or with all that it has started, before any of them can notice."""
        victims = [self.process.pid]
        with suppress(ProcessLookupError):
            if family:
                os.kill(self.process.pid, signal.SIGSTOP)
                victims += descendants(self.process.pid)
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


class Ground:
    """One estate with its sshd, its operator's home, and what is live on it."""

    def __init__(self, size: Size, lock_host: Literal["server", "annex"]) -> None:
        self.size, self.lock_host = size, lock_host
        self.deployed = tuple(name for name in size.services if name in DEPLOYED)
        self.count, self.acknowledged = 1, 0

    def __enter__(self) -> Self:
        self.stack = ExitStack()
        if CLOSING.is_set():
            threading.Event().wait()
        OPEN.append(self)
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(ValueError):
            OPEN.remove(self)
        self.stack.close()

    def _build(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fl-prove-", dir="/tmp"))
        self.stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.folder.chmod(0o711)  # the writer of rows is another user
        self.sshd = self.stack.enter_context(Sshd(self.folder / "sshd"))
        user = self.sshd.user if os.getuid() == 0 else ""
        self.estate = Estate.create(self.folder / "estate", home=self.sshd.home, user=user)
        self.stack.callback(self._stop)
        self.home, self.operator_home = self.estate.home, self.folder / "operator"
        self.environ = dict(os.environ) | self.sshd.environ
        self.environ |= {"HOME": str(self.operator_home), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environ |= {f"XDG_{kind.upper()}_HOME": str(self.operator_home / kind) for kind in ("state", "cache")}
        self.operator_home.mkdir()
        self._configure()
        self.estate.install_v1()
        self._stop_the_others()
        self.witness = self._witness()
        self.live = self.sources()
        self.backed_up = self.run("db", "backup")
        if self.backed_up.process.returncode:
            raise RuntimeError(f"no backup could be made: {self.backed_up.text}")

    def _configure(self) -> None:
        account = self.sshd.account()
        told = {"connect": "ssh", "address": account.address, "port": account.port, "user": account.user}
        told |= {"key": account.key.name, "known_hosts": account.known_hosts, "state": STATES["annex"]}
        on_annex, size = self.size.on_annex, self.size
        path = self.estate.write_config(
            second=told, on_second=on_annex, watch=size.watch, lease={"ttl": size.ttl, "beat": size.beat}
        )
        document = yaml.safe_load(path.read_text())
        del document["hosts"]["annex"]["home"]  # the login's own
        document["services"] = {name: document["services"][name] for name in size.services}
        place = document["environments"][ENVIRONMENT]
        place["lock_host"] = self.lock_host
        place["services"] = {name: place["services"][name] for name in size.services}
        for name in size.services:
            place["services"][name]["databases"] = place["services"][name]["databases"][: size.databases]
            needs = document["services"][name].get("depends_on", [])
            document["services"][name]["depends_on"] = [each for each in needs if each in size.services]
        used = {base for name in size.services for base in place["services"][name]["databases"]}
        names = document["databases"]["estate"]["names"]
        document["databases"]["estate"]["names"] = {base: names[base] for base in names if base in used}
        self.used = used
        path.write_text(yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=200))

    def _stop_the_others(self) -> None:
        """Services that are not of this size end; rows are written where they are looked for, and nowhere else."""
        for name in (*set(SERVICES) - set(self.size.services), "writer"):
            subprocess.run([*self.estate.control, "stop", name, str(self.home)], check=True, timeout=60, cwd="/")
        file = self.home / "etc" / "writer.json"
        told = json.loads(file.read_text())
        told["databases"] = {name: path for name, path in told["databases"].items() if name[3:] in self.used}
        told["services"] = {name: port for name, port in told["services"].items() if name in self.size.services}
        file.write_text(json.dumps(told))
        self.estate.start(["writer"])

    def _witness(self) -> Witness:
        whole = Witness.of(self.estate.folder)
        # A service may write to each of its databases, though the configuration names fewer: all are looked at.
        return Witness(
            {name: whole.folders[name] for name in self.size.services},
            {name: whole.ports[name] for name in self.size.services},
            whole.databases,
            whole.journal,
        )

    def _stop(self) -> None:
        subprocess.run([*self.estate.control, "stop-all"], stderr=subprocess.DEVNULL, timeout=60, cwd="/")

    # -- operators

    def next_version(self) -> str:
        """A version that was never seen here."""
        self.count += 1
        return f"v{self.count}"

    def write(self, version: str) -> dict[str, Tree]:
        """Lay out the sources of a version; returns their trees."""
        self.estate.write_version(version)
        return self.sources()

    def sources(self) -> dict[str, Tree]:
        """What lies in the sources now, service by service, as `served` would have it."""
        return {name: plain(tree(self.estate.folder / "source" / name)) for name in self.deployed}

    def checkout(self, *, sources: bool) -> Path:
        """A fresh folder with fairlead.yml and nothing else, or with the sources too."""
        folder = Path(tempfile.mkdtemp(prefix="checkout-", dir=self.folder))
        shutil.copy(self.estate.config, folder)
        if sources:
            shutil.copytree(self.estate.folder / "source", folder / "source", symlinks=True)
        return folder

    def operate(self, *words: str, folder: Path | None = None, home: Path | None = None) -> Operator:
        """Start `fairlead WORDS`; `home` is another operator's."""
        environ = self.environ
        if home:
            environ = environ | {f"XDG_{kind.upper()}_HOME": str(home / kind) for kind in ("state", "cache")}
        handle, said = tempfile.mkstemp(prefix="said-", dir=self.folder)
        os.close(handle)
        return Operator(words, folder or self.estate.folder, environ, Path(said))

    def run(self, *words: str, folder: Path | None = None) -> Operator:
        """`fairlead WORDS` to its end."""
        operator = self.operate(*words, folder=folder)
        operator.end()
        return operator

    def forget_home(self) -> None:
        """Delete everything that the operator's machine knew."""
        shutil.rmtree(self.operator_home)
        self.operator_home.mkdir()

    def sweep(self) -> None:
        """Delete what rounds have left in our own folder."""
        for path in self.folder.glob("checkout-*"):
            shutil.rmtree(path)
        for path in self.folder.glob("said-*"):
            path.unlink()

    # -- the record, from the files

    @property
    def state(self) -> Path:
        """The environment's folder on the lock host."""
        return self.home / STATES[self.lock_host] / ENVIRONMENT

    def records(self) -> set[Path]:
        """Every record that there is."""
        return set((self.state / "runs").glob("*.rec"))

    def wait_for_line(self, operator: Operator, old: set[Path], number: int) -> Path | None:
        """Return when a record that is not among `old` has so many lines; None when the operator ended before."""
        while True:
            ended = not operator.runs
            for path in self.records() - old:
                if path.read_bytes().count(b"\n") >= number:
                    return path
            if ended or time.monotonic() > operator.began + PATIENCE:
                return None
            time.sleep(0.003)

    # -- the verdict

    def verdict(self, old: Mapping[str, Tree], new: Mapping[str, Tree]) -> tuple[str, list[str]]:
        """`old` or `new` where the whole estate is that, else `mixed`; and everything that is wrong with it."""
        wrong = [f"still runs: {each}" for each in self.stragglers()]
        services = {name: self.witness.service(name) for name in self.size.services}
        wrong += disagreements({"services": {name: services[name] for name in self.deployed}})
        wrong += [f"{name}: /health says {seen['health']}" for name, seen in services.items() if seen["health"] != 200]
        served = {name: plain(services[name]["tree"]) for name in self.deployed}
        which = "old" if served == old else "new" if served == new else "mixed"
        if which == "mixed":
            wrong += [f"{name} is {_which(served[name], old[name], new[name])}" for name in self.deployed]
        wrong += self.row_troubles()
        wrong += self.leftovers() + self.lock_troubles()
        wrong += [trouble for path in self.records() for trouble in record_troubles(path)]
        return which, wrong

    def row_troubles(self) -> list[str]:
        """No acknowledged row is gone, and rows have been written since we looked last."""
        size = self.estate.acknowledged.stat().st_size
        silent = [] if size > self.acknowledged else ["no row was written"]
        self.acknowledged = size
        return silent + [f"lost row {each}" for each in self.witness.lost_rows()[:3]]

    def leftovers(self) -> list[str]:
        """What a run must not leave behind, whatever became of it."""
        parts = [path for name in self.deployed for path in self.estate.service(name).glob("releases/.part-*")]
        for state in STATES.values():
            parts += (self.home / state / ENVIRONMENT).glob("pg/*")
            parts += (self.home / state / ENVIRONMENT).glob("out/*")
        return [f"left behind: {path.relative_to(self.home)}" for path in parts]

    def open_run(self) -> str:
        """The run that is open, `-` = none."""
        file = self.state / "lock"
        return file.read_text().split()[4] if file.exists() else "-"

    def lock_troubles(self) -> list[str]:
        """The lock must be free and no run open; without a lock nothing was ever begun."""
        file = self.state / "lock"
        if not file.exists():
            return []
        words = file.read_text().split()
        return (
            [] if len(words) == 6 and words[2] == "free" and words[4] == "-" else [f"the lock says {' '.join(words)}"]
        )

    def stragglers(self) -> list[str]:
        """Processes of this estate that belong to no service, once they have had time to end."""
        end = time.monotonic() + QUIET_WITHIN
        while found := self._strangers():
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        return found

    def _strangers(self) -> list[str]:
        known = {int(file.read_text().split()[0]) for file in (self.home / "run").glob("*.pid")}
        known |= {self.sshd.process.pid}
        marks = (str(self.folder).encode(), str(self.sshd.public).encode())
        return [f"{pid} {words}" for pid, words in processes() if pid not in known and _mentions(pid, marks)]


def plain(found: Tree) -> Tree:
    """Names, kinds, modes and contents of a tree, without owners and without the file that Fairlead adds."""
    facts = {path: {key: value for key, value in entry.items() if key != "owner"} for path, entry in found.items()}
    return {path: entry for path, entry in facts.items() if path not in (".", "release.json")}


def _which(served: Tree, old: Tree, new: Tree) -> str:
    return "old" if served == old else "new" if served == new else "neither"


def record_troubles(path: Path) -> list[str]:
    """What the lines of a record say against it: holes, falling tokens. A torn line is none."""
    seen: dict[int, str] = {}
    last_seq = last_token = 0
    for line in path.read_text(errors="replace").splitlines():
        seq, token, words = _line(line)
        if not words or seen.get(seq) == words:
            continue
        if seq != last_seq + 1 or token < last_token:
            return [f"{path.name}: line {seq} of token {token} follows line {last_seq} of token {last_token}"]
        seen[seq], last_seq, last_token = words, seq, token
    return []


def entries(path: Path) -> list[dict[str, Any]]:
    """The entries of a record that are whole."""
    lines = [_line(line)[2] for line in path.read_text(errors="replace").splitlines()]
    return [json.loads(words) for words in lines if words]


def _line(line: str) -> tuple[int, int, str]:
    """Sequence, token and JSON of a line; no JSON where it is torn."""
    fields = line.split(" ", 3)
    if len(fields) != 4:
        return 0, 0, ""
    seq, token, told, words = fields
    if hashlib.sha256(f"{seq} {token} {words}".encode()).hexdigest()[:16] != told:
        return 0, 0, ""
    return int(seq), int(token), words


def processes() -> list[tuple[int, str]]:
    """Every process with its command line; zombies have ended."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words := file.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip():
                found.append((int(file.parent.name), words[:150]))
    return found


def _mentions(pid: int, marks: tuple[bytes, ...]) -> bool:
    told = b""
    for name in ("cmdline", "environ"):
        with suppress(OSError):
            told += Path(f"/proc/{pid}/{name}").read_bytes()
    with suppress(OSError):
        told += os.fsencode(Path(f"/proc/{pid}/cwd").readlink())
    return any(mark in told for mark in marks)


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    parents: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(file.read_text().rpartition(") ")[2].split()[1])
            parents.setdefault(parent, []).append(int(file.parent.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        below = parents.get(todo.pop(), [])
        found += below
        todo += below
    return found


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for something outside; False when it did not come in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
