"""Is there a backup that counts: proven, whole, believed, of this database and young enough."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.checks.databases import Look, by_host
from fairlead.config.database import DatabaseSpec
from fairlead.engines import ENGINES, store
from fairlead.errors import FairleadError, NotReady
from fairlead.model import Backup, Finding, Reported, Status, duration
from fairlead.outside.age import trouble_with
from fairlead.outside.connect import Hosts
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets

CLOCKS_DIFFER = 60.0
"""Seconds by which a backup may seem to come from the future."""


async def check_backups(
    databases: Sequence[DatabaseSpec], hosts: Hosts, *, now: float, limit: float = 300.0
) -> list[Finding]:
    """For each database, in order: its newest backup, hashed again where it lies; one round trip for each host.
    `now` is unix time in seconds.

    After `limit` seconds (of hashing) what a host has not answered is `unknown`.
    """

    async def ask(host: Host, group: Sequence[DatabaseSpec]) -> list[Finding]:
        found = await store.backups(host, (one.store.path for one in group), verify="newest")
        return [judged(one, found, now) for one in group]

    return await by_host(databases, hosts, Look("backup", lambda one: one.store.host, ask, limit))


async def with_reported(
    found: Sequence[Finding], databases: Sequence[DatabaseSpec], table: DatabaseSpec, ways: tuple[Hosts, Secrets]
) -> list[Finding]:
    """The same findings, with what others' backups are worth: by their age alone, from the table in that database."""
    hosts, secrets = ways
    finding = Finding(check="backup", subject="backup_metadata", status="warn", says="")
    try:
        host = await hosts.get(table.host)
        rows = await ENGINES[table.engine].reported(host, table, secrets)
    except FairleadError as error:
        return [*found, finding.model_copy(update={"says": error.what, "hint": error.hint})]
    if rows is None:
        return list(found)
    specs = {one.name: one for one in databases}
    return [believed(one, specs[one.subject], rows) if one.subject in specs else one for one in found]


def believed(finding: Finding, database: DatabaseSpec, rows: Sequence[Reported]) -> Finding:
    """A finding about a database's own backups, with what `backup_metadata` reports of it."""
    mine = [one for one in rows if one.database in (database.name, database.database)]
    if finding.status != "fail" or not mine or store.unfit(database):
        return finding
    newest = min(mine, key=lambda one: one.age)
    if not -CLOCKS_DIFFER <= newest.age <= database.store.max_age or newest.size_mb <= 0:
        says = f"{finding.says}; backup_metadata reports one of {newest.size_mb:g} MB, {duration(newest.age)} old"
        return finding.model_copy(update={"says": f"{says}, which does not count either"})
    age = duration(max(newest.age, 0))
    says = (
        f"reported by backup_metadata: backed up {age} ago, {newest.size_mb:g} MB, by others, so no way back can use it"
    )
    words = {"status": "warn", "says": f"{says}; {finding.says}"}
    return finding.model_copy(update={**words, "evidence": finding.evidence | {"reported": newest.model_dump()}})


async def check_identities(databases: Sequence[DatabaseSpec], secrets: Secrets) -> list[Finding]:
    """What keeps this machine from reading the encrypted backups of these databases: a finding for each such group."""
    groups = {one.group: one for one in databases if one.store.encrypt and one.store.encrypt.to}
    found = [await _identity(one, secrets) for one in groups.values()]
    return [one for one in found if one]


async def _identity(database: DatabaseSpec, secrets: Secrets) -> Finding | None:
    ref, sealed = store.identity(database), database.store.encrypt
    finding = Finding(check="backup", subject=database.group, status="warn", says="")
    try:
        says, hint = await trouble_with(ref, sealed.to, secrets) if ref and sealed else ("", "")
    except NotReady as error:
        says = f"{error.what}: backups are made, and neither a restore nor a way back of data can be from here"
        return finding.model_copy(update={"says": says, "hint": error.hint})
    return finding.model_copy(update={"status": "fail", "says": says, "hint": hint}) if says else None


def judged(database: DatabaseSpec, found: Sequence[Backup], now: float) -> Finding:
    """What the backups in a store are worth for one database; `now` is unix time in seconds."""
    mine = [one for one in found if one.database == database.name]
    if unfit := store.unfit(database):
        return _finding(database, "fail", unfit[0]).model_copy(update={"hint": unfit[1]})
    proven = sorted((one for one in mine if one.proven), key=lambda one: one.started)
    if not proven:
        why = f" that counts: {mine[-1].flaw}" if mine else ""
        return _finding(database, "fail", f"no backup{why}")
    status, says = _verdict(database, proven[-1], now)
    return _finding(database, status, says, proven[-1], now)


def _verdict(database: DatabaseSpec, newest: Backup, now: float) -> tuple[Status, str]:
    age = now - newest.started
    if age < -CLOCKS_DIFFER:
        return "unknown", f"the newest backup is {duration(-age)} in the future, so a clock is wrong"
    if why := store.why_not(database, newest, now):
        return "fail", f"the newest backup does not count: {why}"
    told = "empty, as the database was" if newest.empty else store.size(newest.size)
    accepted = f", accepted: {newest.accepted}" if newest.accepted else ""
    return "ok", f"backed up {duration(max(age, 0))} ago, {told}, unchanged since it was proven{accepted}"


def _finding(
    database: DatabaseSpec, status: Status, says: str, newest: Backup | None = None, now: float = 0.0
) -> Finding:
    seen = (
        {"file": newest.file, "age_s": round(now - newest.started), "size": newest.size, "sha256": newest.sha256}
        if newest
        else {}
    )
    return Finding(
        check="backup",
        subject=database.name,
        status=status,
        says=says,
        hint="" if status == "ok" else f"fairlead db backup {database.name}",
        evidence={"host": database.store.host, "store": database.store.path, **seen},
    )
