"""Gate `pulls`: which pull requests are open? It tells, and forbids nothing."""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.asked import Asked, github_gate
from fairlead.checks.github import told_pulls
from fairlead.model import Finding
from fairlead.outside.github_http import GitHubError


def gate(context: GateContext) -> Gate:
    """What is open."""

    async def ask(asked: Asked) -> list[Finding]:
        try:
            return told_pulls(asked.github.repository, await asked.github.open_pulls())
        except GitHubError as error:  # who asks for them is told, and nobody is kept from deploying
            says = f"they cannot be told: {error.what}"
            return [Finding(check="pulls", subject=asked.github.repository, status="warn", says=says, hint=error.hint)]

    return github_gate(context, "pulls", "open pull requests, for information", ask)
