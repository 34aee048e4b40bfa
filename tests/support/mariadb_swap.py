"""One MariaDB database that is taken back: its steps run as a plan runs them, and what a witness sees of it.

What is seen is what mariadb-dump and mariadb print; it shares nothing with the product.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fairlead.config.database import DatabaseSpec
from fairlead.engines import mariadb
from fairlead.model import Backup, Command, Result
from support.mariadb import SECRETS, MariaDB
from support.places import Place

LABEL = "20260704_0a1b2c3d"
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
"""What a program is changed to where it shall be killed."""

_COUNTING = """
LEFT = [{number}]


def moment():
    LEFT[0] -= 1
    if LEFT[0] == 0:
        os.kill({victim}, signal.SIGKILL)


class Session:
"""


def dying(number: int, *, asked: bool, victim: str = "os.getpid()") -> tuple[tuple[str, str], ...]:
    """Changes of a program that let something be killed at its n-th question to the server: before that is sent, or
    while the server is at it.
    """
    sent, after = (
        "            put(self.process.stdin.fileno(),",
        "        except BrokenPipeError:\n            pass  # what",
    )
    where = (after, f"            moment()\n{after}") if asked else (sent, f"            moment()\n{sent}")
    return (("\nclass Session:\n", _COUNTING.format(number=number, victim=victim)), where)


class Trial:
    """One database and one label."""

    def __init__(self, here: Place, server: MariaDB, database: DatabaseSpec, label: str = LABEL) -> None:
        self.here, self.server, self.database, self.label = here, server, database, label
        self.live = database.database
        self.shadow, self.kept = mariadb.shadow_name(database, label), mariadb.kept_name(database, label)
        self.backup: Backup | None = None

    async def back_up(self) -> Backup:
        (made,) = await mariadb.backup(self.here.host, [self.database], SECRETS)
        assert made.backup is not None, made.finding
        self.backup = made.backup
        return made.backup

    def step(self, name: str) -> Command:
        """A step by the name that the engine gives it, without `_command`; `fenced swap`: with its writers stopped."""
        if name == "shadow":
            assert self.backup is not None
            return mariadb.shadow_command(self.database, self.backup, self.label)
        if name.endswith(" swap"):
            words = {"fenced": "fenced" in name, "end_blockers": "ending" in name}
            return mariadb.swap_command(self.database, self.label, **words)
        several = {
            "shadow_undo": mariadb.shadow_undo, "swap": mariadb.swap_command, "swap_undo": mariadb.swap_undo,
            "shadow_probe": mariadb.shadow_probe, "swap_probe": mariadb.swap_probe,
            "kept_drop": mariadb.kept_drop_command,
        }  # fmt: skip
        return several[name](self.database, self.label)

    async def run(self, name: str | Command, *changes: tuple[str, str]) -> Result:
        """Run a step, or with its program changed."""
        command = self.step(name) if isinstance(name, str) else name
        bare = changed(command, *changes).model_copy(update={"stdin": None})
        return await self.here.host.run(bare, stdin=await SECRETS.stdin_of(command))

    async def well(self, *names: str) -> None:
        for name in names:
            result = await self.run(name)
            assert result.ok, f"{name}: {result.stdout} {result.stderr}"

    async def words(self) -> tuple[str, str]:
        """What the probes of shadow and swap say."""
        said = [await self.run(name) for name in ("shadow_probe", "swap_probe")]
        assert all(one.ok and one.stdout for one in said), said
        return said[0].stdout.split()[-1], said[1].stdout.split()[-1]

    @property
    def there(self) -> str:
        """Which of the three databases are there, as letters: live, shadow, kept."""
        names = self.server.databases()
        return "".join(
            letter for letter, name in zip("lsk", (self.live, self.shadow, self.kept), strict=True) if name in names
        )

    @property
    def whole(self) -> str:
        """The live database, definitions and rows."""
        return whole(self.server, self.live)

    @property
    def contents(self) -> list[str]:
        """The rows of all databases beside the live one, and of itself."""
        names = self.server.databases() & {self.live, self.shadow, self.kept}
        return [rows(self.server, name) for name in sorted(names)]


def changed(command: Command, *changes: tuple[str, str]) -> Command:
    """The same step with other words in its program."""
    program = command.argv[2]
    for old, new in changes:
        assert program.count(old) == 1, f"{program.count(old)} times: {old}"
        program = program.replace(old, new)
    return command.model_copy(update={"argv": (*command.argv[:2], program, *command.argv[3:])})


def whole(server: MariaDB, database: str) -> str:
    """Everything of a database but its counters: defaults, definitions with their definers, and rows."""
    defaults = server.sql("select @@character_set_database, @@collation_database", database)
    return defaults + _dumped(server, database, "--routines", "--events", "--triggers")


def rows(server: MariaDB, database: str) -> str:
    """The rows of all tables of a database."""
    return _dumped(server, database, "--no-create-info", "--skip-triggers", f"--ignore-table={database}._fairlead")


def _dumped(server: MariaDB, database: str, *words: str) -> str:
    done = subprocess.run(
        ["mariadb-dump", "--no-defaults", "-uroot", f"--socket={server.socket}", "--skip-comments", "--hex-blob",
         "--order-by-primary", "--single-transaction", "--default-character-set=utf8mb4", *words, database],
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    text = re.sub(r" AUTO_INCREMENT=\d+|^(?:SELECT|DO) SETVAL\(.*$", "", done.stdout.decode(), flags=re.M)
    return text.replace(database.replace("`", "``"), "DATABASE")


@contextmanager
def talking(server: MariaDB, database: str, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """A session that has run these statements and stays."""
    words = ["mariadb", "--no-defaults", "-uroot", f"--socket={server.socket}", "-NBn", f"--database={database}"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as one:
        assert one.stdin and one.stdout
        one.stdin.write("".join(f"{statement};\n" for statement in (*statements, "select 'ready'")))
        one.stdin.flush()
        while one.stdout.readline() != "ready\n":
            assert one.poll() is None
        try:
            yield one
        finally:
            with suppress(BrokenPipeError):
                one.stdin.close()
            one.kill()
