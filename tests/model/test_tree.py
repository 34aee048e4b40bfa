"""One hash, made in two places: by us from a tree's entries, by a shell from the folder itself."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlead.model import LISTING, Tree, difference, parse_listing
from fairlead.model.tree import Entry
from fairlead.outside.files import tree_of


def empty(folder: Path) -> None:
    del folder


def odd_names(folder: Path) -> None:
    for name in ("a b", "-rf", "it's", '"', "$(x)", "ü–🚢", ".hidden", "\\", "a\\tb", "  ", "*", "%s", "~", "#"):
        (folder / name).write_text(name)


def sorting(folder: Path) -> None:
    """Bytewise, not by locale; a folder's children do not stand beside it."""
    for name in ("a", "B", "a.b", "a-b", "_", "Z"):
        (folder / name).mkdir()
        (folder / name / "f").write_text(name)
    (folder / "a0").write_text("")


def modes(folder: Path) -> None:
    for mode in (0o644, 0o600, 0o755, 0o444, 0o777, 0o640):
        (folder / f"f{mode:o}").write_text("same content")
        (folder / f"f{mode:o}").chmod(mode)
    for mode in (0o755, 0o700, 0o750, 0o555):
        (folder / f"d{mode:o}").mkdir()
        (folder / f"d{mode:o}").chmod(mode)


def links(folder: Path) -> None:
    (folder / "real").write_text("x")
    (folder / "inner").mkdir()
    for name, to in (("file", "real"), ("up", "inner/../real"), ("dead", "gone"), ("dir", "inner"), ("sp", "a b  c")):
        (folder / name).symlink_to(to)
    os.symlink("./inner//../real", folder / "as it stands")  # noqa: PTH211 - a Path would tidy it


def contents(folder: Path) -> None:
    (folder / "empty").write_bytes(b"")
    (folder / "binary").write_bytes(bytes(range(256)) * 10)
    (folder / "nul").write_bytes(b"\0" * 100_000)
    (folder / "text").write_text("f 644 \tlooks like a record\n")


def identity(folder: Path) -> None:
    """The release's name is made from the hash, so the file that holds it cannot be part of it; only at the top."""
    (folder / "release.json").write_text("{}")
    (folder / "inner").mkdir()
    (folder / "inner" / "release.json").write_text("{}")


def bytecode(folder: Path) -> None:
    """What Python writes into a release that runs is nobody's content, wherever it lies and whatever it is."""
    for inner in (folder, folder / "inner", folder / "inner" / "more"):
        (inner / "__pycache__" / "deeper").mkdir(parents=True)
        (inner / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"\0")
        (inner / "main.py").write_text("")
    (folder / "link").mkdir()
    (folder / "link" / "__pycache__").symlink_to("../inner")
    (folder / "__pycache__x").write_text("counts")


def deep(folder: Path) -> None:
    (folder / "/".join(["d"] * 40)).mkdir(parents=True)


SHAPES = (empty, odd_names, sorting, modes, links, contents, identity, bytecode, deep)


def shell_says(folder: Path) -> bytes:
    return subprocess.run(["sh", "-c", LISTING], cwd=folder, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_shell_and_model_say_the_same(tmp_path: Path, shape: Callable[[Path], None]) -> None:
    shape(tmp_path)
    listing = shell_says(tmp_path)
    ours = tree_of(tmp_path, ("release.json",)) if shape is not identity else parse_listing(listing)
    assert ours.listing() == listing
    assert ours.hash == hashlib.sha256(listing).hexdigest()
    assert parse_listing(listing).hash == ours.hash
    assert Tree.model_validate_json(ours.to_json()).hash == ours.hash


def test_only_the_top_release_json_is_left_out(tmp_path: Path) -> None:
    identity(tmp_path)
    assert set(parse_listing(shell_says(tmp_path)).entries) == {"inner", "inner/release.json"}


def test_bytecode_is_left_out(tmp_path: Path) -> None:
    bytecode(tmp_path)
    names = {"main.py", "__pycache__x", "inner", "inner/main.py", "inner/more", "inner/more/main.py", "link"}
    assert set(parse_listing(shell_says(tmp_path)).entries) == names


NAMES = st.text(st.characters(min_codepoint=33, exclude_categories=("Cs", "Cc"), exclude_characters="/"), min_size=1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES.filter(lambda n: n not in (".", "..") and len(n.encode()) < 200), st.binary(max_size=9)))
def test_any_names_and_contents(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name, content in files.items():
        (folder / name).write_bytes(content)
    tree = parse_listing(shell_says(folder))
    assert tree.listing() == shell_says(folder)
    assert tree_of(folder, ("release.json",)).hash == tree.hash


FILE = Entry(kind="f", mode=0o644, size=3, sha256="a" * 64)
BASE = {"d": Entry(kind="d", mode=0o755), "d/f": FILE, "l": Entry(kind="l", mode=0o777, link="d/f")}


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(BASE, True, id="the same"),
        pytest.param(dict(reversed(BASE.items())), True, id="in another order"),
        pytest.param({**BASE, "d/f": FILE.model_copy(update={"size": 9})}, True, id="size is not part of it"),
        pytest.param({**BASE, "d/f": FILE.model_copy(update={"mode": 0o755})}, False, id="a file's mode"),
        pytest.param({**BASE, "d": Entry(kind="d", mode=0o700)}, False, id="a folder's mode"),
        pytest.param({**BASE, "d/f": FILE.model_copy(update={"sha256": "b" * 64})}, False, id="content"),
        pytest.param({**BASE, "l": Entry(kind="l", mode=0o777, link="d")}, False, id="a link's target"),
        pytest.param({"d": BASE["d"], "d/g": FILE, "l": BASE["l"]}, False, id="a name"),
        pytest.param({"d": BASE["d"], "d/f": FILE}, False, id="something missing"),
    ],
)
def test_the_hash_is_the_content(other: dict[str, Entry], same: bool) -> None:
    assert (Tree(entries=other).hash == Tree(entries=BASE).hash) is same


@pytest.mark.parametrize("raw", [b"f 644 \ta", b"f 644 \ta\0" + b"a" * 64], ids=["no end", "cut in the second list"])
def test_a_listing_that_is_cut_off_is_no_listing(raw: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        parse_listing(raw)


def test_difference_names_what_is_added_changed_and_deleted() -> None:
    old = Tree(entries={**BASE, "gone": FILE})
    new = Tree(entries={**BASE, "new": FILE, "d/f": FILE.model_copy(update={"mode": 0o600, "size": 0})})
    found = difference(old, new)
    assert (found.added, found.changed, found.deleted) == (("new",), ("d/f",), ("gone",))
    assert difference(old, old.model_copy()) == difference(new, new)
