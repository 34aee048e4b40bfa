"""Links where folders are expected, names that no list can hold, and very many files."""

from __future__ import annotations

from pathlib import Path

from support.box import FREE, Boxes, in_place, says
from support.witness import entry, tree

BROKEN_NAME = "wp-content/two\nlines.php"
MANY = 14_000


def a_link(folder: Path) -> None:
    """What lies there is moved beside, and a link leads to it."""
    folder.rename(folder.with_name("real"))
    folder.symlink_to("real")


def test_a_docroot_that_is_a_link_is_refused(boxes: Boxes) -> None:
    box = boxes(service=in_place())
    a_link(box.home / "site")
    before = box.photograph()
    for words in (("plan",), ("deploy", "--yes")):
        says(box.run(*words), 1, "site is a symbolic link to real", "set `path` to the folder itself")
    assert box.photograph() == before and box.lock() == FREE


def test_a_folder_of_releases_may_be_a_link(boxes: Boxes) -> None:
    box = boxes()
    a_link(box.home / "site")
    says(box.deploy(), 0, "is done")
    assert box.is_new() and box.lock() == FREE


def test_a_link_to_what_is_live_that_leads_elsewhere_is_refused(boxes: Boxes) -> None:
    box = boxes()
    (box.home / "site/current").rename(box.home / "site/aside")
    (box.home / "site/current").symlink_to("/srv/else\nwhere")
    before = box.photograph()
    says(box.deploy(), 1, "which is not one of its releases", "link it to releases/NAME")
    assert box.photograph() == before and box.lock() == FREE


def test_a_line_break_in_a_name_of_the_release_is_refused(boxes: Boxes) -> None:
    box = boxes()
    box.write("v2", {BROKEN_NAME: "x"})
    before = box.photograph()
    says(box.deploy(), 1, r"two\nlines.php", "remove or `exclude` it")
    assert box.photograph() == before


def test_a_line_break_in_a_name_that_lies_in_the_docroot_is_left_alone(boxes: Boxes) -> None:
    box = boxes(service=in_place())
    foreign = box.put(f"site/{BROKEN_NAME}", "<?php // theirs")
    (box.home / "site/a\nlink").symlink_to("wp-content/two\nlines.php")
    before, theirs = tree(box.home / "site"), entry(foreign)
    says(box.deploy(), 0, "is done")
    assert box.is_new() and entry(foreign) == theirs
    says(box.run("rollback", "--yes"), 0, "is done")
    assert tree(box.home / "site") == before and box.lock() == FREE


def test_a_line_break_in_a_name_that_is_adopted_is_kept(boxes: Boxes) -> None:
    box = boxes(empty=True)
    box.put(f"site/{BROKEN_NAME}", "<?php // theirs")
    box.put("site/VERSION", "v0\n")
    before = tree(box.home / "site")
    says(box.deploy(), 1, "holds files that Fairlead did not put there", "fairlead adopt site -e live")
    assert tree(box.home / "site") == before
    says(box.run("adopt", "site", "--yes"), 0, "is done")
    assert (box.home / f"site/current/{BROKEN_NAME}").read_text() == "<?php // theirs"
    says(box.deploy(), 0, "is done")
    assert box.is_new()
    says(box.run("rollback", "--yes"), 0, "is done")
    assert (box.home / f"site/current/{BROKEN_NAME}").read_text() == "<?php // theirs"


def test_fourteen_thousand_files(boxes: Boxes) -> None:
    """It takes seconds; of the second release only what is new is sent."""
    box = boxes()
    files = {f"assets/{n % 140}/{n}.js": f"{n}" for n in range(MANY)}
    box.write("v2", files)
    says(box.deploy(), 0, "is done")
    assert box.is_new() and len(box.live()) > MANY
    first = {path: (box.home / "site/current" / path).stat().st_ino for path in files}
    (box.operator.folder / "site/assets/0/0.js").write_text("changed")
    says(box.deploy(), 0, "is done")
    assert box.is_new()
    again = {path: (box.home / "site/current" / path).stat().st_ino for path in files}
    assert [path for path in files if first[path] != again[path]] == ["assets/0/0.js"]
