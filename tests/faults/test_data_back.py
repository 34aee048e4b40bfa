"""The way back of a deployment takes data back too: by policy, while nobody writes, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from support.box import FREE, Box, ended, release, says, until
from support.live_data import Maria, Place, Sqlite, migration, names

Crm = tuple[Box, Place]
MARIA = pytest.mark.parametrize("crm", [Maria], indirect=True, ids=["mariadb"])
ONE = pytest.mark.parametrize("crm", [Sqlite], indirect=True, ids=["sqlite"])
WRITTEN = "insert into people (id, name) values (9, 'i');"
NOTED = "echo {word} >>log"
PAGE = {"maintenance": {word: ["sh", "-c", NOTED.format(word=word)] for word in ("on", "off")}}


def broken(crm: Crm, *after: str, rollback: dict[str, Any] | None = None, **more: Any) -> Crm:
    """v2 migrates, something is written behind that, and then v2 does not start."""
    box, place = crm
    box.databases["data"]["rollback"] = rollback or {}
    box.service = release(migrations=migration(place, *after), **more)
    box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
    box.configure()
    box.write("v2", {"broken": "it does not start"})
    return crm


def extra(place: Place) -> bool:
    """The migration stands."""
    try:
        place.sql("select extra from people limit 1")
    except Exception:
        return False
    return True


def test_code_and_data_go_back_together_and_forward_again_by_hand(crm: Crm) -> None:
    box, place = broken(crm, WRITTEN, **PAGE)
    told = box.deploy()
    says(told, 3, "site: switch to", "fairlead report")
    assert "the data of crm is as it was before" in told.text and "people" in told.text
    assert names(place) == "a B c" and not extra(place) and box.lock() == FREE
    says(box.run("db", "restore", "crm", "--undo", "--yes"), 0, "is done")
    assert names(place) == "A B c i" and extra(place)


@ONE
def test_writers_are_still_while_data_goes_back(crm: Crm) -> None:
    """The log of who was told to wait: by the deployment, then for the data; the end is that nobody waits."""
    box, _ = broken(crm, WRITTEN, **PAGE)
    says(box.deploy(), 3, "came back")
    assert (box.home / "log").read_text().split() == ["on", "on", "off"]
    steps = [line["step"] for line in record(box) if line["kind"] == "intent" and line["what"] == "do"]
    order = ["db-crm.backup", "site.maintenance_on", "db-crm.final-site", "site.migrate", "db-crm.shadow"]
    assert [step for step in steps if step in order] == order
    assert steps.index("db-crm.shadow") < steps.index("site.fence_on") < steps.index("db-crm.swap")


TRIGGER = "create trigger loud before insert on people for each row set new.name = concat(new.name, '!')"
REFUSED = "crm: has triggers, which rows would miss that site could write"


@MARIA
def test_triggers_and_writers_that_nobody_stops_are_seen_before_anything_is_begun(crm: Crm) -> None:
    """By a deployment, which promises a way back, and by a restore; with maintenance both take data back."""
    box, place = broken(crm, WRITTEN)
    place.sql(TRIGGER)
    for words in (("deploy", "--yes"), ("db", "restore", "crm", "--yes")):
        says(box.run(*words), 1, REFUSED, "give `maintenance` to site")
    assert names(place) == "a B c" and not extra(place) and box.lock() == FREE
    broken(crm, WRITTEN, **PAGE)
    says(box.deploy(), 3, "the data of crm is as it was before")
    place.sql("insert into people (id, name) values (4, 'd')")
    assert names(place) == "a B c d!" and box.lock() == FREE


@pytest.mark.parametrize("crm", [Maria, Sqlite], indirect=True, ids=["mariadb", "sqlite"])
def test_a_first_deployment_that_fails_ends_what_it_started_and_then_takes_data_back(crm: Crm) -> None:
    """No maintenance keeps a first release from writing, and MariaDB's triggers want nobody to write."""
    box, place = crm
    if isinstance(place, Maria):
        place.sql(TRIGGER)
    box.databases["data"]["rollback"] = {"data": "all"}
    box.service = {"on_switch": FIRST, "migrations": migration(place, WRITTEN), "health": [{"path": "/"}]}
    there = {"host": "server", "path": "new", "databases": ["crm"], "url": "http://127.0.0.1:9"}
    box.environment["services"] = {"site": there}
    box.configure()
    says(box.deploy(), 3, "the data of crm is as it was before")
    assert names(place) == "a B c" and not extra(place) and not (box.home / "started").exists()
    undone = [line["step"] for line in record(box) if line["kind"] == "intent" and line["what"] == "undo"]
    done = [line["step"] for line in record(box) if line["kind"] == "intent"]
    assert "site.switch" in undone and box.lock() == FREE
    last = len(done) - 1 - done[::-1].index("site.switch")
    assert done.index("db-crm.shadow") < last < done.index("db-crm.swap")


