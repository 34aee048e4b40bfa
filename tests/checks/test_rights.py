"""What an account may run, asked of a real sudo behind a real sshd: nothing of it is run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fairlead.checks.gate import GateContext
from fairlead.checks.gates.hosts import needs_of
from fairlead.checks.host import Growth, Needs, check_host
from fairlead.checks.rights import Right, Unit, right_fault
from fairlead.config import LoadSpec, load, parse
from fairlead.model import Finding
from fairlead.outside.connect import Hosts
from support.sshd import SSHD, Sshd

RULES = 'mount --bind "$0" /etc/sudoers && exec "$@"'
"""In a mount namespace of its own: this machine's sudoers stay what they are."""
BUSY = LoadSpec(warn=10_000, fail=10_000)
SYSTEMCTL = """\
case "$*" in
*gone*) echo LoadState=not-found ;;
*masked*) echo LoadState=masked ;;
*off*) echo 'System has not been booted with systemd as init system' >&2; exit 1 ;;
*) echo LoadState=loaded; echo ActiveState=active ;;
esac
"""


@contextmanager
def ruled(folder: Path, file: Path) -> Iterator[Sshd]:
    """An sshd on a machine whose rules for sudo are this file."""
    if os.getuid() != 0:
        pytest.skip("only root can give a real sudo rules of its own")
    with Sshd(folder / "sshd", program=("unshare", "-m", "sh", "-c", RULES, str(file), SSHD)) as sshd:
        yield sshd


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sshd, Path]]:
    folder = tmp_path_factory.mktemp("sudo")
    file = folder / "sudoers"
    write(file, "")
    with ruled(folder, file) as sshd:
        sshd.write("run", '#!/bin/sh\ntouch "$0.was-run"\n', 0o755)
        sshd.shim("systemctl", SYSTEMCTL)
        yield sshd, file


def write(file: Path, rules: str) -> None:
    """Into the very file: it is mounted."""
    with file.open("w") as opened:
        opened.write(rules)
    file.chmod(0o440)


async def asked(sshd: Sshd, needs: Needs) -> Finding:
    async with Hosts({"here": sshd.account("here")}, sshd.secrets) as hosts:
        return await check_host(hosts, "here", needs)


FREE, RESTART = "USER ALL=(root) NOPASSWD: RUN restart api", ("sudo", "-n", "RUN", "restart", "api")
NOT, PASSWORD = "may not run `sudo -n RUN restart api`", "may run `sudo -n RUN restart api` only with a password"
SUDO = {
    # what stands in sudoers, what would be run, what is said
    "a rule without a password": (FREE, RESTART, ""),
    "a rule for all that it may be given": ("USER ALL=(ALL:ALL) NOPASSWD: RUN", RESTART, ""),
    "all": ("USER ALL=(ALL) NOPASSWD: ALL", RESTART, ""),
    "no rule at all": ("", RESTART, NOT),
    "a rule for another unit": ("USER ALL=(root) NOPASSWD: RUN restart web", RESTART, NOT),
    "a rule for another word": ("USER ALL=(root) NOPASSWD: RUN reload api", RESTART, NOT),
    "a rule with a password": ("USER ALL=(root) RUN restart api", RESTART, "a password is required"),
    "with a password, and another without": (
        "USER ALL=(root) RUN restart api\nUSER ALL=(root) NOPASSWD: /usr/bin/true",
        RESTART,
        PASSWORD,
    ),
    "a later rule takes the password back in": (f"{FREE}\nUSER ALL=(root) PASSWD: RUN", RESTART, PASSWORD),
    "a later rule frees it": (f"USER ALL=(root) ALL\n{FREE}", RESTART, ""),
    "a tag in the middle of a line": (
        "USER ALL=(root) NOPASSWD: /usr/bin/true, PASSWD: RUN restart api",
        RESTART,
        PASSWORD,
    ),
    "nobody is asked for a password": ("Defaults !authenticate\nUSER ALL=(root) RUN", RESTART, ""),
    "a program that is not there": (FREE, ("sudo", "-n", "RUNS", "x"), "command not found"),
    "as somebody else": (FREE, ("sudo", "-n", "-u", "nobody", "RUN", "restart", "api"), "may not run"),
    "arguments with a star": ("USER ALL=(root) NOPASSWD: RUN restart *", RESTART, ""),
}


@pytest.mark.parametrize("row", SUDO)
async def test_what_sudo_allows(machine: tuple[Sshd, Path], row: str) -> None:
    sshd, file = machine
    rules, argv, says = SUDO[row]
    program = str(sshd.home / "run")
    write(file, f"root ALL=(ALL) ALL\n{rules}\n".replace("RUN", program).replace("USER", sshd.user))
    right = Right(tuple(word.replace("RUN", program) for word in argv))
    finding = await asked(sshd, Needs(rights=(right,), load=BUSY))
    assert finding.status == ("fail" if says else "ok"), finding
    assert says.replace("RUN", program) in finding.says
    assert ("NOPASSWD" in finding.hint) == bool(says)
    assert not Path(f"{program}.was-run").exists(), "nothing was run"


async def test_a_machine_without_sudo(tmp_path: Path) -> None:
    with Sshd(tmp_path, lacks=("sudo",)) as sshd:
        finding = await asked(sshd, Needs(rights=(Right(("sudo", "-n", "x")),), load=BUSY))
    assert (finding.status, "sudo: not found" in finding.says) == ("fail", True), finding


PROGRAMS = {
    "one that is there": (("python3", "x"), ""),
    "one that is not": (("fairlead-no-such", "x y"), "lacks fairlead-no-such, which `fairlead-no-such 'x y'` needs"),
    "a path that is not there": (("/opt/none", "x"), "lacks /opt/none, which `/opt/none x` needs"),
}


