from __future__ import annotations

import ast
import asyncio
import json
import random
import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fairlead.config.database import MaintenanceAccount
from fairlead.engines import mariadb
from fairlead.errors import NotReady
from fairlead.model import Ledger, SecretRef, TableLedger, side_by_side
from support.mariadb import PASSWORDS, ROOT, SECRETS, USER, MariaDB, open_folder
from support.mariadb_swap import DIE, LABEL, Trial, dying, rows, talking, whole
from support.places import Place
from support.processes import until
from support.rows import some_long


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    folder = open_folder()
    with MariaDB(folder / "server") as one:
        yield one
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def clean(server: MariaDB) -> Iterator[None]:
    yield
    server.sql("".join(f"drop database `{one.replace('`', '``')}`;" for one in server.databases()))


RICH = r"""
create table log (n int);
create table `od``d
name 'ü'` (id uuid primary key default uuid(), `a``b` int, at inet6, raw blob, bits bit(9),
  twice int as (`a``b` * 2) stored, thrice int as (`a``b` * 3) virtual, word varchar(99), body json, key (thrice));
insert into `od``d
name 'ü'` (`a``b`, at, raw, bits, word, body) values
  (1, '::1', x'00270a5c2228', b'101', '😀 \'),(\n(2,\\', '{"a": "(\\"b;"}'), (2, null, '', null, ');\nINSERT', null);
create table orders (id int primary key, person int, foreign key (person) references people (id));
insert into orders values (1, 1), (2, 2);
create table tree (id int primary key, up int, foreign key (up) references tree (id)); insert into tree values (1, 1);
create table found (id int primary key, words text, fulltext (words)); insert into found values (1, 'hello world');
create table parts (id int) partition by hash (id) partitions 3; insert into parts values (1), (2);
create table old (id int auto_increment primary key) engine=myisam; insert into old values (1), (2);
create table history (a int) with system versioning; insert into history values (1); update history set a = 2;
create sequence numbers; select nextval(numbers);
create table counted (id bigint default nextval(numbers), a int); insert into counted (a) values (1);
create view z as select id from people; create view a as select id, '\n(x' as b from z;
create definer=svc@'%' view theirs as select 1 as one;
delimiter ;;
create trigger noted after insert on people for each row begin /* why */ insert into log values (1); -- so
end;;
create trigger second after insert on people for each row insert into log values (2);;
set names latin1;;
create procedure fill(x varchar(9)) begin -- a comment stays
insert into `log` values
(1); end;;
set names utf8mb4;;
create function f() returns int return 7;;
create event `tidy ENABLE` on schedule every 1 hour comment 'ENABLE' do delete from log where n = 99;;
create event asleep on schedule every 1 hour disable do select 1;;
delimiter ;
grant execute on procedure fill to svc@'%'; grant execute on function f to svc@'%';
"""
NEW_RELEASE = """
insert into people (name) values ('later'); update orders set person = 3 where id = 1; delete from orders where id = 2;
alter table orders add note varchar(9); insert into orders values (9, 9, 'x'); drop table tree;
create table added (id int primary key, person int, foreign key (person) references people (id));
insert into added values (1, 1); create sequence others; insert into counted (a) values (2);
create or replace view a as select 2; drop view theirs; create view fresh as select * from added;
drop trigger second; create trigger third before insert on orders for each row set new.note = 'n';
drop procedure fill; create or replace function f() returns int return 8; create procedure p2() select 2;
drop event `tidy ENABLE`; create event e2 on schedule every 1 day do select 2;
"""
ASKED = iter(range(10_000))


async def a_trial(here: Place, server: MariaDB, sql: str = "", after: str = "", **words: Any) -> Trial:
    """A database with a backup, and what was done to it since."""
    rows = words.pop("rows", 10)
    name = words.pop("name", f"trial{next(ASKED)}")
    server.create(name, sql, rows)
    trial = Trial(here, server, server.spec(name, **words))
    await trial.back_up()
    server.sql(after, trial.live)
    return trial


@pytest.fixture
async def rich(here: Place, server: MariaDB) -> AsyncIterator[Trial]:
    yield await a_trial(here, server, RICH, NEW_RELEASE)


# -- the program itself


async def test_probes_are_asked_about_several_databases_at_once(here: Place, server: MariaDB) -> None:
    """In one program, each as if it were asked alone: one that cannot be told keeps no other from its answer."""
    trial = await a_trial(here, server)
    await trial.well("shadow")
    away = trial.database.model_copy(update={"port": 1})
    asked = [(trial.database, LABEL), (away, LABEL), (trial.database, "20260704_0a1b2c3e"), (away, LABEL)]
    probes = [mariadb.shadow_probe(database, label) for database, label in asked]
    said = await trial.run(side_by_side(probes))
    assert (said.code, said.stdout) == (0, "1 after\n2 cannot_tell\n3 before\n4 cannot_tell\n"), said


