"""Real local hosts that can be made to misbehave as networks do, and one that copies with a real rsync."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Literal

from fairlead.errors import Lost
from fairlead.model import Account, Result
from fairlead.outside.local import LocalHost
from fairlead.outside.secrets import Secrets


class WatchedHost(LocalHost):
    """A local host that notes the verbs it carries, and loses the first answers to those in `loses`."""

    def __init__(self, home: Path, name: str = "web1", state: str = ".fairlead") -> None:
        super().__init__(Account(name=name, kind="local", home=str(home), state=state), Secrets())
        self.verbs: list[str] = []
        self.loses: dict[str, int] = {}
        self.silent = False
        """Lost means that the call ends without an answer; otherwise that it raises."""

    async def call(self, line: str, *, stdin: bytes = b"", beat: float = 0.0, timeout: float = 60.0) -> Result:
        """See `Host.call`."""
        verb = re.search(r"fl-[0-9a-f]{12}\.sh'? ([a-z]+) ", line)
        self.verbs.append(verb[1] if verb else "install")
        result = await super().call(line, stdin=stdin, beat=beat, timeout=timeout)
        if self.loses.get(self.verbs[-1], 0) > 0:
            self.loses[self.verbs[-1]] -= 1
            if self.silent:
                return Result(code=255)
            raise Lost("the connection broke")
        return result


class RsyncHost(WatchedHost):
    """A local host that is copied to with rsync, through a shell that stands where ssh would."""

    copies_with: Literal["rsync", "tar"] = "rsync"

    async def rsync(self, source: Path, to: str, *, remote_program: str, link_from: str = "", timeout: float) -> Result:
        """See `Host.rsync`."""
        shell = self._home / "reach"
        shell.write_text('#!/bin/sh\nshift\ncd "$HOME" && exec sh -c "$*"\n')
        shell.chmod(0o755)
        rsync = shutil.which("rsync") or "rsync"
        argv = [rsync, "-rlp", "--checksum", "-s", f"--rsync-path={remote_program}", "-e", str(shell)]
        ended = subprocess.run(
            [*argv, f"{source}/", f"x:{to}"],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._home)},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(code=ended.returncode, stdout=ended.stdout, stderr=ended.stderr)
