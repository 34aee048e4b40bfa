"""Is there a backup that counts: proven, young enough, whole, and no sudden dwarf."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.checks.databases import Look, by_host
from fairlead.config.database import DatabaseSpec
from fairlead.engines import store
from fairlead.model import Backup, Finding, Status
from fairlead.outside.connect import Hosts
from fairlead.outside.host import Host

SHRUNK = 0.5
"""A backup smaller than this share of the one before is not believed."""
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
        found = await store.backups(host, (one.store.path for one in group), verify=True)
        return [judged(one, found, now) for one in group]

    return await by_host(databases, hosts, Look("backup", lambda one: one.store.host, ask, limit))


def judged(database: DatabaseSpec, found: Sequence[Backup], now: float) -> Finding:
    """What the backups in a store are worth for one database; `now` is unix time in seconds."""
    mine = [one for one in found if one.database == database.name]
    proven = sorted((one for one in mine if one.proven), key=lambda one: one.started)
    if not proven:
        why = f" that counts: {mine[-1].flaw}" if mine else ""
        return _finding(database, "fail", f"no backup{why}")
    newest = proven[-1]
    status, says = _verdict(database, newest, proven[-2] if len(proven) > 1 else None, now)
    return _finding(database, status, says, newest, now)


def _verdict(database: DatabaseSpec, newest: Backup, before: Backup | None, now: float) -> tuple[Status, str]:
    age = now - newest.started
    if newest.flaw:
        return "fail", f"the newest backup does not count: {newest.flaw}"
    if age < -CLOCKS_DIFFER:
        return "unknown", f"the newest backup is {_time(-age)} in the future, so a clock is wrong"
    if age > database.store.max_age:
        return "fail", f"the newest backup is {_time(age)} old, at most {_time(database.store.max_age)} is allowed"
    if before and newest.size < SHRUNK * before.size:
        sizes = f"{store.size(newest.size)} after {store.size(before.size)}"
        return "fail", f"the newest backup is much smaller than the one before: {sizes}"
    return "ok", f"backed up {_time(max(age, 0))} ago, {store.size(newest.size)}, unchanged since it was proven"


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


def _time(seconds: float) -> str:
    """A duration for people: `40 s`, `5 min`, `3.2 h`, `4 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"
