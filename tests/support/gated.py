"""An environment that asks gates: a working copy with a real git, an account on this machine, a GitHub."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from support.github import TOKEN, GitHub, pull, review, run
from support.operator import Operator
from support.reports import CLEAN

FILE = """
fairlead: 1
project: p
hosts: {here: {connect: local, home: HOME, load: {warn: 1000, fail: 1000}}}
github: {api: "URL", repository: acme/shop}
services: {api: {source: {folder: source/api, version: VERSION}}, web: {source: {folder: source/web}}}
environments:
  test:
    unattended: allow
    lease: {ttl: 5s, beat: 5s}
    watch: {duration: 0}
    gates: {ask: [commit, ci, behind], valid: 15m}
    services: {api: {host: here, path: srv/api}, web: {host: here, path: srv/web}}
"""

QUALITY = {
    "security": "gitleaks",
    "maintainability": "radon",
    "dependencies": "npm-audit",
    "performance": "lighthouse",
}
"""By gate: the report that it reads."""
FINDS = "case $(cat $1) in '[]'|*'\"total\": 0'*) e=0;; *) e=$2;; esac; cat $1; exit $e"
"""Prints a report as its tool would, with the exit code that belongs to it."""


class Reports:
    """Tools of the gates of quality, that say what a test lets them say; at first, that all is well."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for gate in QUALITY:
            self.say(gate, CLEAN)

    def entry(self, gate: str) -> dict[str, Any]:
        """What fairlead.yml says of a gate."""
        form, file = QUALITY[gate], str(self.folder / f"{gate}.json")
        code = "1" if form in ("gitleaks", "npm-audit") else "0"
        return {"reports": [{"format": form, "run": ["sh", "-c", FINDS, "sh", file, code]}]}

    def say(self, gate: str, which: dict[str, Any]) -> None:
        """Let a tool say this."""
        report = which[QUALITY[gate]]
        if gate == "performance":
            report = {**report, "fetchTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 1))}
        (self.folder / f"{gate}.json").write_text(json.dumps(report))


def content(github: GitHub, head: str) -> None:
    """GitHub knows the commit, and everybody is content with it."""
    github.reset()
    github.known.add(head)
    github.runs, github.statuses = [run(head_sha=head)], []
    github.pulls = [pull(head={**pull()["head"], "sha": head})]
    github.reviews = {12: [review(commit_id=head)]}


class Site:
    """A working copy with a real git, an account on this machine, and a GitHub that knows the commit."""

    def __init__(self, folder: Path, github: GitHub) -> None:
        self.folder, self.github = folder / "copy", github
        self.operator = Operator(self.folder, folder / "operator", {"GITHUB_TOKEN": TOKEN})
        for name in ("api", "web"):
            (self.folder / "source" / name).mkdir(parents=True)
        (folder / "home").mkdir()
        self.file = self.folder / "fairlead.yml"
        self.file.write_text(FILE.replace("HOME", str(folder / "home")).replace("URL", github.url))
        (self.folder / "source/web/index.html").write_text("<p>hi")
        self.git("init", "-q", "-b", "main")
        self.commit("v1")

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *who, *words], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, version: str) -> str:
        (self.folder / "source/api/VERSION").write_text(f"{version}\n")
        self.git("add", ".")
        self.git("commit", "-qm", version)
        head = self.git("rev-parse", "HEAD")
        self.github.known.add(head)
        self.github.runs = [run(head_sha=head)]
        self.github.statuses = []
        return head

    def asked(self) -> set[str]:
        """Which commits GitHub was asked about since the last time."""
        found = {one.path.rpartition("...")[2] for one in self.github.asked if "/compare/" in one.path}
        self.github.asked.clear()
        return found
