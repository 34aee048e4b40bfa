"""Deployments that meet a damaged table: they stop, name it, offer the restore, and restore nothing by themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.box import FREE, Box, ended, release, says, until
from support.live_data import Maria, Place, names, there

Crm = tuple[Box, Place]
pytestmark = pytest.mark.parametrize("crm", [Maria], indirect=True, ids=["mariadb"])
RESTORE = ("db", "restore", "crm", "--reason", "its tables are damaged", "-e", "live")
OFFER = 'it can be restored: `fairlead db restore crm --reason "its tables are damaged" -e live`'
WAITS = ["sh", "-c", ": >~/mark; until [ -e ~/go ]; do sleep 0.02; done"]


def with_orders(crm: Crm, kind: str, **rollback: Any) -> Maria:
    """A table `orders`, which is in the backup, and a release whose migration waits and then changes that table."""
    box, place = crm
    assert isinstance(place, Maria)
    place.sql(f"create table orders (id int primary key, a varchar(900)) engine={kind}")
    place.sql("insert into orders select seq, repeat('x', 900) from seq_1_to_400")
    says(box.run("db", "backup"), 0, "403 rows in 2 tables")
    change = [*place.client, "alter table orders add column extra int"]
    box.service = release(migrations={"apply": [WAITS, change], "probe": ["echo", "before"], "databases": ["crm"]})
    box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
    box.databases["data"]["rollback"] = rollback
    box.configure()
    return place


def damage(place: Maria, file: str) -> None:
    """Bytes in its middle are others, and the server reads it anew."""
    place.sql("flush tables")
    path: Path = place.server.data / "mo_crm" / file
    with path.open("r+b") as opened:
        opened.seek(path.stat().st_size // 2)
        opened.write(b"\xa5" * 20_000)
    place.sql("flush tables")


def stopped_and_offered(crm: Crm, told: Any) -> None:
    """Nothing is restored until a person types what is offered; then all is whole."""
    box, place = crm
    says(told, 3, "the database crm: the table orders is damaged: ")
    assert OFFER in told.text, told.text
    assert names(place) == "a B c" and there(place) == {"mo_crm"} and box.lock() == FREE
    assert box.live()["VERSION"] == "v1\n"
    says(box.run("db", "check", "--deep"), 1, "the table orders is damaged")
    says(box.run(*RESTORE, "--yes"), 0, "is done")
    says(box.run("db", "check", "--deep"), 0, "every table can be read")
    assert place.sql("select count(*) from orders").strip() == "400"


def test_met_by_the_backup(crm: Crm) -> None:
    box, _ = crm
    damage(with_orders(crm, "myisam"), "orders.MYD")
    stopped_and_offered(crm, box.deploy())
    assert not (box.home / "mark").exists(), "the migration was not begun"


def test_met_by_the_migration(crm: Crm) -> None:
    """Of Aria the server names damage by another number."""
    box, _ = crm
    place = with_orders(crm, "aria", data="none")
    with box.deploying() as process:
        until((box.home / "mark").exists, "the migration to begin", 200)
        damage(place, "orders.MAD")
        (box.home / "go").touch()
        stopped_and_offered(crm, ended(process))


@pytest.mark.parametrize("how", ["pages", "file"])
def test_an_innodb_table_that_is_damaged_is_restored(crm: Crm, how: str) -> None:
    """Of a table without a file there is nothing to keep: then a person has to drop what is left of it."""
    box, _ = crm
    place = with_orders(crm, "innodb")
    place.server.stop()
    file = place.server.data / "mo_crm/orders.ibd"
    if how == "file":
        file.unlink()
    else:
        with file.open("r+b") as opened:
            opened.seek(16384 * 4)
            opened.write(b"\xa5" * 16384 * 8)
    place.server.start()
    says(box.run("db", "check", "--deep"), 1, "the table orders is damaged")
    if how == "file":
        told, drop = box.run(*RESTORE, "--yes"), "DROP TABLE `mo_crm`.`orders`"
        says(told, 3, f"the file of the table orders is gone, so what was live cannot be kept whole; {drop}")
        place.sql(drop)
    says(box.run(*RESTORE, "--yes"), 0, "is done")
    says(box.run("db", "check", "--deep"), 0, "every table can be read")
    assert place.sql("select count(*) from orders").strip() == "400"
