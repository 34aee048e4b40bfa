"""The record as bytes: what was acknowledged is read, what is torn is left out, what cannot be is refused."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import Damaged
from fairlead.journal import encode, read_record
from fairlead.journal.record import read_line
from fairlead.model import Entry

ENTRIES = (
    Entry(kind="run", plan="ab" * 32, way_back="cd" * 32, who="anna@laptop", says="Größe ist „alles“\n\0 'x'"),
    Entry(kind="intent", step="api.switch", what="do", attempt=1, at=1795408057.25),
    Entry(kind="outcome", step="api.switch", what="do", attempt=1, rc=0, seconds=0.25),
    Entry(kind="taken", who="bob"),
    Entry(kind="end", verdict="done"),
)
TOKENS = (1, 1, 1, 4, 4)
LINES = [encode(entry, seq, token) for seq, (entry, token) in enumerate(zip(ENTRIES, TOKENS, strict=True), 1)]
WHOLE = b"".join(LINES)


def entries(raw: bytes) -> list[Entry]:
    return [line.entry for line in read_record(raw)]


def numbered(seq: int, token: int, text: str = '{"kind":"note"}') -> bytes:
    digest = hashlib.sha256(f"{seq} {token} {text}".encode()).hexdigest()[:16]
    return f"{seq} {token} {digest} {text}\n".encode()


def test_a_line_is_one_line_of_ascii_with_a_sum_that_a_shell_can_check() -> None:
    for line in LINES:
        assert re.fullmatch(rb"[0-9]+ [0-9]+ [0-9a-f]{16} \{[ -~]+\}\n", line)
    seq, token, digest, text = LINES[0].decode().rstrip("\n").split(" ", 3)
    assert hashlib.sha256(f"{seq} {token} {text}".encode()).hexdigest().startswith(digest)


def test_what_was_written_is_read() -> None:
    lines = read_record(WHOLE)
    assert tuple(line.entry for line in lines) == ENTRIES
    assert [(line.seq, line.token) for line in lines] == list(enumerate(TOKENS, 1))


READ = {
    "nothing": (b"", 0),
    "only rubbish": (b"\0\0\xff hello\n\n", 0),
    "torn at the end": (WHOLE[:-9], 4),
    "healed and sent again": (LINES[0] + LINES[1][:30] + b"\n" + LINES[1], 2),
    "zeros, healed, sent again": (LINES[0] + b"\0" * 80 + b"\n" + LINES[1], 2),
    "the same line twice": (LINES[0] + LINES[1] + LINES[1], 2),
    "an old line that arrives late": (b"".join(LINES[:3]) + LINES[1], 3),
    "whole, but for the newline": (WHOLE[:-1], 5),
}


@pytest.mark.parametrize(("raw", "count"), READ.values(), ids=READ)
def test_reads(raw: bytes, count: int) -> None:
    assert entries(raw) == list(ENTRIES[:count])


DAMAGED = {
    "a hole": (LINES[0] + LINES[2], "line 2 is missing before line 3"),
    "the beginning is gone": (b"".join(LINES[1:]), "line 1 is missing"),
    "a line in the middle is torn": (LINES[0] + LINES[1][:-5] + b"\n" + LINES[2], "line 2 is missing"),
    "a falling token": (numbered(1, 5) + numbered(2, 4), "token 4, after token 5"),
    "one number, two contents": (numbered(1, 1) + numbered(1, 1, '{"kind":"end"}'), "twice"),
    "one number, two tokens": (numbered(1, 1) + numbered(1, 2), "twice"),
    "an unknown kind": (numbered(1, 1, '{"kind":"dance"}'), "format"),
    "an unknown field": (numbered(1, 1, '{"kind":"note","colour":1}'), "format"),
    "no JSON": (numbered(1, 1, "{kind"), "format"),
}


@pytest.mark.parametrize(("raw", "what"), DAMAGED.values(), ids=DAMAGED)
def test_refuses(raw: bytes, what: str) -> None:
    with pytest.raises(Damaged, match=what) as refused:
        read_record(raw)
    assert refused.value.hint


def test_one_line_by_itself() -> None:
    assert read_line(LINES[3].rstrip(b"\n")).entry == ENTRIES[3]
    assert read_line(LINES[3][:-4]) is None


@given(st.integers(0, len(WHOLE)))
def test_cut_off_anywhere_it_is_a_beginning(at: int) -> None:
    read = entries(WHOLE[:at])
    assert read == list(ENTRIES[: len(read)])
    assert len(read) >= WHOLE[:at].count(b"\n")


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=40)), min_size=1, max_size=4))
def test_overwritten_anywhere_it_invents_nothing(damages: list[tuple[int, bytes]]) -> None:
    raw = bytearray(WHOLE)
    for at, rubbish in damages:
        raw[at : at + len(rubbish)] = rubbish
    assert_beginning_or_damaged(bytes(raw))


@given(st.lists(st.sampled_from([*LINES, b"\n", b"\0" * 9, LINES[1][:20], LINES[2][40:]]), max_size=12))
def test_lines_in_any_order_invent_nothing(pieces: list[bytes]) -> None:
    assert_beginning_or_damaged(b"".join(pieces))


@given(st.binary())
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert_beginning_or_damaged(raw)


def assert_beginning_or_damaged(raw: bytes) -> None:
    try:
        read = entries(raw)
    except Damaged:
        return
    assert read == list(ENTRIES[: len(read)])
