"""What restores keep beside live databases: listed with its last day, dropped after it, and never before."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from fairlead.app import Fairlead
from fairlead.model import Plan
from fairlead.outside.clock import SystemClock
from support.box import FREE, Box, says
from support.live_data import Place, Sqlite, names

Crm = tuple[Box, Place]
ONE = pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
DAY = 86400.0


class Later(SystemClock):
    """The machine's clock, so many days on."""

    def __init__(self, days: float) -> None:
        self.ahead = days * DAY

    def now(self) -> float:
        return super().now() + self.ahead


def restored(crm: Crm) -> Crm:
    says(crm[0].run("db", "restore", "crm", "--yes"), 0, "is done")
    return crm


def beside(box: Box) -> list[dict[str, Any]]:
    told = box.run("db", "kept", "--json")
    assert told.code == 0, told.text
    found: list[dict[str, Any]] = json.loads(told.out)["beside"]
    return found


def test_listed_with_its_last_day_and_dropped_when_a_person_says_so(crm: Crm) -> None:
    box, place = restored(crm)
    (one,) = beside(box)
    week = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 7 * DAY))
    assert (one["database"], one["role"], one["until"]) == ("crm", "kept", week) and one["size"] > 0
    says(box.run("db", "kept"), 0, f"until {week}")
    says(box.run("db", "prune", "--yes"), 0, "nothing is kept for longer")
    says(box.run("db", "restore", "crm", "--undo", "--yes"), 0, "is done")
    assert [found["role"] for found in beside(box)] == ["shadow"]  # what was live until the undo
    says(box.run("db", "prune", "crm", "--early", "--yes"), 0, "is done")
    assert beside(box) == [] and names(place) == "a B c" and box.lock() == FREE
    says(box.run("db", "kept"), 0, "nothing is kept")


@ONE
@pytest.mark.parametrize(("days", "goes"), [(7, False), (8, True)], ids=["on its last day", "the day after"])
async def test_a_deployment_drops_what_was_kept_for_its_time(
    crm: Crm, monkeypatch: pytest.MonkeyPatch, days: int, goes: bool
) -> None:
    box, place = restored(crm)
    plan = await deployed(box, monkeypatch, days)
    assert bool([step for step in plan.steps if ".drop-" in step.id]) == goes
    assert all(step.phase == "close" and step.back == "no" for step in plan.steps if ".drop-" in step.id)
    assert (beside(box) == []) == goes and names(place) == "a b"


async def deployed(box: Box, monkeypatch: pytest.MonkeyPatch, days: int) -> Plan:
    for name, text in box.operator.environ.items():
        monkeypatch.setenv(name, text)
    async with Fairlead(box.operator.folder / "fairlead.yml", clock=Later(days)) as app:
        plan = await app.plan()
        await app.deploy(plan, watch=False)
        return plan


WRONG = {
    "early without a name": (("--early", "--yes"), 2, "of which databases?", "fairlead db kept"),
    "no such database": (("mail", "--yes"), 2, "no database 'mail'", "crm"),
}


@ONE
@pytest.mark.parametrize("row", WRONG)
def test_what_cannot_be_asked_for(crm: Crm, row: str) -> None:
    box, _ = restored(crm)
    words, code, what, hint = WRONG[row]
    says(box.run("db", "prune", *words), code, what, hint)
    assert len(beside(box)) == 1


@ONE
def test_what_cannot_be_dropped_is_not_said_to_be_gone(crm: Crm) -> None:
    """The account may no longer write to the folder that the kept file lies in."""
    box, _ = restored(crm)
    folder = box.home / "data"
    subprocess.run(["chown", "root:root", str(folder)], check=True)
    folder.chmod(0o755)
    says(box.run("db", "prune", "crm", "--early", "--yes"), 1, "it is still there", "the warnings above")
    assert len(beside(box)) == 1 and box.lock() == FREE
