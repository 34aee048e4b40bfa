from __future__ import annotations

import ast
import asyncio
import io
import json
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from fairlead.config.database import DatabaseSpec, MaintenanceAccount
from fairlead.engines import postgres, store
from fairlead.errors import NotReady
from fairlead.model import Backup, Command, SecretRef
from support.disks import LIMITED
from support.places import Place
from support.ports import free_port
from support.postgres import MASTER, PASSWORDS, SERVICE, Postgres, escaped, filtered, says, secrets
from support.processes import mentioning, until
from support.rows import some_long
from support.sentinels import Search, sentinel

PROGRAM = store.program("postgres")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres(tls=True) as one:
        one.make("mo_idp", *TABLES)
        yield one


@pytest.fixture(scope="module")
def plain_server() -> Iterator[Postgres]:
    """Without TLS, few connections, and speaking German."""
    with Postgres("max_connections=8", "superuser_reserved_connections=3", language="de") as one:
        one.make("mo_idp", *TABLES)
        yield one


TABLES = (
    "create table people (id serial primary key, name text)",
    "insert into people (name) select 'n' || g from generate_series(1, 1234) g",
    'create table "odd "" name; --" (a int)',
)
ROWS = {"public.people": 1234, 'public."odd "" name; --"': 0}


async def one_backup(here: Place, database: DatabaseSpec, label: str = "") -> Backup:
    (made,) = await postgres.backup(here.host, [database], secrets(), label=label)
    assert made.backup is not None, made.finding
    return made.backup


def left_in(here: Place) -> list[str]:
    return sorted(path.name for path in (here.home / "backups").iterdir())


@contextmanager
def program(monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str]) -> Iterator[None]:
    """The program on the host, changed."""
    text = PROGRAM
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with monkeypatch.context() as patch:
        patch.setattr(store, "program", lambda engine: text)
        yield


# -- the program itself


def test_the_program_is_python_3_7() -> None:
    ast.parse(PROGRAM, feature_version=(3, 7))


def test_the_program_fits_into_one_argument() -> None:
    assert len(PROGRAM) < 100_000, "Linux allows 128 KB for one argument, quoting included"


DUMPS = {
    "no table": (b"--\n-- PostgreSQL database dump\n--\n\nSET x = 1;\n\n", {}),
    "an empty table": (b"--\nCOPY public.a (x) FROM stdin;\n\\.\n\n\n", {"public.a": 0}),
    "rows": (b"--\nCOPY public.a (x, y) FROM stdin;\n1\t2\n\t\n\n\\.\n\n\n", {"public.a": 3}),
    "two tables": (
        b"--\nCOPY public.a (x) FROM stdin;\n1\n\\.\n\n\n--\n-- Data\n--\n\nCOPY s.b (y) FROM stdin;\n1\n2\n\\.\n",
        {"public.a": 1, "s.b": 2},
    ),
    "a table without columns": (b"--\nCOPY public.a  FROM stdin;\n\n\n\\.\n", {"public.a": 2}),
    "names that need quotes": (
        b'--\nCOPY "S 1"."a""b\nCOPY x.y FROM stdin;\n" ("c)""d", e) FROM stdin;\n1\n\\.\n',
        {'"S 1"."a""b\nCOPY x.y FROM stdin;\n"': 1},
    ),
    "rows that look like something else": (
        b"--\nCOPY public.a (x) FROM stdin;\nCOPY public.b (x) FROM stdin;\n\\\\.\nx\\.\n\\.\n",
        {"public.a": 3},
    ),
    "a sequence whose name looks like a table": (
        b"SELECT pg_catalog.setval('public.\"x\nCOPY a.b FROM stdin;\n\"', 7, true);\n\n\n"
        b"-- it's; a \"name\nCOPY public.a (x) FROM stdin;\n1\n\\.\n",
        {"public.a": 1},
    ),
    "a large object": (
        b"BEGIN;\n\nSELECT pg_catalog.lo_open('7', 131072);\nSELECT pg_catalog.lowrite(0, '\\x434f5059');\n"
        b"SELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n\nCOPY public.a (x) FROM stdin;\n1\n2\n\\.\n",
        {"public.a": 2},
    ),
    "what only psql reads": (
        b"\\restrict a;'b\n\nCOPY public.a (x) FROM stdin;\n1\n\\.\n\\unrestrict a;'b\n",
        {"public.a": 1},
    ),
    "a long row": (b"--\nCOPY public.a (x) FROM stdin;\n" + b"x" * 5000 + b"\\.\n1\n\\.\n", {"public.a": 2}),
}


class Slow(io.BytesIO):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self.most = most

    def readinto(self, room: Any) -> int:
        return super().readinto(room[: self.most])


@pytest.fixture(scope="module")
def words() -> dict[str, Any]:
    """What the program defines, without running it."""
    found: dict[str, Any] = {"__name__": "program"}
    exec(compile(PROGRAM.rpartition("\nrun(")[0], "program", "exec"), found)
    return found


@pytest.mark.parametrize("most", [1, 2, 3, 7, 30, 1000, 1 << 20])
@pytest.mark.parametrize("case", DUMPS)
def test_rows_are_counted_however_the_dump_is_cut(words: dict[str, Any], case: str, most: int) -> None:
    dump, rows = DUMPS[case]
    assert words["count"](Slow(dump, most), "utf-8") == rows


