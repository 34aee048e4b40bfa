from __future__ import annotations

import ast
import asyncio
import io
import itertools
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.config.database import DatabaseSpec, MaintenanceAccount
from fairlead.engines import mariadb, store
from fairlead.errors import NotReady
from fairlead.model import Backup, Command, Result, SecretRef
from fairlead.outside.secrets import Secrets
from support.disks import LIMITED
from support.mariadb import PASSWORDS, ROOT, SECRETS, USER, Certificates, MariaDB, open_folder
from support.places import Place
from support.ports import free_port
from support.rows import some_long

PROGRAM = store.program("mariadb")


@pytest.fixture(scope="module")
def tls() -> Iterator[Certificates]:
    folder = open_folder()
    yield Certificates(folder / "tls")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    """One that has no TLS."""
    folder = open_folder()
    with MariaDB(folder / "server") as one:
        yield one
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def external(tls: Certificates) -> Iterator[MariaDB]:
    """One that has."""
    folder = open_folder()
    with MariaDB(folder / "server", *tls.options) as one:
        yield one
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    for name in {"server", "external"} & set(request.fixturenames):
        used: MariaDB = request.getfixturevalue(name)
        used.sql("".join(f"drop database `{one.replace('`', '``')}`;" for one in used.databases()))


async def one_backup(here: Place, spec: DatabaseSpec, label: str = "") -> Backup:
    (made,) = await mariadb.backup(here.host, [spec], SECRETS, label=label)
    assert made.backup is not None, made.finding
    return made.backup


def left(here: Place, store: str = "backups") -> list[str]:
    return sorted(path.name for path in (here.home / store).iterdir())


# -- the program itself


def test_the_program_is_python_3_7() -> None:
    ast.parse(PROGRAM, feature_version=(3, 7))


def test_the_step_fits_into_one_argument(server: MariaDB) -> None:
    line = shlex.join(mariadb.backup_command([server.spec()], "v2").argv)
    assert len(line) < 100_000, "Linux allows 128 KB for one argument, quoting included"


# -- the whole way

RICH = r"""
create table `od``d
name 'ü'` (id uuid primary key default uuid(), `a``b` int, at inet6, raw blob, bits bit(9),
  twice int as (`a``b` * 2) stored,
  word varchar(99), body json);
insert into `od``d
name 'ü'` (`a``b`, at, raw, bits, word, body) values
  (1, '::1', x'00270a5c2228', b'101', '😀 \'),(\n(2,\\', '{"a": "(\\"b;"}'),
  (2, null, '', null, ');\nINSERT INTO `people` VALUES\n(1', null);
create table orders (id int primary key, person int, foreign key (person) references people (id));
insert into orders values (1, 1), (2, 2);
create table nothing (a int);
create table history (a int) with system versioning; insert into history values (1); update history set a = 2;
create sequence numbers; select nextval(numbers);
create view names as select name, '\n(x' from people;
create table log (a int);
delimiter ;;
create trigger noted after insert on people for each row insert into log values (1);;
create procedure fill() begin
insert into `log` values
(1);
end;;
create function f() returns int return 7;;
create event `tidy ENABLE` on schedule every 1 hour comment 'ENABLE' do delete from log;;
create event later on schedule at now() + interval 1 year on completion preserve do select 1;;
delimiter ;
insert into people (name) values ('one more');
"""


def content(server: MariaDB, database: str) -> list[str]:
    """Everything of a database that a copy must have: rows and definitions."""
    tables = server.sql("show full tables where table_type in ('BASE TABLE', 'SYSTEM VERSIONED')", database)
    names = [line.split("\t")[0].replace("\\n", "\n") for line in tables.splitlines()]
    found = [server.sql(f"select * from `{name.replace('`', '``')}` order by 1", database) for name in names[:-1]]
    found += [server.sql(f"show create table `{name.replace('`', '``')}`", database) for name in names]
    found += [server.sql(f"show create {what}", database) for what in ("view names", "procedure fill", "function f")]
    triggers = "select * from information_schema.triggers where trigger_schema = database()"
    made = server.sql(triggers, database).replace(database, "")
    return [*found, re.sub(r"\d{4}-\d\d-\d\d [\d:.]+", "", made), server.sql("select name, f() from names", database)]


async def test_backup_list_and_restore_bring_everything_back(anywhere: Place, external: MariaDB) -> None:
    external.create("crm", RICH)
    external.create("empty", rows=None)
    databases = [external.spec(), external.spec("empty", tls="required")]

    reached = await mariadb.ping(anywhere.host, databases, SECRETS)
    made = await mariadb.backup(anywhere.host, databases, SECRETS)
    listed = await store.backups(anywhere.host, ["backups"], verify="newest")
    restored = await mariadb.restore(anywhere.host, listed[0], databases[0], "again", SECRETS)
    empty = await mariadb.restore(anywhere.host, listed[1], databases[1], "nothing", SECRETS)

    assert [(one.subject, one.status) for one in reached] == [("crm", "ok"), ("empty", "ok")]
    assert reached[0].says.startswith("answers, MariaDB 1") and reached[1].says.endswith(", encrypted")
    assert reached[0].evidence["seen_as"] == "svc@127.0.0.1" and reached[0].ms is not None
    assert [one.finding.status for one in made] == ["ok", "ok"], made
    assert [one.backup for one in made] == listed
    rows = {"od`d\nname 'ü'": 2, "orders": 2, "nothing": 0, "history": 1, "people": 11, "log": 1}
    assert (listed[0].rows, listed[1].rows) == (rows, {})
    assert (listed[0].engine, listed[0].proven, listed[0].intact, listed[0].flaw) == ("mariadb", True, True, "")
    assert listed[0].file.endswith(".sql.zst") and listed[0].source == f"mo_crm on 127.0.0.1:{external.port}"
    assert set(listed[0].tools) == {"mariadb-dump", "server", "packed"} and listed[0].tools["packed"] == "zstd"
    assert restored.says.endswith("events that are there and not enabled: 2"), restored
    assert (restored.status, empty.status) == ("ok", "ok"), empty
    assert content(external, "again") == content(external, "mo_crm")
    assert external.sql("select name, status from mysql.event where db = 'again' order by 1").split("\n")[:2] == [
        "later\tDISABLED",
        "tidy ENABLE\tDISABLED",
    ]


