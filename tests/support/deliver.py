"""A run whose steps are told a secret on standard input: `python -m support.deliver ACCOUNT_JSON FOLDER`.

Nothing in fairlead.yml asks for that yet, but steps can: one that keeps it to itself, and one that says it and fails.
The secret is the operator's variable STDIN_SECRET.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from fairlead.config.source import EnvironmentSource
from fairlead.model import Account, Check, Event, Finding, Plan, Run, SecretRef, Step
from fairlead.outside.clock import SystemClock
from fairlead.outside.connect import Hosts
from fairlead.outside.files import ArtifactStore
from fairlead.outside.secrets import Secrets
from fairlead.run import operate
from support.small import HERE, planned, small

NAME = "STDIN_SECRET"
KEEPS = 'mkdir -p ground; sha256sum >"ground/$1.sum"; echo after >"ground/$1"'
TELLS = 'mkdir -p ground; echo after >"ground/$1"; cat; echo; exit 7'


def told(name: str, script: str) -> Step:
    """A step that gets the secret."""
    step = small(name, do=script)
    assert isinstance(step.do, Run)
    return step.model_copy(
        update={"do": Run(command=step.do.command.model_copy(update={"stdin": SecretRef(name=NAME)}))}
    )


async def main(account: Account, folder: Path) -> None:
    """Run, and say everything that there is to say of it."""

    async def fine(checks: Iterable[Check]) -> list[Finding]:
        return []

    async def again() -> Plan:
        return plan

    def say(event: Event) -> None:
        print(event.says)

    folder.mkdir(exist_ok=True)
    plan = planned(folder, [told("keeps", KEEPS), told("tells", TELLS)], accounts={HERE: account})
    secrets = Secrets((EnvironmentSource(),))
    async with Hosts(plan.accounts, secrets) as hosts:
        artifacts = ArtifactStore(folder / "artifacts")
        context = operate.Context(hosts, secrets, artifacts, SystemClock(), fine, "tests@here", say)
        deployment = await operate.deploy(plan, context, reason="secrets", watch=False, replan=again)
    print(plan.to_json(), deployment.to_json())


if __name__ == "__main__":
    asyncio.run(main(Account.model_validate_json(sys.argv[1]), Path(sys.argv[2])))
