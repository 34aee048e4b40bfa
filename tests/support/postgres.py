"""Real PostgreSQL servers on loopback ports, each in a folder of its own that goes with it.

As root they run as the account `postgres`. Accounts log in over TCP with scram-sha-256; only the tests' own sessions
use the socket, which lies in a folder that nobody else may open. TLS has a certificate for `localhost`, by an
authority of the tests.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fairlead.config.database import DatabaseSpec, MaintenanceAccount, StoreSpec
from fairlead.model import SecretRef
from fairlead.outside.secrets import Secrets
from support.ports import free_port

MASTER = "PG_MASTER"
"""Name of the secret with the password of `fairlead`, who may do everything."""
SERVICE = "PG_SERVICE"
"""Name of the secret with the password of `svc`, who owns what a service owns."""
ALL_SIGNS = "".join(chr(sign) for sign in range(32, 127)) + "äß€"
PASSWORDS = {MASTER: "master-of-the-tests", SERVICE: f"{ALL_SIGNS} :\\"}

HBA = """local all all trust
host all +tested 127.0.0.1/32 scram-sha-256
"""


def binary(name: str) -> str:
    """The newest server program of that name on this machine."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return str(folders[-1] / name) if folders else name


class Postgres:
    """One server: `with Postgres(tls=True) as server:`."""

    def __init__(self, *options: str, tls: bool = False, language: str = "", sockets: Path | None = None) -> None:
        """`options` are settings such as `max_connections=5`; `language` is the one of its messages.

        `sockets`: a folder for a socket that others may use too.
        """
        self.options, self.tls, self.sockets = options, tls, sockets
        self.environ = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": language}
        self.port = free_port()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="fl-pg-", dir="/tmp"))
        self.data = self.folder / "data"
        self.data.mkdir(0o700)
        self._own(self.folder, self.data)
        made = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self._run(binary("initdb"), "-D", str(self.data), *made)
        (self.data / "pg_hba.conf").write_text(HBA)
        if self.tls:
            self._certify()
        self.start()
        try:
            self.sql(
                "create role tested",
                f"create role fairlead superuser login password {quoted(PASSWORDS[MASTER])} in role tested",
                f"create role svc login password {quoted(PASSWORDS[SERVICE])} in role tested",
            )
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def authority(self) -> str:
        """The certificate that a client has to trust."""
        return (self.folder / "ca.crt").read_text()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self, *options: str, wait: bool = True) -> None:
        """Start it; after a kill -9 its old processes may take a while to notice, and it refuses to start meanwhile."""
        end = time.monotonic() + 30
        while not self._started(*options, wait=wait):
            assert "pre-existing shared memory block" in self.log[-800:] and time.monotonic() < end, self.log[-800:]
            time.sleep(0.1)

    def _started(self, *options: str, wait: bool) -> bool:
        given = ("listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "log_connections=on")
        ssl = ("ssl=on", f"ssl_cert_file={self.data}/server.crt", f"ssl_key_file={self.data}/server.key")
        words = [
            word for option in (*given, *(ssl if self.tls else ()), *self.options, *options) for word in ("-c", option)
        ]
        sockets = ",".join(map(str, filter(None, (self.data, self.sockets))))
        program = [binary("postgres"), "-D", str(self.data), "-p", str(self.port), "-k", sockets, *words]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                program,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.environ,
                **self._as(),
            )
        end = time.monotonic() + 30
        while wait and subprocess.run(["pg_isready", "-q", "-h", str(self.data), "-p", str(self.port)]).returncode:
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < end, self.log[-800:]
            time.sleep(0.02)
        return True

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it, at once unless `how` says otherwise."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(20)

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """What these print, one row a line; as the superuser."""
        words = [word for one in statements for word in ("-c", one)]
        where = ["-h", str(self.data), "-p", str(self.port), "-U", "postgres", "-d", f"dbname={escaped(database)}"]
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *where, *words], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make(self, name: str, *statements: str, owner: str = "svc") -> None:
        """A database of the service's, filled by these statements; one that exists is left as it is."""
        if name in self.databases:
            return
        self.sql('create database "{}" owner {}'.format(name.replace('"', '""'), owner))
        if statements:
            self.sql(f"set role {owner}", *statements, database=name)

    @property
    def databases(self) -> set[str]:
        return set(self.sql("select datname from pg_database").split("\n"))

    def spec(self, name: str = "idp", **more: object) -> DatabaseSpec:
        """What fairlead.yml would give for the database `mo_NAME`."""
        store = {key: more.pop(key) for key in ("keep", "max_age") if key in more}
        place = {"path": more.pop("store", "backups"), "host": more.pop("store_host", "here")}
        master = MaintenanceAccount(user="fairlead", password=SecretRef(name=MASTER))
        words: dict[str, object] = {
            "name": name, "group": "external", "engine": "postgres", "host": "here", "environment": "production",
            "database": f"mo_{name}", "user": "svc", "password": SecretRef(name=SERVICE), "maintenance": master,
            "address": "127.0.0.1", "port": self.port, "tls": "required" if self.tls else "off",
            "store": StoreSpec.model_validate(place | store),
        }  # fmt: skip
        return DatabaseSpec.model_validate(words | more)

    def _certify(self) -> None:
        """A certificate for `localhost`, by an authority that exists for this server only."""
        ca, mine = self.folder / "ca", self.data / "server"
        new = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self._run(*new, "-x509", "-days", "2", "-subj", "/CN=tests", "-keyout", f"{ca}.key", "-out", f"{ca}.crt")
        self._run(*new, "-subj", "/CN=localhost", "-keyout", f"{mine}.key", "-out", f"{mine}.csr")
        (self.folder / "names").write_text("subjectAltName=DNS:localhost\n")
        signed = ("-CA", f"{ca}.crt", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2")
        names = ("-extfile", f"{self.folder}/names")
        self._run("openssl", "x509", "-req", "-in", f"{mine}.csr", *signed, *names, "-out", f"{mine}.crt")
        Path(f"{mine}.key").chmod(0o600)

    def _as(self) -> dict[str, Any]:
        if os.getuid() != 0:
            return {}
        account = pwd.getpwnam("postgres")
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def _own(self, *paths: Path) -> None:
        for path in paths:
            if os.getuid() == 0:
                shutil.chown(path, "postgres", "postgres")

    def _run(self, *argv: str) -> None:
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, **self._as())
        assert done.returncode == 0, done.stderr


def escaped(text: str) -> str:
    """A value in the words that a client program is told where to go with."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def secrets(**more: str) -> Secrets:
    """Secrets that have the accounts' passwords; an empty value is none."""
    return Secrets(environ={**PASSWORDS, **more})


@contextmanager
def filtered() -> Iterator[int]:
    """A port where nothing is refused and nothing answers: its queue of connections is full."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
            waiting.append(one)
        yield deaf.getsockname()[1]
        for one in waiting:
            one.close()


@contextmanager
def says(*words: bytes) -> Iterator[int]:
    """A port where something else than PostgreSQL answers each connection."""
    program = (
        "import socket,sys\ns=socket.create_server(('127.0.0.1',0))\nprint(s.getsockname()[1],flush=True)\n"
        "while 1:\n c,_=s.accept()\n c.sendall(bytes.fromhex(sys.argv[1]))\n k=c"
    )
    with subprocess.Popen([sys.executable, "-c", program, b"".join(words).hex()], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout
            yield int(other.stdout.readline())
        finally:
            other.kill()
