"""Gates of quality, window, logs, secrets and one's own, through the command line: each broken in turn, and mended."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.operator import Operator
from support.reports import CLEAN, FOUND, PLANTED, raw
from support.rows import some_long

FILE = """
fairlead: 1
project: p
hosts: {here: {connect: local, home: HOME}}
databases:
  local: {engine: sqlite, reached_from: here, path: "data/{name}.db", names: {orders: }}
services:
  web: {source: {folder: source/web}, health: [{path: /, headers: {X-Token: {secret: CHECK_TOKEN}}}]}
environments:
  test:
    unattended: allow
    lease: {ttl: 5s, beat: 5s}
    watch: {duration: 0}
    gates:
      ask: [commit]
      window: {frozen: [{cron: "CRON", lasts: 1h, why: holidays}]}
      security: {reports: [{format: gitleaks, run: [sh, -c, cat leaks.json]}]}
      maintainability: {reports: [{format: radon, file: radon.json}]}
      dependencies: {reports: [{format: npm-audit, run: [sh, -c, cat npm.json]}]}
      performance: {reports: [{format: lighthouse, run: [sh, -c, cat lighthouse.json]}]}
      personal_data: {logs: [{host: here, files: ["logs/*.log"]}]}
      own: {licences: {run: [sh, -c, "exit $(cat licences)"], hint: npm run licences}}
    services: {web: {host: here, path: srv/web, url: "http://127.0.0.1:9"}}
