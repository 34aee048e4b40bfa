from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from fairlead.errors import CallError, ConfigError
from fairlead.model import Account
from fairlead.outside.host import Host
from fairlead.outside.local import LocalHost
from fairlead.outside.secrets import Secrets
from fairlead.outside.ssh import SshHost


class Hosts:
    """All accounts by name; each is opened once, when it is first asked for, and closed at the end.

    `async with Hosts(accounts, secrets) as hosts: host = await hosts.get("plesk")`
    """

    def __init__(self, accounts: Mapping[str, Account], secrets: Secrets, base: Path | None = None) -> None:
        """`base`: the folder of fairlead.yml, from which relative paths on this machine are meant."""
        self._accounts, self._secrets, self._base = dict(accounts), secrets, base
        self._made: dict[str, LocalHost | SshHost] = {}
        self._replaced: list[LocalHost | SshHost] = []

    async def get(self, name: str) -> Host:
        """The account of that name, logged in. Concurrent callers share one login.

        Raises Unreachable or NotReady when there is none; the next call tries again.
        """
        host = self._host(name, ())
        if isinstance(host, SshHost):
            await host.open()
        return host

    @asynccontextmanager
    async def fresh(self, name: str) -> AsyncIterator[Host]:
        """The same account over a connection of its own, opened for this and closed at its end. Raises as `get`."""
        host = self._make(self._host(name, ()).account, (name,))
        try:
            if isinstance(host, SshHost):
                await host.open()
            yield host
        finally:
            await host.aclose()

    def know(self, accounts: Mapping[str, Account]) -> None:
        """From now on these names mean these accounts, as an open run's plan has them, whatever was meant before."""
        for name, account in accounts.items():
            made = self._made.get(name)
            if made and made.account != account:
                self._replaced.append(self._made.pop(name))
        self._accounts |= accounts

    async def aclose(self) -> None:
        """Close all connections, those that go through others first."""
        made = [*self._replaced, *self._made.values()]
        self._replaced, self._made = [], {}
        through = {host.account.via for host in made}
        first = [host for host in made if host.account.name not in through]
        await asyncio.gather(*(host.aclose() for host in first))
        for host in reversed([host for host in made if host not in first]):
            await host.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _host(self, name: str, asked: tuple[str, ...]) -> LocalHost | SshHost:
        if name in asked:
            raise ConfigError(f"hosts jump through each other in a ring: {' -> '.join((*asked, name))}")
        if name not in self._accounts:
            raise CallError(f"there is no host named {name}", hint=f"known are: {', '.join(sorted(self._accounts))}")
        if name not in self._made:  # hosts that others jump through are made before those
            self._made[name] = self._make(self._placed(self._accounts[name]), (*asked, name))
        return self._made[name]

    def _placed(self, account: Account) -> Account:
        """Its paths on this machine as they are from here; in fairlead.yml and in plans they are relative."""
        names = [name for name in ("home", "known_hosts", "ssh_config") if getattr(account, name)]
        places = {name: str((self._base or Path()) / Path(getattr(account, name)).expanduser()) for name in names}
        return account.model_copy(update=places)

    def _make(self, account: Account, asked: tuple[str, ...]) -> LocalHost | SshHost:
        if account.kind == "local":
            return LocalHost(account, self._secrets)
        via = self._host(account.via, asked) if account.via else None
        if isinstance(via, LocalHost):
            raise ConfigError(f"host {account.name} cannot jump through {account.via}: that one is local")
        return SshHost(account, self._secrets, via)
