"""What GitHub Actions shows of a command that runs there: annotations, and the job's summary in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from fairlead.app import add_to_summary, in_actions
from fairlead.model import Deployment, Finding, duration
from fairlead.surfaces.cli import lines

if TYPE_CHECKING:
    from fairlead.app import Readiness

Level = Literal["error", "warning", "notice"]
LEVELS: dict[str, Level] = {"fail": "error", "unknown": "error", "warn": "warning"}
SHOWN = 10
"""Annotations of one gate; GitHub shows ten of each kind for a step."""


def annotate(level: Level, title: str, says: str) -> None:
    """One annotation; on standard error, where the runner reads it too, so that `--json` stays one document."""
    if in_actions():
        click.echo(f"::{level} title={_property(title)}::{_data(says)}", err=True)


def readiness(told: Readiness, environment: str) -> None:
    """Annotations for what blocks and what is doubtful, and a table of all gates."""
    if not in_actions():
        return
    for gate in told.gates:
        for one in [one for one in gate.findings if one.status in LEVELS][:SHOWN]:
            annotate(LEVELS[one.status], f"{gate.gate}: {one.subject}", _sentence(one))
    verdict = "ready for deployment" if told.ok else f"blocked by {', '.join(one.gate for one in told.blocking)}"
    rows = [f"| {lines.SIGNS[one.status]} {one.status} | {one.gate} | {_cell(one.says)} |" for one in told.gates]
    hints = [f"- {_cell(hint)}" for hint in lines.hints(told.findings)]
    parts = [
        f"## {_cell(environment)}: {verdict}",
        *([f"commit {told.commit}"] if told.commit else []),
        "\n".join(["| | gate | says |", "|---|---|---|", *rows]),
        *(["Next:\n\n" + "\n".join(hints)] if hints else []),
    ]
    _summary(parts)


def ended(deployment: Deployment | None) -> None:
    """How a run ended."""
    if deployment is None or not in_actions():
        return
    live = [f"- {_cell(name)}: {_cell(version)}" for name, version in deployment.versions.items()]
    why = f": {_cell(deployment.why_back)}" if deployment.why_back else ""
    took = duration(deployment.ended - deployment.started)
    head = f"## {deployment.kind} {deployment.id}: {deployment.state} in {took}{why}"
    _summary([head, "\n".join(live)])


def _summary(parts: list[str]) -> None:
    why = add_to_summary("\n\n".join(parts) + "\n\n")
    if why:
        annotate("warning", "fairlead", f"the job's summary was not written: {why}")


def _sentence(one: Finding) -> str:
    return one.says + (f"; next: {'; '.join(one.hint.splitlines())}" if one.hint else "")


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _cell(value: str) -> str:
    from fairlead.surfaces.page.mortem import text

    return text(value)
