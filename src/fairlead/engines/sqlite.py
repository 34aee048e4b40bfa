"""SQLite databases on a host, through one Python program that is sent there with the call: nothing is installed.

Errors: `Unreachable` and `Lost` from the host; `NotReady` when its python3 cannot run the program. What is wrong with
one database is never an error but a `Finding` about it, so that no database hides another.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fairlead.config.database import DatabaseSpec
from fairlead.engines.engine import Made
from fairlead.errors import NotReady
from fairlead.model import Backup, Command, Finding, Result, canonical, sha256
from fairlead.outside.files import package_text
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

Line = dict[str, Any]

_PROGRAM = "engines/sqlite.remote"
_ELSEWHERE = "its backup store is on {}, and SQLite is backed up where it lies"

PING_LIMIT = 5.0
"""Seconds that one database has for answering."""
LOCK_LIMIT = 10.0
"""Seconds that a backup waits for a locked database; a ping waits a tenth of it."""
BACKUP_LIMIT = 3600.0
"""Seconds that all backups of one call have together."""


async def ping(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
    """Open each database for reading, all in one round trip; findings in the order of `databases`."""
    if not databases:
        return []
    items = [{"name": one.name, "path": one.path, "wait": LOCK_LIMIT / 10} for one in databases]
    lines = await _ask(host, "ping", {"databases": items, "limit": PING_LIMIT}, PING_LIMIT + 15)
    answers = {line.get("database"): line for line in lines}
    return [_reached(host, one, answers.get(one.name)) for one in databases]


async def backup(host: Host, databases: Sequence[DatabaseSpec], secrets: Secrets, *, label: str = "") -> list[Made]:
    """Back up into the databases' stores, one after the other, and prove each copy; in the order of `databases`.

    With a `label`, a database that already has a proven backup of that label is not copied again.
    """
    here = [one for one in databases if one.store.host == one.host]
    lines = await _ask(host, "backup", _work(here, label), BACKUP_LIMIT) if here else []
    answers = {line.get("database"): line for line in lines}
    return [_made(host, one, answers.get(one.name)) for one in databases]


async def backups(host: Host, stores: Iterable[str], *, verify: bool = False) -> list[Backup]:
    """What lies in these store folders, flawed ones too; with `verify` the newest of each database is hashed again."""
    args = {"stores": sorted(set(stores)), "verify": verify}
    lines = await _ask(host, "list", args, BACKUP_LIMIT if verify else 60.0)
    for line in lines:
        if not line["ok"]:
            raise NotReady(f"the backup store {line['store']} on {host.account.name} cannot be read: {line['says']}")
    return [_backup(host, line) for line in lines]


async def restore(host: Host, chosen: Backup, database: DatabaseSpec, into: str, secrets: Secrets) -> Finding:
    """Write a backup into a new file `into` on the host and prove it there; a file that exists is refused."""
    args = {"name": chosen.database, "manifest": chosen.manifest, "sha256": chosen.sha256, "into": into}
    lines = await _ask(host, "restore", args, BACKUP_LIMIT)
    finding = Finding(check="restore", subject=chosen.database, status="unknown", says="the restore gave no answer")
    if not lines:
        return finding
    line = lines[0]
    if not line["ok"]:
        return finding.model_copy(update={"status": "fail", "says": line["says"], "hint": line["hint"]})
    says = f"restored into {into}: {_rows(line['rows'])}, as its manifest says"
    evidence = {"file": into, "size": line["size"], "sha256": line["sha256"], "rows": line["rows"]}
    return finding.model_copy(update={"status": "ok", "says": says, "evidence": evidence, "ms": line["ms"]})


def backup_label(change: str, seen: Iterable[Backup]) -> str:
    """A name for the backups of one change: equal for an unmoved world, another as soon as a newer backup exists."""
    return sha256(canonical([change, sorted(one.file for one in seen if one.proven)]))[:12]


def backup_command(databases: Sequence[DatabaseSpec], label: str, *, timeout: float = BACKUP_LIMIT) -> Command:
    """The backup of these databases as a step's change. It names no secret, and run twice it copies once.

    Raises NotReady where a store is on another host than its database.
    """
    for one in databases:
        if one.store.host != one.host:
            raise NotReady(f"{one.name}: {_ELSEWHERE.format(one.store.host)}", _hint_elsewhere(one))
    return _step("backup", _work(databases, label), timeout)


def backup_probe(databases: Sequence[DatabaseSpec], label: str) -> Command:
    """The probe of `backup_command`: `after` when every database has a proven backup of that label."""
    return _step("probe", _work(databases, label), 60.0)


def _step(verb: str, args: Mapping[str, object], timeout: float) -> Command:
    # A step may be run again from another machine, after an upgrade: it brings the program it was planned with.
    return Command(argv=("python3", "-c", package_text(_PROGRAM), verb, canonical(args)), timeout=timeout)


def _work(databases: Sequence[DatabaseSpec], label: str) -> dict[str, object]:
    items = [
        {"name": one.name, "path": one.path, "store": one.store.path, "keep": one.store.keep, "wait": LOCK_LIMIT}
        for one in databases
    ]
    return {"databases": items, "label": label}


async def _ask(host: Host, verb: str, args: Mapping[str, object], timeout: float) -> list[Line]:
    """Run one verb of the program and return its lines."""
    command = Command(argv=("python3", "-", verb, canonical(args)), timeout=timeout)
    result = await host.run(command, stdin=package_text(_PROGRAM).encode())
    lines = [line for text in result.stdout.splitlines() if (line := _line(text)) is not None]
    _refuse_a_host_that_cannot(host.account.name, result, lines)
    return lines


def _line(text: str) -> Line | None:
    """One answer; whatever else a login prints is passed over."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and ("ok" in found or "fatal" in found) else None


