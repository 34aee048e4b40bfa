"""Gate `services`: does what is live answer? A sick service is said, and does not forbid what may heal it."""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.run import CheckContext, run_checks
from fairlead.model import Finding
from fairlead.strategies.proof import health_checks

LIMIT = 8.0
"""Seconds that one service has."""


def gate(context: GateContext) -> Gate | None:
    """The health checks of every service of the environment."""
    checks = [check for service in context.environment.services.values() for check in health_checks(service)]
    if not checks:
        return None

    async def look() -> list[Finding]:
        ways = CheckContext(hosts=context.hosts, http=context.http, secrets=context.secrets)
        return [_said(finding) for finding in await run_checks(checks, ways, LIMIT)]

    return Gate("services", "health of what is live", look, "answer", LIMIT + 2)


def _said(finding: Finding) -> Finding:
    """It is not held against a deployment, nor against a way back."""
    return finding.model_copy(update={"status": "warn"}) if finding.blocks else finding
