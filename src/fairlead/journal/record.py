"""A run's record as bytes: lines `SEQ TOKEN SUM JSON`, SUM = the first 16 hex digits of sha256(`SEQ TOKEN JSON`).

The sums find accidents (torn writes, bad disks), not enemies.
"""

from __future__ import annotations

import re

from pydantic import ValidationError

from fairlead.errors import Damaged
from fairlead.model import Entry, RecordLine, canonical, sha256

_LINE = re.compile(rb"([1-9][0-9]{0,14}) ([1-9][0-9]{0,14}) ([0-9a-f]{16}) (.+)")


def encode(entry: Entry, seq: int, token: int) -> bytes:
    """Return the line that says `entry`; `seq` counts from 1 in each run. Fields at their defaults are left out."""
    text = canonical(entry.model_dump(mode="json", exclude_defaults=True))
    return f"{seq} {token} {_sum(seq, token, text.encode())} {text}\n".encode()


def read_record(raw: bytes) -> tuple[RecordLine, ...]:
    """Read a record. Torn lines are left out: they were never acknowledged, so nothing was begun on them.

    Raises `Damaged` for what no run can have written: a hole, a token that falls, two different lines of one number,
    or an entry of a later format.
    """
    lines: list[RecordLine] = []
    for line in filter(None, map(read_line, raw.split(b"\n"))):
        if line.seq <= len(lines) and lines[line.seq - 1] == line:
            continue  # the same line was sent again because its answer was lost
        _must_follow(lines, line)
        lines.append(line)
    return tuple(lines)


def read_line(raw: bytes) -> RecordLine | None:
    """Read one line without its newline; None when it is torn. Raises `Damaged` for a whole line of a later format."""
    match = _LINE.fullmatch(raw)
    if not match:
        return None
    seq, token, text = int(match[1]), int(match[2]), match[4]
    if match[3].decode() != _sum(seq, token, text):
        return None
    try:
        return RecordLine(seq=seq, token=token, entry=Entry.model_validate_json(text))
    except ValidationError:
        raise _damaged(f"line {seq} is of a format that this version does not know") from None


def _must_follow(lines: list[RecordLine], line: RecordLine) -> None:
    if line.seq <= len(lines):
        raise _damaged(f"line {line.seq} is there twice, with different content")
    if line.seq > len(lines) + 1:
        raise _damaged(f"line {len(lines) + 1} is missing before line {line.seq}")
    if lines and line.token < lines[-1].token:
        raise _damaged(f"line {line.seq} has token {line.token}, after token {lines[-1].token}")


def _damaged(what: str) -> Damaged:
    return Damaged(
        f"the record of this run cannot be trusted: {what}",
        hint="look at runs/*.rec in the state folder of the lock host; a newer fairlead may have written it",
    )


def _sum(seq: int, token: int, text: bytes) -> str:
    return sha256(f"{seq} {token} ".encode() + text)[:16]
