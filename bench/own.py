"""How much of a deployment is Fairlead's own time: when no command of it was running, on neither side.

Shims stand before the programs at both ends and write down when each run of one began and ended. Own time is what the
whole process took, less all moments in which at least one of these ran: the longest chain of commands that waited for
each other cannot be longer than that union, and is not shorter either, since Fairlead starts nothing that it does not
wait for. On the far side that is every shell line that is sent there, with all that it starts. The login and the open
sessions, which run all the time, count as own time while nothing is asked of them; so does starting Python.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.estate import Sources, pages, site
from bench.result import TIMES, Result, timed
from bench.sides import Fairlead, View

from support.sshd import Sshd

HERE, THERE = ("rsync",), ("sh", "rsync")
SHARE, LEAST = 0.1, 0.6
"""Own time may be so large a share of the commands' time, or so many seconds: the larger one counts."""

_SHIM = """\
case "$*" in *"fairlead shell"*) exec $REAL "$@" ;; esac
begun=$EPOCHREALTIME
$REAL "$@"
code=$?
echo "$begun $EPOCHREALTIME" >>{log}
exit $code
"""


def own_time() -> list[Result]:
    """The own time of deployments of seven services, by what it may be."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fl-bench-")))
        sshd = stack.enter_context(Sshd(folder / "sshd"))
        log = sshd.write("commands.log", "")
        for name in THERE:
            sshd.shim(name, _SHIM.format(log=log))
        path = f"{_shims_here(folder / 'bin', log)}:{os.environ['PATH']}"
        place = stack.enter_context(site(sshd, "own"))
        sources, mine = Sources(folder / "source"), folder / "mine"
        mine.mkdir()
        web = stack.enter_context(pages(sshd.home))
        view = View(mine, sources.folder, sshd, sshd.port, web, place.port)
        fairlead = Fairlead(place, view, {"PATH": path})
        measured = [_measure(fairlead, sources.next(), log) for _ in range(1 + TIMES)][1:]  # the first one is larger
    own, allowed = (median(side) for side in zip(*measured, strict=True))
    what, against = "own time of fairlead deploy, seven services", "larger of 10 % and 0.6 s"
    return [Result("own_time", what, against, own / allowed, 1.0, own)]


def _measure(fairlead: Fairlead, version: str, log: Path) -> tuple[float, float]:
    """Own time, and what it may be, in seconds."""
    log.write_text("")
    seconds = timed(lambda: fairlead.deploy(version))
    lines = [line.split() for line in log.read_text().splitlines()]
    busy = covered((float(begun), float(ended)) for begun, ended in lines)
    return seconds - busy, max(LEAST, SHARE * busy)


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Seconds in which at least one of them lies."""
    total, until = 0.0, 0.0
    for begun, ended in sorted(intervals):
        total += max(0.0, ended - max(begun, until))
        until = max(until, ended)
    return total


def _shims_here(folder: Path, log: Path) -> Path:
    folder.mkdir()
    for name in HERE:
        (folder / name).write_text(f"#!/bin/bash\nREAL={shutil.which(name)}\n" + _SHIM.format(log=log))
        (folder / name).chmod(0o755)
    return folder
