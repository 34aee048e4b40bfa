"""What ufw's files mean for a port, and what ufw must be told: rows of rules as ufw 0.36.2 of Debian writes them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from fairlead.strategies import ufw
from fairlead.strategies.ufw import Caller, Found, Wish

PLESK, SIX = "10.77.0.10", "2001:db8::10"
CALLER = Caller(ip_address("10.77.0.1"), ip_address("10.77.0.20"), 22, "host0")

EMPTY = """*filter
:ufw-user-input - [0:0]
### RULES ###
-A ufw-user-limit -j REJECT
COMMIT
"""
BOTH = """### RULES ###

### tuple ### allow tcp 3306 0.0.0.0/0 any 10.77.0.10 in
-A ufw-user-input -p tcp --dport 3306 -s 10.77.0.10 -j ACCEPT

### tuple ### allow_log tcp 3306 0.0.0.0/0 any 0.0.0.0/0 in
### tuple ### allow any 3306 0.0.0.0/0 any 10.77.0.0/24 in
### tuple ### limit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in_host0 comment=6974206973207573
### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in
### tuple ### route:allow any 80 0.0.0.0/0 any 0.0.0.0/0 in_host0!out_host0
### tuple ### deny any 25 0.0.0.0/0 any 0.0.0.0/0 out
### END RULES ###
"""
SIXES = """### tuple ### allow tcp 22 ::/0 any ::/0 OpenSSH - in
### tuple ### allow tcp 3306,5432 ::/0 any 2001:db8::5 in
### tuple ### allow tcp 8000:8010 ::/0 53 ::/0 in
"""
READ = {
    "as it is installed": (EMPTY, []),
    "rules of every kind": (
        BOTH,
        [
            "allow from 10.77.0.10 to any port 3306 proto tcp",
            "allow log 3306/tcp",
            "allow from 10.77.0.0/24 to any port 3306",
            "limit in on host0 from any to any port 22 proto tcp",
            "allow from any to any app OpenSSH",
        ],
    ),
    "IPv6": (
        SIXES,
        [
            "allow from any to any app OpenSSH",
            "allow from 2001:db8::5 to any port 3306,5432 proto tcp",
            "allow from any port 53 to any port 8000:8010 proto tcp",
        ],
    ),
    "of an old ufw, without a direction": ("### tuple ### deny tcp 80 0.0.0.0/0 any 0.0.0.0/0", ["deny 80/tcp"]),
}


@pytest.mark.parametrize("case", READ)
def test_rules_are_read_in_their_order(case: str) -> None:
    text, words = READ[case]
    assert [" ".join(rule.words) for rule in ufw.read_rules(text)] == words


@pytest.mark.parametrize(
    "line", ["### tuple ### allow tcp 22", "### tuple ### permit tcp 22 0.0.0.0/0 any 0.0.0.0/0 in"]
)
def test_a_rule_that_is_not_understood_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        ufw.read_rules(line)


STATUS = """Status: active
Logging: on (low)
Default: deny (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW IN    Anywhere
"""


def test_whether_it_runs() -> None:
    assert ufw.read_status(STATUS) and not ufw.read_status("Status: inactive\n")
    for odd in ("", "Status: Aktiv\n", "ERROR: You need to be root to run this script\n"):
        with pytest.raises(ValueError, match="neither"):
            ufw.read_status(odd)


DEFAULTS = {
    "as it is installed": ('# /etc/default/ufw\nIPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\n', ("deny", True)),
    "open, and without IPv6": ('IPV6=no\nDEFAULT_INPUT_POLICY="ACCEPT"\n', ("allow", False)),
    "commented out": ("#IPV6=no\n", ("deny", True)),
    "unreadable": ("", ("deny", True)),
}


@pytest.mark.parametrize("case", DEFAULTS)
def test_defaults(case: str) -> None:
    text, wanted = DEFAULTS[case]
    assert ufw.read_default(text) == wanted


def found(*lines: str, active: bool = True, ipv6: bool = True) -> Found:
    """Rules of `user.rules`, or of `user6.rules` where an address says so; without the mark in front of each."""
    rules = [rule for line in lines for rule in ufw.read_rules(f"### tuple ### {line}")]
    return Found(active, tuple(rules), ipv6=ipv6)


def wish(*clients: str, port: int = 3306) -> Wish:
    return Wish(port, tuple(map(ip_network, clients)))


ANY, ANY6 = "0.0.0.0/0 any 0.0.0.0/0 in", "::/0 any ::/0 in"
OURS = ("allow tcp 3306 0.0.0.0/0 any 10.77.0.10 in", f"deny tcp 3306 {ANY}")
OURS6 = (f"deny tcp 3306 {ANY6}",)
SETTLED: dict[str, tuple[tuple[str, ...], bool]] = {
    "no rule": ((), False),
    "ours": (OURS, True),
    "in the other order": (OURS[::-1], False),
    "without a rule that shuts": (OURS[:1], False),
    "without the client": (OURS[1:], False),
    "a client of a larger net, before that nothing": (("allow any any 0.0.0.0/0 any 10.77.0.10 in", OURS[1]), True),
    "everybody before it": ((f"allow tcp 3306 {ANY}", *OURS), False),
    "everybody after it": ((*OURS, f"allow tcp 3306 {ANY}"), True),
    "a net around the client before it": (("allow any 3306 0.0.0.0/0 any 10.77.0.0/24 in", *OURS), False),
    "a range of ports for everybody before it": ((f"allow tcp 3000:4000 {ANY}", *OURS), False),
    "everything from somebody before it": (("allow any any 0.0.0.0/0 any 10.77.0.99 in", *OURS), False),
    "an application's ports for everybody before it": (
        ("allow tcp 80,3306 0.0.0.0/0 any 0.0.0.0/0 Web - in", *OURS),
        False,
    ),
    "everybody on one interface before it": (("allow tcp 3306 0.0.0.0/0 any 0.0.0.0/0 in_eth1", *OURS), False),
    "the client, but on one interface": (("allow tcp 3306 0.0.0.0/0 any 10.77.0.10 in_eth1", OURS[1]), False),
    "the client, but to one address": (("allow tcp 3306 10.77.0.20 any 10.77.0.10 in", OURS[1]), False),
    "the client, but limited": (("limit tcp 3306 0.0.0.0/0 any 10.77.0.10 in", OURS[1]), False),
    "the client is denied first": (("deny any any 0.0.0.0/0 any 10.77.0.10 in", *OURS), False),
    "somebody else is denied first": (("deny any any 0.0.0.0/0 any 10.77.0.99 in", *OURS), True),
    "shut on one interface only": ((OURS[0], "deny tcp 3306 0.0.0.0/0 any 0.0.0.0/0 in_eth1"), False),
    "rejected instead": ((OURS[0], f"reject any 3306 {ANY}"), True),
    "all ports are shut": ((OURS[0], f"deny any any {ANY}"), True),
    "udp is nobody's business": ((f"allow udp 3306 {ANY}", *OURS), True),
    "another port": ((f"allow tcp 22,80:90 {ANY}", *OURS), True),
}


@pytest.mark.parametrize("case", SETTLED)
def test_a_port_that_only_its_client_reaches(case: str) -> None:
    lines, wanted = SETTLED[case]
    assert ufw.settled(found(*lines).rules, wish(PLESK)) is wanted


SSH: dict[str, tuple[tuple[str, ...], bool]] = {
    "no rule": ((), False),
    "everybody": ((f"allow tcp 22 {ANY}",), True),
    "limited": ((f"limit tcp 22 {ANY}",), True),
    "our net": (("allow any 22 0.0.0.0/0 any 10.77.0.0/24 in",), True),
    "another net": (("allow any 22 0.0.0.0/0 any 10.99.0.0/24 in",), False),
    "another port": ((f"allow tcp 2222 {ANY}",), False),
    "by IPv6 alone": ((f"allow tcp 22 {ANY6}",), False),
    "our interface": (("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in_host0",), True),
    "another interface": (("allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in_eth9",), False),
    "the address that we came to": (("allow tcp 22 10.77.0.20 any 0.0.0.0/0 in",), True),
    "another address": (("allow tcp 22 10.99.0.20 any 0.0.0.0/0 in",), False),
    "denied first": (("deny any any 0.0.0.0/0 any 10.77.0.1 in", f"allow tcp 22 {ANY}"), False),
    "perhaps denied first": (("deny tcp 22 0.0.0.0/0 any 0.0.0.0/0 in_eth9", f"allow tcp 22 {ANY}"), False),
    "everything from us": (("allow any any 0.0.0.0/0 any 10.77.0.1 in",), True),
}


@pytest.mark.parametrize("case", SSH)
def test_our_own_way_in(case: str) -> None:
    lines, wanted = SSH[case]
    assert ufw.lets_in(found(*lines), CALLER) is wanted


PREPEND = (
    "prepend allow 22/tcp",
    "prepend deny 3306/tcp",
    "prepend allow from 10.77.0.10 to any port 3306 proto tcp",
)
SSH_OPEN = (f"allow tcp 22 {ANY}", f"allow tcp 22 {ANY6}")
CHANGES: dict[str, tuple[Found, Wish, tuple[str, ...]]] = {
    "as it is installed": (found(active=False), wish(PLESK), PREPEND),
    "it is as it should be": (found(*SSH_OPEN, *OURS, *OURS6), wish(PLESK), ()),
    "without IPv6": (found(SSH_OPEN[0], *OURS, ipv6=False), wish(PLESK), ()),
    "IPv6 is open": (
        found(*SSH_OPEN, *OURS),
        wish(PLESK),
        ("delete deny 3306/tcp", PREPEND[1], "delete allow from 10.77.0.10 to any port 3306 proto tcp", PREPEND[2]),
    ),
    "a client by IPv6": (
        found(*SSH_OPEN),
        wish(PLESK, SIX),
        (PREPEND[1], "prepend allow from 2001:db8::10 to any port 3306 proto tcp", PREPEND[2]),
    ),
    "nobody": (found(*SSH_OPEN), wish(), (PREPEND[1],)),
    "open to everybody, by the rule that only differs by what it does": (
        found(*SSH_OPEN, f"allow_log tcp 3306 {ANY}", f"allow_log tcp 3306 {ANY6}"),
        wish(PLESK),
        ("delete allow log 3306/tcp", *PREPEND[1:]),
    ),
    "open to everybody, by others": (
        found(*SSH_OPEN, f"allow any 3306 {ANY}", "allow tcp 3306 0.0.0.0/0 any 0.0.0.0/0 MySQL - in"),
        wish(PLESK),
        PREPEND[1:],
    ),
    "SSH is denied to us": (
        found("deny any any 0.0.0.0/0 any 10.77.0.1 in", *SSH_OPEN, *OURS, *OURS6),
        wish(PLESK),
        ("delete allow 22/tcp", PREPEND[0]),
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_what_ufw_is_told(case: str) -> None:
    there, wanted, told = CHANGES[case]
    assert tuple(" ".join(words) for words in ufw.changes(there, [wanted], CALLER, [22])) == told


PORTS = {
    "sshd listens on another one too": (found(active=False), (22, 2222), ["22/tcp", "2222/tcp"]),
    "that one has a rule": (found(f"allow tcp 2222 {ANY}", active=False), (22, 2222), ["22/tcp"]),
    "ufw runs: who comes by the other one is decided": (found(), (22, 2222), ["22/tcp"]),
}


@pytest.mark.parametrize("case", PORTS)
def test_ssh_ports_that_are_let_in(case: str) -> None:
    there, ports, wanted = PORTS[case]
    told = ufw.changes(there, [], CALLER, ports)
    assert [words[-1] for words in told if words[:2] == ("prepend", "allow")] == wanted


def test_who_else_was_let_in() -> None:
    there = found(
        *OURS, f"allow tcp 3000:4000 {ANY}", "allow any any 0.0.0.0/0 any 10.77.0.0/24 in", f"allow tcp 80 {ANY}"
    )
    told = [" ".join(rule.words) for rule in ufw.open_to_others(there, wish(PLESK))]
    assert told == ["allow 3000:4000/tcp", "allow from 10.77.0.0/24 to any"]


def test_what_has_no_rule() -> None:
    there = found(f"allow tcp 80 {ANY}", f"deny tcp 81 {ANY}", f"allow any 53 {ANY}")
    listening = [("tcp", 80), ("tcp", 81), ("udp", 80), ("udp", 53), ("tcp", 9100)]
    assert ufw.without_rule(there, listening) == ["81/tcp", "80/udp", "9100/tcp"]


def test_addresses() -> None:
    clients = (ip_network(PLESK), ip_network("2001:db8::/64"))
    for address in (PLESK, "::ffff:10.77.0.10", "[2001:db8::7]"):
        assert ufw.is_client(address, clients), address
    for address in ("10.77.0.11", "2001:db8:1::7", "fe80::1%eth0", "plesk", ""):
        assert not ufw.is_client(address, clients), address
