"""Firewalls of real database hosts: switched on, on trial, gone wrong, killed in the middle, and taken back.

Everything happens in the lab's own network namespaces (see lab/README.md). What is true at the end is read inside the
hosts, past their sshd and without a line of Fairlead: ufw's files byte for byte, and real queries of real clients.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from prove.lab.attempts import attempted, unless
from prove.lab.hosts import COMMAND, LAB, LONG, SERVERS, Hosts, Said, kill
from prove.table import Row

PORTS = {"mysql": 3306, "pg": 5432}
READ = (
    "cd /etc/ufw && sha256sum ufw.conf user.rules user6.rules && ufw status | head -n 1 && stat -c '%a %U %n' *.rules"
)
KEPT = "root/.fairlead/.firewall"
NEVER_NEW = "-A ufw-before-input -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP\n"
NEVER = "-A ufw-before-input -p tcp --dport 22 -j DROP\n"
PLANT = "printf '%s' '{rule}' | sed -i -e '/# End required lines/r /dev/stdin' /etc/ufw/before.rules"
KILLS = 6
"""Operators killed, at the moments of `MOMENTS` in turn."""
MOMENTS = ("armed.*", "applied", "confirmed")
QUERIES = {
    "mysql": "mariadb --connect-timeout=5 -h {address} -u svc_crm -p{MO_CRM_DB_PASS} mo_crm -Ne '{count}'",
    "pg": "PGCONNECT_TIMEOUT=5 PGPASSWORD={MO_IDP_DB_PASS} psql -h {address} -U svc_idp mo_idp -Atc '{count}'",
}


class Place(Hosts):
    """The lab's hosts, and what their firewalls do."""

    def state(self, host: str) -> str:
        """ufw's files and whether it runs, as the host has them."""
        return self.on(host, READ)

    def queried(self, host: str, source: str = "plesk") -> bool:
        """Whether a real client there gets a real answer."""
        line = QUERIES[host].format(address=self.address(host), count="SELECT COUNT(*) FROM person", **self.settings)
        done = subprocess.run([COMMAND, "exec", source, "sh", "-c", line], capture_output=True, text=True, timeout=LONG)
        return done.stdout.strip() == "2000"

    def knocked(self, host: str, source: str, address: str = "", port: int = 0) -> str:
        """What becomes of a connection from a host, or from the operator: open, silent or refused."""
        line = f"timeout 3 bash -c '</dev/tcp/{address or self.address(host)}/{port or PORTS[host]}'"
        words = ["run", "sh", "-c", line] if source == "operator" else ["exec", source, "sh", "-c", line]
        code = subprocess.run([COMMAND, *words], capture_output=True, timeout=LONG).returncode
        return {0: "open", 124: "silent"}.get(code, "refused")


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """Needs root."""
    if os.geteuid():
        yield Row(
            "the lab of systemd hosts", 0, ["booting hosts needs root; again as root: `python -m prove firewall`"]
        )
        return
    with tempfile.TemporaryDirectory(prefix="fl-prove-firewall-") as folder:
        place, dice = Place(Path(folder)), random.Random(seed)
        try:
            place.set_up(*SERVERS)
            for title, attempt in (
                ("from off to on, looked at from all sides; once more; and taken back", _from_off),
                ("IPv6, and rules of others on top, among and below", _among_others),
                ("rules that shut SSH to new connections", lambda place: _locked_out(place, NEVER_NEW)),
                ("rules that shut SSH to the open connection too", lambda place: _locked_out(place, NEVER)),
                ("the same, where the lock lies on that host", lambda place: _locked_out(place, NEVER, lock="mysql")),
                ("an account that may run ufw by sudo, and read and write its files", _by_sudo),
                ("accounts and hosts where it cannot be done", _cannot),
            ):
                yield _row(place, title, attempt)
            yield _row(
                place, "operators killed in the middle", lambda p: _killed(p, max(3, round(KILLS * scale)), dice)
            )
        finally:
            subprocess.run([COMMAND, "down"], capture_output=True, timeout=LONG)


