"""The gates, each in a file of its own. A new one is a file, a row here, and its word in config/gates.py."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.checks.gate import Gate, GateContext, MakeGate
from fairlead.checks.gates import (
    backups,
    behind,
    ci,
    commit,
    databases,
    dependabot,
    drills,
    hosts,
    lock,
    migrations,
    own,
    personal,
    pulls,
    quality,
    review,
    secrets,
    services,
    window,
)

ALWAYS: tuple[MakeGate, ...] = (
    hosts.gate,
    lock.gate,
    services.gate,
    databases.gate,
    backups.gate,
    drills.gate,
    migrations.gate,
    secrets.gate,
)
"""Asked in every environment."""

WITH_SETTINGS: tuple[MakeGate, ...] = (window.gate, personal.gate)
"""Asked where an environment has settings for them, beside those of `quality`."""

GATES: Mapping[str, MakeGate] = {
    "commit": commit.gate,
    "ci": ci.gate,
    "dependabot": dependabot.gate,
    "review": review.gate,
    "behind": behind.gate,
    "pulls": pulls.gate,
}
"""By the word in `gates: {ask: ...}`: asked where an environment says so."""


def gates_of(context: GateContext) -> list[Gate]:
    """The gates of an environment, in the order in which they are told."""
    chosen = (GATES[word] for word in context.environment.gates.ask)
    asked = [made for make in (*ALWAYS, *chosen, *WITH_SETTINGS) if (made := make(context)) is not None]
    return [*asked, *own.gates(context), *quality.gates(context)]
