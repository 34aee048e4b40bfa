from __future__ import annotations

import re

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"[^\n]*")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$", "`": "`", "\n": ""}
_PROGRAM = re.compile(r"\$\(|`")


def parse_dotenv(text: str) -> dict[str, str]:
    """Read `KEY=value`, `export KEY="value"` and quoted values of several lines; the last of a name wins.

    Everything else is skipped, so a shell script that only sets variables can be read. Nothing is executed or put in:
    a value that a shell would compute (`$(...)`, backticks) is left out rather than guessed.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        line = _LINE.match(text, position)
        if line:
            value, position = _value(text, line.end())
            if value is not None:
                found[line[1]] = value
        position = text.find("\n", position) + 1 or len(text)
    return found


def _value(text: str, start: int) -> tuple[str | None, int]:
    single = _SINGLE.match(text, start)
    if single:
        return single[1], single.end()
    double = _DOUBLE.match(text, start)
    if double:
        return None if _PROGRAM.search(double[1]) else _unescaped(double[1]), double.end()
    bare = _BARE.match(text, start)
    value = re.split(r"(?:^|[ \t])#", bare[0] if bare else "", maxsplit=1)[0].strip()
    return None if _PROGRAM.search(value) else value, start


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), value, flags=re.DOTALL)
