"""Releases on real folders: every step from before, after, between and cannot tell, do and undo, each twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fairlead.checks.tree import check_trees
from fairlead.config import ServiceSpec
from fairlead.config.service import MaintenanceSpec, MigrationSpec, SourceSpec, SwitchSpec
from fairlead.errors import NotReady
from fairlead.model import Check, Finding, Run, Step, Tree, TreeCheck, Upload
from fairlead.model.tree import Entry as TreeEntry
from fairlead.outside.connect import Hosts
from fairlead.outside.secrets import Secrets
from fairlead.plan.deploy import look_everywhere
from fairlead.plan.prepare import Artifact
from fairlead.run.runner import Runner
from fairlead.strategies import release
from support.small import HERE, Site, accounts, planned
from support.witness import tree as photograph
from support.workplace import HOST, Workplace, by_word

SWITCH = SwitchSpec(
    kind="run",
    run=("sh", "-c", 'echo "$(cat "$1/current/VERSION")" >running', "x", "srv/api"),
    status=("test", "-e", "running"),
    stop=("rm", "-f", "running"),
)


def service(path: str = "srv/api", **more: object) -> ServiceSpec:
    source = SourceSpec(folder="source", version="VERSION")
    switch = SWITCH.model_copy(update={"run": (*SWITCH.run[:-1], path)})
    given = {"name": "api", "host": HERE, "path": path, "source": source, "on_switch": switch}
    return ServiceSpec.model_validate({**given, **more})


class World(Workplace):
    """A service's folder on a local account, and an operator who builds releases beside it."""

    @property
    def place(self) -> Path:
        return self.home / self.spec.path

    @property
    def live(self) -> str:
        """The version that `current` leads to, and the one that runs."""
        linked = self.place / "current/VERSION"
        runs = self.home / "running"
        return " ".join(file.read_text().strip() if file.exists() else "-" for file in (linked, runs))

    def link(self, path: Path) -> str:
        return os.readlink(path)  # noqa: PTH115 - as it stands

    async def build(self, version: str) -> Artifact:
        source = self.folder / "source"
        (source / "sub").mkdir(parents=True, exist_ok=True)
        (source / "VERSION").write_text(f"{version}\n")
        (source / "sub" / "same").write_text("in every version")
        (source / "run.sh").write_text("#!/bin/sh\n")
        (source / "run.sh").chmod(0o755)
        return await self.prepared()

    async def found(self) -> release.Found:
        return (await look_everywhere([self.spec], self.hosts))["api"]

    async def steps(self, version: str) -> tuple[Step, ...]:
        artifact = await self.build(version)
        return release.steps(self.spec, HOST, artifact.tree, await self.found())

    async def deploy(self, version: str) -> tuple[Step, ...]:
        steps = await self.steps(version)
        async with self.run(steps, f"deploy-{version}") as (_, runner):
            for step in steps:
                await runner.forward(step, alone=True)
        return steps

    async def there_and_back(self, version: str) -> None:
        steps = await self.steps(version)
        async with self.run(steps, f"back-{version}") as (_, runner):
            for step in (step for step in steps if step.phase != "close"):
                await runner.forward(step, alone=True)
            await runner.back("told to")

    async def tree_ok(self, name: str) -> str:
        path = f"{self.spec.path}/releases/{name}"
        check = TreeCheck(subject="api", host=HERE, path=path, tree=name)
        return (await check_trees([check], await self.hosts.get(HERE)))[0].status


@asynccontextmanager
async def world(folder: Path, spec: ServiceSpec | None = None) -> AsyncIterator[World]:
    async with Hosts(accounts(folder), Secrets()) as hosts:
        yield World(folder, hosts, spec or service())


def left(home: Path) -> dict[str, object]:
    """Everything in the account but Fairlead's own folder."""
    return {path: what for path, what in photograph(home).items() if path.split("/")[0] != ".fairlead"}