def test_the_program_is_python_3_7(server: MariaDB) -> None:
    ast.parse(mariadb.swap_probe(server.spec(), LABEL).argv[2], feature_version=(3, 7))


def test_the_program_fits_into_one_argument(server: MariaDB) -> None:
    line = shlex.join(mariadb.swap_probe(server.spec(), LABEL).argv)
    assert len(line) < 115_000, "Linux allows 128 KB for one argument, quoting included"


@pytest.mark.parametrize("live", ["x" * 64, "ä" * 41, "x" * 42])
def test_a_long_name_is_cut_and_told_apart_by_its_hash(server: MariaDB, live: str) -> None:
    spec, other = server.spec(database=live), server.spec(database=live[:-1] + "y")
    for name in (mariadb.shadow_name, mariadb.kept_name):
        assert len(name(spec, LABEL)) == 64 and name(spec, LABEL) != name(other, LABEL)
        assert name(spec, LABEL).startswith(live[:30]) and name(spec, LABEL).endswith(f"_{LABEL}")


@pytest.mark.parametrize("label", ["v2", "20260704_0a1b2c3d`", "../../x", "20260704-0a1b2c3d"])
def test_what_cannot_be_a_label(server: MariaDB, label: str) -> None:
    with pytest.raises(NotReady, match="cannot be the label"):
        mariadb.shadow_name(server.spec(), label)


