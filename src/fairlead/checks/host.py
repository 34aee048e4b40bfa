"""Can this account be worked on: everything that can be known before the first change, in one round trip."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from fairlead.checks.looked import looked
from fairlead.checks.rights import Fault, Right, Unit, right_fault, unit_fault
from fairlead.config import LoadSpec
from fairlead.errors import NotReady
from fairlead.model import Finding, Status, shell
from fairlead.outside.clock import Clock, SystemClock
from fairlead.outside.connect import Hosts
from fairlead.outside.files import package_text

SYSTEM_CLOCK, LOAD = SystemClock(), LoadSpec()
SKEW_WARN, SKEW_FAIL = 2.0, 60.0
"""Seconds by which a host's clock may differ from ours."""
SLOW_LOGIN = 1.0
"""Seconds that a login shell may take to start."""
DISK_WARN, DISK_FAIL, DISK_LEAST = 0.10, 0.02, 200 * 1000 * 1000
"""Free shares of a disk, and bytes below which it counts as full."""
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb", "smb2", "afs", "ceph", "lustre", "gfs2", "ocfs2", "gpfs", "v9fs"})
_DOUBTFUL = frozenset({"fuse", "fuseblk", "autofs"})
_PROGRAMS = {
    "find": "GNU find",
    "sort": "GNU sort",
    "xargs": "GNU xargs",
    "sha256sum": "GNU sha256sum",
    "mv": "GNU mv (mv -T)",
    "stat": "GNU stat",
    "sync": "GNU sync (sync -d)",
    "readlink": "readlink -f",
    "tar": "GNU tar",
    "base64": "base64",
    "setsid": "setsid or perl",
    "lock": "flock or perl",
    "proc": "/proc of Linux",
    "python3": "python3, 3.7 or newer, with sqlite3",
    "age": "age (apt-get install age), which encrypts backups",
}
"""What the script asks for, and what a person installs for it."""


@dataclass(frozen=True)
class Growth:
    """Something that a deployment will write once more, as large as what lies there of it."""

    kind: Literal["release", "copies"]
    folder: str
    """One of the `folders`: it comes onto this one's disk."""
    at: str
    """release: the folder of releases; copies: what the names of a database's backups begin with."""


@dataclass(frozen=True)
class Needs:
    """What a plan needs of an account."""

    programs: tuple[str, ...] = ()
    """`python3` where SQLite databases live, `age` where backups are encrypted."""
    folders: tuple[str, ...] = ()
    """What will be written into beside the state folder; they need not exist yet."""
    grows: tuple[Growth, ...] = ()
    rights: tuple[Right, ...] = ()
    """Commands that will be run."""
    units: tuple[Unit, ...] = ()
    load: LoadSpec = LOAD


@dataclass(frozen=True)
class Disk:
    """The file system below a folder."""

    folder: str
    writable: bool
    type: str = ""
    free: int = 0
    """Bytes."""
    size: int = 0
    inodes_free: int = 0
    inodes: int = 0
    device: str = ""
    """Folders with the same one share its room."""


@dataclass
class Seen:
    """What the script told."""

    began: float = 0.0
    """Unix time by the host's clock when the script began."""
    ended: float = 0.0
    login: float = 0.0
    """Seconds that a login shell took to start and end."""
    noise: int = 0
    """Bytes that it printed."""
    streams: bool = False
    """It has no rsync, and releases are copied to it over a connection."""
    talks: bool = False
    """A shell that is no login shell, as it is started for every command, prints too."""
    lacks: list[str] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=list)
    load: float = 0.0
    """Of the last minute."""
    cores: int = 0
    root: bool = False
    """The login may do everything."""
    sizes: dict[Growth, int | None] = field(default_factory=dict)
    """Bytes of what lies there; None = it was not found out in time."""
    asked: dict[Right, tuple[int, str]] = field(default_factory=dict)
    """What sudo said: exit code and words."""
    rules: list[str] = field(default_factory=list)
    """Lines of `sudo -l`."""
    missing: list[Right] = field(default_factory=list)
    """Commands whose program is not there."""
    units: dict[Unit, tuple[str, str]] = field(default_factory=dict)
    """LoadState, `-` = not said, and what was said."""


async def check_host(hosts: Hosts, name: str, needs: Needs = Needs(), *, clock: Clock = SYSTEM_CLOCK) -> Finding:
    """Does the host answer, and has it all that a plan needs? Changes nothing there, and runs nothing through sudo."""
    return await looked("host", name, _look(hosts, name, needs, clock))


