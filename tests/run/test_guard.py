"""A database that is lost during a deployment stops it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from fairlead.errors import Halted
from fairlead.model import Check, DatabaseCheck, Deployment, Event, Finding, WatchRules
from fairlead.outside.clock import SystemClock
from fairlead.run import guard, operate, runner
from fairlead.run.guard import Guard, sentence
from support.small import HERE, Site, site, small

CRM = DatabaseCheck(subject="crm", engine="sqlite", host=HERE, path="crm.db")
SHOP = DatabaseCheck(subject="shop", engine="sqlite", host=HERE, path="shop.db")
GOES = 'mkdir -p ground; echo do >>"ground/$1.log"; mv crm.db away; echo after >"ground/$1"'
COMES = 'echo undo >>"ground/$1.log"; rm -f "ground/$1"; [ ! -e away ] || mv away crm.db'


def make(home: Path, name: str) -> None:
    with closing(sqlite3.connect(home / name)) as new:
        new.execute("create table t (a)")
        new.commit()


@asynccontextmanager
async def guarded(folder: Path, steps: Iterable[object], **rules: object) -> AsyncIterator[Site]:
    """A site with the databases crm and shop, which its plan guards."""
    watch = WatchRules.model_validate({"duration": 20, "interval": 0.05, **rules})
    async with site(folder, steps, guards=(CRM, SHOP), watch_rules=watch) as here:  # type: ignore[arg-type]
        for name in ("crm.db", "shop.db"):
            make(here.home(), name)
        yield here


async def deploy(here: Site, *, watch: bool = False) -> Deployment:
    async def replan() -> object:
        return here.plan

    return await operate.deploy(here.plan, here.context(), reason="why", watch=watch, replan=replan)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "CONFIRM", 0.0)


async def test_a_database_that_the_last_service_takes_away_starts_the_way_back(tmp_path: Path) -> None:
    async with guarded(tmp_path, [small("a"), small("b", do=GOES, undo=COMES)]) as here:
        done = await deploy(here)
        assert (done.state, here.ran("a"), here.ran("b")) == ("back", "do undo", "do undo")
        assert (
            done.why_back
            == "the database crm was lost during the deployment: there is no file crm.db (look at crm.db on here)"
        )


async def test_the_services_that_come_after_it_are_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = f"{GOES}; while [ ! -e seen ]; do sleep 0.02; done"
    steps = [small("a"), small("b", do=waits, undo=COMES), small("c")]
    async with guarded(tmp_path, steps) as here:

        async def look(self: Guard, really: object = Guard.look) -> None:
            await really(self)  # type: ignore[operator]
            if self.why:
                (here.home() / "seen").touch()

        monkeypatch.setattr(Guard, "look", look)
        monkeypatch.setattr(guard, "EVERY", 0.05)
        done = await deploy(here)
        assert (done.state, here.ran("a"), here.ran("b"), here.ran("c")) == ("back", "do undo", "do undo", "")


async def test_a_plan_that_says_halt_leaves_all_as_it_stands_and_goes_on_later(tmp_path: Path) -> None:
    async with guarded(tmp_path, [small("a"), small("b", do=GOES, undo=COMES)], lost_database="halt") as here:
        with pytest.raises(Halted, match="the database crm was lost during the deployment") as halt:
            await deploy(here)
        assert (halt.value.exit_code, here.ran("a"), here.ran("b")) == (4, "do", "do")
        (here.home() / "away").rename(here.home() / "crm.db")

        async def have(plan: object, missing: list[str]) -> bool:
            return True

        done = await operate.resume("t", HERE, here.context(), watch=False, available=have)
        assert done and (done.state, here.ran("b")) == ("done", "do")


async def test_a_database_that_was_absent_before_cannot_be_lost(tmp_path: Path) -> None:
    async with guarded(tmp_path, [small("a")]) as here:
        (here.home() / "crm.db").unlink()
        assert (await deploy(here)).state == "done"
        told = [event.says for event in here.events if event.kind == "warning"]
        assert told == ["the database crm does not answer, so it is not guarded: there is no file crm.db"]
        assert '"absent":["crm"]' in here.record()


async def test_a_database_that_is_lost_while_all_is_watched_starts_the_way_back(tmp_path: Path) -> None:
    async with guarded(tmp_path, [small("a")]) as here:

        def hear(event: Event) -> None:
            if event.says.startswith("watching"):
                (here.home() / "crm.db").unlink()

        ctx = here.context()
        ctx.listen = hear

        async def replan() -> object:
            return here.plan

        done = await operate.deploy(here.plan, ctx, reason="why", watch=True, replan=replan)  # type: ignore[arg-type]
        assert (done.state, here.ran("a")) == ("back", "do undo")
        assert done.why_back.startswith("the database crm was lost")


@pytest.mark.parametrize(
    ("answers", "lost"),
    {
        "it answers": (["ok"], False),
        "one no, as when its server is restarted": (["fail", "ok"], False),
        "two": (["fail", "fail"], True),
        "not knowing counts as no": (["unknown", "unknown"], True),
        "a warning": (["warn"], False),
    }.values(),
)
async def test_one_look(answers: list[str], lost: bool) -> None:
    left = list(answers)

    async def checks(asked: Iterable[Check]) -> list[Finding]:
        word = left.pop(0)
        return [
            Finding.model_validate({"check": "database", "subject": one.subject, "status": word, "says": word})
            for one in asked
        ]

    one = Guard((CRM,), checks, SystemClock(), 5.0)
    await one.look()
    assert (bool(one.why), left) == (lost, [])


def test_databases_with_one_cause_are_named_together() -> None:
    words = {"check": "database", "status": "fail", "says": "port 3306 of db is closed", "hint": "does it run?"}
    found = [Finding.model_validate({**words, "subject": name}) for name in ("crm", "shop")]
    alone = Finding.model_validate({**words, "subject": "wiki", "says": "access denied", "hint": ""})
    assert sentence([*found, alone]) == (
        "2 databases (crm, shop) were lost during the deployment: port 3306 of db is closed (does it run?); "
        "the database wiki was lost during the deployment: access denied"
    )


HURT = Finding(
    check="tables",
    subject="crm",
    status="fail",
    says="the table people is damaged: bad page",
    hint="fairlead db restore crm",
    evidence={"damaged": {"people": "bad page"}},
)
WELL = HURT.model_copy(update={"status": "ok", "says": "every table can be read", "evidence": {}})
AWAY = WELL.model_copy(update={"status": "unknown", "says": "port closed"})
OFFER = "the database crm: the table people is damaged: bad page; it can be restored: `fairlead db restore crm`"
SAID = "echo 'ERROR 1194: Table people is marked as crashed'; exit 1"
READ: dict[str, tuple[str, Finding, int, str]] = {
    "damage that is there": (SAID, HURT, 1, OFFER),
    "damage that is not there": (SAID, WELL, 1, "yet every table can be read"),
    "a server that is gone meanwhile": (SAID, AWAY, 1, "whether crm is damaged is not known"),
    "a lost connection": ("echo 'ERROR 2013: Lost connection to server'; exit 1", HURT, 0, "Lost connection to server"),
    "any other error": ("echo 'ERROR 1146: no such table'; exit 1", HURT, 0, "no such table"),
}


@pytest.mark.parametrize("row", READ)
async def test_tables_are_read_where_an_error_names_damage(tmp_path: Path, row: str) -> None:
    """It is said, and a restore offered; no step of the plan restores anything."""
    do, found, times, says = READ[row]
    asked: list[tuple[str, ...]] = []

    async def deep(names: Iterable[str]) -> list[Finding]:
        asked.append(tuple(names))
        return [found]

    async with guarded(tmp_path, [small("a"), small("b", do=do, undo="true")]) as here:
        ctx = here.context()
        ctx.deep = deep

        async def replan() -> object:
            return here.plan

        done = await operate.deploy(here.plan, ctx, reason="why", watch=False, replan=replan)  # type: ignore[arg-type]
        assert (done.state, len(asked)) == ("back", times)
        assert done.why_back.endswith(says), done.why_back


async def test_tables_that_take_too_long_to_read_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "DEEP_LIMIT", 0.0)

    async def deep(names: Iterable[str]) -> list[Finding]:
        await asyncio.Event().wait()
        return [HURT]

    async with guarded(tmp_path, [small("b", do=SAID, undo="true")]) as here:
        ctx = here.context()
        ctx.deep = deep

        async def replan() -> object:
            return here.plan

        done = await operate.deploy(here.plan, ctx, reason="why", watch=False, replan=replan)  # type: ignore[arg-type]
        assert done.why_back.endswith("whether crm, shop is damaged is not known")
