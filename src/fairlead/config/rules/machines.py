"""Which machine a host is: two accounts on one machine share its units, its ports and its absolute paths."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import NamedTuple

from fairlead.config.host import HostSpec

HERE = "this machine"


def machine(host: str, hosts: Mapping[str, HostSpec], depth: int = 10) -> str:
    """A machine's name for comparing: its address, whatever the port, or this machine."""
    account = hosts[host].account
    address = account.address.lower().rstrip(".")
    if account.kind == "local":
        return HERE
    if not _is_loopback(address):
        return address
    return machine(account.via, hosts, depth - 1) if account.via in hosts and depth else HERE


def machine_seen_from(host: str, address: str, hosts: Mapping[str, HostSpec]) -> str:
    """The machine that an address means on a host."""
    name = address.lower().rstrip(".")
    return machine(host, hosts) if _is_loopback(name) else name


def _is_loopback(address: str) -> bool:
    return address in ("localhost", "::1", "[::1]") or address.startswith("127.")


class Folder(NamedTuple):
    """A path as it can be compared with others: relative paths count from one login's home."""

    machine: str
    home: str
    """Login or home that it is relative to; empty for absolute paths."""
    path: str

    def holds(self, other: Folder) -> bool:
        """Is `other` the same, or inside?"""
        same = (self.machine, self.home) == (other.machine, other.home)
        return same and f"{other.path}/".startswith(f"{self.path}/")


def folder(host: str, path: str, hosts: Mapping[str, HostSpec]) -> Folder:
    """The folder that a path means on a host."""
    account = hosts[host].account
    if not path.startswith("/") and account.home.startswith("/"):
        path = posixpath.normpath(f"{account.home}/{path}")
    home = "" if path.startswith("/") else f"{account.user} {account.home}"
    return Folder(machine(host, hosts), home, path)
