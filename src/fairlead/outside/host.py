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
        """Run a command that only looks. It gets its secret, then `stdin`, then end of file.

        It runs in a session of its own. After `command.timeout` it is ended there: code 124, `ended after N s` at the
        end of stderr. Ours are also 126 (no such folder) and 127 (no such program); 128+N = ended by signal N.
        Raises NotReady when it prints more than 64 MB.
        """
        ...

    async def call(self, line: str, *, stdin: bytes = b"", beat: float = 0.0, timeout: float = 60.0) -> Result:
        """Run a shell line that reads standard input itself, as the target script does.

        `stdin` is sent first; then, until the line ends, one `.` every `beat`/3 seconds (0 = none), and standard
        input stays open: its end tells the line that we are gone. `timeout` in seconds, 0 = none; over it: standard
        input ends, four seconds later we stop listening, code 124. What a noisy login shell prints is no part of it; of
        more than 64 MB the end is kept. Over ssh code 255 may be the connection's: trust an answer, not the
        code. A daemon that the line starts must not keep the outputs open, or the call lasts as long as the daemon.
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
