from __future__ import annotations

from typing import Literal

from fairlead.model.base import Model
from fairlead.model.command import SecretRef


class Account(Model):
    """A login on a machine. Two logins on one machine are two accounts, with two locks and two fences."""

    name: str
    """The name that fairlead.yml gives it."""
    kind: Literal["local", "ssh"]
    address: str = ""
    """What `ssh` is told to connect to: a host name, an address or an alias of ssh_config."""
    port: int | None = None
    user: str = ""
    key: SecretRef | None = None
    """The private key: the secret's value is a path, the key itself, or the key in base64."""
    known_hosts: str = ""
    """A known_hosts file of its own; empty = the user's."""
    ssh_config: str = ""
    """An ssh_config file of its own; empty = the user's."""
    via: str = ""
    """The name of another account to jump through."""
    home: str = ""
    """Only for local accounts: the folder that takes the place of the home; empty = the real home."""
    state: str = ".fairlead"
    """Where lock, record and fence lie: relative to the home, or absolute."""
    connect_timeout: float = 10.0
    """Seconds."""
