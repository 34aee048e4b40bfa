"""The user's own programs on this machine: builds, and what prints secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fairlead.errors import NotReady
from fairlead.model import Result
from fairlead.outside.lifeline import Broken, Task, each_alone, run_on_lifeline
from fairlead.outside.process import Child, Listening, start


async def run_program(
    argv: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout: float = 60.0,
    keep_end: bool = False,
) -> Result:
    """Run a program on this machine in `folder`; like everything else it dies with us.

    `keep_end`: of an output above 64 MB keep the end, as for builds; otherwise it is ended for that. Code 124 = ended
    after `timeout` seconds, 127 = no such program. Raises NotReady when it
    cannot be started, or was killed together with its shell.
    """

    async def here(line: str, listening: Listening) -> Child:
        return await start(("/bin/sh", "-c", line), listening, env=env)

    try:
        result = await run_on_lifeline(each_alone(here), Task(argv, str(folder), stdin, timeout, keep_end))
    except OSError as error:
        raise NotReady(f"`{argv[0]}` cannot be started: {error.strerror}") from error
    if isinstance(result, Broken):
        raise NotReady(f"`{argv[0]}` was ended from outside")
    return result
