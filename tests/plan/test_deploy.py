"""What is there and what is wanted -> exactly these steps, or the reason why there are none."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fairlead.errors import NotReady
from fairlead.model import Plan, TreeCheck
from fairlead.plan.deploy import DATA_REMARK

World = Any


def staged(service: str) -> list[str]:
    """For the first time."""
    return [f"{service}: upload {service.upper()}", f"{service}: put releases/{service.upper()} in place"]


def patched(service: str) -> list[str]:
    """After a release that differs little."""
    return [f"{service}: upload {service.upper()} and put it in place"]


def titles(plan: Plan) -> list[str]:
    """Titles with `API` for the id of the new release of api, and so on."""
    new = {change.after: change.service.upper() for change in plan.services}
    return [re.sub("|".join(new) or "$^", lambda found: new[found[0]], step.title) for step in plan.steps]


async def nothing(world: World) -> None:
    del world


async def all_v1(world: World) -> None:
    for service in ("api", "web", "games"):
        await world.lay(service, "v1")


async def web_is_new_already(world: World) -> None:
    await all_v1(world)
    await world.lay("web", "v2")


async def migrating(world: World) -> None:
    await all_v1(world)
    world.document["services"]["api"]["migrations"] = {"apply": [["./up"]], "probe": ["./probe"]}


async def waiting(world: World) -> None:
    await all_v1(world)
    world.document["services"]["api"] |= {"maintenance": {"page": "wait.html"}}


async def keeping_one(world: World) -> None:
    world.document["services"]["web"]["keep"] = 1
    await world.lay("web", "v0", live=False)
    await all_v1(world)


async def on_a_server(world: World) -> None:
    await all_v1(world)
    world.document["databases"]["far"] = {
        **{"engine": "mariadb", "reached_from": "server", "address": "db.example.org", "environment": "test"},
        **{"database": "mo_{name}", "user": "svc_{name}", "password": "DB_{NAME}_PASS", "names": {"forum": {}}},
        "backup_store": {"host": "server", "path": "far"},
    }
    world.document["environments"]["test"]["services"]["web"]["databases"] = ["forum"]


ALL = {"api": "v2", "web": "v2", "games": "v2"}
SWITCHES = ["api: switch to API", "web: switch to WEB", "games: switch to GAMES"]
ROWS: dict[str, tuple[Callable[[World], Awaitable[None]], dict[str, str], list[str], dict[str, object]]] = {
    "the first deployment": (
        nothing,
        ALL,
        ["back up crm", "back up games", *staged("api"), *staged("web"), *staged("games"), *SWITCHES],
        {"services": ["site"], "databases": ["unused"], "hosts": ["spare"], "remarks": [DATA_REMARK]},
    ),
    "a new version of all": (
        all_v1,
        ALL,
        ["back up crm", "back up games", *patched("api"), *patched("web"), *patched("games"), *SWITCHES],
        {"services": ["site"], "databases": ["unused"], "hosts": ["spare"]},
    ),
    "one service, without databases": (
        all_v1,
        {"web": "v2"},
        [*patched("web"), "web: switch to WEB"],
        {
            "services": ["api", "games", "site"],
            "databases": ["crm", "games", "unused"],
            "hosts": ["annex", "spare"],
            "remarks": [],
        },
    ),
    "what is live already is left out": (
        web_is_new_already,
        {"api": "v2", "web": "v2"},
        ["back up crm", *patched("api"), "api: switch to API"],
        {"services": ["web", "games", "site"], "databases": ["games", "unused"]},
    ),
    "all is live already": (
        all_v1,
        {"api": "v1", "web": "v1", "games": "v1"},
        [],
        {"services": ["api", "web", "games", "site"], "databases": ["crm", "games", "unused"], "remarks": []},
    ),
    "in the order of what depends on what": (
        all_v1,
        {"games": "v2", "api": "v2"},
        ["back up crm", "back up games", *patched("api"), *patched("games"), SWITCHES[0], SWITCHES[2]],
        {"services": ["web", "site"]},
    ),
    "a migration that cannot be undone": (
        migrating,
        {"api": "v2"},
        ["back up crm", *patched("api"), "crm: back up once more", "api: migrate crm", "api: switch to API"],
        {
            "remarks": [
                "the way back takes back the data of crm once the migration has begun; what was written since is kept",
                "the way back does not stop api, without `maintenance`: what is written to crm meanwhile "
                "is kept, and is not in what is live afterwards",
            ]
        },
    ),
    "maintenance": (
        waiting,
        {"api": "v2"},
        ["back up crm", *patched("api"), "api: enter maintenance", "api: switch to API", "api: leave maintenance"],
        {},
    ),
    "old releases go last": (
        keeping_one,
        {"api": "v2", "web": "v2"},
        ["back up crm", *patched("api"), *patched("web"), *SWITCHES[:2], "web: delete old releases OLD"],
        {},
    ),
    "a database on a server": (
        on_a_server,
        {"web": "v2"},
        ["back up mo_forum", *patched("web"), "web: switch to WEB"],
        {"remarks": [DATA_REMARK]},
    ),
}


@pytest.mark.parametrize("row", ROWS)
async def test_plan(world: World, row: str) -> None:
    there, wanted, steps, more = ROWS[row]
    await there(world)
    plan = await world.plan(**wanted)
    assert [re.sub(r"(?<=releases )[0-9a-f]{12}$", "OLD", title) for title in titles(plan)] == steps
    found = {**plan.untouched.model_dump(), "remarks": plan.remarks}
    assert {key: list(found[key]) for key in more} == more  # type: ignore[index]


async def test_the_phases_follow_each_other_and_ids_are_unique(world: World) -> None:
    await keeping_one(world)
    plan = await world.plan(**ALL)
    phases = [step.phase for step in plan.steps]
    assert phases == sorted(phases, key=["stage", "activate", "close"].index)
    assert len({step.id for step in plan.steps}) == len(plan.steps)


async def test_a_release_that_lies_there_already_is_proven_before_its_switch(world: World) -> None:
    await all_v1(world)
    live, there = await world.lay("api", "v1b"), await world.lay("api", "v2", live=False)
    plan = await world.plan(api="v2")
    assert {check.tree for check in plan.staged if isinstance(check, TreeCheck)} == {live, there}


async def test_a_live_release_that_has_grown_is_held_against_what_was_found(world: World) -> None:
    await all_v1(world)
    live = await world.lay("api", "v1b")
    (world.folder_of("api") / "releases" / live / "cache").write_text("written since")
    plan = await world.plan(api="v2")
    found = plan.services[0].before_tree
    assert found and not found.startswith(live)
    for checks in (plan.staged, plan.standing["api"]):
        assert [check.tree for check in checks if isinstance(check, TreeCheck)] == [found]


async def test_what_is_proven_and_when(world: World) -> None:
    await all_v1(world)
    before = {service: await world.lay(service, "v1b") for service in ("api", "web")}
    plan = await world.plan(api="v2", web="v2")
    after = {change.service: change.after for change in plan.services}
    trees = {check.tree for check in plan.staged if isinstance(check, TreeCheck)}
    assert trees == set(before.values()), "what to go back to, before activation; the new one is proven as it comes"
    identity = [check.fields for check in plan.proven["api"] if check.kind == "http" and check.check == "identity"]
    assert identity == [{"release": after["api"]}]
    stands = [check.fields for check in plan.standing["api"] if check.kind == "http" and check.check == "identity"]
    assert stands == [{"release": before["api"]}]
    assert {check.tree for check in plan.standing["web"] if isinstance(check, TreeCheck)} == {before["web"]}
    assert [target.service for target in plan.watch] == ["api", "site"], "those that can be asked"


async def test_after_a_first_deployment_that_came_back_nothing_need_stand(world: World) -> None:
    plan = await world.plan(api="v1")
    assert "api" not in plan.standing
    assert plan.way_back[0].id == "api.switch"


async def test_equal_plans_of_an_unmoved_world(world: World) -> None:
    await all_v1(world)
    first = await world.plan(**ALL)
    time.sleep(1.1)  # a time in whole seconds would show
    second = await world.plan(**ALL)
    assert first == second
    assert first.hash == second.hash


async def touch_unused(world: World) -> None:
    (world.home() / "srv/other").mkdir(parents=True)


async def touch_live(world: World) -> None:
    (next((world.folder_of("api") / "releases").iterdir()) / "VERSION").write_text("changed by hand\n")


async def touch_current(world: World) -> None:
    await world.lay("api", "v1b")


@pytest.mark.parametrize(
    ("moves", "same"),
    [(touch_unused, True), (touch_live, False), (touch_current, False)],
    ids=["something that is not ours", "a file of the live release", "another release is live"],
)
async def test_a_plan_knows_its_ground(world: World, moves: Callable[[World], Awaitable[None]], same: bool) -> None:
    await all_v1(world)
    first = await world.plan(**ALL)
    await moves(world)
    assert ((await world.plan(**ALL)).hash == first.hash) is same


async def test_a_plan_holds_no_time_no_run_no_temporary_path_and_no_secret(world: World) -> None:
    await all_v1(world)
    text = (await world.plan(**ALL)).to_json()
    assert str(world.operator) not in text
    assert "sentinel-4711" not in text
    assert '"name":"API_TOKEN"' in text, "its name may stand there"
    numbers = {float(number) for number in re.findall(r"(?<![0-9a-f.])\d{9,10}(?:\.\d+)?(?![0-9a-f])", text)}
    assert not [number for number in numbers if abs(number - time.time()) < 1e7], "a time"
    assert not re.findall(r"20\d\d-?[01]\d-?[0-3]\d", re.sub(r"[0-9a-f]{12,64}", "", text))
    assert not [key for key in ("at", "run", "nonce", "token", "started") if key in json.loads(text)]


# -- reasons for none


async def a_real_folder(world: World) -> None:
    (world.folder_of("api") / "current").mkdir(parents=True)


async def a_foreign_link(world: World) -> None:
    world.folder_of("api").mkdir(parents=True)
    (world.folder_of("api") / "current").symlink_to("/var/www/old")


async def a_link_into_a_release(world: World) -> None:
    (world.folder_of("api") / "releases/v1/public").mkdir(parents=True)
    (world.folder_of("api") / "current").symlink_to("releases/v1/public")


async def a_missing_file(world: World) -> None:
    world.document["services"]["api"]["shared"] = ["uploads/", ".env"]


async def no_account(world: World) -> None:
    world.home("annex").rename(world.folder / "gone")


@pytest.mark.parametrize(
    ("there", "why"),
    [
        pytest.param(a_real_folder, "api: server:srv/api/current is a folder, not a link", id="current is a folder"),
        pytest.param(
            a_foreign_link, "current points to /var/www/old, which is not one of its releases", id="a foreign link"
        ),
        pytest.param(a_link_into_a_release, "current points to releases/v1/public", id="a link into a release"),
        pytest.param(a_missing_file, "srv/api/shared lacks .env", id="a shared file is missing"),
        pytest.param(no_account, "no command can be started on the local account annex", id="a host does not answer"),
    ],
)
async def test_why_there_is_no_plan(world: World, there: Callable[[World], Awaitable[None]], why: str) -> None:
    await there(world)
    with pytest.raises(NotReady) as error:
        await world.plan(**ALL)
    assert why in error.value.what
    assert error.value.hint
    assert error.value.exit_code == 1


async def test_all_reasons_are_told_at_once(world: World) -> None:
    await a_real_folder(world)
    world.folder_of("web").mkdir(parents=True)
    (world.folder_of("web") / "current").touch()
    await no_account(world)
    with pytest.raises(NotReady) as error:
        await world.plan(**ALL)
    told = error.value.what.splitlines()
    assert len(told) == 3
    assert [any(word in line for line in told) for word in ("api", "web", "annex")] == [True] * 3


async def test_planning_changes_nothing(world: World, tmp_path: Path) -> None:
    from support.witness import tree

    await all_v1(world)
    before = tree(world.folder / "hosts")
    await world.plan(**ALL)
    assert tree(world.folder / "hosts") == before
