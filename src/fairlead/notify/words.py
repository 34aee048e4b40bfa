"""A run in words for an issue: values stand in fences, where nothing is Markdown and nobody is called by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fairlead.model import Deployment, Entry, Plan, Step, duration

LONGEST = 60_000
"""Characters; GitHub takes 65,536."""


def title(project: str, environment: str, run: str) -> str:
    """What the issue about a run is called."""
    return f"deployment of {project} to {environment}: {run}"


def opening(plan: Plan, run: str, entry: Entry) -> str:
    """What is going to be done, by whom and why, and how it would be taken back."""
    facts = [
        f"run {run} by {entry.who}",
        *([f"reason: {entry.says}"] if entry.says else []),
        *([f"commit {plan.commit}"] if plan.commit else []),
        *([f"overridden: {', '.join(entry.overridden)}"] if entry.overridden else []),
        *([f"evidence {entry.evidence}"] if entry.evidence else []),
        f"plan {plan.hash}",
    ]
    changes = [f"{c.service}: {c.before or 'nothing'} -> {c.leads_to} {c.version}".rstrip() for c in plan.services]
    parts = [
        f"A {plan.kind} of `{plan.project}` to `{plan.environment}` is about to begin.",
        fenced(facts),
        *_part("What changes", changes),
        *_part("Plan", _numbered(plan.steps)),
        *_part("Way back", _numbered((*plan.data.steps, *plan.way_back))),
        *_part("To be known", plan.remarks),
    ]
    return "\n\n".join(parts)


def window_title(project: str, environment: str, start: str) -> str:
    """What the issue about a deployment window is called."""
    return f"deployment window of {project} in {environment}: {start}"


def window_opening(project: str, environment: str, times: Sequence[str], services: Sequence[str], reason: str) -> str:
    """When, until when, what and what for; `times` are lines."""
    facts = [*times, f"services: {', '.join(services)}", f"reason: {reason}"]
    return f"`{project}` is going to be deployed to `{environment}`.\n\n{fenced(facts)}"


def result(one: Deployment) -> str:
    """How a run has ended."""
    took = duration(one.ended - one.started)
    if one.state == "done":
        live = [f"{name}: {version}" for name, version in one.versions.items()]
        return "\n\n".join([f"**Done** in {took}.", fenced(live)])
    if one.state == "back":
        why = fenced([one.why_back, f"the way back took {duration(one.back_seconds)}"])
        return "\n\n".join(["**Everything is back as it was**, and that was proven from outside.", why])
    return f"**Ended by hand** after {took}; everything stays as it stands."


def happened(says: Iterable[str]) -> str:
    """What has happened since the last message."""
    return fenced(says)


def fenced(lines: Iterable[str]) -> str:
    """Lines as they are, whatever is in them; only control characters are shown instead of sent."""
    shown = ["".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *shown, fence])


def cut(text: str) -> str:
    """A text that GitHub takes; a fence that was cut open is closed again."""
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST] + "\n" + "`" * 40 + "\n\n*(cut here; `fairlead show` has all of it)*"


def _part(name: str, lines: Sequence[str]) -> list[str]:
    return [f"### {name}\n\n{fenced(lines)}"] if lines else []


def _numbered(steps: Sequence[Step]) -> list[str]:
    return [f"{number}. {step.title} [{step.host}]" for number, step in enumerate(steps, 1)]
