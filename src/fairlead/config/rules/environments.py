from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.problems import Problem
from fairlead.config.rules.ground import Ground


def lock_has_a_host(ground: Ground) -> Iterator[Problem]:
    """Lock and record of an environment lie on a host."""
    if ground.document.names("hosts"):
        return
    for environment in ground.installation.environments.values():
        if environment.services and not environment.lock_host:
            yield ground.problem(
                ("environments", environment.name), "needs a host for its lock", "write one into `hosts`"
            )


def beat_fits_lease(ground: Ground) -> Iterator[Problem]:
    """A change ends before its lock can be taken over."""
    for environment in ground.installation.environments.values():
        if environment.lease.beat > environment.lease.ttl:
            path = ("environments", environment.name, "lease")
            yield ground.problem(path, "`beat` should be at most `ttl`")


RULES = (lock_has_a_host, beat_fits_lease)
