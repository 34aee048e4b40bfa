"""A restart that succeeded is not believed: systemd answers 0 also where the process ends a second later.

So the unit is looked at again, for the service's `settle` time, by the same step: a release whose unit does not last
was never switched to. Where systemd cannot be asked, the service's health has to decide.
"""

from __future__ import annotations

import shlex
from math import ceil
from typing import Literal

from fairlead.config import HostSpec, ServiceSpec
from fairlead.model import Command, Result
from fairlead.outside.files import package_text

STARTING = 60.0
"""Seconds that a unit may say `activating` or `reloading` after a command that did not wait for it."""
LOOK = 20.0
"""Seconds for an answer of systemd, which asks nobody else."""
PATIENCE = 120.0
"""Seconds for the command itself; systemd gives up starting a unit after 90, if it is told nothing else."""


def asked(service: ServiceSpec, host: HostSpec) -> Command:
    """The command that tells what systemd knows of a service's unit; `told` puts its answer into words."""
    return Command(argv=host.commands.argv("show", unit=service.unit), timeout=LOOK)


def told(service: ServiceSpec, result: Result) -> str:
    """One line of what systemd said: `api: active (running), process 812`; where it said nothing, why."""
    seen = dict(line.partition("=")[::2] for line in result.stdout.splitlines())
    if result.code or not seen.get("ActiveState"):
        return f"{service.unit}: systemd cannot be asked ({result.last_words or 'it says nothing'})"
    if seen.get("LoadState") == "not-found":
        return f"{service.unit}: systemd knows no such unit"
    process = f", process {seen['MainPID']}" if seen.get("MainPID", "0") != "0" else ""
    return f"{service.unit}: {seen['ActiveState']} ({seen.get('SubState', '')}){process}"


def lasting(service: ServiceSpec, host: HostSpec, word: Literal["restart", "reload"]) -> str:
    """Shell lines: the configured command, as a line of its own, and then the look whether the unit lasts."""
    commands, unit = host.commands, service.unit
    command, show, log = (shlex.join(commands.argv(name, unit=unit)) for name in (word, "show", "log"))
    looks = max(1, ceil(service.settle))
    pause = service.settle / looks
    words = (word, unit, str(looks), f"{pause:g}", str(_looks(pause)), show, log)
    script = package_text("strategies/systemd.sh")
    return f'{command}\nsh -c {shlex.quote(script)} fairlead "$?" {shlex.join(words)}'


def _looks(pause: float) -> int:
    return ceil(STARTING / pause) if pause else 0


def shown(lines: str) -> str:
    """What of such lines a person is shown: the command, without the look."""
    return lines.partition("\n")[0]


def patience(service: ServiceSpec) -> float:
    """Seconds for a command, until its unit has started, and for `settle`."""
    return PATIENCE + STARTING + service.settle
