"""Gate `drills`: when was it last proven that the backups can be restored? It warns, and blocks nothing."""

from __future__ import annotations

import asyncio

from fairlead.checks.drills import check_drills
from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.room import IN_PLACE, check_room, in_words
from fairlead.model import Finding


def gate(context: GateContext) -> Gate | None:
    """The notes that drills have left beside the backups."""
    if not context.databases:
        return None

    async def look() -> list[Finding]:
        name, now = context.environment.name, context.clock.now()
        drilled, room = await asyncio.gather(
            check_drills(context.databases, context.hosts, name, now=now),
            check_room(context.installation, context.databases, context.hosts),
        )
        return [drilled, *_about_room(context, room)]

    return Gate("drills", "when the backups were last restored for a trial", look, "proven by a drill")


def _about_room(context: GateContext, found: list[Finding]) -> list[Finding]:
    """One warning for all databases that no second one can be made beside: what cannot be done there, and what can."""
    none = [one for one in found if one.status == "fail"]
    if not none:
        return []
    says, hint = in_words(none)
    placed = {one.name for one in context.databases if one.rollback.place == "in_place"}
    lost = [one.subject for one in none if one.subject not in placed]
    says += "; no drill can be made there"
    says += f", and the data of {', '.join(lost)} cannot be taken back" if lost else ""
    hint += f"; or {IN_PLACE}" if lost and any(_may_be(context, name) for name in lost) else ""
    return [Finding(check="room", subject=context.environment.name, status="warn", says=says, hint=hint)]


def _may_be(context: GateContext, name: str) -> bool:
    return context.installation.database(name).engine == "mariadb"
