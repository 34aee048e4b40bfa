"""Gate `drills`: when was it last proven that the backups can be restored? It warns, and blocks nothing."""

from __future__ import annotations

from fairlead.checks.drills import check_drills, no_room
from fairlead.checks.gate import Gate, GateContext
from fairlead.model import Finding


def gate(context: GateContext) -> Gate | None:
    """The notes that drills have left beside the backups."""
    if not context.databases:
        return None

    async def look() -> list[Finding]:
        name, now = context.environment.name, context.clock.now()
        told = await check_drills(context.databases, context.hosts, name, now=now)
        return [told, *no_room(context.installation, context.databases)]

    return Gate("drills", "when the backups were last restored for a trial", look, "proven by a drill")
