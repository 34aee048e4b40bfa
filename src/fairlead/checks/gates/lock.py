"""Gate `lock`: is nobody at work on the environment, and no run left unfinished?"""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.journal.target import Target
from fairlead.model import Finding


def gate(context: GateContext) -> Gate:
    """The lock on the environment's lock host."""

    async def look() -> list[Finding]:
        return [await lock_is_free(context)]

    return Gate("lock", "the environment's lock and open runs", look)


async def lock_is_free(context: GateContext) -> Finding:
    """No run is open. Raises NotReady where the lock host does not answer."""
    name, host = context.environment.name, context.environment.lock_host
    state = await Target(await context.hosts.get(host), name).read()
    free = state.run == "-"
    return Finding(
        check="lock",
        subject=host,
        status="ok" if free else "fail",
        says="nothing is running" if free else f"run {state.run} by {state.who} is not finished",
        hint="" if free else f"`fairlead resume -e {name}` finishes or undoes it",
    )
