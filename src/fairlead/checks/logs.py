"""Personal data in the logs of a host: what was written since the last look.

The bytes come over the connection, packed and in parts of a bounded size, and are looked through in this process's
memory. A program on the host would keep them there, but it would have to be installed with its libraries, and what it
could do without them would be worse at telling an account from an order number. Nothing of it is ever written down
here: the local store holds offsets, line numbers and counts.
"""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import ValidationError

from fairlead.checks.personal import KINDS, Rules, scan
from fairlead.errors import NotReady
from fairlead.model import Finding, Model, sha256, shell
from fairlead.outside.files import package_text
from fairlead.outside.host import Host

PART = 8 << 20
"""Bytes that one trip brings, before they are packed."""
MOST = 256 << 20
"""Bytes that one look reads on a host; the rest is read by the next one."""
TOGETHER = 200
"""Files that one trip may bring parts of."""
UNREADABLE = "unreadable"
HEAD = 64
"""First bytes of a file by which it is known again."""
SHOWN = 5
"""So many line numbers of each kind are told."""


class Scans(Protocol):
    """Where it is kept how far logs were looked through."""

    def scans(self, scope: str) -> dict[str, str]:
        """By file, what was kept."""
        ...

    def save_scan(self, scope: str, place: str, body: str) -> None:
        """Keep it, in place of what was kept before; empty = the file is gone."""
        ...


class Forgotten:
    """Keeps nothing, so that all logs are new."""

    def scans(self, scope: str) -> dict[str, str]:
        """Nothing."""
        return {}

    def save_scan(self, scope: str, place: str, body: str) -> None:
        """Forget it."""


class Scanned(Model):
    """How far a log file was looked through, and what was in it. It holds nothing that was written there."""

    path: str
    rules: str
    """Hash of the rules; with others it is looked through again."""
    head: str
    """Hash of the first bytes."""
    offset: int = 0
    """Bytes that were looked through, up to the end of a line."""
    lines: int = 0
    """Lines before `offset`."""
    counts: dict[str, int] = {}
    """By kind."""
    places: dict[str, tuple[int, ...]] = {}
    """By kind, the first lines."""


@dataclass(frozen=True)
class Wanted:
    """What is looked through on one host."""

    host: str
    patterns: tuple[str, ...]
    """Paths, with `*` and `?` in them; relative to the login's home."""
    rules: Rules
    failing: frozenset[str] = frozenset(KINDS)
    """Kinds of which none may be there; others are only counted."""

    @property
    def hash(self) -> str:
        """Of all that decides what counts."""
        return sha256(repr(self.rules))


class _There(Model):
    """A file as the host lists it."""

    pattern: int
    id: str
    """Device and inode; `unreadable` where it may not be read."""
    size: int
    head: bytes
    path: str
    old: bool
    """A rotated sibling, that nobody asked for."""


@dataclass
class _Listed:
    files: list[_There] = field(default_factory=list)
    packed: int = 0


async def check_logs(wanted: Wanted, host: Host, store: Scans, scope: str) -> list[Finding]:
    """Look through what is new in the logs of one host; a finding for each file. `scope` names the environment.

    What was found in a file counts until the file is gone, so to ask again does not make it clean. Raises NotReady
    where the host does not answer as it should. How far it came is kept after each trip.
    """
    listed = _list((await _run(host, "list", *wanted.patterns)).splitlines())
    look = _Look(wanted, host, store, f"{scope}/{wanted.host}")
    await look.through(listed.files)
    missing = [p for n, p in enumerate(wanted.patterns) if not any(f.pattern == n and not f.old for f in listed.files)]
    return [
        *(look.judged(file) for file in listed.files if not file.old),
        *(look.old(file) for file in listed.files if file.old and look.known.get(file.id)),
        *(_nothing(wanted.host, pattern, listed.packed) for pattern in missing),
    ]


async def _run(host: Host, *words: str) -> str:
    result = await host.run(shell(package_text("checks/logs.sh"), *words, timeout=120.0))
    if not result.ok or not result.stdout.rstrip().endswith("whole"):
        raise NotReady("its logs could not be read to the end")
    return result.stdout


