# ruff: noqa: E501 - a program of its own stands in the text
"""How well personal data is told from what only looks like it, in logs that real servers have written.

Recall is measured with valid values in many shapes of lines. False hits are counted in the logs of nginx, MariaDB and
PostgreSQL, in tracebacks of Python, and in lines as journald and programs that log JSON write them; none of them holds
anything of a person, but all sorts of numbers.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from fairlead.checks.personal import Rules, scan
from prove.table import Row
from support.mariadb import MariaDB
from support.personal import SHAPES, VALUES, innocent, personal
from support.ports import free_port
from support.postgres import Postgres

EACH = 60
"""Lines of every kind in every shape."""
LINES = 30_000
"""Requests and statements for each server; half as many lines of the others."""
RECALL, WRONG = 0.99, 1 / 10_000
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log info;
events {{ worker_connections 64; }}
http {{
  access_log {folder}/access.log combined;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d;
  scgi_temp_path {folder}/e; keepalive_requests 1000000;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""
TRACEBACKS = """
import logging, random, sys
logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")
rng = random.Random(int(sys.argv[1]))
def order(number, depth):
    if depth: return order(number, depth - 1)
    return {}[f"{number:010d}-{rng.getrandbits(64):x}"]
for _ in range(int(sys.argv[2])):
    try: order(rng.randrange(10**10), rng.randrange(4))
    except KeyError: logging.exception("order %010d of %s failed after %.6f s", rng.randrange(10**10), hex(rng.getrandbits(128)), rng.random())
