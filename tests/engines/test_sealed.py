"""Encrypted backups of all engines: only an identity reads them, and nothing of them is ever written unencrypted."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from fairlead.config.database import DatabaseSpec
from fairlead.engines import ENGINES, Engine, sqlite, store
from fairlead.errors import NotReady
from fairlead.model import Backup, Command, Finding
from fairlead.outside.secrets import Secrets
from support import mariadb as maria
from support import postgres as pg
from support.databases import make, spec
from support.disks import LIMITED
from support.leaks import Search
from support.places import Place
from support.processes import until
from support.rows import some_long
from support.sealed import NAME, Key
from support.sentinels import Sentinel
from support.trace import strace_works

MARK = "somebody-who-is-nobody-elses-business"
LABEL = "20260101_0a1b2c3d"


@dataclass
class Case:
    """One engine's database with rows that hold MARK, at an account of its own."""

    here: Place
    engine: Engine
    database: DatabaseSpec
    secrets: Secrets
    key: Key
    read: Callable[[str], str]
    """Names in the table of people, by a client of the engine's own, of a database or file."""
    fresh: str
    """A name that nothing has yet."""

    async def backup(self) -> Backup:
        made = await self.made()
        (one,) = [found for found in await store.backups(self.here.host, ["backups"]) if not found.flaw]
        assert made.status == "ok", made
        return one

    async def made(self) -> Finding:
        (made,) = await self.engine.backup(self.here.host, [self.database], self.secrets)
        return made.finding

    async def restored(self, one: Backup, **more: str) -> Finding:
        secrets = Secrets(environ={**PASSWORDS, NAME: self.key.identity, **more})
        return await self.engine.restore(self.here.host, one, self.database, self.fresh, secrets)

    async def run(self, command: Command, identity: str = "") -> tuple[bool, str]:
        secrets = Secrets(environ={**PASSWORDS, NAME: identity or self.key.identity})
        text = await secrets.stdin_of(command)
        result = await self.here.host.run(command.model_copy(update={"stdin": None}), stdin=text)
        return result.ok, result.stdout + result.stderr


PASSWORDS = {**maria.PASSWORDS, **pg.PASSWORDS}
PEOPLE = "create table people (id int primary key, name varchar(90)); "
FILL = "".join(f"insert into people values ({number}, '{MARK}-{number}');" for number in range(30))


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[maria.MariaDB, pg.Postgres]]:
    folder = maria.open_folder()
    with ExitStack() as stack:
        yield stack.enter_context(maria.MariaDB(folder / "server")), stack.enter_context(pg.Postgres())
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def key() -> Key:
    return Key.new()


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def case(
    request: pytest.FixtureRequest, here: Place, servers: tuple[maria.MariaDB, pg.Postgres], key: Key
) -> Iterator[Case]:
    mysql, post = servers
    word = request.param

    def read(name: str) -> str:
        ask = "select name from people order by id"
        if word == "sqlite":
            return subprocess.run(["sqlite3", name, ask], cwd=here.home, capture_output=True, text=True).stdout
        return mysql.sql(ask, name) if word == "mariadb" else post.sql(ask, database=name) + "\n"

    database, fresh = spec(personal=True), "again.db"
    if word == "mariadb":
        mysql.create("crm", PEOPLE + FILL, rows=None)
        database, fresh = mysql.spec(personal=True), "mo_again"
    elif word == "postgres":
        post.make("mo_crm", PEOPLE, FILL)
        database, fresh = post.spec("crm", personal=True), "mo_again"
    else:
        make(here.home / "data/crm.db", rows=0)
        db = sqlite3.connect(here.home / "data/crm.db")
        db.executescript("drop table people;" + PEOPLE + FILL)
        db.close()
    yield Case(here, ENGINES[word], key.sealed(database), Secrets(environ=PASSWORDS), key, read, fresh)
    if word == "mariadb":
        mysql.sql("".join(f"drop database `{one}`;" for one in mysql.databases()))
    if word == "postgres":
        for one in post.databases:
            if one.startswith("mo_") and one != "mo_crm":
                post.sql(f'drop database "{one}" with (force)')


def inside(raw: bytes) -> bytes:
    """Unpacked, where it is packed."""
    if raw[:4] == b"\x28\xb5\x2f\xfd":
        return subprocess.run(["zstd", "-dcq"], input=raw, capture_output=True, check=True).stdout
    return raw


