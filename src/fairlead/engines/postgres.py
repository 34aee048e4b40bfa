"""PostgreSQL databases, asked on the host that reaches their server with that host's own client programs.

One Python program is sent there with each call: nothing is installed. Errors: `Unreachable` and `Lost` from the host;
`NotReady` when its python3 cannot run the program. What is wrong with one database is a `Finding` about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from fairlead.config.database import DatabaseSpec
from fairlead.engines import store
from fairlead.engines.engine import Made, Spare
from fairlead.errors import NotReady
from fairlead.model import (
    Backup,
    Beside,
    Command,
    Drill,
    Finding,
    Ledger,
    Reported,
    SecretRef,
    TableLedger,
    sha256,
)
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

PING_LIMIT = 6.5
"""Seconds that all databases of one host have for answering."""
SWAP_LIMIT = 180.0
"""Seconds that a swap has, waiting for long transactions included."""
LOGIN_LIMIT = 20
"""Seconds that a login of a swap may take: a busy server is no reason to leave one half-done."""
LEDGER_LIMIT = 1800.0
"""Seconds that the comparison of one database has."""
LONGEST_NAME = 63
"""Bytes of a database's name on the server."""


async def ping(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
    """Log in to each database with the services' account, all in one round trip; in the order of `databases`.

    What is wrong is told by the first layer that fails: name, port, firewall, TLS, pg_hba.conf, password, database,
    privilege, connections.
    """
    work = await Work.of(databases, secrets, maintenance=False)
    args = {"databases": work.items, "limit": PING_LIMIT}
    lines = await work.ask(host, "ping", args, PING_LIMIT + 15)
    answers = {line.get("database"): line for line in lines}
    return [
        _fail("database", one, missing) if (missing := work.missing.get(one.name)) else _reached(host, one, answers)
        for one in databases
    ]


async def backup(
    host: Host,
    databases: Sequence[DatabaseSpec],
    secrets: Secrets,
    *,
    label: str = "",
    spare: Spare | None = None,
) -> list[Made]:
    """Dump into the databases' stores, two of each server at once, and read each back; in the order of `databases`.

    With a `label`, a database that already has a proven backup of that label is not dumped again. Uses the
    maintenance account where there is one.
    """
    here = [one for one in databases if not store.unfit(one)]
    work = await Work.of(here, secrets, maintenance=True)
    lines = await work.ask(host, "backup", store.to_back_up(work.items, label, spare), store.BACKUP_LIMIT)
    answers = {line.get("database"): line for line in lines}
    return [_made(host, one, work, answers.get(one.name)) for one in databases]


async def restore(host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
    """Fill a new database `into` on the database's server and count it there; one that exists is refused.

    Owner, privileges and settings are those of the database that was dumped. Until it is proven it has another name
    and a mark; where it fails it is dropped again, and what a killed one has left, by the next of that name.
    """
    work = await Work.of([database], secrets, maintenance=True)
    if missing := work.missing.get(database.name):
        return _fail("restore", database, missing)
    opening = await store.opening(chosen, database, secrets, 1)
    chosen_words = {"name": chosen.database, "manifest": chosen.manifest, "sha256": chosen.sha256}
    args = chosen_words | {"into": into, "server": work.items[0] | opening.words}
    return store.restored(chosen, into, await work.ask(host, "restore", args, store.BACKUP_LIMIT, opening.text))


async def reported(host: Host, database: DatabaseSpec, secrets: Secrets) -> list[Reported] | None:
    """What the table `backup_metadata` in this database says of others' backups; None = there is no such table.

    Raises NotReady where it cannot be read.
    """
    work = await Work.of([database], secrets, maintenance=True)
    if missing := work.missing.get(database.name):
        raise missing
    args = {"name": database.name, "server": work.items[0]}
    return store.told(database, await work.ask(host, "reported", args, 60.0))


async def deep(host: Host, database: DatabaseSpec, secrets: Secrets) -> Finding:
    """Read every value of every table on the server, with the maintenance account; nobody is kept from writing."""
    work = await Work.of([database], secrets, maintenance=True)
    if missing := work.missing.get(database.name):
        return _fail("tables", database, missing)
    args = {"name": database.name, "server": work.items[0]}
    return store.read_deeply(database, await work.ask(host, "deep", args, store.BACKUP_LIMIT))


async def drill(host: Host, chosen: Backup, database: DatabaseSpec, secrets: Secrets, *, run: str) -> Drill:
    """Restore a backup into a marked database of the server's, count its rows, and drop it again."""
    work = await Work.of([database], secrets, maintenance=True)
    if missing := work.missing.get(database.name):
        return Drill(database=database.name, run=run, passed=False, says=missing.what, hint=missing.hint)
    opening = await store.opening(chosen, database, secrets, 1)
    args = store.to_drill(chosen, database, _beside(database.database, "__drill"), run)
    args["server"] = work.items[0] | opening.words
    return store.no_answer(database, await work.ask(host, "drill", args, store.BACKUP_LIMIT, opening.text))


def backup_command(
    databases: Sequence[DatabaseSpec],
    label: str,
    *,
    spare: Spare | None = None,
    timeout: float = store.BACKUP_LIMIT,
) -> Command:
    """The backup of these databases as a step's change. It names its secret, and run twice it dumps once.

    Raises NotReady where a store is on another host than the one that reaches the server, and where the databases are
    backed up by accounts with different passwords: a step has one.
    """
    store.refuse_unfit(databases)
    secret = store.only_password(databases)
    items = [_item(one, maintenance=True, key=0) for one in databases]
    args = store.to_back_up(items, label, spare)
    return store.step("postgres", "backup", args, timeout, _as_line(secret) if secret else None)


def backup_probe(databases: Sequence[DatabaseSpec], label: str) -> Command:
    """The probe of `backup_command`: `after` when every database has a proven backup of that label."""
    return store.probe(databases, label)


def shadow_name(database: DatabaseSpec, label: str) -> str:
    """What the database beside the live one is called that a backup is restored into."""
    return _beside(database.database, f"__new_{label}")


def kept_name(database: DatabaseSpec, label: str) -> str:
    """What the live database is called when it has been replaced."""
    return _beside(database.database, f"__kept_{label}")


def shadow_command(
    database: DatabaseSpec, backup: Backup | Sequence[str], label: str, *, timeout: float = store.BACKUP_LIMIT
) -> Command:
    """Fill the shadow from a backup and count it there, as a step's change; run twice it fills once.

    Raises NotReady where the backup is another database's, or lies on another host than the one that
    reaches the server.
    """
    return _step("shadow", database, label, timeout, store.choice(database, backup))


def shadow_probe(database: DatabaseSpec, label: str) -> Command:
    """`before`: no shadow; `between`: half-filled; `after`: proven, or its swap has been begun; else `cannot_tell`."""
    return _step("shadow_probe", database, label, 60.0)


def shadow_undo(database: DatabaseSpec, label: str) -> Command:
    """Drop the shadow. One that has been live, because its swap was undone, may hold rows that were acknowledged: it is
    kept under the name of the kept database instead. Refused while its swap stands.
    """
    return _step("shadow_undo", database, label, SWAP_LIMIT)


def swap_command(
    database: DatabaseSpec, label: str, *, fenced: bool = False, end_blockers: bool = False, timeout: float = SWAP_LIMIT
) -> Command:
    """Make the live database the kept one and the shadow the live one, in one transaction, as a step's change.

    Sessions in the live database are ended. While a transaction has been open there for long, nothing is; after 30 s
    that refuses the swap, or with `end_blockers` it is ended as all others. `fenced` changes nothing here: triggers
    move with their database.
    """
    return _step("swap", database, label, timeout, {"end_blockers": end_blockers})


def swap_probe(database: DatabaseSpec, label: str) -> Command:
    """`between`: the live database is closed by a swap that did not come to its end; do and undo open it again."""
    return _step("swap_probe", database, label, 60.0)


def swap_undo(database: DatabaseSpec, label: str, *, timeout: float = SWAP_LIMIT) -> Command:
    """Make the kept database the live one again, as it was; what was live becomes the shadow. Ends all sessions."""
    return _step("swap_undo", database, label, timeout, {"end_blockers": True})


def kept_drop_command(database: DatabaseSpec, label: str) -> Command:
    """Drop what was kept under that label, and nothing that is not marked so; run twice it drops once."""
    return _step("kept_drop", database, label, SWAP_LIMIT)


def kept_probe(database: DatabaseSpec, label: str) -> Command:
    """The probe of `kept_drop_command`: `before` while a database of that name is there."""
    return _step("kept_probe", database, label, 60.0)


async def beside(host: Host, databases: Sequence[DatabaseSpec]) -> list[Beside]:
    """Shadows and kept databases beside these, by their marks; a server is asked once. Raises NotReady."""
    asks = [_step("beside", several[0], "", 60.0) for several in store.servers(databases)]
    lines = await asyncio.gather(*(store.answer(host, ask) for ask in asks))
    return store.beside(lines, databases, {"kept": kept_name, "shadow": shadow_name})


async def room(host: Host, databases: Sequence[DatabaseSpec]) -> list[Finding]:
    """May the maintenance account make a second database beside each, for the same owner? Nothing is made."""

    def ask(several: Sequence[DatabaseSpec]) -> Command:
        return _step("room", several[0], "", 60.0, {"beside": {one.name: one.database for one in several}})

    return await store.room(host, databases, ask)


async def ledger(
    host: Host, database: DatabaseSpec, label: str, secrets: Secrets, *, limit_rows: int = 1_000_000
) -> Ledger:
    """Compare the live database with the one kept under that label, row by row on their server.

    A table with more than `limit_rows` rows that differs is only counted, and the whole is then called an estimate.
    Raises NotReady where one of the two cannot be read.
    """
    names = {"live": database.database, "kept": kept_name(database, label), "limit": limit_rows}
    tables = await _tables(host, database, secrets, "ledger", names)
    kind = "exact" if all(table.exact for table in tables) else "estimate"
    return Ledger.model_validate({"database": database.name, "kind": kind, "tables": tables})


async def estimate(host: Host, database: DatabaseSpec, backup: Backup, secrets: Secrets) -> Ledger:
    """What was written since that backup, by the server's own statistics and counts of rows; no row is compared.

    Raises NotReady where the database or the backup's manifest cannot be read.
    """
    words = {"live": database.database, "manifest": backup.manifest, "sha256": backup.sha256}
    tables = await _tables(host, database, secrets, "estimate", words)
    return Ledger(database=database.name, kind="estimate", tables=tables)


def _beside(live: str, tail: str) -> str:
    """Live name and tail; where that is too long, the name is cut and told apart by digits of its hash."""
    if len((live + tail).encode()) <= LONGEST_NAME:
        return live + tail
    cut = live.encode()[: LONGEST_NAME - 6 - len(tail)].decode(errors="ignore")
    return cut + sha256(live)[:6] + tail


def _step(
    verb: str, database: DatabaseSpec, label: str, timeout: float, more: Mapping[str, object] | None = None
) -> Command:
    """One verb of the program's second part, which only these steps bring."""
    own, _, _ = store.program("postgres").rpartition("\nrun(")
    secret = store.account(database, maintenance=True)[1]
    names = {"shadow": shadow_name(database, label), "kept": kept_name(database, label), "live": database.database}
    known, told = store.secrets_of(_as_line(secret) if secret else None, database, opens=verb == "shadow")
    server = _item(database, maintenance=True, key=0) | {"wait": LOGIN_LIMIT} | known
    args = {"name": database.name, "server": server, "label": label} | names | dict(more or {})
    return store.step("postgres", verb, args, timeout, told, brings=f"{own}\n{store.part('postgres_swap')}")


async def _tables(
    host: Host, database: DatabaseSpec, secrets: Secrets, verb: str, words: Mapping[str, object]
) -> tuple[TableLedger, ...]:
    """The program's answer about one database, table by table."""
    work = await Work.of([database], secrets, maintenance=True)
    if missing := work.missing.get(database.name):
        raise missing
    args = {"name": database.name, "server": work.items[0], **words}
    for line in await work.ask(host, verb, args, LEDGER_LIMIT):
        if line["ok"]:
            return tuple(TableLedger.model_validate(table) for table in line["tables"])
        raise NotReady(f"{database.name}: {line['says']}", line["hint"])
    raise NotReady(f"{database.name}: the comparison gave no answer")


class Work:
    """The databases of one call that can be asked about, their passwords, and what is missing for the others."""

    def __init__(self) -> None:
        self.items: list[dict[str, object]] = []
        self.missing: dict[str, NotReady] = {}
        self.lines = b""

    @classmethod
    async def of(cls, databases: Sequence[DatabaseSpec], secrets: Secrets, *, maintenance: bool) -> Work:
        """Open what these databases need: one line of a password file for each."""
        work = cls()
        for one in databases:
            ref = store.account(one, maintenance)[1]
            try:
                work.lines += await secrets.rendered(_as_line(ref)) if ref else b"\n"
            except NotReady as error:
                work.missing[one.name] = error
            else:
                work.items.append(_item(one, maintenance, key=len(work.items)))
        return work

    async def ask(
        self, host: Host, verb: str, args: Mapping[str, object], timeout: float, more: bytes = b""
    ) -> list[store.Line]:
        """The program's answers; none where there is nothing to ask about. `more` secrets come behind the passwords."""
        if not self.items:
            return []
        return await store.ask(host, "postgres", verb, args, timeout, secrets=self.lines + more)


def _as_line(ref: SecretRef) -> SecretRef:
    return SecretRef(name=ref.name, form="pgpass")


def _item(database: DatabaseSpec, maintenance: bool, key: int) -> dict[str, object]:
    """What the program on the host has to know of a database; `key` is the number of its password's line."""
    user, ref = store.account(database, maintenance)
    return {
        "name": database.name,
        "database": database.database,
        "address": database.address,
        "port": database.port,
        "tls": database.tls,
        "user": user,
        "secret": ref.name if ref else "",
        "key": key if ref else None,
        **store.kept_in(database),
    }


def _reached(host: Host, database: DatabaseSpec, answers: dict[object, store.Line]) -> Finding:
    line = answers.get(database.name)
    server = f"{database.address}:{database.port}"
    where = {"host": host.account.name, "server": server, "database": database.database, "user": database.user}
    words = {"check": "database", "subject": database.name, "evidence": where}
    if line is None or line.get("silent"):
        says = line["says"] if line else "gave no answer"
        return Finding.model_validate(words | {"status": "unknown", "says": says})
    if not line["ok"]:
        told = {"status": "fail", "says": line["says"], "hint": line["hint"], "ms": line["ms"]}
        return Finding.model_validate(words | told)
    says = f"answers, PostgreSQL {line['version'].split()[0]}, {store.size(line['size'])}"
    seen = {"evidence": where | {"version": line["version"], "size": line["size"]}, "ms": line["took"]}
    return Finding.model_validate(words | seen | {"status": "ok", "says": says})


def _made(host: Host, database: DatabaseSpec, work: Work, line: store.Line | None) -> Made:
    if store.unfit(database):
        return store.not_made(database)
    if missing := work.missing.get(database.name):
        return Made(_fail("backup", database, missing), None)
    return store.made(host, database, line)


def _fail(check: str, database: DatabaseSpec, error: NotReady) -> Finding:
    return Finding(check=check, subject=database.name, status="fail", says=error.what, hint=error.hint)
