"""May an account run what a plan will run? Asked without running it: sudo is only told to say what it allows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from fairlead.model import Status

Fault = tuple[Status, str, str]
"""How bad, what, and the next thing to look at."""
_TAG = re.compile(r"^((?:NO)?[A-Z]+|CWD=\S+|CHROOT=\S+|TIMEOUT=\S+):\s*")


@dataclass(frozen=True)
class Right:
    """A command that a plan will run."""

    argv: tuple[str, ...]

    @property
    def by_sudo(self) -> bool:
        """It goes through sudo, which can be asked whether it would let it pass."""
        return self.argv[0] == "sudo"

    @property
    def probe(self) -> str:
        """For the host's shell: what asks sudo; else the program."""
        return shlex.join(("sudo", "-n", "-l", *self.argv[1:])) if self.by_sudo else self.argv[0]

    def __str__(self) -> str:
        return shlex.join(self.argv)


@dataclass(frozen=True)
class Unit:
    """A systemd unit that a plan will use."""

    name: str
    show: tuple[str, ...]
    """Prints what systemd knows of it."""
    needed: bool = True
    """It is restarted through systemctl; else systemd need not know it."""

    @property
    def probe(self) -> str:
        """For the host's shell."""
        return shlex.join(self.show)


def right_fault(right: Right, code: int, words: str, rules: Sequence[str]) -> Iterator[Fault]:
    """What sudo says of a command. `rules`: lines of `sudo -l`, which alone tell whether it would want a password."""
    hint = "a line in sudoers allows it: LOGIN ALL=(root) NOPASSWD: COMMAND; `sudo -n -l` there shows what it allows"
    if code:
        yield "fail", f"may not run `{right}`{f': {words}' if words else ''}", hint
    elif rules and _asks_password(words, rules):
        yield "fail", f"may run `{right}` only with a password", hint


def _asks_password(command: str, rules: Sequence[str]) -> bool:
    """Is there no word that frees it? sudo -l COMMAND says yes to what a password is needed for, too."""
    if any("!authenticate" in line for line in rules):
        return False
    said = [asks for line in rules if line.startswith("(") for one, asks in _rules(line) if _covers(one, command)]
    return said[-1] if said else True  # as in sudo, the last one counts


def _rules(line: str) -> Iterator[tuple[str, bool]]:
    """`(root) NOPASSWD: /bin/a, PASSWD: /bin/b`: each command, and whether it wants a password."""
    asks = True
    for part in re.split(r"(?<!\\),\s*", line.partition(")")[2].strip()):
        rest = part
        while tag := _TAG.match(rest):
            rest = rest[tag.end() :]
            asks = {"NOPASSWD": False, "PASSWD": True}.get(tag[1], asks)
        yield rest.replace("\\", ""), asks


def _covers(rule: str, command: str) -> bool:
    """A rule without arguments covers all of them; `""` stands for none."""
    program, _, words = command.partition(" ")
    path, _, given = rule.partition(" ")
    if rule == "ALL":
        return True
    if not (fnmatchcase(program, path) or (path.endswith("/") and program.rpartition("/")[0] + "/" == path)):
        return False
    return not given or (words == "" if given == '""' else fnmatchcase(words, given))


def unit_fault(unit: Unit, state: str, words: str) -> Iterator[Fault]:
    """What systemd says of a unit; `state` is its LoadState, `-` = it was not said."""
    if not unit.needed or state == "loaded":
        return
    if state == "-":
        says = f"systemd cannot be asked about {unit.name} ({words[-200:] or 'it says nothing'}); its health decides"
        yield "warn", says, f"type there: {shlex.join(unit.show)}"
    elif state == "not-found":
        yield "fail", f"systemd knows no unit {unit.name}", f"type there: systemctl cat {shlex.quote(unit.name)}"
    else:
        yield "fail", f"its unit {unit.name} is {state}", f"type there: systemctl status {shlex.quote(unit.name)}"
