from __future__ import annotations

from collections.abc import Sequence

from fairlead.model.base import Model
from fairlead.model.finding import Finding, Status

WORST: tuple[Status, ...] = ("fail", "unknown", "warn", "ok")


class GateAnswer(Model):
    """What one gate says, and what it saw."""

    gate: str
    """Its word: `hosts`, `lock`, `services`, `databases`, `backups`, or one of those that the environment asks for."""
    looks_at: str
    """What it looks at, in words for people."""
    status: Status
    """The worst of its findings; `fail` and `unknown` block."""
    says: str
    """One sentence for all findings."""
    hint: str = ""
    """The next thing to type, when the status is not ok."""
    ms: float = 0.0
    """How long it took, in milliseconds."""
    findings: tuple[Finding, ...] = ()

    @property
    def blocks(self) -> bool:
        """True when this gate forbids a deployment."""
        return self.status in ("fail", "unknown")


def worst(findings: Sequence[Finding]) -> Status:
    """The worst status among findings; of none it is `unknown`, because nothing was looked at."""
    return min((one.status for one in findings), key=WORST.index, default="unknown")


def summed_up(findings: Sequence[Finding], word: str) -> str:
    """Findings as one sentence: a single one's own, else how many are `word` and which are not."""
    if len(findings) == 1:
        return findings[0].says
    status = worst(findings)
    good = sum(one.status == "ok" for one in findings)
    names = list(dict.fromkeys(one.subject for one in findings if one.status == status and status != "ok"))
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{good}/{len(findings)} {word}" + (f": {shown}" if shown else "")
