"""SQLite databases on a host, through one Python program that is sent there with the call: nothing is installed.

Errors: `Unreachable` and `Lost` from the host; `NotReady` when its python3 cannot run the program. What is wrong with
one database is never an error but a `Finding` about it, so that no database hides another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fairlead.config.database import DatabaseSpec
from fairlead.engines import store
from fairlead.engines.engine import Made, Spare
from fairlead.errors import NotReady
from fairlead.model import Backup, Beside, Command, Drill, Finding, Ledger, Reported, TableLedger, sha256
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

PING_LIMIT = 5.0
"""Seconds that one database has for answering."""
LOCK_LIMIT = 10.0
"""Seconds that a backup waits for a locked database; a ping waits a tenth of it."""
SWAP_PATIENCE = 30.0
"""Seconds that a swap waits for each lock that others hold; meanwhile they go on in turns of two seconds."""

_LABEL = re.compile(r"\d{8}_[0-9a-z]{1,16}")
_LONGEST_NAME = 255
"""Bytes in a file name, on the usual file systems."""
_LONGEST_TAIL = len(".part-journal")


async def ping(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
    """Open each database for reading, all in one round trip; findings in the order of `databases`."""
    if not databases:
        return []
    items = [{"name": one.name, "path": one.path, "wait": LOCK_LIMIT / 10} for one in databases]
    lines = await store.ask(host, "sqlite", "ping", {"databases": items, "limit": PING_LIMIT}, PING_LIMIT + 15)
    answers = {line.get("database"): line for line in lines}
    return [_reached(host, one, answers.get(one.name)) for one in databases]


async def backup(
    host: Host,
    databases: Sequence[DatabaseSpec],
    secrets: Secrets,
    *,
    label: str = "",
    spare: Spare | None = None,
) -> list[Made]:
    """Back up into the databases' stores, one after the other, and prove each copy; in the order of `databases`.

    With a `label`, a database that already has a proven backup of that label is not copied again.
    """
    here = [one for one in databases if not store.unfit(one)]
    lines = await store.ask(host, "sqlite", "backup", _work(here, label, spare), store.BACKUP_LIMIT) if here else []
    answers = {line.get("database"): line for line in lines}
    return [store.made(host, one, answers.get(one.name)) if one in here else store.not_made(one) for one in databases]


async def restore(host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
    """Write a backup into a new file `into` on the host and prove it there; a file that exists is refused."""
    opening = await store.opening(chosen, database, secrets, 0)
    args = {"name": chosen.database, "manifest": chosen.manifest, "sha256": chosen.sha256, "into": into}
    lines = await store.ask(host, "sqlite", "restore", args | opening.words, store.BACKUP_LIMIT, secrets=opening.text)
    return store.restored(chosen, into, lines)


async def reported(host: Host, database: DatabaseSpec, secrets: Secrets) -> list[Reported] | None:
    """What the table `backup_metadata` in this database says of others' backups; None = there is no such table.

    Raises NotReady where it cannot be read.
    """
    args = {"name": database.name, "path": database.path, "wait": LOCK_LIMIT}
    return store.told(database, await store.ask(host, "sqlite", "reported", args, 60.0))


async def deep(host: Host, database: DatabaseSpec, secrets: Secrets) -> Finding:
    """Have SQLite check the file and every table in it; nobody is kept from writing."""
    args = {"name": database.name, "path": database.path, "wait": LOCK_LIMIT}
    return store.read_deeply(database, await store.ask(host, "sqlite", "deep", args, store.BACKUP_LIMIT))


async def drill(host: Host, chosen: Backup, database: DatabaseSpec, secrets: Secrets, *, run: str) -> Drill:
    """Restore a backup into a file beside the live one, prove it there and remove it again."""
    opening = await store.opening(chosen, database, secrets, 0)
    args = store.to_drill(chosen, database, _scratch(database), run) | opening.words
    lines = await store.ask(host, "sqlite", "drill", args, store.BACKUP_LIMIT, secrets=opening.text)
    return store.no_answer(database, lines)


def backup_command(
    databases: Sequence[DatabaseSpec],
    label: str,
    *,
    spare: Spare | None = None,
    timeout: float = store.BACKUP_LIMIT,
) -> Command:
    """The backup of these databases as a step's change. It names no secret, and run twice it copies once.

    Raises NotReady where a store is on another host than its database.
    """
    store.refuse_unfit(databases)
    return store.step("sqlite", "backup", _work(databases, label, spare), timeout)


def backup_probe(databases: Sequence[DatabaseSpec], label: str) -> Command:
    """The probe of `backup_command`: `after` when every database has a proven backup of that label."""
    return store.step("sqlite", "probe", _work(databases, label), 60.0)


def shadow_name(database: DatabaseSpec, label: str) -> str:
    """The file beside the live one that is filled from a backup."""
    return _beside(database, "new", label)


def kept_name(database: DatabaseSpec, label: str) -> str:
    """The file beside the live one that keeps what a swap has replaced."""
    return _beside(database, "kept", label)


def shadow_command(
    database: DatabaseSpec, backup: Backup | Sequence[str], label: str, *, timeout: float = store.BACKUP_LIMIT
) -> Command:
    """Write a backup into the shadow and prove it there; run twice it fills it once.

    Raises NotReady where the backup is another database's, or lies on another host.
    """
    more, identity = store.choice(database, backup), store.identity(database)
    args = _swapping(database, label) | more | ({"identity": 0} if identity else {})
    return store.step("sqlite", "shadow", args, timeout, identity)


def shadow_probe(database: DatabaseSpec, label: str) -> Command:
    """`after` from the moment that the shadow is proven, and while it is swapped in."""
    return store.step("sqlite", "shadow_probe", _swapping(database, label), 60.0)


def shadow_undo(database: DatabaseSpec, label: str) -> Command:
    """Drop the shadow. One that has been live, because its swap was undone, may hold rows that were acknowledged: it is
    kept under the name of the kept database instead. Refused while its swap stands.
    """
    return store.step("sqlite", "shadow_undo", _swapping(database, label), 60.0)


def swap_command(
    database: DatabaseSpec,
    label: str,
    *,
    fenced: bool = False,
    end_blockers: bool = False,
    timeout: float = store.BACKUP_LIMIT,
) -> Command:
    """Copy the live file into the kept one, then write the shadow into the live file, in one transaction of SQLite.

    Between the two nobody's transaction is lost: when somebody has written meanwhile, the copy is made again under a
    lock. Nobody is disconnected; without WAL readers wait while it is written. `fenced` and `end_blockers` change
    nothing here: triggers are part of the file, and no process is ended for its lock.
    """
    del fenced, end_blockers
    return store.step("sqlite", "swap", _swapping(database, label), timeout)


def swap_probe(database: DatabaseSpec, label: str) -> Command:
    """Where the swap stands, from its note; it opens no database, so that nobody's lock keeps it from telling."""
    return store.step("sqlite", "swap_probe", _swapping(database, label), 60.0)


