"""Which backups count, which are kept, and how a person says that a doubtful one is right."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlead.engines import ENGINES, mariadb, postgres, sqlite, store
from fairlead.errors import NotReady
from fairlead.model import Backup, Finding, Reported
from fairlead.outside.secrets import Secrets
from support import postgres as pg
from support.databases import make, spec
from support.mariadb import SECRETS, MariaDB, open_folder
from support.places import Place

NONE = Secrets(())
DAY = 86_400.0


@pytest.fixture(scope="module")
def maria() -> Iterator[MariaDB]:
    folder = open_folder()
    with MariaDB(folder / "server") as one:
        yield one
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def post() -> Iterator[pg.Postgres]:
    with pg.Postgres() as one:
        yield one


async def made(here: Place, label: str = "", spare: tuple[str, ...] = (), **how: object) -> Finding:
    (one,) = await sqlite.backup(here.host, [spec(**how)], NONE, label=label, spare={"crm": spare})
    return one.finding


async def listed(here: Place, verify: store.Verify = "none") -> list[Backup]:
    return sorted(await store.backups(here.host, ["backups"], verify=verify), key=lambda one: one.started)


def aged(here: Place, one: Backup, days: float, copy: bool = False, **words: object) -> None:
    """Make a backup look as if it had been made so many days ago; or lay such a one beside it."""
    began = time.time() - days * DAY
    stem = f"backups/crm-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(began))}"
    note = json.loads((here.home / one.manifest).read_text()) | {"started": began, "file": f"{stem[8:]}.db"} | words
    shutil.copy(here.home / one.file, here.home / f"{stem}.db")
    (here.home / f"{stem}.json").write_text(json.dumps(note))
    for name in () if copy else (one.file, one.manifest):
        (here.home / name).unlink()


def shrink(path: Path, keep: str = "id < 3") -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"delete from people where not ({keep})")
    db.execute("vacuum")
    db.close()


def grown(here: Place) -> Path:
    return make(here.home / "data/crm.db", rows=5000)


# -- doubt, and what a person says to it

DOUBTS = {
    "much smaller": ({}, "id < 3", "it is much smaller than the one before: "),
    "no row left": ({"shrink": 0.0}, "false", "it holds no row, and the one before held 5000"),
    "a share that allows it": ({"shrink": 0.01}, "id < 3", ""),
}


@pytest.mark.parametrize("case", DOUBTS)
async def test_a_doubtful_backup_counts_once_a_person_says_so(here: Place, case: str) -> None:
    how, keep, why = DOUBTS[case]
    shrink_from = grown(here)
    first = await made(here, **how)
    aged(here, (await listed(here))[0], 0.5)
    shrink(shrink_from, keep)
    second = await made(here, label="v2", **how)
    told = [one.flaw for one in await listed(here)]
    probe = sqlite.backup_probe([spec()], "v2")
    word = (await here.host.run(probe)).stdout.split()[-1]
    if not why:
        assert (second.status, told, word) == ("ok", ["", ""], "after")
        return
    assert (first.status, second.status) == ("ok", "fail")
    assert second.says.startswith(why) and "does not count" in second.says
    assert told[0] == "" and told[1].startswith(why) and word == "before"
    doubted = (await listed(here))[1]
    refused = await sqlite.restore(here.host, doubted, spec(), "again.db", NONE)
    assert refused.says == f"the backup does not count: {doubted.flaw}"
    assert second.hint == f"if that is right: fairlead db backups --accept {doubted.file}"

    await store.accept(here.host, doubted, "the log was cleared")
    again = (await listed(here, "all"))[1]
    assert (again.flaw, again.accepted, again.intact) == ("", "the log was cleared", True)
    assert (await here.host.run(probe)).stdout.split()[-1] == "after"
    assert (await sqlite.restore(here.host, again, spec(), "again.db", NONE)).status == "ok"
    assert (await made(here, **how)).status == "ok", "from now on that one is what new ones are held against"


async def test_a_doubtful_backup_is_no_measure_and_retires_nothing(here: Place) -> None:
    path = grown(here)
    await made(here, keep=1)
    aged(here, (await listed(here))[0], 0.5)
    shrink(path)
    for _ in range(2):
        assert (await made(here, keep=1)).status == "fail"
    assert [not one.flaw for one in await listed(here)] == [True, False, False]


BROKEN: dict[str, Callable[[Path], object]] = {
    "cut by one byte": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "emptied": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_nobody_can_accept_what_is_broken(here: Place, case: str) -> None:
    grown(here)
    await made(here)
    (good,) = await listed(here)
    BROKEN[case](here.home / good.file)
    (bad,) = await listed(here)
    assert bad.flaw
    with pytest.raises(NotReady, match="does not count"):
        await store.accept(here.host, bad, "I want it")
    assert (await listed(here))[0].accepted == ""


async def test_a_byte_that_changed_is_seen_where_it_is_hashed_again(here: Place) -> None:
    grown(here)
    await made(here)
    aged(here, (await listed(here))[0], 0.5, copy=True)
    old = (await listed(here))[0]
    with (here.home / old.file).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert [one.intact for one in await listed(here, "newest")] == [None, True]
    assert [one.flaw for one in await listed(here, "all")] == ["its content is not what its manifest says", ""]


async def test_a_backup_that_bears_the_name_of_another_database_does_not_count(here: Place) -> None:
    grown(here)
    await made(here)
    (good,) = await listed(here)
    for name in (good.file, good.manifest):
        (here.home / name).rename(here.home / name.replace("crm-", "shop-"))
    (moved,) = await listed(here)
    assert moved.flaw == "its manifest says that it is a backup of crm, and its name does not"
    assert (await sqlite.restore(here.host, moved, spec(), "again.db", NONE)).status == "fail"


# -- empty databases


async def test_an_empty_database_may_be_empty(here: Place, maria: MariaDB, post: pg.Postgres) -> None:
    make(here.home / "data/crm.db", rows=0)
    maria.create("crm", rows=0)
    post.make("mo_idp", "create table people (id int)")
    several = (
        await sqlite.backup(here.host, [spec()], NONE),
        await mariadb.backup(here.host, [maria.spec()], SECRETS),
        await postgres.backup(here.host, [post.spec()], pg.secrets()),
    )
    assert [one.finding.status for (one,) in several] == ["ok"] * 3
    assert [one.empty for one in await listed(here)] == [True] * 3


SHAM = """#!/bin/sh
"$0.real" "$@" | grep -v 'INSERT INTO\\|^('
"""


async def test_a_dump_without_rows_of_a_database_that_has_some_is_refused(
    here: Place, maria: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump program that leaves the rows out, and ends well."""
    maria.create("crm", rows=10)
    tools = tmp_path / "tools"
    tools.mkdir()
    real = shutil.which("mariadb-dump")
    assert real
    (tools / "mariadb-dump.real").symlink_to(real)
    (tools / "mariadb-dump").write_text(SHAM)
    (tools / "mariadb-dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{Path('/usr/bin')}:/bin")
    (one,) = await mariadb.backup(here.host, [maria.spec()], SECRETS)
    assert one.finding.says == "the copy holds no row, and the database has rows in people"
    assert not list((here.home / "backups").iterdir())


