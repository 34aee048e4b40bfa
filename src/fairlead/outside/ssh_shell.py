"""One session of an ssh connection, in which lines of shell are run one after another: see `ssh_shell.sh`."""

from __future__ import annotations

import re
import secrets
import shlex
from dataclasses import replace
from functools import cache

from fairlead.outside.lifeline import LOOK, Start, script
from fairlead.outside.process import Child, Ended, Listening, Saying, converse


class Shell:
    """A session that is used by one request at a time. Made by `begin`; whoever begins one ends it.

    `begin` does not wait until the far side is there: the first request is sent at once, so it costs no trip more than
    in a session of its own.
    """

    def __init__(self, child: Child, word: str) -> None:
        self._child, self._word = child, word
        self._asked = False

    @classmethod
    async def begin(cls, start: Start) -> Shell:
        """A session that `start` opens."""
        word = secrets.token_hex(8)
        return cls(await start(f"exec {shlex.join(('sh', '-c', _script(), 'fairlead', word))}", Listening()), word)

    @property
    def usable(self) -> bool:
        """Whether another request can be made. Not after one that was broken off."""
        return not self._child.ending and not self._child.exited.is_set()

    async def ask(self, line: str, listening: Listening, saying: Saying, timeout: float, *, patience: float) -> Ended:
        """Run one line, as `converse` would with a program of its own. The session goes on only where it ended in time.

        Where the session ended before the line did, the code is that of the ssh client: 255 for a lost connection.
        """
        # With a full stop: the line that opened the session has the word too, and `env` may print it.
        mark = f" {self._word}.\n".encode()
        # Before the first line: noise of the login shell, or that there is no session.
        said = {} if self._asked else {fd: self._child.output(fd) for fd in (1, 2)}
        self._asked = True
        self._child.listen(replace(listening, mark=mark, mark_on=frozenset({1, 2})), said=said)
        request = f"{line}\n# {self._word}\n"
        # A newline first: what the request before has left unread may have no end of its own.
        head = f"\n{self._word} {request.count(chr(10))} {len(request.encode())}\n{request}".encode()
        saying = replace(saying, stdin=head + saying.stdin)
        return self._answer(await converse(self._child, saying, timeout=timeout, patience=patience, stays=True))

    def _answer(self, ended: Ended) -> Ended:
        outputs = [self._trimmed(raw) for raw in (ended.stdout, ended.stderr)]
        code = next((code for _, code in outputs if code is not None), ended.code)
        return replace(ended, code=code, stdout=outputs[0][0], stderr=outputs[1][0])

    def _trimmed(self, raw: bytes) -> tuple[bytes, int | None]:
        """What one output of the line holds, and the line's exit code where it has ended."""
        word = self._word.encode()
        noise, hello, said = raw.partition(b"fairlead shell " + word + b" begins\n")
        trailer = re.search(rb"\nfairlead done (\d+) " + word + rb"\.\n\Z", raw)
        tail = trailer.end() - trailer.start() if trailer else 0
        said = said if hello else noise
        return said[: len(said) - tail], int(trailer[1]) if trailer else None

    async def end(self, patience: float) -> None:
        """Hang up."""
        await self._child.end(patience)


@cache
def _script() -> str:
    return f"{LOOK}() {{\n{script()}\n}}\n{script('ssh_shell.sh')}"
