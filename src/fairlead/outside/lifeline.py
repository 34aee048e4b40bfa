"""One wrapper around every command that only looks, the same for local and ssh: see `lifeline.sh`."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache

from fairlead.errors import NotReady
from fairlead.model import Result
from fairlead.outside.files import package_text
from fairlead.outside.process import LIMIT, Child, Ended, Listening, Saying, converse

ENDED = 124
"""The code of a command that was ended because its time was over, as `timeout(1)` has it."""

PATIENCE = 4.0
"""Seconds that the far side has after the end of its life line; it needs 2 to end a stubborn session."""

Start = Callable[[str, Listening], Awaitable[Child]]
"""Starts a shell line somewhere."""

Talk = Callable[[str, Listening, Saying, float], Awaitable[Ended]]
"""Runs a shell line somewhere, for so many seconds at most, and listens to it to its end."""

LOOK = "look"
"""What the script is called where it is a function."""


@dataclass(frozen=True)
class Task:
    """A program to run, with everything that it needs."""

    argv: Sequence[str]
    folder: str = ""
    """Relative to the home unless absolute; empty = the home."""
    stdin: bytes = b""
    timeout: float = 60.0
    """Seconds."""
    keep_end: bool = False
    """Of an output over the limit: True keeps its end, False ends the program."""


@dataclass(frozen=True)
class Broken:
    """The trailer is missing: the shell around the program, or the way to it, ended first."""

    ended: Ended
    begun: bool
    """The program has been started for certain."""


def each_alone(start: Start) -> Talk:
    """Every line in a shell of its own, which `start` starts."""

    async def talk(line: str, listening: Listening, saying: Saying, timeout: float) -> Ended:
        return await converse(await start(line, listening), saying, timeout=timeout, patience=PATIENCE)

    return talk


async def run_on_lifeline(talk: Talk, task: Task, *, known: bool = False) -> Result | Broken:
    """Run `task` with a shell that `talk` reaches. Over its time: code 124, and the program is gone.

    `known`: that shell knows the script as the function `LOOK`.
    Raises NotReady when it prints more than 64 MB, OSError when the shell cannot be started.
    """
    nonce = secrets.token_hex(8)
    listening = Listening(LIMIT, task.keep_end, f" end {nonce}\n".encode())
    ended = await talk(_line(nonce, task, known), listening, Saying(task.stdin), task.timeout)
    if ended.overflowed:
        raise NotReady(f"`{task.argv[0]}` printed more than {LIMIT >> 20} MB and was ended")
    return _read(nonce, ended, task)


def result_of(ended: Ended, timeout: float) -> Result:
    """What a program without the wrapper answered; ended by signal N = 128+N, ended by us after `timeout` = 124."""
    code = ended.code if ended.code >= 0 else 128 - ended.code
    stderr = text(ended.stderr)
    if ended.timed_out:
        code, stderr = ENDED, _after(stderr, timeout)
    return Result(code=code, stdout=text(ended.stdout), stderr=stderr, seconds=ended.seconds)


def text(raw: bytes) -> str:
    """An output as text. What is not UTF-8 is shown as `\\xff`: surrogates could not be written to JSON."""
    return raw.decode("utf-8", "backslashreplace")


def _after(stderr: str, timeout: float) -> str:
    return f"{stderr.rstrip()}\nended after {timeout:g} s".lstrip()


@cache
def script(name: str = "lifeline.sh") -> str:
    """A shell text of this folder without its comments."""
    lines = package_text(f"outside/{name}").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def _line(nonce: str, task: Task, known: bool) -> str:
    # A relative folder gets `./`: `-` and names below CDPATH mean something else to `cd`.
    folder = task.folder if task.folder.startswith("/") else f"./{task.folder}"
    before = (LOOK,) if known else ("exec", "sh", "-c", script(), "fairlead")
    return shlex.join((*before, nonce, str(len(task.stdin)), folder, *task.argv))


def _read(nonce: str, ended: Ended, task: Task) -> Result | Broken:
    code_out, stdout, begun_out = _between(nonce, ended.stdout)
    code_err, stderr, begun_err = _between(nonce, ended.stderr)
    if ended.timed_out:
        return Result(code=ENDED, stdout=stdout, stderr=_after(stderr, task.timeout), seconds=ended.seconds)
    if code_out is None or code_err is None:
        return Broken(ended, begun_out or begun_err)
    return Result(code=code_err, stdout=stdout, stderr=stderr, seconds=ended.seconds)


def _between(nonce: str, raw: bytes) -> tuple[int | None, str, bool]:
    """Exit code, what the program itself printed, and whether its begin was seen."""
    _, begun, tail = raw.rpartition(f"fairlead begin {nonce}\n".encode())
    trailer = re.search(rb"\nfairlead rc (\d+) end " + nonce.encode() + rb"\n", tail)
    said = tail[: trailer.start()] if trailer else tail
    return int(trailer[1]) if trailer else None, text(said), bool(begun)