async def test_a_backup_beside_a_busy_writer_is_one_moment_of_it(here: Place, server: MariaDB) -> None:
    """The writer adds a row to each of two tables in one transaction: other counts would be a torn copy."""
    server.create("crm", "create table twin (id int primary key auto_increment)", rows=0)
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            more = "begin; insert into people (name) values ('a'); insert into twin values (); commit;" * 50
            server.sql(more, "mo_crm")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        taken = [(await one_backup(here, server.spec())).rows for _ in range(3)]
    finally:
        ended.set()
        writer.join()
    assert [rows["people"] - rows["twin"] for rows in taken] == [0, 0, 0]
    assert taken[-1]["people"] > 0


@pytest.mark.long
async def test_three_hundred_tables(here: Place, server: MariaDB) -> None:
    sql = "".join(f"create table t{n} (a int) engine=aria; insert into t{n} values (1), (2);" for n in range(300))
    server.create("crm", sql)
    (made,) = await mariadb.backup(here.host, [server.spec()], SECRETS)
    assert made.backup and made.finding.says.endswith("300 tables are not transactional, so not of the same moment")
    restored = await mariadb.restore(here.host, made.backup, server.spec(), "again", SECRETS)
    assert restored.says == "restored into again: 610 rows in 301 tables, as its manifest says"


# -- what is wrong is said, layer by layer


