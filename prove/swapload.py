"""Databases are taken back while clients read and write without pause: no wrong answer, no half-filled table.

Readers ask across tables and hold each answer against the two states that there are. A writer notes what was
acknowledged. How long anybody had to wait is told. The clients are the servers' own programs.
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from prove.table import Row

MEGABYTES = 300
"""Of the large table."""
CALM = 1.0
"""Seconds that a client may have to wait at most."""
SAMPLED = 1000
"""So many rows of the large table differ between the two states, and are read."""

_TABLES = """create table people (id int primary key, name varchar(20), {filler});
create table m1 (v int); create table m2 (v int); create table rows_ (id int primary key);
create table notes (id {auto} primary key, text varchar(20)); create table audit (note int);
insert into m1 values (1); insert into m2 values (1);"""
_STATE_2 = (
    "update m1 set v = 2",
    "update m2 set v = 2",
    f"update people set name = concat('v2-', id) where id <= {SAMPLED}",
    "insert into rows_ select id + 10000 from rows_",
)
_ASK = (
    "select (select v from m1), (select v from m2), (select count(*) from rows_), "
    "(select name from people where id = {})"
)
_TRIGGER = {
    "mariadb": "create trigger noted after insert on notes for each row insert into audit values (new.id)",
    "postgres": "create function noted() returns trigger language plpgsql as "
    "'begin insert into audit values (new.id); return null; end'; "
    "create trigger noted after insert on notes for each row execute function noted()",
}


class Server(Protocol):
    """A database server with `mo_crm` on it, asked past the product."""

    kind: str

    def client(self) -> list[str]:
        """The command of a session in the live database."""
        ...

    def sql(self, text: str, database: str = "mo_crm") -> str:
        """Run statements, by whoever may do everything."""
        ...

    def group(self) -> dict[str, Any]:
        """What fairlead.yml says of it."""
        ...


class Ended(Exception):
    """The session was ended, or the server has refused a statement."""


class Client:
    """A session that is opened again when it was ended."""

    def __init__(self, argv: list[str]) -> None:
        self.argv, self.ended = argv, 0
        self._process: subprocess.Popen[str] | None = None
        self._numbers = itertools.count()

    def ask(self, sql: str) -> list[str]:
        """Lines of an answer. Raises Ended, and the next question has a new session."""
        process = self._process or self._open()
        token = f"end-{next(self._numbers)}"
        assert process.stdin and process.stdout
        with suppress(BrokenPipeError):
            process.stdin.write(f"{sql};\nselect '{token}';\n")
            process.stdin.flush()
        lines: list[str] = []
        while (line := process.stdout.readline().rstrip("\n")) != token:
            if not line and process.poll() is not None:
                said = process.stderr.read() if process.stderr else ""
                self.close()
                self.ended += 1
                raise Ended(said.strip())
            lines += [line] if line else []
        return lines

    def _open(self) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self.argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)
        return self._process

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


@dataclass
class Seen:
    """What clients went through."""

    asked: int = 0
    states: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    stall: float = 0.0
    """Seconds between two good answers, at most."""
    ended: int = 0
    acknowledged: list[int] = field(default_factory=list)


RIGHT = {1: ["1", "1", "10000", "v1"], 2: ["2", "2", "20000", "v2"]}


def read(client: Client, seen: Seen, stop: threading.Event, seed: int) -> None:
    """Ask without pause; every answer must be one of the two states, whole."""
    chance, last = random.Random(seed), time.monotonic()
    while not stop.is_set():
        number = chance.randint(1, SAMPLED)
        try:
            (line,) = client.ask(_ASK.format(number))
        except Ended as error:
            refuse_wrong(str(error), seen)
            continue
        now = time.monotonic()
        seen.stall, last = max(seen.stall, now - last), now
        words = line.replace("|", "\t").replace(f"-{number}", "").split("\t")
        state = next((state for state, right in RIGHT.items() if words == right), 0)
        seen.asked, seen.states = seen.asked + 1, seen.states | {state}
        if not state:
            seen.wrong.append(line)
    seen.ended = client.ended
    client.close()


def refuse_wrong(said: str, seen: Seen) -> None:
    """A session may be ended, and the database closed for a moment; that a table is missing may not be."""
    if any(word in said for word in ("doesn't exist", "does not exist", "Unknown")):
        seen.wrong.append(said)


def write(client: Client, seen: Seen, stop: threading.Event, may: Callable[[], bool], returning: str) -> None:
    """Insert without pause, where maintenance lets it, and note what the server has acknowledged."""
    last = time.monotonic()
    while not stop.is_set():
        if not may():
            last = time.monotonic()  # told to wait: no stall of the database's
            continue
        try:
            (line,) = client.ask(returning)
        except Ended as error:
            refuse_wrong(str(error), seen)
            continue
        now = time.monotonic()
        seen.stall, last = max(seen.stall, now - last), now
        seen.acknowledged.append(int(line))
    seen.ended = client.ended
    client.close()


class Gate:
    """The writer's maintenance: it is told to wait, and says that it does."""

    def __init__(self, folder: Path) -> None:
        self.flag, self.waits = folder / "maintenance", folder / "waiting"

    def __call__(self) -> bool:
        if not self.flag.exists():
            self.waits.unlink(missing_ok=True)
            return True
        self.waits.touch()
        time.sleep(0.01)
        return False

    def commands(self) -> dict[str, list[str]]:
        """Maintenance as fairlead.yml has it: on only when the writer waits, as a stopped unit would."""
        on = f"touch {self.flag} && for i in $(seq 1500); do [ ! -e {self.waits} ] || exit 0; sleep 0.02; done; exit 1"
        return {"on": ["sh", "-c", on], "off": ["rm", "-f", str(self.flag)]}


