from __future__ import annotations

import ast
import asyncio
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fairlead.engines import sqlite, store
from fairlead.errors import NotReady
from fairlead.model import Backup, Command
from fairlead.outside.secrets import Secrets
from support.databases import make, rows_of, spec
from support.disks import LIMITED
from support.places import Place

NONE = Secrets(())

PROGRAM = store.program("sqlite")


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


async def one_backup(here: Place, **how: object) -> Backup:
    (made,) = await sqlite.backup(here.host, [spec(**how)], NONE)
    assert made.backup is not None, made.finding
    return made.backup


# -- the program itself


def test_the_program_is_python_3_7() -> None:
    ast.parse(PROGRAM, feature_version=(3, 7))


def test_the_program_fits_into_one_argument() -> None:
    assert len(PROGRAM) < 100_000, "Linux allows 128 KB for one argument, quoting included"


# -- the whole way


async def test_backup_list_and_restore_bring_the_rows_back(anywhere: Place) -> None:
    make(anywhere.home / "data/crm.db", rows=1234, wal=True)
    make(anywhere.home / "data/empty.db", rows=0)
    anywhere.give()
    databases = [spec(), spec("empty", "data/empty.db")]

    reached = await sqlite.ping(anywhere.host, databases, NONE)
    made = await sqlite.backup(anywhere.host, databases, NONE)
    listed = await store.backups(anywhere.host, ["backups"], verify="newest")
    restored = await sqlite.restore(anywhere.host, listed[0], spec(), "data/again.db", NONE)

    assert [(one.subject, one.status) for one in reached] == [("crm", "ok"), ("empty", "ok")]
    assert [one.finding.status for one in made] == ["ok", "ok"]
    assert made[0].finding.says.endswith("1234 rows in 2 tables")
    assert [one.backup for one in made] == listed
    assert listed[0].rows == {"people": 1234, 'odd " name; --': 0}
    assert (listed[0].host, listed[0].proven, listed[0].intact, listed[0].flaw) == ("here", True, True, "")
    assert restored.status == "ok" and restored.ms is not None
    assert rows_of(anywhere.home / "data/again.db") == rows_of(anywhere.home / "data/crm.db")