def _row(place: Place, title: str, attempt: Callable[[Place], tuple[str, list[str]]]) -> Row:
    """On hosts as they were made."""

    def on_new_hosts() -> tuple[str, list[str]]:
        place.anew()
        return attempt(place)

    return attempted(title, on_new_hosts, experiment="firewall")


def _from_off(place: Place) -> tuple[str, list[str]]:
    before = {host: place.state(host) for host in PORTS}
    wrong = [] if place.knocked("mysql", "pg") == "open" else ["3306 was shut to pg before"]
    first = place.run("db", "firewall", "--yes")
    wrong += unless(first.code == 0, "switching it on", first)
    wrong += _sides(place)
    again = place.run("db", "firewall", "--yes")
    wrong += unless(again.code == 0 and "0 changes" in again.text, "the second run", again)
    stood = {host: place.state(host) for host in PORTS}
    place.lab("fault", "mysql", "reboot")
    place.lab("up", "mysql")
    wrong += _sides(place)
    wrong += [f"{host}: the reboot changed ufw" for host in PORTS if place.state(host) != stood[host]]
    undone = place.run("db", "firewall", "--undo", "--yes")
    wrong += unless(undone.code == 0, "taking it back", undone)
    wrong += _moved(place, before)
    wrong += [] if place.knocked("mysql", "pg") == "open" else ["3306 is shut to pg although all was taken back"]
    nothing = place.run("db", "firewall", "--undo", "--yes")
    wrong += unless(nothing.code == 2, "taking it back twice", nothing)
    return f"on in {first.seconds:.0f} s, once more {again.seconds:.0f} s, back in {undone.seconds:.0f} s", wrong


def _sides(place: Place) -> list[str]:
    """What clients and others get, and that SSH is open."""
    wrong = []
    for host, other in (("mysql", "pg"), ("pg", "mysql")):
        wrong += [] if place.queried(host) else [f"plesk gets no answer from the database of {host}"]
        for source in (other, "operator"):
            seen = place.knocked(host, source)
            wrong += [] if seen == "silent" else [f"{source} to {host}: {seen}"]
        wrong += [] if place.reached_by_ssh(host) else [f"no new SSH connection to {host}"]
    return wrong


def _among_others(place: Place) -> tuple[str, list[str]]:
    net = place.address("mysql").rpartition(".")[0]
    for host, number in (("plesk", 10), ("mysql", 20), ("pg", 30)):
        place.on(host, f"ip addr add fd00:77::{number}/64 dev host0 nodad || :")
    for rule in (
        "allow 3306/tcp comment 'for everybody'", f"allow from {net}.0/24 to any port 3306", "limit OpenSSH",
        f"deny from {net}.77", f"allow from {net}.10 to any port 3306 proto tcp",
        "allow proto tcp from any to any port 80,443", "--force enable",
    ):  # fmt: skip
        place.on("mysql", f"ufw {rule}")
    wrong = [f"{s}: {w}" for s in ("pg", "operator") if (w := place.knocked("mysql", s)) != "open"]
    six = "fd00:77::20"
    wrong += [] if place.knocked("mysql", "pg", six) == "open" else ["3306 was shut to pg by IPv6 before"]
    before = place.state("mysql")
    place.change(
        'server: mysql\n    clients: ["${LAB_PLESK}"]', 'server: mysql\n    clients: ["${LAB_PLESK}", "fd00:77::10"]'
    )
    done = place.run("db", "firewall", "external", "--yes")
    wrong += unless(done.code == 0, "the change", done)
    for source, address, wanted in (
        ("pg", "", "silent"), ("operator", "", "silent"), ("plesk", "", "open"),
        ("pg", six, "silent"), ("plesk", six, "open"),
    ):  # fmt: skip
        seen = place.knocked("mysql", source, address)
        wrong += [] if seen == wanted else [f"{source} to mysql {address}: {seen}"]
    status = place.on("mysql", "ufw status")
    wrong += [f"{rule} is gone" for rule in ("OpenSSH", f"{net}.77", f"{net}.0/24", "80,443/tcp") if rule not in status]
    again = place.run("db", "firewall", "external", "--yes")
    wrong += unless(again.code == 0 and "0 changes" in again.text, "the second run", again)
    undone = place.run("db", "firewall", "external", "--undo", "--yes")
    wrong += unless(undone.code == 0, "taking it back", undone)
    wrong += [] if place.state("mysql") == before else ["mysql: ufw is not as it was, byte for byte"]
    return "", wrong


