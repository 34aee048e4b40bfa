"""Taking SQLite databases back: what is seen of it from outside, by eyes that know nothing of the product."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fairlead.engines import sqlite
from fairlead.errors import NotReady
from fairlead.model import Backup, Command, Ledger, TableLedger
from fairlead.outside.secrets import Secrets
from support.databases import make, spec
from support.places import Place
from support.rows import some_long

NONE = Secrets(())
LABEL = "20250131_0a1b2c3d"
CRM = spec()
MODES = pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "wal"])

ASK = {"shadow": sqlite.shadow_probe(CRM, LABEL), "swap": sqlite.swap_probe(CRM, LABEL)}
UNDO = {"shadow": sqlite.shadow_undo(CRM, LABEL), "swap": sqlite.swap_undo(CRM, LABEL)}
SWAP = sqlite.swap_command(CRM, LABEL)


# -- the witness


def content(path: Path, *but: str) -> str:
    """A sum over everything in a database but its counters, and tables named so."""
    with closing(sqlite3.connect(path, timeout=10)) as db:
        assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
        lines = [line for line in db.iterdump() if not any(name in line for name in ("sqlite_sequence", *but))]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def on(path: Path, *words: str) -> list[tuple[object, ...]]:
    """Run statements in one transaction, and return what the last one answers."""
    with closing(sqlite3.connect(path, timeout=10)) as db, db:
        return [db.execute(word).fetchall() for word in words][-1]


def marks(*paths: Path) -> set[object]:
    return {row[0] for path in paths if path.exists() for row in on(path, "select name from people")}


def listed(here: Place) -> list[str]:
    return sorted(path.name.replace(f"_{LABEL}", "") for path in (here.home / "data").iterdir())


# -- the estate


def live(here: Place) -> Path:
    return here.home / "data/crm.db"


def shadow(here: Place) -> Path:
    return here.home / sqlite.shadow_name(CRM, LABEL)


def kept(here: Place) -> Path:
    return here.home / sqlite.kept_name(CRM, LABEL)


RICH = """
create table people (id integer primary key autoincrement, name text);
create table orders (id integer primary key, person int references people (id) on delete cascade, cents int,
  euro as (cents / 100.0) virtual, twice int as (cents * 2) stored);
