from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Literal

from fairlead.model.base import Model


class SecretRef(Model):
    """The *name* of a secret. Plans, records and logs may hold it; only `outside/` opens it."""

    name: str
    form: Literal["plain", "pgpass", "mariadb", "mariadb_hash", "json", "url", "age"] = "plain"
    """How it is written for the program that reads it: see `outside/secret_forms.py`."""


class Command(Model):
    """A program and its arguments, as a value: built in one place, run in another, shown in a third."""

    argv: tuple[str, ...]
    cwd: str = ""
    """Folder to run in, relative to the account's home unless absolute; empty = the home."""
    stdin: SecretRef | tuple[SecretRef, ...] | None = None
    """A secret, or several one after the other, handed over on standard input, never in argv or environment."""
    timeout: float = 60.0
    """Seconds after which the command is ended and counts as failed."""
    several: bool = False
    """A probe that can be asked about several things at once, with an argument for each in place of its last one; it
    prints `N WORD` for each then."""

    def __str__(self) -> str:
        line = shlex.join(self.argv)
        return f"cd {shlex.quote(self.cwd)} && {line}" if self.cwd else line


class Result(Model):
    """What a command answered. `code` is the command's own; a broken transport is an error, never a code."""

    code: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True when the command exited 0."""
        return self.code == 0

    def cleaned(self, clean: Callable[[str], str]) -> Result:
        """The same with `clean`, such as one that takes secrets out, applied to all that was said, before it is cut."""
        return self.model_copy(update={"stdout": clean(self.stdout), "stderr": clean(self.stderr)})

    @property
    def last_words(self) -> str:
        """The end of what it said, for a message: stderr before stdout, one line, 300 characters at most."""
        return " ".join((self.stderr.strip() or self.stdout.strip()).split())[-300:]


def shell(script: str, *args: str, cwd: str = "", timeout: float = 60.0) -> Command:
    """A POSIX shell script as a command; `args` are $1, $2, ...: values never become part of the script's text."""
    return Command(argv=("sh", "-c", script, "fairlead", *args), cwd=cwd, timeout=timeout)


_TOGETHER = """\
number=0
while [ $# -gt 0 ]; do
  number=$((number + 1))
  (said=$(timeout "$1" sh -c "$2" 2>/dev/null </dev/null) || said=
  set -f; set -- $said; [ $# -eq 0 ] || shift $(($# - 1)); printf '%s %s\\n' "$number" "${1-}") &
  shift 2
done
wait
"""


def together(commands: Sequence[Command]) -> Command:
    """Commands without input, at once and in one trip. It prints `N WORD` for each: its number from 1, its last word.

    A command that failed, or whose own time was over, has no word.
    """
    words = (word for one in commands for word in (f"{one.timeout:g}", str(one)))
    return shell(_TOGETHER, *words, timeout=max(one.timeout for one in commands) + 10.0)


def side_by_side(commands: Sequence[Command]) -> Command:
    """Two or more commands that are `several`, and differ in their last argument only, as one that prints `N WORD` for
    each, as `together` does.
    """
    return commands[0].model_copy(update={"argv": (*commands[0].argv[:-1], *(one.argv[-1] for one in commands))})
