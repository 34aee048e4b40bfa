"""An installation to deploy to, in one folder: seven HTTP services, 17 SQLite databases, and visitors who write.

    FOLDER/fairlead.yml        written by `write_config`
    FOLDER/source/api/         the source trees that the next deployment takes, written by `write_version`
    FOLDER/acknowledged.log    `DATABASE MARK` for each row that was acknowledged to its writer
    FOLDER/server/             the home of the account `server`
        services/api/          releases/ID, current, .live as Fairlead lays them out; log/access.log, log/api.log
        data/mo_crm.db         databases
        bin/ etc/ run/         programs, settings and pid files of the host: what systemd is elsewhere

Only its processes touch it while it runs; everything it starts is in a pid file in `server/run`.
"""

from __future__ import annotations

import json
import os
import pwd
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from fairlead.demo.config import DATABASES, DEPLOYED, SERVICES, Config
from fairlead.demo.sources import Mode, install, tree_of, write_source
from fairlead.errors import NotReady

SEEDED = 120
"""Rows in each database before the writer begins."""

SCHEMA = """
PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, mark TEXT NOT NULL UNIQUE, at REAL NOT NULL, author TEXT,
                      text TEXT, amount NUMERIC, data BLOB);
CREATE INDEX entries_at ON entries (at);
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE VIEW newest AS SELECT * FROM entries ORDER BY id DESC LIMIT 10;
"""


