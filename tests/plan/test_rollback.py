"""Taking a finished deployment back: by a plan of its own, or the reason why it cannot be."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from fairlead.errors import NotReady
from fairlead.model import Plan
from fairlead.plan.data import fences
from fairlead.plan.rollback import DATA_REMARK, plan_rollback

World = Any


async def rollback(world: World, undone: Plan) -> Plan:
    installation = world.installation
    return await plan_rollback(installation, installation.environments["test"], undone, [], world.hosts)


async def deployed(world: World, *services: str) -> Plan:
    """v1, then v2 as its plan leaves it; returns that plan."""
    for service in services:
        await world.lay(service, "v1")
    plan: Plan = await world.plan(**dict.fromkeys(services, "v2"))
    for service in services:
        await world.lay(service, "v2")
    return plan


async def test_the_last_one_activated_is_the_first_to_go_back(world: World) -> None:
    undone = await deployed(world, "api", "web", "games")
    plan = await rollback(world, undone)
    old = {change.service: change.before for change in undone.services}
    assert plan.kind == "rollback"
    assert [step.title for step in plan.steps] == [f"{name}: switch to {old[name]}" for name in ("games", "web", "api")]
    assert {change.service: change.after for change in plan.services} == old
    assert plan.remarks == (DATA_REMARK,)
    assert len(plan.staged) == 6, "both trees of each service are proven first"
    assert plan == await rollback(world, undone)


async def test_something_came_after_it(world: World) -> None:
    undone = await deployed(world, "api")
    await world.lay("api", "v3")
    with pytest.raises(NotReady, match=r"not [0-9a-f]{12} which that deployment left"):
        await rollback(world, undone)


async def test_the_old_release_is_gone(world: World) -> None:
    undone = await deployed(world, "api")
    shutil.rmtree(world.folder_of("api") / "releases" / undone.services[0].before)
    with pytest.raises(NotReady, match="is no longer on server"):
        await rollback(world, undone)


async def test_it_was_the_first_deployment(world: World) -> None:
    """What was put to work is taken away, and nothing has to answer afterwards."""
    undone = await world.plan(api="v1")
    await world.lay("api", "v1")
    plan = await rollback(world, undone)
    (change,) = plan.services
    assert (change.before, change.leads_to, change.gone) == (undone.services[0].after, "nothing", True)
    assert [step.id for step in plan.steps] == ["api.switch"] and plan.proven == {}
    assert "api" not in {target.service for target in plan.watch}
    assert not change.back().gone, "taken back in its turn it leads to a release that has to answer"
    assert len(plan.staged) == 1, "what is taken away must be what it was, so that it can come again"


async def test_whether_writers_are_still_is_a_matter_of_each_database(world: World) -> None:
    """One that a site uses which is only looked at says nothing of the other's."""
    services = world.document["environments"]["test"]["services"]
    services["site"]["databases"] = ["unused"]
    world.document["services"]["api"]["maintenance"] = {"on": ["true"], "off": ["true"]}
    installation = world.installation
    around = fences(installation, installation.environments["test"].services.values(), {"crm", "unused"})
    assert ([step.service for step in around.enter], around.open_to) == (["api"], {"unused": ["site"]})
