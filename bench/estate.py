"""Seven services on a real sshd, once for each side of a comparison, and the sources that all sides deploy."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.result import SCALE

from support.sshd import Sshd
from support.witness import digest, tree

SERVICES = ("api", "crm", "frontend", "games", "admin", "n8n", "website")
"""In the order of deployment; `api` is a process that is restarted, the others are pages."""
UNIT = "api"
FILES = max(20, round(300 * SCALE))
"""Files of each service, 8 KB each on average."""
CHANGED = 10
"""Percent of them that a version changes."""
SETTLE = 1
"""Seconds that the process must last after its restart, on all sides."""

_APP = """\
import socket, sys
version = open("VERSION").read()
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        peer, _ = server.accept()
        with peer:
            peer.settimeout(5)
            peer.recv(65536)
            peer.sendall(f"HTTP/1.0 200 OK\\r\\nContent-Length: {len(version)}\\r\\n\\r\\n{version}".encode())
"""


class Sources:
    """The folder that every side deploys from: version after version, 10 % of the files are other ones."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.version, self._dice = folder, 0, random.Random(3)
        for service in SERVICES:
            for number in range(FILES):
                self._write(service, number)
            (folder / service / "app.py").write_text(_APP)

    def next(self) -> str:
        """Write the next version and return its name."""
        self.version += 1
        for service in SERVICES:
            for number in self._dice.sample(range(FILES), FILES * CHANGED // 100):
                self._write(service, number)
            (self.folder / service / "VERSION").write_text(f"v{self.version}\n")
        return f"v{self.version}"

    def _write(self, service: str, number: int) -> None:
        file = self.folder / service / f"part-{number % 12}" / f"page-{number}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self._dice.randbytes(self._dice.randrange(100, 16_000)))


@dataclass(frozen=True)
class Site:
    """One installation of the seven services in the home of sshd's user."""

    name: str
    home: Path
    """Holds a folder for each service, and `bin/unit`, which is what systemctl is on a server."""
    port: int
    """Where the process listens."""

    def trees(self) -> dict[str, str]:
        """Hashes of what is live, without the file that Fairlead adds."""
        return {name: digest(tree(self.home / name / "current", but=("release.json",))) for name in SERVICES}


@contextmanager
def site(sshd: Sshd, name: str) -> Iterator[Site]:
    """An empty installation; its process is ended with it."""
    made = Site(name, sshd.home / name, _free_port())
    for service in SERVICES:
        (made.home / service / "releases").mkdir(parents=True)
    unit = sshd.write(f"{name}/bin/unit", (Path(__file__).parent / "unit.sh").read_text(), 0o755)
    (unit.parent / "port").write_text(f"{made.port}\n")
    if os.getuid() == 0:
        for path in (made.home, *made.home.rglob("*")):
            shutil.chown(path, sshd.user, sshd.user)
    try:
        yield made
    finally:
        subprocess.run([unit, "stop"], check=True)


@contextmanager
def pages(home: Path) -> Iterator[int]:
    """The web server of the pages of all sides."""
    server = _Server(("127.0.0.1", 0), partial(_Pages, directory=str(home)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A visitor who has seen enough hangs up."""


class _Pages(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _free_port() -> int:
    """Below the range that outgoing connections are given theirs from: the process leaves it for a moment."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(max(lowest - 12_000, 1_100), lowest)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
