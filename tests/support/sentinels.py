"""Values that must not get out, and the search for them in whatever a program has left anywhere.

A sentinel has a mark of letters and digits at both ends: those look the same in plain text, in JSON, in a URL, in a
shell's or a page's quotes, and also where the value was cut. Base64 and hexadecimal digits are searched for as such,
base64 in all three alignments, so that it is found inside something longer too.
"""

from __future__ import annotations

import base64
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from support.trace import Program

NASTY = "\"'$HOME `\\n \\ü%s{x}"
"""What stands between the marks: everything that some quoting gets wrong."""
PIECE = 20
"""Characters of a key's line that are searched for together, so that a part of a line is found."""


@dataclass(frozen=True)
class Sentinel:
    """One secret value and what gives it away."""

    name: str
    value: str
    marks: tuple[str, ...]

    def needles(self) -> frozenset[bytes]:
        """Every text that proves that the value got out."""
        return frozenset(needle for mark in self.marks for needle in _forms(mark.encode()))


def sentinel(name: str, middle: str = NASTY) -> Sentinel:
    """A new value that nobody else has."""
    head, tail = (f"{secrets.token_hex(5)}Z{secrets.token_hex(5)}" for _ in range(2))
    return Sentinel(name, f"{head}{middle}{tail}", (head, tail))


def key_sentinel(name: str, value: str, key: str, public: str = "") -> Sentinel:
    """A private key, however it is given: what gives it away is any part of its body that is not in `public`.

    Its first line is the same in every key of its kind.
    """
    body = [line for line in key.splitlines() if line and "-----" not in line][1:]
    pieces = (line[start : start + PIECE] for line in body for start in range(0, len(line) - PIECE + 1, PIECE))
    return Sentinel(name, value, tuple(piece for piece in pieces if piece not in public))


def _forms(mark: bytes) -> Iterator[bytes]:
    yield mark
    yield mark.hex().encode()
    yield mark.hex().upper().encode()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + mark)
        inner = text[(0, 2, 3)[shift] : (shift + len(mark)) * 8 // 6]  # what does not depend on the neighbours
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass
class Search:
    """Looks for all sentinels at once; `hits` are sentences about where they were."""

    sentinels: Iterable[Sentinel]
    hits: list[str] = field(default_factory=list)
    looked: int = 0
    """Bytes that were searched."""

    def __post_init__(self) -> None:
        self._names: Mapping[bytes, str] = {needle: one.name for one in self.sentinels for needle in one.needles()}

    def text(self, where: str, data: bytes | str) -> bool:
        """Search one text; True = something was found."""
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        self.looked += len(raw)
        # One after the other: a regular expression for hundreds of them takes nine times as long.
        found = {name for needle, name in self._names.items() if needle in raw}
        self.hits += [f"{name} in {where}" for name in sorted(found)]
        return bool(found)

    def programs(self, started: Iterable[tuple[str, Program]]) -> None:
        """Search arguments and environments of programs, each text once for each place where it was seen."""
        seen = set[tuple[str, bytes]]()
        for where, program in started:
            for what, texts in (("arguments", program.argv), ("environment", program.environ)):
                for text in {one for one in texts if (where, one) not in seen}:
                    seen.add((where, text))
                    self.text(f"the {what} of {program.name} ({where})", text)

    def folder(self, where: str, folder: Path, but: Iterable[Path] = ()) -> None:
        """Search names, link targets and contents of everything below a folder."""
        passed = set(but)
        for path in sorted(folder.rglob("*")):
            if path in passed or passed.intersection(path.parents):
                continue
            inside = f"{where}: {path.relative_to(folder)}"
            self.text(f"{inside} (its name)", str(path))
            if path.is_symlink():
                self.text(f"{inside} (its target)", str(path.readlink()))
            elif path.is_file():
                self.text(inside, _content(path))


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    if raw.startswith(b"SQLite format 3\0") and path.name == "history.db":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as history:  # a long value lies on several pages
            raw += "\n".join(history.iterdump()).encode()
        history.close()
    return raw
