"""One HTTP service of the demo's estate: a process that knows only what its release folder held when it started.

    service.py SETTINGS     with the release's folder as working folder

SETTINGS is the host's half (name, port, databases, access log); `service.json`, `release.json` and the pages come from
the release. Standard library only: `control.py` runs it with any Python of the host.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html; charset=utf-8"}


class Failures:
    """A share of requests that grows from nothing to `most` within `seconds` of the start, spread evenly."""

    def __init__(self, most: float, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self.started, self.owed = time.monotonic(), 0.0
        self.lock = threading.Lock()

    def next_fails(self) -> bool:
        """Tell whether the request in hand is one of those that fail."""
        with self.lock:
            self.owed += self.most * min(1.0, (time.monotonic() - self.started) / self.seconds)
            fails = self.owed >= 1.0
            self.owed -= fails
            return fails


class Service(ThreadingHTTPServer):
    """The server and what it read when it started; a link that moves later does not change what it says it is."""

    daemon_threads = False  # requests in hand are finished before the process ends
    request_queue_size = 128

    def __init__(self, settings: dict[str, Any]) -> None:
        self.name, self.databases = settings["name"], settings["databases"]
        self.release = Path.cwd()
        self.identity = {**json.loads((self.release / "release.json").read_text()), "pid": os.getpid()}
        ways = json.loads((self.release / "service.json").read_text())
        self.mode = ways["mode"]
        self.failures = Failures(ways.get("most", 0.0), ways.get("within", 1.0))
        self.page = (self.release / "index.html").read_bytes()
        self.access_log = Path(settings["access_log"]).open("a", buffering=1)  # noqa: SIM115 - open as long as we run
        self.log_lock = threading.Lock()
        super().__init__(("127.0.0.1", settings["port"]), Handler)

    def rows(self) -> dict[str, int]:
        """Ask each database for its newest row. Raises sqlite3.Error where one does not answer."""
        return {name: ask(path, "SELECT coalesce(max(id), 0) FROM entries") for name, path in self.databases.items()}

    def insert(self, row: dict[str, Any]) -> dict[str, Any]:
        """Commit one row; what is returned may be acknowledged."""
        name = row.get("database", next(iter(self.databases)))
        sql = "INSERT INTO entries (mark, at, author, text) VALUES (?, ?, ?, ?) RETURNING id"
        number = ask(self.databases[name], sql, (row["mark"], time.time(), self.name, row.get("text", "")))
        return {"database": name, "id": number, "mark": row["mark"]}


def ask(path: str, sql: str, values: tuple[object, ...] = ()) -> int:
    """Run one statement that answers with one number, on a connection of its own; a missing file is an error."""
    connection = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=5.0, isolation_level=None)
    try:
        return int(connection.execute(sql, values).fetchall()[0][0])
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Service
    timeout = 1.0  # of a visitor who says nothing, seconds

    def do_GET(self) -> None:
        """Answer a page, a file of the release, the identity or the state of health."""
        path = self.path.partition("?")[0]
        if path == "/":
            self._page()
        elif path == "/health":
            self._health()
        elif path in ("/version", "/release.json"):
            self._json(200, self.server.identity)
        else:
            self._file(self.server.release / path.lstrip("/"))

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def do_POST(self) -> None:
        """`POST /rows` with `{"mark": ..., "text": ...}` commits a row and answers 201 with its id."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            if self.path != "/rows":
                self._json(404, {"error": "not found"})
            else:
                self._json(201, self.server.insert(json.loads(body)))
        except (ValueError, KeyError, sqlite3.IntegrityError) as error:
            self._json(400, {"error": str(error)})
        except sqlite3.Error as error:
            self._json(503, {"error": str(error)})

    def _page(self) -> None:
        if self.server.mode == "errors" and self.server.failures.next_fails():
            self._answer(500, "text/plain", b"internal server error\n")
        else:
            self._answer(200, TYPES[".html"], self.server.page)

    def _health(self) -> None:
        try:
            rows = self.server.rows()
        except sqlite3.Error as error:
            self._json(503, {"status": "unhealthy", "error": str(error)})
            return
        well = self.server.mode != "unhealthy"
        self._json(200 if well else 503, {"status": "healthy" if well else "unhealthy", "databases": rows})

    def _file(self, path: Path) -> None:
        inside = path.resolve().is_relative_to(self.server.release / "static")
        if inside and path.is_file():
            self._answer(200, TYPES.get(path.suffix, "application/octet-stream"), path.read_bytes())
        else:
            self._json(404, {"error": "not found"})

    def _json(self, status: int, document: dict[str, Any]) -> None:
        self._answer(status, "application/json", json.dumps(document).encode() + b"\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self._log(status, len(body))
        self.send_response_only(status)
        for name, value in (("Content-Type", content_type), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _log(self, status: int, size: int) -> None:
        now = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        agent = self.headers.get("User-Agent", "-").replace('"', "'")
        line = f'{self.client_address[0]} - - [{now}] "{self.requestline}" {status} {size} "-" "{agent}"\n'
        with self.server.log_lock:
            self.server.access_log.write(line)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
        """Say nothing beside the access log."""


def leave(*_: object) -> None:
    """End the main thread; the server is closed on the way out."""
    raise SystemExit(0)


def main(settings: str) -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    service = Service(json.loads(Path(settings).read_text()))
    if service.mode == "dead":
        threading.Timer(1.0, os._exit, (1,)).start()
    try:
        service.serve_forever(poll_interval=0.05)
    finally:
        service.server_close()


if __name__ == "__main__":
    main(sys.argv[1])
