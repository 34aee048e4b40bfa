from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from fairlead.errors import ConfigError

Path = tuple[str | int, ...]
"""The way from the top of the file to a value: keys, and numbers of list items from 0."""

_SIMPLE = re.compile(r"[A-Za-z0-9_.-]{1,60}")


class Mark(NamedTuple):
    """A place in the file, both from 1, as editors count."""

    line: int
    column: int


class Problem(NamedTuple):
    """One thing that is wrong; sorted as they stand in the file."""

    mark: Mark
    path: Path
    what: str
    hint: str = ""

    def line(self, name: str) -> str:
        """The problem as it is told: file, line, column, path, what. Never a value: it could be a secret."""
        where = f"{show(self.path)}: " if self.path else ""
        return f"{name}:{self.mark.line}:{self.mark.column}: {where}{self.what}"


def show(path: Path) -> str:
    """A path as text: `services.api.source.build[0]`; a key that is no simple word is quoted and cut."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += "." * bool(text) + (part if _SIMPLE.fullmatch(part) else json.dumps(part[:40]))
    return text


def refusal(name: str, problems: Iterable[Problem]) -> ConfigError:
    """One error out of all problems: a line each, in the file's order, each once."""
    found = sorted(set(problems))
    lines = dict.fromkeys(problem.line(name) for problem in found)
    if len(lines) == 1:
        return ConfigError(next(iter(lines)), found[0].hint)
    hints = dict.fromkeys(f"line {problem.mark.line}: {problem.hint}" for problem in found if problem.hint)
    return ConfigError("\n".join(lines), "\n".join(hints))


def closest(word: str, known: Iterable[str]) -> str:
    """`did you mean ...?` where a known word is near, else nothing; odd keys of the file are never offered."""
    near = difflib.get_close_matches(word[:60], filter(_SIMPLE.fullmatch, known), 1)
    return f"did you mean `{near[0]}`?" if near else ""
