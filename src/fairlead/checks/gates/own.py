"""Gates that an environment has given itself."""

from __future__ import annotations

from fairlead.checks.gate import Gate, GateContext
from fairlead.checks.gates.commit import copy_of
from fairlead.checks.own import check_own
from fairlead.config.own import OwnSpec
from fairlead.errors import NotReady
from fairlead.model import Finding
from fairlead.outside.environment import build_environment


def gates(context: GateContext) -> list[Gate]:
    """Each of them."""
    return [_gate(context, spec) for spec in context.environment.gates.own]


def _gate(context: GateContext, spec: OwnSpec) -> Gate:
    async def look() -> list[Finding]:
        told = {"environment": context.environment.name, "commit": await _commit(context) if spec.check else ""}
        env = build_environment(context.installation.secrets)
        return [await check_own(spec, context.base, env, told, context.secrets.redact)]

    return Gate(spec.name, spec.check or " ".join(spec.run), look, limit=spec.timeout + 30)


async def _commit(context: GateContext) -> str:
    try:
        return (await copy_of(context)).commit
    except NotReady:
        return ""
