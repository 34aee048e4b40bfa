"""Gate `personal_data`: do the logs hold nothing of a person?"""

from __future__ import annotations

import asyncio

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.quality import check_here
from fairlead.checks.logs import Wanted, check_logs
from fairlead.checks.looked import looked_at_all
from fairlead.checks.personal import KINDS, Rules
from fairlead.config.personal import PersonalSpec
from fairlead.model import Finding

LIMIT = 180.0
"""Seconds; a look that is ended there goes on the next time."""


def gate(context: GateContext) -> Gate | None:
    """Logs host by host, all hosts at once, and reports that say the same."""
    spec = context.environment.gates.personal_data
    if spec is None:
        return None

    async def look() -> list[Finding]:
        hosts = list(dict.fromkeys(log.host for log in spec.logs))
        reports = [check_here(context, spec.quality)] if spec.quality else []
        found = await asyncio.gather(*(_on_host(context, spec, host) for host in hosts), *reports)
        return [finding for several in found for finding in several]

    more = sum(report.timeout for report in spec.quality.reports if report.run) if spec.quality else 0.0
    return Gate("personal_data", "personal data in logs", look, "without", LIMIT + more)


async def _on_host(context: GateContext, spec: PersonalSpec, host: str) -> list[Finding]:
    rules = Rules(
        ip=spec.ip != "off",
        private_ip=spec.ip != "off" and spec.private_ip,
        regions=spec.regions,
        allow=spec.allow,
    )
    failing = frozenset(KINDS) if spec.ip == "fail" else frozenset(KINDS) - {"ip"}
    files = tuple(file for log in spec.logs if log.host == host for file in log.files)

    async def look() -> list[Finding]:
        wanted = Wanted(host, files, rules, failing)
        return await check_logs(wanted, await context.hosts.get(host), context.scans, context.environment.name)

    return await looked_at_all("personal_data", tuple(f"{host}:{file}" for file in files), look())
