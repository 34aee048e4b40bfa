"""Docroots that stay folders, on real folders: every step from everywhere, and nothing foreign lost or changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fairlead.config import ServiceSpec
from fairlead.config.service import MaintenanceSpec, MigrationSpec, SourceSpec, SwitchSpec
from fairlead.errors import NotReady
from fairlead.model import ServiceChange, Step
from fairlead.outside.connect import Hosts
from fairlead.outside.secrets import Secrets
from fairlead.plan.deploy import look_everywhere
from fairlead.plan.prepare import Artifact
from fairlead.run.runner import WayBack
from fairlead.strategies import in_place
from support.small import HERE, accounts
from support.witness import tree as photograph
from support.workplace import HOST, Workplace, by_word

SWITCH = SwitchSpec(
    kind="run",
    run=("sh", "-c", 'cat "$1/VERSION" >running 2>/dev/null || echo none >running', "x", "httpdocs"),
    status=("test", "-e", "running"),
    stop=("rm", "-f", "running"),
)
V1 = {"index.html": "v1", "VERSION": "v1\n", "assets/app.1.js": "1", "same": "same", "sub/deep/old": "old"}
V2 = {"index.html": "v2", "VERSION": "v2\n", "assets/app.2.js": "2", "same": "same", "sub/page.html": "new"}
FOREIGN = {
    "index.html": "by hand",
    "VERSION": "before fairlead\n",
    "wp-config.php": "<?php // secret",
    "wp-content/two\nlines.php": "newline",
    "wp-content/plugins/a/b.php": "plugin",
    ".env": "SECRET=1",
    "uploads/cat.jpg": "cat",
    "sub/theirs": "theirs",
}


def service(path: str = "httpdocs", **more: object) -> ServiceSpec:
    switch = SWITCH.model_copy(update={"run": (*SWITCH.run[:-1], path)})
    given = {"name": "web", "host": HERE, "path": path, "strategy": "in_place", "beside": f"{path}.fairlead"}
    given |= {"source": SourceSpec(folder="source", version="VERSION"), "on_switch": switch, "environment": "t"}
    return ServiceSpec.model_validate({**given, **more})


def lay(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def inodes(folder: Path) -> dict[str, int]:
    """Every file and link by its inode: what is brought back must be the very thing."""
    return {str(p.relative_to(folder)): p.lstat().st_ino for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}


class World(Workplace):
    """A docroot on a local account, and an operator who builds releases."""

    @property
    def root(self) -> Path:
        return self.home / self.spec.path

    @property
    def place(self) -> Path:
        return self.home / in_place.place_of(self.spec)

    @property
    def runs(self) -> str:
        running = self.home / "running"
        return running.read_text().strip() if running.exists() else "-"

    async def build(self, files: dict[str, str]) -> Artifact:
        shutil.rmtree(self.folder / "source", ignore_errors=True)
        lay(self.folder / "source", files)
        return await self.prepared()

    async def planned(self, files: dict[str, str]) -> tuple[ServiceChange, tuple[Step, ...]]:
        artifact = await self.build(files)
        found = (await look_everywhere([self.spec], self.hosts, {"web": artifact.tree}))["web"]
        change = in_place.change(self.spec, artifact.tree, artifact.version, found)
        return change, in_place.steps(self.spec, HOST, artifact.tree, found)

    async def steps(self, files: dict[str, str]) -> tuple[Step, ...]:
        return (await self.planned(files))[1]

    async def carry_out(self, steps: Iterable[Step], *, back: bool = False) -> None:
        """All steps; with `back`, those up to the watch, and then back."""
        steps = tuple(steps)
        async with self.run(steps, f"r{time.monotonic_ns()}") as (_, runner):
            for step in steps:
                if not (back and step.phase == "close"):
                    await runner.forward(step, alone=True)
            if back:
                await runner.back("told to")

    async def deploy(self, files: dict[str, str], *, back: bool = False) -> None:
        await self.carry_out(await self.steps(files), back=back)

    async def roll_back(self, undone: ServiceChange) -> None:
        found = (await look_everywhere([self.spec], self.hosts))["web"]
        _, steps, _ = in_place.back(self.spec, HOST, undone, found)
        before = self.files()
        await self.carry_out(steps)
        named = {line for line in steps[0].shows if line.startswith("rm ")}
        gone = {f"rm {self.spec.path}/{name}, if it is still what was put there" for name in before - self.files()}
        assert gone == named, "every deletion stands in the plan, and no other"

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}

    def holds(self, files: dict[str, str]) -> bool:
        return all((self.root / name).read_text() == text for name, text in files.items())


@asynccontextmanager
async def world(folder: Path, spec: ServiceSpec | None = None, foreign: dict[str, str] = {}) -> AsyncIterator[World]:  # noqa: B006
    async with Hosts(accounts(folder), Secrets()) as hosts:
        here = World(folder, hosts, spec or service())
        here.root.mkdir(parents=True)
        lay(here.root, foreign)
        yield here


async def test_one_release_after_the_other(tmp_path: Path) -> None:
    async with world(tmp_path, foreign=FOREIGN) as here:
        untouched = {name: text for name, text in FOREIGN.items() if name not in V1}
        await here.deploy(V1)
        assert here.holds(V1 | untouched)
        assert here.runs == "v1"
        assert here.place.stat().st_mode & 0o777 == 0o700
        assert here.place.parent.stat().st_mode & 0o777 == 0o700
        await here.deploy(V2)
        assert here.holds(V2 | untouched)
        assert here.runs == "v2"
        assert not (here.root / "assets/app.1.js").exists()
        assert not (here.root / "sub/deep/old").exists()
        assert '"release"' in (here.root / "release.json").read_text()


async def test_a_first_deployment_goes_back_to_exactly_what_was_found(tmp_path: Path) -> None:
    async with world(tmp_path, foreign=FOREIGN) as here:
        (here.root / "index.html").chmod(0o606)
        (here.root / "VERSION").unlink()
        (here.root / "VERSION").symlink_to("wp-config.php")
        (here.root / "other name of index").hardlink_to(here.root / "index.html")
        lay(here.root, {"release.json": "somebody's"})
        before, very = photograph(here.home), inodes(here.root)
        await here.deploy(V1, back=True)
        after = photograph(here.home)
        assert {k: v for k, v in after.items() if not k.startswith(".fairlead")} == before
        assert inodes(here.root) == very


async def test_a_way_back_after_an_earlier_release(tmp_path: Path) -> None:
    async with world(tmp_path, foreign=FOREIGN) as here:
        await here.deploy(V1)
        before, very = photograph(here.root), inodes(here.root)
        await here.deploy(V2, back=True)
        assert photograph(here.root) == before
        assert inodes(here.root) == very
        assert here.runs == "v1"
        await here.deploy(V2)
        assert here.holds(V2)


async def test_finished_deployments_are_taken_back_one_after_the_other(tmp_path: Path) -> None:
    async with world(tmp_path, foreign=FOREIGN) as here:
        states, undone = [], []
        for files in (V1, V2, {"index.html": "v3", "VERSION": "v3\n"}):
            states.append((photograph(here.root), inodes(here.root)))
            change, steps = await here.planned(files)
            undone.append(change)
            await here.carry_out(steps)
        while undone:
            await here.roll_back(undone.pop())
            assert (photograph(here.root), inodes(here.root)) == states.pop()
        await here.deploy(V2)
        assert here.holds(V2)


async def test_what_somebody_changed_is_never_deleted(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy(V1)
        (here.root / "assets/app.1.js").write_text("mended by hand")
        change, steps = await here.planned(V2)
        assert change.inventory is not None
        assert change.inventory.left == ("assets/app.1.js",)
        assert change.files.deleted == ("sub/deep/old",)
        await here.carry_out(steps)
        assert (here.root / "assets/app.1.js").read_text() == "mended by hand"
        assert not (here.root / "sub/deep/old").exists()
        await here.deploy(V1 | {"x": "x"})
        change, _ = await here.planned(V2)
        assert "assets/app.1.js" in change.files.deleted, "a release has put it there again"


async def test_a_file_that_was_there_already_stays_when_no_release_has_it_any_more(tmp_path: Path) -> None:
    async with world(tmp_path, foreign={"same": "same"}) as here:
        await here.deploy(V1)
        await here.deploy({"index.html": "x", "VERSION": "x"})
        assert (here.root / "same").read_text() == "same"


async def test_the_plan_tells_what_is_there(tmp_path: Path) -> None:
    async with world(tmp_path, service(protected=(".env", "uploads")), FOREIGN) as here:
        (here.root / "link").symlink_to("uploads")
        change, steps = await here.planned(V1)
        seen = change.inventory
        assert seen is not None
        assert (seen.files, seen.links, seen.untouched) == (6, 1, 5)
        assert seen.foreign == ("VERSION", "index.html")
        assert seen.protected == (".env", "uploads")
        assert sum(int(shape.split()[0]) for shape in seen.shapes) == seen.files + seen.links + seen.folders
        assert set(change.files.changed) == {"VERSION", "index.html"}
        switch = by_word(steps)["switch"]
        assert "6 files in httpdocs are put in place one by one" in switch.warns[0]


async def test_the_script_and_the_plan_mean_the_same_files(tmp_path: Path) -> None:
    async with world(tmp_path, foreign=FOREIGN) as here:
        await here.deploy(V1)
        (here.root / "sub/deep/old").chmod(0o600)
        (here.root / "index.html").write_text("by hand again")
        change, steps = await here.planned(V2)
        async with here.run(steps) as (_, runner):
            for step in steps[:4]:
                await runner.forward(step, alone=True)
            lists = {
                name: sorted(path[2:] for path in (here.place / f"kept/2/{name}").read_text().split("\0")[:-1])
                for name in ("added", "replaced", "gone")
            }
            await runner.back("seen enough")
        assert lists["added"] == list(change.files.added)
        assert lists["replaced"] == sorted([*change.files.changed, "release.json"])
        assert lists["gone"] == list(change.files.deleted)


async def test_assets_of_the_last_release_stay_until_the_watch_is_over(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy(V1)
        steps = await here.steps(V2)
        assert "rm httpdocs/assets/app.1.js" in by_word(steps)["tidy"].shows
        async with here.run(steps) as (_, runner):
            for step in steps:
                assert (here.root / "assets/app.1.js").exists(), step.id
                await runner.forward(step, alone=True)
        assert not (here.root / "assets/app.1.js").exists()


# -- each step from everywhere

WAYS = (("do", "after"), ("do", "after"), ("undo", "before"), ("undo", "before"), ("do", "after"))
WORDS = ("room", "upload", "release", "keep", "maintenance_on", "migrate", "switch", "maintenance_off")
PROBE = 'case $(cat "$HOME/schema" 2>/dev/null) in "") echo before;; 2) echo after;; *) echo between;; esac'
MIGRATION = MigrationSpec(
    apply=(("sh", "-c", 'cat VERSION; echo 2 >"$HOME/schema"'),),
    probe=("sh", "-c", PROBE),
    undo=(("sh", "-c", 'rm -f "$HOME/schema"'),),
    databases=("crm",),
)


def spoil(here: World, word: str, new: str) -> bool:
    """Bring a step's ground from `after` to between, where it has one."""
    if word == "upload":
        (here.place / f"releases/.part-{new}/VERSION").write_text("torn")
    elif word == "keep":
        next(here.place.glob("kept/[0-9]*/ready")).unlink()
    elif word == "migrate":
        (here.home / "schema").write_text("1\n")
    elif word == "switch":
        (here.place / ".live").write_text("switching\n")
    elif word.startswith("maintenance"):
        (here.place / ".maintenance").write_text("entering\n" if word.endswith("on") else "leaving\n")
    else:
        return False
    return True


