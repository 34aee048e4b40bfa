"""Can this account be worked on: everything that can be known before the first change, in one round trip."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fairlead.checks.looked import looked
from fairlead.errors import NotReady
from fairlead.model import Finding, Status, shell
from fairlead.outside.clock import Clock, SystemClock
from fairlead.outside.connect import Hosts
from fairlead.outside.files import package_text

SYSTEM_CLOCK = SystemClock()
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
    talks: bool = False
    """A shell that is no login shell, as it is started for every command, prints too."""
    lacks: list[str] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=list)


Fault = tuple[Status, str, str]
"""How bad, what, and the next thing to look at."""


async def check_host(
    hosts: Hosts,
    name: str,
    *,
    programs: tuple[str, ...] = (),
    folders: tuple[str, ...] = (),
    clock: Clock = SYSTEM_CLOCK,
) -> Finding:
    """Does the host answer, and has it all that a plan needs? Changes nothing there.

    `programs`: `python3` where SQLite databases live, `age` where backups are encrypted. `folders`: what will be
    written into beside the state folder; they need not exist yet.
    """
    return await looked("host", name, _look(hosts, name, programs, folders, clock))


async def _look(hosts: Hosts, name: str, programs: tuple[str, ...], folders: tuple[str, ...], clock: Clock) -> Finding:
    host = await hosts.get(name)
    places = (host.account.state, *folders)
    sent = clock.now()
    result = await host.run(shell(package_text("checks/host.sh"), " ".join(programs), *places, timeout=30.0))
    heard = clock.now()
    if not result.ok:
        raise NotReady(f"it answers, but not as a Linux host does: {result.last_words or result.code}")
    seen = _read(result.stdout, places)
    seen.talks = host.account.kind == "ssh" and host.copies_with == "tar"
    return _judged(name, seen, _skew(seen, sent, heard), round((heard - sent) * 1000, 1))


def _judged(name: str, seen: Seen, skew: float, ms: float) -> Finding:
    order: tuple[Status, ...] = ("fail", "unknown", "warn")
    faults = sorted(_faults(seen, skew), key=lambda fault: order.index(fault[0]))
    return Finding(
        check="host",
        subject=name,
        status=faults[0][0] if faults else "ok",
        says="; ".join(says for _, says, _ in faults) or f"answers, {_gigabytes(seen.disks[0].free)} free",
        hint=next((hint for _, _, hint in faults if hint), ""),
        evidence={
            "login_shell_s": round(seen.login, 3),
            "clock_skew_s": round(skew, 3),
            "lacks": list(seen.lacks),
            "disks": [{"folder": d.folder, "type": d.type, "free": d.free, "size": d.size} for d in seen.disks],
        },
        ms=ms,
    )


def _faults(seen: Seen, skew: float) -> Iterator[Fault]:
    if seen.lacks:
        yield "fail", f"lacks {', '.join(_PROGRAMS[word] for word in seen.lacks)}", "install what is missing there"
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
    yield from _wrong_place(seen.disks[0])
    for disk in seen.disks:
        if not disk.writable:
            yield "fail", f"{disk.folder} cannot be written to", "look at owner and mode of the folder above it"
    for disk in {(disk.size, disk.free, disk.type): disk for disk in reversed(seen.disks)}.values():
        yield from _full(disk)


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


def _read(stdout: str, folders: Sequence[str]) -> Seen:
    """Raises NotReady when the answer is not whole."""
    seen = Seen()
    for key, *values in (line.split() for line in stdout.splitlines() if line.strip()):
        if key == "clock":
            seen.began, seen.ended = seen.began or float(values[0]), float(values[0])
        elif key == "login":
            seen.login, seen.noise = float(values[1]) - float(values[0]), int(values[2])
        elif key == "lacks":
            seen.lacks += [word for word in values if word in _PROGRAMS]
        elif key == "place":
            seen.disks.append(_disk(folders[int(values[0])], values[1] == "yes", values[2:]))
    if not re.search(r"^whole$", stdout, re.M) or len(seen.disks) != len(folders):
        raise NotReady("its answer was cut off")
    return seen


def _disk(folder: str, writable: bool, values: Sequence[str]) -> Disk:
    if len(values) != 6:
        return Disk(folder, writable)
    kind, (free, blocks, unit, inodes_free, inodes) = values[0], map(int, values[1:])
    return Disk(folder, writable, kind, free * unit, blocks * unit, inodes_free, inodes)


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
