"""Backups that do not count, by the command line: why, what it refuses, and how a person says that one is right."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from support.box import FREE, Box, release, says
from support.live_data import Place, Sqlite, migration, names


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
    why = "it is 2 days 2 h old, at most 24 h is allowed"
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


def test_a_drill_is_told_on_every_machine(crm: tuple[Box, Place]) -> None:
    """On each engine: nothing live is touched, nothing is left, and no lock is held."""
    box, place = crm
    never = "no backup was ever restored to see whether it can be"
    says(box.run("ready"), 0, never, "fairlead db drill")
    told = box.run("db", "drill")
    says(told, 0, "2 rows in 1 tables")
    assert "1/1, " in told.out and names(place) == "a B c" and box.lock() == FREE
    shutil.rmtree(box.operator.home)
    for words in (["ready"], ["status"]):
        says(box.run(*words), 0, "last drill ")
    found = json.loads(box.run("db", "drill", "crm", "--json").out)
    assert found["ok"] and found["drills"][0]["passed"] and sum(found["drills"][0]["rows"].values()) == 2
    says(box.run("db", "drill", "mail"), 2, "no database 'mail'")


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_a_drill_that_does_not_pass_is_a_no(crm: tuple[Box, Place]) -> None:
    box, _ = crm
    file = box.home / f"backups/{notes(box)[-1].stem}.db"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    says(box.run("db", "drill"), 1, "the backup's content is not what its manifest says", "choose another backup")
    says(box.run("status"), 0, "0/1, ")


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_encrypted_by_a_key_that_was_made_here(crm: tuple[Box, Place]) -> None:
    """From `init --backup-key` to a restore, and what is said where the identity is not at hand, or another one."""
    box, place = crm
    made = box.run("init", "--backup-key")
    says(made, 0, "wrote backup.key")
    says(box.run("init", "--backup-key"), 2, "backup.key exists, and is not overwritten", "--out OTHER")
    key = box.operator.folder / "backup.key"
    public = next(word for word in made.out.replace("[", " ").replace("]", " ").split() if word.startswith("age1"))
    assert key.stat().st_mode & 0o777 == 0o600 and key.read_text().strip() not in made.text
    box.databases["data"]["names"] = {"crm": {"personal": True}}
    box.configure()
    says(box.run("ready"), 1, "it holds personal data, and its backups would not be encrypted", "init --backup-key")
    says(box.run("db", "backup"), 1, "its backups would not be encrypted", "init --backup-key")
    box.databases["data"]["backup_store"]["encrypt"] = {"to": [public], "identity": "BACKUP_IDENTITY"}
    box.sources = ["environment", {"file": {"name": "BACKUP_IDENTITY", "path": "backup.key"}}]
    box.configure()
    says(box.run("db", "backup"), 0, "3 rows in 1 tables")
    says(box.run("db", "backups"), 0, "counts, encrypted")
    place.sql("delete from people;")
    says(box.run("db", "drill"), 0, "3 rows in 1 tables")
    says(box.run("db", "restore", "crm", "--yes"), 0, "is done")
    assert names(place) == "a B c" and box.lock() == FREE
    key.rename(key.with_suffix(".away"))
    says(box.run("ready"), 0, "the secret BACKUP_IDENTITY is missing: backups are made, and neither a restore")
    says(box.run("db", "drill"), 1, "the secret BACKUP_IDENTITY is missing", "looked in")
    says(box.run("init", "--backup-key"), 0, "wrote backup.key")
    says(box.run("ready"), 1, "belongs to none of the public keys in backup_store.encrypt.to", "its public key is age1")
    says(box.run("db", "restore", "crm", "--yes"), 3, "no identity matched any of the recipients")
    assert names(place) == "a B c" and box.lock() == FREE


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_a_damaged_table_is_named_with_the_restore_to_type(crm: tuple[Box, Place]) -> None:
    """What it says to type is typed, and the database is whole again."""
    box, place = crm
    path = box.home / "data/crm.db"
    place.sql("create table orders (id integer primary key, a); insert into orders (a) values (zeroblob(9000));")
    says(box.run("db", "backup"), 0, "4 rows in 2 tables")
    says(box.run("db", "check", "--deep"), 0, "every table can be read")
    root = int(place.sql("select rootpage from sqlite_master where name = 'orders'"))
    with path.open("r+b") as file:
        file.seek(4096 * (root - 1))
        file.write(b"\xa5" * 300)
    told = box.run("db", "check", "--deep")
    says(told, 1, "the table orders is damaged", 'fairlead db restore crm --reason "its tables are damaged" -e live')
    assert "1/1 databases reachable" in told.out
    says(box.run("db", "restore", "crm", "--reason", "its tables are damaged", "-e", "live", "--yes"), 0, "is done")
    says(box.run("db", "check", "--deep"), 0, "every table can be read")


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_what_others_back_up_opens_the_gate_and_is_restored_by_nobody(crm: tuple[Box, Place]) -> None:
    box, place = crm
    for note in (*notes(box), *(box.home / "backups").glob("*.db")):
        note.unlink()
    place.sql(
        "create table backup_metadata (database_name, backup_timestamp, backup_size_mb, retention_days);"
        "insert into backup_metadata values ('crm', datetime('now', '-2 hours'), 4, 30);"
    )
    says(box.run("ready"), 1, "no backup", "fairlead db backup crm")
    box.more = {"backup_metadata": "crm"}
    box.configure()
    says(box.run("ready"), 0, "reported by backup_metadata: backed up 2 h ago, 4 MB, by others")
    says(box.run("db", "restore", "crm", "--yes"), 2, "no backup of crm", "fairlead db backups")
    box.more = {"backup_metadata": "mail"}
    box.configure()
    says(box.run("ready"), 2, "`mail` is in no group of `databases`")


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_a_server_that_has_no_room_for_a_second_database_is_said_before(crm: tuple[Box, Place]) -> None:
    box, _ = crm
    box.databases["data"]["limit"] = 1
    box.configure()
    why = "limit: 1 leaves no room for a second database"
    says(box.run("ready"), 0, why, "raise `limit` of databases.data by one")
    says(box.run("db", "drill"), 1, why, "raise `limit` of databases.data by one")


@pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
def test_what_a_rollback_needs_outlives_a_deployment_that_came_back(crm: tuple[Box, Place]) -> None:
    """With `keep: 1`: v2 is live, v3 makes its own backups and comes back, and then v2 is taken back with its data."""
    box, place = crm
    box.databases["data"]["backup_store"]["keep"] = 1
    box.service = release(migrations=migration(place))
    box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
    box.configure()
    says(box.deploy(), 0, "is done")
    place.sql("insert into people (id, name) values (9, 'i');")
    box.service = release()
    box.configure()
    box.write("v3", {"broken": "it does not start"})
    for _ in range(2):
        says(box.deploy(), 3, "site: switch to")
    says(box.run("db", "backup"), 0, "1/1 databases backed up")
    assert names(place) == "A B c i"
    says(box.run("rollback", "--data", "all", "--yes", "--reason", "as it was"), 0, "is done")
    assert names(place) == "a B c"
