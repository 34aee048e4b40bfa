"""The working copy, asked of a real git."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from fairlead.errors import NotReady
from fairlead.outside.git import working_copy


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GIT_", "GITHUB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "copy"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    (made / "a b.txt").write_text("1")
    git(made, "add", ".")
    git(made, "commit", "-qm", "first")
    return made


async def test_a_clean_copy(folder: Path) -> None:
    git(folder, "remote", "add", "origin", "git@github.com:acme/shop.git")
    seen = await working_copy(folder)
    assert (seen.commit, seen.branch) == (git(folder, "rev-parse", "HEAD"), "main")
    assert (seen.remote, seen.changed) == ("git@github.com:acme/shop.git", ())
    assert abs(seen.committed - time.time()) < 60


CHANGES = {
    "changed": (lambda f: (f / "a b.txt").write_text("2"), ("a b.txt",)),
    "not known to git": (lambda f: (f / "new\nline ü").write_text("2"), ("new\nline ü",)),
    "deleted": (lambda f: (f / "a b.txt").unlink(), ("a b.txt",)),
    "renamed": (lambda f: git(f, "mv", "a b.txt", "c"), ("c",)),
    "looks like an answer of git": (lambda f: (f / "# branch.head x").write_text(""), ("# branch.head x",)),
    "ignored": (lambda f: ((f / ".git/info/exclude").write_text("*.o\n"), (f / "x.o").write_text("")), ()),
}


@pytest.mark.parametrize("row", CHANGES)
async def test_what_was_not_committed(folder: Path, row: str) -> None:
    change, wanted = CHANGES[row]
    change(folder)
    seen = await working_copy(folder)
    assert (seen.changed, seen.branch) == (wanted, "main")


async def test_a_commit_without_a_branch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(folder, "checkout", "-q", "--detach")
    assert (await working_copy(folder)).branch == ""
    monkeypatch.setenv("GITHUB_REF_NAME", "release")
    monkeypatch.setenv("GITHUB_SHA", "0" * 40)
    assert (await working_copy(folder)).branch == "", "CI speaks of another commit"
    monkeypatch.setenv("GITHUB_SHA", git(folder, "rev-parse", "HEAD"))
    assert (await working_copy(folder)).branch == "release"
    monkeypatch.setenv("GITHUB_HEAD_REF", "feature")
    assert (await working_copy(folder)).branch == "feature"


async def test_no_working_copy(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="git does not know"):
        await working_copy(tmp_path)


async def test_nothing_committed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(NotReady, match="nothing was committed"):
        await working_copy(tmp_path)


async def test_of_another_commit_than_what_is_checked_out(folder: Path) -> None:
    first = git(folder, "rev-parse", "HEAD")
    git(folder, "commit", "-q", "--allow-empty", "-m", "second")
    seen = await working_copy(folder, commit=first)
    assert (seen.commit, seen.checked_out) == (first, False)
    assert (await working_copy(folder)).checked_out
    assert (await working_copy(folder, commit=git(folder, "rev-parse", "HEAD"))).checked_out
    with pytest.raises(NotReady, match="git does not have the commit 000000000000"):
        await working_copy(folder, commit="0" * 40)
