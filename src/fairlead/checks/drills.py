"""When was it last proven that the backups can be restored, and how long did that take?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fairlead.checks.looked import looked
from fairlead.config.database import DatabaseSpec
from fairlead.engines import store
from fairlead.model import Drill, Finding, drills_in_words, duration
from fairlead.outside.connect import Hosts

OLD = 30 * 86400.0
"""Seconds after which a drill proves little: databases grow, and servers change."""


async def check_drills(databases: Sequence[DatabaseSpec], hosts: Hosts, environment: str, *, now: float) -> Finding:
    """What the last drills of these databases say, from the notes beside their backups. It blocks nothing.

    `now` is unix time in seconds.
    """

    async def look() -> Finding:
        stores: dict[str, set[str]] = {}
        for one in databases:
            stores.setdefault(one.store.host, set()).add(one.store.path)
        found = await asyncio.gather(*(_noted(hosts, name, paths) for name, paths in stores.items()))
        return judged(databases, [drill for several in found for drill in several], environment, now)

    told = await looked("drill", environment, look())
    return told.model_copy(update={"status": "warn"}) if told.blocks else told


async def _noted(hosts: Hosts, name: str, paths: set[str]) -> list[Drill]:
    return await store.drills(await hosts.get(name), paths)


def judged(databases: Sequence[DatabaseSpec], found: Sequence[Drill], environment: str, now: float) -> Finding:
    """What these drills are worth for these databases."""
    finding = Finding(check="drill", subject=environment, status="warn", says="", hint="fairlead db drill")
    last = {one.database: one for one in found}
    mine = [last[one.name] for one in databases if one.name in last]
    if not mine:
        return finding.model_copy(update={"says": "no backup was ever restored to see whether it can be"})
    age = now - max(one.started for one in mine)
    says = f"last drill {duration(max(age, 0))} ago: {drills_in_words(_newest(mine), len(databases))}"
    missing = [one.name for one in databases if one.name not in last]
    bad = [f"{one.database}: {one.says}" for one in mine if not one.passed]
    more = [*bad, *([f"never: {', '.join(missing)}"] if missing else [])]
    evidence = {"age_s": round(age), "passed": sum(one.passed for one in mine), "of": len(databases)}
    fine = not more and age <= OLD
    words = {"status": "ok" if fine else "warn", "hint": "" if fine else finding.hint, "evidence": evidence}
    return finding.model_copy(update={**words, "says": "; ".join([says, *more])})


def _newest(mine: Sequence[Drill]) -> list[Drill]:
    """Those of the last command; the time that all took together is only known of one command."""
    run = max(mine, key=lambda one: one.started).run
    return [one for one in mine if one.run == run]