create table keyed (a text collate nocase, b blob, primary key (a, b)) without rowid;
create table "a b" ("ä""q" text, `back``tick` int); create index "i x" on "a b" ("ä""q");
create table audit (what text);
create view total as select person, sum(cents) from orders group by person;
create trigger noted after insert on orders begin insert into audit values ('order ' || new.id); end;
create virtual table found using fts5 (text);
insert into people (name) values ('Ann'), ('Bö 🚢'), (null);
insert into orders (id, person, cents) values (1, 1, 250), (2, 1, 350);
insert into keyed values ('x', x'00ff'), ('y', 'text'), ('', '');
insert into "a b" values ('1', 1), ('1', 1), (null, null), (x'00', 0.5);
insert into found values ('the harbour'), ('the ship');
"""


def rich(path: Path, wal: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"pragma journal_mode = {'wal' if wal else 'delete'}")
        db.executescript("pragma user_version = 7; pragma application_id = 99;" + RICH)
    return path


LATE = (
    "insert into people (name) values ('late'), ('later')",
    "delete from people where name = 'later'",
    "update people set name = 'changed' where id = 1",
    "insert into orders (person, cents) values (2, 99)",
    "create table newer (a integer primary key autoincrement)",
    "insert into newer values (41)",
    "drop view total",
)


async def backed_up(here: Place, **how: object) -> Backup:
    here.give()
    (made,) = await sqlite.backup(here.host, [spec(**how)], NONE)
    assert made.backup is not None, made.finding
    return made.backup


async def word(here: Place, which: str) -> str:
    result = await here.host.run(ASK[which])
    assert result.code == 0, result
    return result.stdout.split()[-1]


async def words(here: Place) -> tuple[str, str]:
    return await word(here, "shadow"), await word(here, "swap")


async def run(here: Place, command: Command) -> dict[str, object]:
    """What a step says, which is one line of JSON."""
    result = await here.host.run(command)
    line: dict[str, object] = json.loads(result.stdout)
    assert (result.code == 0) == line["ok"] and result.stderr == "", result
    return line


async def well(here: Place, command: Command, times: int = 2) -> None:
    for _ in range(times):
        line = await run(here, command)
        assert line["ok"], line


async def refused(here: Place, command: Command) -> str:
    line = await run(here, command)
    assert not line["ok"], line
    return str(line["says"])


async def ready(here: Place, wal: bool = False) -> tuple[str, str]:
    """A rich database, a shadow of its backup, and live written to since: the sums of backup and live."""
    rich(live(here), wal)
    old = content(live(here))
    backup = await backed_up(here)
    on(live(here), *LATE)
    await well(here, sqlite.shadow_command(CRM, backup, LABEL), times=1)
    return old, content(live(here))


# -- the whole way


@MODES
async def test_there_and_back_again_each_step_twice(anywhere: Place, wal: bool) -> None:
    here = anywhere
    rich(live(here), wal)
    old = content(live(here))
    backup = await backed_up(here)
    assert await words(here) == ("before", "before")
    on(live(here), *LATE)
    new, journal = content(live(here)), live(here).read_bytes()[18:20]
    here.give()

    await well(here, sqlite.shadow_command(CRM, backup, LABEL))
    assert (await words(here), content(shadow(here)), content(live(here))) == (("after", "before"), old, new)
    await well(here, SWAP)
    assert (await words(here), content(live(here)), content(kept(here))) == (("after", "after"), old, new)
    assert listed(here) == ["crm.db", "crm.db__kept", "crm.db__kept.json"]
    await well(here, UNDO["swap"])
    assert (await words(here), content(live(here)), content(shadow(here))) == (("after", "before"), new, old)
    assert listed(here) == ["crm.db", "crm.db__kept.json", "crm.db__new"]
    await well(here, SWAP)
    assert (await words(here), content(live(here)), content(kept(here))) == (("after", "after"), old, new)
    on(live(here), "insert into people (name) values ('acknowledged')")
    await well(here, UNDO["swap"])
    await well(here, UNDO["shadow"])
    assert (await words(here), content(live(here)), listed(here)[2:]) == (
        ("before", "before"),
        new,
        ["crm.db__kept.json"],
    )
    assert "acknowledged" in marks(kept(here)), "a shadow that has lived is kept when it is dropped"
    await well(here, sqlite.kept_drop_command(CRM, LABEL))
    assert (content(live(here)), listed(here)) == (new, ["crm.db"])
    assert live(here).read_bytes()[18:20] == journal, "whether it has a WAL is not the backup's affair"
    assert on(live(here), "pragma user_version", "pragma user_version") == [(7,)]


async def test_the_live_file_stays_the_file_it_was(here: Place) -> None:
    """Owner, mode, inode: who has it open must not be left with another one."""
    await ready(here)
    live(here).chmod(0o640)
    before = live(here).stat()
    with closing(sqlite3.connect(live(here))) as client:
        assert client.execute("select count(*) from people").fetchone() == (4,)
        await well(here, SWAP)
        assert client.execute("select count(*) from people").fetchone() == (3,)
        await well(here, UNDO["swap"])
        assert client.execute("select count(*) from people").fetchone() == (4,)
    after = live(here).stat()
    assert (before.st_ino, before.st_mode, before.st_uid) == (after.st_ino, after.st_mode, after.st_uid)


async def test_what_is_kept_is_for_its_owner_only(here: Place) -> None:
    await ready(here)
    live(here).chmod(0o644)
    assert shadow(here).stat().st_mode & 0o777 == 0o600
    await well(here, SWAP)
    assert kept(here).stat().st_mode & 0o777 == 0o600


@MODES
async def test_the_empty_and_the_many(here: Place, wal: bool) -> None:
    """An empty database becomes one of 300 tables and is empty again."""
    path = live(here)
    path.parent.mkdir()
    many = [f'create table "t {number}" (a integer primary key autoincrement)' for number in range(300)]
    rows = [f'insert into "t {number}" default values' for number in range(300)]
    on(path, f"pragma journal_mode = {'wal' if wal else 'delete'}", "create table x (a)", "drop table x")
    empty = content(path)
    backup = await backed_up(here)
    on(path, *many, *rows)
    full = content(path)
    await well(here, sqlite.shadow_command(CRM, backup, LABEL))
    await well(here, SWAP)
    assert (content(path), content(kept(here))) == (empty, full)
    ledger = await sqlite.ledger(here.host, CRM, LABEL, NONE)
    assert (ledger.kind, len(ledger.tables), sum(table.only_kept or 0 for table in ledger.tables)) == (
        "exact",
        300,
        300,
    )
    await well(here, UNDO["swap"])
    assert content(path) == full


ODD_PATHS = {
    "odd": "data/a b?#%41 'ä\"q`.db",
    "hidden": "data/.db",
    "longest": "data/" + "ä" * 110 + ".db",
}


@pytest.mark.parametrize("case", ODD_PATHS)
async def test_odd_and_long_names(here: Place, case: str) -> None:
    one = spec(path=ODD_PATHS[case])
    rich(here.home / one.path)
    old = content(here.home / one.path)
    backup = await backed_up(here, path=one.path)
    on(here.home / one.path, *LATE)
    new = content(here.home / one.path)
    await well(here, sqlite.shadow_command(one, backup, LABEL))
    await well(here, sqlite.swap_command(one, LABEL))
    assert (content(here.home / one.path), content(here.home / sqlite.kept_name(one, LABEL))) == (old, new)
    await well(here, sqlite.swap_undo(one, LABEL))
    assert content(here.home / one.path) == new
    assert len(list((here.home / "data").iterdir())) == 3


def test_a_name_that_is_too_long_is_cut_and_stays_its_own() -> None:
    one, other = (spec(path="data/" + "x" * 240 + end) for end in ("a.db", "b.db"))
    paths = [work(each, LABEL) for each in (one, other) for work in (sqlite.shadow_name, sqlite.kept_name)]
    assert len(set(paths)) == 4
    assert max(len(path.removeprefix("data/").encode()) for path in paths) <= 255 - len(".part-journal")
    assert paths[0].endswith(f"__new_{LABEL}") and paths[1].endswith(f"__kept_{LABEL}")


@pytest.mark.parametrize("label", ["", "../x", "20250131_", "20250131_a/b", "x" * 40])
def test_a_label_that_is_none_is_refused(label: str) -> None:
    with pytest.raises(NotReady, match="is no label of a restore"):
        sqlite.swap_command(CRM, label)


PAGES = [(4096, 1024), (1024, 8192), (512, 65536)]


@MODES
@pytest.mark.parametrize("pages", PAGES, ids=str)
async def test_pages_of_another_size_are_fitted(here: Place, wal: bool, pages: tuple[int, int]) -> None:
    """A file with WAL cannot change the size of its pages."""
    rich(live(here))
    with closing(sqlite3.connect(live(here))) as db:
        db.executescript(f"pragma page_size = {pages[0]}; vacuum")
    old = content(live(here))
    backup = await backed_up(here)
    with closing(sqlite3.connect(live(here))) as db:
        db.executescript(f"pragma page_size = {pages[1]}; vacuum; pragma journal_mode = {'wal' if wal else 'delete'}")
    on(live(here), *LATE)
    new = content(live(here))
    await well(here, sqlite.shadow_command(CRM, backup, LABEL))
    await well(here, SWAP)
    assert (content(live(here)), content(kept(here))) == (old, new)
    await well(here, UNDO["swap"])
    assert (content(live(here)), content(shadow(here))) == (new, old)


# -- every step from every state


def steps(backup: Backup) -> dict[str, Command]:
    do = {"shadow": sqlite.shadow_command(CRM, backup, LABEL), "swap": SWAP}
    return do | {f"{name}_undo": command for name, command in UNDO.items()}


DEATHS = {
    "filling": ("    rows = proof(part)\n    if rows", "    os._exit(9)\n"),
    "proven": ('        os.rename(part, item["shadow"])', "        os._exit(9)\n"),
    "begun": ("        rows, flaw = exchange(", "        os._exit(9)\n"),
    "copied": ("            arm(item, source, aside)", "            os._exit(9)\n"),
    "written": ('        more = {"rows": rows', "        os._exit(9)\n"),
    "noted": ("        unmark(item)\n        spent", "        os._exit(9)\n"),
    "unmarked": ("        clear(spent)", "        os._exit(9)\n"),
    "tidied": ('        if state == "swapped":\n            note_down', "        os._exit(9)\n"),
    "aside": ('        os.rename(item["shadow"], item["kept"])', "        os._exit(9)\n"),
}
"""Where a run may die, by a line of the program."""


def dying(command: Command, death: str) -> Command:
    line, exits = DEATHS[death]
    assert command.argv[2].count(line) == 1, death
    return command.model_copy(
        update={"argv": (*command.argv[:2], command.argv[2].replace(line, exits + line), *command.argv[3:])}
    )


NO = ("refused", "")
AFTER, READY, NONE_YET, HALF_SHADOW = (
    ("after", "after"),
    ("after", "before"),
    ("before", "before"),
    ("between", "before"),
)
HALF_SWAP = ("after", "between")
ON, BACK = {"swap": AFTER, "swap_undo": READY}, {"shadow": HALF_SWAP, "shadow_undo": NO}
STATES: dict[str, tuple[str, tuple[str, str], dict[str, tuple[str, str]]]] = {
    # how it is reached; where it stands; where each step leads, twice
    "nothing yet": ("", NONE_YET, {"shadow": READY, "shadow_undo": NONE_YET, "swap": NO, "swap_undo": NONE_YET}),
    "shadow half filled": (
        "shadow:filling", HALF_SHADOW, {"shadow": READY, "shadow_undo": NONE_YET, "swap": NO, "swap_undo": HALF_SHADOW},
    ),
    "shadow not named": (
        "shadow:proven", HALF_SHADOW, {"shadow": READY, "shadow_undo": NONE_YET, "swap": NO},
    ),
    "shadow": ("shadow", READY, {"shadow": READY, "shadow_undo": NONE_YET, **ON}),
    "swap begun": ("shadow swap:begun", HALF_SWAP, BACK | ON),
    "swap copied": ("shadow swap:copied", HALF_SWAP, BACK | ON),
    "swap written": ("shadow swap:written", HALF_SWAP, BACK | ON),
    "swap noted": ("shadow swap:noted", HALF_SWAP, BACK | ON),
    "swap unmarked": ("shadow swap:unmarked", HALF_SWAP, BACK | ON),
    "swap tidied": ("shadow swap:tidied", HALF_SWAP, BACK | ON),
    "swapped": ("shadow swap", AFTER, {"shadow": AFTER, "shadow_undo": NO, **ON}),
    "undo begun": ("shadow swap swap_undo:begun", HALF_SWAP, BACK | ON),
    "undo copied": ("shadow swap swap_undo:copied", HALF_SWAP, BACK | ON),
    "undo written": ("shadow swap swap_undo:written", HALF_SWAP, BACK | ON),
    "undo unmarked": ("shadow swap swap_undo:unmarked", HALF_SWAP, BACK | ON),
    "undo tidied": ("shadow swap swap_undo:tidied", HALF_SWAP, BACK | ON),
    "returned": ("shadow swap swap_undo", READY, {"shadow": READY, "shadow_undo": NONE_YET, **ON}),
    "swapped again, begun": ("shadow swap swap_undo swap:begun", HALF_SWAP, BACK | ON),
    "half set aside": (
        "shadow swap swap_undo shadow_undo:aside", HALF_SHADOW,
        {"shadow": NO, "shadow_undo": NONE_YET, "swap": NO, "swap_undo": HALF_SHADOW},
    ),
    "set aside": (
        "shadow swap swap_undo shadow_undo", NONE_YET,
        {"shadow": NO, "shadow_undo": NONE_YET, "swap": NO, "swap_undo": NONE_YET},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", some_long(STATES, every=5))
async def test_every_step_from_every_state_twice(here: Place, case: str) -> None:
    way, stands, leads = STATES[case]
    rich(live(here), wal=list(STATES).index(case) % 2 == 1)
    old = content(live(here))
    known = steps(await backed_up(here))
    on(live(here), *LATE)
    new = content(live(here))
    for part in way.split():
        name, _, death = part.partition(":")
        result = await here.host.run(dying(known[name], death) if death else known[name])
        assert result.code == (9 if death else 0), result
    assert await words(here) == stands
    with restored_folder(here) as again:
        for name, expected in leads.items():
            again()
            for _ in range(2):
                result = await here.host.run(known[name])
                assert (result.code == 0) == (expected != NO), (name, result)
                assert await words(here) == (stands if expected == NO else expected), name
            if expected in (AFTER, READY, NONE_YET):
                assert content(live(here)) == (old if expected == AFTER else new), name
            if expected == AFTER:
                assert content(kept(here)) == new


# -- numbers


def number(path: Path, table: str = "people", column: str = "name") -> int:
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(f"insert into {table} ({column}) values ('another')").lastrowid or 0


@MODES
async def test_a_number_is_given_out_once(here: Place, wal: bool) -> None:
    await ready(here, wal)
    given = [number(live(here))]
    for _ in range(2):
        await well(here, SWAP)
        given.append(number(live(here)))
        await well(here, UNDO["swap"])
        given.append(number(live(here)))
    assert given == [6, 7, 8, 9, 10], "4 and 5 were given out before, and 5 was deleted"


async def test_a_table_that_is_made_again_goes_on_counting(here: Place) -> None:
    await ready(here)
    await well(here, SWAP)
    on(live(here), "create table newer (a integer primary key autoincrement, b)")
    assert number(live(here), "newer", "b") == 42


async def test_the_backup_may_have_counted_further(here: Place) -> None:
    rich(live(here))
    on(live(here), "update sqlite_sequence set seq = 90")
    backup = await backed_up(here)
    on(live(here), "update sqlite_sequence set seq = 5")
    await well(here, sqlite.shadow_command(CRM, backup, LABEL))
    await well(here, SWAP)
    assert number(live(here)) == 91


async def test_counters_are_kept_though_the_backup_had_none(here: Place) -> None:
    make(live(here))
    backup = await backed_up(here)
    on(live(here), "create table t (a integer primary key autoincrement, b)", "insert into t values (6, 0)")
    await well(here, sqlite.shadow_command(CRM, backup, LABEL))
    await well(here, SWAP)
    on(live(here), "create table t (a integer primary key autoincrement, b)")
    assert number(live(here), "t", "b") == 7


# -- wherever it is killed

CALLS = "openat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,rename,fcntl"
"""What a change of a file can stand between; sqlite's locks are `fcntl`."""

