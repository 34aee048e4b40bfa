"""Clocks that are an hour off, from the beginning or from one moment to the next."""

from __future__ import annotations

import re

import pytest

from support.box import FREE, Boxes, says

HOURS = {"an hour ahead": ("+1 hour", "s ahead of ours"), "an hour behind": ("-1 hour", "s behind ours")}


@pytest.mark.parametrize("case", HOURS)
def test_seen_before_anything_is_begun(boxes: Boxes, case: str) -> None:
    off, way = HOURS[case]
    box = boxes()
    box.sshd.shim("date", f'exec $REAL -d "{off}" "$@"')
    before = box.photograph()
    says(box.run("ready"), 1, way, "does time synchronisation run? type: timedatectl")
    told = box.deploy()
    says(told, 1, way)
    assert re.search("its clock is (360|359)", told.text), told.text
    assert box.photograph() == before and box.lock() == FREE


@pytest.mark.parametrize("case", HOURS)
def test_it_jumps_in_the_middle_and_the_release_goes_out(boxes: Boxes, case: str) -> None:
    box = boxes()
    box.sshd.shim("rsync", 'case $* in *--server*) : >"$HOME/mark";; esac; exec $REAL "$@"')
    box.sshd.shim("date", f'[ -e "$HOME/mark" ] || exec $REAL "$@"; exec $REAL -d "{HOURS[case][0]}" "$@"')
    says(box.deploy(), 0, "is done")
    assert box.is_new() and box.lock() == FREE
