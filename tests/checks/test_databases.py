from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.checks.databases import check_databases
from fairlead.engines import sqlite, store
from fairlead.errors import Unreachable
from fairlead.model import Account, Command, Result
from fairlead.outside.connect import Hosts
from fairlead.outside.secrets import Secrets
from support.databases import make, spec
from support.places import Place, place

NONE = Secrets(())


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    async with place("local", tmp_path) as found:
        yield found


async def test_every_database_is_named_in_order(here: Place) -> None:
    make(here.home / "data/crm.db")
    databases = [
        spec("shop", engine="mariadb", database="shop", address="127.0.0.1", port=1, user="svc"),
        spec("crm"),
        spec("gone", "data/gone.db"),
        spec("wiki", engine="postgres", database="wiki", address="127.0.0.1", port=1, user="svc"),
        spec("far", host="nowhere"),
    ]
    findings = await check_databases(databases, here.hosts, NONE, limit=60)
    assert [(one.check, one.subject, one.status, one.says) for one in findings] == [
        ("database", "shop", "fail", "port 1 of 127.0.0.1 is closed: nothing listens there"),
        ("database", "crm", "ok", "answers, 12 kB"),
        ("database", "gone", "fail", "there is no file data/gone.db"),
        ("database", "wiki", "fail", "port closed: nothing listens on 127.0.0.1:1"),
        ("database", "far", "unknown", "there is no host named nowhere"),
    ]
    assert findings[1].ms is not None and findings[1].evidence["host"] == "here"


class Counting:
    """Hosts of which one counts what it is asked, and one never answers."""

    def __init__(self, here: Place) -> None:
        self.host, self.account, self.heard = here.host, here.host.account, 0

    async def get(self, name: str) -> Counting:
        if name == "silent":
            await asyncio.Event().wait()
        return self

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        self.heard += 1
        return await self.host.run(command, stdin=stdin)


async def test_seventeen_databases_are_one_round_trip_and_a_silent_host_hides_none(here: Place) -> None:
    names = [f"db{number}" for number in range(17)]
    for name in names:
        make(here.home / f"data/{name}.db")
    hosts = Counting(here)
    databases = [*(spec(name, f"data/{name}.db") for name in names), spec("far", host="silent")]
    findings = await check_databases(databases, hosts, NONE, limit=3.0)  # type: ignore[arg-type]
    assert hosts.heard == 1
    assert [one.status for one in findings] == ["ok"] * 17 + ["unknown"]
    assert findings[-1].says == "no answer within 3 s"


async def test_an_unreachable_host_is_told_for_each_of_its_databases() -> None:
    account = Account(name="gone", kind="ssh", address="127.0.0.1", port=1, user="nobody", connect_timeout=2)
    async with Hosts({"gone": account}, Secrets()) as hosts:
        findings = await check_databases([spec("a", host="gone"), spec("b", host="gone")], hosts, NONE)
        with pytest.raises(Unreachable) as told:
            await hosts.get("gone")
    assert [(one.subject, one.status, one.says) for one in findings] == [
        ("a", "unknown", told.value.what),
        ("b", "unknown", told.value.what),
    ]


async def test_one_that_hangs_does_not_hide_the_others(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a dead network disk: opening the file never returns."""
    make(here.home / "data/crm.db")
    make(here.home / "data/hangs.db")
    program = store.program("sqlite")
    stuck = program.replace("def look(item):", "def look(item):\n    'hangs' in item['path'] and time.sleep(60)")
    monkeypatch.setattr(store, "program", lambda engine: stuck)
    monkeypatch.setattr(sqlite, "PING_LIMIT", 0.5)
    findings = await check_databases([spec("hangs", "data/hangs.db"), spec()], here.hosts, NONE)
    assert [(one.status, one.says) for one in findings] == [
        ("unknown", "no answer within 0.5 s"),
        ("ok", "answers, 12 kB"),
    ]
