"""The seven services from one version to the next, against a serial shell script that does the same work.

All sides send the same sources over the same sshd with hard links, switch atomically, restart the one process, wait
the same settle time, look at the same pages from the operator's machine, make no backups and do not watch. After each
round the trees that are live must be equal on all sides.

Where nothing has changed the script asks rsync first and then leaves a service alone. Run as it is it would release,
switch and restart everything again, which is not the same as finding out that nothing is to be done.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

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


def deployments() -> list[Result]:
    """On loopback, where only work counts, against both scripts; over a long line against the better one."""
    with ground() as meet:
        near, near_again = meet("near", ("fairlead", "plain", "expert"), 0.0)
        far, far_again = meet("far", ("fairlead", "expert"), FAR)
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


Meet = Callable[[str, tuple[str, ...], float], tuple[Seconds, Seconds]]


@contextmanager
def ground() -> Iterator[Meet]:
    """One sshd, one web server and sources, on which sides meet: by a name, who they are, and seconds each way."""
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as name, Sshd(Path(name) / "sshd") as sshd:
        folder, sources = Path(name), Sources(Path(name) / "source")

        def meet(where: str, names: tuple[str, ...], delay: float) -> tuple[Seconds, Seconds]:
            with ExitStack() as stack:
                web = stack.enter_context(pages(sshd.home))

                def seen(port: int) -> int:
                    return stack.enter_context(long_line(port, delay)) if delay else port

                deployers = {}
                for one in names:
                    place = stack.enter_context(site(sshd, f"{where}-{one}"))
                    mine = folder / place.name
                    mine.mkdir()
                    view = View(mine, sources.folder, sshd, seen(sshd.port), seen(web), seen(place.port))
                    deployers[one] = SIDES[one](place, view)
                return _rounds(deployers, sources)

        yield meet


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
