from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead.errors import NotReady
from fairlead.model import IDENTITY_FILE, LISTING, Tree, parse_listing
from fairlead.model.tree import Entry
from fairlead.outside.files import (
    ArtifactStore,
    package_text,
    read_first_line,
    read_text,
    remove_tree,
    tree_of,
    write_text,
)

ODD = [
    "plain",
    "two words",
    "it's",
    '"',
    "ü–🚢",
    "$(touch pwned)",
    "-rf",
    "--",
    "*",
    "a\\b",
    "%s",
    "  ",
    "~",
    "a\tb",
    "x" * 200,
]


def sh(folder: Path) -> bytes:
    return subprocess.run(["sh", "-c", LISTING], cwd=folder, check=True, capture_output=True).stdout


def odd_tree(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        (folder / name / name).write_text(name * number)
        (folder / name / "script").write_text("#!/bin/sh\n")
        (folder / name / "script").chmod(0o700 + number % 8)
        (folder / name / "-link").symlink_to(name)
    (folder / "empty").mkdir()
    (folder / "broken").symlink_to("nowhere")
    return folder


def test_a_real_shell_lists_the_same(tmp_path: Path) -> None:
    names = [name for name in ODD if "\t" not in name]
    tree = tree_of(odd_tree(tmp_path, names))
    assert tree.listing() == sh(tmp_path)
    assert parse_listing(sh(tmp_path)).hash == tree.hash
    assert (tree.files, tree.size) == (2 * len(names), sum(e.size for e in tree.entries.values()))


def test_the_shell_lists_tabs_and_newlines_so_that_they_can_be_read(tmp_path: Path) -> None:
    for name in ("a\tb", "c\nd", "e\tf\tg"):
        (tmp_path / name).write_text(name)
    raw = sh(tmp_path)
    tree = parse_listing(raw)
    assert set(tree.entries) == {"a\tb", "c\nd", "e\tf\tg"} and tree.listing() == raw


def test_an_empty_folder(tmp_path: Path) -> None:
    assert tree_of(tmp_path) == Tree(entries={}) and sh(tmp_path) == b""


def test_the_release_s_name_is_not_part_of_the_hash(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / IDENTITY_FILE).write_text("part of it")
    tree = tree_of(tmp_path)
    (tmp_path / IDENTITY_FILE).write_text("{}")
    assert tree.listing() == sh(tmp_path)


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ((), {".git", ".git/x", "a.pyc", "doc", "doc/a.md", "doc/b.txt"}),
        ((".git", "*.pyc"), {"doc", "doc/a.md", "doc/b.txt"}),
        ((".git/", "doc/*.md"), {"a.pyc", "doc", "doc/b.txt"}),
        (("doc",), {".git", ".git/x", "a.pyc"}),
    ],
)
def test_what_is_left_out(tmp_path: Path, exclude: tuple[str, ...], left: set[str]) -> None:
    for path in (".git/x", "a.pyc", "doc/a.md", "doc/b.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("x")
    assert set(tree_of(tmp_path, exclude).entries) == left


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "it"))


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "newline in a name": (lambda f: (f / "a\nb").write_text(""), r"'a\\nb': its name"),
    "tab in a name": (lambda f: (f / "a\tb").mkdir(), r"'a\\tb': its name"),
    "escape in a name": (lambda f: (f / "a\x1bb").write_text(""), r"'a\\x1bb': its name"),
    "name that is not UTF-8": (
        lambda f: Path(os.fsdecode(os.fsencode(f) + b"/\xff")).write_text(""),
        r"'\\xff': its name",
    ),
    "fifo": (lambda f: os.mkfifo(f / "it"), "it: it is neither"),
    "socket": (_socket, "it: it is neither"),
    "absolute link": (lambda f: (f / "it").symlink_to("/etc/passwd"), "it: it links to an absolute path, /etc/passwd"),
    "link out of the folder": (lambda f: (f / "it").symlink_to("../x"), "it: it links out of the folder, to ../x"),
    "link out by a detour": (lambda f: (f / "it").symlink_to("a/../../x"), "it: it links out of the folder"),
    "link with a newline": (lambda f: (f / "it").symlink_to("a\nb"), "it: the name it links to"),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_released(tmp_path: Path, row: tuple[Callable[[Path], object], str]) -> None:
    folder = Path(os.path.relpath(tmp_path))  # a socket's path may have 107 bytes
    row[0](folder)
    with pytest.raises(NotReady, match="holds what cannot be released: " + row[1]) as error:
        tree_of(tmp_path)
    assert error.value.hint


