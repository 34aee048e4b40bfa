"""Gate `dependabot`: is no alert high or critical?"""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.asked import Asked, github_gate
from fairlead.checks.github import judged_alerts
from fairlead.model import Finding


def gate(context: GateContext) -> Gate:
    """Open alerts of the repository."""

    async def ask(asked: Asked) -> list[Finding]:
        return judged_alerts(asked.github.repository, await asked.github.alerts())

    return github_gate(context, "dependabot", "open Dependabot alerts, high or critical", ask)
