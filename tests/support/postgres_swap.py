"""One PostgreSQL database that is taken back: its steps run as a plan runs them, and what a witness sees of it.

What is seen is asked with psql alone and shares nothing with the product.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fairlead.config.database import DatabaseSpec
from fairlead.engines import postgres
from fairlead.model import Backup, Command, Result
from support.places import Place
from support.postgres import Postgres, escaped, secrets

LABEL = "20260704_0a1b2c3d"
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
"""What a program is changed to where it shall be killed."""

_COUNTING = """
LEFT = [{number}]
def moment():
    LEFT[0] -= 1
    if LEFT[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def dying(number: int, *, asked: bool) -> tuple[tuple[str, str], ...]:
    """Changes of a program that let it be killed at its n-th question to the server: before that is sent, or while
    the server is at it.
    """
    sent = "            self.program.stdin.flush()\n"
    once = "        out, err = program.communicate(text.encode(), timeout=limit)\n"
    inner, outer = "            moment()\n", "        moment()\n"
    early, late = ("", inner) if asked else (inner, "")
    if asked:
        outer = "        program.stdin.write(text.encode())\n        program.stdin.flush()\n        text = ''\n" + outer
    return (
        ('MARK = "fairlead "\n', 'MARK = "fairlead "\n' + _COUNTING.format(number=number)),
        (sent, early + sent + late),
        (once, outer + once),
    )


CHECKSUM = r"""select format('select %L, coalesce(md5(string_agg(md5(t::text), '''' order by md5(t::text))), '''')
 from %I.%I t', n.nspname || '.' || c.relname, n.nspname, c.relname) from pg_class c join pg_namespace n
 on n.oid = c.relnamespace where c.relkind in ('r', 'm', 'v') and n.nspname !~ '^pg_'
 and n.nspname <> 'information_schema'
 order by 1
\gexec
"""


class Trial:
    """One database and one label."""

    def __init__(self, here: Place, server: Postgres, database: DatabaseSpec, label: str = LABEL) -> None:
        self.here, self.server, self.database, self.label = here, server, database, label
        self.live = database.database
        self.shadow, self.kept = postgres.shadow_name(database, label), postgres.kept_name(database, label)
        self.backup: Backup | None = None

    async def back_up(self) -> Backup:
        (made,) = await postgres.backup(self.here.host, [self.database], secrets())
        assert made.backup is not None, made.finding
        self.backup = made.backup
        return made.backup

    def step(self, name: str) -> Command:
        """A step by the name that the engine gives it, without `_command`."""
        if name == "shadow":
            assert self.backup is not None
            return postgres.shadow_command(self.database, self.backup, self.label)
        several = {
            "shadow_undo": postgres.shadow_undo, "swap": postgres.swap_command, "swap_undo": postgres.swap_undo,
            "shadow_probe": postgres.shadow_probe, "swap_probe": postgres.swap_probe,
            "kept_drop": postgres.kept_drop_command,
        }  # fmt: skip
        return several[name](self.database, self.label)

    async def run(self, name: str | Command, *changes: tuple[str, str]) -> Result:
        """Run a step, or with its program changed."""
        command = self.step(name) if isinstance(name, str) else name
        line = await secrets().rendered(command.stdin) if command.stdin else b""
        bare = changed(command, *changes).model_copy(update={"stdin": None})
        return await self.here.host.run(bare, stdin=line)

    async def well(self, *names: str) -> None:
        for name in names:
            result = await self.run(name)
            assert result.ok, f"{name}: {result.stdout} {result.stderr}"

    async def words(self) -> tuple[str, str]:
        """What the probes of shadow and swap say."""
        said = await asyncio.gather(self.run("shadow_probe"), self.run("swap_probe"))
        assert all(one.ok and one.stdout for one in said), said
        return said[0].stdout.split()[-1], said[1].stdout.split()[-1]

    @property
    def there(self) -> str:
        """Which of the three databases are there, as letters: live, shadow, kept."""
        names, ours = self.server.databases, (self.live, self.shadow, self.kept)
        return "".join(letter for letter, name in zip("lsk", ours, strict=True) if name in names)

    @property
    def ours(self) -> list[str]:
        """The live database and what lies beside it, where one can log in."""
        here = f"datallowconn and left(datname, {len(self.live)}) = {text(self.live)}"
        return self.server.sql(f"select datname from pg_database where {here}").split("\n")

    @property
    def open(self) -> bool:
        return self.server.sql(f"select datallowconn from pg_database where datname = {text(self.live)}") == "t"


def text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def changed(command: Command, *changes: tuple[str, str]) -> Command:
    """The same step with other words in its program."""
    program = command.argv[2]
    for old, new in changes:
        assert program.count(old) == 1, f"{program.count(old)} times: {old}"
        program = program.replace(old, new)
    return command.model_copy(update={"argv": (*command.argv[:2], program, *command.argv[3:])})


def psql(server: Postgres, database: str) -> list[str]:
    """How the tests' own client reaches a database, as the superuser."""
    where = ["-h", str(server.data), "-p", str(server.port), "-U", "postgres", "-d", f"dbname={escaped(database)}"]
    return ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *where]


def checksums(server: Postgres, database: str) -> str:
    """All rows of all tables and views, whatever their order."""
    done = subprocess.run(psql(server, database), input=CHECKSUM, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def object_of(server: Postgres, database: str) -> str:
    """What belongs to the database itself: owner, limit, privileges, settings, comment."""
    return server.sql(
        "select row(pg_get_userbyid(datdba), datconnlimit, datallowconn, shobj_description(d.oid, 'pg_database'),"
        " (select array_agg(a::text order by a::text) from unnest(coalesce(datacl, acldefault('d', datdba))) a),"
        " (select array_agg(x::text order by x::text) from (select setrole, unnest(setconfig) from pg_db_role_setting"
        f" where setdatabase = d.oid) x)) from pg_database d where datname = {text(database)}"
    )


@contextmanager
def talking(server: Postgres, database: str, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """A session that has run these statements and stays."""
    pipe = subprocess.PIPE
    with subprocess.Popen(psql(server, database), stdin=pipe, stdout=pipe, stderr=pipe, text=True) as one:
        assert one.stdin and one.stdout
        one.stdin.write("".join(f"{statement};\n" for statement in (*statements, "select 'ready'")))
        one.stdin.flush()
        assert one.stdout.readline() == "ready\n"
        try:
            yield one
        finally:
            with suppress(BrokenPipeError):
                one.stdin.close()
