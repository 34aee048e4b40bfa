from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fairlead.checks.command import check_command
from fairlead.checks.databases import as_spec, check_databases
from fairlead.checks.http import check_http
from fairlead.checks.looked import looked, within
from fairlead.checks.tree import check_tree
from fairlead.model import Check, CommandCheck, DatabaseCheck, Finding, HttpCheck, TreeCheck
from fairlead.outside.connect import Hosts
from fairlead.outside.http import HttpClient
from fairlead.outside.secrets import Secrets


@dataclass(frozen=True)
class CheckContext:
    """The ways by which checks get to what they look at."""

    hosts: Hosts
    http: HttpClient
    secrets: Secrets


async def run_check(check: HttpCheck | TreeCheck | CommandCheck, context: CheckContext) -> Finding:
    """Take the look that a plan carries as data."""
    if isinstance(check, HttpCheck):
        return await check_http(check, context.http, context.secrets)
    return await looked(name_of(check), check.subject, _on_host(check, context))


async def _on_host(check: TreeCheck | CommandCheck, context: CheckContext) -> Finding:
    host = await context.hosts.get(check.host)
    if isinstance(check, CommandCheck):
        return await check_command(check, host, clean=context.secrets.redact)
    return await check_tree(check, host)


def name_of(check: Check) -> str:
    """The word that its findings carry in `check`."""
    return check.check if isinstance(check, HttpCheck) else check.kind


class Asked(NamedTuple):
    """A look on its way, and what to call it should it never come back."""

    check: str
    subject: str
    look: Coroutine[Any, Any, Finding]


async def together(asked: Iterable[Asked], limit: float) -> list[Finding]:
    """Take all looks at once; after `limit` seconds one that has not answered is `unknown`. In the order given."""
    return await asyncio.gather(*(looked(one.check, one.subject, within(limit, one.look)) for one in asked))


async def run_checks(checks: Iterable[Check], context: CheckContext, limit: float) -> list[Finding]:
    """`together` for checks that are data; databases are asked together, one round trip for each host."""
    several = list(checks)
    databases = [as_spec(one) for one in several if isinstance(one, DatabaseCheck)]
    others = [one for one in several if not isinstance(one, DatabaseCheck)]
    asked = [Asked(name_of(one), one.subject, run_check(one, context)) for one in others]
    looks = together(asked, limit), check_databases(databases, context.hosts, context.secrets, limit=limit)
    rest, reached = map(iter, await asyncio.gather(*looks))
    return [next(reached if isinstance(one, DatabaseCheck) else rest) for one in several]
