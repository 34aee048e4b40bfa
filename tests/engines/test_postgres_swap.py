from __future__ import annotations

import ast
import asyncio
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fairlead.config.database import MaintenanceAccount
from fairlead.engines import postgres
from fairlead.errors import NotReady
from fairlead.model import Backup, Ledger, SecretRef, TableLedger, side_by_side
from support.places import Place
from support.postgres import MASTER, PASSWORDS, Postgres, escaped, secrets
from support.postgres_swap import DIE, LABEL, Trial, changed, checksums, dying, object_of, psql, talking
from support.processes import mentioning, until
from support.rows import some_long
from support.sentinels import Search, sentinel


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres("max_prepared_transactions=5", "wal_level=logical") as one:
        yield one


TABLES = (
    "create table people (id serial primary key, name text)",
    "insert into people (name) select 'n' || g from generate_series(1, 1000) g",
)
WRITES = (
    "insert into people (name) select 'new' || g from generate_series(1, 50) g",
    "delete from people where id <= 30",
    "update people set name = 'other' where id between 101 and 120",
)
ASKED = iter(range(10_000))


TEMPLATE = "what each trial begins with"


@pytest.fixture(scope="module")
def saved() -> list[tuple[Backup, dict[str, bytes]]]:
    """The backup that all trials have in common, and the files of it, once there is one."""
    return []


@pytest.fixture
async def trial(here: Place, server: Postgres, saved: list[tuple[Backup, dict[str, bytes]]]) -> Trial:
    """A database with a backup, and rows that were written since."""
    trial = Trial(here, server, server.spec("trial", database=f"mo_trial{next(ASKED)}"))
    if not saved:
        first = await a_trial(here, server, name="trial", database=TEMPLATE)
        assert first.backup
        paths = [here.home / path for path in (first.backup.file, first.backup.manifest)]
        saved.append((first.backup, {path.name: path.read_bytes() for path in paths}))
    trial.backup, files = saved[0]
    (here.home / "backups").mkdir(0o700, exist_ok=True)
    for name, content in files.items():
        (here.home / "backups" / name).write_bytes(content)
    server.sql(f'create database "{trial.live}" template "{TEMPLATE}" owner svc')
    return trial


@pytest.fixture(autouse=True)
def tidy(server: Postgres) -> Iterator[None]:
    """Hundreds of databases would make the server slow."""
    yield
    for name in server.databases - {"postgres", "template0", "template1", TEMPLATE}:
        server.sql('drop database "{}" with (force)'.format(name.replace('"', '""')))


async def a_trial(here: Place, server: Postgres, *statements: str, **words: Any) -> Trial:
    name = words.pop("name", f"trial{next(ASKED)}")
    trial = Trial(here, server, server.spec(name, **words))
    server.make(trial.live, *TABLES, *statements)
    await trial.back_up()
    server.sql("set role svc", *WRITES, database=trial.live)
    return trial


# -- the program itself


async def test_probes_are_asked_about_several_databases_at_once(trial: Trial) -> None:
    await trial.well("shadow")
    away = trial.database.model_copy(update={"port": 1})
    asked = [(trial.database, LABEL), (away, LABEL), (trial.database, "20260704_0a1b2c3e")]
    said = await trial.run(side_by_side([postgres.shadow_probe(*one) for one in asked]))
    assert (said.code, said.stdout) == (0, "1 after\n2 cannot_tell\n3 before\n"), said


def test_the_program_is_python_3_7(server: Postgres) -> None:
    ast.parse(postgres.swap_probe(server.spec(), LABEL).argv[2], feature_version=(3, 7))


def test_the_program_fits_into_one_argument(server: Postgres) -> None:
    line = shlex.join(postgres.swap_probe(server.spec(), LABEL).argv)
    assert len(line) < 115_000, "Linux allows 128 KB for one argument, quoting included"