needs_strace = pytest.mark.skipif(
    not shutil.which("strace")
    or subprocess.run(["strace", "-o/dev/null", "true"], capture_output=True).returncode != 0,
    reason="no strace, which kills at one system call",
)


def traced(here: Place, command: Command, *more: str) -> subprocess.CompletedProcess[bytes]:
    strace = ("strace", "-qq", "-o", str(here.home / "trace"), "-e", f"trace={CALLS}", *more)
    assert command.argv[0] == "python3"
    argv = (*strace, sys.executable, "-I", *command.argv[1:])
    return subprocess.run(argv, cwd=here.home, capture_output=True, timeout=60)


Moment = tuple[str, int]
"""A system call, and which of its kind."""


def killed(here: Place, command: Command, at: Moment) -> bool:
    """Run it and end it with KILL at that call; False = it came to its end before."""
    done = traced(here, command, "-e", f"inject={at[0]}:signal=KILL:when={at[1]}")
    assert done.returncode in (0, -signal.SIGKILL), done
    return done.returncode != 0


def calls_of(here: Place, command: Command) -> list[Moment]:
    """The calls of the program, from the first one that is about this database."""
    assert traced(here, command).returncode == 0
    lines = (here.home / "trace").read_text(errors="replace").splitlines()
    names = [line.partition("(")[0] for line in lines]
    first = next(number for number, line in enumerate(lines) if LABEL in line)
    return [(name, names[: number + 1].count(name)) for number, name in enumerate(names) if number >= first]