def _list(lines: Iterable[str]) -> _Listed:
    """Each file once; one that was asked for is that, whoever's rotated sibling it may be."""
    listed = _Listed()
    found: list[_There] = []
    for word, *rest in (line.split(" ") for line in lines):
        listed.packed += word == "packed"
        found += [_there(word, rest)] if word in ("file", "old") and len(rest) == 5 else []
    seen = set[str]()
    for file in sorted(found, key=lambda one: one.old):
        key = file.path if file.id == UNREADABLE else file.id
        if key not in seen:
            listed.files.append(file)
            seen.add(key)
    return listed


def _there(word: str, values: Sequence[str]) -> _There:
    pattern, number, size, head, path = values
    return _There(
        pattern=int(pattern),
        id=number,
        size=int(size),
        head=base64.b64decode(head),
        path=base64.b64decode(path).decode("utf-8", "backslashreplace"),
        old=word == "old",
    )


class _Look:
    """One look at the logs of a host."""

    def __init__(self, wanted: Wanted, host: Host, store: Scans, scope: str) -> None:
        self.wanted, self.host, self.store, self.scope = wanted, host, store, scope
        self.known = {key: known for key, body in store.scans(scope).items() if (known := _read(body))}
        self.notes: dict[str, str] = {}
        """By file, what happened to it since the last look."""
        self.left: dict[str, int] = {}
        """By file, bytes that were not looked through."""
        self.moved = set[str]()
        """Files that were another one when they were to be read."""

    async def through(self, files: Sequence[_There]) -> None:
        """Read what is new, part by part."""
        self._forget_what_is_gone(files)
        self.left = {file.id: file.size - self._begin(file) for file in files if file.id != UNREADABLE}
        budget = MOST
        while budget > 0 and (trip := self._trip(files)):
            budget -= sum(count for _, count in trip)
            await self._bring(trip)

    def _trip(self, files: Sequence[_There]) -> list[tuple[_There, int]]:
        """What the next trip brings: files, and how many bytes of each."""
        room, trip = PART, list[tuple[_There, int]]()
        for file in files:
            count = 0 if file.id in self.moved else min(self.left.get(file.id, 0), room)
            if count > 0 and len(trip) < TOGETHER:
                trip.append((file, count))
                room -= count
        return trip

    async def _bring(self, trip: Sequence[tuple[_There, int]]) -> None:
        words = [(file.path, file.id, str(self.known[file.id].offset), str(count)) for file, count in trip]
        said = await _run(self.host, "read", *(word for words_of_one in words for word in words_of_one))
        lines = said.splitlines()
        if len(lines) != len(trip) + 1:
            raise NotReady("its logs came damaged")
        for (file, count), line in zip(trip, lines, strict=False):
            word, _, packed = line.split(" ")
            if word == "part":
                await self._take(file, count, _unpacked(packed))
            else:
                self.moved.add(file.id)

    def _forget_what_is_gone(self, files: Sequence[_There]) -> None:
        there = {file.id for file in files}
        for key in [key for key in self.known if key not in there]:
            gone = self.known.pop(key)
            followers = [file for file in files if file.path == gone.path and file.id not in self.known]
            for file in followers:
                self.notes[file.id] = "the one before it is gone, and what was last written to it was not seen"
            self.store.save_scan(self.scope, key, "")

    def _begin(self, file: _There) -> int:
        """Where to go on in a file: at its beginning where it is not the one that was read, or the rules are others."""
        known = self.known.get(file.id)
        if known is None:
            if file.old:
                return file.size  # it was never asked for
            return self._anew(file)
        if known.rules != self.wanted.hash:
            return self._anew(file)
        same = sha256(file.head[: min(HEAD, known.offset)]) == known.head
        if known.offset > file.size or not same:
            self.notes[file.id] = "it was emptied and begun anew since the last look"
            return self._anew(file)
        return known.offset

    def _anew(self, file: _There) -> int:
        self.known[file.id] = Scanned(path=file.path, rules=self.wanted.hash, head=sha256(b""))
        return 0

    async def _take(self, file: _There, count: int, raw: bytes) -> None:
        """Look through a part of a file, and keep how far that was: up to the end of a line."""
        known, last = self.known[file.id], count == self.left[file.id]
        if len(raw) < count:
            self.moved.add(file.id)  # it became shorter since it was listed
        end = raw.rfind(b"\n") + 1 or (0 if last else len(raw))
        whole = await asyncio.to_thread(_looked_through, known, file, raw[:end], self.wanted.rules)
        self.store.save_scan(self.scope, file.id, whole.to_json())
        # A line that is still being written is looked at now, and again when it is whole.
        rest = await asyncio.to_thread(_looked_through, whole, file, raw[end:], self.wanted.rules)
        self.known[file.id] = rest if last else whole
        self.left[file.id] -= count if last else end

    def judged(self, file: _There) -> Finding:
        """What is to be said of a file that was asked for."""
        left = self.left.get(file.id, 0)
        subject = f"{self.wanted.host}:{file.path}"
        finding = Finding(check="personal_data", subject=subject, status="unknown", says="it may not be read")
        known = self.known.get(file.id)
        if known is None:
            return finding.model_copy(update={"hint": f"may the login on {self.wanted.host} read {file.path}?"})
        evidence = {"lines": known.lines, "bytes": known.offset, "found": dict(known.counts), "left": left}
        note = f"; {self.notes[file.id]}" if file.id in self.notes else ""
        failing = {kind for kind in known.counts if kind in self.wanted.failing}
        says, hint, status = f"{_told(known)}{note}", "", "warn" if note else "ok"
        if failing:
            status, hint = "fail", f"take them out of {file.path} on {self.wanted.host}, and out of what writes them"
        elif file.id in self.moved:
            status, hint = "unknown", "ask again"
            says = f"{says}; it was rotated or emptied during the look"
        elif left:
            status, hint = "unknown", "ask again: each look goes on where the last one ended"
            says = f"{says}; {left / 1e6:.0f} MB are still to be looked through"
        return finding.model_copy(update={"status": status, "says": says, "hint": hint, "evidence": evidence})

    def old(self, file: _There) -> Finding:
        """What is to be said of a rotated file: that it still holds what was found while it was written."""
        known = self.known[file.id]
        failing = any(kind in self.wanted.failing for kind in known.counts)
        return Finding(
            check="personal_data",
            subject=f"{self.wanted.host}:{file.path}",
            status="warn" if failing else "ok",
            says=f"rotated: {_told(known)}",
            hint=f"take them out of {file.path} on {self.wanted.host}, too" if failing else "",
            evidence={"lines": known.lines, "bytes": known.offset, "found": dict(known.counts)},
        )


