"""Databases taken back to a backup in place of the live ones, and back again, by the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pytest

from support.box import FREE, OPEN, Box, ended, release, says, until
from support.live_data import Maria, Place, Postgres, Sqlite, names, there

Crm = tuple[Box, Place]
SERVERS = pytest.mark.parametrize("crm", [Maria, Postgres], indirect=True, ids=["mariadb", "postgres"])


def test_taken_back_and_back_again(crm: tuple[Box, Place]) -> None:
    box, place = crm
    told = box.run("db", "restore", "crm", "--yes", "--reason", "an import went wrong")
    says(told, 0, "is done")
    assert names(place) == "a b" and box.lock() == FREE
    assert "people: 0 only live, 1 only kept, 1 changed" in told.out, told.out
    says(box.run("db", "ledger", "crm"), 0, "1 only kept, 1 changed")
    place.sql("insert into people values (9, 'i');")
    says(box.run("db", "restore", "crm", "--undo", "--yes"), 0, "is done")
    assert names(place) == "a B c"
    says(box.run("db", "restore", "crm", "--undo", "--yes"), 2, "nothing is kept of crm", "fairlead history")
    says(box.run("db", "restore", "crm", "--yes"), 0, "is done")
    assert names(place) == "a b" and box.lock() == FREE


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_as_json(crm: tuple[Box, Place]) -> None:
    box, _ = crm
    told = box.run("db", "restore", "crm", "--yes", "--json")
    found = json.loads(told.out)
    assert told.code == 0 and found["deployment"]["state"] == "done" and list(found["kept"]) == ["crm"]
    assert found["ledgers"][0]["tables"][0]["only_kept"] == 1
    assert "'c'" not in told.text


def with_a_second(crm: Crm) -> Callable[[], str]:
    """A database `shop` beside `crm` on its server, with two goods in its backup and three live; what is live of it."""
    box, place = crm
    assert isinstance(place, Maria | Postgres)
    goods = "create table goods (id integer primary key, name varchar(20))"
    if isinstance(place, Maria):
        place.server.create("shop", f"{goods};", rows=None)
    else:
        place.server.make("mo_shop", goods)

    def ask(text: str) -> str:
        if isinstance(place, Maria):
            return place.server.sql(text, "mo_shop")
        return place.server.sql(text, database="mo_shop")

    ask("insert into goods values (1, 'x'), (2, 'y')")
    box.databases["data"]["names"]["shop"] = {}
    box.configure()
    says(box.run("db", "backup", "shop"), 0, "2 rows in 1 tables")
    ask("insert into goods values (3, 'z')")
    return lambda: " ".join(ask("select name from goods order by id").split())


@SERVERS
def test_two_at_once_and_both_back_again(crm: Crm) -> None:
    box, place = crm
    goods = with_a_second(crm)
    before = there(place)
    told = box.run("db", "restore", "crm", "shop", "--yes")
    says(told, 0, "is done")
    assert "people: 0 only live, 1 only kept, 1 changed" in told.out, told.out
    assert "goods: 0 only live, 1 only kept, 0 changed" in told.out, told.out
    assert (names(place), goods()) == ("a b", "x y") and box.lock() == FREE
    beside = there(place) - before
    assert sorted(name.partition("__")[0] for name in beside) == ["mo_crm", "mo_shop"], beside
    says(box.run("db", "restore", "crm", "shop", "--undo", "--yes"), 0, "is done")
    assert (names(place), goods()) == ("a B c", "x y z") and box.lock() == FREE
    says(box.run("db", "restore", "crm", "shop", "--undo", "--yes"), 2, "nothing is kept of crm, shop")


@SERVERS
def test_where_one_of_two_cannot_be_restored_neither_is(crm: Crm) -> None:
    """Its backup was changed, byte for byte as long as before, so only reading it tells."""
    box, place = crm
    goods = with_a_second(crm)
    before = there(place)
    backup = next(path for path in (box.home / "backups").glob("shop-*") if path.suffix != ".json")
    raw = bytearray(backup.read_bytes())
    raw[len(raw) // 2] ^= 1
    backup.write_bytes(raw)
    told = box.run("db", "restore", "crm", "shop", "--yes")
    says(told, 3, "shop: restore beside it failed")
    assert "the backup's content is not what its manifest says" in told.text
    assert (names(place), goods()) == ("a B c", "x y z") and box.lock() == FREE
    assert there(place) == before, "nothing of crm lies about either"
    says(box.run("db", "restore", "crm", "--yes"), 0, "is done")
    assert (names(place), goods()) == ("a b", "x y z")


WRONG = {
    "no such database": (("mail",), "no database 'mail'", "crm"),
    "no such backup": (("crm", "--backup", "x"), "no backup x of crm", "fairlead db backups"),
    "two names and one backup": (("crm", "mail", "--backup", "x"), "for one database", "name one"),
    "undo of nothing": (("crm", "--undo"), "nothing is kept of crm", "fairlead history"),
    "undo of a backup": (("crm", "--undo", "--backup", "x"), "--undo makes live what is kept", ""),
}


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
@pytest.mark.parametrize("row", WRONG)
def test_what_cannot_be_asked_for(crm: tuple[Box, Place], row: str) -> None:
    box, place = crm
    words, what, hint = WRONG[row]
    says(box.run("db", "restore", *words, "--yes"), 2, what, hint)
    assert names(place) == "a B c"


def test_killed_in_the_middle_and_finished_from_another_machine(crm: tuple[Box, Place]) -> None:
    box, place = crm
    box.environment["lease"] = {"ttl": "5s", "beat": "5s"}
    box.configure()
    record = box.home / ".fairlead/live/runs"
    there = set(record.iterdir())
    process = box.operator.start("db", "restore", "crm", "--yes")

    def begun() -> bool:
        new = [path for path in record.iterdir() if path not in there]
        return bool(new) and new[0].read_text().count('"intent"') >= 2

    until(begun, "the swap to begin")
    process.kill()
    ended(process)
    shutil.rmtree(box.operator.home)
    told = box.run("resume", "--no-watch")
    assert told.code in (0, 3), told.text
    assert names(place) == ("a b" if told.code == 0 else "a B c") and box.lock() == FREE


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_what_it_was_made_for_is_shown_before(crm: tuple[Box, Place]) -> None:
    """Nobody is here to say yes: the plan of it can be read all the same, and nothing is changed."""
    box, place = crm
    told = box.run("db", "restore", "crm")
    says(told, 5, "nobody is here to approve the plan", "type it again with --yes")
    assert "crm: restore beside it" in told.text and "crm: swap" in told.text
    assert names(place) == "a B c" and box.lock() != OPEN


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_before_the_first_release_of_what_uses_it(crm: tuple[Box, Place]) -> None:
    """The service's folder is not there yet, so nobody has to wait."""
    box, place = crm
    shutil.rmtree(box.home / "site")
    box.service = release(maintenance={"on": ["true"], "off": ["true"]})
    box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
    box.configure()
    says(box.run("db", "restore", "crm", "--yes"), 0, "is done")
    assert names(place) == "a b" and box.lock() == FREE