def test_rows_in_a_form_that_is_not_known_are_not_guessed(words: dict[str, Any]) -> None:
    with pytest.raises(words["No"], match="in a way that is not known"):
        words["count"](Slow(b"COPY public.a (x) FROM stdin WITH (FORMAT csv);\n1\n\\.\n", 9), "utf-8")


def test_a_dump_that_ends_within_a_table_is_no_dump(words: dict[str, Any]) -> None:
    with pytest.raises(words["No"], match=r"ends in the middle of table public.a"):
        words["count"](Slow(b"--\nCOPY public.a (x) FROM stdin;\n1\n2\n\\.", 1 << 20), "utf-8")


# -- ping


async def test_all_databases_of_a_host_in_one_round_trip(anywhere: Place, server: Postgres) -> None:
    names = [f"many{number}" for number in range(17)]
    for name in names:
        server.make(f"mo_{name}")
    before = server.log.count("user=svc database=mo_many")
    found = await postgres.ping(anywhere.host, [server.spec(name) for name in names], secrets())
    assert [(one.subject, one.status) for one in found] == [(name, "ok") for name in names]
    assert {one.says.partition(",")[0] for one in found} == {"answers"} and all(one.ms for one in found)
    assert found[0].says.startswith("answers, PostgreSQL ")
    assert server.log.count("user=svc database=mo_many") - before == 17, "one login for each, says the server's own log"


def shut(server: Postgres) -> None:
    server.make("mo_shut")
    server.sql("revoke connect on database mo_shut from public, svc", "alter database mo_shut owner to postgres")


def full(server: Postgres) -> None:
    server.make("mo_full")
    server.sql("alter database mo_full connection limit 0")


def closed(server: Postgres) -> None:
    server.make("mo_closed")
    server.sql("alter database mo_closed allow_connections false")


def nothing(server: Postgres) -> None:
    pass


def role(name: str, words: str) -> Callable[[Postgres], None]:
    def make(server: Postgres) -> None:
        server.sql(f"create role {name} password '{PASSWORDS[MASTER]}' {words}")

    return make


