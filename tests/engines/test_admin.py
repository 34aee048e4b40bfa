"""What provisioning makes of words: privileges and their places, pg_hba.conf, statements for an administrator."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.config import Installation, load, parse
from fairlead.engines import mariadb_admin, postgres_admin
from fairlead.engines.admin import Wish
from fairlead.engines.postgres_admin import Rule, first_match, from_anywhere, rules

FILE = """\
fairlead: 1
project: shop
hosts: {{web: {{address: web.example.org}}, db: {{address: db.example.org}}}}
databases:
  main:
    engine: {engine}
    reached_from: web
    address: db.example.org
    tls: {tls}
    database: mo_{{name}}
    user: svc_{{name}}
    password: "{{NAME}}_PASS"
    maintenance: {{user: keeper, password: KEEPER_PASS}}
    server: db
    clients: [203.0.113.10, "2001:db8::7"]
    admin: {{user: root}}
    names: {{crm: , a_name_that_is_rather_long_for_a_database: }}
environments: {{production: {{}}}}
"""


def wish(engine: str, *names: str, tls: str = "verify") -> Wish:
    installation: Installation = load(parse(FILE.format(engine=engine, tls=tls)), {})
    return Wish(installation.groups["main"], installation.databases, names)


def test_a_grant_holds_in_one_database_only() -> None:
    told = mariadb_admin.script(wish("mariadb", "crm"))
    granted = "grant select, insert, update, delete, create, alter, index, references on `mo\\_crm`.* to"
    assert f"{granted} 'svc_crm'@'203.0.113.10';" in told
    assert f"{granted} 'svc_crm'@'2001:db8::7';" in told
    assert not [line for line in told if "on `mo_crm`" in line]
    assert told[0] == "create database if not exists `mo_crm` character set utf8mb4 collate utf8mb4_unicode_ci;"


def test_maintenance_may_make_what_a_restore_makes_and_nothing_beside() -> None:
    told = mariadb_admin.script(wish("mariadb", "crm"))
    places = {line.split(" on ")[1].split(" to ")[0] for line in told if "'keeper'@'203" in line and " on " in line}
    long = [place for place in places if "rather" in place]
    assert places - set(long) == {
        *("*.*", "`mysql`.`proc`", "`mo\\_crm`.*", "`mo\\_crm\\_\\_%`.*"),
    }
    assert (
        len(long) == 4
    )  # of the database, of new, kept and drills: its own name is cut where something stands behind it


def test_statements_hold_names_of_secrets_and_no_secret() -> None:
    for engine, module in (("mariadb", mariadb_admin), ("postgres", postgres_admin)):
        text = "\n".join(module.script(wish(engine, "crm")))
        assert "<CRM_PASS>" in text and "<KEEPER_PASS>" in text


LINES = [
    [1, "local", ["all"], ["all"], None, None, "peer", None],
    [2, "host", ["mo_crm"], ["svc_crm"], "10.0.0.0", "255.0.0.0", "scram-sha-256", None],
    [3, "hostssl", ["mo_crm", "mo_shop"], ["+services"], "203.0.113.10", "255.255.255.255", "md5", None],
    [4, "hostnossl", ["all"], ["all"], "203.0.113.0", "255.255.255.0", "reject", None],
    [5, "host", ["sameuser"], ["all"], "all", None, "scram-sha-256", None],
    [6, "host", ["replication"], ["all"], "all", None, "trust", None],
    [7, "hostssl", ["all"], ["broken"], None, None, None, "invalid"],
]
JUDGED: dict[str, tuple[tuple[str, str], list[str], tuple[str, str], int | None]] = {
    "by address": (("mo_crm", "svc_crm"), [], ("10.1.2.3", "off"), 2),
    "from elsewhere": (("mo_crm", "svc_crm"), [], ("192.0.2.1", "verify"), None),
    "by a group": (("mo_shop", "svc_shop"), ["services"], ("203.0.113.10", "required"), 3),
    "by a group, without TLS": (("mo_shop", "svc_shop"), ["services"], ("203.0.113.10", "off"), 4),
    "not in that group": (("mo_shop", "svc_shop"), [], ("203.0.113.10", "verify"), None),
    "a database of its name": (("idp", "idp"), [], ("2001:db8::7", "verify"), 5),
    "replication is no database": (("mo_idp", "svc_idp"), [], ("2001:db8::7", "verify"), None),
    "a line that is wrong": (("mo_idp", "broken"), [], ("192.0.2.1", "verify"), None),
}


@pytest.mark.parametrize("row", JUDGED)
def test_which_line_of_pg_hba_decides(row: str) -> None:
    login, groups, way, number = JUDGED[row]
    found = first_match(rules(LINES), login, groups, way)
    assert (found.number if found else None) == number


@pytest.mark.parametrize(
    "line",
    [
        [1, "host", ["all"], ["all"], "samenet", None, "md5", None],
        [1, "host", ["all"], ["all"], "db.example.org", None, "md5", None],
        [1, "host", ["/^mo_"], ["all"], "all", None, "md5", None],
        [1, "host", ["all"], ["/^svc_"], "all", None, "md5", None],
    ],
    ids=["the server's own networks", "a host's name", "a pattern of databases", "a pattern of users"],
)
def test_what_cannot_be_judged_from_here_is_not_judged(line: list[Any]) -> None:
    several: list[Rule] = rules([line])
    with pytest.raises(LookupError):
        first_match(several, ("mo_crm", "svc_crm"), [], ("203.0.113.10", "verify"))


def test_lines_of_pg_hba_that_let_in_from_anywhere() -> None:
    several = rules(
        [
            [1, "local", ["all"], ["all"], None, None, "trust", None],
            [2, "host", ["all"], ["all"], "127.0.0.1", "255.255.255.255", "scram-sha-256", None],
            [3, "host", ["mo_crm"], ["all"], "0.0.0.0", "0.0.0.0", "reject", None],
            [4, "hostssl", ["all"], ["svc_crm"], "0.0.0.0", "0.0.0.0", "scram-sha-256", None],
            [5, "host", ["mo_shop"], ["all"], "all", None, "md5", None],
            [6, "host", ["/^mo_"], ["all"], "all", None, "md5", None],
            [7, "hostnossl", ["all"], ["+team"], "::", "::", "md5", None],
        ]
    )
    found = {user: [rule.number for rule in from_anywhere(several, ("mo_crm", user), groups)]
             for user, groups in (("svc_crm", ["team"]), ("svc_shop", []))}  # fmt: skip
    assert found == {"svc_crm": [4, 7], "svc_shop": []}


def test_the_lines_that_pg_hba_needs() -> None:
    told = postgres_admin.script(wish("postgres", "crm"))
    assert "-- pg_hba.conf: hostssl mo_crm svc_crm 203.0.113.10/32 scram-sha-256" in told
    assert "-- pg_hba.conf: hostssl all keeper 2001:db8::7/128 scram-sha-256" in told
    plain = postgres_admin.script(wish("postgres", "crm", tls="off"))
    assert "-- pg_hba.conf: host mo_crm svc_crm 203.0.113.10/32 scram-sha-256" in plain
