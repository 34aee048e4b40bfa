"""Plans that let only the clients of database servers reach their ports, and plans that take that back.

Whoever changes the firewall of a machine may lock himself out of it. So the change is on trial: a switch that is armed
on the machine before the first rule brings back what was there, unless a new connection disarms it in time.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from fairlead.checks.port import HERE, Knock, knock
from fairlead.config import DatabaseSpec, EnvironmentSpec, GroupSpec, HostSpec, Installation
from fairlead.config.rules.machines import machine, machine_seen_from
from fairlead.errors import CallError, FairleadError, NotReady
from fairlead.model import Command, Plan, PortCheck, Run, Step, canonical, sha256
from fairlead.outside.connect import Hosts
from fairlead.outside.files import package_text
from fairlead.plan.deploy import accounts_of, all_or_errors, assembled, standing
from fairlead.strategies import ufw

TRIAL = 30
"""Seconds that a new connection has to succeed, once the rules are there."""
LONGEST = 90
"""Seconds after which the state before comes back, even where the rules did not get there."""
ETC = "/etc/ufw"
"""Where ufw has its files."""


@dataclass
class Seen:
    """What a machine told of its firewall."""

    words: dict[str, str] = field(default_factory=dict)
    """By key: caller, interface, status, refused, sum; the last one told."""
    flags: frozenset[str] = frozenset()
    """kills, trial, lacks, not-at-boot, whole."""
    others: tuple[str, ...] = ()
    """Other firewalls that are active."""
    files: dict[str, str] = field(default_factory=dict)
    shut: tuple[str, ...] = ()
    """Files of ufw that the account may not read."""
    listening: tuple[tuple[str, str, int, str], ...] = ()
    """Protocol, address, port and program, as far as it is told."""
    ssh_ports: tuple[int, ...] = ()
    peers: tuple[tuple[int, str], ...] = ()
    """Connections that stand: own port, and who."""
    published: tuple[str, ...] = ()
    """Ports, or ranges of ports, of containers."""

    @property
    def caller(self) -> ufw.Caller | None:
        """Our own connection; None where it is none over SSH."""
        parts = self.words.get("caller", "").split()
        ends = [ufw.as_ip(part) for part in (*parts[:1], *parts[2:3])]
        if len(parts) != 4 or len(ends) != 2 or ends[0] is None or ends[1] is None:
            return None
        return ufw.Caller(ends[0], ends[1], int(parts[3]), self.words.get("interface", ""))

    @property
    def found(self) -> ufw.Found:
        """What ufw is told. Raises ValueError where that is not understood."""
        incoming, ipv6 = ufw.read_default(self.files.get("default", ""))
        rules = [rule for name in ("user.rules", "user6.rules") for rule in ufw.read_rules(self.files.get(name, ""))]
        return ufw.Found(ufw.read_status(self.words.get("status", "")), tuple(rules), incoming, ipv6)


class Server(NamedTuple):
    """A machine with databases, and what its firewall is to do."""

    host: HostSpec
    wishes: tuple[ufw.Wish, ...]
    reached: tuple[tuple[str, str, int], ...]
    """From which host, under which address, at which port its databases are reached."""


class Side(NamedTuple):
    """From where a port is looked at: a host, or the operator's machine (""); and what came of it."""

    host: str
    address: str
    port: int
    must: bool
    """It is the side that must reach it."""
    seen: Knock


# -- what is wanted


def servers(installation: Installation, groups: Iterable[GroupSpec]) -> list[Server]:
    """The machines of these groups. Clients on a machine itself need no rule: ufw lets its loopback through.

    Raises CallError for two accounts on one machine: it has only one firewall.
    """
    wishes: dict[str, dict[int, tuple[ufw.Network, ...]]] = {}
    reached: dict[str, list[tuple[str, str, int]]] = {}
    for group in groups:
        clients = tuple(ip_network(client) for client in group.clients if client != "localhost")
        port = group.port or 0
        before = wishes.setdefault(group.server, {}).get(port, ())
        wishes[group.server][port] = tuple(dict.fromkeys((*before, *clients)))
        reached.setdefault(group.server, []).append((group.host, group.address, port))
    first = dict[str, str]()
    for name in wishes:
        other = first.setdefault(machine(name, installation.hosts), name)
        if other != name:
            what = f"{other} and {name} are accounts on one machine, which has one firewall"
            raise CallError(what, "name the same account as `server` in both groups")
    return [
        Server(installation.hosts[name], tuple(ufw.Wish(*wish) for wish in ports.items()), tuple(reached[name]))
        for name, ports in wishes.items()
    ]


