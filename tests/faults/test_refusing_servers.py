"""Servers that refuse a restore or a drill: TLS, passwords, a full disk, no room, a dump that is another database's.

Each time it is said what is wrong and what to do, and the live database is byte for byte what it was.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support import mariadb, postgres
from support.box import FREE, Box, says, until
from support.data_witness import MariaWitness, PostgresWitness
from support.live_data import Maria, Place, Postgres, names, there

Crm = tuple[Box, Place]
pytestmark = pytest.mark.parametrize("crm", [Maria, Postgres], indirect=True, ids=["mariadb", "postgres"])
WORDS = {
    "restore": ("db", "restore", "crm", "--yes"),
    "drill": ("db", "drill", "crm"),
    "backup": ("db", "backup", "crm"),
    "check": ("db", "check"),
}


def checksum(place: Place) -> Any:
    """Of everything in the live database, by a witness that knows nothing of the product."""
    if isinstance(place, Maria):
        return MariaWitness(place.server.socket, "mo_crm").look("mo_crm").checksum
    assert isinstance(place, Postgres)
    return PostgresWitness(place.server.data, place.server.port, "mo_crm").look("mo_crm").checksum


def on(place: Place, maria: str, post: str) -> None:
    """A statement of the server's owner."""
    assert isinstance(place, Maria | Postgres)
    place.server.sql(maria if isinstance(place, Maria) else post)


NOISE = {
    Maria: "select seq as id, repeat(md5(seq), 30) as a from seq_1_to_30000",
    Postgres: "select g as id, repeat(md5(g::text), 30) as a from generate_series(1, 30000) g",
}
"""About 30 MB of rows."""
PG_FULL = ("the server's disk is full", "make room there")


class Row(NamedTuple):
    """A fault, and what is said: on MariaDB and on PostgreSQL."""

    fault: Callable[[Box, Place], None]
    maria: tuple[str, str]
    post: tuple[str, str]
    but: tuple[str, ...] = ()
    """Commands that it does not concern."""


def speaking_tls(place: Place) -> None:
    """Start the server again with a certificate of its own."""
    assert isinstance(place, Maria | Postgres)
    place.server.stop()
    if isinstance(place, Maria):
        place.server.options = mariadb.Certificates(place.folder / "tls").options
    else:
        place.server.tls = True
        place.server._certify()
    started(place)


def started(place: Place) -> None:
    assert isinstance(place, Maria | Postgres)
    place.server.start()
    until(lambda: answers(place), "the server to be back")


def answers(place: Place) -> bool:
    """Over its socket, which MariaDB opens after its port."""
    try:
        return names(place) == "a B c"
    except AssertionError:
        return False


def wants_tls(box: Box, place: Place) -> None:
    """The account is let in by TLS only, and fairlead.yml says `tls: off`."""
    speaking_tls(place)
    on(place, "alter user fairlead@'%' require ssl", "select 1")
    if isinstance(place, Postgres):
        hba = place.server.data / "pg_hba.conf"
        hba.write_text("local all all trust\nhostssl all +tested 127.0.0.1/32 scram-sha-256\n")
        place.server.sql("select pg_reload_conf()")


def wants_secure_transport(box: Box, place: Place) -> None:
    if isinstance(place, Maria):
        speaking_tls(place)
        on(place, "set global require_secure_transport = on", "")
    else:
        wants_tls(box, place)


def expired(box: Box, place: Place) -> None:
    on(place, "alter user fairlead@'%' password expire", "alter role fairlead valid until '2020-01-01'")


def full(box: Box, place: Place) -> None:
    box.databases["data"]["limit"] = 1
    box.configure()


def of_another(box: Box, place: Place) -> None:
    """The newest backup of that name is really one of another database: the file was changed, and changed back."""
    on(place, "create database mo_mail; create table mo_mail.theirs (id int primary key)", "create database mo_mail")
    names = box.databases["data"]["names"]
    names["crm"] = {"database": "mo_mail"}
    box.configure()
    for note in (box.home / "backups").glob("crm-*"):
        note.unlink()
    says(box.run("db", "backup", "crm"), 0, "1/1 databases backed up")
    names["crm"] = {}
    box.configure()
    on(place, "drop database mo_mail", "drop database mo_mail")


