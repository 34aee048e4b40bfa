"""A deployment is told while it goes on: an issue before the first change, closed with the result."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.github import TOKEN, GitHub, hangs, instead, problem
from support.operator import Operator

FILE = """
fairlead: 1
project: p
hosts: {here: {connect: local, home: HOME}}
github: {api: "URL", repository: acme/shop}
services:
  api: {source: {folder: source/api, version: VERSION}, on_switch: {run: [sh, -c, SWITCH]}}
environments:
  test:
    unattended: allow
    announce: [github]
    lease: {ttl: 5s, beat: 5s}
    watch: {duration: 0}
    services: {api: {host: here, path: srv/api}}
"""
SWITCH = '"test ! -e broken && ! grep -q v2 srv/api/current/VERSION"'
"""Fails for v2; and for every release while `broken` is there, so that there is no way back either."""
GO = ("deploy", "--yes", "--reason", "release `42` @everyone")


class Site:
    """An operator, an account on this machine, and a GitHub."""

    def __init__(self, folder: Path, github: GitHub) -> None:
        self.folder, self.github, self.home = folder, github, folder / "home"
        self.operator = Operator(folder, folder / "operator", {"GITHUB_TOKEN": TOKEN})
        self.home.mkdir()
        (folder / "source/api").mkdir(parents=True)
        (folder / "fairlead.yml").write_text(
            FILE.replace("HOME", str(self.home)).replace("SWITCH", SWITCH).replace("URL", github.url)
        )
        self.release("v1")

    def release(self, version: str) -> None:
        (self.folder / "source/api/VERSION").write_text(f"{version}\n")

    def told(self, code: int, *words: str) -> str:
        done = self.operator.run(*words)
        assert done.returncode == code, done.stdout + done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def comments(self, issue: dict[str, Any]) -> str:
        return "\n".join(str(one["body"]) for one in self.github.comments.get(issue["number"], []))


@pytest.fixture(scope="module")
def server() -> Iterator[GitHub]:
    with GitHub() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, server: GitHub) -> Site:
    server.reset()
    return Site(tmp_path, server)


def test_a_deployment_from_its_plan_to_its_result(site: Site) -> None:
    site.told(0, *GO)
    [issue] = site.github.issues
    body = str(issue["body"])
    assert issue["title"].startswith("deployment of p to test: ")
    for part in ("about to begin", "reason: release `42` @everyone", "### Plan", "### Way back", "api: nothing -> "):
        assert part in body
    assert body.count("```text\n") == body.count("\n```\n") or body.count("````") >= 2
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    assert "**Done**" in site.comments(issue)
    opened = next(n for n, one in enumerate(site.github.asked) if one.method == "POST")
    assert opened == 1, "looked for first"


def test_the_issue_stands_before_the_first_change(site: Site) -> None:
    def nothing_yet(said: Any) -> Any:
        seen.append((site.home / "srv").exists())
        return said

    seen: list[bool] = []
    site.github.fault(r"/issues$", nothing_yet)
    site.told(0, *GO)
    assert seen == [False]


def test_a_deployment_that_comes_back(site: Site) -> None:
    site.told(0, *GO)
    site.release("v2")
    site.told(3, *GO)
    issue = site.github.issues[1]
    assert (issue["state"], issue["state_reason"]) == ("closed", "not_planned")
    said = site.comments(issue)
    assert "going back" in said
    assert "Everything is back as it was" in said


def test_a_halt_is_told_and_the_issue_stays_open_until_somebody_has_ended_the_run(site: Site) -> None:
    site.told(0, *GO)
    site.release("v2")
    (site.home / "broken").touch()
    site.told(4, *GO)
    issue = site.github.issues[1]
    assert issue["state"] == "open"
    assert "a human is needed" in site.comments(issue)
    (site.home / "broken").unlink()
    site.told(3, "resume")
    assert len(site.github.issues) == 2
    assert (issue["state"], issue["state_reason"]) == ("closed", "not_planned")
    assert "Everything is back as it was" in site.comments(issue)


def test_one_that_is_refused_tells_nobody(site: Site) -> None:
    site.told(0, *GO)
    site.told(0, *GO)
    assert len(site.github.issues) == 1, "nothing was to be changed"
    site.release("v2")
    site.told(5, "deploy", "--reason", "nobody is there to say yes")
    assert len(site.github.issues) == 1


@pytest.mark.parametrize("how", ["away", "silent"])
def test_a_github_that_is_away_keeps_nobody_from_deploying(site: Site, how: str) -> None:
    if how == "silent":
        file = site.folder / "fairlead.yml"
        file.write_text(file.read_text().replace("repository: acme/shop", "repository: acme/shop, patience: 1s"))
    site.github.fault(".", hangs if how == "silent" else instead(problem(503, "busy")))
    said = site.told(0, *GO)
    assert "to be sent by the next run of fairlead: GitHub" in said
    assert (site.home / "srv/api/current/VERSION").read_text() == "v1\n"
    assert site.github.issues == []
    site.github.faults.clear()
    site.told(0, "ready")
    [issue] = site.github.issues
    assert (issue["state"], "### Way back" in issue["body"]) == ("closed", True)
    assert "**Done**" in site.comments(issue)
    site.told(0, "ready")
    assert len(site.github.issues) == 1


def test_an_environment_that_tells_nobody(site: Site) -> None:
    file = site.folder / "fairlead.yml"
    file.write_text(file.read_text().replace("announce: [github]", ""))
    site.told(0, *GO)
    assert site.github.asked == []


LATER = "{start: 2099-01-03T08:00, end: 2099-01-03T14:00, zone: Europe/Vienna}"
NOW = "{start: 2020-01-04T08:00, end: 2099-01-03T14:00}"
TELL = ("announce", "--reason", f"release `42` @everyone {TOKEN}")


def with_window(site: Site, span: str) -> None:
    file = site.folder / "fairlead.yml"
    file.write_text(file.read_text().replace("    lease:", f"    gates: {{window: {{open: [{span}]}}}}\n    lease:"))


def test_a_window_is_told_beforehand(site: Site) -> None:
    with_window(site, LATER)
    said = site.told(0, *TELL)
    assert "window of test: Sat 2099-01-03 08:00 CET until Sat 2099-01-03 14:00 CET" in said
    [issue] = site.github.issues
    assert f"told in issue #{issue['number']}\n" in said
    assert issue["title"] == "deployment window of p in test: Sat 2099-01-03 08:00 CET"
    for part in ("from: Sat 2099-01-03 08:00 CET", "until: Sat 2099-01-03 14:00 CET", "services: api", "release `42`"):
        assert part in issue["body"]
    assert (issue["state"], TOKEN in issue["body"]) == ("open", False)
    assert not (site.home / "srv").exists()


def test_a_window_is_told_once_and_what_differs_is_added(site: Site) -> None:
    with_window(site, LATER)
    site.told(0, *TELL)
    assert "was told already" in site.told(0, *TELL)
    [issue] = site.github.issues
    assert site.comments(issue) == ""
    told = json.loads(site.told(0, "announce", "api", "--reason", "release 43", "--json"))
    assert (told["issue"], told["services"], told["waits"], told["called_off"]) == (issue["number"], ["api"], "", False)
    assert (told["end"] - told["start"], "reason: release 43" in site.comments(issue)) == (6 * 3600, True)
    site.told(0, "announce", "--called-off", "--reason", "the supplier is late")
    assert (issue["state"], issue["state_reason"]) == ("closed", "not_planned")
    assert "**Called off.**" in site.comments(issue) and "the supplier is late" in site.comments(issue)
    assert "that window was closed already" in site.told(1, *TELL)
    assert len(site.github.issues) == 1


def test_the_first_run_in_a_window_closes_its_issue(site: Site) -> None:
    with_window(site, NOW)
    site.told(0, *TELL)
    site.told(0, *GO)
    window, run = site.github.issues
    assert (window["state"], window["state_reason"]) == ("closed", "completed")
    assert "has begun" in site.comments(window)
    assert run["title"].startswith("deployment of p to test: ")
    site.release("v3")
    site.told(0, *GO)
    assert site.comments(window).count("has begun") == 1


def test_a_run_in_a_window_that_nobody_announced(site: Site) -> None:
    with_window(site, NOW)
    site.told(0, *GO)
    assert len(site.github.issues) == 1


def test_a_window_that_github_does_not_hear_of_is_kept(site: Site) -> None:
    with_window(site, LATER)
    site.github.fault(".", instead(problem(503, "busy")))
    said = site.told(1, *TELL)
    assert "not told yet, kept for the next run: GitHub" in said
    site.github.faults.clear()
    site.told(1, "ready")  # the window is not open
    assert [one["title"] for one in site.github.issues] == ["deployment window of p in test: Sat 2099-01-03 08:00 CET"]


def test_a_github_that_repeats_its_token_is_not_repeated(site: Site) -> None:
    with_window(site, LATER)
    site.github.fault(".", instead(problem(403, f"{TOKEN} may not do this")))
    assert "[secret GITHUB_TOKEN]" in site.told(1, *TELL)
    assert "[secret GITHUB_TOKEN]" in site.told(1, *TELL, "--json")


REFUSED = {
    "no reason": (LATER, "announce: [github]", ("announce",), 2, "say what for"),
    "no window": ("", "announce: [github]", TELL, 1, "test: it has no deployment windows"),
    "none any more": (LATER.replace("2099", "2019"), "announce: [github]", TELL, 1, "test: no window opens any more"),
    "nobody to tell": (LATER, "", TELL, 1, "test tells nobody"),
    "a service that is not there": (LATER, "announce: [github]", (*TELL, "web"), 2, "no service 'web'"),
    "nothing to call off": (LATER, "announce: [github]", (*TELL, "--called-off"), 1, "was never announced"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_a_window_that_cannot_be_told(site: Site, row: str) -> None:
    span, announce, words, code, says = REFUSED[row]
    if span:
        with_window(site, span)
    file = site.folder / "fairlead.yml"
    file.write_text(file.read_text().replace("announce: [github]", announce))
    said = site.told(code, *words)
    assert f"error: {says}" in said or says in said.splitlines()[0], said
    assert site.github.issues == []