async def plan_firewall(
    installation: Installation, environment: EnvironmentSpec, groups: Sequence[GroupSpec], hosts: Hosts, *, now: float
) -> Plan:
    """Let only the clients of these groups reach their servers' ports; without steps where that is so already.

    Looks at the hosts, changes nothing. `now`: Unix time, for the names of what is kept.
    Raises NotReady naming every machine whose firewall cannot be changed, with the rules to type by hand.
    """
    wanted = servers(installation, groups)
    seen = dict(zip([one.host.name for one in wanted], await _look_at(wanted, hosts), strict=True))
    sides = [side for one in wanted for side in await _sides(installation, one, seen[one.host.name], hosts)]
    steps: list[Step] = []
    remarks: list[str] = []
    labels: dict[str, str] = {}
    for one in wanted:
        state, caller = seen[one.host.name], _caller(seen[one.host.name])
        told = ufw.changes(state.found, one.wishes, caller, state.ssh_ports)
        if told or not state.found.active:
            labels[one.host.name] = _label(one.host, state, now)
            steps += _steps(one, state, ("rules", *map(" ".join, told)), _shown(state, told), labels[one.host.name])
            remarks += _remarks(one, state, told)
        remarks += _always(one, state)
    remarks += _about_sides(sides)
    return _planned(installation, environment, steps, remarks, labels, sides)


async def plan_return(
    installation: Installation,
    environment: EnvironmentSpec,
    groups: Sequence[GroupSpec],
    kept: Mapping[str, str],
    hosts: Hosts,
    *,
    now: float,
) -> Plan:
    """Bring back the firewalls that are kept under these labels, by host, on trial as any other change of them.

    Raises NotReady where a firewall is no longer as that change has left it.
    """
    wanted = [one for one in servers(installation, groups) if one.host.name in kept]
    seen = dict(zip([one.host.name for one in wanted], await _look_at(wanted, hosts), strict=True))
    stands = await asyncio.gather(*(_stands(one.host, kept[one.host.name], hosts) for one in wanted))
    if moved := [one.host.name for one, is_so in zip(wanted, stands, strict=True) if not is_so]:
        what = f"the firewall of {', '.join(moved)} was changed since, and what is kept would take that back too"
        raise NotReady(what, "type there: ufw status numbered")
    steps: list[Step] = []
    labels = {one.host.name: _label(one.host, seen[one.host.name], now) for one in wanted}
    for one in wanted:
        name = one.host.name
        shows = (f"ufw as it is kept under {kept[name]}",)
        steps += _steps(one, seen[name], ("back", kept[name]), shows, labels[name])
    return _planned(installation, environment, steps, [], {}, [])


async def _stands(host: HostSpec, label: str, hosts: Hosts) -> bool:
    told = await (await hosts.get(host.name)).run(command(host, "probe", label))
    return told.stdout.split()[-1:] == ["after"]


def by_hand(one: Server, ssh_port: int) -> str:
    """What a person types there as root, where nothing is known of the rules that are there."""
    nowhere = ip_address("0.0.0.0")  # noqa: S104 - an address that no rule lets in
    told = ufw.changes(ufw.Found(False, ()), one.wishes, ufw.Caller(nowhere, nowhere, ssh_port), ())
    return "; ".join([*(f"ufw {' '.join(words)}" for words in told), "ufw enable"])


# -- what is there


def command(host: HostSpec, verb: str, *args: str, timeout: float = 60.0) -> Command:
    """Ask the script of `strategies/ufw.sh` on a host."""
    words, script = host.commands.argv("firewall"), package_text("strategies/ufw.sh")
    ways = (host.account.state, shlex.join(words), shlex.join(words[:-1]), ETC)
    return Command(argv=("sh", "-c", 'eval "$1"', "fairlead", script, verb, *ways, *args), timeout=timeout)


