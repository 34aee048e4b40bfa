"""Hosts, cables and operators that break in the middle of a deployment of everything."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

from prove.lab.attempts import attempted, unless
from prove.lab.hosts import Installation, Said, kill
from prove.table import Row

HEAVY = 24
"""MiB of the games, so that an upload has a middle."""
BROKEN = (
    ("every connection's sshd killed", 6, "plesk", ("killssh",), 0),
    ("the web host rebooted", 4, "plesk", ("reboot",), 0),
    ("the web host frozen", 2, "plesk", ("freeze",), 0),
    ("its cable pulled for 20 s", 2, "plesk", ("partition",), 20),
    ("the host of the external MariaDB rebooted", 4, "mysql", ("reboot",), 0),
    ("the host of PostgreSQL rebooted", 2, "pg", ("reboot",), 0),
    ("the external MariaDB behind a firewall that drops", 3, "mysql", ("drop", "3306"), 0),
)
"""Title, rounds, host, fault, and after so many seconds it heals by itself: 0 = when the deployment has ended."""
LONG_LINE = (("40 ms of delay each way, with jitter", ("delay", "40", "5")), ("3 % of frames lost", ("loss", "3")))


def rows(lab: Installation, scale: float, dice: random.Random) -> Iterable[Row]:
    """At lines of the record that the dice choose."""
    lab.install()
    for title, most, host, fault, heals in BROKEN:
        rounds = max(1, round(most * scale))
        lines = [dice.randint(1, lab.length - 2) for _ in range(rounds)]
        yield attempted(f"{title}, in mid-deployment", partial(_broken, lab, host, fault, heals, lines), tried=rounds)
    lines = [dice.randint(1, lab.length - 2) for _ in range(max(1, round(3 * scale)))]
    yield attempted(
        "power cut, and the operator's machine burnt, in mid-deployment", partial(_burnt, lab, lines), tried=len(lines)
    )
    for title, words in LONG_LINE:
        yield attempted(title, partial(_line, lab, words))


def _in_the_middle(
    lab: Installation, host: str, lines: list[int], breaks: Callable[[subprocess.Popen[str]], Said]
) -> tuple[str, list[str]]:
    """A deployment for each of these lines of its record; there something `breaks`, and tells how the command ended."""
    failures, told = [], []
    for line in lines:
        lab.write(heavy=HEAVY)
        process = lab.start("deploy", "--yes", "--no-watch")
        if not lab.wait_for_line(process, line):
            failures.append(f"line {line}: the deployment ended before")
        codes, wrong = _ended(lab, host, breaks(process))
        told.append(f"line {line}: {codes}")
        failures += [f"line {line}: {each}" for each in wrong]
    return "; ".join(told), failures


def _broken(
    lab: Installation, host: str, fault: tuple[str, ...], heals: float, lines: list[int]
) -> tuple[str, list[str]]:
    def breaks(process: subprocess.Popen[str]) -> Said:
        lab.lab("fault", host, *fault)
        if not heals:
            return lab.end(process)
        healer = threading.Timer(heals, lab.lab, ("heal", host))
        healer.start()
        said = lab.end(process)
        healer.join()
        return said

    return _in_the_middle(lab, host, lines, breaks)


def _ended(lab: Installation, host: str, said: Said) -> tuple[str, list[str]]:
    """When all is healed, the run ends one way or the other, and everything is of one version."""
    lab.lab("heal", host)
    lab.booted(host)
    codes = [said.code]
    for _ in range(4):
        if codes[-1] in (0, 3):
            break
        time.sleep(2)
        said = lab.run("resume", "--no-watch")
        codes.append(said.code)
    which, wrong = lab.verdict()
    wrong += unless((codes[-1], which) in ((0, "new"), (3, "old")), f"{codes}, {which} is live", said)
    return f"{' '.join(map(str, codes))} {which}", wrong


def _burnt(lab: Installation, lines: list[int]) -> tuple[str, list[str]]:
    def breaks(process: subprocess.Popen[str]) -> Said:
        kill(process)
        lab.lab("fault", "plesk", "poweroff")
        lab.forget()
        shutil.rmtree(lab.folder / "source")
        lab.lab("up", "plesk")
        return Said(-9, "", 0)

    return _in_the_middle(lab, "plesk", lines, breaks)


def _line(lab: Installation, words: tuple[str, ...]) -> tuple[str, list[str]]:
    lab.write()
    lab.lab("fault", "plesk", *words)
    said = lab.deploy()
    lab.lab("heal", "plesk")
    which, wrong = lab.verdict()
    return f"{said.seconds:.0f} s", [*unless((said.code, which) == (0, "new"), f"{which} is live", said), *wrong]