async def _look(hosts: Hosts, name: str, needs: Needs, clock: Clock) -> Finding:
    host = await hosts.get(name)
    asked = _asked(host.account.state, needs)
    words = [word for one in asked for word in (one.word, one.value)]
    sent = clock.now()
    result = await host.run(shell(package_text("checks/host.sh"), " ".join(needs.programs), *words, timeout=30.0))
    heard = clock.now()
    if not result.ok:
        raise NotReady(f"it answers, but not as a Linux host does: {result.last_words or result.code}")
    seen = _read(result.stdout, asked)
    copied = host.account.kind == "ssh" and any(one.kind == "release" for one in needs.grows)
    seen.streams = seen.streams and copied
    seen.talks = host.account.kind == "ssh" and host.copies_with == "tar"
    return _judged(name, seen, _skew(seen, sent, heard), needs.load, round((heard - sent) * 1000, 1))


class Asked(NamedTuple):
    """One thing that the script is asked."""

    word: str
    value: str
    about: Growth | Right | Unit | None = None


def _asked(state: str, needs: Needs) -> list[Asked]:
    return [
        *(Asked("place", folder) for folder in (state, *needs.folders)),
        *(Asked(one.kind, one.at, one) for one in needs.grows),
        *(Asked("may" if one.by_sudo else "has", one.probe, one) for one in needs.rights),
        *(Asked("unit", one.probe, one) for one in needs.units),
    ]


def _judged(name: str, seen: Seen, skew: float, load: LoadSpec, ms: float) -> Finding:
    order: tuple[Status, ...] = ("fail", "unknown", "warn")
    faults = sorted(_faults(seen, skew, load), key=lambda fault: order.index(fault[0]))
    return Finding(
        check="host",
        subject=name,
        status=faults[0][0] if faults else "ok",
        says="; ".join(says for _, says, _ in faults) or f"answers, {_gigabytes(seen.disks[0].free)} free",
        hint="\n".join(dict.fromkeys(hint for _, _, hint in faults if hint)),
        evidence={
            "login_shell_s": round(seen.login, 3),
            "clock_skew_s": round(skew, 3),
            "load": seen.load,
            "cores": seen.cores,
            "lacks": list(seen.lacks),
            "to_come": sum(size or 0 for size in seen.sizes.values()),
            "disks": [{"folder": d.folder, "type": d.type, "free": d.free, "size": d.size} for d in seen.disks],
        },
        ms=ms,
    )


def _faults(seen: Seen, skew: float, load: LoadSpec = LOAD) -> Iterator[Fault]:
    if seen.lacks:
        yield "fail", f"lacks {', '.join(_PROGRAMS[word] for word in seen.lacks)}", "install what is missing there"
    yield from _may_and_can(seen)
    if abs(skew) > SKEW_WARN:
        ahead = f"its clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} ours"
        yield "fail" if abs(skew) > SKEW_FAIL else "warn", ahead, "does time synchronisation run? type: timedatectl"
    if seen.login > SLOW_LOGIN:
        yield "warn", f"its login shell takes {seen.login:.1f} s to start", "what do .profile and .bashrc start there?"
    if seen.noise:
        yield "warn", "its login shell prints text at its start", "programs that copy files may trip over it"
    if seen.talks:
        says = "its shell prints text before every command, so copies go as a tar stream and not by rsync"
        yield (
            "warn",
            says,
            "let .bashrc print only where somebody types: `case $- in *i*) ;; *) return ;; esac` at its top",
        )
    if seen.streams:
        says = "it has no rsync, so releases go as a tar stream: what was cut off is sent again from its beginning"
        yield "warn", says, "apt-get install rsync there"
    yield from _wrong_place(seen.disks[0])
    for disk in seen.disks:
        if not disk.writable:
            yield "fail", f"{disk.folder} cannot be written to", "look at owner and mode of the folder above it"
    for disk in {disk.device: disk for disk in reversed(seen.disks)}.values():
        yield from list(_full(disk)) or _filling(disk, seen)
    each = seen.load / max(1, seen.cores)
    if each >= load.warn:
        says = f"its load is {seen.load:.1f} with {seen.cores} core{'s' * (seen.cores != 1)}"
        yield "fail" if each >= load.fail else "warn", says, "`top` there shows what is at work; then ask again"


def _may_and_can(seen: Seen) -> Iterator[Fault]:
    """Commands and units that the plan will use."""
    for right in seen.missing:
        says = f"lacks {right.argv[0]}, which `{right}` needs"
        yield "fail", says, "install what is missing there, or configure another command"
    for right, (code, words) in seen.asked.items():
        yield from right_fault(right, code, words, () if seen.root else seen.rules)
    for unit, (state, words) in seen.units.items():
        yield from unit_fault(unit, state, words)