async def test_there_and_back_and_only_with_the_identity(case: Case) -> None:
    one = await case.backup()
    file = case.here.home / one.file
    assert one.file.endswith(".age") and one.sealed == (case.key.public,) and one.rows and sum(one.rows.values()) == 30
    assert file.read_bytes().startswith(b"age-encryption.org/v1\n")
    assert MARK.encode() in inside(case.key.read(file)), "age's own program reads it"
    says = (await case.restored(one, **{NAME: Key.new().identity})).says
    assert says == "age failed: error: no identity matched any of the recipients", says
    with pytest.raises(NotReady, match="the secret BACKUP_IDENTITY is missing"):
        await case.restored(one, **{NAME: ""})
    with pytest.raises(NotReady, match="is no identity of age"):
        await case.restored(one, **{NAME: "hunter2"})
    assert (await case.restored(one)).status == "ok"
    live = case.database.database or case.database.path
    assert case.read(case.fresh) == case.read(live) and case.read(live).count(MARK) == 30


@pytest.mark.long
async def test_a_shadow_is_filled_from_it(case: Case) -> None:
    one = await case.backup()
    shadow = case.engine.shadow_command(case.database, one, LABEL)
    ok, said = await case.run(shadow, Key.new().identity)
    assert not ok and "no identity matched" in said
    assert case.key.identity not in shadow.to_json()
    ok, said = await case.run(shadow)
    assert ok, said
    assert case.read(case.engine.shadow_name(case.database, LABEL)).count(MARK) == 30
    ok, said = await case.run(case.engine.shadow_undo(case.database, LABEL))
    assert ok, said


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut by a byte": lambda raw: raw[:-1],
    "a bit": lambda raw: raw[:-20] + bytes([raw[-20] ^ 1]) + raw[-19:],
    "its header": lambda raw: raw.replace(b"X25519", b"X25518", 1),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.long
async def test_one_that_was_changed_is_not_restored(case: Case, how: str) -> None:
    """Also where somebody has made the manifest say the changed file's size and hash: age itself knows."""
    one = await case.backup()
    file, note = case.here.home / one.file, case.here.home / one.manifest
    file.write_bytes(BROKEN[how](file.read_bytes()))
    assert (await case.restored(one)).status == "fail"
    told = json.loads(note.read_text())
    sum_of_it = subprocess.run(["sha256sum", str(file)], capture_output=True, text=True).stdout[:64]
    note.write_text(json.dumps(told | {"size": file.stat().st_size, "sha256": sum_of_it}))
    found = await case.restored(one.model_copy(update={"sha256": sum_of_it}))
    assert found.status == "fail" and found.says.startswith("age failed: "), found
    assert not (case.here.home / case.fresh).exists()