async def test_one_release_after_the_other(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy("v1")
        assert here.live == "v1 v1"
        first = here.link(here.place / "current")
        await here.deploy("v2")
        assert here.live == "v2 v2"
        second = here.link(here.place / "current")
        assert first != second
        for link in (first, second):
            assert await here.tree_ok(link.removeprefix("releases/")) == "ok"
        assert (here.place / ".live").read_text().strip() == second.removeprefix("releases/")
        assert not list(here.place.glob("releases/.part-*"))


async def test_a_host_without_rsync_gets_a_tar_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in Path("/usr/bin").iterdir():
        if tool.name != "rsync":
            (tools / tool.name).symlink_to(tool)
    monkeypatch.setenv("PATH", str(tools))
    (tmp_path / "world").mkdir()
    async with world(tmp_path / "world") as here:
        assert not (await here.found()).rsync
        (upload,) = [step.do for step in await here.steps("v1") if isinstance(step.do, Upload)]
        assert upload.by == "tar"


async def test_the_folder_may_be_moved_or_chrooted(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy("v1")
        assert not here.link(here.place / "current").startswith("/")
        here.place.rename(tmp_path / "elsewhere")
        assert (tmp_path / "elsewhere/current/VERSION").read_text() == "v1\n"


async def test_there_is_a_live_release_at_every_moment(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy("v1")
        steps = await here.steps("v2")
        seen: set[str] = set()
        done = asyncio.Event()

        def look() -> None:
            while not done.is_set():
                seen.add((here.place / "current/VERSION").read_text())

        async with here.run(steps) as (_, runner):
            looking = asyncio.create_task(asyncio.to_thread(look))
            try:
                for step in steps:
                    await runner.forward(step, alone=True)
            finally:
                done.set()
                await looking
        assert seen == {"v1\n", "v2\n"}


async def test_the_way_back_is_exactly_what_was(tmp_path: Path) -> None:
    async with world(tmp_path, service(shared=("uploads/", "conf/.env"))) as here:
        (here.place / "shared/conf").mkdir(parents=True)
        (here.place / "shared/conf/.env").write_text("A=1")
        await here.deploy("v1")
        before = left(here.home)
        await here.there_and_back("v2")
        assert here.live == "v1 v1"
        assert left(here.home) == before


@pytest.mark.parametrize("found", ["nothing", "an empty folder", "a folder with something in it"])
async def test_a_first_deployment_goes_back_to_what_was_found(tmp_path: Path, found: str) -> None:
    spec = service(shared=("uploads/", "var/cache/"), maintenance=MaintenanceSpec(page="maintenance.flag"))
    async with world(tmp_path, spec) as here:
        here.place.parent.mkdir()
        if found != "nothing":
            here.place.mkdir()
        if "something" in found:
            (here.place / "log").mkdir()
            (here.place / "shared/uploads").mkdir(parents=True)
            (here.place / "shared/uploads/one").write_text("1")
        before = left(here.home)
        await here.there_and_back("v1")
        assert left(here.home) == before
        await here.deploy("v1")
        assert here.live == "v1 v1"


@pytest.mark.parametrize("ran", [True, False])
async def test_what_ran_before_a_first_deployment_runs_after_its_way_back(tmp_path: Path, ran: bool) -> None:
    """A unit that was there first, with a folder of its own: to stop it would be to break what worked."""
    start = "cat srv/api/current/VERSION >running 2>/dev/null || echo theirs >running"
    spec = service(on_switch=SWITCH.model_copy(update={"run": ("sh", "-c", start)}))
    async with world(tmp_path, spec) as here:
        here.place.parent.mkdir()
        if ran:
            (here.home / "running").write_text("theirs\n")
        before = left(here.home)
        await here.there_and_back("v1")
        assert left(here.home) == before
        await here.deploy("v1")
        assert here.live == "v1 v1"
        await here.there_and_back("v2")
        assert here.live == "v1 v1"


async def test_a_first_switch_that_was_killed_at_its_beginning_leaves_nothing(tmp_path: Path) -> None:
    """Nothing but the note of what had run: the switch was never begun, so nobody takes it back."""
    async with world(tmp_path) as here:
        here.place.parent.mkdir()
        before, steps = left(here.home), await here.steps("v1")
        async with here.run(steps) as (_, runner):
            for step in steps[:2]:
                await runner.forward(step, alone=True)
            (here.place / ".ran").touch()
            await runner.back("told to")
        assert left(here.home) == before


async def test_what_a_first_release_wrote_into_shared_folders_stays(tmp_path: Path) -> None:
    async with world(tmp_path, service(shared=("uploads/",))) as here:
        steps = await here.steps("v1")
        async with here.run(steps) as (_, runner):
            for step in steps:
                await runner.forward(step, alone=True)
            (here.place / "current/uploads/donation.pdf").write_text("a citizen's")
            await runner.back("told to")
        assert (here.place / "shared/uploads/donation.pdf").read_text() == "a citizen's"


# -- each step from everywhere

WAYS = (("do", "after"), ("do", "after"), ("undo", "before"), ("undo", "before"), ("do", "after"))
WORDS = ("upload", "release", "maintenance_on", "migrate", "switch", "maintenance_off")


def migrations(phase: str = "before", undo: bool = True) -> MigrationSpec:
    """A database of one file; the probe asks it."""
    probe = 'case $(cat "$HOME/schema" 2>/dev/null) in "") echo before;; 2) echo after;; *) echo between;; esac'
    back = (("sh", "-c", 'rm -f "$HOME/schema"'),)
    return MigrationSpec.model_validate(
        {
            "apply": (("sh", "-c", 'echo 1 >"$HOME/schema"'), ("sh", "-c", 'cat VERSION; echo 2 >"$HOME/schema"')),
            "probe": ("sh", "-c", probe),
            "undo": back if undo else (),
            "phase": phase,
            "databases": ("crm",),
        }
    )


def spoil(here: World, word: str, new: str) -> str:
    """Bring one step's ground from `after` to between; returns what its probe has to say then."""
    if word == "upload":
        (here.place / f"releases/.part-{new}/VERSION").write_text("torn")
    elif word == "release":
        (here.place / f"releases/{new}").rename(here.place / f"releases/.part-{new}")
    elif word == "migrate":
        (here.home / "schema").write_text("1\n")
    elif word == "switch":
        (here.place / ".live").write_text("switching\n")
    elif word.startswith("maintenance"):
        marker = here.place / ".maintenance"
        marker.write_text("entering\n" if word.endswith("on") else "leaving\n")
    return "between"


@pytest.mark.parametrize("old", ["linked", "not linked", ""], ids=["as a patch", "after an old release", "first"])
@pytest.mark.parametrize("word", WORDS)
async def test_each_step_from_everywhere_do_and_undo_each_twice(tmp_path: Path, word: str, old: str) -> None:
    spec = service(migrations=migrations(), maintenance=MaintenanceSpec(page="wait.html"), shared=("uploads/",))
    async with world(tmp_path, spec) as here:
        if old:
            await here.deploy("v1")
            (here.home / "schema").unlink()
        if old == "not linked":  # whoever else may write to a release could change it through the link
            (here.place / "current/VERSION").chmod(0o664)
        steps = await here.steps("v2")
        if not old and word.startswith("maintenance"):
            assert word not in by_word(steps), "nobody is there yet who would have to wait"
            return
        if old == "linked" and word == "upload":
            assert word not in by_word(steps), "what is little is sent and put in place in one step"
            return
        alone = word == "release" and old != "linked"
        new, step = release.release_id((await here.build("v2")).tree), by_word(steps)[word]
        async with here.run(steps) as (session, runner):
            for earlier in steps[: steps.index(step)]:
                await runner.forward(earlier, alone=True)
            assert await runner.probe(step) == "before"
            for what, then in WAYS[: 4 if alone else 5]:
                done = await session.change(step, what, alone=True)  # type: ignore[arg-type]
                assert done.rc == 0, done.output
                assert await runner.probe(step) == then, f"after {what}"
            if alone:  # what it is made of is gone now, and has to be uploaded again
                return
            says = spoil(here, word, new)
            assert await runner.probe(step) == says
            if says == "between":
                assert (await session.change(step, "undo", alone=True)).rc == 0
                assert await runner.probe(step) == "before"
                assert (await session.change(step, "do", alone=True)).rc == 0
                assert await runner.probe(step) == "after"


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_when_all_is_done_each_step_says_so(tmp_path: Path, phase: str) -> None:
    """A resume asks them all again: who says `before` then would halt it."""

    spec = service(migrations=migrations(phase), maintenance=MaintenanceSpec(stop=True), shared=("uploads/",), keep=1)
    async with world(tmp_path, spec) as here:
        for version in ("v1", "v2", "v3", "v1", "v3"):
            steps = await here.deploy(version)
            (here.home / "schema").unlink()
        steps = await here.steps("v2")
        async with here.run(steps) as (session, runner):
            for step in steps:
                await runner.forward(step, alone=True)
            again = Runner(runner.plan, session, runner.checks, runner.clock, runner.listen)
            assert {step.id: await again.probe(step) for step in steps} == {step.id: "after" for step in steps}
            for step in steps:
                await again.forward(step, alone=True)
            assert (here.live, [session.fact(step).attempts for step in steps]) == ("v2 v2", [1] * len(steps))


@pytest.mark.parametrize("what", ["a folder", "a file", "a foreign link"])
async def test_a_current_that_is_not_ours_cannot_be_told(tmp_path: Path, what: str) -> None:
    async with world(tmp_path) as here:
        await here.deploy("v1")
        switch = by_word(await here.steps("v2"))["switch"]
        current = here.place / "current"
        current.unlink()
        if what == "a folder":
            current.mkdir()
        elif what == "a file":
            current.touch()
        else:
            current.symlink_to("../elsewhere")
        async with here.run([switch]) as (_, runner):
            assert await runner.probe(switch) == "cannot_tell"


async def test_a_service_that_does_not_run_is_not_switched(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy("v1")
        steps = await here.steps("v2")
        async with here.run(steps) as (_, runner):
            for step in steps:
                await runner.forward(step, alone=True)
            (here.home / "running").unlink()
            assert await runner.probe(by_word(steps)["switch"]) == "between"


async def test_a_release_that_is_there_already_is_found_and_stays_on_the_way_back(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy("v1")
        first = here.link(here.place / "current")
        await here.deploy("v2")
        await here.there_and_back("v1")
        assert here.live == "v2 v2"
        assert (here.place / first).is_dir()


@pytest.mark.parametrize("word", ["release", "switch"])
async def test_the_live_release_is_never_removed(tmp_path: Path, word: str) -> None:
    """Not even by an undo that comes at the wrong moment."""
    async with world(tmp_path) as here:
        steps = await here.deploy("v1")
        async with here.run(steps, "r2") as (session, _):
            done = await session.change(by_word(steps)["release"], "undo", alone=True)
        assert done.rc != 0
        assert here.live == "v1 v1"


# -- proofs


async def test_what_arrived_otherwise_is_not_put_in_place(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        steps = by_word(await here.steps("v1"))
        async with here.run(steps.values()) as (session, runner):
            await runner.forward(steps["upload"], alone=True)
            next(here.place.glob("releases/.part-*/VERSION")).write_text("somebody else's\n")
            done = await session.change(steps["release"], "do", alone=True)
        assert done.rc != 0
        assert "is not what was sent" in done.output
        assert not [path for path in here.place.glob("releases/*") if not path.name.startswith(".part-")]


async def test_a_patch_that_leads_elsewhere_is_not_put_in_place(tmp_path: Path) -> None:
    """Somebody writes into the old release after it was looked at: the links lead to what they wrote."""
    async with world(tmp_path) as here:
        await here.deploy("v1")
        old, new = (here.place / "current").resolve(), release.release_id((await here.build("v2")).tree)
        steps = by_word(await here.steps("v2"))
        assert isinstance(steps["release"].do, Upload) and steps["release"].do.then
        (old / "run.sh").write_text("somebody else's\n")
        async with here.run(steps.values()) as (session, runner):
            done = await session.change(steps["release"], "do", alone=True)
            assert (done.rc, await runner.probe(steps["release"])) == (1, "between")
            assert "is not what was sent" in done.output
            assert {path.name for path in here.place.glob("releases/*/")} == {f".part-{new}", old.name}
            assert (await session.change(steps["release"], "undo", alone=True)).rc == 0
            assert await runner.probe(steps["release"]) == "before"


@pytest.mark.parametrize(
    ("which", "how"),
    [*(("new", how) for how in ("content", "mode", "one more", "one less", "a link")), ("old", "content")],
)
async def test_a_release_that_somebody_changed_is_seen_before_the_switch(tmp_path: Path, which: str, how: str) -> None:
    from fairlead.run.runner import WayBack

    async with world(tmp_path) as here:
        await here.deploy("v1")
        old = (await here.found()).current
        artifact = await here.build("v2")
        steps = await here.steps("v2")
        new = release.release_id(artifact.tree)
        checks = release.tree_checks(here.spec, new, old)
        site = Site(tmp_path, here.hosts, planned(tmp_path, steps, staged=checks))

        async def look(asked: Iterable[Check]) -> list[Finding]:
            change(here.place / "releases" / (new if which == "new" else old), how)
            host = await here.hosts.get(HERE)
            return await check_trees([check for check in asked if isinstance(check, TreeCheck)], host)

        async with site.held() as (_, runner):
            runner.checks = look
            with pytest.raises(WayBack, match="is not what its name promises"):
                await runner.stage()
        assert here.live.startswith("v1") or which == "old"
        assert here.link(here.place / "current") == f"releases/{old}"


def change(folder: Path, how: str) -> None:
    file = folder / "VERSION"
    if how == "content":
        file.write_text("v9\n")
    elif how == "mode":
        file.chmod(0o666)
    elif how == "one more":
        (folder / "shell.php").touch()
    elif how == "one less":
        file.unlink(missing_ok=True)
    elif not file.is_symlink():
        file.unlink()
        file.symlink_to("run.sh")


# -- what is shared, what is kept


async def test_shared_paths(tmp_path: Path) -> None:
    async with world(tmp_path, service(shared=("uploads/", "conf/.env"))) as here:
        with pytest.raises(NotReady, match=r"srv/api/shared lacks conf/\.env") as missing:
            await here.steps("v1")
        assert "conf/.env/" in missing.value.hint
        (here.place / "shared/conf").mkdir(parents=True)
        (here.place / "shared/conf/.env").write_text("A=1")
        await here.deploy("v1")
        (here.place / "current/uploads/one").write_text("1")
        await here.deploy("v2")
        assert (here.place / "current/uploads/one").read_text() == "1"
        assert (here.place / "current/conf/.env").read_text() == "A=1"
        assert not here.link(here.place / "current/conf/.env").startswith("/")


@pytest.mark.parametrize("path", ["uploads", "uploads/x", "well/known"])
async def test_a_release_that_contains_what_is_kept_on_the_server_is_refused(tmp_path: Path, path: str) -> None:
    async with world(tmp_path, service(shared=("uploads/",), protected=("well/known",))) as here:
        file = tmp_path / "source" / path
        file.parent.mkdir(parents=True)
        file.write_text("")
        with pytest.raises(NotReady, match="which is kept on the server"):
            await here.steps("v1")


async def test_old_releases_are_deleted_but_never_new_old_or_foreign_ones(tmp_path: Path) -> None:
    async with world(tmp_path, service(keep=3)) as here:
        for number in range(1, 6):
            await here.deploy(f"v{number}")
            last = here.place / here.link(here.place / "current")
            os.utime(last, (1_000_000 + number, 1_000_000 + number))
        (here.place / "releases/before the relaunch").mkdir()
        (here.place / "releases/by-hand").mkdir()
        os.utime(here.place / "releases/by-hand", (1, 1))
        await here.deploy("v6")
        kept = {path.name for path in here.place.glob("releases/*") if path.is_dir()}
        versions = {(here.place / "releases" / name / "VERSION") for name in kept}
        assert {file.read_text().strip() for file in versions if file.exists()} == {"v4", "v5", "v6"}
        assert {"by-hand", "before the relaunch"} <= kept
        assert len(list(here.place.glob("releases/*.tree"))) == 3


@pytest.mark.parametrize(("keep", "gone"), [(1, 3), (2, 3), (3, 2), (4, 1), (5, 0), (9, 0)])
async def test_how_many_are_kept(tmp_path: Path, keep: int, gone: int) -> None:
    names = tuple(f"{number:012x}" for number in range(4))
    found = release.Found(current=names[0], releases=names)
    tree = Tree(entries={})
    steps = by_word(release.steps(service(keep=keep), HOST, tree, found))
    deleted = steps["prune"].shows if "prune" in steps else ()
    assert len(deleted) == gone
    assert not [shown for shown in deleted if names[0] in shown or release.release_id(tree) in shown]


LINKED = {
    "as it was deployed": ({}, {}, True),
    "no old release": ({"current": ""}, {}, False),
    "the old release was modified": ({"current": "f" * 12}, {}, False),
    "its group may write to it": ({"loose": True}, {}, False),
    "two owners": ({"owners": ("a:a", "b:b")}, {}, False),
    "nobody knows its owner": ({"owners": ()}, {}, False),
    "the owner that is wanted": ({}, {"owner": "deploy:psacln"}, True),
    "another owner is wanted": ({}, {"owner": "www:www"}, False),
}


@pytest.mark.parametrize("row", LINKED)
def test_hard_links_only_from_what_nobody_writes_to(row: str) -> None:
    of_found, of_service, wanted = LINKED[row]
    tree = Tree(entries={})
    base = {"current": tree.hash[:12], "owners": ("deploy:psacln",), "tree": tree}
    found = release.Found.model_validate({**base, **of_found})
    upload = release.steps(service(**of_service), HOST, tree, found)[0].do
    assert isinstance(upload, Upload)
    assert upload.link_from == (f"srv/api/releases/{found.current}" if wanted else "")


async def test_a_small_change_is_sent_alone_and_all_else_is_linked(tmp_path: Path) -> None:
    odd = ("-rf", "two  words", 'it\'s "$(touch pwned)"', "*", "ü–🚢#")
    async with world(tmp_path) as here:
        source = tmp_path / "source"
        for name in ("changed", "goes", "turns", "old/deep/file", "stays/file", *(f"odd/{name}" for name in odd)):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(f"{name} of v1")
        (source / "link").symlink_to("changed")
        await here.deploy("v1")
        old = (here.place / "current").resolve()
        (old / "stays/__pycache__").mkdir()
        (old / "stays/__pycache__/file.pyc").write_text("of v1")
        before = photograph(old)
        for name in ("changed", "new", "new folder/deep/file", *(f"odd/{name}" for name in odd)):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(f"{name} of v2")
        (source / "run.sh").chmod(0o700)
        for name in ("goes", "turns", "old/deep/file", "link"):
            (source / name).unlink()
        (source / "old/deep").rmdir()
        (source / "turns").symlink_to("stays/file")
        (source / "link").symlink_to("new")
        upload = (await here.steps("v2"))[0].do
        assert isinstance(upload, Upload) and upload.patch and upload.patch.size < 200
        await here.deploy("v2")
        new = (here.place / "current").resolve()
        assert new != old and photograph(old) == before
        assert await here.tree_ok(new.name) == "ok"
        assert not (new / "stays/__pycache__").exists() and not list(tmp_path.rglob("pwned"))
        assert (new / "stays/file").stat().st_ino == (old / "stays/file").stat().st_ino
        assert (new / "changed").read_text() == "changed of v2"


def folder_of(**entries: TreeEntry) -> Tree:
    return Tree(entries=entries)


FILE, OTHER = (TreeEntry(kind="f", mode=0o644, size=10, sha256=digit * 64) for digit in "12")
FOLDER = TreeEntry(kind="d", mode=0o755)
NOT_PATCHED = {
    "a folder has another mode": (folder_of(a=FOLDER), folder_of(a=TreeEntry(kind="d", mode=0o700))),
    "a folder became a file": (folder_of(a=FOLDER), folder_of(a=FILE)),
    "a file became a folder": (folder_of(a=FILE), folder_of(a=FOLDER)),
    "a folder may not be written to": (folder_of(a=TreeEntry(kind="d", mode=0o555)), folder_of(b=FILE)),
    "much is sent": (folder_of(), folder_of(a=FILE.model_copy(update={"size": 5 << 20}))),
    "many files are sent": (folder_of(), Tree(entries={f"{n:0100}": FILE for n in range(1000)})),
    "many files are gone": (Tree(entries={f"{n:0100}": FILE for n in range(1000)}), folder_of()),
}


@pytest.mark.parametrize("row", NOT_PATCHED)
def test_what_is_left_to_rsync(row: str) -> None:
    old, new = NOT_PATCHED[row]
    found = release.Found(current=old.hash[:12], owners=("deploy:psacln",), tree=old)
    upload = release.steps(service(), HOST, new, found)[0].do
    assert isinstance(upload, Upload) and upload.link_from and upload.patch is None
    known = folder_of(a=FILE, b=FILE), folder_of(a=FILE, b=OTHER)
    found = found.model_copy(update={"tree": known[0], "current": known[0].hash[:12]})
    upload = release.steps(service(), HOST, known[1], found)[0].do
    assert isinstance(upload, Upload) and upload.patch and upload.patch.sends == ("b",)


async def test_a_look_sees_owners_and_loose_modes(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy("v1")
        found = await here.found()
        assert (len(found.owners), found.loose, found.tree.hash[:12]) == (1, False, found.current)
        (here.place / "current/VERSION").chmod(0o664)
        assert (await here.found()).loose


# -- migrations


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("undo", [True, False], ids=["with undo", "without undo"])
async def test_migrations(tmp_path: Path, phase: str, undo: bool) -> None:
    async with world(tmp_path, service(migrations=migrations(phase, undo))) as here:
        await here.deploy("v1")
        (here.home / "schema").unlink()
        steps = await here.steps("v2")
        words = list(by_word(steps))
        assert (words.index("migrate") < words.index("switch")) is (phase == "before")
        assert by_word(steps)["migrate"].warns == (
            () if undo else ("api: what the migration changes in the data stays on the way back",)
        )
        await here.there_and_back("v2")
        assert here.live == "v1 v1"
        assert (here.home / "schema").exists() is not undo


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_a_migration_that_never_began_does_not_stop_the_way_back(tmp_path: Path, phase: str) -> None:
    """Its probe lies in the new release only; the old one does not know of it."""
    spec = service(migrations=migrations(phase).model_copy(update={"probe": ("./probe",)}))
    async with world(tmp_path, spec) as here:
        here.spec = service()
        await here.deploy("v1")
        here.spec = spec
        probe = tmp_path / "source/probe"
        probe.write_text("#!/bin/sh\necho before\n")
        probe.chmod(0o755)
        steps = await here.steps("v2")
        async with here.run(steps) as (_, runner):
            for step in steps[:2]:
                await runner.forward(step, alone=True)
            await runner.back("another service failed")
        assert here.live == "v1 v1"


# -- maintenance


MAINTENANCE = {
    "page": MaintenanceSpec(page="wait.html"),
    "commands": MaintenanceSpec(on=(("touch", "srv/api/wait.html"),), off=(("rm", "-f", "srv/api/wait.html"),)),
    "stop": MaintenanceSpec(stop=True),
}


@pytest.mark.parametrize("way", MAINTENANCE)
async def test_maintenance_is_entered_before_the_switch_and_left_after_it(tmp_path: Path, way: str) -> None:
    def waits(here: World) -> bool:
        return not (here.home / "running").exists() if way == "stop" else (here.place / "wait.html").exists()

    async with world(tmp_path, service(maintenance=MAINTENANCE[way])) as here:
        await here.deploy("v1")
        steps = await here.steps("v2")
        seen = {}
        async with here.run(steps) as (_, runner):
            for step in steps:
                await runner.forward(step, alone=True)
                seen[step.id.partition(".")[2]] = waits(here)
            assert (seen["release"], seen["maintenance_on"], seen["maintenance_off"]) == (False, True, False)
            await runner.back("told to")
        assert not waits(here)
        assert here.live == "v1 v1"
        assert not (here.place / ".maintenance").exists()


@pytest.mark.parametrize(("status", "starts"), [(SWITCH.status, 1), ((), 2)], ids=["it can be asked", "it cannot"])
async def test_what_was_stopped_is_started_once(tmp_path: Path, status: tuple[str, ...], starts: int) -> None:
    """The switch starts it, and so does its undo; leaving maintenance starts it again only where nobody can tell."""
    run = ("sh", "-c", f"{SWITCH.run[2]}; echo >>starts", "x", "srv/api")
    stopped = SWITCH.model_copy(update={"run": run, "status": status})
    async with world(tmp_path, service(on_switch=stopped, maintenance=MAINTENANCE["stop"])) as here:
        await here.deploy("v1")
        (here.home / "starts").unlink()
        await here.deploy("v2")
        assert (here.live, (here.home / "starts").read_text()) == ("v2 v2", "\n" * starts)
        (here.home / "starts").unlink()
        steps = await here.steps("v3")
        async with here.run(steps) as (_, runner):
            for step in steps[:-1]:  # it runs, and is not left yet
                await runner.forward(step, alone=True)
            await runner.back("told to")
        assert (here.live, (here.home / "starts").read_text()) == ("v2 v2", "\n" * (1 + starts))


async def test_maintenance_that_was_entered_by_half_is_left_again(tmp_path: Path) -> None:
    from fairlead.run.runner import WayBack

    half = MaintenanceSpec(on=(("touch", "one"), ("false",)), off=(("rm", "-f", "one"),))
    async with world(tmp_path, service(maintenance=half)) as here:
        await here.deploy("v1")
        steps = await here.steps("v2")
        async with here.run(steps) as (_, runner):
            with pytest.raises(WayBack):
                for step in steps:
                    await runner.forward(step, alone=True)
            assert (here.home / "one").exists()
            await runner.back("it failed")
        assert not (here.home / "one").exists()


# -- hostile names

HOSTILE = ["two  words", 'it\'s "$(touch pwned)"', "`touch pwned`;touch pwned", "*/-rf", "ü–🚢#~&|", "a\\nb\\"]


@pytest.mark.parametrize("path", HOSTILE)
async def test_hostile_paths_are_taken_literally(tmp_path: Path, path: str) -> None:
    spec = service(path, shared=("up loads/$(touch pwned)/",), maintenance=MaintenanceSpec(page="wa it's"))
    async with world(tmp_path, spec) as here:
        await here.deploy("v1")
        before = left(here.home)
        assert here.live == "v1 v1"
        await here.there_and_back("v2")
        assert left(here.home) == before
        await here.deploy("v2")
        assert here.live == "v2 v2"
        assert not [file for file in here.home.rglob("pwned") if "up loads" not in str(file)]


@pytest.mark.parametrize("path", ["-rf", "two\nlines", "../up", "/", "~root", "nul\0"])
def test_paths_that_fairlead_yml_may_not_have(path: str) -> None:
    import json

    from fairlead.config import load, parse
    from fairlead.errors import ConfigError

    text = f"""
fairlead: 1
project: p
hosts: {{here: {{connect: local}}}}
services: {{api: {{source: {{folder: source}}}}}}
environments: {{test: {{services: {{api: {{host: here, path: {json.dumps(path)}}}}}}}}}
"""
    with pytest.raises(ConfigError, match=r"fairlead\.yml:\d+:\d+"):
        load(parse(text), {})


# -- an ordinary user


@pytest.mark.parametrize("word", ["upload", "release"])
async def test_folders_without_write_permission_can_be_taken_away_again(tmp_path: Path, word: str) -> None:
    """As an ordinary user: root may do everything."""
    folder = Path(tempfile.mkdtemp(prefix="fl-plain-", dir="/tmp"))
    step = by_word(release.steps(service("srv"), HOST, Tree(entries={}), release.Found()))[word]
    new = release.release_id(Tree(entries={}))
    tree = folder / "srv" / "releases" / (f".part-{new}" if word == "upload" else new)
    (tree / "closed/inner").mkdir(parents=True)
    (tree / "closed/inner/file").touch()
    other = folder / "old release"
    os.link(tree / "closed/inner/file", other)
    for path in (tree / "closed/inner/file", tree / "closed/inner", tree / "closed"):
        path.chmod(0o444 if path.is_file() else 0o555)
    assert step.undo is not None
    plain = []
    if os.getuid() == 0:
        plain = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        subprocess.run(["chown", "-R", "65534:65534", str(folder)], check=True)
    try:
        done = subprocess.run([*plain, *step.undo.argv], cwd=folder, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert not tree.exists()
        assert other.stat().st_mode & 0o777 == 0o444, "a hard link's mode was changed in another release"
    finally:
        subprocess.run(["rm", "-rf", str(folder)])


async def test_a_run_that_was_closed_in_the_middle_of_a_switch_is_seen_when_planning(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.deploy("v1")
        (here.place / ".live").write_text("switching\n")
        with pytest.raises(NotReady, match="in the middle of a switch") as error:
            await here.steps("v2")
        subprocess.run(["sh", "-c", error.value.hint.partition(": ")[2]], cwd=here.home, check=True)
        await here.deploy("v2")
        assert here.live == "v2 v2"


def test_steps_are_in_order_and_each_can_be_taken_back() -> None:
    spec = service(keep=1, migrations=migrations(), maintenance=MaintenanceSpec(stop=True))
    found = release.Found(current="0" * 12, releases=("0" * 12, "1" * 12))
    steps = release.steps(spec, HOST, Tree(entries={}), found)
    assert [step.id for step in steps] == [f"api.{word}" for word in (*WORDS, "prune")]
    assert [step.phase for step in steps] == ["stage", "stage", *["activate"] * 4, "close"]
    assert all(step.undo is not None for step in steps[:-1])
    assert all(step.shows for step in steps)
    assert all(isinstance(step.do, Run) for step in steps[1:])