def _locked_out(place: Place, rule: str, lock: str = "plesk") -> tuple[str, list[str]]:
    """The rules are right by themselves; what stands in before.rules shuts SSH all the same."""
    place.change("  production:\n    lock_host: plesk", f"  production:\n    lock_host: {lock}")
    place.on("mysql", PLANT.format(rule=rule))
    before = {host: place.state(host) for host in PORTS}
    began = time.monotonic()
    process = place.start("db", "firewall", "--yes")
    shut, back = 0.0, 0.0
    while process.poll() is None:
        open_ = place.knocked("mysql", "operator", port=22) == "open"
        now = time.monotonic() - began
        shut = shut or (0.0 if open_ else now)
        back = now if shut and open_ and not back else back
    said = Said(process.returncode, process.stdout.read() if process.stdout else "", time.monotonic() - began)
    wrong = unless(said.code == 3, "the run", said)
    wrong += [] if shut else ["nobody was ever locked out: nothing was tried"]
    wrong += [] if place.reached_by_ssh("mysql") else ["no new SSH connection to mysql"]
    wrong += _moved(place, before)
    wrong += [] if place.knocked("mysql", "pg") == "open" else ["3306 is shut to pg although all went back"]
    took = f"shut from {shut:.0f} s, open again by {back or said.seconds:.0f} s"
    return f"{took}, exit code {said.code} after {said.seconds:.0f} s", wrong


def _killed(place: Place, rounds: int, dice: random.Random) -> tuple[str, list[str]]:
    wrong, told = [], []
    for number in range(rounds):
        place.anew()
        before = {host: place.state(host) for host in PORTS}
        moment, pause = MOMENTS[number % len(MOMENTS)], dice.uniform(0, 0.4)
        process = place.start("db", "firewall", "--yes")
        if not _wait_for(process, moment):
            said, _ = process.communicate()
            wrong.append(f"{moment}: the run ended before: {' '.join(said.split())[-300:]}")
            continue
        time.sleep(pause)
        kill(process)
        waited = time.monotonic()
        if number % 2:  # somebody takes over at once, or only when the switch has gone off
            while list((LAB / "hosts/mysql").glob(f"{KEPT}/*/armed.*")) or not _quiet():
                time.sleep(0.5)
                if time.monotonic() > waited + 150:
                    wrong.append(f"{moment}: the switch did not go off")
                    break
            if moment != "confirmed" and place.state("mysql") != before["mysql"]:
                confirmed = list((LAB / "hosts/mysql").glob(f"{KEPT}/*/confirmed"))
                wrong += [] if confirmed else [f"{moment}: mysql is not as it was after the switch went off"]
        codes = [place.run("resume", "--no-watch")]
        for _ in range(3):
            if codes[-1].code in (0, 3):
                break
            time.sleep(2)
            codes.append(place.run("resume", "--no-watch"))
        told.append(f"{moment}: {' '.join(str(said.code) for said in codes)}")
        wrong += unless(codes[-1].code in (0, 3), f"{moment}: resume", codes[-1])
        wrong += [f"{moment}: {each}" for each in (_moved(place, before) if codes[-1].code == 3 else _sides(place))]
        wrong += [
            f"{host}: a switch is left" for host in PORTS if list((LAB / f"hosts/{host}").glob(f"{KEPT}/*/armed.*"))
        ]
    return "; ".join(told), wrong


