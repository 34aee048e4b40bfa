from __future__ import annotations

from pathlib import Path
from typing import Literal

from fairlead.errors import Lost, NotReady, Unreachable
from fairlead.model import Account, Command, Result
from fairlead.outside.environment import plain_environment
from fairlead.outside.lifeline import Broken, Task, each_alone, result_of, run_on_lifeline
from fairlead.outside.process import Child, Listening, Saying, start
from fairlead.outside.secrets import Secrets


class LocalHost:
    """The account that we run as, behaving as a login over ssh does."""

    copies_with: Literal["rsync", "tar"] = "tar"

    def __init__(self, account: Account, secrets: Secrets | None = None) -> None:
        self.account, self._secrets = account, secrets or Secrets()
        self._home = Path(account.home).expanduser() if account.home else Path.home()

    async def run(self, command: Command, *, stdin: bytes = b"") -> Result:
        """See `Host.run`."""
        task = Task(command.argv, command.cwd, await self._secrets.stdin_of(command) + stdin, command.timeout)
        result = await run_on_lifeline(each_alone(self._start), task)
        if isinstance(result, Broken):
            raise Lost(f"the shell around `{command.argv[0]}` was ended from outside")
        return result

    async def call(self, line: str, *, stdin: bytes = b"", beat: float = 0.0, timeout: float = 60.0) -> Result:
        """See `Host.call`."""
        talk = each_alone(self._start)
        return result_of(await talk(line, Listening(keep_end=True), Saying(stdin, beat / 3), timeout), timeout)

    async def rsync(self, source: Path, to: str, *, remote_program: str, link_from: str = "", timeout: float) -> Result:
        """Never: `copies_with` says tar."""
        raise NotReady(f"account {self.account.name} is local: trees are copied to it with tar, not with rsync")

    async def aclose(self) -> None:
        """See `Host.aclose`; there is no connection."""

    async def _start(self, line: str, listening: Listening) -> Child:
        try:
            return await start(
                ("sh", "-c", line), listening, cwd=self._home, env=plain_environment(home=str(self._home))
            )
        except OSError as error:
            raise Unreachable(
                f"no command can be started on the local account {self.account.name}: {error.strerror}",
                hint=f"does the folder {self._home} exist, and is the command shorter than 128 KB?",
            ) from error