FIRST = {
    "run": ["sh", "-c", "cp new/current/VERSION started"],
    "stop": ["sh", "-c", "rm -f started; echo stop >>log"],
    "status": ["test", "-e", "started"],
}


@ONE
def test_a_first_deployment_is_taken_away_with_its_data_and_comes_again(crm: Crm) -> None:
    """What it started ends before data goes back; and the rollback can be taken back as any other."""
    box, place = crm
    box.databases["data"]["rollback"] = {"data": "all"}
    box.service = {"on_switch": FIRST, "migrations": migration(place, WRITTEN), **PAGE}
    box.environment["services"] = {"site": {"host": "server", "path": "new", "databases": ["crm"]}}
    box.configure()
    says(box.deploy(), 0, "is done")
    assert names(place) == "A B c i" and extra(place) and (box.home / "started").read_text() == "v2\n"
    assert not (box.home / "log").exists()
    plan = box.run("rollback")
    assert "-> nothing" in plan.text and "rm new/current" in plan.text, plan.text
    told = box.run("rollback", "--yes", "--json")
    assert told.code == 0 and names(place) == "a B c" and not extra(place)
    assert (box.home / "log").read_text() == "stop\n", "nobody is told to wait who is ended anyway"
    left = {path.name for path in (box.home / "new").iterdir()}
    assert left == {"releases"} and not (box.home / "started").exists() and box.lock() == FREE
    steps = [line["step"] for line in record(box) if line["kind"] == "intent" and line["what"] == "do"]
    assert steps.index("db-crm.shadow") < steps.index("site.switch") < steps.index("db-crm.swap")
    says(box.run("rollback", json.loads(told.out)["deployment"]["id"], "--yes"), 0, "is done")
    assert (box.home / "new/current/VERSION").read_text() == (box.home / "started").read_text() == "v2\n"
    says(box.deploy(), 0, "nothing to change")


def record(box: Box) -> list[dict[str, Any]]:
    """What the record of the last run says, line by line."""
    last = max((box.home / ".fairlead/live/runs").iterdir(), key=lambda path: path.name)
    found = (json.loads(line[line.index("{") :]) for line in last.read_text().splitlines() if "{" in line)
    return [line.get("entry", line) for line in found]


POLICIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "none": ({"data": "none"}, "data is left as it is", "A B c i"),
    "migrated": ({"data": "migrated"}, "the data of crm is as it was", "a B c"),
    "all": ({"data": "all"}, "the data of crm is as it was", "a B c"),
    "waiting beside": ({"standby": True}, "the data of crm is as it was", "a B c"),
}


@ONE
@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy(crm: Crm, policy: str) -> None:
    rollback, what, expected = POLICIES[policy]
    box, place = broken(crm, WRITTEN, rollback=rollback)
    says(box.deploy(), 3, what)
    assert names(place) == expected and extra(place) == (policy == "none")
    assert not any(path.name.startswith("crm.db__new") for path in (box.home / "data").iterdir())


