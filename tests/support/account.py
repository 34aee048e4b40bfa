"""A home with the target's script in it, called as a login shell would call it: real processes, nothing of Fairlead."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "src/fairlead/journal/target.sh"


def flavours() -> list[str]:
    """What the script may meet as a shell and for flock(1); busybox only where it is installed."""
    found = ["sh", "bash", "sh without flock and setsid"]
    return [*found, "busybox ash"] if shutil.which("busybox") else found


@dataclass(frozen=True)
class Said:
    """An answer: the last line that starts with `fl1 `, without that; "" = none."""

    answer: str
    stdout: bytes
    stderr: bytes
    code: int

    @property
    def word(self) -> str:
        return self.answer.partition(" ")[0]

    @property
    def output(self) -> bytes:
        return self.stdout.rpartition(b"\nfl1 ")[0]


@dataclass
class ShellAccount:
    """One account with one environment, `prod`."""

    home: Path
    flavour: str = "sh"
    path: str = field(default_factory=lambda: os.environ["PATH"])
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dir = self.home / ".fairlead" / "prod"
        self.shell = {"bash": ["bash", "--posix"], "busybox ash": ["busybox", "ash"]}.get(self.flavour, ["sh"])
        self.environ = {"PATH": self.path, "HOME": str(self.home), **self.env}

    def call(self, *words: object, stdin: bytes = b"", before: str = "", stay: bool = False) -> Said:
        """Ask; `before` is a shell line that runs first, such as `ulimit -f 0`; `stay` until the answer has come."""
        with self.begun(*words, before=before) as process:
            if not stay:
                return said(process, *process.communicate(stdin, 30))
            with suppress(BrokenPipeError):  # it may have said no, and ended, without reading
                process.stdin.write(stdin)
                process.stdin.flush()
            out, err = process.stdout.read(), process.stderr.read()
            process.wait(30)
            return said(process, out, err)

    @contextmanager
    def begun(self, *words: object, before: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """A call whose standard input is ours; killed at the end where it still runs."""
        verb, *rest = map(str, words)
        argv = [*self.shell, str(SCRIPT), verb, ".fairlead/prod", *rest]
        if before:
            argv = ["sh", "-c", f'{before}; exec "$@"', "sh", *argv]
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.home, env=self.environ)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                with suppress(BrokenPipeError):
                    stream.close()

    def hold(self, token: int = 1, run: str = "r1", ttl: int = 30) -> None:
        """Acquire and raise until `token` is the holder's and the fence is open for it."""
        mode = "new" if token == 1 else "anew"
        assert self.call("acquire", mode, f"nonce-{run}", ttl, run, "anna", token - 1).word == "ok"
        assert self.call("raise", token, 0, 1, 5).word == "ok"

    def change(self, change: str, *command: str, **how: object) -> list[object]:
        """The words of `run` for a change of token 1; `how` overrides late, loss, limit, grace, beat, bytes."""
        late = how.get("late", int(time.time()) + 60)
        given = (how.get(name, default) for name, default in (("loss", "end"), ("limit", 30), ("grace", 1)))
        return ["run", how.get("token", 1), change, late, *given, how.get("beat", 30), how.get("bytes", 0), *command]

    def fence(self) -> str:
        return (self.dir / "fence").read_text().strip()


def said(process: subprocess.Popen[bytes], out: bytes, err: bytes) -> Said:
    where = err if b"fl1 " in err else out
    lines = [line for line in where.decode(errors="replace").split("\n") if line.startswith("fl1 ")]
    return Said(lines[-1][4:] if lines else "", out, err, process.returncode)


def until(condition, what: str, seconds: float = 10.0) -> None:
    """Wait for real processes; fails loudly."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """True while the process runs; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def tools_without(folder: Path, names: set[str]) -> str:
    """A PATH with everything that is on ours, except `names`."""
    folder.mkdir(exist_ok=True)
    places = [place for place in reversed(os.environ["PATH"].split(":")) if Path(place).is_dir()]
    for tool in (tool for place in places for tool in Path(place).iterdir() if tool.name not in names):
        (folder / tool.name).unlink(missing_ok=True)
        (folder / tool.name).symlink_to(tool)
    return str(folder)
