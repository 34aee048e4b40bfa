from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from fairlead.outside.ssh import SshHost
from support.sshd import Sshd


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
async def ssh(sshd: Sshd) -> AsyncIterator[SshHost]:
    host = SshHost(sshd.account(), sshd.secrets)
    yield host
    await host.aclose()
