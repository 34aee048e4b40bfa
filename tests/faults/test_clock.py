"""Clocks that are an hour off, from the beginning or from one moment to the next."""

from __future__ import annotations

import pytest

from support.box import FREE, Boxes, says

HOURS = {
    "an hour ahead": ("+1 hour", "3600.", "s ahead of ours"),
    "an hour behind": ("-1 hour", "3600.", "s behind ours"),
}


@pytest.mark.parametrize("case", HOURS)
def test_seen_before_anything_is_begun(boxes: Boxes, case: str) -> None:
    off, seconds, way = HOURS[case]
    box = boxes()
    box.sshd.shim("date", f'exec $REAL -d "{off}" "$@"')
    before = box.photograph()
    for words in (("ready",), ("deploy", "--yes")):
        told = box.run(*words)
        says(told, 1, way, "does time synchronisation run? type: timedatectl")
        assert "its clock is 36" in told.text or "its clock is 359" in told.text, (seconds, told.text)
    assert box.photograph() == before and box.lock() == FREE


@pytest.mark.parametrize("case", HOURS)
def test_it_jumps_in_the_middle_and_the_release_goes_out(boxes: Boxes, case: str) -> None:
    box = boxes()
    box.sshd.shim("rsync", 'case $* in *--server*) : >"$HOME/mark";; esac; exec $REAL "$@"')
    box.sshd.shim("date", f'[ -e "$HOME/mark" ] || exec $REAL "$@"; exec $REAL -d "{HOURS[case][0]}" "$@"')
    says(box.deploy(), 0, "is done")
    assert box.is_new() and box.lock() == FREE
    (box.sshd.bin / "date").unlink()
    box.write("v3")
    says(box.deploy(), 0, "is done")
    assert box.is_new() and box.lock() == FREE