@contextmanager
def restored_folder(here: Place) -> Iterator[Callable[[], None]]:
    """A function that brings the folder with the databases back to what it is now."""
    shutil.copytree(here.home / "data", here.home / "then")

    def again() -> None:
        shutil.rmtree(here.home / "data")
        shutil.copytree(here.home / "then", here.home / "data")

    yield again


KILLS = pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.long)])
"""At how many moments of each row a program is killed."""


def moments(calls: list[Moment], seed: str, kills: int) -> list[Moment]:
    return random.Random(seed).sample(calls, min(kills, len(calls)))


@needs_strace
@MODES
@KILLS
@pytest.mark.parametrize("what", ["swap", "swap_undo"])
async def test_a_killed_swap_goes_on_or_back(here: Place, wal: bool, what: str, kills: int) -> None:
    """A client writes between the kill and whatever follows; its row must be somewhere."""
    old, new = await ready(here, wal)
    if what == "swap_undo":
        await well(here, SWAP)
    command = SWAP if what == "swap" else UNDO["swap"]
    sees = set()
    with restored_folder(here) as again:
        for at in moments(calls_of(here, command), what, kills):
            for then in ("do", "undo"):
                again()
                assert killed(here, command, at), at
                assert content(live(here), f"_fairlead_{LABEL}") in (old, new), f"live is a mixture: {at}"
                number_of_client = number(live(here))
                sees.add(await word(here, "swap"))
                await well(here, SWAP if then == "do" else UNDO["swap"])
                where = (kept(here), live(here)) if then == "do" else (live(here), shadow(here))
                assert not list(live(here).parent.glob("*__*-journal")), f"one file is not all of it: {at}"
                assert "another" in marks(*where), f"a row is lost: {at}"
                on(live(here), "delete from people where name = 'another'")
                assert (await words(here)) == ("after", "after" if then == "do" else "before")
                assert content(live(here)) == (old if then == "do" else new), f"{at}, then {then}"
                assert number(live(here)) > number_of_client
    assert sees <= {"before", "between", "after"} and ("between" in sees or kills < 6)


@needs_strace
@KILLS
async def test_a_killed_shadow_is_begun_again_or_dropped(here: Place, kills: int) -> None:
    rich(live(here))
    old = content(live(here))
    command = sqlite.shadow_command(CRM, await backed_up(here), LABEL)
    with restored_folder(here) as again:
        for at in moments(calls_of(here, command), "shadow", kills):
            for then in ("do", "undo"):
                again()
                assert killed(here, command, at)
                sees = await words(here)
                assert sees in {("before", "before"), ("between", "before"), ("after", "before")}
                await well(here, command if then == "do" else UNDO["shadow"])
                assert await words(here) == ("after" if then == "do" else "before", "before")
                assert content(live(here)) == old
                assert listed(here) == ["crm.db", "crm.db__new"][: 2 if then == "do" else 1]


# -- what stands in the way


