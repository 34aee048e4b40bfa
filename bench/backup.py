"""A backup of 17 databases, against a serial script on the server with gzip, and with zstd -1.

Every side must leave files that can be read to their end. Fairlead also proves its copies, syncs them and counts their
rows while the clock runs; the rows are compared with the servers afterwards.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import yaml
from bench.databases import GROUPS, PASSWORDS, TOTAL, Databases, databases
from bench.result import Result, compared, timed

from support.mariadb import ROOT
from support.operator import Operator
from support.postgres import MASTER
from support.sshd import KEY, Sshd

ROUNDS = 3
"""They take long, so fewer than elsewhere."""
SCRIPTS = {"gzip": ("gzip", 0.15), "zstd": ("zstd -1 -q", 0.85)}
"""Packer of a script -> how it is called, and the goal."""


def backups() -> list[Result]:
    """One row for each packer."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fl-bench-")))
        sshd, there = stack.enter_context(Sshd(folder / "sshd")), stack.enter_context(databases())
        operator = _operator(folder / "operator", sshd, there)
        prepare_script(sshd, there)
        rounds = [_round(operator, sshd, there) for _ in range(ROUNDS)]
    what = f"fairlead db backup, {TOTAL} databases, median of {ROUNDS}"
    return [
        compared(
            f"backup_{packer}", what, f"serial script, {call}", goal, [(one["fairlead"], one[packer]) for one in rounds]
        )
        for packer, (call, goal) in SCRIPTS.items()
    ]


def _round(operator: Operator, sshd: Sshd, there: Databases) -> dict[str, float]:
    told = {}
    seconds = {"fairlead": timed(lambda: told.update(operator.json(0, "db", "backup")))}
    counted = {finding["subject"]: finding["evidence"]["rows"] for finding in told["findings"]}
    assert counted == there.rows(), counted
    for packer, (call, _) in SCRIPTS.items():
        seconds[packer] = timed(lambda call=call: on_server(sshd, f"./backup.sh list scripts {call}"))
        on_server(sshd, f"ls scripts/*.{packer} | wc -l | grep -qx {TOTAL} && {packer} -t -q scripts/*.{packer}")
    ours = [finding["evidence"]["file"] for finding in told["findings"]]
    on_server(sshd, f"zstd -t -q {shlex.join(ours)} && rm -r scripts")
    return seconds


def on_server(sshd: Sshd, line: str) -> None:
    """Run a line of shell there; it has to succeed."""
    done = subprocess.run(["ssh", "-F", sshd.ssh_config, "target", line], capture_output=True, text=True)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"


def _operator(folder: Path, sshd: Sshd, there: Databases) -> Operator:
    account = {"address": "127.0.0.1", "port": sshd.port, "user": sshd.user, "key": KEY}
    document = {
        "fairlead": 1,
        "project": "bench",
        "hosts": {"server": {**account, "known_hosts": str(sshd.known_hosts)}},
        "databases": there.groups("server"),
        "environments": {"bench": {"lock_host": "server"}},
    }
    folder.mkdir()
    (folder / "fairlead.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    return Operator(folder, folder / "home", {**sshd.environ, **PASSWORDS})


def prepare_script(sshd: Sshd, there: Databases) -> None:
    """What the script needs in its account: itself, its list, and passwords where the tools look for them."""
    sshd.write("backup.sh", (Path(__file__).parent / "backup.sh").read_text(), 0o755)
    sshd.write(".pgpass", f"127.0.0.1:*:*:fairlead:{PASSWORDS[MASTER]}\n", 0o600)
    lines = []
    for group, names in GROUPS.items():
        port, engine = there.servers[group].port, "postgres" if group == "postgres" else "mariadb"
        login = f"[client]\nuser=fairlead\npassword={PASSWORDS[ROOT]}\nhost=127.0.0.1\nport={port}\n"
        sshd.write(f"{group}.cnf", login, 0o600)
        where = f"{port}" if engine == "postgres" else f"{group}.cnf"
        lines += [f"{engine} {where} mo_{name}\n" for name in names]
    sshd.write("list", "".join(lines))
