from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from fairlead.model import Account, Command, Result


class Host(Protocol):
    """An account that commands run on. One contract test holds for local, ssh and recorder.

    Errors: `Unreachable` when nothing was run (safe to ask again), `Lost` when the connection broke while something
    may have run. A command's own exit code, 255 included, is a `Result`. Cancelling the task, or the death of this
    process by any signal, ends what runs on the host within seconds.
    """

    account: Account
    copies_with: Literal["rsync", "tar"]
    """How trees are copied: by rsync over the open connection, or as a tar stream on standard input."""

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        """Run a command that only looks. It gets `stdin` and then end of file; it is ended after `command.timeout`."""
        ...

    async def call(self, line: str, *, stdin: bytes = b"", beat: float = 0.0, timeout: float = 60.0) -> Result:
        """Run a shell line that reads standard input itself, as the target script does.

        `stdin` is sent first; then, until the line ends, one `.` every `beat`/3 seconds (0 = none), and standard
        input stays open: its end tells the line that we are gone. `timeout` in seconds, 0 = none.
        """
        ...

    async def rsync(self, source: Path, to: str, *, remote_program: str, link_from: str = "", timeout: float) -> Result:
        """Copy the content of the folder `source` into `to` with rsync over the open connection.

        Contents are compared by checksum; modes and symbolic links are kept, times and owners are not.
        `remote_program` is a shell line that takes the place of `rsync` on the far side; its own last words come back
        in `stderr`. Only where `copies_with` is rsync.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection; nothing of ours is left behind on either side."""
        ...
