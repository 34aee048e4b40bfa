from __future__ import annotations

from typing import Literal

from fairlead.model.base import Model
from fairlead.model.step import Where

Kind = Literal["run", "intent", "outcome", "back", "taken", "watch", "end", "note"]


class Entry(Model):
    """One line of a run's record on the lock host. Unused fields stay at their defaults."""

    kind: Kind
    at: float = 0.0
    """Unix time by the writer's clock, for people; nothing is decided by it."""
    step: str = ""
    what: Literal["", "do", "undo", "seen", "found", "undone", "left"] = ""
    """intent: do or undo. outcome: the same, or seen (found done after a crash), found (done, but not by us),
    undone (proven before), left (kept on purpose)."""
    attempt: int = 0
    """Counts the intents of this step, do and undo together, from 1: with token and step it names the change."""
    rc: int | None = None
    probe: Where | None = None
    says: str = ""
    """A sentence for people, such as why the way back began."""
    who: str = ""
    plan: str = ""
    """run: the plan's hash."""
    way_back: str = ""
    """run: the hash of the way back."""
    project: str = ""
    environment: str = ""
    sick: tuple[str, ...] = ()
    """run: services that were not healthy before anything was changed; a way back need not prove them healthy."""
    evidence: str = ""
    """run: the hash of what the gates said before it began."""
    overridden: tuple[str, ...] = ()
    """run: gates that were in the way and that a person has overridden; `says` has the reason."""
    absent: tuple[str, ...] = ()
    """run: databases that did not answer before anything was changed; they cannot be lost any more."""
    data: tuple[str, ...] = ()
    """back: databases, by their names in fairlead.yml, that are taken back too."""
    seconds: float | None = None
    """outcome: how long the change took."""
    verdict: Literal["", "done", "back", "closed"] = ""
    """end: done (new release is live), back (old state is proven), closed (ended by hand)."""


class RecordLine(Model):
    """An entry with what the lock host knows of it."""

    seq: int
    token: int
    entry: Entry


class Receipt(Model):
    """A change has ended on its host, even if nobody heard it."""

    token: int
    step: str
    attempt: int
    rc: int
    at: int
    """Unix time by that host's clock."""


class StepFact(Model):
    """What the record says of one step: the left column of the runner's table."""

    state: Literal["none", "begun", "done", "failed", "undone", "found", "begun_undo", "left"] = "none"
    attempts: int = 0
    """How often `do` was begun."""
    undo_attempts: int = 0
    """How often `undo` was begun."""


def step_fact(lines: tuple[RecordLine, ...] | list[RecordLine], step: str) -> StepFact:
    """Read the state of one step out of a run's record."""
    state, attempts, undo_attempts = "none", 0, 0
    for entry in (line.entry for line in lines if line.entry.step == step):
        if entry.kind == "intent" and entry.what == "do":
            state, attempts = "begun", attempts + 1
        elif entry.kind == "intent":
            state, undo_attempts = "begun_undo", undo_attempts + 1
        elif entry.what in ("do", "seen"):
            state = "done" if entry.rc in (0, None) else "failed"
        elif entry.what == "undo":
            state = "begun_undo"  # only the probe afterwards, recorded as `undone`, proves an undo
        elif entry.what in ("found", "undone", "left"):
            state = entry.what
    return StepFact.model_validate({"state": state, "attempts": attempts, "undo_attempts": undo_attempts})