def test_links_that_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to("../../c")
    assert tree_of(tmp_path).entries["a/b/up"].link == "../../c"


def test_many_problems_are_counted(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}\n").write_text("")
    with pytest.raises(NotReady, match="and 3 more"):
        tree_of(tmp_path)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="there is no folder"):
        tree_of(tmp_path / "none")


def test_the_store_keeps_exactly_what_the_tree_says(tmp_path: Path) -> None:
    source = odd_tree(tmp_path / "source", [name for name in ODD if "\t" not in name])
    (source / "two words").chmod(0o555)
    (source / "not in the tree").write_text("x")
    tree = tree_of(source, ["not in the tree"])
    store = ArtifactStore(tmp_path / "cache" / "artifacts")
    assert not store.has(tree.hash)
    place = store.add(source, tree, {IDENTITY_FILE: "{}"})
    assert store.has(tree.hash) and place == store.path(tree.hash) == store.add(source, tree, {IDENTITY_FILE: "{1}"})
    assert sh(place) == tree.listing() and (place / IDENTITY_FILE).read_text() == "{1}"
    assert [p.name for p in store.folder.iterdir()] == [tree.hash]
    remove_tree(place)
    assert not store.has(tree.hash)
    remove_tree(place)


def test_a_source_that_changes_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("before")
    tree = tree_of(tmp_path / "source")
    (tmp_path / "source" / "file").write_text("after!")
    store = ArtifactStore(tmp_path / "store")
    with pytest.raises(NotReady, match="changed while it was read"):
        store.add(tmp_path / "source", tree)
    (tmp_path / "source" / "file").unlink()
    with pytest.raises(NotReady, match="cannot be kept"):
        store.add(tmp_path / "source", tree)
    assert list(store.folder.iterdir()) == []


def test_texts(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_text(path, "ü\nsecond\n", mode=0o600)
    assert (path.stat().st_mode & 0o777, read_text(path), read_first_line(path)) == (0o600, "ü\nsecond\n", "ü")
    write_text(path, "\ufeffmarked")
    assert (path.stat().st_mode & 0o777, read_text(path)) == (0o644, "marked")
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_texts_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"a\xff")
    for path, why in (("none", "there is no file"), ("binary", "not UTF-8"), (".", "cannot be read")):
        with pytest.raises(NotReady, match=why):
            read_text(tmp_path / path)
    with pytest.raises(NotReady, match="cannot be written"):
        write_text(tmp_path / "binary" / "below a file", "")


def test_package_text() -> None:
    assert package_text("outside/lifeline.sh").startswith("# sh lifeline.sh")


def test_the_store_keeps_the_newest(tmp_path: Path) -> None:
    store, places = ArtifactStore(tmp_path / "store"), []
    for number in range(4):
        (tmp_path / "source").mkdir(exist_ok=True)
        (tmp_path / "source" / "file").write_text(str(number))
        places.append(store.add(tmp_path / "source", tree_of(tmp_path / "source")))
        os.utime(places[-1], (number, number))
    store.keep_newest(2)
    assert [place.is_dir() for place in places] == [False, False, True, True]


async def test_an_artifact_that_was_changed_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("as built")
    tree = tree_of(tmp_path / "source")
    place = ArtifactStore(tmp_path / "store").add(tmp_path / "source", tree, {IDENTITY_FILE: "{}"})
    assert await ArtifactStore(tmp_path / "store").tree(tree.hash) == tree
    (place / "file").write_text("by hand")
    with pytest.raises(NotReady, match="was changed"):
        await ArtifactStore(tmp_path / "store").tree(tree.hash)


async def test_an_artifact_may_hold_links_to_what_is_shared(tmp_path: Path) -> None:
    """They lead out of it: a deployment puts them there, where a build may not."""
    (tmp_path / "source").mkdir()
    shared = Entry(kind="l", mode=0o777, link="../../shared/uploads")
    tree = Tree(entries={"uploads": shared})
    store = ArtifactStore(tmp_path / "store")
    store.add(tmp_path / "source", tree, {IDENTITY_FILE: "{}"})
    assert await store.tree(tree.hash) == tree