async def _look_at(wanted: Iterable[Server], hosts: Hosts) -> list[Seen]:
    async def one_look(one: Server) -> Seen:
        name = one.host.name
        if one.host.account.kind == "local":
            what = f"{name} is this machine: that nobody is locked out is proven by a new SSH connection"
            raise NotReady(what, f"give hosts.{name} an address")
        told = await (await hosts.get(name)).run(command(one.host, "look"))
        state = read(told.stdout)
        if "whole" not in state.flags:
            raise NotReady(f"what {name} tells of its firewall is cut off: {told.last_words}")
        if faults := list(_faults(one, state)):
            port = caller.port if (caller := state.caller) else one.host.account.port or 22
            hints = [*(hint for _, hint in faults), f"or by hand, as root on {name}: {by_hand(one, port)}"]
            raise NotReady("\n".join(f"{name}: {what}" for what, _ in faults), "\n".join(hints))
        return state

    return await all_or_errors(one_look(one) for one in wanted)


def read(stdout: str) -> Seen:
    """What the script's `look` has told."""
    seen = Seen()
    several: dict[str, list[str]] = {}
    for line in stdout.splitlines():
        key, _, rest = line.partition(" ")
        if key == "file":
            name, _, text = rest.partition(" ")
            seen.files[name] = b64decode(text).decode(errors="replace")
        elif key == "status":
            seen.words[key] = b64decode(rest).decode(errors="replace")
        elif key in ("caller", "interface", "refused", "sum"):
            seen.words[key] = rest.strip()
        else:
            several.setdefault(key, []).append(rest.strip())
    seen.flags = frozenset(key for key in ("kills", "trial", "lacks", "not-at-boot", "whole") if key in several)
    seen.others, seen.shut = (tuple(several.get(key, ())) for key in ("other", "shut"))
    seen.listening = tuple(there for line in several.get("listen", ()) if (there := _listener(line)))
    seen.ssh_ports = _ssh_ports(seen.listening, several.get("sshd", ()))
    seen.peers = tuple(one for line in several.get("peer", ()) if (one := _peer(line)))
    seen.published = tuple(several.get("docker", ()))
    return seen


def _listener(line: str) -> tuple[str, str, int, str] | None:
    protocol, place, *rest = line.split()
    address, _, port = place.rpartition(":")
    programs = re.findall(r'"([^"]+)"', " ".join(rest))  # systemd may hold the socket too
    program = "sshd" if "sshd" in programs else next(iter(programs), "")
    return (protocol, address.strip("[]"), int(port), program) if port.isdigit() else None


def _peer(line: str) -> tuple[int, str] | None:
    own, other = (end.rpartition(":") for end in line.split())
    address = ufw.as_ip(other[0])
    return (int(own[2]), str(address)) if own[2].isdigit() and address else None


def _ssh_ports(listening: Iterable[tuple[str, str, int, str]], configured: Iterable[str]) -> tuple[int, ...]:
    """Where sshd listens: as programs are told, or else as it is configured and something listens."""
    there = [(port, program) for protocol, _, port, program in listening if protocol == "tcp"]
    named = {int(port) for port in configured}
    return tuple(sorted({port for port, program in there if program == "sshd" or port in named}))


def _caller(state: Seen) -> ufw.Caller:
    assert state.caller  # noqa: S101 - one without is a fault
    return state.caller


def _faults(one: Server, state: Seen) -> Iterator[tuple[str, str]]:
    """Why the firewall of this machine cannot be changed from here, and what may be done about it."""
    words, account = shlex.join(one.host.commands.argv("firewall")), one.host.account
    who = account.user or "this account"
    for other in state.others:
        what = f"{other} is active there: two programs that write rules undo each other's"
        yield what, f"systemctl disable --now {other}"
    if "lacks" in state.flags:
        yield "ufw is not there", "apt-get install ufw"
    elif "refused" in state.words:
        what = f"{who} may not run `{words}`: {state.words['refused']}"
        yield what, f"allow it, or set hosts.{one.host.name}.commands.firewall"
    elif state.shut:
        may = ", ".join(f"/usr/bin/cat {file}, /usr/bin/tee {file}" for file in state.shut)
        yield f"{who} may not read {', '.join(state.shut)}: the state before could not be kept", f"sudoers: {may}"
    elif "status" in state.words:
        yield from _odd_rules(one, state)
    if "kills" in state.flags:
        what = "it ends what an account leaves behind (KillUserProcesses), so nothing would bring the state before back"
        yield what, "as root it does not, or: loginctl enable-linger"
    if "trial" in state.flags:
        yield "a change of its firewall is on trial", f"it ends by itself in {LONGEST} s at most"
    if state.caller is None:
        yield "it does not tell where our SSH connection comes from", "does its sshd set SSH_CONNECTION?"


