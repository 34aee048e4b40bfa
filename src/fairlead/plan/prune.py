"""The plan that drops what restores have kept beside live databases."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead.config import DatabaseSpec, EnvironmentSpec, Installation
from fairlead.model import Beside, Plan
from fairlead.plan.beside import drops
from fairlead.plan.deploy import assembled


def plan_prune(
    installation: Installation,
    environment: EnvironmentSpec,
    several: Sequence[Beside],
    databases: Sequence[DatabaseSpec],
) -> Plan:
    """Drop these, and nothing else."""
    known = {one.name: one for one in databases}
    touched = {one.database for one in several}
    named = [one for one in databases if one.name in touched]
    return assembled(installation, environment, [], drops(several, known), named, kind="prune")
