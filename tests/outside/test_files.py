from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
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


def _made(source: Path, store: ArtifactStore, **texts: str) -> Path:
    """The artifact of a folder with these files, as the next one of `api`."""
    remove_tree(source)
    for name, text in texts.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    return store.add(source, tree_of(source), {IDENTITY_FILE: "{}"}, like="api")


def _overwritten(source: Path, name: str, text: str) -> None:
    inode = (source / name).stat().st_ino
    with (source / name).open("r+") as file:
        file.write(text)
    assert (source / name).stat().st_ino == inode


def test_a_source_overwritten_in_place_does_not_reach_the_artifacts(tmp_path: Path) -> None:
    store, source = ArtifactStore(tmp_path / "store"), tmp_path / "source"
    places = [_made(source, store, same="as built", other=text) for text in "12"]
    _overwritten(source, "same", "BY HAND!")
    _overwritten(source, "other", "X")
    assert [(place / "same").read_text() + (place / "other").read_text() for place in places] == [
        "as built1",
        "as built2",
    ]


def test_files_of_the_last_artifact_are_linked(tmp_path: Path) -> None:
    store, source = ArtifactStore(tmp_path / "store"), tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    for name in ("same", "bin/tool", "text", "gone"):
        (source / name).write_text("before")
    old = store.add(source, tree_of(source), {IDENTITY_FILE: "{}"}, like="api")
    (source / "text").write_text("after!")
    (source / "bin/tool").chmod(0o700)
    (source / "gone").unlink()
    tree = tree_of(source)
    new = store.add(source, tree, {IDENTITY_FILE: "{1}"}, like="api")
    linked = {path for path, entry in tree.entries.items() if entry.kind == "f" and (old / path).samefile(new / path)}
    assert linked == {"same"}
    assert ((new / "bin/tool").stat().st_mode & 0o777, (old / "bin/tool").stat().st_mode & 0o111) == (0o700, 0)
    assert [(place / IDENTITY_FILE).read_text() for place in (old, new)] == ["{}", "{1}"]
    assert sh(new) == tree.listing() and not (new / "same").samefile(source / "same")
    store.add(source / "bin", tree_of(source / "bin"), like="web")  # of another line, although a file has the same name
    assert sorted(path.name for path in store.folder.glob(".*")) == [".last-api", ".last-web"]


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "another text of the same length": ("same", lambda f: (f / "same").write_text("BY HAND!")),
    "another mode": ("same", lambda f: (f / "same").chmod(0o640)),
    "a file is missing": ("same", lambda f: (f / "same").unlink()),
    "a link in its place": ("same", lambda f: ((f / "same").rename(f / "new"), (f / "same").symlink_to("new"))),
    "a folder in its place": ("same", lambda f: ((f / "same").unlink(), (f / "same").mkdir())),
    "its folder is a link": ("in/file", lambda f: ((f / "in").rename(f / "new"), (f / "in").symlink_to("new"))),
    "all of it is missing": ("same", remove_tree),
}


@pytest.mark.parametrize(("path", "damage"), DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_damaged_artifact_harms_only_itself(
    tmp_path: Path, path: str, damage: Callable[[Path], object]
) -> None:
    store, source = ArtifactStore(tmp_path / "store"), tmp_path / "source"
    texts = {"same": "as built", "in/file": "content"}
    old = _made(source, store, **texts, other="1")
    damage(old)
    new = _made(source, store, **texts, other="2")
    assert sh(new) == tree_of(source).listing() and (new / path).stat().st_nlink == 1
    with pytest.raises(NotReady, match=r"was changed|there is no folder"):
        await ArtifactStore(store.folder).tree(old.name)


STRANGE: dict[str, Callable[[Path], object]] = {
    "a pipe that nobody writes into": lambda f: os.mkfifo(f / "it"),
    "a name that is not UTF-8": lambda f: Path(os.fsdecode(os.fsencode(f) + b"/\xff")).write_text(""),
    "a link to a name that is not UTF-8": lambda f: (f / "it").symlink_to(os.fsdecode(b"\xff")),
    "a file more": lambda f: (f / "it").write_text(""),
}


@pytest.mark.parametrize("damage", STRANGE.values(), ids=STRANGE.keys())
async def test_what_no_artifact_holds_is_noticed(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    place = _made(tmp_path / "source", ArtifactStore(tmp_path / "store"), file="content")
    damage(place)
    with pytest.raises(NotReady, match="was changed"):
        await ArtifactStore(tmp_path / "store").tree(place.name)


async def test_a_store_reads_again_what_it_has_not_made_itself(tmp_path: Path) -> None:
    """What it has made is not read twice in one run; found there, or gone since, it is not taken for granted."""
    source, mine = tmp_path / "source", ArtifactStore(tmp_path / "store")
    place = _made(source, mine, file="content")
    tree, other = tree_of(source), ArtifactStore(tmp_path / "store")
    other.add(source, tree, like="api")
    (place / "file").write_text("by hand")
    assert await mine.tree(place.name) == tree
    with pytest.raises(NotReady, match="was changed"):
        await other.tree(place.name)
    remove_tree(place)
    with pytest.raises(NotReady, match="there is no folder"):
        await mine.tree(place.name)


def test_an_artifact_in_use_again_is_among_the_newest(tmp_path: Path) -> None:
    store, source = ArtifactStore(tmp_path / "store"), tmp_path / "source"
    places = [_made(source, store, file=text) for text in "123"]
    for number, place in enumerate(places):
        os.utime(place, (number, number))
    _made(source, store, file="1")
    store.keep_newest(2)
    assert [place.is_dir() for place in places] == [True, False, True]


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1 << 20, 3_000_000])
def test_files_of_every_size(tmp_path: Path, size: int) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(os.urandom(size))
    tree = tree_of(tmp_path / "source")
    assert tree.size == size and tree.listing() == sh(tmp_path / "source")
    assert sh(ArtifactStore(tmp_path / "store").add(tmp_path / "source", tree)) == tree.listing()


def test_a_source_that_changes_all_the_time(tmp_path: Path) -> None:
    """What is kept is what the tree says, or nothing is."""
    (tmp_path / "source").mkdir()
    file, store, over = tmp_path / "source" / "file", ArtifactStore(tmp_path / "store"), threading.Event()
    file.write_bytes(bytes(200_000))

    def write() -> None:
        with file.open("r+b", buffering=0) as writing:
            while not over.is_set():
                writing.seek(0)
                writing.write(os.urandom(200_000))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            tree = tree_of(tmp_path / "source")
            with suppress(NotReady):
                assert sh(store.add(tmp_path / "source", tree, like="api")) == tree.listing()
    finally:
        over.set()
        writer.join()
    assert list(store.folder.glob(".new-*")) == []
