"""Start and stop the processes of the demo's estate: what systemd is on a server.

    control.py start|stop|restart|status NAME FOLDER
    control.py stop-all

It lies in the host's `bin/`; `etc/NAME.json` beside it says which program, which port and which files. A service is
started from the folder that FOLDER/current points to at that moment. Exit 0 = done, or for `status`: the process runs
and was started from what `current` points to. Standard library only, Linux only (it reads /proc).
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST = Path(__file__).resolve().parent.parent
STOP_WITHIN = 2.0
"""Seconds between TERM and KILL."""
ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": os.defpath}
START_WITHIN = 5.0
"""Seconds in which a service must answer."""


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Hold the program's lock: two restarts at once would fight for the port.

    A child that is being started holds it too, until it is on record and executes its program. So a process that was
    started is always in a pid file, even when we are killed in between.
    """
    lock = os.open(HOST / "run" / f"{name}.lock", os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def started_at(pid: int) -> str:
    """The process's start time in clock ticks: tells it from a later one of the same number. Empty = not alive."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def recorded(name: str) -> int:
    """The pid of the program's living process, 0 where there is none."""
    try:
        pid, start = (HOST / "run" / f"{name}.pid").read_text().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if started_at(int(pid)) == start else 0


def wait_until_gone(pid: int, seconds: float) -> bool:
    """Wait for the end of a process that need not be our child."""
    end = time.monotonic() + seconds
    while started_at(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def stop(name: str) -> None:
    """TERM, and KILL after two seconds."""
    pid = recorded(name)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not pid or not started_at(pid):
            return
        os.kill(pid, number)
        wait_until_gone(pid, STOP_WITHIN)


def start(name: str, folder: Path) -> int:
    """Start the program unless it runs; return once it answers. Returns an exit code."""
    settings = json.loads((HOST / "etc" / f"{name}.json").read_text())
    if recorded(name):
        return 0
    origin = (folder / "current").resolve() if settings["port"] else folder
    (folder / "log").mkdir(exist_ok=True)
    log = folder / "log" / f"{name}.log"
    pid = os.fork()
    if pid == 0:
        become(name, settings, origin, log)
    if settings["port"] and not wait_for_answer(settings["port"], pid):
        print(f"{name} does not answer on port {settings['port']}: {last_line(log)}", file=sys.stderr)
        return 1
    return 0


def become(name: str, settings: dict[str, Any], origin: Path, log: Path) -> None:
    """Turn this child into the program: a session of its own, nothing inherited, on record before it begins."""
    try:
        os.setsid()
        os.chdir(origin)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
        os.dup2(1, 2)
        record = HOST / "run" / f"{name}.pid"
        record.with_suffix(".new").write_text(f"{os.getpid()} {started_at(os.getpid())}\n")
        record.with_suffix(".new").replace(record)
        for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
            if descriptor > 2:
                set_close_on_exec(descriptor)
        program = [str(HOST / "bin" / settings["program"]), str(HOST / "etc" / f"{name}.json")]
        os.execve(settings["python"], [settings["python"], "-I", "-S", *program], ENVIRONMENT)  # noqa: S606 - in place of this child
    except BaseException as error:  # a forked child must never return into its parent's code
        os.write(2, f"{error}\n".encode())
    os._exit(127)


def set_close_on_exec(descriptor: int) -> None:
    """Keep a caller's lock or pipe from living on in the program; one that is closed by now is no matter."""
    try:
        os.set_inheritable(descriptor, False)
    except OSError:
        return


def wait_for_answer(port: int, pid: int) -> bool:
    """Ask for the identity until the process that we started gives it."""
    end = time.monotonic() + START_WITHIN
    while time.monotonic() < end:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        if answering(port) == pid:
            return True
        time.sleep(0.005)
    return False


def answering(port: int) -> int:
    """The pid that the service on this port says it has; 0 = no answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(b"GET /version HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return int(json.loads(answer.partition(b"\r\n\r\n")[2])["pid"])
    except (OSError, ValueError, KeyError):
        return 0


def last_line(log: Path) -> str:
    """What the program said last."""
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "it said nothing"


def status(name: str, folder: Path) -> int:
    """0 = runs and was started from the release that is live; 3 = does not run; 1 = runs from something else."""
    pid = recorded(name)
    if not pid:
        return 3
    settings = json.loads((HOST / "etc" / f"{name}.json").read_text())
    same = Path(f"/proc/{pid}/cwd").resolve() == (folder / "current").resolve()
    return 0 if same and answering(settings["port"]) == pid else 1


def stop_all() -> None:
    """Stop everything that has a pid file."""
    for record in sorted((HOST / "run").glob("*.pid")):
        with one_at_a_time(record.stem):
            stop(record.stem)


def main(words: list[str]) -> int:
    """Obey one command line."""
    if words == ["stop-all"]:
        stop_all()
        return 0
    verb, name, folder = words[0], words[1], Path(words[2]).absolute()
    if verb == "status":
        return status(name, folder)
    with one_at_a_time(name):
        if verb in ("stop", "restart"):
            stop(name)
        return start(name, folder) if verb in ("start", "restart") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