@pytest.mark.parametrize("old", [True, False], ids=["after an old release", "for the first time"])
@pytest.mark.parametrize("word", WORDS)
async def test_each_step_from_everywhere_do_and_undo_each_twice(tmp_path: Path, word: str, old: bool) -> None:
    spec = service(migrations=MIGRATION, maintenance=MaintenanceSpec(page="wait.html"))
    async with world(tmp_path, spec, FOREIGN) as here:
        if old:
            await here.deploy(V1)
            (here.home / "schema").unlink()
        steps = await here.steps(V2)
        new, step = in_place.release_id((await here.build(V2)).tree), by_word(steps)[word]
        async with here.run(steps) as (session, runner):
            for earlier in steps[: steps.index(step)]:
                await runner.forward(earlier, alone=True)
            found = photograph(here.root)
            assert await runner.probe(step) == ("after" if word == "room" and old else "before")
            for what, then in WAYS[: 4 if word == "release" else 5]:
                done = await session.change(step, what, alone=True)  # type: ignore[arg-type]
                assert done.rc == 0, done.output
                if word != "room" or not old:
                    assert await runner.probe(step) == then, f"after {what}"
                if what == "undo":
                    assert photograph(here.root) == found
            if word in ("room", "release") or not spoil(here, word, new):
                return
            assert await runner.probe(step) == "between"
            assert (await session.change(step, "undo", alone=True)).rc == 0
            assert await runner.probe(step) == "before"
            assert photograph(here.root) == found
            assert (await session.change(step, "do", alone=True)).rc == 0
            assert await runner.probe(step) == "after"