# -- how many are kept, and how long


KEPT: dict[str, tuple[dict[str, object], tuple[str, ...], list[int]]] = {
    "by count": ({"keep": 2}, (), [3, 4]),
    "by days": ({"keep": 9, "keep_days": 5}, (), [2, 3, 4]),
    "by both": ({"keep": 2, "keep_days": 3}, (), [3, 4]),
    "all are too old but the new one": ({"keep": 9, "keep_days": 1}, (), [4]),
    "one is still needed": ({"keep": 1, "keep_days": 1}, ("v1",), [1, 4]),
    "all are": ({"keep": 1}, ("v0", "v1", "v2", "v3"), [0, 1, 2, 3, 4]),
}


@pytest.mark.parametrize("case", KEPT)
async def test_what_is_kept(here: Place, case: str) -> None:
    """Four of them, from 8, 6, 4 and 2 days ago, and a new one."""
    how, spare, left = KEPT[case]
    make(here.home / "data/crm.db")
    await made(here)
    (one,) = await listed(here)
    for number in range(4):
        aged(here, one, 8 - 2 * number, copy=number < 3, label=f"v{number}")
    assert (await made(here, label="v4", spare=spare, **how)).status == "ok"
    assert [one.label for one in await listed(here)] == [f"v{number}" for number in left]


async def test_the_last_that_counts_stays_however_old(here: Place) -> None:
    make(here.home / "data/crm.db")
    await made(here, keep=1, keep_days=1)
    (one,) = await listed(here)
    aged(here, one, 400)
    (here.home / "data/crm.db").unlink()
    assert (await made(here, keep=1, keep_days=1)).status == "fail"
    assert [one.flaw for one in await listed(here)] == [""]


# -- what others have backed up

TABLE = """create table backup_metadata (database_name varchar(99), backup_timestamp {stamp},
 backup_size_mb numeric(10, 2), retention_days int);
insert into backup_metadata values ('mo_shop', {now}, 12.5, 30), ('mo_shop', {old}, 11, null), (null, {now}, 1, 1),
 ('mo_idp', {old}, null, null);"""


@pytest.mark.parametrize("engine", ["sqlite", "mariadb", "postgres"])
async def test_the_table_of_others_is_read_where_it_is(
    here: Place, maria: MariaDB, post: pg.Postgres, engine: str
) -> None:
    make(here.home / "data/crm.db")
    maria.create("told")
    post.make("mo_told")
    words = {
        "sqlite": ("text", "datetime('now', '-1 hour')", "datetime('now', '-50 hours')"),
        "mariadb": ("timestamp null", "now() - interval 1 hour", "now() - interval 50 hour"),
        "postgres": ("timestamptz", "now() - interval '1 hour'", "now() - interval '50 hours'"),
    }[engine]
    table = TABLE.format(stamp=words[0], now=words[1], old=words[2])
    database = {"sqlite": spec(), "mariadb": maria.spec("told"), "postgres": post.spec("told")}[engine]
    secrets = {"sqlite": NONE, "mariadb": SECRETS, "postgres": pg.secrets()}[engine]

    async def read() -> list[Reported] | None:
        return await ENGINES[engine].reported(here.host, database, secrets)

    assert await read() is None, "there is no such table"
    if engine == "sqlite":
        sqlite3.connect(here.home / "data/crm.db").executescript(table)
    elif engine == "mariadb":
        maria.sql(table, "mo_told")
    else:
        post.sql(*table.split(";")[:-1], database="mo_told")
    found = await read()
    assert found and [(one.database, one.size_mb, one.retention_days) for one in found] == [
        ("mo_shop", 12.5, 30),
        ("mo_idp", 0.0, None),
    ]
    assert 3590 < found[0].age < 3700 and 50 * 3600 - 10 < found[1].age < 50 * 3600 + 100