def _odd_rules(one: Server, state: Seen) -> Iterator[tuple[str, str]]:
    try:
        found = state.found
    except ValueError as error:
        yield str(error), "type there: ufw status numbered"
        return
    if found.ipv6:
        return
    sixes = [str(client) for wish in one.wishes for client in wish.clients if client.version == 6]
    caller = state.caller
    if sixes or (caller and caller.source.version == 6):
        needed = ", ".join(sixes) or "our SSH connection"
        yield f"ufw does not manage IPv6 there, and {needed} needs it", "set IPV6=yes in /etc/default/ufw"


async def _sides(installation: Installation, one: Server, state: Seen, hosts: Hosts) -> list[Side]:
    """The port as it is now: where its databases are reached from, on every other host, and on this machine."""
    known = installation.hosts
    own = machine(one.host.name, known)
    elsewhere = [name for name, host in known.items() if host.account.kind == "ssh" and machine(name, known) != own]
    asked: dict[tuple[str, str, int], bool] = dict.fromkeys(one.reached, True)
    for host, address, port in one.reached:
        if machine_seen_from(host, address, known) != machine(host, known):  # else no network lies between
            asked = {(name, address, port): False for name in ("", *elsewhere)} | asked

    async def side(place: tuple[str, str, int], must: bool) -> Side:
        try:
            return Side(*place, must, await knock(hosts, *place))
        except FairleadError as error:
            return Side(*place, must, Knock("unknown", error.what))

    found = await asyncio.gather(*(side(place, must) for place, must in asked.items()))
    clients = {wish.port: wish.clients for wish in one.wishes}
    caller = "" if one.host.account.via or state.caller is None else str(state.caller.source)
    return [side for side in found if side.must or not _is_client(side, clients[side.port], caller)]


def _is_client(side: Side, clients: tuple[ufw.Network, ...], caller: str) -> bool:
    return ufw.is_client(side.seen.source, clients) or (not side.host and ufw.is_client(caller, clients))


# -- the plan


def _label(host: HostSpec, state: Seen, now: float) -> str:
    day = time.strftime("%Y%m%d", time.gmtime(now))
    return f"{day}_{sha256(canonical([host.name, state.words.get('sum', ''), now]))[:8]}"


def _shown(state: Seen, told: Iterable[ufw.Command]) -> tuple[str, ...]:
    on = () if state.found.active else ("ufw enable",)
    return (*(f"ufw {' '.join(words)}" for words in told), *on)


def _steps(one: Server, state: Seen, how: tuple[str, ...], shows: tuple[str, ...], label: str) -> list[Step]:
    host, name, before = one.host, one.host.name, state.words["sum"]
    whole = "on" if state.found.active else "off"
    ports = ", ".join(str(wish.port) for wish in one.wishes)
    switch = f"unless a new SSH connection succeeds within {TRIAL} s, the host brings back the state before by itself"
    trial = (label, str(TRIAL), str(LONGEST), *how)
    return [
        Step(
            id=f"{name}.firewall-kept",
            title=f"{name}: keep its firewall as it is",
            host=name,
            phase="stage",
            do=Run(command=command(host, "keep", label, before)),
            probe=command(host, "kept", label, before),
            back="stays",
            shows=(f"ufw.conf, user.rules, user6.rules -> {host.account.state}/.firewall/{label}",),
        ),
        Step(
            id=f"{name}.firewall",
            title=f"{name}: the firewall of {ports}, on trial",
            host=name,
            phase="activate",
            do=Run(command=command(host, "apply", *trial, timeout=float(LONGEST))),
            probe=command(host, "probe", label),
            undo=command(host, "undo", label, timeout=float(LONGEST)),
            loss="finish",
            leaves=True,
            shows=(*shows, switch),
            shows_back=(f"ufw's files as they are now, and ufw {whole}",),
        ),
        Step(
            id=f"{name}.firewall-confirmed",
            title=f"{name}: confirm over a new SSH connection",
            host=name,
            phase="activate",
            do=Run(command=command(host, "confirm", label)),
            probe=command(host, "confirmed", label),
            undo=command(host, "unconfirm", label),
            fresh=float(TRIAL),
            shows=(f"ssh {host.account.address}, and tell the host that it succeeded",),
            shows_back=("what was confirmed counts no more",),
        ),
    ]