NAMES = {
    "short": ("mo_idp", "mo_idp__new_20260704_0a1b2c3d", "mo_idp__kept_20260704_0a1b2c3d"),
    "as long as may be": ("x" * 39, "x" * 39 + "__new_20260704_0a1b2c3d", "x" * 39 + "__kept_20260704_0a1b2c3d"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_beside_the_live_one(server: Postgres, case: str) -> None:
    live, *names = NAMES[case]
    spec = server.spec(database=live)
    assert [postgres.shadow_name(spec, LABEL), postgres.kept_name(spec, LABEL)] == names


@pytest.mark.parametrize("live", ["x" * 63, "ä" * 31, "😀" * 15, "x" * 40])
def test_a_long_name_is_cut_and_told_apart_by_its_hash(server: Postgres, live: str) -> None:
    spec, other = server.spec(database=live), server.spec(database=live[:-1] + "y")
    for name in (postgres.shadow_name, postgres.kept_name):
        assert len(name(spec, LABEL).encode()) <= 63 and name(spec, LABEL) != name(other, LABEL)
        assert name(spec, LABEL).startswith(live[:7]) and name(spec, LABEL).endswith(LABEL)


# -- the whole way


async def test_the_backup_becomes_live_and_what_was_live_is_kept(here: Place, server: Postgres) -> None:
    trial = await a_trial(here, server)
    written = checksums(server, trial.live)
    assert await trial.words() == ("before", "before")
    await trial.well("shadow")
    assert (await trial.words(), trial.there) == (("after", "before"), "ls")
    assert checksums(server, trial.live) == written, "the shadow touches nothing"
    backed_up = checksums(server, trial.shadow)
    await trial.well("swap")
    assert (await trial.words(), trial.there) == (("after", "after"), "lk")
    assert (checksums(server, trial.live), checksums(server, trial.kept)) == (backed_up, written)
    assert server.sql("select count(*), max(id) from people", database=trial.live) == "1000|1000"
    await trial.well("swap_undo")
    assert (await trial.words(), trial.there) == (("after", "before"), "ls")
    assert (checksums(server, trial.live), checksums(server, trial.shadow)) == (written, backed_up)
    await trial.well("swap")
    assert checksums(server, trial.live) == backed_up, "and again"


# -- from every state, twice


Reach = Callable[[Trial], Any]


def reached_by(*steps: str | tuple[str, str, str]) -> Reach:
    """Steps by name; a step with two texts is killed where the first one stands, the second put in its place."""

    async def go(trial: Trial) -> None:
        for step in steps:
            if isinstance(step, str):
                await trial.well(step)
            else:
                assert not (await trial.run(step[0], step[1:])).ok

    return go


def foreign(which: str) -> Reach:
    async def go(trial: Trial) -> None:
        trial.server.make(getattr(trial, which), "create table theirs as select 1 as a")

    return go


MADE = '"no second database can be made")\n'
UNMARKED = ("shadow", MADE, f"{MADE}    {DIE}\n")
COUNT = "    rows = counted(scene.account, name)\n"
HALF = ("shadow", COUNT, f"    {DIE}\n")
CLOSED = ("swap", "carry_on(live, new)\n", f"{DIE}\n")
RETURNING = ("swap_undo", "carry_on(live, new)\n", f"{DIE}\n")
STATES: dict[str, tuple[Reach, tuple[str, str]]] = {
    "nothing": (reached_by(), ("before", "before")),
    "made and not marked": (reached_by(UNMARKED), ("between", "before")),
    "half-filled": (reached_by(HALF), ("between", "before")),
    "proven": (reached_by("shadow"), ("after", "before")),
    "closed": (reached_by("shadow", CLOSED), ("after", "between")),
    "swapped": (reached_by("shadow", "swap"), ("after", "after")),
    "closed for the return": (reached_by("shadow", "swap", RETURNING), ("after", "between")),
    "returned": (reached_by("shadow", "swap", "swap_undo"), ("after", "before")),
    "returned and set aside": (reached_by("shadow", "swap", "swap_undo", "shadow_undo"), ("before", "before")),
    "a shadow of somebody else": (foreign("shadow"), ("cannot_tell", "cannot_tell")),
    "a kept one of somebody else": (foreign("kept"), ("cannot_tell", "cannot_tell")),
}
NO = ("no", "")
ENDS: dict[tuple[str, str], tuple[str, str]] = {
    ("nothing", "shadow"): ("after", "before"), ("nothing", "shadow_undo"): ("before", "before"),
    ("nothing", "swap"): NO, ("nothing", "swap_undo"): ("before", "before"),
    ("made and not marked", "shadow"): ("after", "before"),
    ("made and not marked", "shadow_undo"): ("before", "before"),
    ("made and not marked", "swap"): NO, ("made and not marked", "swap_undo"): ("between", "before"),
    ("half-filled", "shadow"): ("after", "before"), ("half-filled", "shadow_undo"): ("before", "before"),
    ("half-filled", "swap"): NO, ("half-filled", "swap_undo"): ("between", "before"),
    ("proven", "shadow"): ("after", "before"), ("proven", "shadow_undo"): ("before", "before"),
    ("proven", "swap"): ("after", "after"), ("proven", "swap_undo"): ("after", "before"),
    ("closed", "shadow"): ("after", "between"), ("closed", "shadow_undo"): NO,
    ("closed", "swap"): ("after", "after"), ("closed", "swap_undo"): ("after", "before"),
    ("swapped", "shadow"): ("after", "after"), ("swapped", "shadow_undo"): NO,
    ("swapped", "swap"): ("after", "after"), ("swapped", "swap_undo"): ("after", "before"),
    ("closed for the return", "shadow"): ("after", "between"), ("closed for the return", "shadow_undo"): NO,
    ("closed for the return", "swap"): ("after", "after"), ("closed for the return", "swap_undo"): ("after", "before"),
    ("returned", "shadow"): ("after", "before"), ("returned", "shadow_undo"): ("before", "before"),
    ("returned", "swap"): ("after", "after"), ("returned", "swap_undo"): ("after", "before"),
    ("returned and set aside", "shadow"): NO, ("returned and set aside", "shadow_undo"): ("before", "before"),
    ("returned and set aside", "swap"): NO, ("returned and set aside", "swap_undo"): ("before", "before"),
    ("a shadow of somebody else", "shadow"): NO, ("a shadow of somebody else", "shadow_undo"): NO,
    ("a shadow of somebody else", "swap"): NO, ("a shadow of somebody else", "swap_undo"): NO,
    ("a kept one of somebody else", "shadow"): NO, ("a kept one of somebody else", "swap"): NO,
    ("a kept one of somebody else", "swap_undo"): NO,
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
async def test_the_probes_know_each_state(trial: Trial, state: str) -> None:
    go, words = STATES[state]
    await go(trial)
    assert await trial.words() == words


OFTEN = {"half-filled", "closed", "a shadow of somebody else"}


@pytest.mark.parametrize(("state", "act"), some_long(ENDS, OFTEN), ids=lambda word: word)
async def test_each_step_from_each_state_twice(trial: Trial, state: str, act: str) -> None:
    go, before = STATES[state]
    written = checksums(trial.server, trial.live)
    await go(trial)
    was, wanted = trial.there, ENDS[state, act]
    for _ in range(2):
        result = await trial.run(act)
        line = json.loads(result.stdout)
        assert (result.ok, line["ok"], result.stderr) == (wanted != NO, wanted != NO, ""), result
        assert wanted != NO or ("\n" not in line["says"] + line["hint"] and trial.there == was)
    ends = before if wanted == NO else wanted
    assert await trial.words() == ends
    assert trial.open == (ends[1] != "between")
    if trial.open:
        contents = {name: checksums(trial.server, name) for name in trial.ours}
        assert written in contents.values(), "nothing that was written is lost"
        assert (contents[trial.live] == written) == (ends[1] != "after")


async def test_without_a_live_database_nobody_can_tell(trial: Trial) -> None:
    trial.server.sql(f'alter database "{trial.live}" rename to "{trial.live} away"')
    said = await trial.run("swap_probe")
    assert said.ok and said.stdout.split()[-1] == "cannot_tell" and f"there is no database {trial.live}" in said.stdout
    for act in ("shadow", "swap", "swap_undo"):
        assert not (await trial.run(act)).ok


async def test_a_server_that_is_away_cannot_tell(here: Place) -> None:
    with Postgres() as server:
        trial = await a_trial(here, server)
    words = [await trial.run(name) for name in ("shadow_probe", "swap_probe")]
    assert [one.stdout.split()[-1] for one in words] == ["cannot_tell"] * 2
    assert all("port closed: nothing listens" in one.stdout and one.stderr == "" for one in words)
    assert not (await trial.run("swap")).ok


# -- killed anywhere


ACTS = {"shadow": (), "swap": ("shadow",), "swap_undo": ("shadow", "swap")}


@pytest.mark.parametrize("seed", some_long(range(12), every=3))
async def test_killed_at_any_moment_it_is_all_old_or_all_new(trial: Trial, seed: int) -> None:
    dice = random.Random(seed)
    act = list(ACTS)[seed % 3]
    kills = dying(dice.randint(1, {"shadow": 16, "swap": 32, "swap_undo": 30}[act]), asked=dice.random() < 0.5)
    await killed_and_mended(trial, act, kills, back=dice.random() < 0.5)


@pytest.mark.parametrize("act", ACTS)
async def test_killed_by_the_clock_it_is_all_old_or_all_new(trial: Trial, act: str) -> None:
    await killed_and_mended(trial, act, None, back=act == "swap_undo")


async def killed_and_mended(
    trial: Trial, act: str, kills: tuple[tuple[str, str], ...] | None, *, back: bool
) -> tuple[str, str]:
    """Without `kills` it is killed, and all that it has started, some time after it has begun."""
    old = checksums(trial.server, trial.live)
    await trial.well("shadow")
    new = checksums(trial.server, trial.shadow)
    await trial.well(*(["shadow_undo"] if act == "shadow" else ACTS[act][1:]))
    started = asyncio.create_task(trial.run(act, *(kills or ())))
    if not kills:
        assert await until(lambda: any(map(is_python, mentioning(trial.kept, str(trial.server.port)))))
        await asyncio.sleep(0.25)
        kill(trial, family=True)
    await asyncio.wait({started})
    states = await trial.words()
    assert "cannot_tell" not in states
    if act == "shadow":
        await trial.well("shadow_undo" if back else "shadow")
        assert await trial.words() == ("before" if back else "after", "before")
        assert checksums(trial.server, trial.live) == old
        return states
    await trial.well("swap_undo" if back else "swap")
    assert (await trial.words())[1] == ("before" if back else "after") and trial.open
    assert checksums(trial.server, trial.live) == (old if back else new)
    assert checksums(trial.server, trial.shadow if back else trial.kept) == (new if back else old)
    return states


def is_python(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("python")
    except OSError:
        return False


def kill(trial: Trial, *, family: bool) -> None:
    """The program, or all that it has started too."""
    for pid in mentioning(trial.kept, str(trial.server.port)):
        if is_python(pid):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split() if family else []
            for one in (pid, *map(int, children)):
                os.kill(one, signal.SIGKILL)


CRASHES = {
    "while the shadow is filled": ((), "shadow", COUNT, ("before", "between", "after")),
    "when the live one is closed": (("shadow",), "swap", "carry_on(live, new)\n", ("between",)),
    "when the live one is closed for the return": (
        ("shadow", "swap"), "swap_undo", "carry_on(live, new)\n", ("between",),
    ),
    "before the names change": (("shadow",), "swap", '        base.ask("\\n".join(("begin;", *after', ("between",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CRASHES)
@pytest.mark.parametrize("back", [False, True], ids=["forward", "back"])
async def test_the_server_is_killed(trial: Trial, case: str, back: bool) -> None:
    steps, act, point, words = CRASHES[case]
    old = checksums(trial.server, trial.live)
    await trial.well(*steps)
    stop = "open('here', 'w').close(); time.sleep(3600)\n"
    indent = re.match(" *", point).group() if point.startswith(" ") else ""  # type: ignore[union-attr]
    started = asyncio.create_task(trial.run(act, (point, indent + stop + "        " * (not indent) + point)))
    assert await until((trial.here.home / "here").exists)
    trial.server.stop()
    kill(trial, family=True)
    await asyncio.wait({started})
    trial.server.start()
    assert (await trial.words())[act != "shadow"] in words
    undo = "swap_undo" if act != "shadow" else "shadow_undo"
    await trial.well(undo if back else undo.removesuffix("_undo"))
    swapped = act != "shadow" and not back
    assert trial.open and (checksums(trial.server, trial.live) == old) == (not swapped)
    assert old in {checksums(trial.server, name) for name in trial.ours}


async def test_a_server_that_goes_in_mid_swap_is_told_and_mended(trial: Trial) -> None:
    await trial.well("shadow")
    others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
    gone = f'sql(scene.account, "{others}", "postgres")'
    result = await trial.run("swap", ("carry_on(live, new)\n", f"{gone}\n        carry_on(live, new)\n"))
    assert not result.ok and json.loads(result.stdout)["says"]
    assert (trial.open, await trial.words()) == (True, ("after", "before")), "it opens again what it has closed"


@pytest.mark.parametrize("act", ["swap", "swap_undo"])
async def test_a_swap_that_is_told_to_end_opens_the_live_database_again(trial: Trial, act: str) -> None:
    await trial.well("shadow", *(["swap"] if act == "swap_undo" else []))
    before = await trial.words()
    end = "os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)"
    assert not (await trial.run(act, ("carry_on(live, new)\n", f"{end}\n"))).ok
    assert (trial.open, await trial.words()) == (True, before)


# -- what is in a database, and what belongs to it


RICH = """
create schema "Ä b"; create type mood as enum ('gut', 'schlecht');
create domain plz as text check (value ~ '^[0-9]{4}$');
create table base (
  id bigint generated always as identity primary key, at timestamptz default now(), n numeric(10, 2),
  twice numeric generated always as (n * 2) stored, raw bytea, list int[], feeling mood, code plz,
  doc jsonb, id2 uuid, net inet, span int4range, note text unique);
insert into base (n, raw, list, feeling, code, doc, id2, net, span, note)
  select g / 7.0, decode(md5(g::text), 'hex') || '\\x00ff0a5c'::bytea, array[g, null, 3], 'gut', '1010',
    jsonb_build_object('k', g), md5(g::text)::uuid, '::1', int4range(1, g + 1), E'😀 \\\\. \\t \\n ' || g
  from generate_series(1, 500) g;
create table leaf (id int primary key, base bigint references base on delete cascade, "From" text default 'x;y');
insert into leaf select g, g from generate_series(1, 100) g;
create table "Ä b"."Qu""o.te`
" ("(a" int, "b)" int primary key, "c 😀" uuid); insert into "Ä b"."Qu""o.te`
" values (1, 2, md5('x')::uuid);
create table parts (id int, at date) partition by range (at);
create table parts_1 partition of parts for values from ('2025-01-01') to ('2026-01-01');
insert into parts values (1, '2025-05-05'); create table nothing (); insert into nothing default values;
create view seen as select id, n from base where n > 1;
create materialized view kept as select count(*) from leaf;
create function add_note() returns trigger language plpgsql as
  $$ begin new."From" := 'trigger'; return new; end $$;
create trigger noted before update on leaf for each row execute function add_note();
create procedure clear() language sql as $$ delete from leaf $$;
create sequence "odd "" seq" start 41 increment 7; select nextval('"odd "" seq"');
create index on base using gin (doc); comment on table base is 'it''s; \\ "base"';
create table mine (who text); alter table mine enable row level security;
create policy own on mine using (who = current_user); grant select on base to tested;
select lo_from_bytea(0, '\\xdeadbeef');
"""


def dumped(server: Postgres, name: str) -> str:
    """Everything in a database but where its counters stand, as pg_dump tells it."""
    where = ["-h", str(server.data), "-p", str(server.port), "-U", "postgres", f"dbname={escaped(name)}"]
    text = subprocess.run(["pg_dump", *where], capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in text.splitlines() if not line.startswith(("\\", "SELECT pg_catalog.setval")))


async def test_everything_comes_back_with_its_database(here: Place, server: Postgres) -> None:
    trial = Trial(here, server, server.spec("rich"))
    server.make(trial.live, RICH)
    server.sql(
        'alter database mo_rich set search_path to "$user", public, "Ä b"',
        "alter database mo_rich set work_mem to '7MB'",
        "alter role svc in database mo_rich set statement_timeout to '5min'",
        "revoke connect, temporary on database mo_rich from public",
        "grant connect on database mo_rich to tested with grant option",
        "alter database mo_rich connection limit 33",
        "comment on database mo_rich is 'it''s \\ \"rich\" 😀'",
    )
    await trial.back_up()
    was, about = dumped(server, "mo_rich"), object_of(server, "mo_rich")
    written = 'delete from base where id < 60; drop view seen; update "Ä b"."Qu""o.te`\n" set "(a" = 7'
    server.sql(written, database="mo_rich")
    changed_text = dumped(server, "mo_rich")
    await trial.well("shadow", "swap")
    assert (dumped(server, "mo_rich"), dumped(server, trial.kept)) == (was, changed_text)
    assert object_of(server, "mo_rich") == about
    server.sql("update leaf set base = 500", "delete from base where id = 500", database="mo_rich")
    assert server.sql("select count(*) from leaf", database="mo_rich") == "0", "foreign keys and triggers work"
    await trial.well("swap_undo")
    assert (dumped(server, "mo_rich"), object_of(server, "mo_rich")) == (changed_text, about)


async def test_what_was_set_since_the_backup_stays_set(trial: Trial) -> None:
    """Owner, privileges and settings are the live database's, not those of the day of the backup."""
    server, name = trial.server, f'"{trial.live}"'
    for_svc, for_tested = (f"alter role {role} in database {name}" for role in ("svc", "tested"))
    server.sql(f"alter database {name} set work_mem to '3MB'", f"{for_svc} set lock_timeout to 7")
    await trial.well("shadow")
    server.sql(
        f"alter database {name} owner to fairlead", f"alter database {name} reset all", f"{for_svc} reset all",
        f"alter database {name} set work_mem to '4MB'", f"{for_tested} set lock_timeout to 9",
        f"grant create on database {name} to svc", f"revoke all on database {name} from public",
        f"alter database {name} connection limit 12", f"comment on database {name} is 'new'",
    )  # fmt: skip
    about = object_of(server, trial.live)
    await trial.well("swap")
    assert object_of(server, trial.live) == about
    await trial.well("swap_undo")
    assert object_of(server, trial.live) == about


ODD = ["a b", 'ä"q', "-rf back`tick`", "x'y\\ $(touch x)", "dbname=%s%(name)s", "x" * 60, "😀" * 15]


@pytest.mark.parametrize("name", some_long(ODD, every=4))
async def test_odd_names(here: Place, server: Postgres, name: str) -> None:
    trial = await a_trial(here, server, name="odd", database=name)
    old = checksums(server, name)
    await trial.well("shadow", "swap")
    assert await trial.words() == ("after", "after")
    found = await postgres.ledger(here.host, trial.database, LABEL, secrets())
    assert [table.table for table in found.differing] == ["public.people"]
    await trial.well("swap_undo")
    assert checksums(server, name) == old
    await trial.well("shadow_undo", "kept_drop")
    assert await trial.words() == ("before", "before") and trial.there == "l"


async def test_an_empty_database(here: Place, server: Postgres) -> None:
    trial = Trial(here, server, server.spec("void"))
    server.make(trial.live)
    await trial.back_up()
    await trial.well("shadow", "swap")
    found = await postgres.ledger(here.host, trial.database, LABEL, secrets())
    assert (found.kind, found.tables) == ("exact", ())
    await trial.well("swap_undo", "shadow_undo", "kept_drop")
    assert trial.there == "l"


async def test_three_hundred_tables_each_with_a_counter(here: Place, server: Postgres) -> None:
    trial = Trial(here, server, server.spec("wide"))
    make = (
        "create table t%1$s (id serial primary key); insert into t%1$s"
        " select nextval(''t%1$s_id_seq'') from generate_series(1, %1$s)"
    )
    server.make(trial.live, f"do $$ begin for i in 1..300 loop execute format('{make}', i); end loop; end $$")
    await trial.back_up()
    more = "insert into t%1$s default values"
    server.sql(f"do $$ begin for i in 1..300 loop execute format('{more}', i); end loop; end $$", database=trial.live)
    await trial.well("shadow", "swap")
    counted = ("select count(*) from t300", "insert into t300 default values returning id")
    assert server.sql(*counted, database=trial.live) == "300\n302"
    found = await postgres.ledger(here.host, trial.database, LABEL, secrets())
    assert len(found.tables) == 300
    assert {numbers(one) for one in found.tables if one.table != "public.t300"} == {(0, 1, 0)}


# -- counters


COUNTERS = {
    "a serial": ("create table t (id serial primary key)", "insert into t default values", "currval('t_id_seq')"),
    "an identity": (
        "create table t (id int generated always as identity)", "insert into t default values", "currval('t_id_seq')",
    ),
    "a sequence": ("create sequence s increment 7", "select nextval('s')", "currval('s')"),
    "a sequence that counts down": ("create sequence s increment -3", "select nextval('s')", "currval('s')"),
    "one that nobody used": ("create sequence s start 500", "select 1", "500"),
    "one with a name": ('create sequence "ä ""S"', "select nextval('\"ä \"\"S\"')", "currval('\"ä \"\"S\"')"),
    "one that holds some back": ("create sequence s cache 20", "select nextval('s')", "currval('s')"),
}  # fmt: skip


@pytest.mark.parametrize("case", some_long(COUNTERS, every=4))
async def test_a_number_that_was_given_out_is_not_given_out_again(here: Place, server: Postgres, case: str) -> None:
    make, use, value = COUNTERS[case]
    trial = Trial(here, server, server.spec(f"count{next(ASKED)}"))
    server.make(trial.live, make, use)

    def used(times: int) -> list[int]:
        asked = ("set role svc", use, f"select {value}")
        return [int(server.sql(*asked, database=trial.live).split("\n")[-1]) for _ in range(times)]

    given = used(3)
    await trial.back_up()
    given += used(5)
    await trial.well("shadow")
    given += used(2)
    await trial.well("swap")
    given += used(4)
    await trial.well("swap_undo")
    given += used(4)
    await trial.well("swap")
    given += used(2)
    assert case == "one that nobody used" or len(set(given)) == len(given), given


async def test_a_counter_at_its_end_gives_nothing_out(here: Place, server: Postgres) -> None:
    """The live counter was made larger since the backup: the restored one stands at its own end, and says so."""
    trial = await a_trial(here, server, "create sequence small maxvalue 10", "select nextval('small')")
    server.sql("alter sequence small maxvalue 99", "select setval('small', 50)", database=trial.live)
    await trial.well("shadow", "swap")
    assert server.sql("select last_value, is_called from small", database=trial.live) == "10|t"
    await trial.well("swap_undo")
    assert server.sql("select nextval('small')", database=trial.live) == "51"


async def test_a_counter_that_begins_again_goes_on_where_the_live_one_was(here: Place, server: Postgres) -> None:
    trial = await a_trial(here, server, "create sequence round maxvalue 9 cycle", "select setval('round', 8)")
    server.sql("select nextval('round'), nextval('round'), nextval('round')", database=trial.live)
    await trial.well("shadow", "swap")
    assert server.sql("select nextval('round')", database=trial.live) == "3"


# -- ledger


def numbers(table: TableLedger) -> tuple[int | None, int | None, int | None]:
    return table.only_live, table.only_kept, table.changed


def by_table(ledger: Ledger) -> dict[str, tuple[int | None, int | None, int | None]]:
    return {table.table: numbers(table) for table in ledger.tables}


MANY = "create table t (id int primary key, v text); insert into t select g, 'v' || g from generate_series(1, 5000) g"
TYPES = "id int primary key, f float8, d timestamptz, i interval, b bytea, n numeric, j jsonb, a text[]"
DIFFERENT = {
    "rows in, out and changed": (
        MANY,
        "insert into t select g, 'new' from generate_series(5001, 5070) g; delete from t where id <= 30;"
        " update t set v = 'other' where id between 101 and 120; update t set v = v where id > 4000",
        (30, 70, 20),
    ),
    "a key of several columns, one of them a word": (
        "create table t (v text, b text, a int, primary key (b, a)); insert into t values (1, 'x', 1), (2, 'X', 1)",
        "insert into t values (1, 'x', 2), (1, 'ä 😀', 1); update t set v = null where b = 'X'",
        (0, 2, 1),
    ),
    "no key": (
        "create table t (v text); insert into t select 'v' || g % 10 from generate_series(1, 100) g",
        "insert into t values ('v1'), ('v1'), ('new');"
        " delete from t where ctid in (select ctid from t where v = 'v2' limit 4)",
        (4, 3, None),
    ),
    "a changed key": (MANY, "update t set id = 9000 where id = 5", (1, 1, 0)),
    "all that looks alike": (
        f"create table t ({TYPES}); insert into t select g, 0.1, '2025-01-01 00:00+00', '1 mon', '\\x01', 1.0, '{{}}',"
        " '{a,null}' from generate_series(1, 9) g",
        "update t set f = 0.1::float8 + 1e-18 where id = 2; update t set f = 0.10000000000000002 where id = 3;"
        " update t set d = '2025-01-01 01:00+01' where id = 4; update t set n = 1.00 where id = 5;"
        " update t set a = '{a,\"null\"}' where id = 6; update t set i = '30 days' where id = 7;"
        " update t set j = null where id = 8; update t set b = '\\x0100' where id = 9",
        (0, 0, 6),
    ),
    "nothing": (MANY, "update t set v = v", (0, 0, 0)),
    "all rows gone": (MANY, "truncate t", (5000, 0, 0)),
    "no column": ("create table t (); insert into t default values", "insert into t default values", (0, 1, None)),
}  # fmt: skip


@pytest.mark.parametrize("case", DIFFERENT)
async def test_the_ledger_is_the_truth(here: Place, server: Postgres, case: str) -> None:
    make, write, truth = DIFFERENT[case]
    trial = Trial(here, server, server.spec(f"ledger{next(ASKED)}"))
    server.make(trial.live, make)
    await trial.back_up()
    server.sql(
        "set role svc",
        write,
        f"alter role svc in database {trial.live} set datestyle to 'German'",
        database=trial.live,
    )
    await trial.well("shadow", "swap")
    found = await postgres.ledger(here.host, trial.database, LABEL, secrets())
    assert (by_table(found), found.kind, found.database) == ({"public.t": truth}, "exact", trial.database.name)
    if truth[2] is None:
        assert found.tables[0].says == "it has no key: a changed row is in both numbers"


async def test_the_ledger_knows_what_only_one_side_has(trial: Trial) -> None:
    """As after a migration of the release that is taken back."""
    more = ("create table added as select generate_series(1, 7) as a", "alter table people add note text default 'x'")
    trial.server.sql("set role svc", *more, database=trial.live)
    await trial.well("shadow", "swap")
    found = await postgres.ledger(trial.here.host, trial.database, LABEL, secrets())
    assert by_table(found) == {"public.added": (0, 7, 0), "public.people": (30, 50, 20)}
    assert [one.says for one in found.tables] == [
        "the live database has no such table", "not compared, as only one side has them: note",
    ]  # fmt: skip
    assert (found.kind, [one.exact for one in found.tables]) == ("estimate", [True, False])


async def test_large_objects_are_compared_by_their_pages(trial: Trial) -> None:
    made = ("select lo_from_bytea(7, 'one')", "select lo_from_bytea(8, 'two')")
    trial.server.sql(*made, database=trial.live)
    await trial.back_up()
    written = ("select lo_put(7, 0, 'ONE')", "select lo_from_bytea(9, 'three')", "select lo_unlink(8)")
    trial.server.sql(*written, database=trial.live)
    await trial.well("shadow", "swap")
    found = await postgres.ledger(trial.here.host, trial.database, LABEL, secrets())
    assert by_table(found) == {"pg_catalog.pg_largeobject": (1, 1, 1), "public.people": (0, 0, 0)}


async def test_a_table_that_is_too_large_is_only_counted(trial: Trial) -> None:
    trial.server.sql("create table same as select generate_series(1, 2000)", database=trial.live)
    await trial.back_up()
    trial.server.sql("delete from people where id > 900", database=trial.live)
    await trial.well("shadow", "swap")
    found = await postgres.ledger(trial.here.host, trial.database, LABEL, secrets(), limit_rows=500)
    assert by_table(found) == {"public.people": (150, 0, None), "public.same": (0, 0, 0)}
    assert (found.kind, found.tables[0].exact, found.tables[1].exact) == ("estimate", False, True)
    assert found.tables[0].says == "it has more than 500 rows: they were only counted"


async def test_there_is_no_ledger_without_what_was_kept(trial: Trial) -> None:
    with pytest.raises(NotReady, match=f"there is no database {trial.kept}"):
        await postgres.ledger(trial.here.host, trial.database, LABEL, secrets())


async def test_an_estimate_of_what_was_written_since(here: Place, server: Postgres) -> None:
    trial = await a_trial(here, server)
    trial.server.sql("create table added as select generate_series(1, 7) as a", database=trial.live)
    assert trial.backup
    settled = "select n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where relname = 'people'"
    assert await until(lambda: trial.server.sql(settled, database=trial.live) == "1050|20|30")
    found = await postgres.estimate(trial.here.host, trial.database, trial.backup, secrets())
    assert by_table(found) == {"public.added": (7, 0, None), "public.people": (50, 30, 20)}
    assert found.kind == "estimate" and {one.exact for one in found.tables} == {False}


async def test_an_estimate_without_statistics_counts(here: Place, server: Postgres) -> None:
    trial = await a_trial(here, server)

    assert trial.backup
    trial.server.stop()
    trial.server.start()
    found = await postgres.estimate(trial.here.host, trial.database, trial.backup, secrets())
    assert by_table(found) == {"public.people": (20, 0, None)}
    assert found.tables[0].says == "its rows were only counted"


# -- while others work


class Client:
    """Writes a mark and reads all rows, in a session that is opened again when it is ended."""

    def __init__(self, trial: Trial, number: int) -> None:
        self.trial, self.number = trial, number
        self.acknowledged: list[str] = []
        self.seen: set[str] = set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        while not self.over.is_set():
            pipe = subprocess.PIPE
            argv = psql(self.trial.server, self.trial.live)
            session = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
            with suppress(BrokenPipeError), session:
                while not self.over.is_set() and self.asked(session):
                    pass

    def asked(self, session: subprocess.Popen[str]) -> bool:
        """One row written and the table read; False when the session is over."""
        assert session.stdin and session.stdout
        mark = f"{self.number}-{time.monotonic_ns()}"
        session.stdin.write(f"insert into log values ('{mark}'); select '{mark}', count(*), max(id) from people;\n")
        session.stdin.flush()
        answer = session.stdout.readline().strip()
        if answer:
            self.acknowledged.append(mark)
            self.seen.add(answer.removeprefix(mark))
        return bool(answer)


async def test_readers_and_writers_see_no_wrong_answer(here: Place, server: Postgres) -> None:
    trial = await a_trial(here, server, "create table log (mark text)")
    server.sql("grant insert on log to public", database=trial.live)
    clients = [Client(trial, number) for number in range(3)]
    try:
        await trial.well("shadow", "swap", "swap_undo")
        assert await until(lambda: all(len(one.acknowledged) > 10 for one in clients))
    finally:
        for one in clients:
            one.over.set()
        for one in clients:
            one.thread.join()
    assert set().union(*(one.seen for one in clients)) == {"|1000|1000", "|1020|1050"}, "one content or the other"
    marks = {mark for name in trial.ours for mark in server.sql("select mark from log", database=name).split("\n")}
    assert all(marks.issuperset(one.acknowledged) for one in clients), "every acknowledged row is in one of the two"


async def test_a_long_transaction_is_waited_for_and_ended_only_if_allowed(trial: Trial) -> None:
    await trial.well("shadow")
    quick = (("PATIENCE = 30", "PATIENCE = 0.5"), ("LONG = 2", "LONG = 0.1"))
    with talking(trial.server, trial.live, "begin", "update people set name = 'never' where id = 500") as one:
        result = await trial.run("swap", *quick)
        says = json.loads(result.stdout)["says"]
        assert not result.ok and says.startswith(f"a transaction of postgres has been open in {trial.live} for "), says
        assert one.poll() is None and trial.open and (await trial.words())[1] == "before"
        allowed = postgres.swap_command(trial.database, LABEL, end_blockers=True)
        assert (await trial.run(allowed, *quick)).ok
    assert (await trial.words())[1] == "after"


async def test_a_long_transaction_that_ends_in_time_is_not_disturbed(trial: Trial) -> None:
    await trial.well("shadow")
    with talking(trial.server, trial.live, "begin", "update people set name = 'late' where id = 500") as one:
        assert one.stdin
        waiting = asyncio.create_task(trial.run("swap", ("LONG = 2", "LONG = 0.01")))
        assert await until(lambda: bool(tagged(trial)))
        one.stdin.write("commit;\n")
        one.stdin.flush()
        assert (await waiting).ok
    assert trial.server.sql("select name from people where id = 500", database=trial.kept) == "late"


def tagged(trial: Trial) -> str:
    """The sessions of ours in the live database."""
    who = f"datname = '{trial.live}' and application_name like 'fairlead %'"
    return trial.server.sql(f"select pid from pg_stat_activity where {who}")


TIED = {
    "a prepared transaction": (
        ("begin", "insert into people (name) values ('promised')", "prepare transaction 'half'"),
        ("rollback prepared 'half'",), "the prepared transaction half is open in it",
    ),
    "a subscriber": (
        ("select pg_create_logical_replication_slot('reader', 'pgoutput')",),
        ("select pg_drop_replication_slot('reader')",), "the replication slot reader reads it",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TIED)
async def test_what_depends_on_the_live_database_ends_the_swap_before_anything(trial: Trial, case: str) -> None:
    tie, untie, told = TIED[case]
    await trial.well("shadow")
    trial.server.sql(*tie, database=trial.live)
    try:
        result = await trial.run("swap")
        assert json.loads(result.stdout)["says"] == f"{trial.live}: {told}"
        assert not result.ok and trial.open and (await trial.words())[1] == "before"
    finally:
        trial.server.sql(*untie, database=trial.live)


# -- what goes wrong


def other_rows(manifest: Path) -> None:
    told = json.loads(manifest.read_text())
    told["rows"]["public.people"] += 1
    manifest.write_text(json.dumps(told))


def other_database(manifest: Path) -> None:
    told = json.loads(manifest.read_text())
    told["database"] = "crm"
    manifest.write_text(json.dumps(told))


def cut(manifest: Path) -> None:
    file = manifest.with_suffix(".pg.zst")
    file.write_bytes(file.read_bytes()[:-1])


def flipped(manifest: Path) -> None:
    file = manifest.with_suffix(".pg.zst")
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)


SPOILT: dict[str, tuple[Callable[[Path], None], str]] = {
    "other rows": (other_rows, "the restored database has other rows than its manifest says"),
    "another database's": (
        other_database,
        "the backup does not count: its manifest says that it is a backup of crm, and its name does not",
    ),
    "cut": (cut, "the backup does not count: its file is cut short or changed: "),
    "another content": (flipped, "the backup's content is not what its manifest says"),
}


@pytest.mark.parametrize("case", SPOILT)
async def test_a_shadow_that_fails_leaves_nothing(trial: Trial, case: str) -> None:
    spoil, told = SPOILT[case]
    assert trial.backup
    old = checksums(trial.server, trial.live)
    spoil(trial.here.home / trial.backup.manifest)
    result = await trial.run("shadow")
    assert not result.ok and json.loads(result.stdout)["says"].startswith(told), result
    assert (trial.there, checksums(trial.server, trial.live), await trial.words()) == ("l", old, ("before", "before"))


def test_the_backup_of_another_database_is_refused_in_the_plan(server: Postgres) -> None:
    backup = Backup(database="crm", engine="postgres", host="here", file="f", manifest="m")
    with pytest.raises(NotReady, match="a postgres backup of crm on here cannot be restored into it"):
        postgres.shadow_command(server.spec(), backup, LABEL)
    with pytest.raises(NotReady, match="a postgres backup of crm on vault cannot be restored into it"):
        postgres.shadow_command(server.spec("crm"), backup.model_copy(update={"host": "vault"}), LABEL)


async def test_where_no_second_database_may_be_made_nothing_happens(trial: Trial) -> None:
    trial.database = trial.database.model_copy(update={"maintenance": None})
    old = checksums(trial.server, trial.live)
    command = trial.step("shadow")
    result = await trial.run(command)
    line = json.loads(result.stdout)
    assert line["says"] == "no second database can be made: permission denied to create database"
    assert line["hint"] == "give the group a `maintenance` account that may create databases"
    assert (result.ok, trial.there, checksums(trial.server, trial.live)) == (False, "l", old)


async def test_the_grants_of_the_how_to_are_enough(here: Place, server: Postgres) -> None:
    server.sql(
        f"create role keeper login createdb password '{PASSWORDS[MASTER]}' in role tested",
        "grant pg_read_all_data to keeper", "grant svc to keeper",
    )  # fmt: skip
    keeper = MaintenanceAccount(user="keeper", password=SecretRef(name=MASTER))
    trial = await a_trial(
        here, server, "create sequence s", "select nextval('s')", name="kept_by_keeper", maintenance=keeper
    )
    old = checksums(server, trial.live)
    server.sql(
        "set role svc",
        "comment on database mo_kept_by_keeper is 'hers'",
        "revoke connect on database mo_kept_by_keeper from public",
    )
    about = object_of(server, trial.live)
    await trial.well("shadow")
    with talking(server, trial.live, "set session authorization svc"):
        refused = await trial.run("swap")
    told = json.loads(refused.stdout)
    assert told["says"].startswith("a session cannot be ended: must be a superuser to terminate superuser"), told
    assert trial.open and (await trial.words())[1] == "before"
    await trial.well("swap")
    assert object_of(server, trial.live) == about
    found = await postgres.ledger(here.host, trial.database, LABEL, secrets())
    assert by_table(found) == {"public.people": (30, 50, 20)}
    await trial.well("swap_undo")
    assert (checksums(server, trial.live), object_of(server, trial.live)) == (old, about)
    await trial.well("shadow_undo", "kept_drop")
    assert trial.there == "l"


async def test_a_setting_that_may_not_be_carried_over_ends_it_while_all_is_as_it_was(
    here: Place, server: Postgres
) -> None:
    server.sql(f"create role meek login createdb password '{PASSWORDS[MASTER]}' in role tested, svc, pg_read_all_data")
    meek = MaintenanceAccount(user="meek", password=SecretRef(name=MASTER))
    trial = await a_trial(here, server, maintenance=meek)
    server.sql(f"alter database {trial.live} set log_min_duration_statement to 7")
    result = await trial.run("shadow")
    says = "the shadow cannot become like the live database: permission denied to set parameter"
    assert json.loads(result.stdout)["says"].startswith(says), result
    assert (trial.there, trial.open) == ("l", True)


@pytest.fixture
def small_disk(server: Postgres) -> Iterator[Path]:
    """A folder of the server's with room for two small databases."""
    folder = server.folder / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=26m", "none", str(folder)], capture_output=True).returncode:
        pytest.skip("this account may not mount a small disk")
    try:
        shutil.chown(folder, "postgres", "postgres")
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_server_disk_leaves_the_live_database_alone(trial: Trial, small_disk: Path) -> None:
    """The shadow is made where the live database lies."""
    noise = "create table noise as select md5(g::text) as a from generate_series(1, 150000) g"
    trial.server.sql(f"create tablespace small location '{small_disk}'", "grant create on tablespace small to public")
    trial.server.sql(f"alter database {trial.live} set tablespace small")
    trial.server.sql(noise, database=trial.live)
    await trial.back_up()
    old = checksums(trial.server, trial.live)
    result = await trial.run("shadow")
    assert not result.ok and json.loads(result.stdout)["says"] == "the server's disk is full", result
    assert (trial.there, checksums(trial.server, trial.live)) == ("l", old)
    trial.server.sql("truncate noise", "checkpoint", database=trial.live)
    believed = trial.database.store.model_copy(update={"shrink": 0.0})  # that it is much smaller is right
    trial.database = trial.database.model_copy(update={"store": believed})
    await trial.back_up()
    await trial.well("shadow", "swap")
    trial.server.sql(*(f'drop database "{name}"' for name in trial.ours), "drop tablespace small")


# -- retention


async def test_what_was_kept_is_dropped_by_its_label_and_nothing_else(trial: Trial) -> None:
    await trial.well("shadow", "swap")
    live = checksums(trial.server, trial.live)
    other = Trial(trial.here, trial.server, trial.database, "20260705_ffffffff")
    await other.well("kept_drop")
    assert trial.there == "lk"
    await trial.well("kept_drop", "kept_drop")
    assert (trial.there, checksums(trial.server, trial.live)) == ("l", live)


async def test_what_is_not_marked_as_kept_is_not_dropped(trial: Trial) -> None:
    trial.server.make(trial.kept, "create table theirs as select 1 as a")
    result = await trial.run("kept_drop")
    assert not result.ok and json.loads(result.stdout)["says"] == f"{trial.kept} is not what was kept under that label"
    assert trial.there == "lk"


async def test_the_live_name_is_never_dropped(trial: Trial) -> None:
    command = trial.step("kept_drop")
    words = json.loads(command.argv[4]) | {"kept": trial.live, "shadow": trial.live}
    for verb in ("kept_drop", "shadow_undo", "shadow"):
        argv = (*command.argv[:3], verb, json.dumps(words | {"manifest": "", "sha256": ""}))
        assert not (await trial.run(command.model_copy(update={"argv": argv}))).ok
    assert trial.there == "l" and trial.open


# -- secrets


async def test_the_password_is_in_no_argument_environment_file_or_answer(here: Place, server: Postgres) -> None:
    mark = sentinel("PG_MARKED")
    quoted = mark.value.replace("'", "''")
    server.sql(f"create role marked2 superuser login password '{quoted}' in role tested")
    marked = MaintenanceAccount(user="marked2", password=SecretRef(name="PG_MARKED"))
    trial = await a_trial(here, server)
    trial.database = trial.database.model_copy(update={"maintenance": marked})
    search = Search([mark])
    for name in ("shadow", "swap", "swap_probe", "swap_undo", "shadow_undo"):
        command = trial.step(name)
        assert command.stdin == SecretRef(name="PG_MARKED", form="pgpass")
        search.text("plan", command.to_json())
        line = await secrets(PG_MARKED=mark.value).rendered(command.stdin)
        waits = changed(
            command,
            *(
                [("carry_on(live, new)\n", "open('here', 'w').close(); time.sleep(0.5); carry_on(live, new)\n")]
                if name == "swap"
                else []
            ),
        )
        task = asyncio.create_task(here.host.run(waits.model_copy(update={"stdin": None}), stdin=line))
        if name == "swap":
            assert await until((here.home / "here").exists)
            for process in Path("/proc").glob("[0-9]*"):
                for file in ("cmdline", "environ"):
                    try:
                        search.text(str(process / file), (process / file).read_bytes())
                    except OSError:
                        continue
        result = await task
        assert result.ok, result
        search.text("answer", result.stdout + result.stderr)
    search.folder("home", here.home)
    search.text("log", server.log)
    assert search.hits == [] and search.looked > 10_000