def _filling(disk: Disk, seen: Seen) -> Iterator[Fault]:
    """What a deployment is going to write, on a disk that has room as yet."""
    device = {one.folder: one.device for one in seen.disks}
    coming = {one: size for one, size in seen.sizes.items() if device[one.folder] == disk.device}
    if slow := [one.at for one, size in coming.items() if size is None]:
        yield "warn", f"how large the release in {slow[0]} is was not found out in time", "look for room there: df -h"
    needed = sum(size or 0 for size in coming.values())
    if needed and disk.free - needed < DISK_LEAST:
        says = f"the disk of {disk.folder} has {_gigabytes(disk.free)} free, and {_things(coming)} to come need "
        yield (
            "fail",
            f"{says}about {_gigabytes(needed)}, as their last ones did",
            "make room before a deployment fills it",
        )


def _things(coming: Iterable[Growth]) -> str:
    kinds = [one.kind for one in coming]
    counts = {"release": kinds.count("release"), "backup": kinds.count("copies")}
    return " and ".join(f"{count} {word}{'s' * (count != 1)}" for word, count in counts.items() if count)


def _wrong_place(state: Disk) -> Iterator[Fault]:
    """Locks and synced appends are only what they should be on a local file system."""
    hint = "set the host's `state` to a folder on a local disk"
    if state.type in _REMOTE:
        yield "fail", f"the state folder {state.folder} lies on a network disk ({state.type})", hint
    elif state.type in _DOUBTFUL:
        yield "warn", f"the state folder {state.folder} may lie on a network disk ({state.type})", hint


def _full(disk: Disk) -> Iterator[Fault]:
    share = disk.free / disk.size if disk.size else 1.0
    says = f"the disk of {disk.folder} has {_gigabytes(disk.free)} ({share:.0%}) free"
    if disk.size and (share < DISK_FAIL or disk.free < DISK_LEAST):
        yield "fail", says, "make room before a deployment fills it"
    elif disk.size and share < DISK_WARN:
        yield "warn", says, "make room soon"
    if disk.inodes and disk.inodes_free / disk.inodes < DISK_FAIL:
        yield "fail", f"the disk of {disk.folder} has no room for more files ({disk.inodes_free} inodes free)", ""


def _skew(seen: Seen, sent: float, heard: float) -> float:
    """Seconds by which the host's clock is certainly ahead (negative: behind).

    The script began after we sent it and ended before we heard of it: whatever fits between is no skew.
    """
    least, most = seen.ended - heard, seen.began - sent
    return least if least > 0 else most if most < 0 else 0.0


def _read(stdout: str, asked: Sequence[Asked]) -> Seen:
    """Raises NotReady when the answer is not whole."""
    seen = Seen()
    for key, *values in (line.split() for line in stdout.splitlines() if line.strip()):
        if key == "clock":
            seen.began, seen.ended = seen.began or float(values[0]), float(values[0])
        elif key == "login":
            seen.login, seen.noise = float(values[1]) - float(values[0]), int(values[2])
        elif key == "lacks":
            seen.lacks += [word for word in values if word in _PROGRAMS]
        elif key == "load":
            seen.load, seen.cores = float(values[0]), int(values[1])
        elif key == "no":
            seen.streams = values == ["rsync"]
        elif key == "login_is":
            seen.root = values == ["0"]
        elif key == "rule":
            seen.rules.append(" ".join(values))
        elif key in ("place", "size", "may", "has", "unit"):
            _answered(seen, asked[int(values[0])], values[1:])
    whole = seen.cores and len(seen.disks) == sum(one.word == "place" for one in asked)
    if not re.search(r"^whole$", stdout, re.M) or not whole:
        raise NotReady("its answer was cut off")
    return seen


def _answered(seen: Seen, asked: Asked, values: Sequence[str]) -> None:
    """What the script said of one thing."""
    if isinstance(asked.about, Growth):
        seen.sizes[asked.about] = int(values[0]) * 1024 if values[0].isdigit() else None
    elif isinstance(asked.about, Unit):
        seen.units[asked.about] = values[0], " ".join(values[1:])
    elif isinstance(asked.about, Right) and asked.word == "has":
        seen.missing.append(asked.about)
    elif isinstance(asked.about, Right):
        seen.asked[asked.about] = int(values[0]), " ".join(values[1:])
    else:
        seen.disks.append(_disk(asked.value, values[0] == "yes", values[1:]))


def _disk(folder: str, writable: bool, values: Sequence[str]) -> Disk:
    if len(values) != 7:
        return Disk(folder, writable)
    kind, (free, blocks, unit, inodes_free, inodes) = values[0], map(int, values[1:6])
    return Disk(folder, writable, kind, free * unit, blocks * unit, inodes_free, inodes, values[6])


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