@dataclass(frozen=True)
class Estate:
    """The installation; `create` builds one, `open` finds it again in another process."""

    folder: Path
    home: Path
    """Where services, databases and programs of the host lie."""
    python: str
    """The interpreter that runs services, writer and control."""
    ports: dict[str, int]
    user: str = ""
    """Runs the services and owns the files; empty = whoever calls. Another user needs root."""

    @classmethod
    def create(cls, folder: Path, *, home: Path | None = None, user: str = "") -> Estate:
        """Build databases, programs and the sources of v1 in `folder`; nothing runs yet.

        `home` may lie elsewhere, such as in the home of the user whom sshd admits. The folder must be empty or absent.
        """
        folder = folder.absolute()
        python = shutil.which("python3", path=os.defpath) if user else os.path.realpath(sys.executable)
        estate = cls(folder, (home or folder / "server").absolute(), python or sys.executable, free_ports(), user)
        for name in ("bin", "etc", "run", "data", "services"):
            (estate.home / name).mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(DATABASES):
            seed(estate.database(name), number)
        estate._install_programs()
        estate.write_version("v1")
        told = {**asdict(estate), "folder": str(estate.folder), "home": str(estate.home)}
        (folder / "estate.json").write_text(json.dumps(told, indent=2) + "\n")
        estate._give_away()
        return estate

    @classmethod
    def open(cls, folder: Path) -> Estate:
        """The estate that `create` made in this folder."""
        told = json.loads((folder / "estate.json").read_text())
        return cls(**{**told, "folder": Path(told["folder"]), "home": Path(told["home"])})

    @property
    def config(self) -> Path:
        """The fairlead.yml that `write_config` writes."""
        return self.folder / "fairlead.yml"

    @property
    def acknowledged(self) -> Path:
        """The journal of acknowledged rows: `DATABASE MARK` in each line."""
        return self.folder / "acknowledged.log"

    @property
    def urls(self) -> dict[str, str]:
        """Where each service answers."""
        return {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}

    @property
    def control(self) -> list[str]:
        """The command that `start|stop|restart|status NAME FOLDER` or `stop-all` follows."""
        return [self.python, "-I", "-S", str(self.home / "bin" / "control.py")]

    def service(self, name: str) -> Path:
        """The folder of a service on the host."""
        return self.home / "services" / name

    def database(self, name: str) -> Path:
        """The file of a database, by its short name such as `crm`."""
        return self.home / "data" / f"mo_{name}.db"

    def write_version(self, version: str, *, broken: str = "", mode: Mode = "errors") -> None:
        """Write the source trees of a version; the service `broken` gets one that is wrong in the way of `mode`.

        errors: /health is good, a growing share of the requests on / is answered with 500. unhealthy: /health says
        503. dead: the process ends one second after its start.
        """
        for name in SERVICES if version == "v1" else DEPLOYED:
            write_source(self.folder / "source" / name, name, version, mode if name == broken else "ok")

    def release_of(self, name: str) -> str:
        """The id that the source as it lies there now will have as a release."""
        return tree_of(self.folder / "source" / name).hash[:12]

    def install_v1(self) -> None:
        """Lay v1 out as a deployment by Fairlead leaves it, and start all services and the writer."""
        self.write_version("v1")
        for name in SERVICES:
            install(self.folder / "source" / name, self.service(name), name, "v1")
        self._give_away()
        self.start()

    def start(self, names: Iterable[str] = (*SERVICES, "writer")) -> None:
        """Start processes, all at once; those that run already stay. Raises NotReady with what one of them said."""
        begun = {name: self._control("start", name) for name in names}
        said = {name: process.communicate()[1] for name, process in begun.items()}
        failed = [said[name] or f"{name} does not start" for name, process in begun.items() if process.returncode]
        if failed:
            raise NotReady("; ".join(failed))

    def stop(self) -> None:
        """End every process that the estate started, also those that a deployment restarted."""
        self._run("stop-all").communicate()

    def write_config(
        self,
        kind: Literal["local", "ssh"] = "local",
        *,
        account: Mapping[str, Any] | None = None,
        second: Mapping[str, Any] | None = None,
        on_second: Iterable[str] = ("games", "admin", "n8n"),
        watch: Mapping[str, Any] | None = None,
        lease: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write fairlead.yml for this estate and return its path.

        local: one account `server` whose home is ours; paths are relative to it. ssh: `account` is the entry below
        `hosts` (address, port, user, key, known_hosts, ...); paths are absolute, since its home need not be ours.
        `second` adds the account `annex`, which the services `on_second` are deployed with. `watch` and `lease` replace
        single values.
        """
        config = Config(self.home, self.python, self.ports, kind, tuple(on_second) if second is not None else ())
        document = config.document(account or {}, second, watch or {}, lease or {})
        self.config.write_text(
            "# The demo's installation.\n"
            + yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=200)
        )
        return self.config

    def _install_programs(self) -> None:
        here = Path(__file__).parent
        for program in ("service.py", "writer.py", "control.py", "migrate.py"):
            shutil.copyfile(here / program, self.home / "bin" / program)
        for name, databases in SERVICES.items():
            self._settings(
                name,
                program="service.py",
                databases={f"mo_{base}": str(self.database(base)) for base in databases},
                access_log=str(self.service(name) / "log" / "access.log"),
            )
        self._settings(
            "writer",
            program="writer.py",
            databases={f"mo_{name}": str(self.database(name)) for name in DATABASES},
            services=self.ports,
            journal=str(self.acknowledged),
        )

    def _settings(self, name: str, **more: object) -> None:
        told = {"name": name, "port": self.ports.get(name), "python": self.python, **more}
        (self.home / "etc" / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n")

    def _control(self, verb: str, name: str) -> subprocess.Popen[str]:
        return self._run(verb, name, str(self.home if name == "writer" else self.service(name)))

    def _run(self, *words: str) -> subprocess.Popen[str]:
        who = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        return subprocess.Popen([*self.control, *words], stderr=subprocess.PIPE, text=True, cwd="/", **who)  # type: ignore[call-overload, no-any-return]

    def _give_away(self) -> None:
        """Make `user` the owner of everything that its processes write."""
        if not self.user:
            return
        owner = pwd.getpwnam(self.user)
        self.acknowledged.touch()
        for path in (self.acknowledged, self.home, *self.home.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def free_ports() -> dict[str, int]:
    """A free loopback port per service, below the range that outgoing connections are given theirs from."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports: list[int] = []
    for port in random.sample(range(max(lowest - 12_000, 1_100), lowest), 500):
        with socket.socket() as probe:
            if len(ports) < len(SERVICES) and probe.connect_ex(("127.0.0.1", port)):
                ports.append(port)
    return dict(zip(SERVICES, ports, strict=True))


def seed(path: Path, number: int) -> None:
    """Make a database with tables, a view, an index and rows; `number` makes its rows different from the others'."""
    dice = random.Random(number)  # noqa: S311 - rows, not secrets
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(SCHEMA)
    with connection:
        connection.execute("BEGIN")
        rows = [
            (f"seed-{n}", 1.7e9 + n, "Ines Müller", f"line {n} 🙂", n / 4, dice.randbytes(24)) for n in range(SEEDED)
        ]
        connection.executemany("INSERT INTO entries (mark, at, author, text, amount, data) VALUES (?,?,?,?,?,?)", rows)
        connection.executemany("INSERT INTO settings VALUES (?, ?)", [("name", path.stem), ("schema", "v1")])
    connection.close()