def _read(body: str) -> Scanned | None:
    try:
        return Scanned.model_validate_json(body)
    except ValidationError:
        return None


def _unpacked(packed: str) -> bytes:
    try:
        opened = zlib.decompressobj(wbits=31)
        return opened.decompress(base64.b64decode(packed, validate=True), PART)
    except (ValueError, zlib.error):
        raise NotReady("its logs came damaged") from None


def _looked_through(known: Scanned, file: _There, raw: bytes, rules: Rules) -> Scanned:
    """What is known of a file with a further part of it."""
    counts, places = Counter(known.counts), dict(known.places)
    for hit in scan(raw.decode("utf-8", "replace"), rules):
        counts[hit.kind] += 1
        places[hit.kind] = (*places.get(hit.kind, ()), known.lines + hit.line)[:SHOWN]
    offset = known.offset + len(raw)
    return known.model_copy(
        update={
            "path": file.path,
            "offset": offset,
            "lines": known.lines + raw.count(b"\n"),
            "head": sha256(file.head[: min(HEAD, offset)]),
            "counts": dict(counts),
            "places": places,
        }
    )


def _told(known: Scanned) -> str:
    if not known.counts:
        return f"nothing personal in {known.lines} lines"
    return ", ".join(_kind(kind, number, known.places.get(kind, ())) for kind, number in known.counts.items())


def _kind(kind: str, number: int, lines: tuple[int, ...]) -> str:
    name = KINDS.get(kind, kind)
    plural = f"{number} {name}{'es' if name.endswith('s') else 's'}" if number > 1 else f"1 {name}"
    where = ", ".join(map(str, dict.fromkeys(lines)))
    more = ", ..." if number > len(lines) else ""
    return f"{plural} (line {where}{more})"


def _nothing(host: str, pattern: str, packed: int) -> Finding:
    also = " but compressed ones, which are not looked at" if packed else ""
    return Finding(
        check="personal_data",
        subject=f"{host}:{pattern}",
        status="unknown",
        says=f"there is no such file{also}",
        hint=f"does {host} write its logs elsewhere?",
    )
