from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.problems import Problem
from fairlead.config.rules.ground import Ground

_ONLY_SSH = ("address", "port", "user", "key", "known_hosts", "ssh_config", "via", "connect_timeout")


def keys_fit_connection(ground: Ground) -> Iterator[Problem]:
    """An ssh host has an address; a local one has nothing that is only for ssh."""
    for name, host in ground.file.hosts.items():
        if host.connect == "ssh" and not host.address:
            yield ground.problem(("hosts", name), "needs `address`", "or `connect: local` for this machine")
        useless = _ONLY_SSH if host.connect == "local" else ("home",)
        other = "ssh" if host.connect == "local" else "local"
        for key in useless:
            if key in host.model_fields_set:
                yield ground.problem(("hosts", name, key), f"is only for `connect: {other}`")


def jumps_are_ssh(ground: Ground) -> Iterator[Problem]:
    """One can only jump through an ssh host."""
    hosts = ground.file.hosts
    for name, host in hosts.items():
        if host.via in hosts and hosts[host.via].connect == "local":
            yield ground.problem(
                ("hosts", name, "via"), f"`{host.via}` is this machine: there is nothing to jump through"
            )


RULES = (keys_fit_connection, jumps_are_ssh)