@pytest.mark.parametrize("row", PROGRAMS)
async def test_programs_of_commands(machine: tuple[Sshd, Path], row: str) -> None:
    argv, says = PROGRAMS[row]
    finding = await asked(machine[0], Needs(rights=(Right(argv),), load=BUSY))
    assert (finding.status, finding.says if says else "") == ("fail" if says else "ok", says), finding


UNITS = {
    "known": ("api", True, "ok", ""),
    "not known": ("gone", True, "fail", "systemd knows no unit gone"),
    "masked": ("masked", True, "fail", "its unit masked is masked"),
    "systemd does not answer": ("off", True, "warn", "systemd cannot be asked about off (System has not been booted"),
    "not known, and restarted otherwise": ("gone", False, "ok", ""),
}


@pytest.mark.parametrize("row", UNITS)
async def test_units(machine: tuple[Sshd, Path], row: str) -> None:
    name, needed, status, says = UNITS[row]
    unit = Unit(name, ("systemctl", "show", name), needed)
    finding = await asked(machine[0], Needs(units=(unit,), load=BUSY))
    assert (finding.status, says in finding.says, bool(finding.hint)) == (status, True, bool(says)), finding


async def test_no_systemctl_at_all(tmp_path: Path) -> None:
    with Sshd(tmp_path, lacks=("systemctl",)) as sshd:
        unit = Unit("api", ("systemctl", "show", "api"))
        finding = await asked(sshd, Needs(units=(unit,), rights=(Right(("systemctl", "restart", "api")),), load=BUSY))
    assert finding.status == "fail"
    assert "lacks systemctl, which `systemctl restart api` needs" in finding.says


def test_what_reads_like_no_rule_is_no_yes() -> None:
    [(status, says, _)] = right_fault(Right(("sudo", "x")), 0, "/bin/x", ["(root) NOPASSWD: /bin/y", "User may run"])
    assert (status, says) == ("fail", "may run `sudo x` only with a password")


async def test_what_is_to_come_is_measured_by_what_lies_there(machine: tuple[Sshd, Path]) -> None:
    sshd, _ = machine
    new, old = "a" * 12, "b" * 12
    for place, size in ((f"site/releases/{new}", 3), (f"site/releases/{old}", 9), (f"beside/web/releases/{new}", 2)):
        sshd.write(f"{place}/file", "x" * size * 1_000_000)
    (sshd.home / "site/current").symlink_to(f"releases/{new}")
    sshd.write("beside/web/.live", f"{new}\n7\n")
    for stamp, size in (("20260101T000000Z", 8), ("20260102T000000Z", 1)):
        sshd.write(f"store/shop-{stamp}.sql.zst", "x" * size * 1_000_000)
    sshd.write("store/shop-20260103T000000Z.json", "{}")
    sshd.write("store/shop-2-20260104T000000Z.sql.zst", "x" * 7_000_000)
    grows = (
        Growth("release", "site", "site"),
        Growth("release", "beside", "beside/web"),
        Growth("release", "first", "first"),
        Growth("copies", "store", "store/shop"),
        Growth("copies", "store", "store/never"),
    )
    folders = ("site", "beside", "first", "store")
    for name in ("site", "beside", "store"):
        for path in (sshd.home / name, *(sshd.home / name).rglob("*")):
            shutil.chown(path, sshd.user)
    try:
        finding = await asked(sshd, Needs(grows=grows, folders=folders, load=BUSY))
    finally:
        for name in ("site", "beside", "store"):
            shutil.rmtree(sshd.home / name)
    assert finding.status == "ok", finding
    coming = finding.evidence["to_come"]
    assert isinstance(coming, int) and 6_000_000 < coming < 6_300_000, coming


FILE = """
fairlead: 1
project: p
hosts:
  web: {address: web.example.org, commands: sudo, load: {warn: 1, fail: 3}}
  vault: {address: vault.example.org}
databases:
  g: {engine: sqlite, reached_from: web, path: "{name}.db", backup_store: {host: web, path: store}, names: {shop: }}
services:
  api:
    source: {folder: api}
    owner: "a:b"
    maintenance: {stop: true}
    migrations: {apply: [python3, up.py], probe: [vendor/bin/where], undo: [/opt/php, down]}
  docs: {strategy: in_place, source: {folder: docs}, on_switch: {run: [purge, "{path}"]}}
  away: {strategy: verify_only}
environments:
  test:
    services:
      api: {host: web, path: srv/api, unit: api}
      docs: {host: web, path: srv/docs, beside: srv/own}
      away: {host: vault, path: srv/away, unit: away}
"""


def test_what_an_environment_needs_of_a_host() -> None:
    installation = load(parse(FILE), {})
    context = SimpleNamespace(
        installation=installation,
        environment=installation.environments["test"],
        databases=installation.databases_of("test"),
    )
    needs = needs_of(cast(GateContext, context), "web")
    assert needs.programs == ("python3",)
    assert needs.folders == ("srv/api", "srv/docs", "srv/own", "store")
    assert [(one.kind, one.folder, one.at) for one in needs.grows] == [
        ("release", "srv/api", "srv/api"),
        ("release", "srv/own", "srv/own/docs"),
        ("copies", "store", "store/shop"),
    ]
    assert [str(one) for one in needs.rights] == [
        "sudo -n systemctl restart api",
        "sudo -n systemctl stop api",
        "sudo -n chown -R a:b srv/api/releases/.part-000000000000",
        "python3 up.py",
        "/opt/php down",
        "purge srv/docs",
    ], "neither what comes with the release, nor what is only verified"
    assert [(one.name, one.needed) for one in needs.units] == [("api", True)]
    assert (needs.load.warn, needs.load.fail) == (1, 3)
    assert needs_of(cast(GateContext, context), "vault") == Needs()
