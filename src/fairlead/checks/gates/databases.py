"""Gate `databases`: is every database of the installation reachable from the host that must reach it?"""

from __future__ import annotations

from fairlead.checks.databases import check_databases
from fairlead.checks.gate import Gate, GateContext
from fairlead.model import Finding

LIMIT = 8.0
"""Seconds that all databases together have."""


def gate(context: GateContext) -> Gate | None:
    """A login to each database, all hosts at once."""
    databases = context.installation.databases
    if not databases:
        return None

    async def look() -> list[Finding]:
        return await check_databases(databases, context.hosts, context.secrets, limit=LIMIT)

    return Gate("databases", "a login to every database", look, "reachable", LIMIT + 2)
