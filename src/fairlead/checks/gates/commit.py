"""Gate `commit`: is it known which commit would be deployed, and is it all that would be deployed?"""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.model import Finding
from fairlead.outside.git import WorkingCopy, working_copy


def gate(context: GateContext) -> Gate:
    """The working copy that fairlead.yml lies in."""

    async def look() -> list[Finding]:
        return [_judged(await copy_of(context))]

    return Gate("commit", "the commit that would be deployed, and what was not committed", look)


async def copy_of(context: GateContext) -> WorkingCopy:
    """The working copy; asked for once for all gates. Raises NotReady where there is none."""

    async def find() -> WorkingCopy:
        remote = context.installation.github.remote if context.installation.github else "origin"
        copy = await working_copy(context.base, remote, context.commit)
        # Of a plan it counts what was not committed when it was made, not what is now.
        return copy.model_copy(update={"changed": context.uncommitted}) if context.commit else copy

    return await context.once("working copy", find)


def _judged(copy: WorkingCopy) -> Finding:
    where = f"{copy.commit[:12]} on {copy.branch or 'no branch'}"
    evidence = {"commit": copy.commit, "branch": copy.branch, "changed": list(copy.changed[:50])}
    if not copy.changed:
        return Finding(check="commit", subject=copy.commit[:12], status="ok", says=where, evidence=evidence)
    shown = ", ".join(copy.changed[:3]) + (f" and {len(copy.changed) - 3} more" if len(copy.changed) > 3 else "")
    return Finding(
        check="commit",
        subject=copy.commit[:12],
        status="warn",
        says=f"{where}, but not all of it is committed: {shown}",
        hint="what is not committed was seen by nobody else: git status",
        evidence=evidence,
    )