def _remarks(one: Server, state: Seen, told: Sequence[ufw.Command]) -> Iterator[str]:
    """What a person must know before the rules change."""
    name, found = one.host.name, state.found
    gone = {words[1:] for words in told if words[0] == "delete"}
    for wish in one.wishes:
        for words in dict.fromkeys(rule.words for rule in ufw.open_to_others(found, wish)):
            what = "is deleted" if words in gone else "stays, behind rules that decide before it"
            yield f"{name}: `{' '.join(words)}` let others reach {wish.port}; it {what}"
        strangers = [peer for port, peer in state.peers if port == wish.port and not _of_its_own(peer, wish)]
        if strangers:
            who = ", ".join(dict.fromkeys(strangers))
            yield f"{name}: {who} is connected to {wish.port} and no client: what is open may last, nothing new opens"
    if not found.active and found.incoming != "allow":
        shut = [(protocol, port) for protocol, address, port, _ in state.listening if not _loopback(address)]
        own = {("tcp", port) for port in (*state.ssh_ports, _caller(state).port, *(wish.port for wish in one.wishes))}
        if closed := ufw.without_rule(found, [one for one in dict.fromkeys(shut) if one not in own]):
            yield f"{name}: ufw is off; on, it shuts what is listened on and has no rule: {', '.join(closed)}"


def _always(one: Server, state: Seen) -> Iterator[str]:
    """What stays true, whether the rules change or not."""
    name = one.host.name
    for wish in one.wishes:
        if any(_published(wish.port, ports) for ports in state.published):
            yield f"{name}: docker publishes {wish.port}, past ufw: bind it to 127.0.0.1, or filter in DOCKER-USER"
    if "not-at-boot" in state.flags:
        yield f"{name}: ufw is not started at boot: systemctl enable ufw"


def _about_sides(sides: Iterable[Side]) -> Iterator[str]:
    for side in sides:
        name, place = side.host or HERE, f"{side.address}:{side.port}"
        if side.seen.word == "unknown":
            yield f"whether {name} reaches {place} is unknown: {side.seen.why}"
        elif side.must and side.seen.word != "open":
            yield f"{name} does not reach {place} now; afterwards it must, or everything goes back"


def _planned(
    installation: Installation,
    environment: EnvironmentSpec,
    steps: list[Step],
    remarks: list[str],
    labels: Mapping[str, str],
    sides: Sequence[Side],
) -> Plan:
    proofs = tuple(_check(side, open_=side.must) for side in sides if side.must or side.seen.word != "unknown")
    before = tuple(_check(side, open_=True) for side in sides if side.must and side.seen.word == "open")
    used = [*(step.host for step in steps), *(side.host for side in sides if side.host)]
    return assembled(
        installation,
        environment,
        [],
        [step for phase in ("stage", "activate") for step in steps if step.phase == phase],
        kind="firewall",
        accounts=accounts_of(installation, environment, used),
        firewalls=dict(labels),
        proven={"": proofs},
        standing={**standing(environment, {}, {}), "": before},
        remarks=tuple(remarks),
    )


def _check(side: Side, *, open_: bool) -> PortCheck:
    return PortCheck(subject=side.host or HERE, host=side.host, address=side.address, port=side.port, open=open_)


def _of_its_own(peer: str, wish: ufw.Wish) -> bool:
    return _loopback(peer) or ufw.is_client(peer, wish.clients)


def _loopback(address: str) -> bool:
    found = ufw.as_ip(address)
    return found is not None and found.is_loopback


def _published(port: int, ports: str) -> bool:
    low, _, high = ports.partition("-")
    return low.isdigit() and int(low) <= port <= int(high or low)


def groups_of(installation: Installation, databases: Iterable[DatabaseSpec]) -> list[GroupSpec]:
    """The groups of these databases that say where their server is and who may reach it, in the file's order."""
    names = {database.group for database in databases}
    return [group for group in installation.groups.values() if group.name in names and group.server and group.clients]