@contextmanager
def idle(path: Path, *words: str) -> Iterator[None]:
    """A client in the middle of a transaction, which does nothing more."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for word in words:
            db.execute(word).fetchall()
        yield


READS = ("begin", "select count(*) from people")
WRITES = ("begin immediate", "insert into people (name) values ('unfinished')")
IN_THE_WAY = {
    "a reader, without wal": (False, READS),
    "a writer, without wal": (False, WRITES),
    "a writer with a lock on all": (False, ("begin exclusive",)),
    "a writer, with wal": (True, WRITES),
}


@pytest.mark.parametrize("case", IN_THE_WAY)
async def test_an_idle_transaction_that_holds_a_lock_is_named(
    here: Place, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wal, statements = IN_THE_WAY[case]
    _, new = await ready(here, wal)
    monkeypatch.setattr(sqlite, "SWAP_PATIENCE", 0.5)
    with idle(live(here), *statements):
        assert await refused(here, sqlite.swap_command(CRM, LABEL)) == "data/crm.db is locked by another process"
        assert await word(here, "swap") in ("before", "between")
    await well(here, UNDO["swap"])
    assert (await words(here), content(live(here)), listed(here)) == (
        ("after", "before"),
        new,
        ["crm.db", "crm.db__new"],
    )
    await well(here, SWAP)


async def test_a_reader_is_in_nobodys_way_with_wal(here: Place) -> None:
    old, _ = await ready(here, wal=True)
    with closing(sqlite3.connect(live(here), isolation_level=None)) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from people").fetchone() == (4,)
        await well(here, SWAP)
        assert reader.execute("select count(*) from people").fetchone() == (4,), "its transaction goes on as it began"
        reader.execute("rollback")
        assert reader.execute("select count(*) from people").fetchone() == (3,)
    assert content(live(here)) == old


def damaged_below(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2048] = b"\xaa" * 2048
    path.write_bytes(raw)


def damaged_schema(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[100:4096] = b"\xff" * 3996
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", [damaged_below, damaged_schema])
async def test_a_damaged_database_is_restored_and_its_ruin_kept(here: Place, damage: Callable[[Path], None]) -> None:
    make(live(here), rows=20_000)
    old = content(live(here))
    await well(here, sqlite.shadow_command(CRM, await backed_up(here), LABEL))
    damage(live(here))
    ruin = live(here).read_bytes()
    line = await run(here, SWAP)
    assert line["ok"] and "corrupt" in str(line["flaw"])
    assert (await words(here), content(live(here))) == (("after", "after"), old)
    with kept(here).open("rb") as file:
        assert sum(a != b for a, b in zip(file.read(), ruin, strict=True)) < 20, "only counters in its head differ"


def index_that_lies(path: Path) -> None:
    raw = path.read_bytes()
    assert raw.count(b"n1999") == 2
    path.write_bytes(raw.replace(b"n1999", b"nXXXX", 1))


@pytest.mark.parametrize("damage", [damaged_below, index_that_lies])
async def test_a_damaged_database_is_taken_back_too(here: Place, damage: Callable[[Path], None]) -> None:
    """The undo promises what was there before, not something better."""
    make(live(here), rows=2000)
    on(live(here), "create index by_name on people (name)")
    await well(here, sqlite.shadow_command(CRM, await backed_up(here), LABEL))
    damage(live(here))
    ruin = live(here).read_bytes()
    await well(here, SWAP)
    await well(here, UNDO["swap"])
    assert await words(here) == ("after", "before")
    assert sum(a != b for a, b in zip(live(here).read_bytes(), ruin, strict=False)) < 200, "heads, and the mark's page"


@needs_strace
@KILLS
@pytest.mark.parametrize("damage", [damaged_below, damaged_schema])
async def test_a_kill_while_a_damaged_database_is_restored(
    here: Place, damage: Callable[[Path], None], kills: int
) -> None:
    make(live(here), rows=2000)
    old = content(live(here))
    await well(here, sqlite.shadow_command(CRM, await backed_up(here), LABEL))
    damage(live(here))
    with restored_folder(here) as again:
        for at in moments(calls_of(here, SWAP), "damaged", kills):
            again()
            assert killed(here, SWAP, at)
            await well(here, SWAP)
            assert (await words(here), content(live(here))) == (("after", "after"), old)


WRONG = {
    "another database's": ({"database": "shop"}, "a sqlite backup of shop on here cannot be restored into it"),
    "another engine's": ({"engine": "mariadb"}, "a mariadb backup of crm on here cannot be restored into it"),
    "another host's": ({"host": "far"}, "a sqlite backup of crm on far cannot be restored into it"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_backup_that_is_not_its_own_is_refused(case: str) -> None:
    change, says = WRONG[case]
    backup = Backup(database="crm", host="here", file="a.db", manifest="a.json").model_copy(update=change)
    with pytest.raises(NotReady, match=says):
        sqlite.shadow_command(CRM, backup, LABEL)
    with pytest.raises(NotReady, match="its backup store is on vault"):
        sqlite.shadow_command(spec(store_host="vault"), backup, LABEL)


def relabelled(here: Place, backup: Backup) -> None:
    manifest = here.home / backup.manifest
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "database": "shop"}))


def cut(here: Place, backup: Backup) -> None:
    os.truncate(here.home / backup.file, 4096)


def altered(here: Place, backup: Backup) -> None:
    raw = bytearray((here.home / backup.file).read_bytes())
    raw[-1] ^= 1
    (here.home / backup.file).write_bytes(raw)


def gone(here: Place, backup: Backup) -> None:
    (here.home / backup.file).unlink()


def other_rows(here: Place, backup: Backup) -> None:
    manifest = here.home / backup.manifest
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "rows": {"people": 11}}))


SPOILT = {
    "another database's": (
        relabelled,
        "the backup does not count: its manifest says that it is a backup of shop, and its name does not",
    ),
    "cut": (cut, "the backup does not count: its file is cut short or changed: 4096 bytes instead of"),
    "altered": (altered, "the backup's content is not what its manifest says"),
    "gone": (gone, "the backup does not count: there is no file"),
    "other rows": (other_rows, "the restored database has other rows than its manifest says"),
}


@pytest.mark.parametrize("case", SPOILT)
async def test_a_spoilt_backup_fills_no_shadow(here: Place, case: str) -> None:
    spoil, says = SPOILT[case]
    make(live(here))
    backup = await backed_up(here)
    spoil(here, backup)
    assert (await refused(here, sqlite.shadow_command(CRM, backup, LABEL))).startswith(says)
    assert (await words(here), listed(here)) == (("before", "before"), ["crm.db"])


async def test_there_is_nothing_to_swap_without_a_shadow(here: Place) -> None:
    make(live(here))
    before = live(here).read_bytes()
    assert await refused(here, SWAP) == "there is no shadow to swap in"
    await well(here, UNDO["swap"])
    assert (live(here).read_bytes(), listed(here)) == (before, ["crm.db"])


async def test_a_shadow_that_was_spoilt_meanwhile_is_not_swapped_in(here: Place) -> None:
    make(live(here), rows=2000)
    new = content(live(here))
    await well(here, sqlite.shadow_command(CRM, await backed_up(here), LABEL))
    damaged_below(shadow(here))
    assert "corrupt" in await refused(here, SWAP)
    assert (content(live(here)), listed(here)) == (new, ["crm.db", "crm.db__new"])


@pytest.mark.parametrize("which", [kept, shadow])
async def test_what_a_killed_run_wrote_beside_it_is_taken_back(here: Place, which: Callable[..., Path]) -> None:
    """Whoever only reads such a file cannot take it back, and a copy of it alone would be torn."""
    await ready(here)
    if which is kept:
        await well(here, SWAP)
    file = which(here)
    then = content(file)
    writes = "import os, sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None); "
    writes += "d.execute('pragma cache_size = 1'); d.execute('begin immediate'); "
    writes += "d.execute('create table big as with n(i) as (select 1 union all select i + 1 from n limit 9999) "
    writes += "select i from n'); "
    subprocess.run([sys.executable, "-c", writes + "os.kill(os.getpid(), 9)", file], check=False)
    assert file.with_name(file.name + "-journal").exists()
    with pytest.raises(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        db.execute("select * from people")
    await well(here, SWAP if which is kept else UNDO["swap"])
    assert not file.with_name(file.name + "-journal").exists()
    assert content(file) == then


async def test_a_mark_that_no_note_explains_is_not_overlooked(here: Place) -> None:
    await ready(here)
    on(live(here), f"create table _fairlead_{LABEL} (a)")
    assert "which no note explains" in await refused(here, SWAP)


def note_unreadable(here: Place) -> None:
    (here.home / (sqlite.kept_name(CRM, LABEL) + ".json")).write_text("{")


def note_of_another(here: Place) -> None:
    path = here.home / (sqlite.kept_name(CRM, LABEL) + ".json")
    path.write_text(json.dumps({"label": "20240101_00000000", "state": "after"}))


def kept_without_note(here: Place) -> None:
    make(kept(here))


def live_gone(here: Place) -> None:
    live(here).rename(here.home / "elsewhere")


def live_is_a_link(here: Place) -> None:
    live_gone(here)
    live(here).symlink_to(here.home / "elsewhere")


def live_is_text(here: Place) -> None:
    live(here).write_text("hello" * 99)


@pytest.mark.parametrize(
    "spoil", [note_unreadable, note_of_another, kept_without_note, live_gone, live_is_a_link, live_is_text]
)
async def test_what_cannot_be_told_is_left_alone(here: Place, spoil: Callable[[Place], None]) -> None:
    await ready(here)
    spoil(here)

    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (here.home / "data").iterdir()}

    before = files()
    assert await word(here, "swap") == "cannot_tell"
    for _ in range(2):
        await refused(here, SWAP)
        await here.host.run(UNDO["swap"])
        await here.host.run(sqlite.kept_drop_command(CRM, LABEL))
    assert files() == before


async def test_the_shadow_cannot_be_told_where_live_is_gone(here: Place) -> None:
    await ready(here)
    live_gone(here)
    assert await word(here, "shadow") == "cannot_tell"


async def test_no_more_room_is_found_out_before_anything_is_at_risk(here: Place) -> None:
    make(live(here))
    backup = await backed_up(here)
    before = live(here).read_bytes()
    tiny = [text.replace("disk.f_bavail * disk.f_frsize", "30000") for text in program_of(backup)]
    result = await here.host.run(Command(argv=tuple(tiny)))
    assert "the disk is full: the copy needs 36864 bytes" in json.loads(result.stdout)["says"]
    assert (live(here).read_bytes(), listed(here)) == (before, ["crm.db"])


def program_of(backup: Backup) -> tuple[str, ...]:
    return sqlite.shadow_command(CRM, backup, LABEL).argv


DISK = 'mount -t tmpfs -o size=%dk none data && cp -p then/* data && "$0" "$@"; code=$?; cp -p data/* left; exit $code'


@pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode != 0,
    reason="this machine allows no user namespaces, so no small disk can be mounted",
)
@pytest.mark.parametrize("room", [1500, 1900, 2500, 3000, 3500])
@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "wal"])
async def test_a_disk_that_fills_in_the_middle_leaves_all_old_or_all_new(here: Place, wal: bool, room: int) -> None:
    """Live and shadow have 700 kB each; how much room there is decides where it ends."""
    make(live(here), rows=30_000, wal=wal)
    old = content(live(here))
    await well(here, sqlite.shadow_command(CRM, await backed_up(here), LABEL))
    on(live(here), "update people set name = name || 'x'")
    new = content(live(here))
    (here.home / "data").rename(here.home / "then")
    (here.home / "data").mkdir()
    (here.home / "left").mkdir()
    blind = [text.replace("if free < needed", "if False") for text in SWAP.argv]
    script = f"unshare -rm sh -c '{DISK % room}' \"$@\""
    result = await here.host.run(Command(argv=("sh", "-c", script, "sh", *blind)))
    (here.home / "data").rmdir()
    (here.home / "left").rename(here.home / "data")
    line = json.loads(result.stdout)
    if line["ok"]:
        assert (content(live(here)), content(kept(here))) == (old, new)
    else:
        assert line["says"].startswith("the disk is full") or "disk I/O error" in line["says"], line
        assert content(live(here)) == new
        await well(here, UNDO["swap"])
        assert (content(live(here)), listed(here)) == (new, ["crm.db", "crm.db__new"])


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write everywhere")
async def test_a_folder_that_may_not_be_written_is_said(here: Place) -> None:
    """SQLite's form of `no second schema possible`."""
    make(live(here))
    backup = await backed_up(here)
    for path in (here.home.parent.parent, here.home.parent, here.home, *here.home.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
    (here.home / "data").chmod(0o555)
    argv = (*as_nobody, "/usr/bin/python3", *program_of(backup)[1:])
    result = subprocess.run(argv, cwd=here.home, capture_output=True, text=True)
    assert "may not read or write data/crm.db__new" in json.loads(result.stdout)["says"], result
    assert listed(here) == ["crm.db"]


async def test_two_runs_at_once_swap_once(here: Place) -> None:
    old, new = await ready(here)
    answers = await asyncio.gather(*(here.host.run(SWAP) for _ in range(3)))
    lines = [json.loads(answer.stdout) for answer in answers]
    told = {line["says"] for line in lines}
    assert "swapped" in told
    assert told <= {"swapped", "it has been swapped already", "another run is taking this database back"}
    assert (content(live(here)), content(kept(here))) == (old, new)


@MODES
async def test_a_swap_that_is_stopped_clears_up_after_itself(here: Place, wal: bool) -> None:
    """TERM while it waits for a lock, which is where a swap spends its time."""
    _, new = await ready(here, wal)
    with idle(live(here), *WRITES):
        argv = (sys.executable, *SWAP.argv[1:])
        with subprocess.Popen(argv, cwd=here.home, stdout=subprocess.PIPE) as swap:
            while not kept(here).exists():
                await asyncio.sleep(0.01)
            swap.terminate()
            await asyncio.to_thread(swap.wait)
    assert swap.returncode == 128 + signal.SIGTERM
    assert (await words(here), content(live(here)), listed(here)) == (
        ("after", "before"),
        new,
        ["crm.db", "crm.db__new"],
    )


# -- clients who go on


PAIRS = """
create table people (id integer primary key autoincrement, name text);
create table side (id integer primary key autoincrement, name text);
create table generation (number int);
insert into generation values ({number});
"""

WRITER = """
import sqlite3, sys, time
path, mark, log = sys.argv[1:]
db = sqlite3.connect(path, timeout=20, isolation_level=None)
with open(log, "a", buffering=1) as acknowledged:
    for turn in range(10**9):
        name = "%s-%d" % (mark, turn)
        try:
            db.execute("begin immediate")
            number = db.execute("insert into people (name) values (?)", (name,)).lastrowid
            db.execute("insert into side (name) values (?)", (name,))
            db.execute("commit")
        except sqlite3.OperationalError as error:
            if db.in_transaction:
                db.execute("rollback")
            if "locked" not in str(error):
                raise
            continue
        acknowledged.write("%d %s\\n" % (number, name))
        time.sleep(0.001)
"""

READER = """
import sqlite3, sys, time
path, mark, log = sys.argv[1:]
db = sqlite3.connect(path, timeout=20, isolation_level=None)
with open(log, "a", buffering=1) as seen:
    while True:
        begun = time.monotonic()
        db.execute("begin")
        there = db.execute("select number from generation").fetchall()
        ours = [db.execute("select count(*) from " + table).fetchone()[0] for table in ("people", "side")]
        db.execute("commit")
        number = there[0][0] if len(there) == 1 else "none"
        seen.write("%s %d %.3f\\n" % (number, ours[0] - ours[1], time.monotonic() - begun))
        time.sleep(0.001)
"""


@contextmanager
def clients(here: Place, several: dict[str, str]) -> Iterator[None]:
    """Programs by mark; each must still be running in the end."""
    started = [
        subprocess.Popen([sys.executable, "-c", text, str(live(here)), mark, str(here.home / f"{mark}.log")])
        for mark, text in several.items()
    ]
    try:
        for mark in several:
            while not (here.home / f"{mark}.log").exists() or (here.home / f"{mark}.log").stat().st_size < 50:
                assert all(client.poll() is None for client in started)
        yield
        assert [client.poll() for client in started] == [None] * len(started)
    finally:
        for client in started:
            client.kill()
            client.wait()


def log_of(here: Place, mark: str) -> list[list[str]]:
    return [line.split() for line in (here.home / f"{mark}.log").read_text().splitlines(keepends=True) if "\n" in line]


@MODES
async def test_clients_lose_no_row_and_see_no_mixture(here: Place, wal: bool) -> None:
    live(here).parent.mkdir()
    with closing(sqlite3.connect(live(here))) as db:
        db.execute(f"pragma journal_mode = {'wal' if wal else 'delete'}")
        db.executescript(PAIRS.format(number=1))
    backup = await backed_up(here)
    on(live(here), "update generation set number = 2")
    await well(here, sqlite.shadow_command(CRM, backup, LABEL))
    with clients(here, {"ann": WRITER, "ben": WRITER, "eve": READER}):
        await well(here, SWAP, times=1)
        await well(here, UNDO["swap"], times=1)
        await well(here, SWAP, times=1)
    rows = [row for mark in ("ann", "ben") for row in log_of(here, mark)]
    numbers = [int(number) for number, _ in rows]
    assert len(set(numbers)) == len(numbers) > 10, "a number was given out twice"
    here_or_there = marks(live(here), kept(here))
    # What was written between a swap and its undo went to the shadow, and with the second swap into live again.
    assert [name for _, name in rows if name not in here_or_there] == []
    seen = log_of(here, "eve")
    assert {(generation, torn) for generation, torn, _ in seen} == {("1", "0"), ("2", "0")}


GAP = """
def wake(path):
    db = sqlite3.connect(path)
    with db:
        db.execute("insert into people (name) values ('gap')")
    db.close()


def exchange("""


@MODES
@pytest.mark.parametrize("times", ["== 0", "< 4", ">= 0"], ids=["once", "four times", "always"])
async def test_what_is_written_between_copy_and_lock_is_noticed(here: Place, wal: bool, times: str) -> None:
    """The moment at which a row could be lost, made to happen."""
    await ready(here, wal)
    release = '                keeper.execute("rollback")\n'
    woken = SWAP.argv[2].replace(
        release, release + f"            if attempt {times}:\n                wake(item['path'])\n"
    )
    woken = woken.replace("def exchange(", GAP)
    assert woken.count("wake(") == 2
    told = await run(here, SWAP.model_copy(update={"argv": (*SWAP.argv[:2], woken, *SWAP.argv[3:])}))
    if times == ">= 0":
        assert told["says"] == "data/crm.db is written to without a pause"
        assert (await words(here), on(live(here), "select count(*) from people where name = 'gap'")) == (READY, [(6,)])
    else:
        assert told["says"] == "swapped"
        assert on(kept(here), "select count(*) from people where name = 'gap'") == [(1 if times == "== 0" else 4,)]
        assert "gap" not in marks(live(here))


# -- what was written since


def row(ledger: Ledger, table: str) -> TableLedger:
    return next(one for one in ledger.tables if one.table == table)


def counts(ledger: Ledger) -> dict[str, tuple[int | None, int | None, int | None, bool]]:
    return {one.table: (one.only_live, one.only_kept, one.changed, one.exact) for one in ledger.tables}


TYPES = ("1", "1.0", "1.5", "'1'", "x'31'", "null", "''", "'a'", "'A'", "'🚢'", "-0.5", "'o''k'", "9007199254740993")
SHAPES = {
    "numbered": "(id integer primary key, a, b text collate nocase)",
    "a b": "(k text, l int, a, b, primary key (k, l))",
    'ä"q': "(k text collate nocase primary key, a, b) without rowid",
    "heap": "(a, b)",
    "made": "(id integer primary key, a, b, c as (a || 'x') stored, d as (b) virtual)",
}
KEYS = {"numbered": ["id"], "a b": ["k", "l"], 'ä"q': ["k"], "heap": [], "made": ["id"]}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def shaken(path: Path, chance: random.Random, turns: int) -> None:
    """Inserts, updates and deletes of all kinds of values, in all kinds of tables."""
    with closing(sqlite3.connect(path)) as db, db:
        for _ in range(turns):
            name = chance.choice(list(SHAPES))
            columns = [*KEYS[name], "a", "b"]
            values = [
                str(chance.randrange(60)) if column in ("id", "l") else chance.choice(TYPES) for column in columns
            ]
            if "k" in columns:
                values[0] = f"'{chance.choice('abcdefghijklmnopABCDEF')}'"
            words = {
                "insert": f"insert or ignore into {quoted(name)} ({', '.join(columns)}) values ({', '.join(values)})",
                "update": f"update or ignore {quoted(name)} set a = {values[-2]} where b is {values[-1]}",
                "delete": f"delete from {quoted(name)} where a is {values[-2]} and b is {values[-1]}",
            }
            db.execute(words[chance.choice(["insert", "insert", "update", "delete"])])


def truth(one: Path, other: Path) -> dict[str, tuple[int, int, int, bool]]:
    """The same question, answered in Python from all rows, told apart by type and by byte."""
    found = {}
    for name in SHAPES:
        sides = []
        for path in (one, other):
            columns = ", ".join(f"t.{column}" for column in [*KEYS[name], "a", "b"])
            sides.append([tuple((type(v), v) for v in r) for r in on(path, f"select {columns} from {quoted(name)} t")])
        width = len(KEYS[name])
        if not width:
            left = list(sides[1])
            common = sum(1 for values in sides[0] if values in left and not left.remove(values))  # type: ignore[func-returns-value]
            found[name] = (len(sides[0]) - common, len(sides[1]) - common, 0, True)
            continue
        nocase = name == 'ä"q'
        fold = (lambda key: [(t, v.lower()) for t, v in key]) if nocase else list
        live_rows, kept_rows = ({str(fold(values[:width])): values for values in side} for side in sides)
        changed = sum(live_rows[key] != kept_rows[key] for key in live_rows.keys() & kept_rows.keys())
        found[name] = (
            len(live_rows.keys() - kept_rows.keys()),
            len(kept_rows.keys() - live_rows.keys()),
            changed,
            True,
        )
    return found


@pytest.mark.parametrize("seed", range(6))
async def test_the_ledger_equals_the_truth(here: Place, seed: int) -> None:
    chance = random.Random(seed)
    live(here).parent.mkdir()
    on(live(here), *(f"create table {quoted(name)} {shape}" for name, shape in SHAPES.items()))
    shaken(live(here), chance, 300)
    await well(here, sqlite.shadow_command(CRM, await backed_up(here), LABEL))
    shaken(live(here), chance, 100)
    await well(here, SWAP)
    assert counts(await sqlite.ledger(here.host, CRM, LABEL, NONE)) == truth(live(here), kept(here))
    shaken(live(here), chance, 100)
    ledger = await sqlite.ledger(here.host, CRM, LABEL, NONE)
    assert (ledger.kind, counts(ledger)) == ("exact", truth(live(here), kept(here)))
    assert any(one.changed for one in ledger.tables) and all(one.only_kept for one in ledger.tables[:1])
    assert listed(here) == ["crm.db", "crm.db__kept", "crm.db__kept.json"], "what it compares with is gone again"


SUBTLE = [("'a'", "'A'"), ("1", "1.0"), ("'1'", "1"), ("x'61'", "'a'"), ("null", "''"), ("'a'", "'a '")]


@pytest.mark.parametrize("key", ["id integer primary key", "id"], ids=["with a key", "without"])
@pytest.mark.parametrize("pair", SUBTLE, ids=" is not ".join)
async def test_the_ledger_tells_what_sqlite_holds_to_be_equal(here: Place, key: str, pair: tuple[str, str]) -> None:
    live(here).parent.mkdir()
    on(live(here), f"create table t ({key}, a collate nocase)", f"insert into t values (1, {pair[0]}), (2, 'same')")
    await well(here, sqlite.shadow_command(CRM, await backed_up(here), LABEL))
    on(live(here), f"update t set a = {pair[1]} where id = 1")
    await well(here, SWAP)
    expected = (0, 0, 1, True) if "primary" in key else (1, 1, 0, True)
    assert counts(await sqlite.ledger(here.host, CRM, LABEL, NONE)) == {"t": expected}


async def test_a_ledger_says_what_limits_it(here: Place) -> None:
    make(live(here), rows=50)
    on(live(here), "create table gone (a)", "create table wider (id integer primary key, a)")
    on(live(here), "create table unkeyed (k text primary key, a)", "insert into unkeyed values (null, 1), (null, 2)")
    await well(here, sqlite.shadow_command(CRM, await backed_up(here), LABEL))
    on(
        live(here),
        "insert into people (name) values ('a'), ('b')",
        "alter table wider add column more",
        "insert into wider values (1, 2, 3)",
        "create table fresh (a)",
        "insert into fresh values (1)",
        "drop table gone",
        "insert into unkeyed values (null, 1)",
    )
    await well(here, SWAP)
    ledger = await sqlite.ledger(here.host, CRM, LABEL, NONE, limit_rows=50)
    assert ledger.kind == "estimate"
    assert {one.table: one.says for one in ledger.tables if one.says} == {
        'odd " name; --': "no key: a changed row counts on both sides",
        "people": "more than 50 rows: counted, not compared",
        "wider": "compared without more, which one side lacks",
        "fresh": "only the kept database has this table",
        "gone": "only the live database has this table",
        "unkeyed": "no key: a changed row counts on both sides",
    }
    assert counts(ledger)["people"] == (0, 2, None, False)
    assert counts(ledger)["wider"] == (0, 1, 0, False)
    assert counts(ledger)["fresh"] == (0, 1, 0, True)
    assert counts(ledger)["unkeyed"] == (0, 1, 0, True)


async def test_a_ledger_without_a_kept_database_is_refused(here: Place) -> None:
    await ready(here)
    with pytest.raises(NotReady, match=f"crm: nothing is kept of it under {LABEL}"):
        await sqlite.ledger(here.host, CRM, LABEL, NONE)


async def test_no_value_is_in_a_ledger(here: Place) -> None:
    await ready(here)
    on(live(here), "update people set name = 'very-secret-value'")
    await well(here, SWAP)
    result = (await sqlite.ledger(here.host, CRM, LABEL, NONE)).to_json()
    assert "secret" not in result and "people" in result


@MODES
async def test_an_estimate_counts_before_anything_is_done(here: Place, wal: bool) -> None:
    rich(live(here), wal)
    backup = await backed_up(here)
    on(live(here), *LATE, 'delete from "a b" where "back`tick" = 1')
    before = live(here).read_bytes()
    ledger = await sqlite.estimate(here.host, CRM, backup, NONE)
    assert (ledger.database, ledger.kind, live(here).read_bytes(), listed(here)) == (
        "crm",
        "estimate",
        before,
        ["crm.db"],
    )
    assert counts(ledger)["people"] == (1, 0, None, False)
    assert counts(ledger)["orders"] == (1, 0, None, False)
    assert counts(ledger)["newer"] == (1, 0, None, False)
    assert (counts(ledger)["a b"], row(ledger, "newer").says) == (
        (0, 2, None, False),
        "only the live database has this table",
    )
    without = await sqlite.estimate(here.host, CRM, backup.model_copy(update={"file": "nowhere.db"}), NONE)
    assert counts(without) == counts(ledger)
    assert {"counted" in one.says for one in without.tables if one.table != "newer"} == {True}


async def test_an_estimate_of_what_cannot_be_read_is_refused(here: Place) -> None:
    rich(live(here))
    backup = await backed_up(here)
    live_gone(here)
    with pytest.raises(NotReady, match=r"crm: there is no file data/crm\.db"):
        await sqlite.estimate(here.host, CRM, backup, NONE)


# -- what is kept is dropped


async def test_what_was_kept_is_dropped_and_nothing_else(here: Place) -> None:
    old, _ = await ready(here)
    other = "20250201_ffffffff"
    await well(here, sqlite.kept_drop_command(CRM, LABEL))
    assert listed(here) == ["crm.db", "crm.db__new"]
    await well(here, SWAP)
    await well(here, sqlite.kept_drop_command(CRM, other))
    assert listed(here) == ["crm.db", "crm.db__kept", "crm.db__kept.json"]
    await well(here, sqlite.kept_drop_command(CRM, LABEL))
    assert (content(live(here)), listed(here)) == (old, ["crm.db"])


async def test_the_live_database_is_not_dropped_under_another_name(here: Place) -> None:
    await ready(here)
    await well(here, SWAP)
    kept(here).unlink()
    kept(here).hardlink_to(live(here))
    assert "is the live database" in await refused(here, sqlite.kept_drop_command(CRM, LABEL))
    assert kept(here).exists() and live(here).exists()


async def test_undoing_what_is_no_longer_kept_is_refused(here: Place) -> None:
    old, _ = await ready(here)
    await well(here, SWAP)
    kept(here).unlink()
    assert "what was kept is gone" in await refused(here, UNDO["swap"])
    assert content(live(here)) == old


def test_the_commands_name_no_secret() -> None:
    backup = Backup(database="crm", host="here", file="a.db", manifest="a.json")
    several = [SWAP, *ASK.values(), *UNDO.values(), sqlite.kept_drop_command(CRM, LABEL)]
    assert {command.stdin for command in (*several, sqlite.shadow_command(CRM, backup, LABEL))} == {None}
