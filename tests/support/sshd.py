"""A real sshd on a loopback port, with throw-away keys and a home of its own, for one test or many.

As root it admits the ordinary user `fairlead-test` (made once, without a password); as an ordinary user, that user.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from fairlead.config.source import EnvironmentSource
from fairlead.model import Account, SecretRef
from fairlead.outside.secrets import Secrets
from support.account import tools_without
from support.ports import free_port

SSHD = "/usr/sbin/sshd"
USER = "fairlead-test"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEY = "FAIRLEAD_TEST_SSH_KEY"
"""The name of the secret that holds the path of the key."""


class Sshd:
    """`with Sshd(folder) as sshd:`; keys, configuration and log lie in `folder`, the home in a folder of its own."""

    def __init__(
        self, folder: Path, *options: str, program: tuple[str, ...] = (SSHD,), lacks: tuple[str, ...] = ()
    ) -> None:
        """`program` is what starts it, such as strace before its path; `lacks`: programs that are not installed."""
        self.folder, self.options, self.program, self.lacks = folder, options, program, lacks
        self.port = 0
        self.user = USER if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        self.key, self.known_hosts = folder / "client", folder / "known_hosts"
        self.ssh_config = folder / "ssh_config"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_user()
        # The user must be able to reach it, which a folder of root's tests does not allow.
        self.public = Path(tempfile.mkdtemp(prefix="fl-sshd-", dir="/tmp"))
        self.public.chmod(0o755)
        self.home, self.bin = self.public / "home", self.public / "bin"
        self.home.mkdir(0o755)
        self.bin.mkdir(0o755)
        self.path = tools_without(self.public / "tools", set(self.lacks)) if self.lacks else PATH
        if os.getuid() == 0:
            shutil.chown(self.home, self.user, self.user)
        self._make_keys()
        try:
            self._start()
        except BaseException:
            shutil.rmtree(self.public)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop_connections()
        self.process.terminate()
        self.process.wait(10)
        self._log.close()
        shutil.rmtree(self.public, ignore_errors=True)

    def account(self, name: str = "target", *, state: str = ".fairlead", via: str = "") -> Account:
        """The login, as fairlead.yml would describe it; its key is the secret `KEY`, which `secrets` has."""
        return Account(
            name=name,
            kind="ssh",
            address="127.0.0.1",
            port=self.port,
            user=self.user,
            key=SecretRef(name=KEY),
            known_hosts=str(self.known_hosts),
            via=via,
            state=state,
            connect_timeout=10.0,
        )

    @property
    def environ(self) -> dict[str, str]:
        """What an operator needs in the environment for `account`."""
        return {KEY: str(self.key)}

    @property
    def secrets(self) -> Secrets:
        """Secrets that have the key."""
        return Secrets((EnvironmentSource(),), environ=self.environ)

    @property
    def log(self) -> str:
        """What sshd has said since it was started."""
        return (self.folder / "sshd.log").read_text(errors="replace")

    @property
    def connections(self) -> int:
        """How many TCP connections were made to it since it was started."""
        return self.log.count("Connection from ")

    def running(self, name: str) -> list[int]:
        """Processes of that name that were started over this sshd."""
        return [pid for pid in _below(self.process.pid) if _name(pid) == name]

    def drop_connections(self) -> None:
        """Kill the processes that serve open connections, as a crash of the network would end them."""
        for pid in self.running("sshd"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def crash(self) -> None:
        """Kill it, and everything that it serves."""
        self.process.send_signal(signal.SIGSTOP)  # its children would be somebody else's as soon as it is gone
        self.drop_connections()
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it again, on the port that it had."""
        self._log.close()
        self._start()

    def shim(self, program: str, script: str) -> Path:
        """Put a script before a program of the machine, for whoever logs in; `$REAL` is the program."""
        file = self.bin / program
        file.write_text(f"#!/bin/bash\nREAL={shutil.which(program, path=PATH)}\n{script}\n")
        file.chmod(0o755)
        return file

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file in the home, owned by the user."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        if os.getuid() == 0:
            shutil.chown(file, self.user, self.user)
        return file

    def _make_user(self) -> None:
        if os.getuid() != 0:
            return
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        if not _exists(USER):
            made = subprocess.run(["useradd", "-M", "-d", "/tmp", "-s", "/bin/bash", "-p", "*", USER], check=False)
            assert made.returncode == 0 or _exists(USER), "useradd failed"  # another test may have been faster

    def _make_keys(self) -> None:
        for name in ("host", "client"):
            if not (self.folder / name).exists():
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.folder / name)]
                subprocess.run(command, check=True)
        shutil.copy(self.folder / "client.pub", self.public / "authorized_keys")
        (self.public / "authorized_keys").chmod(0o644)

    def _start(self) -> None:
        for _ in range(5):  # somebody else may take the port between our look and sshd's
            self.port = self.port or free_port()
            (self.folder / "sshd_config").write_text(self._config())
            self._log = (self.folder / "sshd.log").open("w")
            self.process = subprocess.Popen(
                [*self.program, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
            if self._listens():
                self._write_client_files()
                return
            self._log.close()
            self.port = 0
        raise RuntimeError(f"sshd does not start: {self.log[-800:]}")

    def _listens(self) -> bool:
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            if "Server listening on" in self.log:
                return True
            time.sleep(0.01)
        self.process.kill()
        self.process.wait()
        return False

    def _write_client_files(self) -> None:
        host_key = " ".join((self.folder / "host.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key}\n")
        lines = ("HostName 127.0.0.1", f"Port {self.port}", f"User {self.user}", f"IdentityFile {self.key}")
        lines += ("IdentitiesOnly yes", f"UserKnownHostsFile {self.known_hosts}", "StrictHostKeyChecking yes")
        self.ssh_config.write_text("Host target\n" + "".join(f"  {line}\n" for line in lines))

    def _config(self) -> str:
        # HOME and the folder a command starts in are this sshd's own, whatever the user's entry in passwd says.
        original = 'exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"'
        own = (
            f"ListenAddress 127.0.0.1:{self.port}",
            f"HostKey {self.folder}/host",
            f"PidFile {self.folder}/sshd.pid",
            f"AuthorizedKeysFile {self.public}/authorized_keys",
            f"AllowUsers {self.user}",
            f"SetEnv HOME={self.home} PATH={self.bin}:{self.path}",
            f"ForceCommand cd {shlex.quote(str(self.home))} && {original}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UseDNS no",
            "LogLevel VERBOSE",
            "PerSourceMaxStartups none",
        )
        # sshd takes the first value of a keyword, so the test's own options stand first; but the last of MaxStartups.
        busy = any(option.startswith("MaxStartups") for option in self.options)
        return "\n".join((*self.options, *own, *(() if busy else ("MaxStartups 200:30:400",)))) + "\n"


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _below(pid: int) -> list[int]:
    """All descendants of a process."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(") ")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found
