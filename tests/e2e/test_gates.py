"""All gates of one environment: open together, and each of them broken in turn blocks, with a sentence and a hint."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from fairlead.app import Fairlead
from fairlead.surfaces.cli import lines
from support.gated import QUALITY, Reports, Site, content
from support.github import COMMIT, TOKEN, GitHub, alert
from support.reports import CLEAN, FOUND

ALWAYS = ["hosts", "lock", "databases", "backups", "drills"]
ORDER = [*ALWAYS, "commit", "ci", "dependabot", "review", "behind", "pulls", *QUALITY]


class Whole(Site):
    """The same, with a database, its backup, and reports of tools."""

    def __init__(self, folder: Path, github: GitHub) -> None:
        super().__init__(folder, github)
        self.reports, self.home = Reports(folder / "reports"), folder / "home"
        document = yaml.safe_load(self.file.read_text())
        (self.home / "data").mkdir()
        with sqlite3.connect(self.home / "data/orders.db") as database:
            database.execute("create table t (x)")
        database.close()
        names: dict[str, Any] = {"orders": None}
        document["databases"] = {"local": {"engine": "sqlite", "reached_from": "here", "path": "data/{name}.db"}}
        document["databases"]["local"]["names"] = names
        document["environments"]["test"]["services"]["api"]["databases"] = ["orders"]
        gates = {gate: self.reports.entry(gate) for gate in QUALITY}
        document["environments"]["test"]["gates"] = {"ask": ORDER[5:11], **gates}
        self.file.write_text(yaml.safe_dump(document, sort_keys=False))
        self.head = self.commit("v1 of all")
        self.all_is_well()

    def all_is_well(self) -> None:
        """GitHub knows the commit, and everybody is content with it."""
        content(self.github, self.head)


@pytest.fixture(scope="module")
def server() -> Iterator[GitHub]:
    with GitHub() as made:
        yield made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, server: GitHub) -> Iterator[Whole]:
    made = Whole(tmp_path_factory.mktemp("gates"), server)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.operator.env().items():
            if name.startswith("XDG_") or name == "GITHUB_TOKEN":
                patch.setenv(name, value)
        asyncio.run(backed_up(made))
        yield made


async def backed_up(site: Whole) -> None:
    async with Fairlead(site.file, "test") as app:
        await app.data.backup()


async def asked(site: Whole) -> tuple[list[str], str]:
    """The gates that block, and the whole screen."""
    async with Fairlead(site.file, "test") as app:
        told = await app.readiness.ask()
    assert [one.gate for one in told.gates] == ORDER
    return [one.gate for one in told.blocking], "\n".join(lines.readiness(told))


class Row(NamedTuple):
    breaks: Callable[[Whole], Any]
    says: str
    hint: str
    mends: Callable[[Whole], Any] = lambda site: site.all_is_well()
    also: tuple[str, ...] = ()


def lock(site: Whole) -> None:
    folder = site.home / ".fairlead/test"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock").write_text("1 7 free n r-open bob@there\n")


def moved(name: str) -> tuple[Callable[[Whole], Any], Callable[[Whole], Any]]:
    """Something is away for a while."""

    def away(site: Whole) -> None:
        (site.home / name).rename(site.home / f"{name}.away")

    def back(site: Whole) -> None:
        (site.home / f"{name}.away").rename(site.home / name)

    return away, back


def bad(gate: str) -> tuple[Callable[[Whole], Any], Callable[[Whole], Any]]:
    return (lambda site: site.reports.say(gate, FOUND)), (lambda site: site.reports.say(gate, CLEAN))


def set_to(**fields: Any) -> Callable[[Whole], None]:
    def change(site: Whole) -> None:
        for name, value in fields.items():
            setattr(site.github, name, value)

    return change


GATES = {
    "hosts": Row(
        lambda site: (site.home / "srv").write_text(""),
        "srv/api cannot be written to",
        "look at owner and mode",
        lambda site: (site.home / "srv").unlink(),
    ),
    "lock": Row(
        lock,
        "run r-open by bob@there is not finished",
        "fairlead resume -e test",
        lambda site: shutil.rmtree(site.home / ".fairlead/test"),
    ),
    "databases": Row(moved("data/orders.db")[0], "orders", "", moved("data/orders.db")[1]),
    "backups": Row(
        moved("fairlead-backups")[0], "no backup", "fairlead db backup orders", moved("fairlead-backups")[1]
    ),
    "commit": Row(
        lambda site: (site.folder / ".git").rename(site.folder / ".away"),
        "git does not know",
        "git status",
        lambda site: (site.folder / ".away").rename(site.folder / ".git"),
        ("ci", "dependabot", "review", "behind", "pulls"),
    ),
    "ci": Row(set_to(runs=[]), "nothing has looked at", "was it pushed"),
    "dependabot": Row(set_to(alerts=[alert("critical")]), "critical: GHSA-aaaa-bbbb-cccc", "https://github.example"),
    "review": Row(set_to(reviews={12: []}), "nobody who counts has approved it", "https://github.example/pull/12"),
    "behind": Row(set_to(compare={"status": "behind", "ahead_by": 0, "behind_by": 3}), "lacks 3 commits", "git rebase"),
    "security": Row(bad("security")[0], "4 issues by gitleaks: 4 critical", "", bad("security")[1]),
    "maintainability": Row(
        bad("maintainability")[0], "maintainability is 30, at least 85 is asked", "", bad("maintainability")[1]
    ),
    "dependencies": Row(
        bad("dependencies")[0], "3 issues by npm audit: 1 critical, 2 high", "", bad("dependencies")[1]
    ),
    "performance": Row(bad("performance")[0], "performance is 52, at least 90 is asked", "", bad("performance")[1]),
}


async def test_all_gates_are_open(whole: Whole) -> None:
    blocking, screen = await asked(whole)
    assert (blocking, screen.splitlines()[-1]) == ([], "ready for deployment"), screen
    assert len(screen.splitlines()) <= 24, "one screen"


@pytest.mark.parametrize("gate", GATES)
async def test_each_gate_that_is_broken_blocks(whole: Whole, gate: str) -> None:
    row = GATES[gate]
    row.breaks(whole)
    try:
        blocking, screen = await asked(whole)
    finally:
        row.mends(whole)
    assert set(blocking) - set(row.also) == {gate}, screen
    assert row.says in screen, screen
    assert any(line.startswith("hint: ") and row.hint in line for line in screen.splitlines()), screen
    assert f"blocked by {', '.join(blocking)}" == screen.splitlines()[-1]
    assert TOKEN not in screen
    assert COMMIT[:12] not in screen


async def test_and_open_again_at_the_end(whole: Whole) -> None:
    assert (await asked(whole))[0] == []


async def test_nine_of_nine_is_what_status_counts(whole: Whole) -> None:
    async with Fairlead(whole.file, "test") as app:
        await app.readiness.ask()
        told = await app.readiness.status()
    assert (told.gates_open, told.gates_total) == (8, 8), "GitHub's four, and those of quality that are asked here"
    assert (told.databases_reachable, told.databases_total, told.ready) == (1, 1, True)
