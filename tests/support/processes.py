"""Looking at processes and waiting for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def mentioning(*texts: str) -> list[int]:
    """Processes that have all `texts` in their command line; one of them must be the test's own, such as a port."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = file.read_bytes()
            if all(text.encode() in words for text in texts) and alive(int(file.parent.name)):
                found.append(int(file.parent.name))
    return found


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for something outside to come true; False when it did not within so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.02)
    return True


async def pid_in(file: Path) -> int:
    """The process id that something writes into `file`, with a newline."""
    assert await until(lambda: file.exists() and file.read_text().endswith("\n")), f"nothing wrote {file}"
    return int(file.read_text())
