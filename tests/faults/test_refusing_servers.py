"""Servers that refuse a restore or a drill: TLS, passwords, a full disk, no room, a dump that is another database's.

Each time it is said what is wrong and what to do, and the live database is byte for byte what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from support import mariadb, postgres
from support.box import FREE, Box, says, until
from support.data_witness import MariaWitness, PostgresWitness
from support.live_data import Maria, Place, Postgres, names

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


def there(place: Place) -> set[str]:
    assert isinstance(place, Maria | Postgres)
    found = place.server.databases
    return {name for name in (found() if callable(found) else found) if name.startswith("mo_")}


def on(place: Place, maria: str, post: str) -> None:
    """A statement of the server's owner."""
    assert isinstance(place, Maria | Postgres)
    place.server.sql(maria if isinstance(place, Maria) else post)


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


def test_an_expired_password_is_an_answer(crm: Crm) -> None:
    """The server refuses every statement of a session, also the one that marks the end of an answer."""
    box, place = crm
    expired(box, place)
    assert box.run(*WORDS["restore"]).code == 1 and names(place) == "a B c"
