"""Gate `ci`: has CI said yes to the commit that would be deployed, and not only to its branch?"""

from __future__ import annotations

import asyncio

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.asked import Asked, github_gate
from fairlead.checks.github import judged_ci
from fairlead.model import Finding


def gate(context: GateContext) -> Gate:
    """All of CI: check runs and statuses."""

    async def ask(asked: Asked) -> list[Finding]:
        runs, statuses = await asyncio.gather(
            asked.github.check_runs(asked.commit), asked.github.statuses(asked.commit)
        )
        return judged_ci(asked.commit, runs, statuses, asked.spec.not_asked)

    return github_gate(context, "ci", "every check run and status of the commit", ask, "passed")
