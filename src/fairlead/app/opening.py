"""From a path to an installation: read fairlead.yml, its settings, and where its secrets come from."""

from __future__ import annotations

from pathlib import Path

from fairlead.config import Installation, load, parse
from fairlead.errors import ConfigError, NotReady
from fairlead.outside.files import read_bytes
from fairlead.outside.secrets import Secrets


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
