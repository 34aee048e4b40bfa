"""What has to hold between the parts of a file. A rule looks at whatever parts are right by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.problems import Problem
from fairlead.config.rules import databases, environments, gates, hosts, places, references, services
from fairlead.config.rules.ground import Ground

__all__ = ["Ground", "broken_references", "broken_rules"]

RULES = (
    *hosts.RULES,
    *databases.RULES,
    *environments.RULES,
    *gates.RULES,
    *services.RULES,
    *places.RULES,
)


def broken_rules(ground: Ground) -> Iterator[Problem]:
    """Every problem that any rule finds; nothing may have been taken out of the parts it looks at."""
    for rule in RULES:
        yield from rule(ground)


def broken_references(ground: Ground) -> Iterator[Problem]:
    """Every name that names nothing; holds also for parts of which wrong keys were taken out."""
    for rule in references.RULES:
        yield from rule(ground)
