from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.gates import ASK_GITHUB
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


def gates_have_what_they_ask(ground: Ground) -> Iterator[Problem]:
    """Who asks or tells GitHub says which."""
    if "github" in ground.document.tree:
        return
    for name, environment in ground.file.environments.items():
        for number, word in enumerate(environment.gates.ask):
            if word in ASK_GITHUB:
                path = ("environments", name, "gates", "ask", number)
                yield ground.problem(path, f"`{word}` asks GitHub, and the file has no `github`", "write `github:`")
        if "github" in environment.announce:
            what = "tells GitHub, and the file has no `github`"
            yield ground.problem(("environments", name, "announce"), what, "write `github:`")


RULES = (lock_has_a_host, beat_fits_lease, gates_have_what_they_ask)
