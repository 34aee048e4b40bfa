from __future__ import annotations

from typing import Annotated, Literal

from fairlead.config.database import GroupEntry
from fairlead.config.environment import EnvironmentEntry
from fairlead.config.github import GitHubEntry
from fairlead.config.host import HostEntry
from fairlead.config.service import ServiceEntry
from fairlead.config.source import SourceChoice
from fairlead.config.types import Name, bare_name
from fairlead.model import Model

FORMAT = 1


class File(Model):
    """fairlead.yml as it is written."""

    fairlead: Literal[1]
    """Format of this file."""
    project: Name
    """What all of this is called."""
    sources: tuple[SourceChoice, ...] = ("environment",)
    """Where settings (`${NAME}`) and secrets (given by name) come from; the first that has it wins."""
    hosts: dict[Name, HostEntry] = {}
    """Accounts on machines."""
    databases: dict[Name, GroupEntry] = {}
    """Databases, in groups."""
    backup_metadata: Name | None = None
    """The database whose table `backup_metadata` says what others have backed up; read where there is such a table."""
    services: dict[Name, Annotated[ServiceEntry, bare_name(ServiceEntry)]] = {}
    """What each service is, the same everywhere."""
    github: Annotated[GitHubEntry, bare_name(GitHubEntry)] | None = None
    """GitHub, where gates or the announcing of deployments ask it."""
    environments: dict[Name, EnvironmentEntry] = {}
    """Which services exist where."""