@pytest.mark.parametrize("files", range(1, 6), ids=lambda number: f"{number} files are in their places")
async def test_a_switch_that_was_cut_off_anywhere_is_undone(tmp_path: Path, files: int) -> None:
    async with world(tmp_path, foreign=FOREIGN) as here:
        await here.deploy(V1)
        steps = await here.steps(V2)
        switch = by_word(steps)["switch"]
        async with here.run(steps) as (session, runner):
            for earlier in steps[: steps.index(switch)]:
                await runner.forward(earlier, alone=True)
            before, very = photograph(here.root), inodes(here.root)
            ready = sorted(path for path in here.place.glob("kept/2/[1-4]/**/*") if path.is_file())
            (here.place / ".live").write_text("switching\n")
            for path in ready[:files]:
                to = here.root / path.relative_to(here.place / "kept/2").relative_to(
                    path.relative_to(here.place / "kept/2").parts[0]
                )
                to.parent.mkdir(exist_ok=True)
                path.rename(to)
            assert len(ready) == 5
            assert await runner.probe(switch) == "between"
            assert (await session.change(switch, "undo", alone=True)).rc == 0
            assert await runner.probe(switch) == "before"
            assert (photograph(here.root), inodes(here.root)) == (before, very)
            await runner.forward(switch, alone=True)
            assert here.holds(V2)