MASTER_OF = {"password": SecretRef(name=MASTER)}
WRONG: dict[str, tuple[Callable[[Postgres], None], dict[str, Any], str, str]] = {
    "the name does not resolve": (
        nothing, {"address": "nowhere.invalid"}, "the name nowhere.invalid does not resolve here", "getent hosts"
    ),
    "nothing listens": (
        nothing, {"port": free_port()}, "port closed: nothing listens on 127.0.0.1:", "listen_addresses"
    ),
    "the certificate is not trusted": (
        nothing, {"tls": "verify", "address": "localhost"}, "TLS: the server's certificate is not trusted", "root.crt"
    ),
    "no entry in pg_hba.conf": (
        role("stranger", "login"), {"user": "stranger"} | MASTER_OF, "does not let stranger into mo_idp from 127.0.0.1",
        "hostssl mo_idp stranger 127.0.0.1/32 scram-sha-256",
    ),
    "the password is wrong": (
        nothing, MASTER_OF, "the server refuses the password of svc", f"is {MASTER} the current one"
    ),
    "the account does not exist": (
        nothing, {"user": "nobody"}, "does not let nobody into mo_idp from 127.0.0.1", "nobody 127.0.0.1/32"
    ),
    "the account may not log in": (
        role("asleep", "nologin in role tested"), {"user": "asleep"} | MASTER_OF, "asleep may not log in", "LOGIN"
    ),
    "there is no such database": (
        nothing, {"database": "mo_gone"}, "there is no database mo_gone on 127.0.0.1:", "is its name"
    ),
    "no CONNECT privilege": (
        shut, {"database": "mo_shut"}, "svc has no CONNECT privilege on mo_shut",
        'GRANT CONNECT ON DATABASE "mo_shut" TO "svc"',
    ),
    "too many connections to the database": (
        full, {"database": "mo_full"}, 'too many connections: too many connections for database "mo_full"',
        "pg_stat_activity",
    ),
    "the database takes no connections": (
        closed, {"database": "mo_closed"}, 'database "mo_closed" is not currently accepting connections', "log"
    ),
    "the secret is missing": (
        nothing, {"password": SecretRef(name="PG_MISSING")}, "the secret PG_MISSING is missing", "looked in"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
async def test_the_cause_is_named_and_hides_no_other(here: Place, server: Postgres, case: str) -> None:
    spoil, words, told, hint = WRONG[case]
    spoil(server)
    found = await postgres.ping(
        here.host, [server.spec("bad", **{"database": "mo_idp", **words}), server.spec()], secrets()
    )
    assert [(one.subject, one.status) for one in found] == [("bad", "fail"), ("idp", "ok")]
    assert told in found[0].says and hint in found[0].hint, found[0]
    assert "\n" not in found[0].says + found[0].hint


async def test_a_port_where_nothing_answers_is_filtered(here: Place, server: Postgres) -> None:
    with filtered() as port:
        found = await postgres.ping(here.host, [server.spec("far", port=port), server.spec()], secrets())
    assert [one.status for one in found] == ["fail", "ok"]
    assert f"127.0.0.1:{port} is filtered" in found[0].says
    assert found[0].hint == f"type on the server: ufw allow from 127.0.0.1 to any port {port} proto tcp"


async def test_what_is_not_postgres_is_told_so(here: Place, server: Postgres) -> None:
    with says(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        (found,) = await postgres.ping(here.host, [server.spec(port=port)], secrets())
    assert found.says == f"what answers on 127.0.0.1:{port} is not PostgreSQL"


async def test_what_says_nothing_is_told_so(here: Place, server: Postgres) -> None:
    with says() as port:
        (found,) = await postgres.ping(here.host, [server.spec(port=port)], secrets())
    assert found.says == f"127.0.0.1:{port} accepts connections and says nothing"


async def test_a_server_without_tls_is_refused_where_tls_is_wanted(here: Place, plain_server: Postgres) -> None:
    databases = [plain_server.spec("crypt", database="mo_idp", tls="required"), plain_server.spec()]
    found = await postgres.ping(here.host, databases, secrets())
    assert [(one.status, one.says.partition(" on ")[0]) for one in found] == [
        ("fail", "TLS: the server"),
        ("ok", found[1].says),
    ]
    assert "ssl = on" in found[0].hint


TRUST = {
    "its name": ("localhost", "ok", "answers, PostgreSQL"),
    "another name": ("127.0.0.1", "fail", "TLS: the server's certificate is not trusted: IP address mismatch"),
}


@pytest.mark.parametrize("case", TRUST)
async def test_a_trusted_certificate_holds_for_its_name(here: Place, server: Postgres, case: str) -> None:
    address, status, told = TRUST[case]
    (here.home / ".postgresql").mkdir()
    (here.home / ".postgresql/root.crt").write_text(server.authority)
    (found,) = await postgres.ping(here.host, [server.spec(address=address, tls="verify")], secrets())
    assert (found.status, found.says[: len(told)]) == (status, told), found


async def test_required_tls_does_not_verify_although_some_authority_is_trusted(here: Place, server: Postgres) -> None:
    with Postgres(tls=True) as other:
        (here.home / ".postgresql").mkdir()
        (here.home / ".postgresql/root.crt").write_text(other.authority)
    (found,) = await postgres.ping(here.host, [server.spec()], secrets())
    assert found.status == "ok", found


FOREIGN = {
    "password": (MASTER_OF, "the server refuses the password of svc"),
    "database": ({"database": "mo_gone"}, "there is no database mo_gone"),
    "pg_hba.conf": ({"user": "nobody"}, "does not let nobody into mo_idp"),
}


@pytest.mark.parametrize("case", FOREIGN)
async def test_a_server_that_speaks_another_language_is_understood(
    here: Place, plain_server: Postgres, case: str
) -> None:
    words, told = FOREIGN[case]
    (found,) = await postgres.ping(here.host, [plain_server.spec(**words)], secrets())
    assert told in found.says
    assert "FEHLER" in plain_server.log or "Passwort" in plain_server.log or "FATAL" in plain_server.log


async def test_too_many_clients_are_told(here: Place, plain_server: Postgres) -> None:
    where = ["-h", str(plain_server.data), "-p", str(plain_server.port), "-U", "postgres", "mo_idp"]
    sleep = ["psql", "-Xqc", "select pg_sleep(60)", *where]
    waiting = [subprocess.Popen(sleep, stderr=subprocess.DEVNULL) for _ in range(6)]
    asleep = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)'"
    try:
        assert await until(lambda: plain_server.sql(asleep) == "6", 30)
        (found,) = await postgres.ping(here.host, [plain_server.spec()], secrets())
    finally:
        for one in waiting:
            one.kill()
            one.wait()
    assert found.status == "fail" and found.says.startswith("too many connections: "), found


async def test_a_server_that_starts_up_is_told(here: Place) -> None:
    with Postgres("hot_standby=off", "restore_command=false") as server:
        server.stop()
        (server.data / "standby.signal").write_text("")
        server.start(wait=False)
        assert await until(lambda: "entering standby mode" in server.log)
        (found,) = await postgres.ping(here.host, [server.spec(database="postgres")], secrets())
    assert found.says.startswith("the server is starting up or shutting down: "), found


async def test_a_host_without_a_client_says_so(here: Place, server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    with program(monkeypatch, ('"/usr/lib/postgresql/"', '"/nowhere/"'), ('os.environ.get("PATH", "")', '"/nowhere"')):
        (found,) = await postgres.ping(here.host, [server.spec()], secrets())
        (made,) = await postgres.backup(here.host, [server.spec()], secrets())
    assert (found.says, found.hint) == ("psql is missing on this host", "type: apt-get install postgresql-client")
    assert made.finding.says == "psql is missing on this host"


# -- the whole way


async def test_backup_list_and_restore_bring_the_rows_back(anywhere: Place, server: Postgres) -> None:
    into = f"mo_again_{anywhere.user.replace('-', '_')}"
    server.make("mo_empty_one")
    databases = [server.spec(), server.spec("void", database="mo_empty_one")]
    made = await postgres.backup(anywhere.host, databases, secrets())
    listed = await store.backups(anywhere.host, ["backups"], verify="newest")
    restored = await postgres.restore(anywhere.host, listed[0], databases[0], into, secrets())

    assert [one.finding.status for one in made] == ["ok", "ok"], made
    assert made[0].finding.says.endswith("1234 rows in 2 tables")
    assert [one.backup for one in made] == listed
    assert (listed[0].rows, listed[1].rows) == (ROWS, {})
    assert (listed[0].host, listed[0].engine, listed[0].proven, listed[0].intact) == ("here", "postgres", True, True)
    assert listed[0].source == f"mo_idp on 127.0.0.1:{server.port}"
    assert {"pg_dump", "server", "zstd"} <= listed[0].tools.keys()
    assert restored.status == "ok" and restored.ms is not None, restored
    assert server.sql("select count(*), max(name) from people", database=into) == "1234|n999"
    assert server.sql(f"select pg_get_userbyid(datdba) from pg_database where datname = '{into}'") == "svc"


async def test_the_store_is_for_this_account_only(here: Place, server: Postgres) -> None:
    await one_backup(here, server.spec())
    assert stat.S_IMODE((here.home / "backups").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (here.home / "backups").iterdir()} == {0o600}
    assert sorted(path.suffix for path in (here.home / "backups").iterdir()) == [".json", ".zst"]


RICH = """
create schema "Ä b"; create type mood as enum ('gut', 'schlecht');
create domain plz as text check (value ~ '^[0-9]{4}$');
create sequence counter start 41 increment 7; select nextval('counter'), nextval('counter');
create table base (
  id bigint generated always as identity primary key, at timestamptz default now(), n numeric(10, 2),
  twice numeric generated always as (n * 2) stored, raw bytea, list int[], words text[], feeling mood, code plz,
  doc jsonb, id2 uuid, net inet, span int4range, note text unique);
insert into base (n, raw, list, words, feeling, code, doc, id2, net, span, note)
  select g / 7.0, decode(md5(g::text), 'hex') || '\\x00ff0a5c'::bytea, array[g, null, 3],
    array['a,b', '"', null, E'x\\ny'], 'gut', '1010', jsonb_build_object('k', g), md5(g::text)::uuid, '::1',
    int4range(1, g + 1), E'😀 \\\\. \\t \\n ' || g from generate_series(1, 500) g;
create table leaf (
  id int primary key, base bigint references base on delete cascade, "From" text default 'x;y');
insert into leaf select g, g from generate_series(1, 100) g;
create table "Ä b"."Qu""o.te
" ("(a" int, "b)" int); insert into "Ä b"."Qu""o.te
" values (1, 2);
create table parts (id int, at date) partition by range (at);
create table parts_1 partition of parts for values from ('2025-01-01') to ('2026-01-01');
insert into parts values (1, '2025-05-05'); create table nothing (); insert into nothing default values;
create view seen as select id, n from base where n > 1;
create materialized view kept as select count(*) from leaf;
create function add_note() returns trigger language plpgsql as
  $$ begin new."From" := 'trigger'; return new; end $$;
create trigger noted before update on leaf for each row execute function add_note();
create index on base using gin (doc); comment on table base is 'it''s; \\ "base"';
create table mine (who text); alter table mine enable row level security;
create policy own on mine using (who = current_user); grant select on base to tested;
select lo_from_bytea(0, '\\xdeadbeef');
"""


def dumped(server: Postgres, name: str) -> str:
    """Everything in a database, as pg_dump tells it: the witness."""
    where = ["-h", str(server.data), "-p", str(server.port), "-U", "postgres"]
    text = subprocess.run(
        ["pg_dump", *where, f"dbname={escaped(name)}"], capture_output=True, text=True, check=True
    ).stdout
    return "\n".join(line for line in text.splitlines() if not line.startswith("\\"))


async def test_everything_comes_back_the_same(here: Place, server: Postgres) -> None:
    server.sql("create extension if not exists pg_trgm", database="template1")
    server.make("mo_rich", RICH)
    server.sql("drop extension pg_trgm", database="template1")
    server.sql(
        'alter database mo_rich set search_path to "$user", public, "Ä b"',
        "alter database mo_rich set work_mem to '7MB'",
        "alter role svc in database mo_rich set statement_timeout to '5min'",
        "revoke connect, temporary on database mo_rich from public",
        "grant connect on database mo_rich to tested with grant option",
        "alter database mo_rich connection limit 33",
    )
    made = await one_backup(here, server.spec("rich"))
    restored = await postgres.restore(here.host, made, server.spec("rich"), "mo \"again\" 'x' ä", secrets())
    assert restored.status == "ok", restored
    again = "mo \"again\" 'x' ä"
    assert (
        made.rows['"Ä b"."Qu""o.te\n"'] == 1 and made.rows["public.nothing"] == 1 and made.rows["public.parts_1"] == 1
    )
    assert dumped(server, "mo_rich") == dumped(server, again)
    about = (
        "select row(pg_get_userbyid(datdba), encoding, datcollate, datconnlimit, (select array_agg(a order by a) from"
        " unnest(datacl::text[]) a), (select array_agg(x::text order by x::text) from (select setrole, setconfig from"
        " pg_db_role_setting where setdatabase = d.oid) x)) from pg_database d where datname = "
    )
    assert server.sql(f"{about} 'mo_rich'") == server.sql(f"{about} 'mo \"again\" ''x'' ä'")
    assert server.sql("select nextval('counter')", database=again) == "55"


async def test_names_stay_what_they_are(here: Place, server: Postgres) -> None:
    names = ["a b", "-rf", "x'y", 'q"q', "a\\b", "dbname=postgres", "$(touch x)", "ünï", "p%2F"]
    databases = [server.spec(name, database=f"odd {name}") for name in names]
    for one in databases:
        server.make(one.database, "create table t (a int)", "insert into t values (1)")
    found = await postgres.ping(here.host, databases, secrets())
    made = await postgres.backup(here.host, databases, secrets())
    assert [one.says for one in found if one.status != "ok"] == []
    assert [one.finding.says for one in made if one.finding.status != "ok"] == []
    assert {one.database for one in await store.backups(here.host, ["backups"])} == set(names)
    assert {path.name for path in here.home.iterdir()} == {"backups"}


@pytest.mark.long
async def test_three_hundred_tables(here: Place, server: Postgres) -> None:
    tables = (
        "do $$ begin for i in 1..300 loop execute format('create table t%s as select generate_series(1, %s)', i, i);"
    )
    server.make("mo_wide", f"{tables} end loop; end $$")
    made = await one_backup(here, server.spec("wide"))
    assert made.rows == {f"public.t{number}": number for number in range(1, 301)}
    restored = await postgres.restore(here.host, made, server.spec("wide"), "mo_wide_again", secrets())
    assert restored.status == "ok", restored


async def test_a_backup_beside_a_busy_writer_is_one_moment_of_it(here: Place, server: Postgres) -> None:
    """The writer adds a row to each of two tables in each transaction: other numbers would be a torn copy."""
    server.make("mo_busy", "create table a (x int)", "create table b (x int)")
    where = ["-h", str(server.data), "-p", str(server.port), "-U", "postgres", "mo_busy"]
    loop = (
        "do $$ begin loop insert into a values (1); perform pg_sleep(0.002); insert into b values (1); commit;"
        " end loop; end $$"
    )
    with subprocess.Popen(["psql", "-Xqc", loop, *where], stderr=subprocess.DEVNULL) as writer:
        try:
            taken = [(await one_backup(here, server.spec("busy"))).rows for _ in range(3)]
        finally:
            server.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'mo_busy'")
            writer.kill()
    assert [one["public.a"] - one["public.b"] for one in taken] == [0, 0, 0]
    assert taken[-1]["public.a"] > taken[0]["public.a"] >= 0


# -- what goes wrong with a backup


@contextmanager
def locked(server: Postgres, table: str = "people", database: str = "mo_idp") -> Iterator[None]:
    where = ["-h", str(server.data), "-p", str(server.port), "-U", "postgres", database]
    text = f"begin; lock table {table}; select 'held';\n".encode()
    pipe = subprocess.PIPE
    with subprocess.Popen(["psql", "-XqAt", *where], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdin and holder.stdout
        holder.stdin.write(text)
        holder.stdin.flush()
        assert holder.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            holder.stdin.close()


async def test_a_table_that_is_locked_for_long_is_told(
    here: Place, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(server), program(monkeypatch, ("LOCKS = 30000", "LOCKS = 300")):
        (made,) = await postgres.backup(here.host, [server.spec()], secrets())
    assert made.finding.says == "a table was locked for more than 0.3 s"
    assert left_in(here) == []


async def test_a_dump_tool_older_than_the_server_is_refused(
    here: Place, server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with program(monkeypatch, ("current_setting('server_version_num')::int", "990001")):
        (made,) = await postgres.backup(here.host, [server.spec()], secrets())
    assert made.finding.says == "pg_dump 15 is older than the server, which is 99"
    assert made.finding.hint == "type: apt-get install postgresql-client-99"
    assert left_in(here) == []


async def test_a_host_without_zstd_says_so(here: Place, server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    with program(monkeypatch, ('folder, "zstd"', 'folder, "no-such-zstd"')):
        (made,) = await postgres.backup(here.host, [server.spec()], secrets())
    assert (made.finding.says, made.finding.hint) == ("zstd is missing on this host", "type: apt-get install zstd")
    assert left_in(here) == []


async def test_what_the_account_may_not_read_is_told(here: Place, server: Postgres) -> None:
    server.make("mo_part", "create table mine (a int)")
    server.sql("create table secret (a int)", database="mo_part")
    (made,) = await postgres.backup(here.host, [server.spec("part", maintenance=None)], secrets())
    assert (
        made.finding.says == "pg_dump may not read everything: query failed: ERROR:  permission denied for table secret"
    )
    assert 'GRANT pg_read_all_data TO "svc"' in made.finding.hint
    assert left_in(here) == []


async def test_row_security_is_not_silently_obeyed(here: Place, server: Postgres) -> None:
    server.make("mo_rls")
    server.sql(
        "create table t (a int)", "insert into t values (1)", "grant select on t to svc",
        "alter table t enable row level security", database="mo_rls",
    )  # fmt: skip
    (made,) = await postgres.backup(here.host, [server.spec("rls", maintenance=None)], secrets())
    assert made.finding.status == "fail" and "row-level security" in made.finding.says
    assert left_in(here) == []


async def test_a_server_killed_in_mid_dump_leaves_no_half_file(here: Place) -> None:
    with Postgres() as server:
        wide = "insert into big select md5(g::text), repeat(md5((g * 3)::text), 9) from generate_series(1, 400000) g"
        server.make("mo_big", "create table big (a text, b text)", wide)
        task = asyncio.create_task(postgres.backup(here.host, [server.spec("big")], secrets()))
        part = here.home / "backups/big.part"
        assert await until(lambda: part.exists() and part.stat().st_size > 0)
        server.stop()
        (made,) = await task
    assert made.finding.says.startswith("the server was lost while it was dumped: "), made
    assert made.finding.hint and left_in(here) == []


@pytest.mark.parametrize("case", LIMITED)
async def test_a_full_disk_leaves_no_half_file(here: Place, server: Postgres, case: str) -> None:
    if case == "disk" and subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces, so no small disk can be mounted")
    noise = "insert into noise select md5(random()::text) from generate_series(1, 40000) g"
    server.make("mo_noise", "create table noise (a text)", noise)
    (here.home / "t").mkdir()
    command = postgres.backup_command([server.spec("noise", store="t/s")], "")
    blind = (*command.argv[:2], PROGRAM.replace("if free < needed", "if False"), *command.argv[3:])
    limited = Command(argv=("sh", "-c", LIMITED[case] + ' "$0" "$@"', *blind))
    result = await here.host.run(limited, stdin=await secrets().rendered(SecretRef(name=MASTER, form="pgpass")))
    assert result.stderr == "" and json.loads(result.stdout)["says"] == "the disk is full", result
    assert (here.home / "left").read_text() == ""
    assert [path for path in (here.home / "t").rglob("*") if path.is_file()] == []


async def test_a_store_on_another_host_is_refused(here: Place, server: Postgres) -> None:
    (made,) = await postgres.backup(here.host, [server.spec(store_host="vault")], secrets())
    assert made.finding.says.startswith("its backup store is on vault")
    with pytest.raises(NotReady, match="idp: its backup store is on vault"):
        postgres.backup_command([server.spec(store_host="vault")], "v2")


async def test_a_backup_hides_no_other(here: Place, server: Postgres) -> None:
    databases = [
        server.spec("gone"),
        server.spec("idp"),
        server.spec("lost", maintenance=None, password=SecretRef(name="NO")),
    ]
    made = await postgres.backup(here.host, databases, secrets())
    assert [one.finding.status for one in made] == ["fail", "ok", "fail"]
    assert made[0].finding.says.startswith("there is no database mo_gone")
    assert made[2].finding.says == "the secret NO is missing"


async def test_two_backups_at_once_both_end_or_one_is_told(here: Place, server: Postgres) -> None:
    both = await asyncio.gather(*(postgres.backup(here.host, [server.spec()], secrets()) for _ in range(3)))
    said = {made.finding.status: made.finding.says for (made,) in both}
    assert "ok" in said and said.get("fail", "another backup of it is being written") == (
        "another backup of it is being written"
    )
    listed = await store.backups(here.host, ["backups"], verify="newest")
    assert [one.flaw for one in listed] == [""] * len(listed)
    assert len(listed) == sum(made.finding.status == "ok" for (made,) in both)


async def test_the_oldest_are_removed_beyond_what_is_kept(here: Place, server: Postgres) -> None:
    made = [await one_backup(here, server.spec(keep=2)) for _ in range(3)]
    left = await store.backups(here.host, ["backups"])
    assert {one.file for one in left} == {made[1].file, made[2].file}
    assert len(left_in(here)) == 4


async def test_what_a_killed_backup_left_is_taken_over(here: Place, server: Postgres) -> None:
    (here.home / "backups").mkdir(0o700)
    (here.home / "backups/idp.part").write_bytes(b"half" * 10_000)
    assert (await one_backup(here, server.spec())).rows == ROWS
    assert len(left_in(here)) == 2


async def test_a_stopped_backup_removes_its_half_copy_and_its_processes(here: Place, server: Postgres) -> None:
    with locked(server):
        task = asyncio.create_task(postgres.backup(here.host, [server.spec()], secrets()))
        assert await until(lambda: bool(mentioning("lock-wait-timeout", str(server.port))))
        task.cancel()
        await asyncio.wait({task})
        assert await until(lambda: not left_in(here) and not mentioning("lock-wait-timeout", str(server.port)))


# -- secrets


async def test_the_password_is_in_no_argument_environment_or_file(here: Place, server: Postgres) -> None:
    """Looked at while pg_dump waits for a locked table."""
    mark = sentinel("PG_MARKED")
    quoted = mark.value.replace("'", "''")
    server.sql(f"create role marked superuser login password '{quoted}' in role tested")
    database = server.spec(user="marked", password=SecretRef(name="PG_MARKED"), maintenance=None)
    search = Search([mark])
    with locked(server):
        task = asyncio.create_task(postgres.backup(here.host, [database], secrets(PG_MARKED=mark.value)))
        assert await until(lambda: bool(mentioning("lock-wait-timeout", str(server.port))))
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    search.text(str(process / name), (process / name).read_bytes())
                except OSError:
                    continue
        search.folder("home", here.home)
    (made,) = await task
    assert made.finding.status == "ok", made
    search.folder("home", here.home)
    assert search.hits == [] and search.looked > 10_000


# -- manifests


def spoil_content(backup: Path) -> None:
    raw = bytearray(backup.read_bytes())
    raw[-1] ^= 1
    backup.write_bytes(raw)


FLAWS: dict[str, tuple[Callable[[Path], object], str]] = {
    "content changed": (spoil_content, "its content is not what its manifest says"),
    "truncated by one byte": (lambda file: file.write_bytes(file.read_bytes()[:-1]), "bytes instead of"),
    "file gone": (lambda file: file.unlink(), "there is no file"),
}


@pytest.mark.parametrize("case", FLAWS)
async def test_a_backup_that_does_not_count_says_why(here: Place, server: Postgres, case: str) -> None:
    spoil, why = FLAWS[case]
    made = await one_backup(here, server.spec())
    before = server.databases
    spoil(here.home / made.file)
    (listed,) = await store.backups(here.host, ["backups"], verify="newest")
    assert why in listed.flaw and (listed.database, listed.engine) == ("idp", "postgres")
    restored = await postgres.restore(here.host, made, server.spec(), "mo_flawed", secrets())
    assert restored.status == "fail" and why.removeprefix("its ") in restored.says, restored
    assert server.databases == before


async def test_a_copy_without_a_manifest_does_not_count(here: Place, server: Postgres) -> None:
    made = await one_backup(here, server.spec())
    (here.home / made.manifest).unlink()
    (listed,) = await store.backups(here.host, ["backups"])
    assert (listed.database, listed.engine, listed.proven) == ("idp", "postgres", False)
    assert listed.flaw == "it has no manifest: its backup did not come to its end"


CUT = {
    "in the middle": lambda raw: raw[: len(raw) // 2],
    "by one byte": lambda raw: raw[:-1],
    "of its sum": lambda raw: raw[:-4],
}


@pytest.mark.parametrize("case", CUT)
async def test_a_dump_that_is_cut_is_found_when_it_is_read_back(
    here: Place, server: Postgres, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a disk that lies: the file is cut after pg_dump and zstd have ended well."""
    size = {"in the middle": "// 2", "by one byte": "- 1", "of its sum": "- 4"}[case]
    cut = (
        "dump(account, program, lock)\n",
        f"dump(account, program, lock); os.truncate(part, os.stat(part).st_size {size})\n",
    )
    with program(monkeypatch, cut):
        (made,) = await postgres.backup(here.host, [server.spec()], secrets())
    assert made.finding.status == "fail" and made.finding.says, made
    assert left_in(here) == []


# -- restore


def other_rows(manifest: Path) -> None:
    told = json.loads(manifest.read_text())
    told["rows"]["public.people"] += 1
    manifest.write_text(json.dumps(told))


def other_owner(manifest: Path) -> None:
    told = json.loads(manifest.read_text())
    told["more"]["owner"] = "nobody knows"
    manifest.write_text(json.dumps(told))


def nothing_more(manifest: Path) -> None:
    pass


SPOILT: dict[str, tuple[Callable[[Path], None], dict[str, Any], str, str]] = {
    "other rows": (other_rows, {}, "mo_new", "the restored database has other rows than its manifest says"),
    "an owner who is not there": (
        other_owner, {}, "mo_new", 'the new database cannot be made: role "nobody knows" does not exist'
    ),
    "a database that exists": (nothing_more, {}, "mo_idp", "the database mo_idp exists already"),
    "a name that is too long": (
        nothing_more, {}, "ä" * 32, f"{'ä' * 32} cannot be the name of a database: it has 1 to 63 bytes"
    ),
    "an account that may not": (
        nothing_more, {"maintenance": None}, "mo_new",
        "the new database cannot be made: permission denied to create database",
    ),
    "a missing secret": (
        nothing_more, {"maintenance": None, "password": SecretRef(name="NO")}, "mo_new", "the secret NO is missing"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
async def test_a_restore_that_fails_leaves_nothing(here: Place, server: Postgres, case: str) -> None:
    spoil, words, into, told = SPOILT[case]
    made = await one_backup(here, server.spec())
    spoil(here.home / made.manifest)
    before = server.databases
    restored = await postgres.restore(here.host, made, server.spec(**words), into, secrets())
    assert (restored.status, restored.says) == ("fail", told)
    assert server.databases == before
    assert server.sql("select count(*) from people", database="mo_idp") == "1234"


async def test_a_restore_that_fails_halfway_drops_what_it_made(here: Place, server: Postgres) -> None:
    server.sql("create role fleeting")
    server.make("mo_fleet", "create table t as select generate_series(1, 10)")
    server.sql("grant select on t to fleeting", database="mo_fleet")
    made = await one_backup(here, server.spec("fleet"))
    server.sql("drop owned by fleeting", database="mo_fleet")
    server.sql("drop role fleeting")
    before = server.databases
    restored = await postgres.restore(here.host, made, server.spec("fleet"), "mo_fleet_again", secrets())
    assert restored.says == 'pg_restore failed: could not execute query: ERROR:  role "fleeting" does not exist'
    assert server.databases == before


DIE = "os.kill(os.getpid(), signal.SIGKILL)"
KILLED = {
    "before it is marked": (
        "    marked = comment(ours, UNFINISHED)",
        f"    {DIE}\n    marked = comment(ours, UNFINISHED)",
    ),
    "while it is filled": ("    rows = counted(account, ours)\n", f"    {DIE}\n"),
}


@pytest.mark.parametrize("case", some_long(KILLED, {"while it is filled"}))
async def test_what_a_killed_restore_has_left_is_taken_away_by_the_next(
    here: Place, server: Postgres, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.make("mo_dead", "create table t as select generate_series(1, 10) as a")
    made = await one_backup(here, server.spec("dead"))
    before = server.databases
    with program(monkeypatch, KILLED[case]), suppress(NotReady):
        await postgres.restore(here.host, made, server.spec("dead"), "mo_risen", secrets())
    (ours,) = server.databases - before
    server.sql(f"create database {ours}_of_somebody")
    restored = await postgres.restore(here.host, made, server.spec("dead"), "mo_risen", secrets())
    assert restored.says.endswith("; what an earlier restore had left half-filled there was dropped first"), restored
    assert server.databases - before == {"mo_risen", f"{ours}_of_somebody"}
    server.sql(f"create database {ours}", "drop database mo_risen")
    refused = await postgres.restore(here.host, made, server.spec("dead"), "mo_risen", secrets())
    assert refused.says == f"there is a database {ours} that is not marked as ours", refused
    server.sql(f"drop database {ours}", f"drop database {ours}_of_somebody")


async def test_a_stopped_restore_drops_what_it_made(here: Place, server: Postgres) -> None:
    server.make("mo_long", "create table t as select generate_series(1, 10) as a")
    server.sql(
        "create function slow(int) returns bool language sql immutable as 'select pg_sleep(60) is not null'",
        "alter table t add check (slow(a)) not valid", database="mo_long",
    )  # fmt: skip
    made = await one_backup(here, server.spec("long"))
    before = server.databases
    task = asyncio.create_task(postgres.restore(here.host, made, server.spec("long"), "mo_long_again", secrets()))
    begun = "select count(*) from pg_stat_activity where datname like 'fairlead_restore%'"
    assert await until(lambda: task.done() or server.sql(begun) != "0", 60)
    assert not task.done(), task.result()
    task.cancel()
    await asyncio.wait({task})
    assert await until(lambda: server.databases == before, 30)


async def test_a_restore_stopped_while_the_server_still_makes_its_database_leaves_none(
    here: Place, server: Postgres
) -> None:
    made = await one_backup(here, server.spec())
    before = server.databases
    making = "select count(*) from pg_stat_activity where query like 'create database \"fairlead%'"
    task = asyncio.create_task(postgres.restore(here.host, made, server.spec(), "mo_never", secrets()))
    with locked(server, "pg_database in share mode"):
        if not await until(lambda: server.sql(making) == "1"):
            pytest.fail(server.sql("select query from pg_stat_activity"))
        task.cancel()
        await asyncio.wait({task})
        assert await until(lambda: server.sql(making) == "0")
    assert await until(lambda: server.databases == before)


async def test_the_grants_of_the_how_to_are_enough(here: Place, server: Postgres) -> None:
    server.sql(
        f"create role keeper login createdb password '{PASSWORDS[MASTER]}' in role tested",
        "grant pg_read_all_data to keeper", "grant svc to keeper",
    )  # fmt: skip
    keeper = {"maintenance": MaintenanceAccount(user="keeper", password=SecretRef(name=MASTER))}
    made = await one_backup(here, server.spec(**keeper))
    restored = await postgres.restore(here.host, made, server.spec(**keeper), "mo_idp_by_keeper", secrets())
    assert restored.status == "ok", restored


# -- as a step of a plan


async def test_the_step_knows_its_own_backup_again(anywhere: Place, server: Postgres) -> None:
    server.make("mo_shop")
    databases = [server.spec(), server.spec("shop")]
    do, probe = postgres.backup_command(databases, "v2"), postgres.backup_probe(databases, "v2")
    line = await secrets().rendered(do.stdin) if do.stdin else b""
    do = do.model_copy(update={"stdin": None})  # the host of this test opens no secrets of the database's

    async def word() -> str:
        return (await anywhere.host.run(probe)).stdout.split()[-1]

    words = [await word()]
    await postgres.backup(anywhere.host, databases[:1], secrets(), label="v2")
    words.append(await word())
    assert (await anywhere.host.run(do, stdin=line)).ok
    words.append(await word())
    first = await store.backups(anywhere.host, ["backups"])
    assert (await anywhere.host.run(do, stdin=line)).ok
    assert words == ["before", "before", "after"]
    assert await store.backups(anywhere.host, ["backups"]) == first, "run twice it copies once"
    other = await anywhere.host.run(postgres.backup_probe(databases, "v3"))
    assert other.stdout.split() == ["before"]


async def test_the_step_fails_when_one_database_fails(here: Place, server: Postgres) -> None:
    databases = [server.spec("gone"), server.spec()]
    do = postgres.backup_command(databases, "v2")
    assert do.stdin == SecretRef(name=MASTER, form="pgpass")
    result = await here.host.run(do.model_copy(update={"stdin": None}), stdin=await secrets().rendered(do.stdin))
    assert (result.code, len(result.stdout.splitlines())) == (1, 2)
    assert (await here.host.run(postgres.backup_probe(databases, "v2"))).stdout.split() == ["before"]


def test_a_step_holds_one_password(server: Postgres) -> None:
    databases = [server.spec(maintenance=None), server.spec("b", maintenance=None, password=SecretRef(name="B"))]
    with pytest.raises(NotReady, match=f"one step cannot use several passwords: {SERVICE}, B"):
        postgres.backup_command(databases, "v2")
