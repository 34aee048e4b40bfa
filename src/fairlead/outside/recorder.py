from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from fairlead.errors import FairleadError
from fairlead.model import Account, Command, Result

Answer = Result | FairleadError
"""What a host says; an error is raised."""


class Recorder:
    """A host for tests: runs nothing, remembers everything, never guesses an answer.

    `answers` are found by the command as text, by a call's line, or by `rsync FOLDER`; a sequence is given out one by
    one. KeyError names the command that was forgotten.
    """

    copies_with: Literal["rsync", "tar"] = "rsync"

    def __init__(self, answers: Mapping[str, Answer | Sequence[Answer]], account: Account | None = None) -> None:
        self.account = account or Account(name="recorder", kind="local")
        self._answers = {
            key: [said] if isinstance(said, (Result, FairleadError)) else list(said) for key, said in answers.items()
        }
        self._repeats = {key for key, said in answers.items() if isinstance(said, (Result, FairleadError))}
        self.heard: list[str] = []
        """Every command, call and copy, in order."""
        self.inputs: list[bytes] = []
        """What each was given on standard input, in the same order."""

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        """See `Host.run`. The command's secret is not opened."""
        return self._answer(str(command), stdin)

    async def call(self, line: str, *, stdin: bytes = b"", beat: float = 0.0, timeout: float = 60.0) -> Result:
        """See `Host.call`."""
        return self._answer(line, stdin)

    async def rsync(self, source: Path, to: str, *, remote_program: str, link_from: str = "", timeout: float) -> Result:
        """See `Host.rsync`; its input is the path of `source`."""
        return self._answer(f"rsync {to}", str(source).encode())

    async def aclose(self) -> None:
        """See `Host.aclose`."""

    def _answer(self, key: str, stdin: bytes) -> Result:
        self.heard.append(key)
        self.inputs.append(stdin)
        said = self._answers.get(key)
        if not said:
            raise KeyError(key)
        answer = said[0] if key in self._repeats else said.pop(0)
        if isinstance(answer, FairleadError):
            raise answer
        return answer