@contextmanager
def mariadb(folder: Path, rows: int) -> Iterator[Server]:
    from support.live_data import login
    from support.mariadb import ROOT, USER, MariaDB, open_folder

    class Maria:
        kind = "mariadb"

        def client(self) -> list[str]:
            where = [f"--socket={server.socket}", "--database=mo_crm", "--unbuffered"]
            return ["mariadb", "--no-defaults", "-uroot", "-NB", *where]

        def sql(self, text: str, database: str = "mo_crm") -> str:
            return server.sql(text, database)

        def group(self) -> dict[str, Any]:
            return login("mariadb", server.port, USER, ROOT)

    place = open_folder()
    try:
        with MariaDB(place / "server", "--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M") as server:
            server.create("crm", rows=None)
            one = Maria()
            one.sql(_TABLES.format(filler="filler char(220)", auto="int auto_increment"))
            one.sql(
                f"insert into people select seq, concat('v1-', seq), repeat(md5(seq), 6) from seq_1_to_{rows};"
                "insert into rows_ select seq from seq_1_to_10000"
            )
            yield one
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def postgres(folder: Path, rows: int) -> Iterator[Server]:
    from support.live_data import login
    from support.postgres import MASTER, SERVICE, Postgres
    from support.postgres_swap import psql

    class Pg:
        kind = "postgres"

        def client(self) -> list[str]:
            return psql(server, "mo_crm")

        def sql(self, text: str, database: str = "mo_crm") -> str:
            return server.sql(text, database=database)

        def group(self) -> dict[str, Any]:
            return login("postgres", server.port, SERVICE, MASTER)

    with Postgres() as server:
        server.make("mo_crm")
        one = Pg()
        one.sql(_TABLES.format(filler="filler char(220)", auto="serial"))
        one.sql(
            f"insert into people select n, 'v1-' || n, repeat(md5(n::text), 6) from generate_series(1, {rows}) n;"
            "insert into rows_ select generate_series(1, 10000)"
        )
        yield one


SERVERS = {"mariadb": mariadb, "postgres": postgres}
KINDS: dict[str, tuple[str, bool, bool]] = {
    "mariadb, nobody waits": ("mariadb", False, False),
    "mariadb with triggers, the writer waits": ("mariadb", True, True),
    "postgres with triggers, nobody waits": ("postgres", True, False),
}
"""Engine, has it triggers, is there maintenance."""


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """Each kind once: there and back again."""
    rows = max(2000, round(MEGABYTES * scale * 1e6 / 250))
    for name, (engine, triggers, waits) in KINDS.items():
        began = time.monotonic()
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fl-prove-")))
            server = stack.enter_context(SERVERS[engine](folder, rows))
            failures, note = tried(folder / "box", server, triggers, waits, seed)
        yield Row(f"swaps under load: {name}", 2, failures, time.monotonic() - began, note)


