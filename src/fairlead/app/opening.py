"""From a path to an installation: read fairlead.yml, its settings, and where its secrets come from.

Kept light on purpose: a login takes as long as importing all that will use it, so both are done at once.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fairlead.config import EnvironmentSpec, Installation, load, parse
from fairlead.errors import CallError, ConfigError, FairleadError, NotReady
from fairlead.model import Event
from fairlead.outside.connect import Hosts
from fairlead.outside.files import read_bytes
from fairlead.outside.imports import importing
from fairlead.outside.secrets import Secrets

if TYPE_CHECKING:
    from fairlead.app.facade import Fairlead


@dataclass(frozen=True)
class Opening:
    """What an open installation is made of."""

    installation: Installation
    environment: EnvironmentSpec
    secrets: Secrets
    hosts: Hosts


@asynccontextmanager
async def opened(path: Path, environment: str, listen: Callable[[Event], None]) -> AsyncIterator[Fairlead]:
    """A `Fairlead` that is open; the login to its lock host goes on while what it needs is imported."""
    async with begun(path, environment) as opening:
        login = asyncio.create_task(_log_in(opening), name="log in")
        try:
            with importing():
                facade = await asyncio.to_thread(importlib.import_module, "fairlead.app.facade")
            async with facade.Fairlead(path, environment, listen=listen, opening=opening) as app:
                yield app
        finally:
            login.cancel()
            await asyncio.gather(login, return_exceptions=True)


@asynccontextmanager
async def begun(path: Path, environment: str) -> AsyncIterator[Opening]:
    """Read everything, and close every connection at the end. Raises ConfigError, and CallError for the environment."""
    installation, secrets = open_installation(path)
    chosen = _chosen(installation, environment)
    accounts = {name: host.account for name, host in installation.hosts.items()}
    async with Hosts(accounts, secrets, path.parent.absolute()) as hosts:
        yield Opening(installation, chosen, secrets, hosts)


async def _log_in(opening: Opening) -> None:
    """Whoever needs the host shares this login, or its failure."""
    with suppress(FairleadError):
        await opening.hosts.get(opening.environment.lock_host)


def open_installation(path: Path) -> tuple[Installation, Secrets]:
    """Read fairlead.yml and its sources of settings. Raises ConfigError with every problem, one a line."""
    try:
        text = read_bytes(path)
    except NotReady as error:
        raise ConfigError(error.what, "`fairlead init` writes one to start from, `--config` names another") from error
    document = parse(text, path.name)
    secrets = Secrets(document.sources, base=path.parent)
    installation = load(document, secrets.settings())
    secrets.guard(installation.secrets)
    return installation, secrets


def _chosen(installation: Installation, name: str) -> EnvironmentSpec:
    environments = installation.environments
    if not name and len(environments) == 1:
        return next(iter(environments.values()))
    there = ", ".join(environments)
    if not name:
        raise CallError("which environment?", f"say `-e NAME`; there are: {there}")
    if name not in environments:
        raise CallError(f"no environment {name!r}", f"there are: {there}")
    return environments[name]
