from __future__ import annotations

from typing import Literal

from fairlead.model.base import Model
from fairlead.model.finding import Finding
from fairlead.model.plan import Kind, WatchRules
from fairlead.model.step import Phase

State = Literal["open", "done", "back", "closed", "nothing"]


class Sample(Model):
    """One look of the watch at one service."""

    at: float
    """Unix time, seconds."""
    service: str
    ok: bool | None
    """None = not known (for example 429)."""
    ms: float
    """Milliseconds until the answer or the refusal."""
    says: str = ""


class ErrorShare(Model):
    """The share of failed requests at one moment."""

    at: float
    service: str
    source: Literal["access_log", "probes"]
    requests: int
    errors: int

    @property
    def share(self) -> float | None:
        """0..1; None when nothing was counted."""
        return self.errors / self.requests if self.requests else None


class StepTime(Model):
    """One change as it happened."""

    step: str
    title: str
    service: str
    what: Literal["do", "undo"]
    started: float
    seconds: float
    rc: int
    phase: Phase | Literal[""] = ""
    """Empty = not known, because the plan is gone."""


class Deployment(Model):
    """One run of one plan, as history knows it."""

    id: str
    project: str
    environment: str
    kind: Kind
    state: State
    plan: str
    """Hash of the plan."""
    started: float
    """Unix time, seconds."""
    ended: float = 0.0
    """0 = not ended."""
    who: str = ""
    reason: str = ""
    evidence: str = ""
    """Hash of what the gates said before it began; empty = they were not asked."""
    overridden: tuple[str, ...] = ()
    """Gates that were in the way and that a person has overridden; `reason` says why."""
    services: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    """By service: the release this run wanted, `hash version`."""
    before: dict[str, str] = {}
    """By service: the release that was live before."""
    why_back: str = ""
    """The sentence with which the way back began."""
    back_at: float = 0.0
    """Unix time at which the way back began; 0 = it did not."""
    back_seconds: float = 0.0
    """From that moment until the old state was proven."""
    kept: dict[str, str] = {}
    """By database, by its name in fairlead.yml, that was taken back: the label under which what it replaced is kept."""
    watch_rules: WatchRules | None = None
    """What the watch judged by; None = not known, because the plan is gone."""


class Report(Model):
    """Everything a page or a post-mortem about one run is made of."""

    deployment: Deployment
    steps: tuple[StepTime, ...] = ()
    samples: tuple[Sample, ...] = ()
    shares: tuple[ErrorShare, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What was proven at the end."""
    timeline: tuple[tuple[float, str], ...] = ()
    """Unix time and one sentence, in order."""
    downtime_ms: dict[str, float] = {}
    """By service: the longest time between two good probes beside the activation; only where it was measured."""


class Event(Model):
    """Something that a person who watches a run wants to see now."""

    at: float
    kind: Literal["phase", "step_started", "step_ended", "check", "watch", "warning", "back", "end"]
    says: str
    service: str = ""
    step: str = ""
    ok: bool | None = None
    seconds: float | None = None
    expected: float | None = None
    """How long the same step took last time, in seconds."""
