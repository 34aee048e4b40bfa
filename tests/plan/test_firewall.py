"""Plans for firewalls of database servers, from what machines tell: rows of machines."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from fairlead.config import Installation, load, parse
from fairlead.errors import CallError, NotReady, Unreachable
from fairlead.model import Command, Plan, PortCheck, Result
from fairlead.outside.connect import Hosts
from fairlead.plan import firewall
from fairlead.plan.firewall import plan_firewall, plan_return

NOW = 1_800_000_000.0
FILE = """
fairlead: 1
project: p
hosts:
  plesk: {address: 10.77.0.10, user: deploy}
  mysql: {address: 10.77.0.20, user: root}
  pg: {address: 10.77.0.30, user: admin, commands: sudo}
  desk: {connect: local}
databases:
  external:
    engine: mariadb
    reached_from: plesk
    address: 10.77.0.20
    server: mysql
    clients: [10.77.0.10]
    environment: test
    password: P
    names: {crm: {}}
  postgres:
    engine: postgres
    reached_from: plesk
    address: 10.77.0.30
    server: pg
    clients: [10.77.0.10]
    environment: test
    password: P
    names: {idp: {}}
environments:
  test: {lock_host: plesk}
"""

EMPTY = "*filter\n### RULES ###\nCOMMIT\n"
FIRST = "### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n"
SIXTH = "### tuple ### deny tcp 3306 ::/0 any ::/0 in\n### tuple ### allow tcp 22 ::/0 any ::/0 in\n"
RULES = (
    "### tuple ### allow tcp 3306 0.0.0.0/0 any 10.77.0.10 in\n"
    "### tuple ### deny tcp 3306 0.0.0.0/0 any 0.0.0.0/0 in\n" + FIRST
)
LISTENS = 'listen tcp 0.0.0.0:22 users:(("sshd",pid=44,fd=3))\nlisten tcp *:3306 users:(("mariadbd",pid=76,fd=5))\n'


def machine(
    *lines: str,
    active: bool = False,
    rules: str = EMPTY,
    sixes: str = EMPTY,
    default: str = "IPV6=yes\n",
    caller: str = "10.77.0.1 40000 10.77.0.20 22",
    whole: bool = True,
) -> str:
    """What `look` tells there."""

    def packed(text: str) -> str:
        return b64encode(text.encode()).decode()

    files = {"ufw.conf": "ENABLED=no\n", "user.rules": rules, "user6.rules": sixes, "default": default}
    status = "Status: active\n\nTo  Action  From\n" if active else "Status: inactive\n"
    told = [f"caller {caller}", "interface host0", LISTENS.strip(), f"status {packed(status)}", "sum 4711"]
    told += [f"file {name} {packed(text)}" for name, text in files.items()]
    return "\n".join([*told, *lines, *(["whole"] if whole else [])])


class Machines:
    """Hosts that tell what they are told to."""

    def __init__(self, **told: str | Exception) -> None:
        self.told: dict[str, str | Exception] = {"mysql": machine(), "pg": machine(), "probe": "after", **told}

    async def get(self, name: str) -> Any:
        answer = self.told[name]
        if isinstance(answer, Exception):
            raise answer
        return _Machine(answer, str(self.told["probe"]))


class _Machine:
    def __init__(self, told: str, probe: str) -> None:
        self.told, self.probe = told, probe

    async def run(self, command: Command) -> Result:
        return Result(code=0, stdout=self.told if command.argv[5] == "look" else self.probe)


Ways = dict[tuple[str, int], firewall.Knock]
"""What becomes of a connection from a host ("" = from here) to a port."""
OPEN = firewall.Knock("open", "", "10.77.0.99")


async def planned(
    monkeypatch: pytest.MonkeyPatch,
    machines: Machines,
    *names: str,
    ways: Ways | None = None,
    kept: dict[str, str] | None = None,
) -> Plan:
    async def knock(hosts: Hosts, name: str, address: str, port: int) -> firewall.Knock:
        return (ways or {}).get((name, port), OPEN)

    monkeypatch.setattr(firewall, "knock", knock)
    there: Installation = load(parse(FILE), {})
    groups = [there.groups[name] for name in names or ("external",)]
    if kept is not None:
        return await plan_return(there, there.environments["test"], groups, kept, machines, now=NOW)  # type: ignore[arg-type]
    return await plan_firewall(there, there.environments["test"], groups, machines, now=NOW)  # type: ignore[arg-type]


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


async def test_a_machine_with_ufw_off(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = await planned(monkeypatch, Machines())
    assert ids(plan) == ["mysql.firewall-kept", "mysql.firewall", "mysql.firewall-confirmed"]
    kept, trial, confirmed = plan.steps
    assert trial.shows[:4] == (
        "ufw prepend allow 22/tcp",
        "ufw prepend deny 3306/tcp",
        "ufw prepend allow from 10.77.0.10 to any port 3306 proto tcp",
        "ufw enable",
    )
    assert (kept.back, trial.back, trial.loss, trial.leaves) == ("stays", "reversible", "finish", True)
    assert (trial.fresh, confirmed.fresh) == (0.0, 30.0)
    (label,) = plan.firewalls.values()
    assert label.startswith("20270115_") and all(label in step.probe.argv for step in plan.steps)


async def test_who_is_asked_for_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = await planned(monkeypatch, Machines())
    told = {(check.subject, check.open) for check in plan.proven[""] if isinstance(check, PortCheck)}
    assert told == {("plesk", True), ("pg", False), ("this machine", False)}
    assert [(check.subject, check.kind) for check in plan.standing[""]] == [("plesk", "port")]
    assert {"plesk", "mysql", "pg"} <= set(plan.accounts)


SIDES: dict[str, tuple[Ways, set[tuple[str, bool]], str]] = {
    "another host is a client": (
        {("pg", 3306): OPEN._replace(source="10.77.0.10")},
        {("plesk", True), ("this machine", False)},
        "",
    ),
    "another host cannot be asked": (
        {("pg", 3306): firewall.Knock("unknown", "it is down")},
        {("plesk", True), ("this machine", False)},
        "whether pg reaches 10.77.0.20:3306 is unknown: it is down",
    ),
    "it is not reached yet": (
        {("plesk", 3306): firewall.Knock("silent")},
        {("plesk", True), ("pg", False), ("this machine", False)},
        "plesk does not reach 10.77.0.20:3306 now; afterwards it must, or everything goes back",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SIDES)
async def test_sides(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    ways, wanted, remark = SIDES[case]
    plan = await planned(monkeypatch, Machines(), ways=ways)
    assert {(check.subject, check.open) for check in plan.proven[""] if isinstance(check, PortCheck)} == wanted
    assert not remark or remark in plan.remarks
    assert bool(plan.standing[""]) is (case != "it is not reached yet")


async def test_this_machine_may_be_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    told = machine(caller="10.77.0.10 40000 10.77.0.20 22")
    plan = await planned(monkeypatch, Machines(mysql=told))
    assert "this machine" not in {check.subject for check in plan.proven[""]}


async def test_rules_that_are_right_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told = machine(active=True, rules=RULES, sixes=SIXTH)
    plan = await planned(monkeypatch, Machines(mysql=told))
    assert (plan.steps, plan.firewalls, len(plan.proven[""])) == ((), {}, 3)
    off = machine(rules=RULES, sixes=SIXTH)
    plan = await planned(monkeypatch, Machines(mysql=off))
    assert plan.steps[1].shows[0] == "ufw enable", "right rules of a firewall that is off"


async def test_two_machines_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = await planned(monkeypatch, Machines(), "external", "postgres")
    assert [(step.host, step.phase) for step in plan.steps] == [
        ("mysql", "stage"), ("pg", "stage"),
        ("mysql", "activate"), ("mysql", "activate"), ("pg", "activate"), ("pg", "activate"),
    ]  # fmt: skip
    ways = {step.host: step.probe.argv[7:9] for step in plan.steps}
    assert ways == {"mysql": ("ufw", ""), "pg": ("sudo -n ufw", "sudo -n")}
    assert plan.hash == (await planned(monkeypatch, Machines(), "external", "postgres")).hash


SSH_PORTS = {
    "sshd beside systemd": ('listen tcp 0.0.0.0:2222 users:(("systemd",pid=1,fd=3),("sshd",pid=44,fd=3))',),
    "configured, where programs are not told": ("listen tcp [::]:2222", "sshd 2222", "sshd 2200"),
}


@pytest.mark.parametrize("case", SSH_PORTS)
async def test_other_ports_of_sshd_are_let_in_too(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    plan = await planned(monkeypatch, Machines(mysql=machine(*SSH_PORTS[case])))
    assert plan.steps[1].shows[:2] == ("ufw prepend allow 22/tcp", "ufw prepend allow 2222/tcp")
    assert plan.remarks == (), "what is let in is not said to be shut"


async def test_one_machine_has_one_firewall(monkeypatch: pytest.MonkeyPatch) -> None:
    text = FILE.replace("pg: {address: 10.77.0.30", "pg: {address: 10.77.0.20")
    monkeypatch.setitem(globals(), "FILE", text)
    with pytest.raises(CallError, match="mysql and pg are accounts on one machine"):
        await planned(monkeypatch, Machines(), "external", "postgres")


REMARKS: dict[str, tuple[str, str]] = {
    "it was open to everybody": (
        machine(active=True, rules=FIRST + "### tuple ### allow tcp 3306 0.0.0.0/0 any 0.0.0.0/0 in\n", sixes=SIXTH),
        "mysql: `allow 3306/tcp` let others reach 3306; it is deleted",
    ),
    "it was open to a net": (
        machine(active=True, rules=FIRST + "### tuple ### allow any any 0.0.0.0/0 any 10.0.0.0/8 in\n", sixes=SIXTH),
        "mysql: `allow from 10.0.0.0/8 to any` let others reach 3306; it stays, behind rules that decide before it",
    ),
    "somebody else is connected": (
        machine("peer 10.77.0.20:3306 10.77.0.30:51000", "peer 10.77.0.20:3306 10.77.0.10:51001"),
        "mysql: 10.77.0.30 is connected to 3306 and no client: what is open may last, nothing new opens",
    ),
    "other services listen": (
        machine("listen tcp 0.0.0.0:80", "listen tcp 127.0.0.1:25", "listen udp [::]:123", "listen tcp [::]:80"),
        "mysql: ufw is off; on, it shuts what is listened on and has no rule: 80/tcp, 123/udp",
    ),
    "a container's port": (
        machine("docker 3300-3310"),
        "mysql: docker publishes 3306, past ufw: bind it to 127.0.0.1, or filter in DOCKER-USER",
    ),
    "not at boot": (machine("not-at-boot"), "mysql: ufw is not started at boot: systemctl enable ufw"),
}


@pytest.mark.parametrize("case", REMARKS)
async def test_what_a_person_must_know(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    told, remark = REMARKS[case]
    assert (await planned(monkeypatch, Machines(mysql=told))).remarks == (remark,)


BY_HAND = (
    "or by hand, as root on mysql: ufw prepend allow 22/tcp; ufw prepend deny 3306/tcp; "
    "ufw prepend allow from 10.77.0.10 to any port 3306 proto tcp; ufw enable"
)
REFUSED: dict[str, tuple[str | Exception, str]] = {
    "no ufw": (machine("lacks"), "mysql: ufw is not there"),
    "not allowed to": (machine("refused sudo: a password is required"), "mysql: root may not run `ufw`: sudo"),
    "its files are shut": (machine("shut /etc/ufw/user.rules"), "the state before could not be kept"),
    "firewalld": (machine("other firewalld"), "mysql: firewalld is active there: two programs that write rules undo"),
    "nftables": (machine("other nftables"), "mysql: nftables is active there"),
    "what is left behind is ended": (machine("kills"), "nothing would bring the state before back"),
    "on trial already": (machine("trial"), "mysql: a change of its firewall is on trial"),
    "rules of a kind that nobody knows": (machine(rules="### tuple ### permit all"), "a rule of ufw is not understood"),
    "by no SSH connection": (machine(caller=""), "it does not tell where our SSH connection comes from"),
    "by IPv6, which it does not manage": (
        machine(default="IPV6=no\n", caller="2001:db8::1 40000 2001:db8::2 22"),
        "ufw does not manage IPv6 there, and our SSH connection needs it",
    ),
    "an answer that is cut off": (machine(whole=False), "what mysql tells of its firewall is cut off"),
    "not reached": (Unreachable("10.77.0.20:22 did not answer"), "10.77.0.20:22 did not answer"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_where_it_cannot_be_done_it_is_said_how_by_hand(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    told, says = REFUSED[case]
    with pytest.raises(NotReady) as error:
        await planned(monkeypatch, Machines(mysql=told), "external", "postgres")
    assert says in error.value.what and error.value.exit_code == 1
    if case not in ("an answer that is cut off", "not reached"):
        assert BY_HAND in error.value.hint.splitlines()


async def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotReady) as error:
        await planned(
            monkeypatch, Machines(mysql=machine("lacks"), pg=machine("other nftables")), "external", "postgres"
        )
    assert "mysql: ufw is not there" in error.value.what and "pg: nftables is active" in error.value.what


async def test_a_way_back_is_on_trial_too(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Machines(mysql=machine(active=True, rules=RULES, sixes=SIXTH))
    plan = await planned(monkeypatch, there, kept={"mysql": "20270101_aaaaaaaa"})
    assert ids(plan) == ["mysql.firewall-kept", "mysql.firewall", "mysql.firewall-confirmed"]
    do: Any = plan.steps[1].do
    assert do.command.argv[-2:] == ("back", "20270101_aaaaaaaa") and plan.firewalls == {}


async def test_no_way_back_over_what_somebody_else_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotReady, match="the firewall of mysql was changed since"):
        await planned(monkeypatch, Machines(probe="cannot_tell"), kept={"mysql": "20270101_aaaaaaaa"})
