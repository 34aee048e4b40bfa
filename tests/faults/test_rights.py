"""What the account may not do: write here, give away there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from support.box import FREE, Box, Boxes, in_place, release, says

root = pytest.mark.skipif(os.getuid() != 0, reason="only root can make what is somebody else's")


def of_root(path: Path, mode: int) -> None:
    os.chown(path, 0, 0)
    path.chmod(mode)


Spoil = Callable[[Box], None]
BEFORE: dict[str, tuple[dict[str, object], Spoil, str, str]] = {
    "the folder of the service": (
        release(),
        lambda box: of_root(box.home / "site", 0o755),
        "site may not be written to",
        "look at its owner and mode",
    ),
    "the folder of its releases": (
        release(),
        lambda box: of_root(box.home / "site/releases", 0o755),
        "site/releases may not be written to",
        "look at its owner and mode",
    ),
    "the state folder": (
        release(),
        lambda box: of_root(box.home / ".fairlead", 0o755),
        ".fairlead cannot be written to",
        "look at owner and mode",
    ),
    "a docroot": (
        in_place(),
        lambda box: of_root(box.home / "site", 0o755),
        "may not be written to",
        "look at its owner and mode",
    ),
    "a file in a docroot, not even to be read": (
        in_place(),
        lambda box: of_root(box.home / "site/index.html", 0o600),
        "holds files that cannot be read",
        "must be readable for the account",
    ),
}


@root
@pytest.mark.parametrize("what", BEFORE)
def test_seen_before_anything_is_begun(boxes: Boxes, what: str) -> None:
    service, spoil, words, hint = BEFORE[what]
    box = boxes(service=service)
    spoil(box)
    before = box.photograph()
    says(box.deploy(), 1, words, hint)
    assert box.photograph() == before and box.lock() == FREE


@root
def test_one_file_of_a_docroot_is_somebody_elses_and_all_is_as_it_was(boxes: Boxes) -> None:
    box = boxes(service=in_place())
    of_root(box.home / "site/index.html", 0o644)
    before = box.photograph()
    says(box.deploy(), 3, "not every file in")
    assert box.photograph() == before and box.lock() == FREE


@root
def test_one_file_of_ours_was_written_by_root_and_does_not_matter(boxes: Boxes) -> None:
    box = boxes()
    of_root(box.home / "site/.live", 0o644)
    says(box.deploy(), 0, "is done")
    assert box.is_new() and box.lock() == FREE


@root
@pytest.mark.parametrize("strategy", ["release", "in_place"])
def test_the_owner_cannot_be_changed_and_all_is_as_it_was(boxes: Boxes, strategy: str) -> None:
    kind = release if strategy == "release" else in_place
    box = boxes(service=kind(owner="root:root"))
    before = box.photograph()
    told = box.deploy()
    says(told, 3, "put releases/")
    assert "chown" in told.text and "Operation not permitted" in told.text
    assert box.photograph() == before and box.lock() == FREE
