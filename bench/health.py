"""How long `fairlead health` takes when somebody does not answer, as a person waits for it: the whole process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from bench.result import TIMES, Result, in_seconds, timed

FAIRLEAD = Path(sys.executable).with_name("fairlead")
SLOW = 2.0
"""Seconds that the slow service takes to answer."""


def slow_probe() -> Result:
    """One of three services answers after two seconds."""
    with _server() as url:
        services = {"quick": f"{url}/", "slow": f"{url}/slow", "other": f"{url}/"}
        seconds = _health(services, {}, code=0)
    return in_seconds("health_slow", f"fairlead health, one probe answers after {SLOW:.0f} s", 3, seconds)


def black_hole() -> Result:
    """One service accepts and never speaks; the host of a database does not even accept."""
    with ExitStack() as stack:
        url = stack.enter_context(_server())
        silent = stack.enter_context(_silent(backlog=50))
        full = stack.enter_context(_full())
        services = {"quick": f"{url}/", "silent": f"http://127.0.0.1:{silent}/"}
        seconds = _health(services, {"hole": full}, code=1)
    return in_seconds("health_black_hole", "fairlead health, a host is a black hole", 10, seconds)


def status() -> Result:
    """The activation report beside its slowest answer: what Fairlead itself makes a person wait."""
    with _server() as url, _operator({"quick": f"{url}/"}, {}) as (home, environ):

        def beyond() -> float:
            began = time.perf_counter()
            ran = subprocess.run([FAIRLEAD, "status", "--json"], cwd=home, env=environ, capture_output=True, text=True)
            seconds = time.perf_counter() - began
            return seconds - max(finding["ms"] for finding in json.loads(ran.stdout)["findings"]) / 1000

        seconds = [beyond() for _ in range(TIMES)]
    return in_seconds("status", "fairlead status, beyond its slowest answer", 2, seconds)


def _health(services: dict[str, str], holes: dict[str, int], *, code: int) -> list[float]:
    with _operator(services, holes) as (home, environ):

        def ask() -> None:
            ran = subprocess.run([FAIRLEAD, "health"], cwd=home, env=environ, capture_output=True, text=True)
            assert ran.returncode == code, ran.stdout + ran.stderr

        return [timed(ask) for _ in range(TIMES)]


@contextmanager
def _operator(services: dict[str, str], holes: dict[str, int]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with a fairlead.yml, and the environment of whoever works there."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "fairlead.yml").write_text(yaml.safe_dump(_config(home, services, holes)))
        environ = {
            **os.environ,
            "HOME": folder,
            "XDG_STATE_HOME": f"{folder}/state",
            "XDG_CACHE_HOME": f"{folder}/cache",
        }
        yield home, environ


def _config(home: Path, services: dict[str, str], holes: dict[str, int]) -> dict[str, Any]:
    ssh = {name: {"address": "127.0.0.1", "port": port, "user": "nobody"} for name, port in holes.items()}
    groups = {
        name: {"engine": "sqlite", "reached_from": name, "path": "{name}.db", "names": {f"{name}-db": None}}
        for name in holes
    }
    places = {}
    for name, url in services.items():
        base, _, path = url.rpartition("/")
        places[name] = {"url": base, "health": [{"path": f"/{path}"}]}
    return {
        "fairlead": 1,
        "project": "bench",
        "hosts": {"here": {"connect": "local", "home": str(home)}, **ssh},
        "databases": groups,
        "services": {name: {"strategy": "verify_only"} for name in services},
        "environments": {"bench": {"lock_host": "here", "services": places}},
    }


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(SLOW)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _silent(backlog: int) -> Iterator[int]:
    """A port on loopback where the kernel accepts for a program that never does."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(backlog)
        yield int(listening.getsockname()[1])


@contextmanager
def _full() -> Iterator[int]:
    """A port on loopback whose queue is full: whoever knocks hears nothing, as behind a firewall that drops."""
    with _silent(backlog=0) as port, ExitStack() as stack:
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(("127.0.0.1", port))
        time.sleep(0.2)
        yield port
