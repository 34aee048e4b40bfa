"""Two real MariaDB servers on loopback ports, started once for all tests that ask; data and log lie in one folder.

As root they run as the account `mysql`. One speaks TLS, with a certificate for 127.0.0.1 by an authority of the
tests; the other is plain.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from fairlead.config.database import DatabaseSpec, MaintenanceAccount, StoreSpec
from fairlead.model import SecretRef
from fairlead.outside.secrets import Secrets
from support.ports import free_port

ROOT = "MARIADB_ROOT"
"""Name of the secret with the password of `fairlead`, who may do everything."""
USER = "MARIADB_USER"
"""Name of the secret with the password of `svc`, who may read and write where it was told so."""
PASSWORDS = {ROOT: "r00t-of-the-tests", USER: "svc-of-the-tests"}
SECRETS = Secrets(environ=PASSWORDS)


class MariaDB:
    """One server: `with MariaDB(folder, ...) as server:`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.data, self.tmp, self.socket, self.port = folder / "data", folder / "tmp", folder / "s", 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        self._own(self.folder)
        # A server that starts deletes what looks like another one's temporary tables in their common folder.
        self.tmp.mkdir()
        self._own(self.tmp)
        _run("mariadb-install-db", "--no-defaults", f"--datadir={self.data}", f"--tmpdir={self.tmp}",
             "--skip-test-db", "--skip-name-resolve", "--auth-root-authentication-method=normal",
             "--innodb-log-file-size=16M", *self._as())  # fmt: skip
        self.start()
        self.sql(
            f"create user fairlead@'%' identified by '{PASSWORDS[ROOT]}'; create user svc@'%' identified by "
            f"'{PASSWORDS[USER]}'; grant all on *.* to fairlead@'%' with grant option; "
            "drop user if exists ''@'localhost'"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, on the port that it had if it had one."""
        for _ in range(5):
            port = self.port or free_port()
            log = (self.folder / "log").open("ab")
            self.process = subprocess.Popen(
                [
                    *(
                        "mariadbd",
                        "--no-defaults",
                        f"--datadir={self.data}",
                        f"--tmpdir={self.tmp}",
                        f"--port={port}",
                        f"--socket={self.socket}",
                    ),
                    *(f"--pid-file={self.folder}/pid", "--bind-address=127.0.0.1", "--skip-name-resolve"),
                    *(
                        "--innodb-flush-log-at-trx-commit=0",
                        "--innodb-log-file-size=16M",
                        "--innodb-buffer-pool-size=64M",
                    ),
                    *("--max-allowed-packet=1G", "--performance-schema=OFF", *self._as(), *self.options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            log.close()
            if self._listens(port):
                self.port = port
                return
        raise RuntimeError(f"mariadbd does not start: {(self.folder / 'log').read_text()[-900:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait until it is gone."""
        with suppress(ProcessLookupError):
            self.process.send_signal(how)
        self.process.wait(30)

    def sql(self, text: str, database: str = "") -> str:
        """Run statements as root over the socket; what they print."""
        words = (
            "--no-defaults",
            "-uroot",
            f"--socket={self.socket}",
            "--default-character-set=utf8mb4",
            "--binary-mode",
        )
        done = subprocess.run(
            ["mariadb", *words, "-N", "-B", *([f"--database={database}"] if database else [])],
            input=text.encode(),
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def databases(self) -> set[str]:
        """The databases that are there, its own left out."""
        own = {"information_schema", "mysql", "performance_schema", "sys"}
        return set(self.sql("show databases").split("\n")) - own - {""}

    def spec(self, name: str = "crm", **more: object) -> DatabaseSpec:
        """The database `mo_NAME` here, as fairlead.yml would describe it, backed up by `fairlead`."""
        store = {key: more.pop(key) for key in ("keep", "max_age") if key in more}
        place = {"path": more.pop("store", "backups"), "host": more.pop("store_host", "here")}
        words: dict[str, object] = {
            "name": name,
            "group": "external",
            "engine": "mariadb",
            "host": "here",
            "environment": "production",
            "database": f"mo_{name}",
            "user": "svc",
            "password": SecretRef(name=USER),
            "maintenance": MaintenanceAccount(user="fairlead", password=SecretRef(name=ROOT)),
            "address": "127.0.0.1",
            "port": self.port,
        }
        return DatabaseSpec.model_validate(words | more | {"store": StoreSpec.model_validate(place | store)})

    def create(self, name: str, sql: str = "", rows: int | None = 10) -> str:
        """Make the database `mo_NAME` that `svc` may use, with a table of so many rows (None = no table)."""
        full = f"mo_{name}"
        table = "create table people (id int primary key auto_increment, name varchar(200), at timestamp);"
        fill = f"insert into people (name) select concat('n', seq) from seq_1_to_{rows};" if rows else ""
        self.sql(
            f"create or replace database `{full}` character set utf8mb4; grant select, insert, update, delete on "
            f"`{full}`.* to svc@'%'; use `{full}`; {table + fill if rows is not None else ''} {sql}"
        )
        return full

    def _as(self) -> list[str]:
        return ["--user=mysql"] if os.getuid() == 0 else []

    def _own(self, path: Path) -> None:
        if os.getuid() == 0:
            os.chown(path, pwd.getpwnam("mysql").pw_uid, -1)

    def _listens(self, port: int) -> bool:
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
                if self.socket.exists():  # it listens there a moment later
                    with socket.socket(socket.AF_UNIX) as local:
                        local.connect(str(self.socket))
                        return True
            time.sleep(0.02)
        self.process.kill()
        self.process.wait()
        return False


class Certificates:
    """An authority, and a certificate of 127.0.0.1 by it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        self.ca, self.key, self.cert = folder / "ca.pem", folder / "key.pem", folder / "cert.pem"
        new = (
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        )
        _run(*new, "-keyout", str(folder / "ca.key"), "-out", str(self.ca), "-subj", "/CN=authority of the tests")
        by = ("-CA", str(self.ca), "-CAkey", str(folder / "ca.key"), "-addext", "subjectAltName=IP:127.0.0.1")
        plain = ("-addext", "basicConstraints=critical,CA:FALSE")
        _run(*new, *by, *plain, "-keyout", str(self.key), "-out", str(self.cert), "-subj", "/CN=127.0.0.1")
        self.key.chmod(0o644)

    @property
    def options(self) -> tuple[str, ...]:
        """What a server needs to speak TLS with them."""
        return (f"--ssl-cert={self.cert}", f"--ssl-key={self.key}", f"--ssl-ca={self.ca}")


def open_folder() -> Path:
    """A new folder that the account `mysql` can reach, which one of root's tests is not."""
    folder = Path(tempfile.mkdtemp(prefix="fl-maria-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


def _run(*argv: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv[0]}: {(done.stderr or done.stdout)[-800:]}"
