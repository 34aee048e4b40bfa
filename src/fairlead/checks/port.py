"""Is a port reached from here, and where from it must not be? Asked where the connection would come from."""

from __future__ import annotations

from typing import NamedTuple

from fairlead.checks.looked import looked
from fairlead.errors import NotReady
from fairlead.model import Account, Finding, PortCheck, Status, shell
from fairlead.outside.connect import Hosts
from fairlead.outside.files import package_text
from fairlead.outside.host import Host
from fairlead.outside.local import LocalHost

PATIENCE = 4
"""Seconds without an answer after which a port is silent."""
HERE = "this machine"

_SHUT = {"silent": "nothing answers", "refused": "it is refused"}


class Knock(NamedTuple):
    """What came of one connection."""

    word: str
    """open, refused, silent, or unknown."""
    why: str = ""
    """Why it is unknown."""
    source: str = ""
    """The address that it came from, as the machine knows it that asked."""


async def knock(hosts: Hosts, name: str, address: str, port: int) -> Knock:
    """Connect from a host, or from the operator's machine (""), and hang up. Raises what the host raises."""
    host: Host = await hosts.get(name) if name else LocalHost(Account(name=HERE, kind="local", home="/"))
    words = (address, str(port), str(PATIENCE))
    told = await host.run(shell(package_text("checks/port.sh"), *words, timeout=PATIENCE + 2))
    said = dict(line.partition(" ")[::2] for line in told.stdout.splitlines())
    for word in ("open", "refused", "silent", "unknown"):
        if word in said:
            return Knock(word, said[word], said.get("from", ""))
    raise NotReady(f"it cannot be told whether {address}:{port} is reached from there: {told.last_words or told.code}")


async def check_port(check: PortCheck, hosts: Hosts) -> Finding:
    """The port as it should be, or not, or not known."""
    return await looked("port", check.subject, _look(check, hosts))


async def _look(check: PortCheck, hosts: Hosts) -> Finding:
    seen = await knock(hosts, check.host, check.address, check.port)
    status, says = _verdict(check, seen)
    return Finding(
        check="port",
        subject=check.subject,
        status=status,
        says=says,
        hint="" if status == "ok" else f"type there: nc -vz -w {PATIENCE} {check.address} {check.port}",
        evidence={"host": check.host, "address": check.address, "port": check.port, "seen": seen.word},
    )


def _verdict(check: PortCheck, seen: Knock) -> tuple[Status, str]:
    place = f"{check.address}:{check.port}"
    if seen.word == "unknown":
        return "unknown", f"whether {place} is reached from there cannot be told: {seen.why}"
    if seen.word == "open":
        return ("ok", f"reaches {place}") if check.open else ("fail", f"reaches {place}, and should not")
    told = f"does not reach {place}: {_SHUT[seen.word]}"
    return ("fail", told) if check.open else ("ok", told)
