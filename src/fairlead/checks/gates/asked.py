"""What the gates that ask GitHub have in common: one repository, one commit, one patience for all their questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.commit import copy_of
from fairlead.config import GitHubSpec
from fairlead.errors import NotReady
from fairlead.model import Finding

if TYPE_CHECKING:
    from fairlead.outside.github import GitHub


@dataclass(frozen=True)
class Asked:
    """Whom to ask, and about what."""

    github: GitHub
    spec: GitHubSpec
    commit: str


Ask = Callable[[Asked], Awaitable[list[Finding]]]


def github_gate(context: GateContext, name: str, looks_at: str, ask: Ask, good: str = "ok") -> Gate:
    """A gate whose answer GitHub has."""
    spec = context.installation.github
    patience = spec.patience if spec else 0.0

    async def look() -> list[Finding]:
        return await ask(await context.once("github", lambda: _asked(context)))

    # A little more than the patience: whoever waits for a limit should be able to say so.
    return Gate(name, looks_at, look, good, patience + 3.0, of_commit=True)


async def _asked(context: GateContext) -> Asked:
    from fairlead.outside.github import GitHub, repository  # time that nobody waits for who does not ask it
    from fairlead.outside.github_http import GitHubHttp

    spec = context.installation.github
    if spec is None:
        raise NotReady("the file has no `github`", "write `github:`")
    copy = await copy_of(context)
    http = await context.stack.enter_async_context(
        GitHubHttp(spec.api, spec.token, context.secrets, context.clock, context.cache, spec.patience)
    )
    return Asked(GitHub(http, repository(spec.repository, copy.remote, spec.api)), spec, copy.commit)
