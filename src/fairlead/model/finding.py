from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import JsonValue

from fairlead.model.base import Model

Status = Literal["ok", "warn", "fail", "unknown"]


class Finding(Model):
    """What a check saw. Not knowing counts as no."""

    check: str
    """Which check, from the names in `checks/`: `host`, `http`, `identity`, `database`, `backup`, `privileges`, ..."""
    subject: str
    """What was looked at: a service, a host, a database."""
    status: Status
    says: str
    """One sentence, lower case, no full stop, never a secret."""
    hint: str = ""
    """The next thing to type or to look at, when the status is not ok."""
    evidence: dict[str, JsonValue] = {}
    ms: float | None = None
    """How long the look took, in milliseconds."""

    @property
    def blocks(self) -> bool:
        """True when this finding forbids going on."""
        return self.status in ("fail", "unknown")


def blockers(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that say no; a gate is open when there are none."""
    return [finding for finding in findings if finding.blocks]


def why_not(findings: Iterable[Finding]) -> str:
    """What blocks, as one sentence; empty when nothing does."""
    return "; ".join(f"{finding.subject}: {finding.says}" for finding in blockers(findings))
