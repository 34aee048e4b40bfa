"""Servers that take no second database: said before anything is changed, or taken back in place."""

from __future__ import annotations

from typing import Any

import pytest

from support import mariadb, postgres
from support.box import FREE, Box, release, says
from support.live_data import Maria, Place, Postgres, migration, names, there

Crm = tuple[Box, Place]
SERVERS = pytest.mark.parametrize("crm", [Maria, Postgres], indirect=True, ids=["mariadb", "postgres"])
ON_MARIA = pytest.mark.parametrize("crm", [Maria], indirect=True, ids=["mariadb"])
WAY = {Maria: r"GRANT ALL ON `mo\_crm\_\_%`.* TO 'narrow'@'%'", Postgres: 'ALTER ROLE "narrow" CREATEDB'}
PAGE = {"maintenance": {word: ["sh", "-c", f"echo {word} >>log"] for word in ("on", "off")}}
WRITTEN = "insert into people (id, name) values (9, 'i');"


def narrow(crm: Crm, **rollback: Any) -> Crm:
    """The maintenance account may do everything in its database, and make no other; the last backup is its own."""
    box, place = crm
    if isinstance(place, Maria):
        word = mariadb.PASSWORDS[mariadb.ROOT]
        place.sql(f"create user narrow@'%' identified by '{word}'; grant all on `mo\\_crm`.* to narrow@'%'")
    elif isinstance(place, Postgres):
        word = postgres.quoted(postgres.PASSWORDS[postgres.MASTER])
        place.server.sql(f"create role narrow login password {word} in role tested, svc")
        place.server.sql("grant pg_read_all_data to narrow")
    box.databases["data"]["maintenance"]["user"] = "narrow"
    box.databases["data"]["rollback"] = rollback
    box.service = release(migrations=migration(place, WRITTEN), **PAGE)
    box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
    box.configure()
    return crm


@SERVERS
def test_a_server_that_would_refuse_is_found_before(crm: Crm) -> None:
    """By `ready`; and no restore and no deployment begins that could not bring data back."""
    box, place = narrow(crm)
    way = WAY[type(place)]
    says(box.run("ready"), 0, "the data of crm cannot be taken back", way)
    before, runs = box.photograph(), len(list((box.home / ".fairlead/live/runs").iterdir()))
    for told in (box.run("db", "restore", "crm", "--yes"), box.deploy(), box.run("plan")):
        says(told, 1, "no second database can be made, so data could not be taken back: crm: narrow", way)
        assert ("place: in_place" in told.text) == isinstance(place, Maria)
    assert box.photograph() == before and len(list((box.home / ".fairlead/live/runs").iterdir())) == runs
    assert names(place) == "a B c" and there(place) == {"mo_crm"}
    box.databases["data"]["rollback"] = {"data": "none"}
    box.configure()
    box.write("v2", {"broken": "it does not start"})
    says(box.deploy(), 3, "data is left as it is")


@SERVERS
def test_a_limit_is_enough_to_refuse(crm: Crm) -> None:
    box, place = crm
    box.databases["data"]["limit"] = 1
    box.configure()
    said = "crm: limit: 1 leaves no room for a second database in data"
    says(box.run("db", "restore", "crm", "--yes"), 1, said, "raise `limit` of databases.data by one")
    assert names(place) == "a B c" and there(place) == {"mo_crm"}


@ON_MARIA
def test_a_deployment_s_way_back_in_place(crm: Crm) -> None:
    """The plan says which way it will go; code and data are back, what was written since is kept."""
    box, place = narrow(crm, place="in_place")
    box.write("v2", {"broken": "it does not start"})
    told = box.run("plan")
    says(told, 0, "the way back: crm is replaced in place: its services wait while it is backed up, emptied and filled")
    told = box.deploy()
    says(told, 3, "site: switch to")
    assert names(place) == "a B c" and "extra" not in place.sql("show columns from people"), told.text
    assert there(place) == {"mo_crm"} and box.lock() == FREE
    assert (box.home / "log").read_text().split() == ["on", "on", "off"], "its writers were still"
    says(box.run("db", "kept"), 0, "mo_crm__kept_")
    says(box.run("db", "restore", "crm", "--undo", "--yes"), 0, "is done")
    assert names(place) == "A B c i" and there(place) == {"mo_crm"}


@ON_MARIA
def test_a_restore_in_place_and_back(crm: Crm) -> None:
    box, place = narrow(crm, place="in_place")
    says(box.run("db", "restore", "crm", "--yes"), 0, "is done")
    plans = [path.read_bytes() for path in (box.home / ".fairlead/live").rglob("*") if path.is_file()]
    assert any(b"its services wait while it is backed up, emptied and filled, about 1 s" in one for one in plans)
    assert names(place) == "a b" and there(place) == {"mo_crm"}
    says(box.run("db", "ledger", "crm"), 1, "crm is replaced in place", "fairlead db backups")
    says(box.run("db", "restore", "crm", "--undo", "--yes"), 0, "is done")
    assert names(place) == "a B c"
    says(box.run("db", "prune", "crm", "--early", "--yes"), 0, "is done")
    says(box.run("db", "kept"), 0, "nothing is kept")
    assert names(place) == "a B c" and there(place) == {"mo_crm"}


@ON_MARIA
def test_what_cannot_be_kept_from_writing_is_not_replaced_in_place(crm: Crm) -> None:
    box, place = narrow(crm, place="in_place")
    box.service = release(migrations=migration(place))
    box.configure()
    before = box.photograph()
    for told in (box.run("db", "restore", "crm", "--yes"), box.deploy()):
        says(told, 1, "crm is replaced in place, and site could write to it meanwhile", "give `maintenance` to site")
    assert box.photograph() == before and names(place) == "a B c"
