"""The way back of a deployment that takes 17 databases along, against a serial script that restores them in place.

Cold: restored beside the live ones, proven there and swapped, all within the way back. Warm: what waits beside them is
only swapped, and how long that takes must not depend on how large they are. Times are those of the record on the
server, from the first step's intent to the last one's outcome.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.backup import on_server, prepare_script
from bench.databases import PASSWORDS, TOTAL, Databases, databases
from bench.result import Result, compared, in_seconds, timed

from support.box import Box
from support.sshd import Sshd

ROUNDS = 2
"""They take long, so fewer than elsewhere."""
PATIENCE = 900.0
"""Seconds for one deployment."""
SHARE = 0.1
"""Of their size the smaller databases have that the swap of the large ones is compared with."""
BOUND = (
    "what bounds a cold way back: the servers insert every row and build every index anew, which takes a processor for "
    "each lane; lanes beside each other win what a serial script leaves idle"
)


@dataclass(frozen=True)
class Back:
    """Seconds of one way back."""

    shadows: float
    """Restoring beside the live databases and proving it; 0 where they waited there."""
    swaps: float
    whole: float


def rollbacks() -> list[Result]:
    """Cold against a script, warm against a time, and warm against databases of a tenth of the size."""
    with _site(SHARE) as small:
        tenth = [small.back(standby=True).swaps for _ in range(ROUNDS)]
    with _site(1.0) as site:
        warm = [site.back(standby=True).swaps for _ in range(ROUNDS)]
        cold = [(site.back(standby=False), site.script()) for _ in range(ROUNDS)]
    last = cold[-1][0]
    print(f"a cold way back: restore beside {last.shadows:.1f} s, swap {last.swaps:.1f} s; {BOUND}")
    what = f"data of {TOTAL} databases back, cold, median of {ROUNDS}"
    waiting = f"swap of {TOTAL} databases that wait, median of {ROUNDS}"
    return [
        compared("rollback_cold", what, "serial restore in place", 0.9, [(back.whole, other) for back, other in cold]),
        in_seconds("rollback_warm", waiting, 5.0, warm),
        compared(
            "rollback_size", waiting, f"those of {SHARE:g} of their size", 1.2, list(zip(warm, tenth, strict=True))
        ),
    ]


class _Site:
    """A service whose new version never starts, and the databases that go back with it."""

    def __init__(self, folder: Path, sshd: Sshd, there: Databases) -> None:
        self._sshd, self._there, self._rows, self._round = sshd, there, there.rows(), 0
        self._box = Box(folder, sshd, environ=dict(PASSWORDS))
        prepare_script(sshd, there)
        sshd.write("rollback.sh", (Path(__file__).parent / "rollback.sh").read_text(), 0o755)
        on_server(sshd, "./rollback.sh dump list scripts")
        self._configure(standby=False)
        for words in (("db", "backup"), ("deploy", "--yes")):
            self._run(0, *words)

    def _configure(self, *, standby: bool) -> None:
        policy = {"rollback": {"data": "all", "standby": standby}}
        self._box.databases = {name: group | policy for name, group in self._there.groups("server").items()}
        self._box.configure()

    def _run(self, code: int, *words: str) -> None:
        done = self._box.operator.run(*words, timeout=PATIENCE)
        assert done.returncode == code, done.stdout + done.stderr

    def back(self, *, standby: bool) -> Back:
        """Deploy a version that does not start, and read how long its way back took for the data."""
        self._round += 1
        self._box.write(f"v{self._round}", {"broken": "it does not start"})
        self._configure(standby=standby)
        self._run(3, "deploy", "--yes")
        assert self._there.rows() == self._rows
        return _read(self._box.home / ".fairlead/live/runs")

    def script(self) -> float:
        """Seconds that the serial script takes."""
        seconds = timed(lambda: on_server(self._sshd, "./rollback.sh restore list scripts"))
        assert self._there.rows() == self._rows
        return seconds


def _read(runs: Path) -> Back:
    lines = max(runs.iterdir(), key=lambda path: path.name).read_text().splitlines()
    entries = [json.loads(line[line.index("{") :]) for line in lines if "{" in line]
    turned = next(number for number, entry in enumerate(entries) if entry["kind"] == "back")
    back = entries[turned:]
    shadows, swaps = (_of(back, f".{word}") for word in ("shadow", "swap"))
    assert len(swaps) == 2 * TOTAL and len(shadows) in (0, 2 * TOTAL), (len(shadows), len(swaps))
    both = [*shadows, *swaps]
    return Back(_span(shadows) if shadows else 0.0, _span(swaps), _span(both))


def _of(entries: list[dict[str, Any]], tail: str) -> list[float]:
    """When steps of one kind began and ended."""
    return [one["at"] for one in entries if one.get("step", "").endswith(tail) and one["kind"] in ("intent", "outcome")]


def _span(times: list[float]) -> float:
    return max(times) - min(times)


@contextmanager
def _site(share: float) -> Iterator[_Site]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fl-bench-")))
        sshd, there = stack.enter_context(Sshd(folder / "sshd")), stack.enter_context(databases(share))
        yield _Site(folder, sshd, there)
