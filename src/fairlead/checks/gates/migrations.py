"""Gate `migrations`: may the account that migrations are given do what they need, before their first statement?"""

from __future__ import annotations

import asyncio

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.looked import looked_at_all
from fairlead.config import DatabaseSpec, ServiceSpec
from fairlead.engines import PROVISIONERS
from fairlead.errors import NotReady
from fairlead.model import Finding

LIMIT = 30.0
"""Seconds: a server with many grants, and a busy host before it, may take their time."""


def gate(context: GateContext) -> Gate | None:
    """The privileges that services say their migrations need, where one says so."""
    asking = [one for one in context.environment.services.values() if one.migrations and one.migrations.needs]
    if not asking:
        return None

    async def look() -> list[Finding]:
        found = await asyncio.gather(*(_service(context, one) for one in asking))
        return [finding for several in found for finding in several]

    return Gate("migrations", "the privileges that migrations need", look, "may migrate", LIMIT)


async def _service(context: GateContext, service: ServiceSpec) -> list[Finding]:
    return await looked_at_all("migration", (service.name,), _asked(context, service))


async def _asked(context: GateContext, service: ServiceSpec) -> list[Finding]:
    """One finding for a service, about all databases that its migrations change."""
    given = service.migrations
    names = given.databases if given else ()
    databases = [one for one in context.databases if one.name in names and one.engine in PROVISIONERS]
    problems = [said for one in databases if (said := await _lacking(context, service, one))]
    if problems:
        hint = (
            f"`fairlead db provision {' '.join(one.name for one in databases)}` gives accounts what fairlead.yml says"
        )
        if given and given.migrate_as == "service":
            hint += "; or `migrate_as: maintenance`"
        words = {"check": "migration", "subject": service.name, "status": "fail"}
        return [Finding.model_validate(words | {"says": "; ".join(problems), "hint": hint})]
    says = f"its migrations may {', '.join(given.needs if given else ())}"
    return [Finding(check="migration", subject=service.name, status="ok", says=says)]


async def _lacking(context: GateContext, service: ServiceSpec, database: DatabaseSpec) -> str:
    given = service.migrations
    if given is None:
        return ""
    host, maintenance = await context.hosts.get(database.host), given.migrate_as == "maintenance"
    engine = PROVISIONERS[database.engine]
    try:
        lacks = await engine.lacks(host, database, given.needs, context.secrets, maintenance=maintenance)
    except NotReady as error:
        return error.what
    user = database.maintenance.user if maintenance and database.maintenance else database.user
    return f"{user} lacks {', '.join(lacks)} on {database.database}, which its migrations need" if lacks else ""
