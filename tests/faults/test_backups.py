"""Backups that do not count, by the command line: why, what it refuses, and how a person says that one is right."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest

from support.box import Box, says
from support.live_data import Place, Sqlite, names


def notes(box: Box) -> list[Path]:
    """The manifests in the store, oldest first."""
    return sorted((box.home / "backups").glob("*.json"), key=lambda path: json.loads(path.read_text())["started"])


def aged(box: Box, hours: float) -> str:
    """Make the newest backup so much older; its file."""
    note = notes(box)[-1]
    note.write_text(json.dumps(json.loads(note.read_text()) | {"started": time.time() - hours * 3600}))
    return f"backups/{note.stem}.db"


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_one_that_is_too_old_is_taken_only_by_its_name(crm: tuple[Box, Place]) -> None:
    box, place = crm
    file = aged(box, 50)
    why = "it is 2 days old, at most 24.0 h is allowed"
    says(box.run("ready"), 1, f"the newest backup does not count: {why}", "fairlead db backup crm")
    says(box.run("db", "backups"), 0, f"does not count: {why}")
    says(box.run("db", "restore", "crm", "--yes"), 1, why, f"--backup {file}")
    assert names(place) == "a B c"
    says(box.run("db", "restore", "crm", "--backup", file, "--yes"), 0, "is done")
    assert names(place) == "a b"


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_one_that_is_much_smaller_waits_for_a_person(crm: tuple[Box, Place]) -> None:
    box, place = crm
    with sqlite3.connect(box.home / "data/crm.db") as db:
        db.executescript("create table log (a); insert into log select zeroblob(90000);")
    says(box.run("db", "backup"), 0, "1/1 databases backed up")
    with sqlite3.connect(box.home / "data/crm.db", isolation_level=None) as db:
        db.executescript("drop table log; vacuum")
    told = box.run("db", "backup")
    says(told, 1, "it is much smaller than the one before", "if that is right: fairlead db backups --accept")
    file = f"backups/{notes(box)[-1].stem}.db"
    says(box.run("ready"), 1, "the newest backup does not count: it is much smaller", "fairlead db backup crm")
    says(box.run("db", "restore", "crm", "--backup", file, "--yes"), 1, "it is much smaller than the one before")
    says(box.run("deploy", "--yes"), 1, "it is much smaller than the one before")
    says(box.run("db", "backups", "--accept", file), 2, "why does it count?", "--reason")
    says(box.run("db", "backups", "--accept", "x", "--reason", "y"), 2, "no backup is called x", "db backups")
    says(box.run("db", "backups", "--accept", file, "--reason", "the log is gone"), 0, "accepted: the log is gone")
    says(box.run("db", "backups", "--accept", file, "--reason", "again"), 2, "counts already")
    says(box.run("ready"), 0, "accepted: the log is gone")
    assert names(place) == "a B c"


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_hashed_again_where_it_is_asked_for(crm: tuple[Box, Place]) -> None:
    box, _ = crm
    says(box.run("db", "backups", "--verify"), 0, "counts, its content is what was proven")
    file = box.home / f"backups/{notes(box)[-1].stem}.db"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    says(box.run("db", "backups"), 0, "counts")
    says(box.run("db", "backups", "--verify"), 0, "does not count: its content is not what its manifest says")


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_what_the_last_deployment_leads_back_to_outlives_its_turn(crm: tuple[Box, Place]) -> None:
    """One is kept, and three are made after the deployment: the way back still finds its own."""
    box, place = crm
    box.databases["data"]["backup_store"]["keep"] = 1
    box.databases["data"]["rollback"] = {"data": "all"}
    box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
    box.configure()
    says(box.deploy(), 0, "is done")
    place.sql("update people set name = 'later';")
    for _ in range(3):
        says(box.run("db", "backup"), 0, "1/1 databases backed up")
    assert len(notes(box)) == 2
    says(box.run("rollback", "--yes", "--reason", "it was wrong"), 0, "is done")
    assert names(place) == "a B c"
