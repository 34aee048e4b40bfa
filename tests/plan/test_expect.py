"""How long a way back will take: rows of what was measured before, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.model import Command, DataBack, Plan, Run, Step, TakeBack
from fairlead.plan.expect import expected_way_back

COMMAND = Command(argv=("true",))


def step(name: str, **more: Any) -> Step:
    words = {"title": name, "host": "server", "service": name.partition(".")[0], "phase": "activate"} | more
    return Step.model_validate({"id": name, "do": Run(command=COMMAND), "probe": COMMAND, "undo": COMMAND, **words})


SHADOW = step("db-crm.shadow", phase="stage", service="")
STEPS = (
    step("db-crm.backup", phase="stage", service="", back="stays"),
    step("api.upload", phase="stage"),
    step("web.upload", phase="stage"),
    step("api.migrate", back="by_data"),
    step("api.switch"),
    step("web.switch"),
    step("api.prune", phase="close", back="no"),
)
DATA = DataBack(
    databases=(TakeBack(database="crm", label="20261129_x", data="all", shadow=SHADOW, swap=step("db-crm.swap")),),
    enter=(step("api.fence_on"),),
    leave=(step("api.fence_off"),),
)
DID = {"api.upload": 9.0, "web.upload": 2.0, "api.switch": 5.0, "web.switch": 1.0, "api.migrate": 99.0}
DATA_DID = {"db-crm.shadow": 30.0, "api.fence_on": 1.0, "db-crm.swap": 2.0, "api.fence_off": 1.0}

ROWS: dict[str, tuple[DataBack, tuple[Step, ...], dict[str, float], dict[str, float], tuple[float, float, int]]] = {
    "code alone: switches one after the other, uploads at once": (DataBack(), STEPS, DID, {}, (15.0, 0.0, 0)),
    "what was taken back before counts as it took then": (DataBack(), STEPS, DID, {"api.upload": 0.5}, (8.0, 0.0, 0)),
    "data comes first and is said": (DATA, STEPS, DID | DATA_DID, {}, (49.0, 33.0, 0)),
    "a shadow that waits costs nothing": (DATA, (*STEPS, SHADOW), DID | DATA_DID, {}, (19.0, 3.0, 0)),
    "what nobody measured is named, not guessed": (DATA, STEPS, DID, {}, (15.0, 0.0, 4)),
    "on the first day nothing is known": (DataBack(), STEPS, {}, {}, (0.0, 0.0, 4)),
}


@pytest.mark.parametrize("row", ROWS)
def test_expected(row: str) -> None:
    data, steps, did, undid, (seconds, of_data, unmeasured) = ROWS[row]
    if SHADOW in steps:
        steps = tuple(one.model_copy(update={"back": "stays"}) if one is SHADOW else one for one in steps)
    plan = Plan(
        kind="deploy",
        project="p",
        environment="e",
        lock_host="server",
        accounts={},
        services=(),
        steps=steps,
        data=data,
    )
    found = expected_way_back(plan, did, undid)
    assert (found.seconds, found.data, len(found.unmeasured)) == (seconds, of_data, unmeasured)
