"""All gates of the plesk example, on real servers: open together, and each of them broken in turn blocks.

Whom the example asks about GitHub, quality and licences are stand-ins here, which can be broken.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from support.gated import QUALITY, Reports, content
from support.github import REPOSITORY, TOKEN, GitHub, alert, review, run
from support.plesk import Plesk
from support.reports import CLEAN, FOUND

pytestmark = pytest.mark.timeout(300)
IN = ("-e", "production")
OPEN = {"open": [{"start": "2020-01-01", "end": "2099-01-01"}]}
ASK = ["commit", "ci", "dependabot", "review", "behind", "pulls"]
ALWAYS = ["hosts", "lock", "services", "databases", "backups", "drills", "migrations", "secrets"]
ORDER = [*ALWAYS, *ASK, "window", "personal_data", "licences", *QUALITY]


@dataclass
class Gated:
    """The servers of the example, an operator with a working copy, and all that its gates ask."""

    plesk: Plesk
    github: GitHub
    reports: Reports
    head: str = ""
    lock: str = ""
    """What the lock said before a row wrote into it."""

    @property
    def home(self) -> Path:
        return self.plesk.home

    @property
    def file(self) -> Path:
        return self.plesk.operator.folder / "fairlead.yml"

    def ask(self, code: int, *words: str, **environ: str) -> str:
        """What `ready` says, with some secrets changed."""
        operator = self.plesk.operator
        before, operator.environ = operator.environ, {**operator.environ, **environ}
        try:
            done = operator.run("ready", *IN, *words)
        finally:
            operator.environ = before
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def gates(self, **changed: Any) -> None:
        """What fairlead.yml says of the gates, with this in it."""
        document = yaml.safe_load(self.file.read_text())
        production = document["environments"]["production"]
        logs = [{"host": "plesk", "files": ["logs/*/access_ssl_log", "logs/app.log"]}]
        licences = {"run": ["sh", "-c", "exit $(cat $1)", "sh", str(self.reports.folder / "licences")]}
        production["gates"] = {
            "ask": ASK,
            "window": OPEN,
            "personal_data": {"logs": logs, "ip": "off"},
            "own": {"licences": {**licences, "hint": "npm run licences"}},
            **{gate: self.reports.entry(gate) for gate in QUALITY},
            **changed,
        }
        document["databases"]["plesk"]["limit"] = 6  # five leave no room for a drill, and that is said
        document["services"]["api"]["health"][0].pop("slow", None)  # this machine may be busy
        document["github"] = {"api": self.github.url, "repository": REPOSITORY}
        self.file.write_text(yaml.safe_dump(document, sort_keys=False))

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        argv = ["git", *who, *words]
        return subprocess.run(argv, cwd=self.file.parent, check=True, capture_output=True, text=True).stdout.strip()

    def mend(self) -> None:
        """All is well again."""
        content(self.github, self.head)
        for gate in QUALITY:
            self.reports.say(gate, CLEAN)
        (self.reports.folder / "licences").write_text("0")
        self.log("GET / 200\n")

    def log(self, text: str) -> None:
        """What the application has logged."""
        (self.home / "logs/app.log").write_text(text)


@pytest.fixture(scope="module")
def site() -> Iterator[Gated]:
    with tempfile.TemporaryDirectory(prefix="fl-plesk-", dir="/tmp") as name, GitHub() as github:
        folder = Path(name)
        folder.chmod(0o755)
        with Plesk(folder) as plesk:
            made = Gated(plesk, github, Reports(folder / "reports"))
            plesk.operator.environ = {**plesk.operator.environ, "GITHUB_TOKEN": TOKEN}
            plesk.release("v1")
            made.gates()
            made.git("init", "-q", "-b", "main")
            made.git("add", ".")
            made.git("commit", "-qm", "v1")
            made.head = made.git("rev-parse", "HEAD")
            made.mend()
            plesk.give()
            yield made


def test_what_is_missing_is_made_and_then_all_gates_are_open(site: Gated) -> None:
    said = site.ask(1)
    assert said.splitlines()[-1] == "blocked by backups"
    assert "hint: fairlead db backup " in said
    assert site.ask(0, "--fix").splitlines()[-1] == "ready for deployment"
    site.plesk.operator.must(0, "deploy", *IN, "--yes", "--no-watch")
    site.plesk.operator.must(0, "db", "drill", *IN)
    told = json.loads(site.ask(0, "--json"))
    assert {one["gate"]: one["status"] for one in told["gates"]} == dict.fromkeys(ORDER, "ok"), told["gates"]
    screen = site.ask(0).splitlines()
    assert (len(screen), screen[-1]) == (len(ORDER) + 1, "ready for deployment"), "one line each"


class Row(NamedTuple):
    breaks: Callable[[Gated], Any]
    says: str
    hint: str
    mends: Callable[[Gated], Any] = Gated.mend
    also: tuple[str, ...] = ()
    """Gates that cannot say yes either then."""
    environ: dict[str, str] = {}


def locked(site: Gated) -> None:
    file = site.home / ".fairlead/production/lock"
    site.lock = file.read_text()
    file.write_text("1 99 free n r-open bob@there\n")


def unlocked(site: Gated) -> None:
    (site.home / ".fairlead/production/lock").write_text(site.lock)


def newest_backup(site: Gated) -> Path:
    """The newest of one database."""
    return max((site.home / "backups/external").glob("crm-*.age"))


def damage(site: Gated) -> None:
    file = newest_backup(site)
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)


def git_away(site: Gated) -> None:
    (site.file.parent / ".git").rename(site.file.parent / ".away")


def git_back(site: Gated) -> None:
    (site.file.parent / ".away").rename(site.file.parent / ".git")


def bad(gate: str) -> Callable[[Gated], None]:
    return lambda site: site.reports.say(gate, FOUND)


def hub(**fields: Any) -> Callable[[Gated], None]:
    def change(site: Gated) -> None:
        for name, value in fields.items():
            setattr(site.github, name, value)

    return change


def external(sql: str) -> Callable[[Gated], str]:
    return lambda site: site.plesk.external.sql(sql)


GATES = {
    # how it is broken, what is said, the next thing to type
    "hosts": Row(
        lambda site: (site.home / "subdomains/games").chmod(0o555),
        "subdomains/games cannot be written to",
        "look at owner and mode of the folder above it",
        lambda site: (site.home / "subdomains/games").chmod(0o755),
    ),
    "lock": Row(locked, "run r-open by bob@there is not finished", "fairlead resume -e production", unlocked),
    "databases": Row(
        external("alter user svc_crm@'127.0.0.1' account lock"),
        "16/17 reachable: crm",
        "ALTER USER on the server",
        external("alter user svc_crm@'127.0.0.1' account unlock"),
    ),
    "backups": Row(damage, "crm", "fairlead db backup crm", damage),
    "migrations": Row(
        external(r"revoke drop on `mo\_consent`.* from fairlead@'127.0.0.1'"),
        "fairlead lacks DROP on mo_consent, which its migrations need",
        "fairlead db provision",
        external(r"grant drop on `mo\_consent`.* to fairlead@'127.0.0.1'"),
    ),
    "secrets": Row(
        lambda site: None,
        "placeholder: MO_CRM_CHECK_AUTHORIZATION",
        "give",
        environ={"MO_CRM_CHECK_AUTHORIZATION": "changeme"},
    ),
    "commit": Row(
        git_away, "git does not know", "git status", git_back, ("ci", "dependabot", "review", "behind", "pulls")
    ),
    "ci": Row(
        lambda site: setattr(site.github, "runs", [run("e2e", "failure", head_sha=site.head)]),
        "e2e",
        "https://github.example/runs/e2e",
    ),
    "dependabot": Row(
        hub(alerts=[alert("critical")]), "critical: GHSA-aaaa-bbbb-cccc", "https://github.example/alerts"
    ),
    "review": Row(
        lambda site: setattr(site.github, "reviews", {12: [review("ada", user_id=1, commit_id=site.head)]}),
        "nobody who counts has approved it",
        "https://github.example/pull/12",
    ),
    "behind": Row(hub(compare={"status": "behind", "ahead_by": 0, "behind_by": 3}), "lacks 3 commits", "git rebase"),
    "window": Row(
        lambda site: site.gates(
            window={**OPEN, "frozen": [{"start": "2020-01-01", "end": "2098-01-01", "why": "audit"}]}
        ),
        "frozen until Wed 2098-01-01 00:00 UTC: audit",
        "fairlead deploy --override window --reason TEXT",
        lambda site: site.gates(),
    ),
    "personal_data": Row(
        lambda site: site.log("GET / 200\nmail to jana.nowak@example.net\n"),
        "1 e-mail address (line 2)",
        "take them out of logs/app.log",
    ),
    "licences": Row(lambda site: (site.reports.folder / "licences").write_text("1"), "says no", "npm run licences"),
    "security": Row(bad("security"), "4 issues by gitleaks: 4 critical", "run it by hand: sh -c"),
    "maintainability": Row(
        bad("maintainability"), "maintainability is 30, at least 85 is asked", "run it by hand: sh -c"
    ),
    "dependencies": Row(bad("dependencies"), "3 issues by npm audit: 1 critical, 2 high", "run it by hand: sh -c"),
    "performance": Row(bad("performance"), "performance is 52, at least 90 is asked", "run it by hand: sh -c"),
}


@pytest.mark.parametrize("gate", GATES)
def test_each_gate_that_is_broken_blocks(site: Gated, gate: str) -> None:
    row = GATES[gate]
    row.breaks(site)
    try:
        screen = site.ask(1, **row.environ)
    finally:
        row.mends(site)
    blocking = [one for one in ORDER if one == gate or one in row.also]
    assert screen.splitlines()[-1] == f"blocked by {', '.join(blocking)}", screen
    assert row.says in screen, screen
    assert any(line.startswith("hint: ") and row.hint in line for line in screen.splitlines()), screen
    assert TOKEN not in screen


def test_a_deployment_does_not_start_while_one_is_broken(site: Gated) -> None:
    site.plesk.release("v2")
    site.git("commit", "-qam", "v2")
    site.head = site.git("rev-parse", "HEAD")
    site.mend()
    GATES["security"].breaks(site)
    try:
        done = site.plesk.operator.run("deploy", *IN, "--yes", "--no-watch")
    finally:
        site.mend()
    assert (done.returncode, "4 issues by gitleaks: 4 critical" in done.stderr) == (1, True), done.stderr
    assert "error: not ready: " in done.stderr and "hint: `fairlead ready` shows all gates" in done.stderr
    assert set(site.plesk.live().values()) == {"v1"}


def test_and_all_are_open_again_at_the_end(site: Gated) -> None:
    assert site.ask(0).splitlines()[-1] == "ready for deployment"
