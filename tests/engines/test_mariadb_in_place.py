"""A MariaDB database that is taken back in place, since its account may make no second one: nothing is lost."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from fairlead.config.database import MaintenanceAccount, RollbackSpec
from fairlead.engines import mariadb
from fairlead.model import SecretRef
from fairlead.outside.local import LocalHost
from support.mariadb import PASSWORDS, SECRETS, USER, MariaDB, open_folder
from support.mariadb_swap import Trial, dying
from support.places import Place
from support.rows import some_long
from support.sealed import NAME, Key

SMALL = """create table log (n int); create view v as select id from people; create function f() returns int return 1;
create trigger noted after insert on people for each row insert into log values (1);
create event tidy on schedule every 1 day do delete from log; grant execute on function {}.f to svc@'%';
create table child (id int primary key, up int, foreign key (up) references people (id));
insert into child values (1, 1)
"""
RELEASE = """insert into people (name) values ('promised'); alter table people add extra int; drop view v;
drop event tidy;
create table added (id int primary key, up int, foreign key (up) references people (id));
insert into added values (1, 2);
create table later (a int); drop trigger noted; create or replace function f() returns int return 2"""
SWAP = "fenced swap"
ASKED = iter(range(10_000))


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    folder = open_folder()
    with MariaDB(folder / "server") as one:
        yield one
    shutil.rmtree(folder)


async def a_trial(here: Place, server: MariaDB, rows: int = 10) -> Trial:
    """A database whose account may use it, and no other; with a backup, and a release since."""
    name = f"place{next(ASKED)}"
    server.sql(f"create or replace user m@'%' identified by '{PASSWORDS[USER]}'; grant set user on *.* to m@'%'")
    server.sql(f"grant all on `mo\\_{name}`.* to m@'%' with grant option; grant select on mysql.proc to m@'%'")
    server.sql("grant select on mysql.procs_priv to m@'%'")
    server.create(name, SMALL.format(f"mo_{name}"), rows)
    maintenance = MaintenanceAccount(user="m", password=SecretRef(name=USER))
    words = {"maintenance": maintenance, "rollback": RollbackSpec(place="in_place")}
    trial = Trial(here, server, server.spec(name, **words))
    await trial.back_up()
    server.sql(RELEASE, trial.live)
    return trial


def kept(trial: Trial) -> list[str]:
    """The texts of the dumps that are kept under the label."""
    files = sorted((trial.here.home / "backups").glob(f"{trial.kept}-*.sql.zst"))
    return [subprocess.run(["zstd", "-dcq", str(one)], capture_output=True, text=True).stdout for one in files]


def knowing(here: Place) -> LocalHost:
    """The same host, with the secrets that a question needs."""
    assert isinstance(here.host, LocalHost)
    return LocalHost(here.host.account, SECRETS)


async def refused(trial: Trial, step: str) -> str:
    result = await trial.run(step)
    assert not result.ok, result.stdout
    return str(json.loads(result.stdout)["says"])


async def test_it_becomes_what_it_was_and_back_and_nothing_is_lost(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    written = trial.whole
    (room,) = await mariadb.room(knowing(here), [trial.database])
    assert (room.status, room.says.partition(" on ")[0]) == ("fail", f"m@% may make no database beside {trial.live}")
    assert room.hint == f"GRANT ALL ON `{trial.live.replace('_', chr(92) + '_')}\\_\\_%`.* TO 'm'@'%'"
    assert await trial.words() == ("before", "before")
    await trial.well("shadow", "shadow")
    assert (await trial.words(), trial.there, trial.whole) == (("after", "before"), "l", written)
    assert "can only be replaced in place while nobody writes" in await refused(trial, "swap")
    assert trial.whole == written
    await trial.well(SWAP, SWAP)
    assert (await trial.words(), trial.there) == (("after", "after"), "l")
    assert "promised" not in trial.whole and server.sql("select f()", trial.live) == "1\n"
    assert ["promised" in text for text in kept(trial)] == [True]
    server.sql("insert into people (name) values ('after')", trial.live)
    assert server.sql("select max(id), count(*) from people", trial.live) == "17\t11\n", "no number is given out twice"
    assert server.sql("select count(*) from log", trial.live) == "1\n", "its trigger is there"
    assert server.sql("select status from information_schema.events where event_schema = database()", trial.live) == (
        "ENABLED\n"
    )
    assert "FUNCTION" in server.sql("show grants for svc@'%'")
    (beside,) = await mariadb.beside(knowing(here), [trial.database])
    assert (beside.name, beside.role, beside.label) == (trial.kept, "kept", trial.label)
    assert "is filled from that backup" in await refused(trial, "shadow_undo")
    await trial.well("swap_undo", "swap_undo")
    assert (await trial.words(), trial.whole) == (("after", "before"), written)
    assert ["'after'" in text for text in kept(trial)] == [False, True], "what was live meanwhile is kept too"
    await trial.well(SWAP)
    assert "'after'" in trial.whole, "a swap after an undo brings back what it has taken"
    await trial.well("swap_undo", "shadow_undo", "kept_drop", "kept_drop")
    assert await trial.words() == ("before", "before") and kept(trial) == [] and trial.whole == written
    assert await mariadb.beside(knowing(here), [trial.database]) == []


async def test_what_it_becomes_is_exactly_what_was_backed_up(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    written = trial.whole
    await trial.well("shadow", SWAP, "swap_undo")
    assert trial.whole == written
    await trial.back_up()
    trial.label = "20260705_0a1b2c3d"
    server.sql("drop table child, added; insert into people (name) values ('gone')", trial.live)
    await trial.well("shadow", SWAP)
    assert trial.whole == written


KILLS = [(random.Random(n).choice([SWAP, "swap_undo"]), random.Random(n).randint(1, 60), n % 2 == 0) for n in range(16)]


@pytest.mark.parametrize(("act", "number", "asked"), some_long(KILLS, every=4))
async def test_killed_at_any_moment(here: Place, server: MariaDB, act: str, number: int, asked: bool) -> None:
    await killed(await a_trial(here, server), act, dying(number, asked=asked), number % 2 == 0)


@pytest.mark.parametrize(("act", "number"), [(SWAP, 12), (SWAP, 30), ("swap_undo", 25)])
async def test_the_server_is_killed(here: Place, server: MariaDB, act: str, number: int) -> None:
    trial = await a_trial(here, server)
    changes = dying(number, asked=True, victim=str(server.process.pid))
    await killed(trial, act, changes, number % 2 == 0)


MOMENTS = {
    "the dump is made, the note says nothing of it": "        return {which: told,",
    "the note is written, nothing is emptied": "        note = self.copy_of(which)\n        dump =",
    "it is empty": "        unpack(self.server, self.live, note,",
    "it is full, and nobody has counted": "        same_rows(self.server, self.live, note",
    "it is whole, the note does not say so": "        for name in dump.awake:\n            self",
}


@pytest.mark.parametrize("again", [True, False], ids=["go on", "go back"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_when(here: Place, server: MariaDB, moment: str, again: bool) -> None:
    place = MOMENTS[moment]
    dies = place[: len(place) - len(place.lstrip())] + "os.kill(os.getpid(), signal.SIGKILL)\n" + place
    await killed(await a_trial(here, server), SWAP, ((place, dies),), again)


async def killed(trial: Trial, act: str, changes: tuple[tuple[str, str], ...], again: bool) -> None:
    """Kill a step, then run it again or take it back: all is old or all is new, and what was promised is somewhere."""
    written = trial.whole
    steps = ["shadow", SWAP, "swap_undo"]
    await trial.well(*steps[: steps.index(act)])
    old = trial.whole if act == "swap_undo" else ""
    await trial.run(act, *changes)
    if trial.server.process.poll() is not None:
        trial.server.start()
    undo = {SWAP: "swap_undo", "swap_undo": SWAP}[act]
    for name in [act if again else undo] * 2:
        await trial.well(name)
    new = (act == SWAP) == again
    assert (trial.whole == written) != new and (not old or not new or trial.whole == old)
    assert await trial.words() == ("after", "after" if new else "before")
    assert any("promised" in text for text in [trial.whole, *kept(trial)])


async def test_where_it_cannot_be_filled_it_is_as_it_was(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    written = trial.whole
    await trial.well("shadow")
    once = "        unpack(self.server, self.live, note,"
    breaks = f'        if which == "redo":\n            raise OSError(errno.ENOSPC, "no space")\n{once}'
    result = await trial.run(SWAP, (once, breaks))
    assert not result.ok and f"the disk is full; {trial.live} is as it was" in json.loads(result.stdout)["says"]
    assert trial.whole == written and await trial.words() == ("after", "before")
    await trial.well(SWAP, "swap_undo")
    assert trial.whole == written


async def test_what_cannot_be_kept_is_not_touched(here: Place, server: MariaDB) -> None:
    """A view that cannot be dumped: nothing is emptied."""
    trial = await a_trial(here, server)
    server.sql("create view broken as select * from later; drop table later", trial.live)
    await trial.well("shadow")
    before = server.sql("select count(*), max(name) from people", trial.live)
    said = await refused(trial, SWAP)
    assert "broken" in said, said
    assert server.sql("select count(*), max(name) from people", trial.live) == before
    assert await trial.words() == ("after", "before") and kept(trial) == []


async def test_a_backup_that_was_cut_since(here: Place, server: MariaDB) -> None:
    trial = await a_trial(here, server)
    await trial.well("shadow")
    written = trial.whole
    assert trial.backup
    file = here.home / trial.backup.file
    file.write_bytes(file.read_bytes()[:-1])
    assert "is cut short or changed" in await refused(trial, SWAP)
    assert trial.whole == written and await trial.words() == ("after", "before")


async def test_encrypted(here: Place, server: MariaDB) -> None:
    trial, key = await a_trial(here, server), Key.new()
    trial.database = key.sealed(trial.database)
    await trial.back_up()
    written = trial.whole
    server.sql("insert into people (name) values ('secret')", trial.live)
    opens = type(SECRETS)(environ={**PASSWORDS, NAME: key.identity})
    for command in (trial.step(name) for name in ("shadow", SWAP)):
        bare = command.model_copy(update={"stdin": None})
        done = await here.host.run(bare, stdin=await opens.stdin_of(command))
        assert done.ok, done.stdout
    assert trial.whole == written
    assert not list((here.home / "backups").glob(f"{trial.kept}*.zst")), "what is kept is encrypted as well"