@pytest.mark.long
async def test_an_account_that_has_no_age_says_so(case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = await case.backup()
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for path in Path(folder).iterdir():
            if path.name != "age" and not (tools / path.name).exists():
                (tools / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", str(tools))
    for told in (await case.made(), await case.restored(one)):
        assert told.says == "age is missing on this host, and its backups are encrypted"
        assert told.hint == "type: apt-get install age"
    assert len(list((case.here.home / "backups").iterdir())) == 2


AGES = {
    "age fails": (
        "#!/bin/sh\necho 'age: error: no entropy today' >&2; exit 1\n",
        "age failed: error: no entropy today",
    ),
    "age is killed": ("#!/bin/sh\nhead -c 9 >/dev/null; kill -9 $$\n", "age failed: it gave no reason"),
    "the disk is full": (
        "#!/bin/sh\ncat >/dev/null; echo 'age: error: write x: no space left on device' >&2; exit 1\n",
        "the disk is full",
    ),
}


def in_memory() -> set[Path]:
    """Folders of backups that are under way, or that somebody who was killed has left."""
    return set(Path("/dev/shm").glob("fairlead-*"))


async def no_more_than(there: set[Path]) -> bool:
    """What has come goes within seconds: it belongs to a test beside this one, which is still at it."""
    left = in_memory() - there
    return await until(lambda: not any(one.exists() for one in left), 60.0)


@pytest.mark.parametrize("how", some_long(AGES, every=3))
async def test_a_backup_that_age_did_not_finish_does_not_exist(
    case: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    text, says = AGES[how]
    (tmp_path / "age").write_text(text)
    (tmp_path / "age").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    there = in_memory()
    assert (await case.made()).says == says
    assert list((case.here.home / "backups").iterdir()) == []
    assert await no_more_than(there)


WRITES = re.compile(r'^\d+ +p?writev?(?:64)?\(\d+<([^>]*)>, "((?:\\x[0-9a-f]{2})*)"', re.M)


async def test_nothing_of_it_is_written_unencrypted(case: Case, tmp_path: Path) -> None:
    """Every write of every program, by strace: neither rows nor packed rows go into a file that is not memory."""
    if not strace_works():
        pytest.fail("strace is needed")
    log = tmp_path / "log"
    command = case.engine.backup_command([case.database], "v2")
    traced = ("strace", "-f", "-qq", "-y", "-xx", "-s", "4000000", "-e", "trace=write,writev,pwrite64", "-o", str(log))
    ok, said = await case.run(command.model_copy(update={"argv": (*traced, *command.argv)}))
    assert ok, said
    written: dict[str, bytes] = {}
    for name, text in WRITES.findall(log.read_text()):
        where = bytes.fromhex(name.replace("\\x", "")).decode() if "\\x" in name else name
        written[where] = written.get(where, b"") + bytes.fromhex(text.replace("\\x", ""))
    files = {where: raw for where, raw in written.items() if where.startswith("/") and not where.startswith("/dev/")}
    assert any(raw.startswith(b"age-encryption.org") for raw in files.values()), list(written)
    assert not [where for where, raw in files.items() if MARK.encode() in raw or b"\x28\xb5\x2f\xfd" in raw]
    assert any(MARK.encode() in raw or b"\x28\xb5\x2f\xfd" in raw for raw in written.values()), "it would be seen"


async def test_the_identity_is_seen_nowhere(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In no plan, no argument, no environment, no file and no answer, while age is at work too."""
    slow = tmp_path / "tools/age"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ntouch {tmp_path}/begun; sleep 0.5; exec {shutil.which("age")} "$@"\n')
    slow.chmod(0o755)
    one = await case.backup()
    monkeypatch.setenv("PATH", f"{slow.parent}:/usr/bin:/bin")
    search = Search([Sentinel(NAME, case.key.identity, (case.key.identity[15:45],))])
    shadow = case.engine.shadow_command(case.database, one, LABEL)
    search.text("plan", shadow.to_json())
    task = asyncio.create_task(case.run(shadow))
    while not (tmp_path / "begun").exists():
        assert not task.done(), task.result()
        await asyncio.sleep(0.01)
    for process in Path("/proc").glob("[0-9]*"):
        for file in ("cmdline", "environ"):
            try:
                search.text(str(process / file), (process / file).read_bytes())
            except OSError:
                continue
    search.folder("home", case.here.home)
    ok, said = await task
    assert ok, said
    search.text("answer", said)
    search.folder("home", case.here.home)
    assert search.hits == [] and search.looked > 10_000
    await case.run(case.engine.shadow_undo(case.database, LABEL))


UNFIT = {
    "personal and not encrypted": (
        {"personal": True},
        "it holds personal data, and its backups would not be encrypted",
    ),
    "no public key": ({"to": ()}, "the backup_store of local encrypts, and its `to` names no public key"),
}


@pytest.mark.parametrize("how", UNFIT)
async def test_what_has_to_be_encrypted_is_backed_up_no_other_way(here: Place, key: Key, how: str) -> None:
    words, says = UNFIT[how]
    make(here.home / "data/crm.db")
    database = spec(personal="personal" in words)
    if "to" in words:
        sealed = key.sealed(database).store.encrypt
        assert sealed
        place = database.store.model_copy(update={"encrypt": sealed.model_copy(update={"to": ()})})
        database = database.model_copy(update={"store": place})
    (made,) = await ENGINES["sqlite"].backup(here.host, [database], Secrets(()))
    assert (made.finding.status, made.finding.says) == ("fail", says)
    assert "fairlead init --backup-key" in made.finding.hint
    with pytest.raises(NotReady, match=re.escape(says)):
        ENGINES["sqlite"].backup_command([database], "v2")
    assert not (here.home / "backups").exists()


@pytest.mark.long
async def test_each_of_several_identities_reads_it(case: Case) -> None:
    other = Key.new()
    case.database = case.key.sealed(case.database, other.public)
    one = await case.backup()
    assert (await case.restored(one, **{NAME: f"# made by age-keygen\n{other.identity}\n"})).status == "ok"


async def test_a_full_disk_leaves_no_half_file(here: Place, key: Key) -> None:
    make(here.home / "data/crm.db", rows=40_000)
    (here.home / "t").mkdir()
    args = json.dumps(sqlite._work([key.sealed(spec(store="t/s"))], ""))
    blind = store.program("sqlite").replace("if free < needed", "if False")
    limited = Command(argv=("sh", "-c", LIMITED["disk"] + ' python3 - backup "$1"', "sh", args))
    there = in_memory()
    result = await here.host.run(limited, stdin=blind.encode())
    assert json.loads(result.stdout)["says"] == "the disk is full", result
    assert (here.home / "left").read_text() == "" and await no_more_than(there)
