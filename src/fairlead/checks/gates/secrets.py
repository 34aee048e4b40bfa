"""Gate `secrets`: is every secret of the environment there?"""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.hosts import used_hosts
from fairlead.checks.secrets import check_secrets
from fairlead.model import Finding, SecretRef

LIMIT = 70.0
"""Seconds: a program that prints secrets may ask somebody to touch a key."""


def gate(context: GateContext) -> Gate | None:
    """Those that hosts, databases and health checks of the environment are opened with."""
    names = list(dict.fromkeys(ref.name for ref in _needed(context) if isinstance(ref, SecretRef)))
    if not names:
        return None

    async def look() -> list[Finding]:
        return [await check_secrets(names, context.secrets, context.environment.name)]

    return Gate("secrets", "every secret of the environment, by name", look, limit=LIMIT)


def _needed(context: GateContext) -> Iterator[SecretRef | str | None]:
    known, names = context.installation.hosts, used_hosts(context)
    accounts = [known[name].account for name in names if name in known]
    for account in accounts:
        yield account.key
        if account.via in known and known[account.via].account not in accounts:
            accounts.append(known[account.via].account)
    for database in context.databases:
        yield database.password
        yield database.maintenance.password if database.maintenance else None
    for service in context.environment.services.values():
        yield from (value for check in service.health for value in check.headers.values())