def _refuse_a_host_that_cannot(name: str, result: Result, lines: list[Line]) -> None:
    hint = f"SQLite databases need python3, 3.7 or newer, on {name}"
    if lines and "fatal" in lines[0]:
        raise NotReady(f"{name}: {lines[0]['fatal']}", hint)
    if result.code == 127 or (result.code == 126 and not lines):
        raise NotReady(f"{name} has no python3 that runs", hint)
    if result.code not in (0, 1) and not lines:
        raise NotReady(f"{name}: python3 exited {result.code}: {result.last_words}", hint)


def _reached(host: Host, database: DatabaseSpec, line: Line | None) -> Finding:
    finding = Finding(check="database", subject=database.name, status="unknown", says="")
    where = {"host": host.account.name, "path": database.path}
    if line is None or line.get("silent"):
        says = line["says"] if line else "gave no answer"
        return finding.model_copy(update={"says": says, "evidence": where})
    seen = {"evidence": where | {"size": line.get("size")}, "ms": line["ms"]}
    if line["ok"]:
        return finding.model_copy(update=seen | {"status": "ok", "says": f"answers, {size(line['size'])}"})
    hint = line["hint"] or f"look at {database.path} on {host.account.name}"
    return finding.model_copy(update=seen | {"status": "fail", "says": line["says"], "hint": hint})


def _made(host: Host, database: DatabaseSpec, line: Line | None) -> Made:
    finding = Finding(check="backup", subject=database.name, status="fail", says="")
    if database.store.host != database.host:
        says = _ELSEWHERE.format(database.store.host)
        return Made(finding.model_copy(update={"says": says, "hint": _hint_elsewhere(database)}), None)
    if line is None:
        return Made(finding.model_copy(update={"status": "unknown", "says": "the backup gave no answer"}), None)
    if not line["ok"]:
        return Made(finding.model_copy(update={"says": line["says"], "hint": line["hint"], "ms": line["ms"]}), None)
    made = _backup(host, line)
    says = f"backed up and proven: {size(made.size)}, {_rows(made.rows)}"
    evidence = {"file": made.file, "sha256": made.sha256, "rows": made.rows}
    return Made(finding.model_copy(update={"status": "ok", "says": says, "evidence": evidence, "ms": line["ms"]}), made)


def _backup(host: Host, line: Line) -> Backup:
    words = {key: line[key] for key in Backup.model_fields if key in line}
    return Backup.model_validate(words | {"host": host.account.name})


def _hint_elsewhere(database: DatabaseSpec) -> str:
    return f"set the host of {database.group}'s backup_store to {database.host}"


def _rows(rows: Mapping[str, int]) -> str:
    return f"{sum(rows.values())} rows in {len(rows)} tables"


def size(count: float) -> str:
    """Bytes for people: `0 B`, `12 kB`, `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