@contextmanager
def listening(talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server on a port of its own that does this with each connection, then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as line:

        def serve() -> None:
            while True:
                try:
                    one, _ = line.accept()
                except OSError:
                    return
                with one:
                    talk(one)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield int(line.getsockname()[1])
        finally:
            line.shutdown(socket.SHUT_RDWR)


@contextmanager
def filtered() -> Iterator[int]:
    """A port whose queue is full: the kernel drops what knocks, as a firewall does."""
    with ExitStack() as stack:
        line = stack.enter_context(socket.socket())
        line.bind(("127.0.0.1", 0))
        line.listen(0)
        for _ in range(3):
            knock = stack.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(line.getsockname())
        yield int(line.getsockname()[1])


async def cause(here: Place, spec: DatabaseSpec, secrets: Secrets = SECRETS) -> str:
    (finding,) = await mariadb.ping(here.host, [spec], secrets)
    assert finding.hint and finding.status in ("fail", "warn"), finding
    return f"{finding.status}: {finding.says}"


async def test_a_name_that_does_not_resolve(here: Place, server: MariaDB) -> None:
    told = await cause(here, server.spec(address="db.invalid"))
    assert told.startswith("fail: the name db.invalid does not resolve: ")


async def test_a_closed_port(here: Place, server: MariaDB) -> None:
    port = free_port()
    told = await cause(here, server.spec(port=port))
    assert told == f"fail: port {port} of 127.0.0.1 is closed: nothing listens there"


@pytest.mark.parametrize("number", [1, 9])
async def test_a_port_that_drops_is_waited_for_once(
    here: Place, server: MariaDB, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mariadb, "CONNECT_LIMIT", 1)
    with filtered() as port:
        databases = [server.spec(f"d{n}", port=port) for n in range(number)]
        began = time.monotonic()
        found = await mariadb.ping(here.host, databases, SECRETS)
        took = time.monotonic() - began
    says = f"127.0.0.1:{port} does not answer within 1 s: a firewall drops it, or the machine is down"
    assert [one.says for one in found] == [says] * number
    assert took < 6, "asked once for all, and once more with a plain socket"


OTHERS: dict[str, tuple[Callable[[socket.socket], object], str]] = {
    "another protocol": (lambda line: line.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "is no MariaDB server"),
    "nothing is said": (lambda line: line.recv(9), "is open, but no server greets there"),
    "closed at once": (lambda line: None, "closes the connection before a word"),
    "host is blocked": (
        lambda line: line.sendall(b"\x1e\0\0\0\xff\x69\x04Host 'h' is blocked because"),
        "fail: the server does not let this host in: Host 'h' is blocked because",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
async def test_what_else_may_listen_there(
    here: Place, server: MariaDB, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mariadb, "CONNECT_LIMIT", 1)
    talk, says = OTHERS[case]
    with listening(talk) as port:
        assert says in await cause(here, server.spec(port=port))


async def test_no_socket(here: Place, server: MariaDB) -> None:
    (here.home / ".my.cnf").write_text("[client]\nsocket=/nowhere/s\npassword=other\n")
    told = await cause(here, server.spec(address="localhost", port=3306))
    assert told == "fail: there is no socket /nowhere/s: no server runs here, or its socket lies elsewhere"


async def test_localhost_means_the_socket_that_the_host_names(here: Place, server: MariaDB) -> None:
    server.create("crm")
    (here.home / ".my.cnf").write_text(f"[client]\nsocket={server.socket}\npassword=other\nuser=other\n")
    (finding,) = await mariadb.ping(here.host, [server.spec(address="localhost", port=3306)], SECRETS)
    assert (finding.status, finding.evidence["seen_as"]) == ("ok", "svc@localhost"), finding


async def test_a_wrong_password(here: Place, server: MariaDB) -> None:
    server.create("crm")
    told = await cause(here, server.spec(), Secrets(environ=PASSWORDS | {USER: "another-one"}))
    assert told == (
        "fail: access denied for 'svc'@'127.0.0.1', as the server sees us: the password is wrong, "
        "or there is no account for that host"
    )


async def test_no_such_database(here: Place, server: MariaDB) -> None:
    told = await cause(here, server.spec("gone"))
    assert told == f"fail: there is no database mo_gone on 127.0.0.1:{server.port}"


async def test_no_privilege_on_it(here: Place, server: MariaDB) -> None:
    server.create("crm", "revoke all on mo_crm.* from svc@'%'")
    told = await cause(here, server.spec())
    assert told == "fail: access denied for 'svc'@'%' to mo_crm: the account has no privilege on it"
    told = await cause(here, server.spec(maintenance=None))
    assert told.endswith("there is no such database, or the account has no privilege on it")


@pytest.mark.parametrize(
    ("revoked", "says"),
    [
        ("select", "fail: svc may log in and not read mo_crm: the privilege SELECT is missing"),
        ("update, delete", ", but svc lacks UPDATE, DELETE"),
    ],
)
async def test_a_missing_privilege(here: Place, server: MariaDB, revoked: str, says: str) -> None:
    server.create("crm", f"revoke {revoked} on mo_crm.* from svc@'%'")
    assert says in await cause(here, server.spec())


async def test_privileges_on_a_pattern_and_everywhere_count(here: Place, server: MariaDB) -> None:
    server.create(
        "crm", "create user p@'%'; grant all on `mo\\_c%`.* to p@'%'; create user g@'%'; grant all on *.* to g@'%'"
    )
    found = await mariadb.ping(
        here.host,
        [server.spec(user="p", password=None), server.spec("crm2", user="g", password=None, database="mo_crm")],
        SECRETS,
    )
    server.sql("drop user p@'%', g@'%'")
    assert [one.status for one in found] == ["ok", "ok"], found


async def test_a_locked_account(here: Place, server: MariaDB) -> None:
    server.create("crm", "create user shut@'%' account lock")
    told = await cause(here, server.spec(user="shut", password=None))
    server.sql("drop user shut@'%'")
    assert told.startswith("fail: the account shut is locked, or its password has expired")


async def test_a_server_without_tls(here: Place, server: MariaDB) -> None:
    server.create("crm")
    for word in ("required", "verify"):
        told = await cause(here, server.spec(tls=word))
        assert told == f"fail: 127.0.0.1:{server.port} offers no TLS, and tls is {word}"
        (made,) = await mariadb.backup(here.host, [server.spec(tls=word)], SECRETS)
        assert made.finding.says in told


async def test_a_certificate_that_is_not_trusted_until_it_is(here: Place, external: MariaDB, tls: Certificates) -> None:
    external.create("crm")
    told = await cause(here, external.spec(tls="verify"))
    assert told.startswith(
        f"fail: the certificate of 127.0.0.1:{external.port} is not trusted: self-signed certificate"
    )
    (here.home / ".my.cnf").write_text(f"[client]\nssl-ca={tls.ca}\n")
    (finding,) = await mariadb.ping(here.host, [external.spec(tls="verify")], SECRETS)
    assert (finding.status, finding.says.endswith(", encrypted")) == ("ok", True), finding
    elsewhere = await cause(here, external.spec(tls="verify", address="localhost"))
    assert "is not trusted" in elsewhere, "the certificate names 127.0.0.1"


async def test_a_server_that_wants_tls(here: Place, external: MariaDB) -> None:
    external.create("crm", "set global require_secure_transport = on")
    told = await cause(here, external.spec())
    external.sql("set global require_secure_transport = off")
    assert told == f"fail: 127.0.0.1:{external.port} takes encrypted connections only"


async def test_too_many_connections(here: Place, server: MariaDB) -> None:
    server.create("crm", "set global max_connections = 10")
    words = ("mariadb", "--no-defaults", "-uroot", f"--socket={server.socket}", "-e", "select sleep(60)")
    held = [subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(11)]
    try:
        await until(lambda: sum("sleep" in line for line in _threads(server, held)) >= 10)
        told = await cause(here, server.spec())
    finally:
        for one in held:
            one.kill()
            one.wait()
        await until(lambda: _settled(server))
    assert told == "fail: the server has too many connections"


def _threads(server: MariaDB, held: list[subprocess.Popen[bytes]]) -> list[str]:
    """Ten hold all places; then root, who has one more, is refused as well, and that is enough to know."""
    try:
        return server.sql("show processlist").splitlines()
    except AssertionError:
        return ["sleep"] * 10


def _settled(server: MariaDB) -> bool:
    """None of the ten is left: that a sleeping client is gone a server notices, and counts, when its sleep is over."""
    try:
        server.sql("set global max_connections = 151")
        left = server.sql("select concat('kill ', id) from information_schema.processlist where info like '%sleep(60)'")
        server.sql(";".join(left.splitlines()))
    except AssertionError:
        return False
    return not left


async def until(reached: Callable[[], bool], limit: float = 30.0) -> None:
    end = time.monotonic() + limit
    while not reached():
        assert time.monotonic() < end, "it never came so far"
        await asyncio.sleep(0.02)


async def test_a_missing_secret_hides_no_other_database(here: Place, server: MariaDB) -> None:
    server.create("crm")
    server.create("shop")
    databases = [server.spec(password=SecretRef(name="NOT_THERE"), maintenance=None), server.spec("shop")]
    found = await mariadb.ping(here.host, databases, SECRETS)
    made = await mariadb.backup(here.host, databases, SECRETS)
    assert (found[0].status, found[0].says) == ("fail", "the secret NOT_THERE is missing")
    assert [one.finding.status for one in made] == ["fail", "ok"] == [found[0].status, found[1].status]


async def test_a_bad_server_hides_no_good_one(here: Place, server: MariaDB) -> None:
    server.create("crm")
    databases = [server.spec("gone"), server.spec("off", port=free_port()), server.spec()]
    found = await mariadb.ping(here.host, databases, SECRETS)
    made = await mariadb.backup(here.host, databases, SECRETS)
    assert [(one.subject, one.status) for one in found] == [("gone", "fail"), ("off", "fail"), ("crm", "ok")]
    assert [one.finding.status for one in made] == ["fail", "fail", "ok"]
    assert [one.finding.says for one in made][:2] == [one.says for one in found][:2]
    assert {name.partition("-")[0] for name in left(here)} == {"crm"}


class Counting:
    """A host that counts what it is asked."""

    def __init__(self, here: Place) -> None:
        self.host, self.account, self.heard = here.host, here.host.account, 0

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        self.heard += 1
        assert not any(value in word for value in PASSWORDS.values() for word in command.argv)
        return await self.host.run(command, stdin=stdin)


async def test_nine_databases_are_one_round_trip_and_nine_logins(here: Place, server: MariaDB) -> None:
    for number in range(9):
        server.create(f"d{number}")
    counting = Counting(here)
    before = int(server.sql("show global status like 'Connections'").split()[1])
    aborted = server.sql("show global status like 'Aborted%'")
    found = await mariadb.ping(counting, [server.spec(f"d{n}") for n in range(9)], SECRETS)  # type: ignore[arg-type]
    after = int(server.sql("show global status like 'Connections'").split()[1])
    assert [one.status for one in found] == ["ok"] * 9
    assert (counting.heard, after - before) == (1, 9 + 2), "two are the test's own"
    assert server.sql("show global status like 'Aborted%'") == aborted, "nobody hung up without a word"


# -- secrets


def watched(here: Place, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> Path:
    """Programs of the host, replaced by scripts that stand before them; `$REAL` is the real one."""
    folder = here.home / "bin"
    folder.mkdir(exist_ok=True)
    for name, text in scripts.items():
        program = name.replace("_", "-")
        file = folder / program
        file.write_text(f"#!/bin/bash\nREAL={shutil.which(program)}\n{text}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


EVERY = "".join(sign for sign in map(chr, range(32, 127))) + "äß€😀 #"


@pytest.mark.parametrize("password", [EVERY, string.punctuation, " lead and trail ", "'", '"', "\\", "#x", "a\tb"])
async def test_every_printable_character_in_a_password(here: Place, server: MariaDB, password: str) -> None:
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    server.create("crm", f"create or replace user odd@'%' identified by '{quoted}'; grant all on mo_crm.* to odd@'%'")
    secrets = Secrets(environ={"ODD": password})
    spec = server.spec(user="odd", password=SecretRef(name="ODD"), maintenance=None)
    (finding,) = await mariadb.ping(here.host, [spec], secrets)
    assert finding.status == "ok", finding
    assert "odd" in str(finding.evidence["seen_as"])


async def test_no_program_of_the_host_shows_a_password(
    here: Place, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scripts write down their own arguments and environment, and those of the program that called them."""
    server.create("crm")
    seen = (
        'cat /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline /proc/$PPID/environ >>"$HOME/seen"; exec $REAL "$@"'
    )
    watched(here, monkeypatch, mariadb=seen, mariadb_dump=seen, zstd=seen)
    await mariadb.ping(here.host, [server.spec()], SECRETS)
    made = await one_backup(here, server.spec())
    restored = await mariadb.restore(here.host, made, server.spec(), "again", SECRETS)
    assert restored.status == "ok", restored
    raw = (here.home / "seen").read_bytes()
    assert b"--defaults-file=/dev/fd/" in raw and b"mariadb-dump" in raw
    texts = [raw, *(path.read_bytes() for path in (here.home / "backups").iterdir())]
    assert not any(value.encode() in text for value in PASSWORDS.values() for text in texts)


async def test_the_grants_of_the_how_to_are_enough(here: Place, server: MariaDB) -> None:
    server.create("crm", RICH)
    server.sql(
        f"create or replace user keeper@'%' identified by '{PASSWORDS[ROOT]}'; grant all on `mo\\_%`.* to keeper@'%'; "
        "grant select on mysql.proc to keeper@'%'; "
        "grant set user, process, connection admin on *.* to keeper@'%'"
    )
    keeper = MaintenanceAccount(user="keeper", password=SecretRef(name=ROOT))
    made = await one_backup(here, server.spec(maintenance=keeper))
    restored = await mariadb.restore(here.host, made, server.spec(maintenance=keeper), "mo_crm_again", SECRETS)
    assert restored.status == "ok", restored


# -- the backup proves itself


BROKEN = {
    "the dump ends early, with code 0": (
        {"mariadb_dump": 'if [ "$1" = --version ]; then exec $REAL "$@"; fi; $REAL "$@" | head -n -3'},
        "the dump has no end: mariadb-dump stopped without an error",
    ),
    "the dump lacks its last byte": (
        {"mariadb_dump": 'if [ "$1" = --version ]; then exec $REAL "$@"; fi; $REAL "$@" | head -c -1'},
        "the dump has no end: mariadb-dump stopped without an error",
    ),
    "the dump fails after a whole text": (
        {"mariadb_dump": '$REAL "$@"; [ "$1" = --version ] || exit 3'},
        "mariadb-dump ended with code 3: it ended without a word",
    ),
    "the written file lacks its last byte": (
        {"zstd": 'case $* in *-1*) $REAL "$@" | head -c -1 ;; *) exec $REAL "$@" ;; esac'},
        "the written file cannot be unpacked: ",
    ),
    "the packer fails": ({"zstd": "echo no memory >&2; cat >/dev/null; exit 1"}, "zstd failed: no memory"),
    "the packer stops reading": ({"zstd": "exit 1"}, "zstd failed: it ended without a word"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_backup_that_cannot_be_proven_does_not_exist(
    here: Place, server: MariaDB, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts, says = BROKEN[case]
    server.create("crm", rows=20_000)
    watched(here, monkeypatch, **scripts)
    (made,) = await mariadb.backup(here.host, [server.spec()], SECRETS)
    assert made.finding.status == "fail" and made.finding.says.startswith(says), made.finding
    assert left(here) == []


async def test_without_zstd_it_is_gzip(here: Place, server: MariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    server.create("crm")
    without(here, monkeypatch, "zstd")
    made = await one_backup(here, server.spec())
    assert made.file.endswith(".sql.gz") and made.tools["packed"] == "gzip"
    assert await store.backups(here.host, ["backups"], verify="newest") == [made]
    restored = await mariadb.restore(here.host, made, server.spec(), "again", SECRETS)
    assert restored.status == "ok", restored


def without(here: Place, monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """A host on which these programs are not installed."""
    folder = here.home / "few"
    folder.mkdir()
    needed = ("sh", "head", "base64", "wc", "setsid", "sleep", "cat", "kill", "python3", "mariadb", "mariadb-dump")
    for tool in {*needed, "gzip", "zstd"} - set(missing):
        real = sys.executable if tool == "python3" else shutil.which(tool)  # what PATH has may be a script for bash
        (folder / tool).symlink_to(real or "")
    monkeypatch.setenv("PATH", str(folder))


async def test_without_client_programs_it_says_so(
    here: Place, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(here, monkeypatch, "mariadb", "mariadb-dump")
    assert await cause(here, server.spec()) == "fail: mariadb is not installed on this host"


async def test_a_tool_older_than_the_server_is_refused(
    here: Place, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("crm")
    old = 'if [ "$1" = --version ]; then echo "mariadb-dump  Ver 10.19 Distrib 10.6.22-MariaDB, for x"; else exit 9; fi'
    watched(here, monkeypatch, mariadb_dump=old)
    (made,) = await mariadb.backup(here.host, [server.spec()], SECRETS)
    assert made.finding.says.startswith("mariadb-dump 10.6 on this host is older than the server, MariaDB 1")
    assert made.finding.hint.startswith("install mariadb-client 1")


async def test_an_account_that_may_not_read_all_is_told(here: Place, server: MariaDB) -> None:
    server.create("crm", "create view v as select 1; create procedure p() select 1")
    (made,) = await mariadb.backup(here.host, [server.spec(maintenance=None)], SECRETS)
    assert made.finding.status == "fail" and made.finding.says, made.finding
    assert left(here) == []


@pytest.mark.parametrize("case", LIMITED)
async def test_a_full_disk_leaves_no_half_file(here: Place, server: MariaDB, case: str) -> None:
    if case == "disk" and subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces, so no small disk can be mounted")
    server.create("crm", "insert into people (name) select concat(sha2(seq, 512)) from seq_1_to_20000")
    (here.home / "t").mkdir()
    step = mariadb.backup_command([server.spec(store="t/s")], "")
    blind = PROGRAM.replace("if free < needed", "if False")
    words = ["python3", "-c", blind, *step.argv[3:]]
    limited = Command(argv=("sh", "-c", LIMITED[case] + ' "$@"', "sh", *words))
    result = await here.host.run(limited, stdin=await SECRETS.rendered(SecretRef(name=ROOT, form="mariadb")))
    assert (result.stderr, json.loads(result.stdout)["says"]) == ("", "the disk is full")
    assert (here.home / "left").read_text() == ""
    assert [path for path in (here.home / "t").rglob("*") if path.is_file()] == []


@contextmanager
def waiting(server: MariaDB) -> Iterator[None]:
    """Another session holds a table of `mo_crm`, so that a dump waits in its middle."""
    words = ("mariadb", "--no-defaults", "-uroot", f"--socket={server.socket}", "mo_crm")
    text = "lock tables people write; select sleep(100);\n"
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        assert other.stdin
        other.stdin.write(text.encode())
        other.stdin.close()
        try:
            yield
        finally:
            other.kill()


async def in_the_middle(server: MariaDB) -> None:
    await until(lambda: "Waiting for table metadata lock" in server.sql("show processlist"))


async def test_a_server_killed_in_mid_dump(here: Place, server: MariaDB) -> None:
    server.create("crm", "create table a as select * from people")
    with waiting(server):
        await until(lambda: "sleep" in server.sql("show processlist"))
        task = asyncio.create_task(mariadb.backup(here.host, [server.spec()], SECRETS))
        await in_the_middle(server)
        server.stop(signal.SIGKILL)
        (made,) = await task
    server.start()
    assert made.finding.says.startswith("the server ended the connection in the middle of the dump"), made.finding
    assert left(here) == []


async def test_a_stopped_backup_leaves_nothing_behind(here: Place, server: MariaDB) -> None:
    server.create("crm", "create table a as select * from people")
    with waiting(server):
        await until(lambda: "sleep" in server.sql("show processlist"))
        task = asyncio.create_task(mariadb.backup(here.host, [server.spec()], SECRETS))
        await in_the_middle(server)
        assert left(here) == ["crm.part"]
        task.cancel()
        await asyncio.wait({task})
        await until(lambda: left(here) == [])
        await until(lambda: "metadata lock" not in server.sql("show processlist"))


async def test_two_backups_at_once_both_end_or_one_is_told(here: Place, server: MariaDB) -> None:
    server.create("crm", rows=20_000)
    both = await asyncio.gather(*(mariadb.backup(here.host, [server.spec()], SECRETS) for _ in range(3)))
    said = {made.finding.status: made.finding.says for (made,) in both}
    assert "ok" in said and said.get("fail", "another backup of it is being written") == (
        "another backup of it is being written"
    )
    listed = await store.backups(here.host, ["backups"], verify="newest")
    assert [one.flaw for one in listed] == [""] * len(listed)
    assert len(listed) == sum(made.finding.status == "ok" for (made,) in both)


NAMES = ["a b", "-rf", "..", "$(touch x)", "q'q", 'q"q', "q`q", "ünïcødé", "%2F", "a.b;--"]


async def test_names_stay_what_they_are(here: Place, server: MariaDB) -> None:
    for name in NAMES:
        server.sql(
            f"create database `{name.replace('`', '``')}`; use `{name.replace('`', '``')}`; create table t (a int)"
        )
    databases = [
        server.spec(name, database=name, maintenance=None, user="fairlead", password=SecretRef(name=ROOT))
        for name in NAMES
    ]
    reached = await mariadb.ping(here.host, databases, SECRETS)
    made = await mariadb.backup(here.host, databases, SECRETS)
    assert [one.status for one in reached] == ["ok"] * len(NAMES), reached
    assert [one.finding.status for one in made] == ["ok"] * len(NAMES), made
    assert len(left(here)) == 2 * len(NAMES)
    for one, name in zip(made, NAMES, strict=True):
        assert one.backup
        done = await mariadb.restore(here.host, one.backup, databases[0], f"{name}2", SECRETS)
        assert done.status == "ok", done
    assert server.databases() == {*NAMES, *(f"{name}2" for name in NAMES)}


async def test_a_store_on_another_host_is_refused(here: Place, server: MariaDB) -> None:
    (made,) = await mariadb.backup(here.host, [server.spec(store_host="vault")], SECRETS)
    assert "its backup store is on vault" in made.finding.says
    with pytest.raises(NotReady, match="crm: its backup store is on vault"):
        mariadb.backup_command([server.spec(store_host="vault")], "v2")


async def test_the_oldest_are_removed_beyond_what_is_kept(here: Place, server: MariaDB) -> None:
    server.create("crm")
    made = [await one_backup(here, server.spec(keep=2)) for _ in range(3)]
    listed = await store.backups(here.host, ["backups"])
    assert {one.file for one in listed} == {made[1].file, made[2].file}
    assert len(left(here)) == 4


# -- as a step of a plan


async def test_the_step_knows_its_own_backup_again(anywhere: Place, server: MariaDB) -> None:
    server.create("crm")
    do, probe = mariadb.backup_command([server.spec()], "v2"), mariadb.backup_probe([server.spec()], "v2")
    assert do.stdin == SecretRef(name=ROOT, form="mariadb")
    secret = await SECRETS.stdin_of(do)
    plain = do.model_copy(update={"stdin": None})  # the place's own secrets know the key of its sshd only

    async def word() -> str:
        return (await anywhere.host.run(probe)).stdout.split()[-1]

    words = [await word()]
    first = await anywhere.host.run(plain, stdin=secret)
    words.append(await word())
    again = await anywhere.host.run(plain, stdin=secret)
    assert (first.ok, again.ok, words) == (True, True, ["before", "after"]), first
    assert len(await store.backups(anywhere.host, ["backups"])) == 1, "run twice it dumps once"
    other = await anywhere.host.run(mariadb.backup_probe([server.spec()], "v3"))
    assert other.stdout.split() == ["before"]


async def test_a_step_has_one_password(server: MariaDB) -> None:
    databases = [server.spec(), server.spec("shop", maintenance=None)]
    with pytest.raises(NotReady, match=f"several passwords: {ROOT}, {USER}"):
        mariadb.backup_command(databases, "v2")


# -- restore


async def test_a_restore_never_touches_what_exists(here: Place, server: MariaDB) -> None:
    server.create("crm")
    server.create("other", rows=3)
    made = await one_backup(here, server.spec())
    restored = await mariadb.restore(here.host, made, server.spec(), "mo_other", SECRETS)
    assert (restored.status, restored.says) == ("fail", "the database mo_other exists already")
    assert server.sql("select count(*) from mo_other.people").strip() == "3"


@pytest.mark.parametrize("into", ["", "mysql", "x" * 65, "blank "])
async def test_a_name_that_no_new_database_can_have(here: Place, server: MariaDB, into: str) -> None:
    server.create("crm")
    made = await one_backup(here, server.spec())
    restored = await mariadb.restore(here.host, made, server.spec(), into, SECRETS)
    assert restored.status == "fail", restored
    assert server.databases() == {"mo_crm"}


async def test_an_account_that_may_not_make_databases(here: Place, server: MariaDB) -> None:
    server.create("crm")
    made = await one_backup(here, server.spec())
    restored = await mariadb.restore(here.host, made, server.spec(maintenance=None), "again", SECRETS)
    assert restored.says == "svc may not create the database again"


def change(backup: Path, note: Path) -> None:
    raw = bytearray(backup.read_bytes())
    raw[-1] ^= 1
    backup.write_bytes(raw)


def cut(backup: Path, note: Path) -> None:
    backup.write_bytes(backup.read_bytes()[:-1])


def other_rows(backup: Path, note: Path) -> None:
    note.write_text(json.dumps({**json.loads(note.read_text()), "rows": {"people": 11}}))


def other_tables(backup: Path, note: Path) -> None:
    note.write_text(json.dumps({**json.loads(note.read_text()), "rows": {"people": 10, "shop": 1}}))


SPOILT = {
    "content changed": (change, "the backup's content is not what its manifest says"),
    "truncated by one byte": (cut, "the backup does not count: its file is cut short or changed"),
    "other rows": (other_rows, "the restored database has other rows than its manifest says, in people"),
    "other tables": (other_tables, "the restored database has other tables than its manifest says"),
}


@pytest.mark.parametrize("case", SPOILT)
async def test_what_cannot_be_proven_is_dropped_again(here: Place, server: MariaDB, case: str) -> None:
    spoil, says = SPOILT[case]
    server.create("crm")
    made = await one_backup(here, server.spec())
    spoil(here.home / made.file, here.home / made.manifest)
    restored = await mariadb.restore(here.host, made, server.spec(), "again", SECRETS)
    assert restored.status == "fail" and restored.says.startswith(says), restored
    assert server.databases() == {"mo_crm"}


async def test_a_statement_that_fails_is_quoted_and_all_is_dropped(here: Place, server: MariaDB) -> None:
    """Only an account with SET USER may make what another account has defined."""
    server.create("crm", "create definer=nobody@nowhere view v as select 1")
    server.sql(
        f"create or replace user less@'%' identified by '{PASSWORDS[USER]}'; "
        "grant create, drop, select, insert, alter, create view, index, references on *.* to less@'%'"
    )
    made = await one_backup(here, server.spec())
    less = server.spec(user="less", maintenance=None)
    restored = await mariadb.restore(here.host, made, less, "again", SECRETS)
    assert "less may not create what others have defined" in restored.says, restored
    assert "SET USER" in restored.hint
    assert server.databases() == {"mo_crm"}


async def test_a_restore_that_is_stopped_drops_what_it_made(
    here: Place, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("crm")
    made = await one_backup(here, server.spec())
    watched(here, monkeypatch, zstd='$REAL "$@"; exec sleep 100')
    task = asyncio.create_task(mariadb.restore(here.host, made, server.spec(), "again", SECRETS))
    await until(lambda: "again" in server.databases())
    task.cancel()
    await asyncio.wait({task})
    await until(lambda: server.databases() == {"mo_crm"})


DIE = "os.kill(os.getpid(), signal.SIGKILL)"
WHOLE = '            query(server, "alter database %s collate'
KILLED = {
    "before anything is in it": (
        "            unpack(server, into,",
        f"            {DIE}\n            unpack(server, into,",
    ),
    "while it is filled": ("    put(writer.fileno(), first)", f"    put(writer.fileno(), first)\n        {DIE}"),
    "before it is called whole": (WHOLE, f"            {DIE}\n{WHOLE}"),
}


@pytest.mark.parametrize("case", some_long(KILLED, {"before it is called whole"}))
async def test_what_a_killed_restore_has_left_is_taken_away_by_the_next(
    here: Place, server: MariaDB, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("crm")
    made = await one_backup(here, server.spec())
    old, new = KILLED[case]
    assert PROGRAM.count(old) == 1
    with monkeypatch.context() as patch:
        patch.setattr(store, "program", lambda engine: PROGRAM.replace(old, new))
        with suppress(NotReady):
            await mariadb.restore(here.host, made, server.spec(), "again", SECRETS)
    assert server.databases() == {"mo_crm", "again"}
    restored = await mariadb.restore(here.host, made, server.spec(), "again", SECRETS)
    assert restored.says.endswith("; what an earlier restore had left half-filled there was dropped first"), restored
    whole = await mariadb.restore(here.host, made, server.spec(), "again", SECRETS)
    assert whole.says == "the database again exists already", "what came to its end bears no mark"
    assert left(here) == sorted([Path(made.file).name, Path(made.manifest).name])


async def test_a_second_restore_into_the_same_name_is_told(here: Place, server: MariaDB) -> None:
    server.create("crm", rows=20_000)
    made = await one_backup(here, server.spec())
    both = await asyncio.gather(*(mariadb.restore(here.host, made, server.spec(), "again", SECRETS) for _ in range(3)))
    told = sorted(one.says for one in both if one.status == "fail")
    assert len(told) == 2, both
    assert set(told) <= {"another restore into it is at work", "the database again exists already"}, told


# -- reading a dump


def reader() -> dict[str, Any]:
    space: dict[str, Any] = {}
    exec(compile(PROGRAM.rpartition("\nrun(")[0], "mariadb", "exec"), space)
    return space


READER = reader()


class Slow(io.BytesIO):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self.most = most

    def readinto(self, room: Any) -> int:
        return super().readinto(room[: self.most])


def read(text: bytes, most: int, quiet: bool = False) -> tuple[Any, bytes]:
    """What is known of a dump that comes in pieces, and what was handed on."""
    dump, told = READER["Dump"](quiet), bytearray()
    dump.hand_on = told.extend
    READER["streamed"](Slow(text, most), dump.read)
    return dump, bytes(told)


WORDS = st.text(st.sampled_from("'\\\"`(),;\n\t aV😀"), max_size=8)
ROWS = st.lists(st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=4)


def escaped(word: str) -> str:
    for sign, written in (("\\", "\\\\"), ("'", "\\'"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        word = word.replace(sign, written)
    return f"'{word}'"


def dumped(tables: list[tuple[str, list[list[str]]]], old: bool) -> bytes:
    text, (begin, between) = "-- MariaDB dump\n", ((" ", ",") if old else ("\n", ",\n"))
    for number, (name, rows) in enumerate(tables):
        quoted = f"`{number}{name.replace('`', '``')}`"
        values = between.join("(" + ",".join(map(escaped, row)) + ")" for row in rows)
        text += f"CREATE TABLE {quoted} (\n  `a` int\n);\nINSERT INTO {quoted} VALUES{begin}{values};\n"
    body = "CREATE PROCEDURE p() BEGIN\nINSERT INTO `x` VALUES\n(1),\n(2);\nend"
    return (text + f"DELIMITER ;;\n{body} ;;\nDELIMITER ;\n-- Dump completed on 2026-11-23  5:17:11\n").encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(WORDS, ROWS), max_size=3), st.booleans(), st.integers(1, 60))
def test_rows_are_counted_however_the_text_is_cut(
    tables: list[tuple[str, list[list[str]]]], old: bool, step: int
) -> None:
    text = dumped(tables, old)
    for quiet in (True, False):
        dump, told = read(text, step, quiet)
        assert dump.rows == {f"{number}{name}": len(rows) for number, (name, rows) in enumerate(tables)}
        assert dump.complete and told == text


AWKWARD = (
    "'",
    '"',
    "\\",
    "`",
    "(",
    "),",
    ");",
    "\n",
    ",\n(",
    ");\nINSERT INTO `t` VALUES\n(1",
    "\0",
    "\x1a",
    "\r",
    "😀",
    "--",
    "/*",
)


def strange(pick: random.Random, size: int) -> str:
    return "".join(pick.choice(AWKWARD) for _ in range(pick.randrange(size)))


def hexed(word: str) -> str:
    return f"x'{word.encode().hex()}'" if word else "''"


@pytest.mark.parametrize("seed", some_long(range(8), {7}))  # 7 has a name with both signs of a line's end
async def test_rows_are_those_that_the_server_counts(here: Place, server: MariaDB, seed: int) -> None:
    """Tables and columns with odd names, of text and of bytes, with values that look like a dump."""
    pick, sql = random.Random(seed), ""
    for number in range(12):
        name, column = (
            f"{word} {strange(pick, 5)}|".replace("\0", "").replace("😀", "ü") for word in (f"t{number}", "c")
        )
        table, body = (f"`{word.replace('`', '``')}`" for word in (name, column))
        kind = pick.choice(["longtext", "longblob", "varchar(999)", "varbinary(9999)"])
        sql += f"create table {table} ({body} {kind}, `b` text default {hexed(strange(pick, 9))}) comment 'a\\n(1';\n"
        rows = [f"({hexed(strange(pick, 40))}, {hexed(strange(pick, 9))})" for _ in range(pick.randrange(60))]
        sql += f"insert into {table} values {', '.join(rows)};\n" if rows else ""
        sql += f"insert into {table} select a.* from {table} a, seq_1_to_{pick.choice([1, 1, 700])};\n"
    server.create("crm", sql, rows=None)
    made = await one_backup(here, server.spec())
    names = [bytes.fromhex(line).decode() for line in server.sql(NAMES_OF, "mo_crm").split()]
    counts = [server.sql(f"select count(*) from `{name.replace('`', '``')}`", "mo_crm") for name in names]
    assert made.rows == dict(zip(names, map(int, counts), strict=True)) and len(names) == 12
    restored = await mariadb.restore(here.host, made, server.spec(), "again", SECRETS)
    assert restored.status == "ok", restored


NAMES_OF = "select hex(table_name) from information_schema.tables where table_schema = database()"


async def test_others_come_before_a_dump_and_what_packs_it(
    here: Place, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.create("crm")
    note = 'nice >>"$HOME/nice"; exec $REAL "$@"'
    watched(here, monkeypatch, mariadb_dump=note, zstd=note)
    await one_backup(here, server.spec())
    seen = set((here.home / "nice").read_text().split())
    assert seen == {str(min(19, os.nice(0) + 10))}


async def test_no_more_than_two_dumps_of_a_server_at_once(
    here: Place, server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        server.create(f"d{number}")
    note = 'if [ "$1" = --version ]; then exec $REAL "$@"; fi; echo 1 >>"$HOME/seen"; $REAL "$@"; code=$?; sleep 0.2; '
    watched(here, monkeypatch, mariadb_dump=note + 'echo -1 >>"$HOME/seen"; exit $code')
    made = await mariadb.backup(here.host, [server.spec(f"d{number}") for number in range(6)], SECRETS)
    assert [one.finding.status for one in made] == ["ok"] * 6, made
    depth = list(itertools.accumulate(map(int, (here.home / "seen").read_text().split())))
    assert (max(depth), depth[-1], len(depth)) == (2, 0, 12), depth
