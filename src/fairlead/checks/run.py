from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fairlead.checks.command import check_command
from fairlead.checks.databases import as_spec, check_databases
from fairlead.checks.http import check_http
from fairlead.checks.looked import host_by_host, looked, looked_at_all, within
from fairlead.checks.port import check_port
from fairlead.checks.tree import check_trees
from fairlead.model import Check, CommandCheck, DatabaseCheck, Finding, HttpCheck, PortCheck, TreeCheck
from fairlead.outside.connect import Hosts
from fairlead.outside.http import HttpClient
from fairlead.outside.secrets import Secrets


@dataclass(frozen=True)
class CheckContext:
    """The ways by which checks get to what they look at."""

    hosts: Hosts
    http: HttpClient
    secrets: Secrets


async def run_check(check: HttpCheck | CommandCheck | PortCheck, context: CheckContext) -> Finding:
    """Take the look that a plan carries as data."""
    if isinstance(check, PortCheck):
        return await check_port(check, context.hosts)
    if isinstance(check, HttpCheck):
        return await check_http(check, context.http, context.secrets)
    return await looked(name_of(check), check.subject, _by_command(check, context))


async def _by_command(check: CommandCheck, context: CheckContext) -> Finding:
    return await check_command(check, await context.hosts.get(check.host), clean=context.secrets.redact)


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
    """`together` for checks that are data; databases and trees of a host are asked about in one round trip."""
    several = list(checks)
    databases = [as_spec(one) for one in several if isinstance(one, DatabaseCheck)]
    trees = [one for one in several if isinstance(one, TreeCheck)]
    others = [one for one in several if isinstance(one, HttpCheck | CommandCheck | PortCheck)]
    found = await asyncio.gather(
        together([Asked(name_of(one), one.subject, run_check(one, context)) for one in others], limit),
        check_databases(databases, context.hosts, context.secrets, limit=limit),
        _trees(trees, context.hosts, limit),
    )
    rest, reached, hashed = map(iter, found)
    ways = {"database": reached, "tree": hashed}
    return [next(ways.get(one.kind, rest)) for one in several]


async def _trees(checks: list[TreeCheck], hosts: Hosts, limit: float) -> list[Finding]:
    async def ask(name: str, group: list[TreeCheck]) -> list[Finding]:
        async def look() -> list[Finding]:
            return await check_trees(group, await hosts.get(name))

        return await looked_at_all("tree", tuple(one.subject for one in group), within(limit, look()))

    return await host_by_host(checks, lambda one: one.host, ask)