@pytest.mark.parametrize("when", ["before the switch", "after the switch"])
@pytest.mark.parametrize("how", ["content", "mode", "gone", "a link"])
async def test_what_somebody_does_meanwhile_cannot_be_told(tmp_path: Path, when: str, how: str) -> None:
    async with world(tmp_path, foreign=FOREIGN) as here:
        steps = await here.steps(V1)
        switch = by_word(steps)["switch"]
        async with here.run(steps) as (_, runner):
            for step in steps[: steps.index(switch) + (when == "after the switch")]:
                await runner.forward(step, alone=True)
            file = here.root / "index.html"
            if how == "content":
                file.write_text("somebody was here")
            elif how == "mode":
                file.chmod(0o600)
            else:
                file.unlink()
                if how == "a link":
                    file.symlink_to("wp-config.php")
            assert await runner.probe(switch) == "cannot_tell"


async def test_the_ground_moved_between_plan_and_stage(tmp_path: Path) -> None:
    async with world(tmp_path, foreign=FOREIGN) as here:
        steps = await here.steps(V1)
        (here.root / "index.html").write_text("a new text")
        before = photograph(here.root)
        async with here.run(steps) as (_, runner):
            with pytest.raises(WayBack, match="no longer what the plan was made for"):
                for step in steps:
                    await runner.forward(step, alone=True)
            await runner.back("it failed")
        assert photograph(here.root) == before
        assert not here.place.parent.exists()


