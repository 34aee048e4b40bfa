"""Steps whose change goes over a connection that is opened for it: that it can be opened is what they are about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fairlead.errors import Unreachable
from fairlead.model import Account, Plan, shell
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.outside.host import Host
from fairlead.outside.secrets import Secrets
from fairlead.run.operate import deploy
from fairlead.run.session import FRESH_PAUSE, Session
from support.small import HERE, THERE, accounts, planned, site, small
from support.sshd import Sshd

TELL = 'mkdir -p ground; echo "$SSH_CONNECTION" >"ground/$1.by"; echo after >"ground/$1"'


class Time:
    """A clock that moves by tries and by the pauses between them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return 1_800_000_000 + self.seconds

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        if seconds == FRESH_PAUSE:
            self.seconds += seconds
        else:
            await asyncio.sleep(seconds)  # the run's own looks, beside


class Shut(Hosts):
    """Accounts to which no new connection succeeds until then, each try taking some seconds."""

    def __init__(self, accounts: dict[str, Account], clock: Time, opens_after: float) -> None:
        super().__init__(accounts, Secrets())
        self.clock, self.opens_after, self.tried = clock, opens_after, 0

    @asynccontextmanager
    async def fresh(self, name: str) -> AsyncIterator[Host]:
        self.tried += 1
        self.clock.seconds += 9
        if self.clock.seconds < self.opens_after:
            raise Unreachable("Connection timed out")
        async with super().fresh(name) as host:
            yield host


ROWS = {
    "at once": (0.0, 1, "done", "do", "do"),
    "at the third try": (28.0, 3, "done", "do", "do"),
    "never": (1e9, 4, "back", "do undo", ""),
}


@pytest.mark.parametrize("host", [HERE, THERE], ids=["on the lock host", "elsewhere"])
@pytest.mark.parametrize("case", ROWS)
async def test_where_none_succeeds_in_time_the_step_has_failed(tmp_path: Path, case: str, host: str) -> None:
    opens, tried, state, first, second = ROWS[case]
    steps = [small("rules", host=host, service=""), small("proof", host=host, service="", fresh=30.0)]
    clock = Time()
    hosts = Shut(accounts(tmp_path), clock, opens)
    async with site(tmp_path, steps, hosts) as here:
        here.clock = clock

        async def replan() -> Plan:
            return here.plan

        made = await deploy(here.plan, here.context(), reason="", watch=False, replan=replan)
        assert (made.state, hosts.tried) == (state, tried)
        assert (here.ran("rules", host), here.ran("proof", host)) == (first, second)
        if state == "back":
            assert "no new connection succeeded within 30 s: Connection timed out" in made.why_back


async def test_it_is_another_connection(tmp_path: Path) -> None:
    with Sshd(tmp_path / "sshd") as sshd:
        steps = [small("old", do=TELL), small("new", do=TELL, fresh=30.0), small("again", do=TELL)]
        account = sshd.account(HERE)
        plan = planned(tmp_path, steps, accounts={HERE: account})
        async with Hosts({HERE: account}, sshd.secrets) as hosts:
            store, clock = ArtifactStore(tmp_path / "artifacts"), Time()
            session = Session(
                hosts, "t", HERE, who="anna", clock=clock, secrets=sshd.secrets, artifacts=store
            )  # fmt: skip
            await session.acquire("new", "r1", plan.lease)
            try:
                await session.raise_fences(plan.hosts)
                made = sshd.connections
                for step in steps:
                    assert (await session.change(step, "do", alone=True)).rc == 0
            finally:
                await session.close()
            old, new, again = ((sshd.home / f"ground/{step.id}.by").read_text() for step in steps)
            assert old == again != new and sshd.connections == made + 1
            undone = await (await hosts.get(HERE)).run(shell("echo still here"))
            assert undone.stdout == "still here\n"