def swap_undo(database: DatabaseSpec, label: str, *, timeout: float = store.BACKUP_LIMIT) -> Command:
    """Write what was kept into the live file again; what was live until then becomes the shadow."""
    return store.step("sqlite", "swap_undo", _swapping(database, label), timeout)


def kept_drop_command(database: DatabaseSpec, label: str) -> Command:
    """Drop what was kept under this label, and its note; refused while the swap is half done."""
    return store.step("sqlite", "kept_drop", _swapping(database, label), 60.0)


def kept_probe(database: DatabaseSpec, label: str) -> Command:
    """The probe of `kept_drop_command`: `before` while the file or its note is there."""
    return store.step("sqlite", "kept_probe", _swapping(database, label), 60.0)


async def beside(host: Host, databases: Sequence[DatabaseSpec]) -> list[Beside]:
    """Shadows and kept files beside these databases; whatever has such a name counts. Raises NotReady."""
    folders = sorted({one.path.rpartition("/")[0] or "/" * one.path.startswith("/") for one in databases})
    lines = await store.ask(host, "sqlite", "beside", {"name": "", "folders": folders}, 60.0)
    return store.beside(lines, databases, {"kept": kept_name, "shadow": shadow_name})


async def room(host: Host, databases: Sequence[DatabaseSpec]) -> list[Finding]:
    """Whoever writes a SQLite database makes files beside it anyhow, its journal first: there is always room."""
    del host
    says = "a file can be made beside it"
    return [Finding(check="room", subject=one.name, status="ok", says=says) for one in databases]