# -- what is refused


def a_link(here: World) -> None:
    here.root.rename(here.home / "real")
    here.root.symlink_to("real")


def a_link_inside(here: World) -> None:
    (here.home / "elsewhere").mkdir()
    (here.root / "assets").symlink_to("../elsewhere")


def a_folder_for_a_file(here: World) -> None:
    (here.root / "VERSION").mkdir()


def a_file_for_a_folder(here: World) -> None:
    (here.root / "assets").touch()


def a_pipe(here: World) -> None:
    os.mkfifo(here.root / "VERSION")


def halfway(here: World) -> None:
    here.place.mkdir(parents=True)
    (here.place / ".live").write_text("switching\n")


def elsewhere(here: World) -> None:
    here.spec = here.spec.model_copy(update={"beside": "/dev/shm/fairlead-test"})


REFUSED = {
    "the docroot is a link": (a_link, "is a symbolic link to real"),
    "there is no docroot": (lambda here: here.root.rmdir(), "is not there"),
    "a link on the way": (a_link_inside, "has a symbolic link at assets, and the release would go through it"),
    "a folder where a file comes": (a_folder_for_a_file, "has a folder at VERSION, where the release has a file"),
    "a file where a folder comes": (a_file_for_a_folder, "has a file at assets, where the release has a folder"),
    "neither file nor folder": (a_pipe, "neither a file nor a link"),
    "a change was left in the middle": (halfway, "left in the middle of a change"),
    "another file system": (elsewhere, "another file system"),
}


@pytest.mark.parametrize("row", REFUSED)
async def test_what_is_refused_before_anything_is_changed(tmp_path: Path, row: str) -> None:
    prepare_it, says = REFUSED[row]
    async with world(tmp_path) as here:
        prepare_it(here)
        before = photograph(here.home)
        with pytest.raises(NotReady, match=says) as error:
            await here.steps(V1)
        assert error.value.hint
        assert photograph(here.home) == before


