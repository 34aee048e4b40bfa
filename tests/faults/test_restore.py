"""Databases taken back to a backup in place of the live ones, and back again, by the command line."""

from __future__ import annotations

import json
import shutil

import pytest

from support.box import FREE, OPEN, Box, ended, release, says, until
from support.live_data import Place, Sqlite, names


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
    says(told, 5, "nobody is here to approve the plan")
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
