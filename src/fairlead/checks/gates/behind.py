"""Gate `behind`: has the commit all that is in the main branch?"""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.asked import Asked, github_gate
from fairlead.checks.github import judged_behind
from fairlead.model import Finding


def gate(context: GateContext) -> Gate:
    """How the commit stands to the main branch on GitHub."""

    async def ask(asked: Asked) -> list[Finding]:
        seen = await asked.github.compare(asked.spec.main, asked.commit)
        return judged_behind(asked.commit, asked.spec.main, seen)

    return github_gate(context, "behind", "commits of the main branch that are missing", ask)