def tried(folder: Path, server: Server, triggers: bool, waits: bool, seed: int) -> tuple[list[str], str]:
    """Restore and undo with clients at work: what went wrong, and what a reader should know."""
    from support.box import Box, release
    from support.sshd import Sshd

    folder.mkdir()
    folder.parent.chmod(0o755)  # the account of the maintenance commands looks in there
    if triggers:
        server.sql(_TRIGGER[server.kind])
    with Sshd(folder / "sshd") as sshd:
        gate = Gate(sshd.home)
        box = Box(folder, sshd, environ=passwords(server))
        box.databases = {"data": server.group() | {"names": {"crm": {}}}}
        if waits:
            box.service = release(maintenance=gate.commands())
            box.environment["services"] = {"site": {"host": "server", "path": "site", "databases": ["crm"]}}
        box.configure()
        must(box, "db", "backup")
        must(box, "deploy", "--yes")
        server.sql(";".join(_STATE_2))
        readers, writer, took = under_load(box, server, gate, seed)
        return judged(box, server, readers, writer, triggers), told(readers, writer, took)


def passwords(server: Server) -> dict[str, str]:
    from support import mariadb, postgres

    return mariadb.PASSWORDS if server.kind == "mariadb" else postgres.PASSWORDS


def must(box: Any, *words: str) -> str:
    """A command that has to end well, however long it takes; what it prints."""
    done = box.operator.run(*words, timeout=1200)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def under_load(box: Any, server: Server, gate: Gate, seed: int) -> tuple[list[Seen], Seen, float]:
    stop, readers, writer = threading.Event(), [Seen(), Seen()], Seen()
    insert = "insert into notes (text) values ('x') returning id"
    threads = [
        threading.Thread(target=read, args=(Client(server.client()), seen, stop, seed + number))
        for number, seen in enumerate(readers)
    ]
    threads.append(threading.Thread(target=write, args=(Client(server.client()), writer, stop, gate, insert)))
    for thread in threads:
        thread.start()
    began = time.monotonic()
    try:
        must(box, "db", "restore", "crm", "--yes")
        took = time.monotonic() - began
        must(box, "db", "restore", "crm", "--undo", "--yes")
        time.sleep(1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return readers, writer, took


def judged(box: Any, server: Server, readers: list[Seen], writer: Seen, triggers: bool) -> list[str]:
    failures = [f"a wrong answer: {line}" for seen in (*readers, writer) for line in seen.wrong[:3]]
    if any(seen.states - {0} != {1, 2} for seen in readers):
        failures.append("a reader has not seen both states, so nothing was tried")
    beside = [one["name"] for one in json.loads(must(box, "db", "kept", "--json"))["beside"]]
    there = {int(line) for name in ("mo_crm", *beside) for line in server.sql("select id from notes", name).split()}
    lost = set(writer.acknowledged) - there
    failures += [f"{len(lost)} acknowledged rows are in neither database"] if lost else []
    twice = len(writer.acknowledged) - len(set(writer.acknowledged))
    failures += [f"{twice} numbers were given out twice"] if twice else []
    for name in ("mo_crm", *beside) if triggers else ():
        missed = "select count(*) from notes where id not in (select note from audit)"
        if (count := server.sql(missed, name).strip()) != "0":
            failures.append(f"{count} rows in {name} missed their trigger")
    failures += [f"a client waited {seen.stall:.2f} s" for seen in (*readers, writer) if seen.stall > CALM]
    return failures


def told(readers: list[Seen], writer: Seen, took: float) -> str:
    asked, stall = sum(seen.asked for seen in readers), max(seen.stall for seen in readers)
    return (
        f"restored in {took:.1f} s; {asked} answers read and {len(writer.acknowledged)} rows acknowledged meanwhile, "
        f"longest wait {stall:.2f} s to read, {writer.stall:.2f} s to write; "
        f"sessions ended {sum(seen.ended for seen in (*readers, writer))}"
    )
