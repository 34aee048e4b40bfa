"""Gate `review`: has somebody else approved the pull request that has brought the commit?"""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.asked import Asked, github_gate
from fairlead.checks.github import judged_pull, judged_reviews
from fairlead.model import Finding


def gate(context: GateContext) -> Gate:
    """The reviews of the commit's pull request."""

    async def ask(asked: Asked) -> list[Finding]:
        github, commit = asked.github, asked.commit
        pull = judged_pull(commit, github.repository, asked.spec.main, await github.pulls_of(commit))
        if isinstance(pull, Finding):
            return [pull]
        return judged_reviews(pull, await github.reviews(pull.number))

    return github_gate(context, "review", "approvals of the commit's pull request", ask)
