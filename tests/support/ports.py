"""Ports of 127.0.0.1 for the servers of the tests: below those of the demo's estates and of outgoing connections.

So a server that is started again finds its port free, and one that nobody listens on stays so.
"""

from __future__ import annotations

import itertools
import os
import random
import socket
from collections.abc import Iterator

WORKERS = 16
"""So many runs of tests beside each other never look at the same port."""


def _ours() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = list(range(10_000 + worker % WORKERS, 20_700, WORKERS))
    random.SystemRandom().shuffle(ports)
    return itertools.cycle(ports)


PORTS = _ours()


def free_port() -> int:
    """A port where nothing listens, and that was not given out for long."""
    return next(filter(_is_free, PORTS))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