def _quiet() -> bool:
    """No switch is bringing anything back just now."""
    fired = (LAB / "hosts/mysql").glob(f"{KEPT}/*/fired")
    return all((path.parent / "restored").exists() for path in fired)


def _wait_for(process: subprocess.Popen[str], name: str) -> bool:
    while not list((LAB / "hosts/mysql").glob(f"{KEPT}/*/{name}")):
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    return True


FILES = ("ufw.conf", "user.rules", "user6.rules")
SUDOERS = "".join(
    f"fw ALL=(root) NOPASSWD: {command}\n"
    for command in ("/usr/sbin/ufw", *(f"/usr/bin/{word} /etc/ufw/{file}" for word in ("cat", "tee") for file in FILES))
)


def _account(place: Place, sudoers: str) -> None:
    place.on(
        "mysql",
        "useradd -m -s /bin/bash fw 2>/dev/null; install -d -m 700 -o fw /home/fw/.ssh; "
        "install -m 600 -o fw /root/.ssh/authorized_keys /home/fw/.ssh/; "
        f"printf '%s' '{sudoers}' >/etc/sudoers.d/fw; chmod 440 /etc/sudoers.d/fw",
    )
    if "user: fw" not in place.file.read_text():
        place.change('"${LAB_MYSQL}", user: root,', '"${LAB_MYSQL}", user: fw, commands: sudo,')


def _by_sudo(place: Place) -> tuple[str, list[str]]:
    _account(place, SUDOERS)
    before = place.state("mysql")
    done = place.run("db", "firewall", "external", "--yes")
    wrong = unless(done.code == 0, "the change", done)
    wrong += [f"{s}: {w}" for s, e in (("pg", "silent"), ("plesk", "open")) if (w := place.knocked("mysql", s)) != e]
    undone = place.run("db", "firewall", "external", "--undo", "--yes")
    wrong += unless(undone.code == 0, "taking it back", undone)
    wrong += [] if place.state("mysql") == before else ["mysql: ufw is not as it was, byte for byte"]
    place.on("mysql", PLANT.format(rule=NEVER_NEW))
    locked = place.run("db", "firewall", "external", "--yes")
    wrong += unless(locked.code == 3, "rules that shut SSH", locked)
    wrong += [] if place.state("mysql") == before else ["mysql: ufw is not as it was after the switch went off"]
    return "", wrong


def _cannot(place: Place) -> tuple[str, list[str]]:
    wrong = []
    for name, breaks, heals, says in (
        ("no sudo", "rm -f /etc/sudoers.d/fw", "", "may not run"),
        ("ufw alone", "echo 'fw ALL=(root) NOPASSWD: /usr/sbin/ufw' >/etc/sudoers.d/fw", "", "could not be kept"),
        ("no ufw", "mv /usr/sbin/ufw /usr/sbin/ufw.off", "mv /usr/sbin/ufw.off /usr/sbin/ufw", "ufw is not there"),
        ("nftables", "systemctl start nftables", "systemctl stop nftables", "nftables is active"),
    ):
        _account(place, SUDOERS)
        place.on("mysql", breaks)
        before = {host: place.on(host, "sha256sum /etc/ufw/*.rules /etc/ufw/ufw.conf") for host in PORTS}
        said = place.run("db", "firewall", "--yes")
        wrong += unless(said.code == 1 and says in said.text and "by hand" in said.text, name, said)
        after = {host: place.on(host, "sha256sum /etc/ufw/*.rules /etc/ufw/ufw.conf") for host in PORTS}
        wrong += [] if after == before else [f"{name}: ufw's files were changed"]
        place.on("mysql", heals or "true")
    return "", wrong


def _moved(place: Place, before: dict[str, str]) -> list[str]:
    return [f"{host}: ufw is not as it was, byte for byte" for host in PORTS if place.state(host) != before[host]]
