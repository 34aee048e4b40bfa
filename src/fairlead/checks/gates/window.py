"""Gate `window`: may a deployment start at this time?"""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.window import check_window
from fairlead.model import Finding


def gate(context: GateContext) -> Gate | None:
    """Windows and freezes of the environment."""
    window = context.environment.gates.window
    if window is None:
        return None

    async def look() -> list[Finding]:
        return [check_window(context.environment.name, window, context.clock.now())]

    return Gate("window", "deployment windows and freezes", look)