ROWS = {
    "TLS for the account": Row(
        wants_tls,
        ("takes encrypted connections only", "set tls to required or verify"),
        ("takes encrypted connections only", "set tls to required or verify"),
        ("check",),
    ),
    "TLS for all": Row(
        wants_secure_transport,
        ("takes encrypted connections only", "set tls to required or verify"),
        ("takes encrypted connections only", "set tls to required or verify"),
    ),
    "the password has expired": Row(
        expired,
        ("the account fairlead is locked, or its password has expired", "ALTER USER"),
        ("the server refuses the password of fairlead", "is its VALID UNTIL not over?"),
        ("check",),
    ),
    "the limit is reached": Row(
        full,
        ("limit: 1 leaves no room for a second database", "raise `limit`"),
        ("limit: 1 leaves no room for a second database", "raise `limit`"),
        ("check", "backup"),
    ),
    "the dump is another database's": Row(
        of_another,
        ("it is a copy of mo_mail, and crm is mo_crm now", "fairlead db backups"),
        ("it is a copy of mo_mail, and crm is mo_crm now", "fairlead db backups"),
        ("check", "backup"),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_refused_and_nothing_is_touched(crm: Crm, row: str) -> None:
    box, place = crm
    fault, maria, post, but = ROWS[row]
    before, beside = checksum(place), there(place)
    fault(box, place)
    what, hint = maria if isinstance(place, Maria) else post
    for word in WORDS.keys() - set(but):
        told = box.run(*WORDS[word])
        assert told.code in (1, 3) and "Traceback" not in told.text, f"{word}: {told.code}\n{told.text}"
        assert what in told.text and hint in told.text, f"{word}: {told.text}"
    assert (checksum(place), there(place)) == (before, beside) and names(place) == "a B c"
    assert not (box.home / ".fairlead/live/lock").exists() or box.lock() == FREE
    words = {*mariadb.PASSWORDS.values(), *postgres.PASSWORDS.values()}
    assert not [one for one in words if one in told.text]


@pytest.fixture
def small_disk(crm: Crm) -> Iterator[Path]:
    """The server's databases lie on a disk of their own that has room enough; there is a backup of 30 MB of rows."""
    box, place = crm
    assert isinstance(place, Maria | Postgres)
    place.sql(f"create table noise as {NOISE[type(place)]}")
    says(box.run("db", "backup", "crm"), 0, "1/1 databases backed up")
    place.server.stop(signal.SIGTERM if isinstance(place, Maria) else signal.SIGINT)
    folder = place.server.data / ("" if isinstance(place, Maria) else "base")
    beside = folder.rename(place.server.data.with_name("moved"))
    subprocess.run(["cp", "-a", "--attributes-only", str(beside), str(folder)], check=True)
    mount = ("mount", "-t", "tmpfs", "-o", "size=1g", "none", str(folder))
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this account may not mount a small disk")
    try:
        subprocess.run(["cp", "-aT", str(beside), str(folder)], check=True)
        started(place)
        yield folder
    finally:
        place.server.stop(signal.SIGKILL if isinstance(place, Maria) else signal.SIGQUIT)
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int) -> None:
    """Somebody's file takes all of the disk but so many bytes."""
    there = os.statvfs(disk)
    with (disk / "filler").open("ab") as filler:
        end = filler.tell()
        os.posix_fallocate(filler.fileno(), end, there.f_bavail * there.f_frsize - left)


LEFT = {"in the middle": 14_000_000, "from the beginning": 0}
"""Bytes that are left on the disk when a second copy of the database is begun on it."""


def test_a_full_disk_of_the_server(crm: Crm, small_disk: Path) -> None:
    """A drill is a no that is remembered, a restore comes back, nothing is left; with room all goes well."""
    box, place = crm
    what, hint = ("the server has no room", "make room on its disk") if isinstance(place, Maria) else PG_FULL
    before, beside = checksum(place), there(place)
    for left in LEFT.values():
        fill(small_disk, left)
        told = box.run("db", "drill", "crm")
        says(told, 1, what, hint)
        says(box.run("status"), 0, "0/1, ")
        assert (checksum(place), there(place)) == (before, beside)
        told = box.run("db", "restore", "crm", "--yes")
        says(told, 3, what)
        assert hint in told.text
        assert (checksum(place), there(place)) == (before, beside) and box.lock() == FREE
    says(box.run("ready"), 0, f"crm: {what}", "fairlead db drill")
    (small_disk / "filler").unlink()
    says(box.run("db", "drill", "crm"), 0, "1/1, ")
    says(box.run("status"), 0, "1/1, ")
    assert (checksum(place), there(place)) == (before, beside)


def test_an_expired_password_is_an_answer(crm: Crm) -> None:
    """The server refuses every statement of a session, also the one that marks the end of an answer."""
    box, place = crm
    expired(box, place)
    row = ROWS["the password has expired"]
    what, hint = row.maria if isinstance(place, Maria) else row.post
    says(box.run(*WORDS["restore"]), 1, what, hint)
    assert names(place) == "a B c"