async def ledger(
    host: Host, database: DatabaseSpec, label: str, secrets: Secrets, *, limit_rows: int = 1_000_000
) -> Ledger:
    """What live and kept differ in, table by table; a table with more than `limit_rows` rows is only counted.

    Live is copied beside itself for the time of the comparison, so that no writer waits for it. Raises NotReady where
    nothing is kept or the comparison cannot be made.
    """
    args = _swapping(database, label) | {"limit_rows": limit_rows}
    return await _ledger(host, database, "ledger", args)


async def estimate(host: Host, database: DatabaseSpec, backup: Backup, secrets: Secrets) -> Ledger:
    """How many rows each table has that the backup has not, and the other way, as far as counting tells.

    Raises NotReady where that cannot be counted.
    """
    args = {"name": database.name, "path": database.path, "wait": LOCK_LIMIT, "rows": backup.rows, "file": backup.file}
    return await _ledger(host, database, "estimate", args)


async def _ledger(host: Host, database: DatabaseSpec, verb: str, args: dict[str, Any]) -> Ledger:
    lines = await store.ask(host, "sqlite", verb, args, store.BACKUP_LIMIT)
    if not lines:
        raise NotReady(f"{database.name}: the {verb} gave no answer", f"look at {database.path} on {host.account.name}")
    if not lines[0]["ok"]:
        raise NotReady(f"{database.name}: {lines[0]['says']}", lines[0]["hint"])
    tables = tuple(TableLedger.model_validate(table) for table in lines[0]["tables"])
    exact = verb == "ledger" and all(table.exact for table in tables)
    return Ledger(database=database.name, kind="exact" if exact else "estimate", tables=tables)


def _swapping(database: DatabaseSpec, label: str) -> dict[str, Any]:
    """What every verb of a swap is told."""
    return {
        "name": database.name,
        "path": database.path,
        "shadow": shadow_name(database, label),
        "kept": kept_name(database, label),
        "label": label,
        "mark": f"_fairlead_{label}",
        "wait": SWAP_PATIENCE,
    }


def _beside(database: DatabaseSpec, what: str, label: str) -> str:
    """A name beside the live file; where it would be too long, 6 digits of the live name's hash replace its end."""
    if not _LABEL.fullmatch(label):
        raise NotReady(f"`{label}` is no label of a restore", "a label is a date and a word, such as 20250131_0a1b2c3d")
    folder, slash, live = database.path.rpartition("/")
    most = _LONGEST_NAME - _LONGEST_TAIL - len(f"__kept_{label}")
    if len(live.encode()) > most:
        live = live.encode()[: most - 6].decode(errors="ignore") + sha256(live)[:6]
    return f"{folder}{slash}{live}__{what}_{label}"


def _scratch(database: DatabaseSpec) -> str:
    """The file beside the live one that a drill fills; no name that anybody else would give."""
    folder, slash, live = database.path.rpartition("/")
    return f"{folder}{slash}.fairlead-drill-{sha256(live)[:16]}"


def _work(databases: Sequence[DatabaseSpec], label: str, spare: Spare | None = None) -> dict[str, object]:
    items = ({"name": one.name, "path": one.path, "wait": LOCK_LIMIT} | store.kept_in(one) for one in databases)
    return store.to_back_up(items, label, spare)


def _reached(host: Host, database: DatabaseSpec, line: store.Line | None) -> Finding:
    finding = Finding(check="database", subject=database.name, status="unknown", says="")
    where = {"host": host.account.name, "path": database.path}
    if line is None or line.get("silent"):
        says = line["says"] if line else "gave no answer"
        return finding.model_copy(update={"says": says, "evidence": where})
    seen = {"evidence": where | {"size": line.get("size")}, "ms": line["ms"]}
    if line["ok"]:
        return finding.model_copy(update=seen | {"status": "ok", "says": f"answers, {store.size(line['size'])}"})
    hint = line["hint"] or f"look at {database.path} on {host.account.name}"
    return finding.model_copy(update=seen | {"status": "fail", "says": line["says"], "hint": hint})
