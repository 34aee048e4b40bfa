"""An operator: runs the real command line as a person would, from a folder, with a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.trace import tracing


@dataclass
class Operator:
    """Somebody at a machine. `home` holds everything that Fairlead keeps there; it may be deleted at any moment."""

    folder: Path
    """Where fairlead.yml lies."""
    home: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    traces: Path | None = None
    """A folder into which every command writes what programs it started; see `support.trace`."""
    said: list[str] = field(default_factory=list)
    """Both outputs of every command that was run to its end."""

    def env(self) -> dict[str, str]:
        """The environment of its processes."""
        self.home.mkdir(parents=True, exist_ok=True)
        return {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH")},
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            **self.environ,
        }

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        """Begin a command; both outputs are piped."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        argv = [*self._traced(), sys.executable, "-m", "fairlead", *words]
        return subprocess.Popen(argv, cwd=self.folder, env=self.env(), text=True, start_new_session=True, **pipes)

    def _traced(self) -> list[str]:
        return tracing(self.traces / f"{len(list(self.traces.iterdir()))}") if self.traces else []

    def run(self, *words: str, timeout: float = 280.0) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        process = self.start(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        self.said += [out, err]
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def must(self, code: int, *words: str) -> str:
        """A command that has to end with this code; returns its standard output."""
        done = self.run(*words)
        assert done.returncode == code, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def json(self, code: int, *words: str) -> Any:
        """The one JSON document that a command prints."""
        return json.loads(self.must(code, *words, "--json"))