"""


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """Recall by kind, then false hits by source, then both in one line."""
    rng = random.Random(seed)
    yield from _recall(rng, max(1, round(EACH * scale)))
    with tempfile.TemporaryDirectory(prefix="fl-privacy-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield from _quiet(Path(folder), rng, max(100, round(LINES * scale)))


def _recall(rng: random.Random, each: int) -> Iterator[Row]:
    lines = list(personal(rng, each))
    began = time.monotonic()
    hits = Counter((hit.line, hit.kind) for hit in scan("\n".join(line.text for line in lines), Rules()))
    took = time.monotonic() - began
    for kind in VALUES:
        mine = [(number, line) for number, line in enumerate(lines, 1) if line.kind == kind]
        missed = [line for number, line in mine if not hits[number, kind]]
        recall = 1 - len(missed) / len(mine)
        shapes = ", ".join(sorted({line.shape for line in missed})) or "none missed"
        failed = [f"recall {recall:.4f}: {shapes}"] if recall < RECALL else []
        yield Row(
            f"recall of {kind} in {len(SHAPES)} shapes", len(mine), failed, took / len(VALUES), f"{kind}: {recall:.4f}"
        )


def _quiet(folder: Path, rng: random.Random, lines: int) -> Iterator[Row]:
    total = wrong = 0
    began = time.monotonic()
    for source, written in (
        ("nginx", _nginx(folder / "nginx", rng, lines)),
        ("MariaDB", _mariadb(folder / "mariadb", rng, lines)),
        ("PostgreSQL", _postgres(rng, lines)),
        ("tracebacks of Python", _tracebacks(rng, lines // 16)),
        ("journald, JSON, builds", "\n".join(innocent(rng) for _ in range(lines // 2))),
    ):
        count = written.count("\n") + 1
        hits = scan(written, Rules())
        texts = written.split("\n")
        shown = "; ".join(f"{hit.kind}: {texts[hit.line - 1][:160]}" for hit in hits[:3])
        failed = [f"{len(hits)} false hits: {shown}"] if len(hits) > max(1, count * WRONG) else []
        yield Row(f"false hits in lines of {source}", count, failed, time.monotonic() - began, f"{source}: {len(hits)}")
        total, wrong, began = total + count, wrong + len(hits), time.monotonic()
    failed = [f"{wrong} false hits in {total} lines"] if wrong > total * WRONG else []
    yield Row("false hits in all lines", total, failed, 0.0, f"{wrong} in {total}")


def _words(rng: random.Random) -> dict[str, str]:
    """Numbers and names of all sorts, for requests and statements."""
    token = rng.randbytes(32)
    return {
        "order": f"{rng.randrange(10**9, 10**10)}",
        "time": f"{rng.randrange(1_700_000_000, 1_830_000_000)}",
        "uuid": str(uuid.UUID(bytes=token[:16], version=4)),
        "hash": hashlib.sha256(token).hexdigest(),
        "version": f"{rng.randrange(30)}.{rng.randrange(40)}.{rng.randrange(200)}",
        "size": f"{rng.random() * 10**6:.3f}",
    }


def _nginx(folder: Path, rng: random.Random, lines: int) -> str:
    (folder / "www").mkdir(parents=True)
    (folder / "www/index.html").write_text("hello")
    port = free_port()
    (folder / "conf").write_text(NGINX.format(folder=folder, port=port))
    server = subprocess.Popen(["nginx", "-c", str(folder / "conf"), "-e", str(folder / "error.log")])
    try:
        _requests(port, rng, lines)
    finally:
        server.terminate()
        server.wait(20)
    return (folder / "access.log").read_text() + (folder / "error.log").read_text()


def _requests(port: int, rng: random.Random, lines: int) -> None:
    """All on one connection, a hundred at a time."""
    end = time.monotonic() + 20
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=60)
            break
        except OSError:  # it is still starting
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
    with connection, connection.makefile("rb") as answers:
        for start in range(0, lines, 100):
            number = min(100, lines - start)
            connection.sendall(b"".join(_request(rng) for _ in range(number)))
            while number:
                line = answers.readline()
                assert line, "nginx has closed the connection"
                number -= line.startswith(b"HTTP/1.1 ")


def _request(rng: random.Random) -> bytes:
    found = _words(rng)
    path = (
        f"/?v={found['version']}"
        if rng.randrange(4)
        else f"/o/{found['order']}/app-{found['hash'][:12]}.js?u={found['uuid']}"
    )
    agent, referer = f"shop/{found['version']} ({found['hash'][:8]})", f"https://x/?t={found['time']}"
    # A body would be taken for a status line one day; HEAD has none.
    return f"HEAD {path}&o={found['order']} HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\nReferer: {referer}\r\n\r\n".encode()


def _statements(rng: random.Random, lines: int) -> Iterator[str]:
    for _ in range(lines):
        found = _words(rng)
        yield rng.choice(
            (
                "insert into o values ({order}, '{uuid}', '{hash}', {size});",
                "select * from o where n = {order} or u = '{uuid}';",
                "update o set s = {size} where n between {time} and {order};",
                "delete from o where h = '{hash}' and n < {time};",
            )
        ).format(**found)


def _mariadb(folder: Path, rng: random.Random, lines: int) -> str:
    with MariaDB(folder, "--general-log", f"--general-log-file={folder}/general") as server:
        server.sql("create database shop; create table shop.o (n bigint, u char(36), h char(64), s double)")
        server.sql("\n".join(_statements(rng, lines)), "shop")
        return (folder / "general").read_text(errors="replace") + (folder / "log").read_text(errors="replace")


def _postgres(rng: random.Random, lines: int) -> str:
    with Postgres("log_statement=all", "log_duration=on", "log_line_prefix=%m [%p] %u@%d ") as server:
        script = server.folder / "statements.sql"
        script.write_text("create table o (n bigint, u text, h text, s float8);\n" + "\n".join(_statements(rng, lines)))
        where = ["-h", str(server.data), "-p", str(server.port), "-U", "postgres", "-q", "-o", os.devnull]
        psql = shutil.which("psql") or "psql"
        subprocess.run([psql, *where, "-f", str(script), "postgres"], check=True, capture_output=True)
        return server.log


def _tracebacks(rng: random.Random, number: int) -> str:
    argv = [sys.executable, "-c", TRACEBACKS, str(rng.randrange(10**6)), str(number)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
