"""From a path to an installation: read fairlead.yml, its settings, and where its secrets come from."""

from __future__ import annotations

from pathlib import Path

from fairlead.config import Installation, load, parse
from fairlead.errors import ConfigError, NotReady
from fairlead.model import SecretRef
from fairlead.outside.files import read_text
from fairlead.outside.secrets import Secrets


def open_installation(path: Path) -> tuple[Installation, Secrets]:
    """Read fairlead.yml and its sources of settings. Raises ConfigError with every problem, one a line."""
    try:
        text = read_text(path)
    except NotReady as error:
        raise ConfigError(error.what, "`fairlead init` writes one to start from, `--config` names another") from error
    document = parse(text, path.name)
    secrets = Secrets(document.sources, base=path.parent)
    return load(document, secrets.settings()), secrets


def secret_names(installation: Installation) -> set[str]:
    """The names of all secrets that fairlead.yml speaks of: builds do not get to see them."""
    refs = {host.account.key for host in installation.hosts.values()}
    refs |= {database.password for database in installation.databases}
    refs |= {group.maintenance.password for group in installation.groups.values() if group.maintenance}
    services = (service for one in installation.environments.values() for service in one.services.values())
    values = {value for service in services for health in service.health for value in health.headers.values()}
    refs |= {value for value in values if isinstance(value, SecretRef)}
    return {ref.name for ref in refs if ref is not None}
