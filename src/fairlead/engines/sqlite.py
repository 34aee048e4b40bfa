"""SQLite databases on a host, through one Python program that is sent there with the call: nothing is installed.

Errors: `Unreachable` and `Lost` from the host; `NotReady` when its python3 cannot run the program. What is wrong with
one database is never an error but a `Finding` about it, so that no database hides another.
"""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.config.database import DatabaseSpec
from fairlead.engines import store
from fairlead.engines.engine import Made
from fairlead.model import Backup, Command, Finding
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

PING_LIMIT = 5.0
"""Seconds that one database has for answering."""
LOCK_LIMIT = 10.0
"""Seconds that a backup waits for a locked database; a ping waits a tenth of it."""


async def ping(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
    """Open each database for reading, all in one round trip; findings in the order of `databases`."""
    if not databases:
        return []
    items = [{"name": one.name, "path": one.path, "wait": LOCK_LIMIT / 10} for one in databases]
    lines = await store.ask(host, "sqlite", "ping", {"databases": items, "limit": PING_LIMIT}, PING_LIMIT + 15)
    answers = {line.get("database"): line for line in lines}
    return [_reached(host, one, answers.get(one.name)) for one in databases]


async def backup(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets, *, label: str = "") -> list[Made]:
    """Back up into the databases' stores, one after the other, and prove each copy; in the order of `databases`.

    With a `label`, a database that already has a proven backup of that label is not copied again.
    """
    here = [one for one in databases if one.store.host == one.host]
    lines = await store.ask(host, "sqlite", "backup", _work(here, label), store.BACKUP_LIMIT) if here else []
    answers = {line.get("database"): line for line in lines}
    return [
        store.made(host, one, answers.get(one.name)) if one in here else store.made_elsewhere(one) for one in databases
    ]


async def restore(host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
    """Write a backup into a new file `into` on the host and prove it there; a file that exists is refused."""
    args = {"name": chosen.database, "manifest": chosen.manifest, "sha256": chosen.sha256, "into": into}
    return store.restored(chosen, into, await store.ask(host, "sqlite", "restore", args, store.BACKUP_LIMIT))


def backup_command(databases: Sequence[DatabaseSpec], label: str, *, timeout: float = store.BACKUP_LIMIT) -> Command:
    """The backup of these databases as a step's change. It names no secret, and run twice it copies once.

    Raises NotReady where a store is on another host than its database.
    """
    store.refuse_elsewhere(databases)
    return store.step("sqlite", "backup", _work(databases, label), timeout)


def backup_probe(databases: Sequence[DatabaseSpec], label: str) -> Command:
    """The probe of `backup_command`: `after` when every database has a proven backup of that label."""
    return store.step("sqlite", "probe", _work(databases, label), 60.0)


def _work(databases: Sequence[DatabaseSpec], label: str) -> dict[str, object]:
    items = [
        {"name": one.name, "path": one.path, "store": one.store.path, "keep": one.store.keep, "wait": LOCK_LIMIT}
        for one in databases
    ]
    return {"databases": items, "label": label}


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