async def test_an_owner_that_is_lost_by_copying_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for an account that may have files given away by sudo, and may not do it itself."""
    cp = tmp_path / "bin/cp"
    cp.parent.mkdir()
    without_p = 'for word; do shift; [ "$word" != -dp ] || word=-d; set -- "$@" "$word"; done'
    cp.write_text(f'#!/bin/sh\n{without_p}\nexec {shutil.which("cp")} "$@"\n')
    cp.chmod(0o755)
    monkeypatch.setenv("PATH", f"{cp.parent}:{os.environ['PATH']}")
    commands = HOST.commands.model_copy(update={"own": ("chown", "-R", "31001:31001", "{path}")})
    async with world(tmp_path, service(owner="31001:31001")) as here:
        artifact, before = await here.build(V1), photograph(here.root)
        found = (await look_everywhere([here.spec], here.hosts, {"web": artifact.tree}))["web"]
        host = HOST.model_copy(update={"commands": commands})
        with pytest.raises(WayBack, match="would not have the owner that they were given"):
            await here.carry_out(in_place.steps(here.spec, host, artifact.tree, found))
        assert photograph(here.root) == before


@pytest.mark.parametrize("path", ["uploads", "uploads/x", "games/index.html", ".well-known/security.txt"])
async def test_a_release_that_contains_what_is_protected_is_refused(tmp_path: Path, path: str) -> None:
    async with world(tmp_path, service(protected=("uploads", "games", ".well-known"))) as here:
        with pytest.raises(NotReady, match="which is kept on the server"):
            await here.steps({path: "x", "VERSION": "1"})


async def test_a_file_above_what_is_protected_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path, service(protected=("well/known/x",))) as here:
        with pytest.raises(NotReady, match="protects well/known/x"):
            await here.steps({"well": "x", "VERSION": "1"})


# -- names, numbers, ordinary users

HOSTILE = ["two  words", 'it\'s "$(touch pwned)"', "`touch pwned`;touch pwned", "*/-rf", "ü–🚢#~&|", "a\\nb\\"]


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_are_taken_literally(tmp_path: Path, name: str) -> None:
    flat = name.replace("/", "_")
    mine = {f"{flat}/{flat}.html": "1", f"-rf {flat}": "2", "x/" + flat: "3", "VERSION": "1", "a": "b"}
    async with world(tmp_path, service(name, protected=("up*[", "uploads")), {**FOREIGN, f"-rf {flat}": "f"}) as here:
        before = photograph(here.root)
        await here.deploy(mine, back=True)
        assert photograph(here.root) == before
        await here.deploy(mine)
        assert here.holds(mine)
        await here.deploy({"a": "b", "VERSION": "2"})
        assert not (here.root / f"{flat}/{flat}.html").exists()
        assert not list(here.home.rglob("pwned"))
        assert here.holds({path: text for path, text in FOREIGN.items() if path != "VERSION"})


async def test_fourteen_thousand_files(tmp_path: Path) -> None:
    def files(version: str) -> dict[str, str]:
        return {f"d{n % 350}/f{n}.{version}.js": f"{version} {n}" for n in range(14_000)} | {
            "index.html": version,
            "VERSION": version,
        }

    async with world(tmp_path, foreign={f"wp/{n}.php": "x" for n in range(500)}) as here:
        before = photograph(here.root)
        steps = await here.steps(files("v1"))
        seconds = {}
        async with here.run(steps) as (_, runner):
            for step in steps:
                began = time.monotonic()
                await runner.forward(step, alone=True)
                seconds[step.id.partition(".")[2]] = time.monotonic() - began
            assert len(list(here.root.glob("d*/*"))) == 14_000
            began = time.monotonic()
            await runner.back("told to")
            seconds["back"] = time.monotonic() - began
        assert photograph(here.root) == before
        assert max(seconds.values()) < 30, seconds  # it takes a few; the rest is for a busy machine


def plain(folder: Path, argv: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """Run it as an ordinary user: root may do everything."""
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    return subprocess.run([*drop, *argv], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("what", ["a folder", "somebody's file"])
async def test_what_may_not_be_written_fails_before_anything_live_is_changed(tmp_path: Path, what: str) -> None:
    if what == "somebody's file" and os.getuid() != 0:
        pytest.skip("only root can make a file that is somebody's")
    folder = Path(
        subprocess.run(["mktemp", "-d", "/tmp/fl-plain-XXXXXX"], capture_output=True, text=True).stdout.strip()
    )
    try:
        async with world(folder, foreign=FOREIGN) as here:
            artifact = await here.build(V1)
            found = (await look_everywhere([here.spec], here.hosts, {"web": artifact.tree}))["web"]
            steps = by_word(in_place.steps(here.spec, HOST, artifact.tree, found))
            new = in_place.release_id(artifact.tree)
            lay(here.place / f"releases/{new}", V1 | {"release.json": "{}"})
            (here.place / "kept").mkdir()
            if os.getuid() == 0:
                subprocess.run(["chown", "-R", "65534:65534", str(here.home)], check=True)
            if what == "a folder":
                (here.root / "sub").chmod(0o555)
            elif os.getuid() == 0:
                os.chown(here.root / "index.html", 0, 0)
            before = photograph(here.root)
            done = plain(here.home, steps["keep"].do.command.argv)  # type: ignore[union-attr]
            assert done.returncode != 0
            assert done.stderr
            assert plain(here.home, steps["keep"].undo.argv).returncode == 0  # type: ignore[union-attr]
            assert photograph(here.root) == before
            assert not list(here.place.glob("kept/*"))
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)])
        subprocess.run(["rm", "-rf", str(folder)])
