from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.database import DatabaseSpec, GroupSpec
from fairlead.config.environment import EnvironmentSpec
from fairlead.config.github import GitHubSpec
from fairlead.config.host import HostSpec
from fairlead.config.source import Source
from fairlead.model import Model, SecretRef


class Installation(Model):
    """Everything that fairlead.yml says, resolved and proven to fit together."""

    project: str
    sources: tuple[Source, ...]
    hosts: dict[str, HostSpec]
    groups: dict[str, GroupSpec]
    databases: tuple[DatabaseSpec, ...]
    """Those of all environments, in the file's order."""
    environments: dict[str, EnvironmentSpec]
    github: GitHubSpec | None = None
    backup_metadata: str = ""
    """Name of the database with the table `backup_metadata`; empty = there is none."""

    def database(self, name: str) -> DatabaseSpec:
        """The database of that name; KeyError where there is none."""
        for database in self.databases:
            if database.name == name:
                return database
        raise KeyError(name)

    def is_full(self, database: DatabaseSpec) -> bool:
        """Whether the `limit` of its group leaves no room for a second database beside it."""
        group = self.groups[database.group]
        return bool(group.limit) and len(group.databases) >= (group.limit or 0)

    def databases_of(self, environment: str) -> tuple[DatabaseSpec, ...]:
        """The databases of one environment, in the file's order."""
        return tuple(database for database in self.databases if database.environment == environment)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of all secrets that the file asks for, each once."""
        return tuple(dict.fromkeys(ref.name for ref in self._secrets()))

    def _secrets(self) -> Iterator[SecretRef]:
        keys = (host.account.key for host in self.hosts.values())
        logins = (group.maintenance.password for group in self.groups.values() if group.maintenance)
        admins = (group.admin.password for group in self.groups.values() if group.admin)
        passwords = (database.password for database in self.databases)
        services = (service for environment in self.environments.values() for service in environment.services.values())
        headers = (value for service in services for check in service.health for value in check.headers.values())
        sealed = (group.store.encrypt for group in self.groups.values())
        identities = tuple(one.identity for one in sealed if one)
        token = (self.github.token,) if self.github else ()
        for found in (*keys, *logins, *admins, *passwords, *headers, *identities, *token):
            if isinstance(found, SecretRef):
                yield found
