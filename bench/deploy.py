"""The seven services from one version to the next, against a serial shell script that does the same work.

All sides send the same sources over the same sshd with hard links, switch atomically, restart the one process, wait
the same settle time, look at the same pages from the operator's machine, make no backups and do not watch. After each
round the trees that are live must be equal on all sides.

Where nothing has changed the script asks rsync first and then leaves a service alone. Run as it is it would release,
switch and restart everything again, which is not the same as finding out that nothing is to be done.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.estate import Site, Sources, pages, site
from bench.line import long_line
from bench.result import TIMES, Result, compared, timed
from bench.sides import Deployer, Fairlead, Script, View

from support.sshd import Sshd

FAR = 0.02
"""Seconds each way of the long line."""
SIDES: dict[str, Callable[[Site, View], Deployer]] = {
    "fairlead": Fairlead,
    "plain": Script,
    "expert": lambda site, view: Script(site, view, ("ControlMaster auto", "ControlPersist 60")),
}
"""Fairlead; a script with a new connection for each step; the same with one connection for all."""

Seconds = dict[str, list[float]]
"""By side."""


class Ground(NamedTuple):
    """Where sides meet."""

    folder: Path
    sshd: Sshd
    sources: Sources
    web: int
    """The port of the pages."""


def deployments() -> list[Result]:
    """On loopback, where only work counts, against both scripts; over a long line against the better one."""
    with (
        tempfile.TemporaryDirectory(prefix="fl-bench-") as name,
        Sshd(Path(name) / "sshd") as sshd,
        pages(sshd.home) as web,
    ):
        ground = Ground(Path(name), sshd, Sources(Path(name) / "source"), web)
        near, near_again = _meet(ground, "near", 0.0, ("fairlead", "plain", "expert"))
        far, far_again = _meet(ground, "far", FAR, ("fairlead", "expert"))
    return [*_rows("deploy", "v1 -> v2", near, far), *_rows("unchanged", "v2 -> v2", near_again, far_again)]


def _rows(name: str, change: str, near: Seconds, far: Seconds) -> Iterable[Result]:
    what, line = f"fairlead deploy, seven services, {change}", f", line of {FAR * 2000:.0f} ms"
    asks = " that asks rsync -n" if change == "v2 -> v2" else ""
    for short, more, seconds, side, against, goal in (
        ("plain", "", near, "plain", "ssh for each step", 0.4),
        ("expert", "", near, "expert", "ControlMaster", 1.0),
        ("far", line, far, "expert", "ControlMaster", 0.6),
    ):
        pairs = list(zip(seconds["fairlead"], seconds[side], strict=True))
        yield compared(f"{name}_{short}", what + more, f"script{asks}, {against}", goal, pairs)


def _meet(ground: Ground, where: str, delay: float, names: tuple[str, ...]) -> tuple[Seconds, Seconds]:
    """Seconds of changes, and of repetitions, for these sides over a line of so many seconds each way."""
    with ExitStack() as stack:
        deployers = {one: _deployer(stack, ground, f"{where}-{one}", delay, SIDES[one]) for one in names}
        return _rounds(deployers, ground.sources)


def _deployer(
    stack: ExitStack, ground: Ground, name: str, delay: float, make: Callable[[Site, View], Deployer]
) -> Deployer:
    def seen(port: int) -> int:
        return stack.enter_context(long_line(port, delay)) if delay else port

    place, mine = stack.enter_context(site(ground.sshd, name)), ground.folder / name
    mine.mkdir()
    ports = (seen(ground.sshd.port), seen(ground.web), seen(place.port))
    return make(place, View(mine, ground.sources.folder, ground.sshd, *ports))


def _rounds(deployers: dict[str, Deployer], sources: Sources) -> tuple[Seconds, Seconds]:
    """Seconds of changes, and of repetitions. In the first round everything is new: it does not count."""
    changes: Seconds = {name: [] for name in deployers}
    repetitions: Seconds = {name: [] for name in deployers}
    for _ in range(1 + TIMES):
        version = sources.next()
        for again, seconds in ((False, changes), (True, repetitions)):
            for name, deployer in deployers.items():
                seconds[name].append(timed(partial(deployer.deploy, version, again=again)))
                deployer.part()
            trees = {name: deployer.site.trees() for name, deployer in deployers.items()}
            assert len({str(tree) for tree in trees.values()}) == 1, trees
    return tuple({name: taken[1:] for name, taken in every.items()} for every in (changes, repetitions))
