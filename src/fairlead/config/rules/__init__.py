"""What has to hold between the parts of a file. A rule looks at whatever parts are right by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.problems import Problem
from fairlead.config.rules import databases, environments, hosts, places, references, services
from fairlead.config.rules.ground import Ground

__all__ = ["Ground", "broken_rules"]

RULES = (
    *references.RULES,
    *hosts.RULES,
    *databases.RULES,
    *environments.RULES,
    *services.RULES,
    *places.RULES,
)


def broken_rules(ground: Ground) -> Iterator[Problem]:
    """Every problem that any rule finds."""
    for rule in RULES:
        yield from rule(ground)
