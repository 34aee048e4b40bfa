"""Gates `security`, `maintainability`, `dependencies` and `performance`: what tools say of what would be deployed."""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.commit import copy_of
from fairlead.checks.quality import Place, check_quality
from fairlead.config.quality import QualitySpec
from fairlead.errors import NotReady
from fairlead.model import Finding
from fairlead.outside.environment import build_environment
from fairlead.outside.git import WorkingCopy

READING = 10.0
"""Seconds for asking git and reading reports."""


def gates(context: GateContext) -> list[Gate]:
    """Those that the environment has settings for."""
    return [_gate(context, spec) for spec in context.environment.gates.quality]


def _gate(context: GateContext, spec: QualitySpec) -> Gate:
    async def look() -> list[Finding]:
        return await check_here(context, spec)

    limit = READING + sum(report.timeout for report in spec.reports if report.run)
    tools = ", ".join(dict.fromkeys(report.format for report in spec.reports))
    return Gate(spec.name, f"{spec.name} by {tools}", look, limit=limit, alone=spec.alone, of_commit=True)


async def check_here(context: GateContext, spec: QualitySpec) -> list[Finding]:
    """What reports say of what would be deployed from here."""
    copy = await _copy(context)
    if isinstance(copy, WorkingCopy) and not copy.checked_out:
        what = f"the plan was made from {copy.commit[:12]}, and another commit is checked out"
        raise NotReady(what, f"git checkout {copy.commit[:12]}")
    env = build_environment(context.installation.secrets)
    return [await check_quality(spec, Place(base=context.base, env=env, copy=copy, now=context.clock.now()))]


async def _copy(context: GateContext) -> WorkingCopy | NotReady:
    try:
        return await copy_of(context)
    except NotReady as error:
        return error
