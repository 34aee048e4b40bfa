from __future__ import annotations

from collections.abc import Sequence

from fairlead.model.base import Model, sha256
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
    at: float = 0.0
    """Unix time at which it was asked."""
    ms: float = 0.0
    """How long it took, in milliseconds."""
    findings: tuple[Finding, ...] = ()

    @property
    def blocks(self) -> bool:
        """True when this gate forbids a deployment."""
        return self.status in ("fail", "unknown")


class Evidence(Model):
    """What the gates said, with everything that must not have moved when a deployment relies on it."""

    environment: str
    commit: str = ""
    """What would be deployed; empty = not known, or nobody has asked for it."""
    uncommitted: tuple[str, ...] = ()
    """Paths that were not as in that commit: what was said of the commit says little of them."""
    config: str
    """SHA-256 of everything that fairlead.yml said."""
    services: tuple[str, ...] = ()
    """What the plan would bring out, `service release`; empty = they were asked without a plan, of everything."""
    gates: tuple[GateAnswer, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of its canonical JSON: its name, here and in the record of a run."""
        return sha256(self.to_json())

    def holds_for(self, other: Evidence) -> bool:
        """Nothing has moved between the two."""
        same = (self.environment, self.commit, self.config) == (other.environment, other.commit, other.config)
        whole = bool(self.commit) and not self.uncommitted and not other.uncommitted
        return same and whole and self.services in ((), other.services)


class Passed(Model):
    """With what right a run began."""

    evidence: str = ""
    """Hash of what they said; empty = they were not asked."""
    overridden: tuple[str, ...] = ()
    """Gates that said no, or could not say yes, and that a person has overridden."""


NOBODY_ASKED = Passed()
"""A run that is no deployment, or whose gates nobody asked."""


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
