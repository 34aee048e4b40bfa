"""Gate `backups`: has every database of the environment a backup that counts?"""

from __future__ import annotations

from fairlead.checks.backups import check_backups, check_identities, with_reported
from fairlead.checks.gate import Gate, GateContext
from fairlead.model import Finding

LIMIT = 300.0
"""Seconds: the newest backups are hashed again where they lie."""


def gate(context: GateContext) -> Gate | None:
    """The newest backup of each database."""
    if not context.databases:
        return None

    async def look() -> list[Finding]:
        now = context.clock.now()
        made = await check_backups(context.databases, context.hosts, now=now, limit=LIMIT)
        if table := context.installation.backup_metadata:
            ways = context.hosts, context.secrets
            made = await with_reported(made, context.databases, context.installation.database(table), ways)
        return [*made, *await check_identities(context.databases, context.secrets)]

    return Gate("backups", "a proven and young backup of every database", look, "backed up", LIMIT + 2)
