"""One account named `here` for a test: the local one with a home of its own, or a login over a real sshd."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlead.model import Account
from fairlead.outside.connect import Hosts
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets
from support.sshd import Sshd


@dataclass
class Place:
    hosts: Hosts
    host: Host
    home: Path
    user: str = ""
    """Who everything must belong to; empty = whoever runs the tests."""

    def give(self) -> None:
        """Let the account own what the test has put into its home."""
        if self.user and os.getuid() == 0:
            for path in (self.home, *self.home.rglob("*")):
                shutil.chown(path, self.user, self.user)


@asynccontextmanager
async def place(kind: str, folder: Path) -> AsyncIterator[Place]:
    """`kind`: local or ssh."""
    async with AsyncExitStack() as stack:
        if kind == "ssh":
            sshd = stack.enter_context(Sshd(folder / "sshd"))
            account, secrets, home, user = sshd.account("here"), sshd.secrets, sshd.home, sshd.user
        else:
            home = folder / "home"
            home.mkdir()
            account, secrets, user = Account(name="here", kind="local", home=str(home)), Secrets(), ""
        hosts = await stack.enter_async_context(Hosts({"here": account}, secrets))
        yield Place(hosts, await hosts.get("here"), home, user)
