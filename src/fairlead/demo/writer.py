"""The demo's visitors: they read pages and write rows without a pause, and remember which rows were acknowledged.

    writer.py SETTINGS

One thread commits rows straight into every database in turn, one per service posts rows over HTTP and reads the
page. A row's mark goes to the journal only after its commit or its 201: a mark there without its row is a lost row.
Standard library only.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EVERY = 0.05
"""Seconds between two rows of one thread."""


class Journal:
    """The file of acknowledged rows: `DATABASE MARK` in each line."""

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def acknowledge(self, database: str, mark: str) -> None:
        """One write of one line: whole or not there, also when we are killed."""
        os.write(self.file, f"{database} {mark}\n".encode())


def marks(who: str) -> Iterator[str]:
    """Names for rows that nobody gave before: writer, process, start, number."""
    start = f"{who}-{os.getpid()}-{time.time_ns():x}"
    return (f"{start}-{number}" for number in itertools.count())


def write_directly(databases: dict[str, str], journal: Journal) -> None:
    """Commit a row into each database in turn, for ever."""
    connections = {name: sqlite3.connect(path, timeout=5.0, isolation_level=None) for name, path in databases.items()}
    sql = "INSERT INTO entries (mark, at, author, text) VALUES (?, ?, 'writer', 'grüß Gott')"
    for name, mark in zip(itertools.cycle(connections), marks("direct"), strict=False):
        try:
            connections[name].execute(sql, (mark, time.time()))
        except sqlite3.OperationalError:
            pass  # busy for longer than we wait: not acknowledged, so not lost
        else:
            journal.acknowledge(name, mark)
        time.sleep(EVERY)


def visit(name: str, port: int, journal: Journal) -> None:
    """Read the page and post a row to one service, for ever; no answer is no acknowledgement."""
    for mark in marks(name):
        try:
            request(port, "GET / HTTP/1.0\r\n\r\n")
            row = json.dumps({"mark": mark, "text": "by a visitor"})
            head, _, body = request(port, f"POST /rows HTTP/1.0\r\nContent-Length: {len(row)}\r\n\r\n{row}").partition(
                "\r\n\r\n"
            )
            if " 201 " in head.partition("\r\n")[0]:
                journal.acknowledge(json.loads(body)["database"], mark)
        except (OSError, ValueError):
            pass  # the service is being restarted
        time.sleep(4 * EVERY)


def request(port: int, text: str) -> str:
    """Send one request on a connection of its own and return the whole answer. Raises OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
        connection.sendall(text.encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def main(settings: str) -> None:
    """Write until the process is ended."""
    told: dict[str, Any] = json.loads(Path(settings).read_text())
    journal = Journal(told["journal"])
    for name, port in told["services"].items():
        threading.Thread(target=visit, args=(name, port, journal), daemon=True).start()
    write_directly(told["databases"], journal)


if __name__ == "__main__":
    main(sys.argv[1])