async def test_nothing_but_the_store_is_touched(here: Place) -> None:
    make(here.home / "data/crm.db", wal=True)
    make(here.home / "data/shop.db")
    before = listing(here.home / "data")
    databases = [spec(), spec("shop", "data/shop.db")]
    await sqlite.ping(here.host, databases, NONE)
    await sqlite.backup(here.host, databases, NONE)
    assert listing(here.home / "data") == before
    assert stat.S_IMODE((here.home / "backups").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (here.home / "backups").iterdir()} == {0o600}
    assert sorted(path.suffix for path in (here.home / "backups").iterdir()) == [".db", ".db", ".json", ".json"]


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "wal"])
async def test_a_backup_beside_a_busy_writer_is_one_moment_of_it(here: Place, wal: bool) -> None:
    """The writer adds two rows in each transaction: an odd number would be a torn copy."""
    path = make(here.home / "data/crm.db", rows=0, wal=wal)
    script = (
        "import sqlite3,sys,time\ndb=sqlite3.connect(sys.argv[1],timeout=30,isolation_level=None)\n"
        "print('up',flush=True)\nwhile True:\n db.execute('begin immediate')\n"
        " db.execute(\"insert into people(name) values('a')\")\n db.execute(\"insert into people(name) values('b')\")\n"
        " db.execute('commit')\n time.sleep(0.003)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout and writer.stdout.readline() == b"up\n"
            taken = [(await one_backup(here)).rows["people"] for _ in range(3)]
        finally:
            writer.kill()
    assert [number % 2 for number in taken] == [0, 0, 0]
    assert taken == sorted(taken) and taken[-1] > 0


WAKE = """
def wake(path):
    db = sqlite3.connect(path)
    db.execute("insert into people (name) values ('late')")
    db.commit()
    db.close()

"""


async def test_a_writer_that_wakes_while_its_database_is_copied_at_rest_is_noticed(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(here.home / "data/crm.db", wal=True)
    line = "    if quiet and print_of"
    woken = PROGRAM.replace(line, f'    wake(item["path"])\n{line}').replace("def copy(", f"{WAKE}\ndef copy(")
    monkeypatch.setattr(store, "program", lambda engine: woken)
    assert (await one_backup(here)).rows["people"] == 11


async def test_what_lies_in_the_home_is_no_part_of_the_program(here: Place) -> None:
    """Python would take a module of that name from there; what a step starts there, and what is only asked."""
    for name in ("json", "hashlib", "sqlite3", "threading"):
        (here.home / f"{name}.py").write_text("raise SystemExit('this is another one')\n")
    make(here.home / "data/crm.db")
    made = await one_backup(here)
    command = sqlite.backup_probe([spec()], "a-label")
    assert (await here.host.run(command)).stdout == "before\n" and made.rows["people"] == 10


# -- what is wrong is said


@contextmanager
def locked(path: Path) -> Iterator[None]:
    db = sqlite3.connect(make(path), isolation_level=None)
    db.execute("begin exclusive")
    yield
    db.close()


@contextmanager
def spoilt(path: Path, how: Callable[[Path], object]) -> Iterator[None]:
    how(path)
    yield


def corrupt(path: Path) -> None:
    make(path, rows=2000)
    raw = bytearray(path.read_bytes())
    raw[100:4096] = b"\xff" * 3996
    path.write_bytes(raw)


def linked(path: Path) -> None:
    path.symlink_to(make(path.with_name("real.db")))


WRONG = {
    "missing": (lambda path: None, "there is no file data/bad.db"),
    "empty": (lambda path: path.write_bytes(b""), "data/bad.db is empty, 0 bytes"),
    "text": (lambda path: path.write_text("hello" * 99), "data/bad.db is not a SQLite database, or an encrypted one"),
    "corrupt": (corrupt, "data/bad.db is corrupt: database disk image is malformed"),
    "link": (linked, "data/bad.db is a symbolic link"),
    "folder": (lambda path: path.mkdir(), "data/bad.db is not a file"),
    "pipe": (os.mkfifo, "data/bad.db is not a file"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_bad_database_is_named_and_hides_no_other(here: Place, case: str) -> None:
    spoil, says = WRONG[case]
    make(here.home / "data/crm.db")
    with spoilt(here.home / "data/bad.db", spoil):
        databases = [spec("bad", "data/bad.db"), spec()]
        reached = await sqlite.ping(here.host, databases, NONE)
        made = await sqlite.backup(here.host, databases, NONE)
    assert [(one.subject, one.status) for one in reached] == [("bad", "fail"), ("crm", "ok")]
    assert [one.finding.status for one in made] == ["fail", "ok"]
    assert (reached[0].says, made[0].finding.says, made[0].backup) == (says, says, None)
    assert reached[0].hint
    assert {path.name.partition("-")[0] for path in (here.home / "backups").iterdir()} == {"crm"}


async def test_a_locked_database_is_said_to_be_locked(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_LIMIT", 0.3)
    with locked(here.home / "data/crm.db"):
        (reached,) = await sqlite.ping(here.host, [spec()], NONE)
        (made,) = await sqlite.backup(here.host, [spec()], NONE)
    says = "data/crm.db is locked by another process"
    assert (reached.status, reached.says, made.finding.says) == ("fail", says, says)
    assert list((here.home / "backups").iterdir()) == []


def damaged_below(path: Path) -> None:
    """Damage that opening does not show: only the proof of the copy finds it."""
    make(path, rows=20_000)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 2048] = b"\xaa" * 2048
    path.write_bytes(raw)


def index_that_lies(path: Path) -> None:
    """Every row can be read and counted; only the integrity check sees that table and index differ."""
    make(path, rows=200)
    db = sqlite3.connect(path)
    db.execute("update people set name = 'person-' || id")
    db.execute("create index by_name on people (name)")
    db.commit()
    db.close()
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"person-77", b"person-XX", 1))


@pytest.mark.parametrize("spoil", [damaged_below, index_that_lies])
async def test_damage_inside_is_found_by_the_proof_of_the_copy(here: Place, spoil: Callable[[Path], None]) -> None:
    spoil(here.home / "data/crm.db")
    (made,) = await sqlite.backup(here.host, [spec()], NONE)
    assert made.finding.status == "fail" and "corrupt" in made.finding.says
    assert list((here.home / "backups").iterdir()) == []


@pytest.mark.parametrize("case", LIMITED)
async def test_a_full_disk_leaves_no_half_file(here: Place, case: str) -> None:
    if case == "disk" and subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces, so no small disk can be mounted")
    make(here.home / "data/crm.db", rows=20_000)
    (here.home / "t").mkdir()
    args = json.dumps(sqlite._work([spec(store="t/s")], ""))
    blind = PROGRAM.replace("if free < needed", "if False")
    limited = Command(argv=("sh", "-c", LIMITED[case] + ' python3 - backup "$1"', "sh", args))
    result = await here.host.run(limited, stdin=blind.encode())
    assert result.stderr == ""
    says = json.loads(result.stdout)["says"]
    assert says == "the disk is full" if case == "disk" else says.endswith("failed: disk I/O error")
    assert (here.home / "left").read_text() == ""
    assert [path for path in (here.home / "t").rglob("*") if path.is_file()] == []


async def test_a_disk_without_room_is_not_filled(here: Place) -> None:
    make(here.home / "data/crm.db")
    tiny = PROGRAM.replace("disk.f_bavail * disk.f_frsize", "1000")
    result = await here.host.run(
        Command(argv=("python3", "-", "backup", json.dumps(sqlite._work([spec()], "")))), stdin=tiny.encode()
    )
    assert "the copy needs" in json.loads(result.stdout)["says"]
    assert list((here.home / "backups").iterdir()) == []


@pytest.mark.parametrize("mode", [0o750, 0o707])
async def test_a_store_that_others_may_read_is_refused(here: Place, mode: int) -> None:
    make(here.home / "data/crm.db")
    (here.home / "backups").mkdir()
    (here.home / "backups").chmod(mode)
    (made,) = await sqlite.backup(here.host, [spec()], NONE)
    assert made.finding.says == "the backup store backups is open to other accounts"
    assert made.finding.hint == "type: chmod 700 backups"


async def test_a_store_that_is_a_link_is_refused(here: Place) -> None:
    make(here.home / "data/crm.db")
    (here.home / "elsewhere").mkdir(0o700)
    (here.home / "backups").symlink_to("elsewhere")
    (made,) = await sqlite.backup(here.host, [spec()], NONE)
    assert "symbolic link" in made.finding.says
    assert list((here.home / "elsewhere").iterdir()) == []


async def test_a_store_on_another_host_is_refused(here: Place) -> None:
    make(here.home / "data/crm.db")
    (made,) = await sqlite.backup(here.host, [spec(store_host="vault")], NONE)
    assert "its backup store is on vault" in made.finding.says
    with pytest.raises(NotReady, match="crm: its backup store is on vault"):
        sqlite.backup_command([spec(store_host="vault")], "v2")


async def test_a_host_without_python_says_so(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (here.home / "bin").mkdir()
    for tool in ("sh", "head", "base64", "wc", "setsid", "sleep"):
        (here.home / "bin" / tool).symlink_to(shutil.which(tool) or "")
    monkeypatch.setenv("PATH", str(here.home / "bin"))
    with pytest.raises(NotReady) as told:
        await sqlite.ping(here.host, [spec()], NONE)
    assert told.value.what == "here has no python3 that runs"
    assert "3.7" in told.value.hint


async def test_an_old_python_says_so(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    old = PROGRAM.replace("sys.version_info <", "(3, 6, 15) <").replace("sys.version_info[:2]", "(3, 6)")
    monkeypatch.setattr(store, "program", lambda engine: old)
    with pytest.raises(NotReady, match=r"here: python3 is 3.6, and at least 3.7 is needed"):
        await sqlite.ping(here.host, [spec()], NONE)


# -- hostile names

NAMES = [
    "a b",
    "a/../../b",
    "-rf",
    "..",
    ".hidden",
    "$(touch x)",
    "'; drop table x;--",
    'q"q',
    "new\nline",
    "ünïcødé",
    "%2F",
]


async def test_names_stay_what_they_are(here: Place) -> None:
    databases = [spec(name, f"data/{number}?#%41 {name.replace('/', '_')}.db") for number, name in enumerate(NAMES)]
    for one in databases:
        make(here.home / one.path, rows=3)
    made = await sqlite.backup(here.host, databases, NONE)
    assert [one.finding.status for one in made] == ["ok"] * len(NAMES)
    assert {one.database for one in await store.backups(here.host, ["backups"])} == set(NAMES)
    assert len(list((here.home / "backups").iterdir())) == 2 * len(NAMES)
    assert {path.name for path in here.home.iterdir()} == {"data", "backups"}


@pytest.mark.parametrize("name", ["", "x" * 300])
async def test_a_name_that_no_file_can_have_is_refused(here: Place, name: str) -> None:
    make(here.home / "data/crm.db")
    (made,) = await sqlite.backup(here.host, [spec(name)], NONE)
    assert "cannot become a file name" in made.finding.says


# -- manifests


def spoil_content(backup: Path, manifest: Path) -> None:
    raw = bytearray(backup.read_bytes())
    raw[-1] ^= 1
    backup.write_bytes(raw)


def spoil_length(backup: Path, manifest: Path) -> None:
    with backup.open("ab") as file:
        file.write(b"x")


def change_manifest(**words: object) -> Callable[[Path, Path], None]:
    def change(backup: Path, manifest: Path) -> None:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **words}))

    return change


FLAWS = {
    "content changed": (spoil_content, "its content is not what its manifest says"),
    "file cut": (lambda backup, manifest: backup.write_bytes(b""), "its file is empty: 0 bytes instead of 12288"),
    "file grown": (spoil_length, "its file is cut short or changed: 12289 bytes instead of 12288"),
    "file gone": (lambda backup, manifest: backup.unlink(), "there is no file"),
    "no manifest": (lambda backup, manifest: manifest.unlink(), "it has no manifest"),
    "manifest is no JSON": (lambda backup, manifest: manifest.write_text("{"), "its manifest cannot be read"),
    "manifest is a list": (lambda backup, manifest: manifest.write_text("[]"), "its manifest cannot be read"),
    "manifest is half": (lambda backup, manifest: manifest.write_text("{}"), "its manifest cannot be read"),
    "not proven": (change_manifest(proven=False), "it was never proven"),
}


@pytest.mark.parametrize("case", FLAWS)
async def test_a_backup_that_does_not_count_says_why(here: Place, case: str) -> None:
    spoil, why = FLAWS[case]
    make(here.home / "data/crm.db")
    made = await one_backup(here)
    spoil(here.home / made.file, here.home / made.manifest)
    (listed,) = await store.backups(here.host, ["backups"], verify="newest")
    assert why in listed.flaw and listed.database == "crm"
    restored = await sqlite.restore(here.host, made, spec(), "again.db", NONE)
    assert restored.status == "fail", restored
    assert {path.name for path in here.home.iterdir()} == {"data", "backups"}


async def test_a_restore_refuses_other_rows_than_the_manifest_says(here: Place) -> None:
    make(here.home / "data/crm.db")
    made = await one_backup(here)
    change_manifest(rows={"people": 11})(here.home / made.file, here.home / made.manifest)
    restored = await sqlite.restore(here.host, made, spec(), "again.db", NONE)
    assert restored.says == "the restored database has other rows than its manifest says"
    assert not (here.home / "again.db").exists()


async def test_a_restore_refuses_a_manifest_that_changed_since(here: Place) -> None:
    make(here.home / "data/crm.db")
    made = await one_backup(here)
    restored = await sqlite.restore(here.host, made.model_copy(update={"sha256": "0" * 64}), spec(), "again.db", NONE)
    assert restored.says == "the manifest has changed since the backup was chosen"


@pytest.mark.parametrize("there", ["again.db", "again.db-wal", "again.db-journal"])
async def test_a_restore_never_replaces_anything(here: Place, there: str) -> None:
    make(here.home / "data/crm.db")
    made = await one_backup(here)
    (here.home / there).write_text("precious")
    restored = await sqlite.restore(here.host, made, spec(), "again.db", NONE)
    assert (restored.status, restored.says) == ("fail", f"{there} exists already")
    assert (here.home / there).read_text() == "precious"
    assert restored.hint == "a restore only writes a new file"


async def test_a_store_that_is_not_there_holds_nothing(here: Place) -> None:
    assert await store.backups(here.host, ["nowhere"]) == []


async def test_a_store_that_cannot_be_read_is_an_error(here: Place) -> None:
    (here.home / "file").write_text("")
    with pytest.raises(NotReady, match="the backup store file on here cannot be read"):
        await store.backups(here.host, ["file"])


async def test_the_oldest_are_removed_beyond_what_is_kept(here: Place) -> None:
    make(here.home / "data/crm.db")
    make(here.home / "data/other.db")
    other = await one_backup(here, name="other", path="data/other.db")
    made = [await one_backup(here, keep=2) for _ in range(3)]
    left = await store.backups(here.host, ["backups"])
    assert {one.file for one in left} == {other.file, made[1].file, made[2].file}
    assert len(list((here.home / "backups").iterdir())) == 6


# -- as a step of a plan


async def test_the_step_knows_its_own_backup_again(anywhere: Place) -> None:
    make(anywhere.home / "data/crm.db")
    make(anywhere.home / "data/shop.db")
    anywhere.give()
    databases = [spec(), spec("shop", "data/shop.db")]
    do, probe = sqlite.backup_command(databases, "v2"), sqlite.backup_probe(databases, "v2")

    async def word() -> str:
        return (await anywhere.host.run(probe)).stdout.split()[-1]

    words = [await word()]
    await sqlite.backup(anywhere.host, databases[:1], NONE, label="v2")
    words.append(await word())
    assert (await anywhere.host.run(do)).ok
    words.append(await word())
    first = await store.backups(anywhere.host, ["backups"])
    assert (await anywhere.host.run(do)).ok
    assert words == ["before", "before", "after"]
    assert await store.backups(anywhere.host, ["backups"]) == first, "run twice it copies once"
    other = await anywhere.host.run(sqlite.backup_probe(databases, "v3"))
    assert other.stdout.split() == ["before"]


async def test_the_step_fails_when_one_database_fails(here: Place) -> None:
    make(here.home / "data/crm.db")
    databases = [spec("gone", "data/gone.db"), spec()]
    result = await here.host.run(sqlite.backup_command(databases, "v2"))
    assert (result.code, len(result.stdout.splitlines())) == (1, 2)
    assert (await here.host.run(sqlite.backup_probe(databases, "v2"))).stdout.split() == ["before"]


async def test_the_probe_cannot_tell_where_the_store_cannot_be_read(here: Place) -> None:
    (here.home / "file").write_text("")
    result = await here.host.run(sqlite.backup_probe([spec(store="file")], "v2"))
    assert result.stdout.split()[-1] == "cannot_tell"


def test_a_label_is_equal_for_an_unmoved_world_and_new_after_a_backup() -> None:
    old = Backup(database="crm", file="a.db", manifest="a.json", proven=True)
    new = old.model_copy(update={"file": "b.db"})
    half = old.model_copy(update={"file": "c.db", "proven": False})
    first = store.backup_label("v2", [old])
    assert first == store.backup_label("v2", [old, half])
    assert len({first, store.backup_label("v2", [old, new]), store.backup_label("v3", [old])}) == 3


# -- deaths


async def test_what_a_killed_backup_left_is_taken_over(here: Place) -> None:
    make(here.home / "data/crm.db")
    (here.home / "backups").mkdir(0o700)
    (here.home / "backups/crm.part").write_bytes(b"half" * 10_000)
    made = await one_backup(here)
    assert made.rows["people"] == 10
    assert len(list((here.home / "backups").iterdir())) == 2


async def test_a_stopped_backup_removes_its_half_copy(here: Place) -> None:
    """TERM in the middle: the copy waits for a locked database, which is where a backup spends its time."""
    with locked(here.home / "data/crm.db"):
        task = asyncio.create_task(sqlite.backup(here.host, [spec()], NONE))
        while not (here.home / "backups/crm.part").exists():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
    for _ in range(500):
        if not list((here.home / "backups").iterdir()):
            break
        await asyncio.sleep(0.01)
    assert list((here.home / "backups").iterdir()) == []


async def test_two_backups_at_once_both_end_or_one_is_told(here: Place) -> None:
    make(here.home / "data/crm.db", rows=20_000)
    both = await asyncio.gather(*(sqlite.backup(here.host, [spec()], NONE) for _ in range(4)))
    said = {made.finding.status: made.finding.says for (made,) in both}
    assert "ok" in said and said.get("fail", "another backup of it is being written") == (
        "another backup of it is being written"
    )
    listed = await store.backups(here.host, ["backups"], verify="newest")
    assert [one.flaw for one in listed] == [""] * len(listed)
    assert len(listed) == sum(made.finding.status == "ok" for (made,) in both)