"""
NEVER, ALWAYS = "0 0 29 2 *", "* * * * *"
MAIL = "anna.planted@example.org"


def lighthouse(reports: Any) -> Any:
    """A report that was made now."""
    return {**reports["lighthouse"], "fetchTime": datetime.now(UTC).isoformat()}


class Site:
    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "copy", folder / "home"
        (self.folder / "source/web").mkdir(parents=True)
        (self.folder / "source/web/index.html").write_text("<p>hi")
        (self.home / "logs").mkdir(parents=True)
        (self.home / "data").mkdir()
        with closing(sqlite3.connect(self.home / "data/orders.db")) as orders:
            orders.execute("create table o (n)")
            orders.commit()
        self.operator = Operator(self.folder, folder / "operator", {"CHECK_TOKEN": "tr0ub4dor-and-3"})
        self.file()
        (self.folder / ".gitignore").write_text("*.json\nlicences\n")
        self.git("init", "-q", "-b", "main")
        self.git("add", ".")
        self.git("commit", "-qm", "v1")
        self.mend()

    def git(self, *words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True)

    def file(self, cron: str = NEVER) -> None:
        (self.folder / "fairlead.yml").write_text(FILE.replace("HOME", str(self.home)).replace("CRON", cron))

    def report(self, name: str, report: Any) -> None:
        (self.folder / name).write_bytes(report if isinstance(report, bytes) else raw(report))

    def ask(self, code: int, *words: str, **environ: str) -> str:
        """What the command line says, which must hold nothing of what was planted."""
        operator = Operator(self.folder, self.operator.home, {**self.operator.environ, **environ})
        done = operator.run(*words)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert not [value for value in (PLANTED, MAIL) if value in said]
        return said

    def mend(self) -> None:
        """All is well."""
        self.file()
        for name, form in (("leaks", "gitleaks"), ("radon", "radon"), ("npm", "npm-audit")):
            self.report(f"{name}.json", CLEAN[form])
        self.report("lighthouse.json", lighthouse(CLEAN))
        (self.folder / "licences").write_text("0")
        (self.home / "logs/app.log").write_text("GET / 200\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("gates"))
    said = made.ask(1, "ready")
    assert "blocked by backups" in said
    assert "hint: fairlead db backup orders" in said
    assert "ready for deployment" in made.ask(0, "ready", "--fix")
    return made


NAMES = "secrets commit window personal_data licences security maintainability dependencies performance"


def test_every_gate_has_its_line(site: Site) -> None:
    told = [one["gate"] for one in json.loads(site.ask(0, "ready", "--json"))["gates"]]
    assert [one for one in told if one in NAMES.split()] == NAMES.split()
    assert len(set(told)) == len(told)


BROKEN: dict[str, tuple[Callable[[Site], Any], dict[str, str], str, str, str]] = {
    # what is broken: how, environment, gate, sentence, hint
    "a secret is missing": (lambda s: None, {"CHECK_TOKEN": ""}, "secrets", "missing: CHECK_TOKEN", "put it where"),
    "a secret is a placeholder": (
        lambda s: None,
        {"CHECK_TOKEN": "changeme"},
        "secrets",
        "placeholder: CHECK_TOKEN",
        "give",
    ),
    "it is frozen": (lambda s: s.file(ALWAYS), {}, "window", "frozen until", "--override window --reason TEXT"),
    "a leak": (
        lambda s: s.report("leaks.json", FOUND["gitleaks"]),
        {},
        "security",
        "aws-access-token in deploy/env.sh:3",
        "cat leaks",
    ),
    "a wrapper's empty report": (
        lambda s: s.report("leaks.json", {"findings": []}),
        {},
        "security",
        "counts as not run",
        "cat leaks",
    ),
    "no report": (lambda s: (s.folder / "leaks.json").unlink(), {}, "security", "counts as not run", "run it by hand"),
    "modules of rank C": (
        lambda s: s.report("radon.json", FOUND["radon"]),
        {},
        "maintainability",
        "maintainability is 30",
        "let CI make",
    ),
    "vulnerabilities": (
        lambda s: s.report("npm.json", FOUND["npm-audit"]),
        {},
        "dependencies",
        "1 critical, 2 high",
        "cat npm.json",
    ),
    "a slow page": (
        lambda s: s.report("lighthouse.json", lighthouse(FOUND)),
        {},
        "performance",
        "performance is 52",
        "lighthouse.json",
    ),
    "an address in a log": (
        lambda s: (s.home / "logs/app.log").write_text(f"GET / 200\n{MAIL}\n"),
        {},
        "personal_data",
        "1 e-mail address (line 2)",
        "take them out of logs/app.log",
    ),
    "a gate of one's own says no": (
        lambda s: (s.folder / "licences").write_text("1"),
        {},
        "licences",
        "says no",
        "npm run licences",
    ),
    "a gate of one's own does not know": (
        lambda s: (s.folder / "licences").write_text("7"),
        {},
        "licences",
        "exited 7",
        "run it by hand",
    ),
}


SHORT = ("it is frozen", "a leak", "a secret is a placeholder", "an address in a log")


@pytest.mark.parametrize("row", some_long(BROKEN, SHORT))
def test_a_gate_that_is_broken_blocks(site: Site, row: str) -> None:
    breaks, environ, gate, says, hint = BROKEN[row]
    breaks(site)
    try:
        said = site.ask(1, "ready", **environ)
    finally:
        site.mend()
    lines = said.splitlines()
    assert lines[-1] == f"blocked by {gate}"
    assert says in said
    assert any(line.startswith("hint: ") and hint in line for line in lines), said


def test_a_frozen_environment_is_refused(site: Site) -> None:
    site.file(ALWAYS)
    try:
        said = site.ask(5, "deploy", "--yes", "--no-watch")
        assert "error: not now: frozen until" in said
        assert "hint: wait, or type: fairlead deploy --override window --reason TEXT" in said
        assert not (site.home / "srv").exists()
        # Nobody answers at its address, so it comes back; that it was overridden is on record all the same.
        said = site.ask(3, "deploy", "--yes", "--no-watch", "--override", "window", "--reason", "the shop is down")
        assert "window is overridden: frozen until" in said
        [one] = json.loads(site.ask(0, "history", "--json"))["deployments"]
        assert (one["overridden"], one["reason"]) == (["window"], "the shop is down")
    finally:
        site.mend()
