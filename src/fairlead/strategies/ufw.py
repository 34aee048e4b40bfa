"""How ufw lets only its clients reach a database port: its rules are read, judged, and put right from the top.

Nothing here acts. What is read are ufw's own files: they hold the rules in order, by family, also while it is off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

Network = IPv4Network | IPv6Network
Command = tuple[str, ...]
"""Arguments of ufw."""

_TUPLE = "### tuple ### "
_ANYWHERE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
OPENS, SHUTS = frozenset({"allow", "limit"}), frozenset({"deny", "reject"})


class Rule(NamedTuple):
    """One rule of ufw for one family, as it keeps it. Ports are `any`, or numbers and ranges such as `80,8000:8010`."""

    action: str
    """allow, limit, deny, reject."""
    protocol: str
    port: str
    to: Network
    source_port: str
    source: Network
    interface: str = ""
    log: str = ""
    """log or log-all: what it writes to the log."""
    application: str = ""
    """The profile that it was made from."""

    def takes(self, port: int) -> bool:
        """May it say anything about connections to this TCP port?"""
        return self.protocol in ("any", "tcp") and _within(port, self.port)

    @property
    def words(self) -> Command:
        """What was typed for it, after `ufw`."""
        head = (self.action, *((self.log,) if self.log else ()))
        where = ("in", "on", self.interface) if self.interface else ()
        if self.application:
            return (*head, *where, "from", _named(self.source), "to", _named(self.to), "app", self.application)
        anyone = _is_all(self.source) and self.source_port == "any" and _is_all(self.to)
        if anyone and not where and self.port != "any":
            return (*head, self.port if self.protocol == "any" else f"{self.port}/{self.protocol}")
        start = () if self.source_port == "any" else ("port", self.source_port)
        end = () if self.port == "any" else ("port", self.port)
        kind = () if self.protocol == "any" else ("proto", self.protocol)
        return (*head, *where, "from", _named(self.source), *start, "to", _named(self.to), *end, *kind)


class Wish(NamedTuple):
    """A port that these clients may reach, and nobody else."""

    port: int
    clients: tuple[Network, ...]


class Caller(NamedTuple):
    """A connection, as the machine sees it that it leads to."""

    source: IPv4Address | IPv6Address
    to: IPv4Address | IPv6Address
    port: int
    interface: str = ""
    """Where it comes in; empty = not known."""


class Found(NamedTuple):
    """What ufw is told on a machine."""

    active: bool
    rules: tuple[Rule, ...]
    """Of both families, each in its order."""
    incoming: str = "deny"
    """What becomes of connections that no rule speaks of: allow, deny, reject."""
    ipv6: bool = True
    """It manages IPv6 too."""

    def family(self, version: int) -> list[Rule]:
        """The rules of one family."""
        return [rule for rule in self.rules if rule.source.version == version]


# -- reading


def read_rules(text: str) -> list[Rule]:
    """The rules about incoming connections in `user.rules` or `user6.rules`. ValueError for one not understood."""
    lines = (line.removeprefix(_TUPLE) for line in text.splitlines() if line.startswith(_TUPLE))
    return [rule for line in lines if (rule := _rule(line))]


def _rule(line: str) -> Rule | None:
    """None for what is sent or passed on. Before 0.31 there was no direction; a profile has two more words."""
    words = [word for word in line.split() if not word.startswith("comment=")]
    if len(words) in (6, 8):
        words.append("in")
    if len(words) not in (7, 9):
        raise ValueError(f"a rule of ufw is not understood: {line}")
    action, protocol, port, to, source_port, source = words[:6]
    way, _, interface = words[-1].partition("_")
    if action.startswith("route:") or way != "in":
        return None
    action, _, log = action.partition("_")
    if action not in OPENS | SHUTS:
        raise ValueError(f"a rule of ufw is not understood: {line}")
    application = words[6].replace("%20", " ") if len(words) == 9 and words[6] != "-" else ""
    ends = (ip_network(end, strict=False) for end in (to, source))
    to_net, source_net = ends
    return Rule(action, protocol, port, to_net, source_port, source_net, interface, log, application)


def read_default(text: str) -> tuple[str, bool]:
    """What `/etc/default/ufw` says of incoming connections, and whether it manages IPv6."""
    values = dict(re.findall(r'^\s*([A-Z0-9_]+)="?([A-Za-z]*)"?', text, re.M))
    words = {"ACCEPT": "allow", "DROP": "deny", "REJECT": "reject"}
    return words.get(values.get("DEFAULT_INPUT_POLICY", "DROP").upper(), "deny"), values.get("IPV6", "yes") == "yes"


def read_status(text: str) -> bool:
    """Whether `ufw status` says that it is active. Raises ValueError where it says neither."""
    found = re.match(r"Status: (active|inactive)\s*$", text, re.M)
    if not found:
        raise ValueError(f"`ufw status` says neither active nor inactive: {' '.join(text.split())[:200]}")
    return found[1] == "active"


# -- judging


def settled(rules: Sequence[Rule], wish: Wish) -> bool:
    """May those of the wished clients that are of these rules' family reach the port for sure, and nobody else?

    The first rule that fits decides. A rule that fits only on some interface, or for some address of the machine, is no
    sure one; and that everybody else is shut out must be said by a rule: a default is changed more easily.
    """
    waiting = list(wish.clients)
    for rule in rules:
        if not rule.takes(wish.port):
            continue
        if rule.action in OPENS:
            if not any(_inside(rule.source, client) for client in wish.clients):
                return False
            if rule.action == "allow" and _sure(rule):
                waiting = [client for client in waiting if not _inside(client, rule.source)]
        elif any(_meets(rule.source, client) for client in waiting):
            return False
        elif _sure(rule) and _is_all(rule.source):
            return not waiting
    return False


def lets_in(found: Found, caller: Caller) -> bool:
    """Is a new connection of that kind let in by a rule, for sure? A default is no rule."""
    for rule in found.family(caller.source.version):
        if not rule.takes(caller.port) or caller.source not in rule.source:
            continue
        fits = caller.to in rule.to and rule.interface in ("", caller.interface) and rule.source_port == "any"
        if fits:
            return rule.action in OPENS
        if rule.action in SHUTS:
            return False  # it may be meant or not
    return False


def open_to_others(found: Found, wish: Wish) -> list[Rule]:
    """The rules that let somebody else than the clients reach the port, were they asked first."""
    own = (rule for rule in found.rules if rule.action in OPENS and rule.takes(wish.port))
    return [rule for rule in own if not any(_inside(rule.source, client) for client in wish.clients)]


# -- putting right


def changes(found: Found, wishes: Iterable[Wish], caller: Caller, ssh_ports: Iterable[int]) -> list[Command]:
    """What ufw must be told, in this order: SSH first, then each port from the top; empty = the rules are right.

    Rules of others stay, but what stands on top of them decides; one that differs from a new rule by nothing but what
    it does with a connection has to go, since ufw keeps only one of the two.
    """
    told: list[Command] = []
    for port in dict.fromkeys((caller.port, *ssh_ports)):
        named = any(rule.takes(port) and rule.port != "any" for rule in found.rules)
        if not (lets_in(found, caller) if port == caller.port else named or found.active):
            told += _on_top(found, ("allow", f"{port}/tcp"), _twins(found, port, None))
    for wish in wishes:
        families = (4, 6) if found.ipv6 else (4,)
        if all(settled(found.family(version), _of(wish, version)) for version in families):
            continue
        told += _on_top(found, ("deny", f"{wish.port}/tcp"), _twins(found, wish.port, None))
        for client in reversed(wish.clients):
            words = ("allow", "from", _named(client), "to", "any", "port", str(wish.port), "proto", "tcp")
            told += _on_top(found, words, _twins(found, wish.port, client))
    return told


def _on_top(found: Found, words: Command, twins: list[Rule]) -> list[Command]:
    gone = dict.fromkeys(("delete", *rule.words) for rule in twins)
    return [*gone, ("prepend", *words)]


def _twins(found: Found, port: int, client: Network | None) -> list[Rule]:
    """Rules for which ufw would keep no second one: the same in all but action, log and comment."""
    return [
        rule
        for rule in found.rules
        if (rule.protocol, rule.port, rule.source_port) == ("tcp", str(port), "any")
        and _sure(rule)
        and not rule.application
        and (_is_all(rule.source) if client is None else rule.source == client)
    ]


def _of(wish: Wish, version: int) -> Wish:
    return wish._replace(clients=tuple(client for client in wish.clients if client.version == version))


def without_rule(found: Found, listening: Iterable[tuple[str, int]]) -> list[str]:
    """Of (protocol, port) that are listened on: what no rule lets in, as `53/udp`."""

    def named(protocol: str, port: int) -> bool:
        return any(
            rule.action in OPENS and rule.protocol in ("any", protocol) and _within(port, rule.port)
            for rule in found.rules
        )

    return [f"{port}/{protocol}" for protocol, port in listening if not named(protocol, port)]


def is_client(address: str, clients: Iterable[Network]) -> bool:
    """Whether an address is one of the clients."""
    found = as_ip(address)
    return found is not None and any(found in client for client in clients)


def as_ip(text: str) -> IPv4Address | IPv6Address | None:
    """An address, one of IPv4 that is written as IPv6 included; None for anything else."""
    try:
        found = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _within(port: int, ports: str) -> bool:
    return ports == "any" or any(_between(port, part) for part in ports.split(","))


def _between(port: int, part: str) -> bool:
    low, _, high = part.partition(":")
    return int(low) <= port <= int(high or low)


def _sure(rule: Rule) -> bool:
    return _is_all(rule.to) and not rule.interface and rule.source_port == "any"


def _is_all(network: Network) -> bool:
    return network.prefixlen == 0


def _inside(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _meets(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _named(network: Network) -> str:
    """As ufw writes it: one address without its length."""
    if _is_all(network):
        return "any"
    return str(network.network_address) if network.num_addresses == 1 else str(network)
