from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.checks.backups import believed, check_backups, judged
from fairlead.engines import sqlite
from fairlead.model import Backup, Reported
from fairlead.outside.clock import SystemClock
from fairlead.outside.secrets import Secrets
from support.databases import make, spec
from support.places import Place, place

NONE = Secrets(())

NOW = 1_800_000_000.0
DAY = 86_400.0


@pytest.fixture(params=["local", "ssh"])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with place(request.param, tmp_path) as found:
        yield found


async def test_missing_then_made_then_spoilt(anywhere: Place) -> None:
    make(anywhere.home / "data/crm.db")
    make(anywhere.home / "data/shop.db")
    anywhere.give()
    databases = [spec(), spec("shop", "data/shop.db"), spec("idp", engine="mariadb", path="")]

    async def told() -> list[str]:
        found = await check_backups(databases, anywhere.hosts, now=SystemClock().now())
        assert [one.subject for one in found] == ["crm", "shop", "idp"]
        return [f"{one.status}: {one.says}" for one in found]

    first = await told()
    (made,) = await sqlite.backup(anywhere.host, databases[:1], NONE)
    second = await told()
    assert made.backup
    with (anywhere.home / made.backup.file).open("r+b") as file:
        file.seek(5000)
        file.write(b"\x01")
    third = await told()

    assert first == ["fail: no backup", "fail: no backup", "fail: no backup"]
    assert second[0].startswith("ok: backed up ") and second[0].endswith(" s ago, 12 kB, unchanged since it was proven")
    assert second[1] == "fail: no backup"
    assert third[0] == "fail: the newest backup does not count: its content is not what its manifest says"


def one(**more: object) -> Backup:
    words = {"database": "crm", "file": "f.db", "manifest": "f.json", "size": 1000, "proven": True, "started": NOW - 60}
    return Backup.model_validate({**words, **more})


OLD = one(started=NOW - DAY, file="old.db")
UNPROVEN = one(proven=False, started=0.0, manifest="", flaw="it has no manifest")
ROWS = {
    "fresh": ([one()], "ok", "backed up 1 min ago, 1.0 kB, unchanged since it was proven"),
    "none": ([], "fail", "no backup"),
    "of another database": ([one(database="shop")], "fail", "no backup"),
    "only a half one": ([UNPROVEN], "fail", "no backup that counts: it has no manifest"),
    "a half one beside a fresh one": (
        [one(), UNPROVEN],
        "ok",
        "backed up 1 min ago, 1.0 kB, unchanged since it was proven",
    ),
    "too old": (
        [one(started=NOW - 2 * DAY)],
        "fail",
        "the newest backup does not count: it is 2 days old, at most 24 h is allowed",
    ),
    "newest is broken": (
        [OLD, one(flaw="its content is not what its manifest says", intact=False)],
        "fail",
        "the newest backup does not count: its content is not what its manifest says",
    ),
    "a dwarf": (
        [one(flaw="it is much smaller than the one before: 499 bytes after 1000"), OLD],
        "fail",
        "the newest backup does not count: it is much smaller than the one before: 499 bytes after 1000",
    ),
    "accepted": (
        [one(accepted="the log was cleared"), OLD],
        "ok",
        "backed up 1 min ago, 1.0 kB, unchanged since it was proven, accepted: the log was cleared",
    ),
    "empty as the database was": (
        [one(empty=True)],
        "ok",
        "backed up 1 min ago, empty, as the database was, unchanged since it was proven",
    ),
    "of what the name meant before": (
        [one(source="data/old.db")],
        "fail",
        "the newest backup does not count: it is a copy of data/old.db, and crm is data/crm.db now",
    ),
    "of another engine": (
        [one(engine="postgres", source="crm on db:5432")],
        "fail",
        "the newest backup does not count: it is a backup of a postgres database, and crm is a sqlite one",
    ),
    "from the future": (
        [one(started=NOW + 7200)],
        "unknown",
        "the newest backup is 2 h in the future, so a clock is wrong",
    ),
    "a second in the future": (
        [one(started=NOW + 1)],
        "ok",
        "backed up 0 s ago, 1.0 kB, unchanged since it was proven",
    ),
}


@pytest.mark.parametrize("case", ROWS)
def test_backups_are_judged(case: str) -> None:
    found, status, says = ROWS[case]
    finding = judged(spec(max_age=DAY), found, NOW)
    assert (finding.status, finding.says) == (status, says)
    assert finding.hint == ("" if status == "ok" else "fairlead db backup crm")


async def test_a_store_that_cannot_be_read_is_not_knowing(tmp_path: Path) -> None:
    async with place("local", tmp_path) as here:
        (here.home / "file").write_text("")
        (finding,) = await check_backups([spec(store="file")], here.hosts, now=NOW)
    assert finding.status == "unknown" and "cannot be read" in finding.says


NONE_OF_OURS = "no backup"
REPORTED = {
    "a fresh one": (
        [("crm", 3 * 3600, 120.0)],
        "warn",
        "reported by backup_metadata: backed up 3 h ago, 120 MB, by others",
    ),
    "by its name on the server": (
        [("mo_crm", 60, 1.5)],
        "warn",
        "reported by backup_metadata: backed up 1 min ago, 1.5 MB",
    ),
    "too old": ([("crm", 2 * DAY, 120.0)], "fail", "reports one of 120 MB, 2 days old, which does not count either"),
    "empty": ([("crm", 60, 0.0)], "fail", "reports one of 0 MB, 1 min old, which does not count either"),
    "from the future": ([("crm", -3600, 9.0)], "fail", "which does not count either"),
    "the newest counts": ([("crm", 3 * DAY, 9.0), ("crm", 60, 9.0)], "warn", "backed up 1 min ago"),
    "of another database": ([("shop", 60, 9.0)], "fail", NONE_OF_OURS),
    "none": ([], "fail", NONE_OF_OURS),
}


@pytest.mark.parametrize("case", REPORTED)
def test_what_others_report_opens_the_gate_and_no_more(case: str) -> None:
    rows, status, says = REPORTED[case]
    database = spec(max_age=DAY).model_copy(update={"database": "mo_crm"})
    several = [Reported(database=name, age=age, size_mb=size) for name, age, size in rows]
    told = believed(judged(database, [], NOW), database, several)
    assert told.status == status and says in told.says, told
    assert told.hint == "fairlead db backup crm"
    own = judged(spec(max_age=DAY), [one()], NOW)
    assert believed(own, spec(max_age=DAY), several) == own, "one of ours needs nobody's word"


def test_what_has_to_be_encrypted_is_not_opened_by_others() -> None:
    personal = spec(personal=True)
    finding = judged(personal, [], NOW)
    assert believed(finding, personal, [Reported(database="crm", age=60, size_mb=9)]) == finding