async def test_a_step_takes_only_its_own_backup(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    assert trial.backup
    with pytest.raises(NotReady, match=f"other: a mariadb backup of {trial.database.name} on here cannot be"):
        mariadb.shadow_command(server.spec("other"), trial.backup, LABEL)


# -- the whole way


async def test_everything_becomes_what_it_was_and_what_was_live_is_kept(anywhere: Place, server: MariaDB) -> None:
    trial = await a_trial(anywhere, server, RICH)
    backed_up, grants = trial.whole, server.sql("show grants for svc@'%'")
    server.sql(NEW_RELEASE, trial.live)
    server.sql(f"alter database {trial.live} collate utf8mb4_bin")
    written, kept = trial.whole, rows(server, trial.live)
    assert await trial.words() == ("before", "before")
    await trial.well("shadow")
    assert (await trial.words(), trial.there, trial.whole) == (("after", "before"), "ls", written)
    await trial.well("fenced swap")
    assert (await trial.words(), trial.there) == (("after", "after"), "lk")
    assert (trial.whole, rows(server, trial.kept)) == (backed_up, kept)
    assert server.sql("select id from found where match (words) against ('hello')", trial.live) == "1\n"
    await trial.well("swap_undo")
    assert (await trial.words(), trial.there, trial.whole) == (("after", "before"), "ls", written)
    await trial.well("fenced swap")
    assert (trial.whole, rows(server, trial.kept)) == (backed_up, kept), "and again"
    server.sql("insert into people (name) values ('x')", trial.live)
    assert server.sql("select count(*) from log", trial.live) == "2\n", "both triggers are there"
    assert [line for line in server.sql("show grants for svc@'%'").splitlines() if "FUNCTION" in line] == [
        line for line in grants.splitlines() if "FUNCTION" in line
    ]
    await trial.well("kept_drop", "kept_drop")
    assert trial.there == "l"


async def test_grants_on_a_routine_come_back_with_it(rich: Trial) -> None:
    rich.server.sql("grant execute, alter routine on procedure p2 to svc@'%' with grant option", rich.live)
    granted = sorted(rich.server.sql("show grants for svc@'%'").splitlines())
    await rich.well("shadow", "fenced swap")
    assert sorted(rich.server.sql("show grants for svc@'%'").splitlines()) != granted
    await rich.well("swap_undo")
    assert sorted(rich.server.sql("show grants for svc@'%'").splitlines()) == granted


@pytest.mark.parametrize("name", ["a b", 'ä"q', "q`q", "it's", "$(x);--", "x" * 64])
async def test_odd_names(here: Place, server: MariaDB, name: str) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    server.sql(f"create database {quoted}")
    server.sql(
        f"create table {quoted[:40].rstrip('`')}` (id int primary key auto_increment) as select 1 as a;"
        if name.startswith("x")
        else f"create table {quoted} (id int primary key) as select 1 as id; create view `v'\"` as select 1;",
        name,
    )
    trial = Trial(here, server, server.spec("odd", database=name))
    await trial.back_up()
    before = trial.whole
    server.sql("create table b as select 2 as a; create procedure `p\\'\"\\`()select 1", name)
    after = trial.whole
    await trial.well("shadow", "swap")
    assert (trial.whole, trial.there) == (before, "lk")
    await trial.well("swap_undo")
    assert (trial.whole, trial.there) == (after, "ls")


@pytest.mark.parametrize("filled", [(False, False), (False, True), (True, False)])
async def test_an_empty_database(here: Place, server: MariaDB, filled: tuple[bool, bool]) -> None:
    trial = await a_trial(here, server, rows=3 if filled[0] else None)
    server.sql(
        "drop table if exists people" if not filled[1] else "create table if not exists people (a int)", trial.live
    )
    before = trial.whole
    await trial.well("shadow", "swap")
    assert await trial.words() == ("after", "after")
    assert ("people" in trial.whole, trial.there) == (filled[0], "lk")
    await trial.well("swap_undo")
    assert (trial.whole, await trial.words()) == (before, ("after", "before"))


async def test_three_hundred_tables(here: Place, server: MariaDB) -> None:
    sql = "".join(
        f"create table t{n} (a int primary key auto_increment); insert into t{n} values (1), (2);" for n in range(300)
    )
    trial = await a_trial(here, server, sql, "delete from t7; insert into t8 values ()")
    await trial.well("shadow")
    result = await trial.run("swap")
    line = json.loads(result.stdout)
    assert line["tables"] == [301, 301] and line["tries"] == 1, line
    assert server.sql("select count(*) from t7; select count(*) from t8", trial.live) == "2\n2\n"
    found = await mariadb.ledger(here.host, trial.database, LABEL, SECRETS)
    assert [(one.table, one.only_live, one.only_kept) for one in found.differing] == [("t7", 2, 0), ("t8", 0, 1)]


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
        trial.server.sql(
            f"create database {getattr(trial, which)}; create table {getattr(trial, which)}.theirs as select 1 as a"
        )

    return go


MADE, FILLED = "    try:\n        return proven_shadow(", "    same_rows(args["
MOVE, LAND = "        self.session.patient(self.rename,", "        self.overtaken()\n"
UNMARKED, HALF = ("shadow", MADE, f"    {DIE}\n{MADE}"), ("shadow", FILLED, f"    {DIE}\n{FILLED}")
HERE, THERE = (MOVE, f"        {DIE}\n{MOVE}"), (LAND, f"        {DIE}\n{LAND}")
SWAP = "fenced swap"
STATES: dict[str, tuple[Reach, tuple[str, str]]] = {
    "nothing": (reached_by(), ("before", "before")),
    "made and not marked": (reached_by(UNMARKED), ("between", "before")),
    "half-filled": (reached_by(HALF), ("between", "before")),
    "proven": (reached_by("shadow"), ("after", "before")),
    "not moved yet": (reached_by("shadow", (SWAP, *HERE)), ("after", "between")),
    "just moved": (reached_by("shadow", (SWAP, *THERE)), ("after", "between")),
    "swapped": (reached_by("shadow", SWAP), ("after", "after")),
    "not moved back yet": (reached_by("shadow", SWAP, ("swap_undo", *HERE)), ("after", "between")),
    "just moved back": (reached_by("shadow", SWAP, ("swap_undo", *THERE)), ("after", "between")),
    "returned": (reached_by("shadow", SWAP, "swap_undo"), ("after", "before")),
    "returned and set aside": (reached_by("shadow", SWAP, "swap_undo", "shadow_undo"), ("before", "before")),
    "a shadow of somebody else": (foreign("shadow"), ("cannot_tell", "before")),
    "a kept one of somebody else": (foreign("kept"), ("before", "before")),
}
NO = ("no", "")
OLD = {"shadow": ("after", "before"), "shadow_undo": ("before", "before"), SWAP: NO}
HALFWAY = {"shadow": NO, "shadow_undo": NO, SWAP: ("after", "after"), "swap_undo": ("after", "before")}
RESTING = {
    "shadow": ("after", "before"),
    "shadow_undo": ("before", "before"),
    SWAP: ("after", "after"),
    "swap_undo": ("after", "before"),
}
ENDS: dict[str, dict[str, tuple[str, str]]] = {
    "nothing": OLD | {"swap_undo": ("before", "before")},
    "made and not marked": OLD | {"swap_undo": ("between", "before")},
    "half-filled": OLD | {"swap_undo": ("between", "before")},
    "proven": RESTING, "returned": RESTING,
    "not moved yet": HALFWAY, "just moved": HALFWAY, "not moved back yet": HALFWAY, "just moved back": HALFWAY,
    "swapped": HALFWAY | {"shadow": ("after", "after")},
    "returned and set aside": OLD | {"shadow": NO, "swap_undo": ("before", "before")},
    "a shadow of somebody else": HALFWAY | {SWAP: NO, "swap_undo": ("cannot_tell", "before")},
    "a kept one of somebody else": OLD | {"shadow": NO, "swap_undo": ("before", "before")},
}  # fmt: skip


OFTEN = {"half-filled", "just moved", "a shadow of somebody else"}


@pytest.mark.parametrize(
    ("state", "act"), some_long(((state, act) for state in ENDS for act in ENDS[state]), OFTEN), ids=lambda word: word
)
async def test_each_step_from_each_state_twice(here: Place, server: MariaDB, state: str, act: str) -> None:
    trial = await a_trial(here, server, SMALL)
    backed_up = trial.whole
    server.sql(SMALL_RELEASE, trial.live)
    written, promised = trial.whole, rows(server, trial.live)
    (go, before), wanted = STATES[state], ENDS[state][act]
    await go(trial)
    assert await trial.words() == before
    was = trial.there
    for _ in range(2):
        result = await trial.run(act)
        line = json.loads(result.stdout)
        assert (result.ok, line["ok"], result.stderr) == (wanted != NO, wanted != NO, ""), result
        assert wanted != NO or ("\n" not in line["says"] + line["hint"] and trial.there == was)
    ends = before if wanted == NO else wanted
    assert await trial.words() == ends
    assert promised in trial.contents, "nothing that was written is lost"
    if ends[1] != "between":
        assert trial.whole == (backed_up if ends[1] == "after" else written)


SMALL = """
create table log (n int); create view v as select id from people; create procedure p() select 1;
create trigger noted after insert on people for each row insert into log values (1);
create event e on schedule every 1 hour do select 1;
"""
SMALL_RELEASE = """
insert into people (name) values ('later'); create or replace view v as select 2; drop procedure p; drop event e;
drop trigger noted; create trigger other before insert on log for each row set new.n = 3; create table more as select 1;
"""


async def test_nobody_can_tell_without_the_server(here: Place, server: MariaDB) -> None:
    trial = Trial(here, server, server.spec(port=1))
    assert await trial.words() == ("cannot_tell", "cannot_tell")
    for act in ("swap", "swap_undo", "shadow_undo", "kept_drop"):
        assert not (await trial.run(act)).ok


# -- killed


SEED = 20260704
KILLS = [
    (random.Random(SEED + n).choice(["shadow", SWAP, "swap_undo"]), random.Random(n).randint(1, 60), n % 2 == 0)
    for n in range(12)
]


@pytest.mark.parametrize(("act", "number", "asked"), some_long(KILLS, every=4))
async def test_killed_at_any_moment(here: Place, server: MariaDB, act: str, number: int, asked: bool) -> None:
    await killed(await a_trial(here, server, SMALL), act, dying(number, asked=asked), number % 2 == 0)


@pytest.mark.parametrize(("act", "number"), [("shadow", 14), (SWAP, 12), (SWAP, 30), ("swap_undo", 20)])
async def test_the_server_is_killed(here: Place, server: MariaDB, act: str, number: int) -> None:
    trial = await a_trial(here, server, SMALL)
    await killed(trial, act, dying(number, asked=True, victim=str(server.process.pid)), number % 3 == 0)


async def killed(trial: Trial, act: str, changes: tuple[tuple[str, str], ...], again: bool) -> None:
    """Kill a step, then run it again or take it back: all is old or all is new, and nothing is lost."""
    backed_up, server = trial.whole, trial.server
    server.sql(SMALL_RELEASE + "create table flushed (a int);", trial.live)
    written, promised = trial.whole, rows(server, trial.live)
    steps = ["shadow", SWAP, "swap_undo"]
    await trial.well(*steps[: steps.index(act)])
    await trial.run(act, *changes)
    if server.process.poll() is not None:
        assert await trial.words() == ("cannot_tell", "cannot_tell")
        server.start()
    undo = {"shadow": "shadow_undo", SWAP: "swap_undo", "swap_undo": SWAP}[act]
    for name in [act if again else undo] * 2:
        await trial.well(name)
    new = (act == SWAP) == again and act != "shadow"
    assert trial.whole == (backed_up if new else written)
    assert await trial.words() == ("before" if not again and act == "shadow" else "after", "after" if new else "before")
    assert promised in trial.contents


async def test_a_loader_that_outlives_its_program_is_waited_for(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    name = mariadb.shadow_name(trial.database, LABEL)
    program = trial.step("shadow").argv[2]
    space: dict[str, Any] = {}
    exec(compile(program.rpartition("\nrun(")[0], "swap", "exec"), space)
    lock = space["lock_name"]("load", name)
    with talking(server, "mysql", f"select get_lock('{lock}', 0)"):
        quick = ("OTHERS_WAIT = 40", "OTHERS_WAIT = 1")
        result = await trial.run("shadow", quick)
        assert "another run still fills" in json.loads(result.stdout)["says"]
    await trial.well("shadow")


async def test_two_swaps_at_once_are_one(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server, SMALL, SMALL_RELEASE)
    await trial.well("shadow")
    results = await asyncio.gather(*(trial.run(SWAP) for _ in range(3)))
    assert [one.ok for one in results] == [True] * 3
    assert await trial.words() == ("after", "after")


# -- counters


def next_numbers(trial: Trial) -> str:
    server = trial.server
    server.sql("insert into people (name) values ('next')", trial.live)
    return server.sql("select max(id) from people; select nextval(numbers)", trial.live)


async def test_counters_go_on_from_the_furthest_of_both_sides(here: Place, server: MariaDB) -> None:
    sql = "create sequence numbers nocache; create table fast (id tinyint primary key auto_increment)"
    after = (
        "insert into people (id) values (500); delete from people where id = 500; select setval(numbers, 70);"
        "insert into fast values (100)"
    )
    trial = await a_trial(here, server, sql, after)
    await trial.well("shadow", "swap")
    assert next_numbers(trial) == "501\n71\n"
    server.sql("insert into people (id) values (900); delete from people where id = 900", trial.live)
    await trial.well("swap_undo")
    assert next_numbers(trial) == "901\n72\n"
    assert server.sql("insert into fast values (); select max(id) from fast", trial.live) == "101\n"


async def test_no_number_is_given_out_twice(here: Place, server: MariaDB) -> None:
    """Writers go on through three swaps; whatever number any of them was given, nobody else was given."""
    trial = await a_trial(
        here, server, "create table other (id int primary key auto_increment, a int) engine=aria", rows=1000
    )
    await trial.well("shadow")
    given: list[str] = []
    ended = threading.Event()

    def write(table: str) -> None:
        one = f"insert into {table} () values (); select last_insert_id();"
        while not ended.is_set():
            given.extend(f"{table} {line}" for line in server.sql(one * 20, trial.live).split())

    writers = [threading.Thread(target=write, args=(table,)) for table in ("people", "people", "other")]
    for writer in writers:
        writer.start()
    try:
        for act in ("swap", "swap_undo", "swap"):
            result = await trial.run(act)
            assert result.ok and "overtaken" not in result.stdout, result
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert len(set(given)) == len(given) > 100
    there = {f"{table} {line}" for name in (trial.live, trial.kept) for table in ("people", "other")
             for line in server.sql(f"select id from {table}", name).split()}  # fmt: skip
    assert set(given) <= there, "every acknowledged row is live or kept"


async def test_writers_faster_than_the_margin_are_noticed(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    await trial.well("shadow")
    last = '        self.says["tries"] += 1\n'
    more = "query(self.back.args['server'], 'insert into %s.people (id) values (300000)' % self.live)"
    result = await trial.run("swap", (last, f"{last}        {more}\n"))
    assert json.loads(result.stdout)["overtaken"] == ["people"], result
    assert server.sql("insert into people () values (); select max(id) from people", trial.live) == "300001\n"


# -- readers, writers, and what stands in the way


async def test_readers_and_writers_see_one_release_or_the_other(here: Place, server: MariaDB) -> None:
    """Two tables always hold equally many rows; half a swap would show different numbers."""
    more = "create table twin as select * from people"
    trial = await a_trial(
        here,
        server,
        more,
        "insert into people (name) select 'n' from people; insert into twin (name) select 'n' from twin",
        rows=500,
    )
    await trial.well("shadow")
    seen: list[str] = []
    ended = threading.Event()

    def read() -> None:
        one = "select (select count(*) from people), (select count(*) from twin);"
        while not ended.is_set():
            seen.extend(server.sql(one * 10, trial.live).splitlines())

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        await trial.well("swap", "swap_undo", "swap")
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert set(seen) == {"500\t500", "1000\t1000"}


QUICK = ("PATIENCE = 30", "PATIENCE = 2")


async def test_an_idle_transaction_is_waited_for_and_named(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server, SMALL, SMALL_RELEASE)
    written = trial.whole
    await trial.well("shadow")
    with talking(server, trial.live, "begin", "select count(*) from people"):
        result = await trial.run(SWAP, QUICK)
        says = json.loads(result.stdout)["says"]
        assert re.match(
            rf"the tables of {trial.live} stay locked: session \d+ of root, idle in a transaction for \d+ s$", says
        )
        assert (trial.whole, await trial.words()) == (written, ("after", "before"))
    await trial.well(SWAP)


async def test_an_idle_transaction_is_ended_where_that_is_allowed(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    await trial.well("shadow")
    with (
        talking(server, trial.live, "begin", "select count(*) from people"),
        talking(server, trial.live, "select 1") as idle,
    ):
        result = await trial.run("ending swap")
        assert json.loads(result.stdout)["ended"] == 1, result
        assert idle.stdin and idle.stdout
        idle.stdin.write("select 'still here';\n")
        idle.stdin.flush()
        assert idle.stdout.readline() == "still here\n"


async def test_a_statement_at_work_is_never_ended(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    await trial.well("shadow")
    words = [
        "mariadb",
        "--no-defaults",
        "-uroot",
        f"--socket={server.socket}",
        trial.live,
        "-e",
        "begin; select sleep(60) from people limit 1",
    ]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as busy:
        await until(lambda: "sleep" in server.sql("show processlist"))
        result = await trial.run("ending swap", QUICK)
        busy.kill()
    assert "at work for" in json.loads(result.stdout)["says"], result


# -- what is refused, with the live database untouched


async def refused(trial: Trial, act: str) -> str:
    before, there = trial.whole, trial.there
    result = await trial.run(act)
    line = json.loads(result.stdout)
    assert (result.ok, trial.whole, trial.there) == (False, before, there), result
    return f"{line['says']} > {line['hint']}"


async def test_triggers_need_a_fence(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server, SMALL)
    await trial.well("shadow")
    assert "has triggers (noted), and a trigger cannot move" in await refused(trial, "swap")


async def test_a_foreign_key_from_outside(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    await trial.well("shadow")
    server.sql(
        f"create database outside; create table outside.t (a int, foreign key (a) references {trial.live}.people (id))"
    )
    assert "the table t of outside refers to" in await refused(trial, "swap")
    server.sql("drop database outside")
    await trial.well("swap")


async def test_the_name_of_the_mark_is_taken(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server, after="create table _fairlead (a int)")
    assert "has a table called _fairlead" in await refused(trial, "shadow")


async def test_the_live_database_is_gone(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    server.sql(f"drop database {trial.live}")
    assert "there is no database" in (await trial.run("shadow")).stdout
    assert trial.there == ""


async def test_no_second_schema_may_be_made(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    trial.database = server.spec(trial.database.name, maintenance=None)
    assert f"svc may not create the database {trial.shadow}" in await refused(trial, "shadow")
    assert await trial.words() == ("before", "before")


async def test_an_account_for_this_database_alone_is_enough(here: Place, server: MariaDB) -> None:
    server.sql(f"create or replace user m@'%' identified by '{PASSWORDS[USER]}'; grant all on `mo\\_own%`.* to m@'%'")
    maintenance = MaintenanceAccount(user="m", password=SecretRef(name=USER))
    server.create("own", "create definer=m@'%' view v as select 1 as a")
    trial = Trial(here, server, server.spec("own", maintenance=maintenance))
    await trial.back_up()
    before = trial.whole
    server.sql("insert into people (name) values ('x'); create or replace definer=m@'%' view v as select 2", trial.live)
    await trial.well("shadow", "swap")
    assert trial.whole == before
    server.sql("create definer=root@localhost procedure p() select 1", trial.live)
    assert "m@% may not read the procedure p" in await refused(trial, "swap_undo")
    server.sql("drop procedure p", trial.live)
    await trial.well("swap_undo")


async def test_what_others_have_defined_needs_a_privilege(here: Place, server: MariaDB) -> None:
    server.sql(
        f"create or replace user m@'%' identified by '{PASSWORDS[USER]}'; "
        "grant all on `mo\\_their%`.* to m@'%'; grant select on mysql.* to m@'%'"
    )
    maintenance = MaintenanceAccount(user="m", password=SecretRef(name=USER))
    trial = await a_trial(here, server, name="theirs", maintenance=maintenance, after="create procedure p() select 1")
    await trial.well("shadow")
    says = await refused(trial, "swap")
    assert "m@% may not make again what root@localhost has defined > GRANT SET USER" in says


async def test_another_backup_under_the_same_label(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    await trial.well("shadow")
    server.sql("insert into people (name) values ('another')", trial.live)
    await trial.back_up()
    assert "comes from another backup" in await refused(trial, "shadow")


async def test_a_spoilt_backup_leaves_nothing(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    assert trial.backup
    note = here.home / trial.backup.manifest
    note.write_text(json.dumps({**json.loads(note.read_text()), "rows": {"people": 11}}))
    assert "other rows than its manifest says, in people" in await refused(trial, "shadow")
    assert await trial.words() == ("before", "before")


async def test_the_server_s_disk_is_full(here: Place) -> None:
    folder = open_folder()
    small = ("--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M;ibdata2:16M")
    with MariaDB(folder / "server") as server:
        server.stop()
        server.options = small
        server.start()
        trial = await a_trial(here, server, "insert into people (name) select sha2(seq, 512) from seq_1_to_80000")
        before = trial.whole
        said = json.loads((await trial.run("shadow")).stdout)["says"]
        assert "is full" in said and "insert" not in said.lower(), said
        assert (trial.there, trial.whole) == ("l", before)
        assert await trial.words() == ("before", "before")
    shutil.rmtree(folder)


async def test_secrets_are_in_no_argument_and_no_answer(rich: Trial) -> None:
    seen: list[bytes] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            for path in Path("/proc").iterdir():
                with suppress(OSError):
                    argv = (path / "cmdline").read_bytes()
                    if (
                        b"fairlead\0" not in argv
                    ):  # an operator of another test has secrets in its environment, as it may
                        seen.append(argv + (path / "environ").read_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        said = [await rich.run(name) for name in ("shadow", SWAP, "swap_probe", "swap_undo")]
    finally:
        ended.set()
        watcher.join()
    assert any(b"--skip-reconnect" in one for one in seen)
    assert not [one for one in seen if PASSWORDS[ROOT].encode() in one and b"pytest" not in one]
    assert PASSWORDS[ROOT] not in "".join(one.stdout + one.stderr for one in said)
    log = (rich.server.folder / "log").read_text()
    assert PASSWORDS[ROOT] not in log


# -- what a dump says of the database that it comes from


async def test_a_dump_with_its_database_s_name_in_it_touches_nothing_there(here: Place, server: MariaDB) -> None:
    """A server keeps a trigger as it was typed, and a dump changes the defaults of its database around old routines."""
    live = "mo_named"
    sql = (
        "create procedure p(x varchar(9)) select x; alter database mo_named collate utf8mb4_bin;"
        "create trigger /* in */ mo_named . noted before insert -- on\n"
        "on `mo_named`.people for each row set new.name = 'x';"
    )
    trial = await a_trial(here, server, sql, name="named")
    backed_up = trial.whole
    server.sql(f"drop trigger noted; drop procedure p; alter database {live} collate utf8mb4_general_ci", live)
    written = trial.whole
    assert trial.backup
    restored = await mariadb.restore(here.host, trial.backup, trial.database, "again", SECRETS)
    assert (restored.status, trial.whole) == ("ok", written), restored
    assert "noted" in server.sql("show triggers", "again")
    assert server.sql("select @@collation_database", "again") == "utf8mb4_bin\n"
    await trial.well("shadow")
    assert trial.whole == written
    await trial.well(SWAP)
    assert bare(trial.whole) == bare(backed_up)


def bare(text: str) -> str:
    """A dump without the names of its database and the blanks around them."""
    return re.sub(r"`?DATABASE`?\s*\.\s*|\s+", "", text)


# -- the ledger


def line(table: str, only_live: int | None, only_kept: int | None, changed: int | None, **more: Any) -> TableLedger:
    return TableLedger(
        table=table, only_live=only_live, only_kept=only_kept, changed=changed, exact=more.pop("exact", True), **more
    )


TABLES = """
create table pairs (a varchar(20) collate utf8mb4_bin, b int, c varchar(20), d double, primary key (a, b));
insert into pairs values ('x', 1, 'word', 0.1), ('X', 1, null, null), ('y', 2, '', 1e300), ('z', 3, 'a', 0);
create table loose (a int, b varchar(9), p point, f float);
insert into loose values (1, 'a', point(1, 2), 0.1), (1, 'a', point(1, 2), 0.1), (2, null, null, null);
create table same (id int primary key, raw blob, at inet6, who uuid, bits bit(9));
insert into same values (1, x'00ff', '::1', uuid(), b'101');
create table gone (id int primary key); insert into gone values (1), (2);
"""
WRITTEN = """
insert into people (name) values ('a'), ('b'), ('c'); delete from people where id in (1, 2);
update people set name = 'N3' where id = 3; update people set name = concat(name, ' ') where id = 4;
update people set name = null where id = 5; update people set name = name where id = 6;
update pairs set c = 'WORD' where a = 'x'; update pairs set c = '' where a = 'X';
update pairs set d = 0.30000000000000004 - 0.2 where a = 'y'; delete from pairs where a = 'z';
insert into loose values (1, 'a', point(1, 2), 0.1), (2, '', null, null); delete from loose where a = 2 and b is null;
drop table gone; create table fresh (a int); insert into fresh values (1);
"""


async def test_the_exact_ledger_is_the_truth(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server, TABLES, WRITTEN)
    await trial.well("shadow", "swap")
    found = await mariadb.ledger(here.host, trial.database, LABEL, SECRETS)
    keyless = "no key to compare by, so a changed row counts once on each side"
    assert found == Ledger(
        database=trial.database.name, kind="exact",
        tables=(
            line("fresh", 0, 1, 0, says="the live database has no such table"),
            line("gone", 2, 0, 0, says="what is kept has no such table"),
            line("loose", 1, 2, 0, says=keyless),
            line("pairs", 1, 0, 3),
            line("people", 2, 3, 3),
            line("same", 0, 0, 0),
        ),
    )  # fmt: skip
    server.sql("insert into people (id, name) values (77, 'after the swap')", trial.live)
    (people,) = (
        one for one in (await mariadb.ledger(here.host, trial.database, LABEL, SECRETS)).tables if one.table == "people"
    )
    assert (people.only_live, people.only_kept, people.changed) == (3, 3, 3)


async def test_random_writes_are_told_exactly(here: Place, server: MariaDB) -> None:
    dice = random.Random(SEED)
    made = "create table t (id int primary key, a int, b varchar(9)); insert into t select seq, seq, 'x' from {}"
    trial = await a_trial(here, server, made.format("seq_1_to_3000"))
    ids = list(range(1, 3001))
    dice.shuffle(ids)
    some = {"deleted": ids[:201], "updated": ids[300:437], "added": range(5000, 5000 + 77)}
    told = {word: "(" + "), (".join(map(str, numbers)) + ")" for word, numbers in some.items()}
    server.sql(
        f"delete from t where (id) in ({told['deleted']}); update t set a = -a where (id) in ({told['updated']});"
        f"insert into t (id) values {told['added']}; alter table t add more int default 7", trial.live)  # fmt: skip
    await trial.well("shadow", "swap")
    (people, table) = (await mariadb.ledger(here.host, trial.database, LABEL, SECRETS)).tables
    assert (table.only_live, table.only_kept, table.changed, table.exact) == (201, 77, 137, True)
    assert table.says == "compared by the columns that both have, without more"
    assert not people.differs


async def test_a_large_table_is_only_counted_and_that_is_said(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server, after="delete from people where id < 4")
    await trial.well("shadow", "swap")
    found = await mariadb.ledger(here.host, trial.database, LABEL, SECRETS, limit_rows=9)
    assert found.kind == "estimate"
    assert found.tables == (
        line("people", 3, 0, None, exact=False, says="only counted, since it has more than 9 rows"),
    )


async def test_no_ledger_where_nothing_is_kept(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    with pytest.raises(NotReady, match="is kept under the label"):
        await mariadb.ledger(here.host, trial.database, LABEL, SECRETS)


async def test_an_estimate_before_the_decision(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server, "create table calm (a int); insert into calm values (1)", rows=10)
    server.sql("insert into people (name) values ('x'), ('y'); create table fresh (a int)", trial.live)
    assert trial.backup
    later = trial.backup.model_copy(update={"started": time.time() + 9, "rows": {**trial.backup.rows, "gone": 4}})
    found = await mariadb.estimate(here.host, trial.database, later, SECRETS)
    assert found == Ledger(
        database=trial.database.name, kind="estimate",
        tables=(
            line("calm", 0, 0, 0, exact=False, says="not written to since the backup"),
            line("fresh", 0, 0, None, exact=False, says="counted; the backup has no such table"),
            line("gone", 0, 4, 0, exact=False, says="the live database has no such table"),
            line("people", 2, 0, None, exact=False, says="counted"),
        ),
    )  # fmt: skip


# -- what is kept


async def test_dropping_what_is_kept_drops_nothing_else(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server, SMALL)
    server.sql(f"create database {trial.kept}; create table {trial.kept}.theirs (a int)")
    assert "not marked as ours" in await refused(trial, "kept_drop")
    server.sql(f"drop database {trial.kept}")
    await trial.well("kept_drop", "shadow")
    assert not (await trial.run(SWAP, (LAND, f"        {DIE}\n{LAND}"))).ok
    assert "a swap of" in json.loads((await trial.run("kept_drop")).stdout)["says"]
    await trial.well(SWAP)
    before = whole(server, trial.live)
    await trial.well("kept_drop")
    assert (trial.there, trial.whole) == ("l", before)
