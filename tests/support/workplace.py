"""A service's place on a local account, and an operator who builds releases beside it: what strategies are tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlead.config import HostSpec, ServiceSpec
from fairlead.config.host import PRESETS
from fairlead.model import Account, Step
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.plan.prepare import Artifact, prepare
from fairlead.run.runner import Runner
from fairlead.run.session import Session
from support.small import HERE, Site, planned

HOST = HostSpec(name=HERE, account=Account(name=HERE, kind="local"), commands=PRESETS["systemd"])


@dataclass
class Workplace:
    """The account's home and the operator's `source` lie in `folder`."""

    folder: Path
    hosts: Hosts
    spec: ServiceSpec

    @property
    def home(self) -> Path:
        return self.folder / HERE

    async def prepared(self) -> Artifact:
        """What lies in `source`, as an artifact."""
        return await prepare(self.spec, self.folder, {}, ArtifactStore(self.folder / "artifacts"))

    @asynccontextmanager
    async def run(self, steps: Iterable[Step], run: str = "r1") -> AsyncIterator[tuple[Session, Runner]]:
        """A run of these steps, which is finished at the end."""
        here = Site(self.folder, self.hosts, planned(self.folder, steps))
        async with here.held(run) as (session, runner):
            yield session, runner
            await session.release(done=True)


def by_word(steps: Iterable[Step]) -> dict[str, Step]:
    """Steps by what they are called behind the service's name."""
    return {step.id.partition(".")[2]: step for step in steps}
