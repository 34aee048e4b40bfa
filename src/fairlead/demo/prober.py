"""Looks at every service's page many times a second, as a visitor would, to measure how long nobody was answered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from itertools import pairwise
from types import TracebackType

EVERY = 0.02
"""Seconds between two looks at one service, so the smallest downtime that can be told from none."""


def page(port: int) -> bytes:
    """The page on this loopback port, asked for on a new connection; empty where the answer is not a status 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.0) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            head, _, body = b"".join(iter(lambda: connection.recv(4096), b"")).partition(b"\r\n\r\n")
    except OSError:
        return b""
    return body if b" 200 " in head.partition(b"\r\n")[0] else b""


class Prober:
    """One thread per service while the `with` block runs."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self.good: dict[str, list[float]] = {name: [] for name in ports}
        """By service: the moments at which a good answer had come, on the monotonic clock, in seconds."""
        self.pages: dict[str, set[bytes]] = {name: set() for name in ports}
        """By service: every different page that was seen."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._probe, args=each, daemon=True) for each in ports.items()]

    def __enter__(self) -> Prober:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _probe(self, name: str, port: int) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            if seen := page(port):
                self.good[name].append(time.monotonic())
                self.pages[name].add(seen)
            time.sleep(max(0.0, began + EVERY - time.monotonic()))

    def saw(self, name: str, version: str) -> bool:
        """Whether a page of this version was ever answered."""
        return any(version.encode() in seen for seen in self.pages[name])

    def longest_gap_ms(self, since: float, until: float) -> dict[str, float]:
        """By service: the longest time without a good answer between two moments of the monotonic clock."""
        return {name: round(1000 * longest_gap(good, since, until), 1) for name, good in self.good.items()}


def longest_gap(moments: list[float], since: float, until: float) -> float:
    """Seconds between the two neighbours that are farthest apart; both ends count as neighbours."""
    inside = [since, *(moment for moment in moments if since < moment < until), until]
    return max(later - earlier for earlier, later in pairwise(inside))