@ONE
def test_what_waits_beside_is_gone_when_all_went_well(crm: Crm) -> None:
    box, place = broken(crm, rollback={"standby": True})
    box.write("v2")
    says(box.deploy(), 0, "is done")
    assert extra(place) and {path.name for path in (box.home / "data").iterdir()} == {".keep", "crm.db"}


@ONE
def test_nothing_goes_back_where_the_migration_was_not_begun(crm: Crm) -> None:
    box, place = broken(crm, maintenance={"on": ["false"], "off": ["true"]})
    says(box.deploy(), 3, "data is left as it is")
    assert names(place) == "a B c" and not extra(place)


@ONE
def test_a_person_is_asked_where_something_was_written(crm: Crm) -> None:
    box, place = broken(crm, WRITTEN, rollback={"on_new_rows": "stop_and_ask"}, **PAGE)
    says(box.deploy(), 4, "something was written since the backup: crm: people", "--data migrated")
    assert names(place) == "A B c i"
    says(box.run("resume"), 4, "something was written since the backup")
    says(box.run("rollback", "--yes", "--data", "migrated"), 0, "the data of crm is as it was")
    assert names(place) == "a B c" and box.lock() == FREE


@ONE
def test_a_person_leaves_data_as_it_is(crm: Crm) -> None:
    box, place = broken(crm, WRITTEN, rollback={"on_new_rows": "stop_and_ask"})
    says(box.deploy(), 4, "something was written since the backup")
    says(box.run("rollback", "--yes", "--data", "none"), 0, "data is left as it is")
    assert names(place) == "A B c i" and box.lock() == FREE
    says(box.run("rollback", "--yes", "--data", "some"), 2, "--data some is none of")


@ONE
def test_a_backup_that_does_not_count_any_more_stops_the_way_back(crm: Crm) -> None:
    """Live data is untouched, the run stays open, and a person decides."""
    box, place = broken(crm, WRITTEN)
    spoil = "for f in ../../../backups/*.json; do echo '{}' >$f; done"
    box.service["migrations"]["apply"].append(["sh", "-c", spoil])
    box.configure()
    says(box.deploy(), 4, "the backup that was made for this does not count", "fairlead resume")
    assert names(place) == "A B c i"
    says(box.run("rollback", "--yes", "--data", "none"), 0, "data is left as it is")
    assert names(place) == "A B c i" and box.lock() == FREE


def test_killed_while_data_goes_back_and_finished_from_another_machine(crm: Crm) -> None:
    box, place = broken(crm, WRITTEN, **PAGE)
    box.environment["lease"] = {"ttl": "5s", "beat": "5s"}
    box.configure()
    process = box.operator.start("deploy", "--yes")
    until(lambda: '"db-crm.swap"' in newest(box), "the swap to begin")
    process.kill()
    ended(process)
    shutil.rmtree(box.operator.home)
    says(box.run("resume", "--no-watch"), 3, "the data of crm is as it was")
    assert names(place) == "a B c" and not extra(place) and box.lock() == FREE
    assert not (box.home / "site/.maintenance").exists()


def newest(box: Box) -> str:
    return max((box.home / ".fairlead/live/runs").iterdir(), key=lambda path: path.name).read_text()


FINISHED = {"by policy": ((), True), "all": (("--data", "all"), True), "code alone": (("--data", "none"), False)}


@ONE
@pytest.mark.parametrize("case", FINISHED)
def test_a_finished_deployment_is_taken_back_with_its_data(crm: Crm, case: str) -> None:
    words, back = FINISHED[case]
    box, place = broken(crm, **PAGE)
    box.write("v2")
    says(box.deploy(), 0, "is done")
    place.sql(WRITTEN)
    told = box.run("rollback", "--yes", *words)
    says(told, 0, "is done")
    assert box.live()["VERSION"] != "v2"
    assert (names(place), extra(place)) == (("a B c", False) if back else ("A B c i", True))
    if back:
        says(box.run("db", "restore", "crm", "--undo", "--yes"), 0, "is done")
        assert names(place) == "A B c i"
