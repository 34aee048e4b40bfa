"""What a surface may ask of an installation, without a surface."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fairlead.app import Fairlead, local_tools, read_plan, write_plan, write_starter
from fairlead.app.opening import open_installation
from fairlead.errors import Busy, CallError, ConfigError, FairleadError, Moved, NotReady, OpenRun, Refused
from fairlead.model import Plan

FILE = """
fairlead: 1
project: p
hosts: {here: {connect: local, home: HOME}}
services:
  web:
    source: {folder: source/web, build: [[sh, -c, "env >built"]], version: VERSION}
    health: [{path: /, headers: {Authorization: {secret: WEB_TOKEN}}}]
    maintenance: {on: [["true"]], off: [["test", "!", "-e", "broken"]]}
  api: {source: {folder: source/api, version: VERSION}}
  site: {strategy: verify_only, health: [{path: /}]}
environments:
  test:
    lease: {ttl: 5s, beat: 5s}
    watch: {duration: 1s, interval: 1s}
    services: {api: {host: here, path: srv/api}}
  other:
    lease: {ttl: 5s, beat: 5s}
    services:
      web: {host: here, path: srv/web, url: "http://127.0.0.1:9"}
      site: {url: "http://127.0.0.1:9"}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for kind in ("STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    monkeypatch.setenv("WEB_TOKEN", "sentinel-4711")
    (tmp_path / "home").mkdir()
    for name in ("web", "api"):
        (tmp_path / "source" / name).mkdir(parents=True)
    path = tmp_path / "fairlead.yml"
    path.write_text(FILE.replace("HOME", str(tmp_path / "home")))
    return path


@asynccontextmanager
async def opened(file: Path, environment: str = "test", version: str = "") -> AsyncIterator[Fairlead]:
    if version:
        for name in ("web", "api"):
            (file.parent / f"source/{name}/VERSION").write_text(f"{version}\n")
    async with Fairlead(file, environment) as app:
        yield app


async def deploy(file: Path, version: str) -> str:
    async with opened(file, version=version) as app:
        return (await app.deploy(await app.plan(), watch=False)).id


def live(file: Path) -> str:
    return (file.parent / "home/srv/api/current/VERSION").read_text().strip()


async def test_out_back_and_what_history_says(file: Path) -> None:
    first, second = await deploy(file, "v1"), await deploy(file, "v2")
    async with opened(file) as app:
        plan = await app.plan_rollback()
        assert (plan.kind, live(file)) == ("rollback", "v2")
        await app.deploy(plan, watch=False)
        assert live(file) == "v1"
        told = await app.history()
        assert [one.kind for one in told] == ["rollback", "deploy", "deploy"]
        assert [one.id for one in told[1:]] == [second, first]
        assert [one.id for one in await app.history(limit=1)] == [told[0].id]
        report = await app.report(second)
        assert (report.deployment.state, report.deployment.who) == ("done", told[1].who)
        assert {step.step for step in report.steps} == {"api.release", "api.switch"}


async def test_a_machine_that_lost_everything_knows_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await deploy(file, "v1")
    async with opened(file) as app:
        known = await app.history()
    monkeypatch.setenv("XDG_STATE_HOME", str(file.parent / "new"))
    async with opened(file) as app:
        assert await app.history() == known


async def another_environment(app: Fairlead, plan: Plan) -> None:
    await app.deploy(plan.model_copy(update={"environment": "production"}))


async def another_project(app: Fairlead, plan: Plan) -> None:
    await app.deploy(plan.model_copy(update={"project": "q"}))


async def moved(app: Fairlead, plan: Plan) -> None:
    await app.deploy(plan.model_copy(update={"remarks": ("something else",)}), watch=False)


async def lost_artifact(app: Fairlead, plan: Plan) -> None:
    for folder in app.artifacts.folder.iterdir():
        folder.rename(app.artifacts.folder.parent / folder.name)
    (app.config_path.parent / "source/api/VERSION").write_text("v9\n")
    await app.deploy(plan, watch=False)


async def unknown_service(app: Fairlead, plan: Plan) -> None:
    await app.plan(["shop"])


async def nothing_to_go_back_to(app: Fairlead, plan: Plan) -> None:
    await app.plan_rollback()


async def nothing_to_report(app: Fairlead, plan: Plan) -> None:
    await app.report()


async def no_such_run(app: Fairlead, plan: Plan) -> None:
    await app.report("20260101-000000-0000")


@pytest.mark.parametrize(
    ("ask", "refused"),
    [
        (another_environment, Refused),
        (another_project, Refused),
        (moved, Moved),
        (lost_artifact, NotReady),
        (unknown_service, CallError),
        (nothing_to_go_back_to, CallError),
        (nothing_to_report, CallError),
        (no_such_run, CallError),
    ],
    ids=lambda value: value.__name__.replace("_", " ") if callable(value) and not isinstance(value, type) else "",
)
async def test_what_is_refused_leaves_nothing_open(
    file: Path, ask: Callable[[Fairlead, Plan], Awaitable[None]], refused: type[FairleadError]
) -> None:
    async with opened(file, version="v1") as app:
        plan = await app.plan()
        with pytest.raises(refused):
            await ask(app, plan)
        assert (await app.lock()).run == "-"
        assert not (file.parent / "home/srv").exists()


async def test_an_open_run_is_in_the_way(file: Path) -> None:
    await deploy(file, "v1")
    (file.parent / "home/srv/api/.live").unlink()
    async with opened(file, version="v2") as app:
        plan = await app.plan()
        session_lock = file.parent / "home/.fairlead/test/lock"
        words = session_lock.read_text().split()
        session_lock.write_text(" ".join([*words[:4], "r-open", words[5]]) + "\n")
        for ask in (app.must_be_free(), app.plan_rollback(), app.deploy(plan)):
            with pytest.raises(OpenRun) as error:
                await ask
            assert error.value.exit_code == 5
        ended = await app.resume()
        assert ended is not None
        assert ended.state in ("closed", "nothing"), "nothing had been begun"
        assert (await app.lock()).run == "-"


async def test_somebody_is_at_work(file: Path) -> None:
    await deploy(file, "v1")
    async with opened(file, version="v2") as app:
        folder = file.parent / "home/.fairlead/test"
        words = (folder / "lock").read_text().split()
        (folder / "lock").write_text(f"1 {words[1]} held n r-other bob@there\n")
        (folder / "lease").write_text(f"{words[1]} {int(time.time()) + 20} 30\n")
        with pytest.raises(Busy, match="bob@there is at work on test: run r-other"):
            await app.must_be_free()
        (folder / "lease").write_text(f"{words[1]} {int(time.time()) - 1} 30\n")
        with pytest.raises(OpenRun, match="run r-other by bob@there is not finished"):
            await app.must_be_free()


async def test_a_build_does_not_see_the_secrets_of_the_installation(file: Path) -> None:
    async with opened(file, "other", "v1") as app:
        await app.plan()
    seen = (file.parent / "source/web/built").read_text()
    assert "PATH=" in seen
    assert "sentinel-4711" not in seen


async def test_what_is_only_looked_at_is_not_deployed(file: Path) -> None:
    async with opened(file, "other") as app:
        with pytest.raises(CallError, match="verify_only"):
            await app.plan(["site"])


@pytest.mark.parametrize(("name", "says"), [("", "which environment"), ("prod", "no environment 'prod'")])
async def test_environments(file: Path, name: str, says: str) -> None:
    with pytest.raises(CallError, match=says) as error:
        async with Fairlead(file, name):
            pass
    assert "test, other" in error.value.hint


def test_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        open_installation(tmp_path / "fairlead.yml")
    assert "fairlead init" in error.value.hint


async def test_a_plan_file_is_private_and_comes_back_as_it_was(file: Path) -> None:
    async with opened(file, version="v1") as app:
        plan = await app.plan()
    kept = file.parent / "plan.json"
    write_plan(kept, plan)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert read_plan(kept) == plan


def broken(plan: dict[str, Any], how: str) -> str:
    if how == "another format":
        return json.dumps(plan | {"format": 2})
    if how == "an unknown key":
        return json.dumps(plan | {"more": 1})
    return {"cut off": json.dumps(plan)[:-5], "empty": "", "something else": "[1]"}[how]


@pytest.mark.parametrize("how", ["another format", "an unknown key", "cut off", "empty", "something else"])
async def test_what_is_no_plan_of_ours(file: Path, how: str) -> None:
    async with opened(file, version="v1") as app:
        plan = await app.plan()
    kept = file.parent / "plan.json"
    kept.write_text(broken(plan.model_dump(mode="json"), how))
    with pytest.raises(CallError, match=r"plan\.json"):
        read_plan(kept)


def test_a_starter_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.yml"
    write_starter(path, "starter")
    with pytest.raises(CallError, match="exists"):
        write_starter(path, "plesk")


async def test_the_tools_of_this_machine() -> None:
    assert {found.subject for found in await local_tools()} == {"ssh", "rsync", "git"}
