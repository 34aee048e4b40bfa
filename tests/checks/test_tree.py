from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fairlead.checks.tree import check_trees
from fairlead.model import Tree, TreeCheck
from fairlead.model.tree import Entry
from support.places import Place, place

PATH = "site/releases/a b"


@pytest.fixture(params=["local", "ssh"])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with place(request.param, tmp_path) as found:
        yield found


def lay(home: Path) -> str:
    """A release with everything that counts; the hash of it as the operator's half computes it."""
    folder = home / PATH
    (folder / "sub").mkdir(parents=True)
    (folder / "sub").chmod(0o755)
    (folder / "sub/ö\n.txt").write_text("hello")
    (folder / "sub/ö\n.txt").chmod(0o644)
    (folder / "link").symlink_to("sub")
    (folder / "release.json").write_text("not part of it")
    entries = {
        "sub": Entry(kind="d", mode=0o755),
        "sub/ö\n.txt": Entry(kind="f", mode=0o644, sha256=hashlib.sha256(b"hello").hexdigest()),
        "link": Entry(kind="l", mode=0o777, link="sub"),
    }
    return Tree(entries=entries).hash


async def look(here: Place, tree: str) -> tuple[str, str]:
    (finding,) = await check_trees([TreeCheck(subject="api", host="here", path=PATH, tree=tree)], here.host)
    assert (finding.check, finding.subject) == ("tree", "api") and finding.ms
    return finding.status, finding.says


async def test_an_untouched_release_is_what_its_name_promises(anywhere: Place) -> None:
    tree = lay(anywhere.home)
    anywhere.give()
    said = [f"{PATH} on here is what {what}" for what in ("it was", "its name promises")]
    assert [await look(anywhere, tree), await look(anywhere, tree[:12])] == [("ok", says) for says in said]


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: (folder / "sub/ö\n.txt").write_text("hellO"),
    "mode": lambda folder: (folder / "sub/ö\n.txt").chmod(0o600),
    "one file more": lambda folder: (folder / "new").write_text(""),
    "one file less": lambda folder: (folder / "sub/ö\n.txt").unlink(),
    "link elsewhere": lambda folder: ((folder / "link").unlink(), (folder / "link").symlink_to("/etc")),
}


@pytest.mark.parametrize("case", CHANGES)
async def test_every_change_is_noticed(tmp_path: Path, case: str) -> None:
    async with place("local", tmp_path) as here:
        tree = lay(here.home)
        CHANGES[case](here.home / PATH)
        assert await look(here, tree[:12]) == ("fail", f"{PATH} on here is not what its name promises")


async def test_a_missing_folder_is_a_failure(tmp_path: Path) -> None:
    async with place("local", tmp_path) as here:
        assert await look(here, "0" * 64) == ("fail", f"there is no folder {PATH} on here")


async def test_no_expectation_is_never_met(tmp_path: Path) -> None:
    async with place("local", tmp_path) as here:
        lay(here.home)
        assert (await look(here, ""))[0] == "fail"


async def test_several_are_asked_about_in_one_trip(tmp_path: Path) -> None:
    async with place("local", tmp_path) as here:
        tree = lay(here.home)
        words = [(PATH, tree), ("gone", tree), (PATH, "0" * 12), *[(PATH, tree[:12])] * 4]
        checks = [TreeCheck(subject="api", host="here", path=path, tree=wanted) for path, wanted in words]
        found = await check_trees(checks, here.host)
    assert [one.status for one in found] == ["ok", "fail", "fail", "ok", "ok", "ok", "ok"]


async def test_a_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    async with place("ssh", tmp_path) as there:
        tree = lay(there.home)
        there.give()
        (there.home / PATH / "sub").chmod(0)
        status, says = await look(there, tree)
        assert status == "fail" and "Permission denied" in says
