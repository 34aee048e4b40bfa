"""Every program that is started, with its arguments and its environment: by strace, else by looking at /proc.

strace misses nothing. The look at /proc is for machines that have none or forbid it: it sees what lives for some
milliseconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_EXEC = re.compile(r"^\d+ +execve(?:at)?\((.*)")


@dataclass(frozen=True)
class Program:
    """One start of a program."""

    argv: tuple[bytes, ...]
    """Its path first, where strace saw it."""
    environ: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """What it is called, for messages."""
        return self.argv[0].decode(errors="replace")


@cache
def strace_works() -> bool:
    """Whether this machine lets us trace."""
    if not shutil.which("strace"):
        return False
    return subprocess.run([*tracing(Path("/dev/null")), "true"], capture_output=True, check=False).returncode == 0


def tracing(to: Path) -> list[str]:
    """What to put before a program so that all that it starts is written to a file; `programs` reads that."""
    # -D: strace stays out of the family, so the program is our own child and its end does not wait for its daemons.
    return [
        "strace",
        "--seccomp-bpf",
        "-D",
        "-f",
        "-qq",
        "-xx",
        "-v",
        "-s",
        "300000",
        "-e",
        "trace=execve,execveat",
        "-o",
        str(to),
    ]


@contextmanager
def attached(process: int, to: Path) -> Iterator[None]:
    """Write what a process and all that it begins meanwhile start to a file."""
    words = [word for word in tracing(to) if word != "-D"]
    with subprocess.Popen([*words, "-p", str(process)], stdin=subprocess.DEVNULL) as strace:
        try:
            end = time.monotonic() + 20
            while "TracerPid:\t0\n" in Path(f"/proc/{process}/status").read_text():
                assert time.monotonic() < end and strace.poll() is None, "strace does not attach"
                time.sleep(0.01)
            yield
        finally:
            strace.terminate()


def programs(trace: Path) -> Iterator[Program]:
    """Every start in such a file, in order, also those that failed."""
    for line in trace.read_text().splitlines():
        found = _EXEC.match(line)
        if found:
            path_and_argv, _, environ = found[1].partition("], [")  # hexadecimal: no bracket is in a string
            yield Program(_strings(path_and_argv), _strings(environ.partition("]")[0]))


def started(traces: Path) -> list[tuple[str, Program]]:
    """Every start in the traces of a folder, with the trace's name.

    All but those of `sshd` begin with the operator's own program: its environment is a source, so it is left out.
    """
    found: list[tuple[str, Program]] = []
    for trace in sorted(traces.iterdir()):
        several = list(programs(trace))
        if not trace.name.startswith("sshd") and several:
            several[0] = Program(several[0].argv, ())
        found += [(f"trace {trace.name}", one) for one in several]
    return found


@cache  # most programs get the same environment
def _strings(text: str) -> tuple[bytes, ...]:
    strings = _STRING.findall(text)
    assert not any(cut for _, cut in strings), "strace has cut a string"
    return tuple(bytes.fromhex(digits.replace("\\x", "")) for digits, _ in strings)


class Sampler:
    """Looks at all processes again and again while it is open; for where there is no strace."""

    def __init__(self, every: float = 0.002) -> None:
        """`every`: seconds between two looks."""
        self.every = every
        self.seen: dict[tuple[bytes, bytes], None] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def programs(self) -> list[Program]:
        """What was seen, each once."""
        return [Program(tuple(argv.split(b"\0")), tuple(environ.split(b"\0"))) for argv, environ in self.seen]

    def _look(self) -> None:
        while not self._end.wait(self.every):
            for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - quicker
                with suppress(OSError):
                    argv = Path(f"/proc/{name}/cmdline").read_bytes()
                    self.seen[argv, Path(f"/proc/{name}/environ").read_bytes()] = None
