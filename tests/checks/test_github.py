"""The gates that ask GitHub, against a GitHub of our own: a table of situations, each with its verdict."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fairlead.checks.gate import GateContext, ask_gate
from fairlead.checks.gates import GATES
from fairlead.config import load, parse
from fairlead.config.source import EnvironmentSource
from fairlead.journal.store import Store
from fairlead.model import GateAnswer
from fairlead.outside.clock import FakeClock
from fairlead.outside.connect import Hosts
from fairlead.outside.git import WorkingCopy
from fairlead.outside.github import repository_of
from fairlead.outside.github_http import Cache, Forgetful
from fairlead.outside.http import HttpClient
from fairlead.outside.secrets import Secrets
from support.github import (
    COMMIT,
    OTHER,
    PLACE,
    REPOSITORY,
    TOKEN,
    GitHub,
    Said,
    alert,
    branch,
    cut_off,
    damaged_gzip,
    edited,
    half,
    hangs,
    instead,
    ok,
    problem,
    pull,
    review,
    run,
    status,
)

FILE = """
fairlead: 1
project: p
hosts: {here: {connect: local}}
github: {api: "URL", repository: REPOSITORY, patience: 30s, not_asked: [deploy]}
environments: {test: {gates: {ask: [commit, ci, dependabot, review, behind, pulls]}}}
"""
COPY = WorkingCopy(commit=COMMIT, committed=1.0, branch="pads", remote=f"git@github.com:{REPOSITORY}.git")
WORDS = ("ci", "dependabot", "review", "behind", "pulls")


@pytest.fixture(scope="module")
def server() -> Iterator[GitHub]:
    with GitHub() as made:
        yield made


@pytest.fixture
def github(server: GitHub) -> GitHub:
    server.reset()
    return server


@asynccontextmanager
async def context(
    github: GitHub, clock: FakeClock | None = None, cache: Cache | None = None, token: str = TOKEN, **file: str
) -> AsyncIterator[GateContext]:
    text = FILE.replace("URL", github.url).replace("REPOSITORY", file.get("repository", REPOSITORY))
    installation = load(parse(text), {})
    secrets = Secrets((EnvironmentSource(),), environ={"GITHUB_TOKEN": token} if token else {})
    secrets.guard(installation.secrets)
    clock = clock or FakeClock()
    github.now = clock.now
    async with Hosts({}, secrets) as hosts, HttpClient() as http:
        environment = installation.environments["test"]
        made = GateContext(installation, environment, Path(), hosts, http, secrets, clock)
        made.cache = cache or Forgetful()

        async def copy() -> WorkingCopy:
            return COPY.model_copy(update={"remote": file.get("remote", COPY.remote)})

        await made.once("working copy", copy)
        try:
            yield made
        finally:
            await made.aclose()


async def asked(made: GateContext, word: str) -> GateAnswer:
    gate = GATES[word](made)
    assert gate is not None
    return await ask_gate(gate)


class Row(NamedTuple):
    gate: str
    status: str
    says: str
    """A part of what the gate or one of its findings says."""
    change: Callable[[GitHub], Any]


def runs(*several: dict[str, Any]) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        github.runs = list(several)

    return change


def statuses(*several: dict[str, Any]) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        github.statuses = list(several)

    return change


def alerts(*several: dict[str, Any]) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        github.alerts = list(several)

    return change


def pulls(*several: dict[str, Any]) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        github.pulls = list(several)

    return change


def reviews(*several: dict[str, Any]) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        github.reviews[12] = [{**one, "id": number} for number, one in enumerate(several, 1)]

    return change


def compared(state: str, ahead: Any, behind: Any) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        github.compare = {"status": state, "ahead_by": ahead, "behind_by": behind}

    return change


def both(*changes: Callable[[GitHub], Any]) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        for one in changes:
            one(github)

    return change


def fault(path: str, what: Callable[[Said], Said], times: int = 1_000_000, skip: int = 0) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        github.fault(path, what, times, skip)

    return change


def nothing(github: GitHub) -> None:
    """All is well."""


def set_to(**fields: Any) -> Callable[[GitHub], None]:
    def change(github: GitHub) -> None:
        for name, value in fields.items():
            setattr(github, name, value)

    return change


def without(key: str, *places: str | int) -> Callable[[Said], Said]:
    def edit(document: Any) -> None:
        for place in places:
            document = document[place]
        del document[key]

    return edited(edit)


def many(number: int, **last: Any) -> tuple[dict[str, Any], ...]:
    several = [run(f"job {index}", id=index + 1) for index in range(number)]
    return (*several[:-1], {**several[-1], **last})


WAIT = problem(403, "You have exceeded a secondary rate limit.", Retry_After="20")
CI, DEPENDABOT, REVIEW, BEHIND, PULLS = WORDS

SITUATIONS = {
    # -- ci
    "all is green": Row(CI, "ok", "3/3 passed", nothing),
    "one of many failed": Row(CI, "fail", "test", runs(run("lint", id=1), run("test", "failure", id=2))),
    "one ran out of time": Row(CI, "fail", "timed out", runs(run("test", "timed_out"))),
    "one was cancelled": Row(CI, "fail", "cancelled", runs(run("test", "cancelled"))),
    "one needs a person": Row(CI, "fail", "action required", runs(run("test", "action_required"))),
    "one could not start": Row(CI, "fail", "startup failure", runs(run("test", "startup_failure"))),
    "one was given up": Row(CI, "fail", "stale", runs(run("test", "stale"))),
    "one is still running": Row(CI, "unknown", "not ended yet: in progress", runs(run(), run("slow", None, id=9))),
    "one waits for its turn": Row(CI, "unknown", "queued", runs(run("slow", None, status="queued"))),
    "a failure is told before what still runs": Row(CI, "fail", "test", runs(run("test", "failure"), run("b", None))),
    "skipped beside green": Row(CI, "ok", "passed", runs(run(), run("docs", "skipped", id=2))),
    "neutral beside green": Row(CI, "ok", "passed", runs(run(), run("docs", "neutral", id=2))),
    "everything was skipped": Row(
        CI, "unknown", "every check of c0ffee000000 was skipped", both(runs(run("a", "skipped")), statuses())
    ),
    "nothing has looked at the commit": Row(CI, "unknown", "nothing has looked", both(runs(), statuses())),
    "only the job that asks has": Row(CI, "unknown", "nothing has looked", both(runs(run("deploy", None)), statuses())),
    "the job that asks is left out": Row(CI, "ok", "3/3", runs(run("a"), run("b"), run("deploy", None, id=7))),
    "only statuses": Row(CI, "ok", "success", runs()),
    "only check runs": Row(CI, "ok", "2/2 passed", statuses()),
    "a status failed": Row(CI, "fail", "ci/other", statuses(status(state="failure"))),
    "a status is an error": Row(CI, "fail", "error", statuses(status(state="error"))),
    "a status is pending": Row(CI, "unknown", "pending", statuses(status(state="pending"))),
    "a status of a kind that nobody knows": Row(CI, "unknown", "not known here", statuses(status(state="fine"))),
    "a conclusion that nobody knows": Row(CI, "unknown", "not known here", runs(run("test", "fabulous"))),
    "completed without a conclusion": Row(CI, "unknown", "not known", runs(run(conclusion=None, status="completed"))),
    "green while it runs": Row(CI, "unknown", "in progress", runs(run("test", "success", status="in_progress"))),
    "a rerun turned green": Row(CI, "ok", "passed", runs(run("test", "failure", id=1), run("test", id=2))),
    "a rerun turned red": Row(CI, "fail", "failure", runs(run("test", id=1), run("test", "failure", id=2))),
    "a rerun is still running": Row(CI, "unknown", "in progress", runs(run("test", id=1), run("test", None, id=2))),
    "reruns come in any order": Row(
        CI,
        "ok",
        "passed",
        fault("check-runs", edited(lambda d: {**d, "check_runs": [run("test", id=2), run("test", "failure", id=1)]})),
    ),
    "the same check for another event is no rerun": Row(
        CI, "fail", "failure", runs(run("test", "failure", id=1), run("test", id=2, check_suite={"id": 8}))
    ),
    "the same name of another app is no rerun": Row(
        CI, "fail", "failure", runs(run("test", "failure", id=1, app={"id": 1}), run("test", id=2))
    ),
    "page 2 has the failure": Row(CI, "fail", "job 149", runs(*many(150, conclusion="failure"))),
    "page 3 has the failure, in pages of ten": Row(
        CI, "fail", "job 24", both(runs(*many(25, conclusion="failure")), set_to(page=10))
    ),
    "page 2 does not come": Row(
        CI, "unknown", "GitHub answers 500", both(runs(*many(150)), fault("page=2", instead(problem(500, "oops"))))
    ),
    "page 2 is empty": Row(
        CI,
        "unknown",
        "there are 150 check_runs, and 100 came",
        both(runs(*many(150)), fault("page=2", edited(lambda d: {**d, "check_runs": []}))),
    ),
    "the link to page 2 is lost": Row(
        CI,
        "unknown",
        "100 came",
        both(runs(*many(150)), fault("check-runs", lambda said: Said(said.status, said.body, {}))),
    ),
    "pages that lead in a circle": Row(
        CI,
        "unknown",
        "do not end",
        fault(
            "check-runs",
            lambda said: replace(
                said,
                headers={
                    "Link": f'<{GITHUB[0]}{PLACE}/commits/{COMMIT}/check-runs?per_page=100&filter=latest>; rel="next"'
                },
            ),
        ),
    ),
    "the next page lies on another server": Row(
        CI,
        "unknown",
        "another server",
        fault("check-runs", lambda said: replace(said, headers={"Link": '<http://127.0.0.1:9/x>; rel="next"'})),
    ),
    "a run of another commit among them": Row(CI, "unknown", "another commit", runs(run(), run("b", head_sha=OTHER))),
    "the status of another commit": Row(
        CI, "unknown", "another commit", fault("/status", edited(lambda d: {**d, "sha": OTHER}))
    ),
    "a commit that was never pushed": Row(CI, "unknown", "No commit found", set_to(known=set())),
    "a run without its conclusion": Row(
        CI, "unknown", "not of the form", fault("check-runs", without("conclusion", "check_runs", 0))
    ),
    "a list where a document should be": Row(CI, "unknown", "not of the form", fault("check-runs", instead(ok([])))),
    "no count": Row(CI, "unknown", "not of the form", fault("check-runs", without("total_count"))),
    "an empty document": Row(CI, "unknown", "not of the form", fault("check-runs", instead(ok({})))),
    # -- dependabot
    "no alert is open": Row(DEPENDABOT, "ok", "no alert is high or critical", alerts()),
    "only low and medium ones": Row(DEPENDABOT, "ok", "2 are low or medium", alerts(alert("low"), alert("medium"))),
    "a high one": Row(DEPENDABOT, "fail", "high: GHSA-aaaa-bbbb-cccc, CVE-2026-1", alerts(alert("high"))),
    "a critical one among low ones": Row(DEPENDABOT, "fail", "critical", alerts(alert("low"), alert("critical"))),
    "it names the package": Row(DEPENDABOT, "fail", "left-pad", alerts(alert("high"))),
    "low for the world, high for this package": Row(
        DEPENDABOT, "fail", "high", alerts(alert("low", security_vulnerability={"severity": "high"}))
    ),
    "a severity that nobody knows": Row(DEPENDABOT, "unknown", "not known", alerts(alert("apocalyptic"))),
    "one that is not open any more": Row(
        DEPENDABOT, "unknown", "asked for open alerts", alerts(alert("high", state="dismissed"))
    ),
    "one without severity": Row(
        DEPENDABOT, "unknown", "severity", fault("alerts", without("severity", 0, "security_advisory"))
    ),
    "page 2 has the high one": Row(DEPENDABOT, "fail", "high", alerts(*[alert("low")] * 100, alert("high"))),
    "alerts are switched off": Row(
        DEPENDABOT,
        "unknown",
        "Dependabot alerts are disabled",
        fault("alerts", instead(problem(403, "Dependabot alerts are disabled for this repository."))),
    ),
    "the token may not see alerts": Row(
        DEPENDABOT,
        "unknown",
        "may not ask this",
        fault(
            "alerts",
            instead(
                problem(
                    403,
                    "Resource not accessible by integration",
                    X_Accepted_GitHub_Permissions="vulnerability_alerts=read",
                )
            ),
        ),
    ),
    # -- review
    "approved by somebody else": Row(REVIEW, "ok", "#12 is approved by grace", nothing),
    "nobody has reviewed": Row(REVIEW, "fail", "nobody who counts has approved", reviews()),
    "only comments": Row(REVIEW, "fail", "nobody who counts", reviews(review(state="COMMENTED"))),
    "approved by its author": Row(REVIEW, "fail", "ada is its author", reviews(review("ada"))),
    "approved by its author in capitals": Row(REVIEW, "fail", "is its author", reviews(review("ADA"))),
    "the approval was dismissed": Row(REVIEW, "fail", "was dismissed", reviews(review(state="DISMISSED"))),
    "approved, then changes are asked for": Row(
        REVIEW, "fail", "grace asks for changes", reviews(review(), review(state="CHANGES_REQUESTED"))
    ),
    "changes asked for, then approved": Row(
        REVIEW, "ok", "approved by grace", reviews(review(state="CHANGES_REQUESTED"), review())
    ),
    "approved, and a comment after it": Row(REVIEW, "ok", "grace", reviews(review(), review(state="COMMENTED"))),
    "one approves, another asks for changes": Row(
        REVIEW, "fail", "linus asks for changes", reviews(review(), review("linus", "CHANGES_REQUESTED"))
    ),
    "the wish for changes was dismissed, another approves": Row(
        REVIEW, "ok", "grace", reviews(review("linus", "DISMISSED"), review())
    ),
    "approved before, and then dismissed": Row(
        REVIEW, "fail", "dismissed", reviews(review(), review(state="DISMISSED"))
    ),
    "a stranger approves": Row(REVIEW, "fail", "not of the team", reviews(review(author_association="NONE"))),
    "a stranger asks for changes": Row(
        REVIEW, "ok", "grace", reviews(review(), review("eve", "CHANGES_REQUESTED", author_association="NONE"))
    ),
    "a deleted account approves": Row(REVIEW, "fail", "nobody who counts", reviews(review(None))),
    "a deleted account asks for changes": Row(
        REVIEW, "fail", "a deleted account", reviews(review(None, "CHANGES_REQUESTED"), review())
    ),
    "its author was deleted": Row(REVIEW, "ok", "grace", pulls(pull(user=None))),
    "a review of a kind that nobody knows": Row(
        REVIEW, "unknown", "not known", reviews(review(), review("x", "PERHAPS"))
    ),
    "somebody of whom nobody knows where they belong asks for changes": Row(
        REVIEW,
        "unknown",
        "eve's review is of a kind that is not known",
        reviews(review(), review("eve", "CHANGES_REQUESTED", author_association="FRIEND")),
    ),
    "what was approved is older": Row(REVIEW, "warn", "an earlier commit", reviews(review(commit_id=OTHER))),
    "page 2 asks for changes": Row(
        REVIEW,
        "fail",
        "asks for changes",
        reviews(review(), *[review(state="COMMENTED")] * 100, review("linus", "CHANGES_REQUESTED")),
    ),
    "no pull request": Row(REVIEW, "fail", "by no pull request", pulls()),
    "a pull request into another branch": Row(
        REVIEW, "fail", "no pull request", pulls(pull(base=branch("dev", OTHER)))
    ),
    "a fork's own pull request": Row(
        REVIEW, "fail", "no pull request", pulls(pull(base=branch("main", OTHER, "eve/shop")))
    ),
    "a pull request from a fork": Row(REVIEW, "ok", "grace", pulls(pull(head=branch("pads", COMMIT, "eve/shop")))),
    "the fork was deleted": Row(REVIEW, "ok", "grace", pulls(pull(head=branch("pads", COMMIT, None)))),
    "the branch has moved on": Row(
        REVIEW, "fail", "has moved on to deaf00000000", pulls(pull(head=branch("pads", OTHER)))
    ),
    "closed without being merged": Row(REVIEW, "fail", "no pull request", pulls(pull(state="closed"))),
    "a renamed author approves": Row(REVIEW, "fail", "is its author", reviews(review("ada2", user_id=1))),
    "merged, and this is the merge": Row(
        REVIEW,
        "ok",
        "grace",
        both(
            reviews(review(commit_id=OTHER)),
            pulls(pull(state="closed", merged_at="2026-11-29", merge_commit_sha=COMMIT, head=branch("p", OTHER))),
        ),
    ),
    "the merged one counts, not the one that is open": Row(
        REVIEW,
        "fail",
        "#13",
        pulls(pull(), pull(number=13, state="closed", merged_at="2026-11-29T07:00:00Z", merge_commit_sha=COMMIT)),
    ),
    "exactly a page of comments": Row(REVIEW, "fail", "nobody", reviews(*[review(state="COMMENTED")] * 100)),
    "exactly a page, and an approval in it": Row(
        REVIEW, "ok", "grace", reviews(*[review(state="COMMENTED")] * 99, review())
    ),
    "the links to further pages get lost": Row(
        REVIEW,
        "unknown",
        "get lost on the way",
        both(
            reviews(review(), *[review(state="COMMENTED")] * 100, review("linus", "CHANGES_REQUESTED")),
            fault("reviews", lambda said: replace(said, headers={})),
        ),
    ),
    "the link to the next page gets lost once": Row(
        REVIEW,
        "unknown",
        "get lost on the way",
        both(
            reviews(review(), *[review(state="COMMENTED")] * 100, review("linus", "CHANGES_REQUESTED")),
            fault("reviews", lambda said: replace(said, headers={}), times=1),
        ),
    ),
    # -- behind
    "nothing is missing": Row(BEHIND, "ok", "has all that is in main", nothing),
    "it is main": Row(BEHIND, "ok", "has all", compared("identical", 0, 0)),
    "two commits behind": Row(BEHIND, "fail", "lacks 2 commits of main", compared("behind", 0, 2)),
    "ahead and behind": Row(BEHIND, "fail", "lacks 1 commits", compared("diverged", 3, 1)),
    "it says ahead and counts behind": Row(BEHIND, "unknown", "contradicts itself", compared("ahead", 3, 1)),
    "it says behind and counts nothing": Row(BEHIND, "unknown", "contradicts itself", compared("behind", 0, 0)),
    "a negative count": Row(BEHIND, "unknown", "contradicts itself", compared("ahead", 3, -1)),
    "a count that is text": Row(BEHIND, "unknown", "not of the form", compared("ahead", 3, "0")),
    "a count that is yes": Row(BEHIND, "unknown", "not of the form", compared("identical", 0, False)),
    "GitHub does not know the commit": Row(BEHIND, "unknown", "404", set_to(known=set())),
    # -- pulls
    "one is open": Row(PULLS, "ok", "1 open: #12 Take the left pad out", nothing),
    "none is open": Row(PULLS, "ok", "none is open", pulls(pull(state="closed"))),
    "that they cannot be told forbids nothing": Row(
        PULLS, "warn", "cannot be told", fault(r"/pulls\?", instead(problem(500, "oops")))
    ),
    # -- on the way
    "the token is wrong": Row(CI, "unknown", "does not accept the token GITHUB_TOKEN (401: Bad", set_to(token="other")),
    "the token may not": Row(CI, "unknown", "(403: Forbidden", fault(".", instead(problem(403, "Forbidden")))),
    "no such repository": Row(BEHIND, "unknown", "does not have this", fault(".", instead(problem(404, "Not Found")))),
    "a busy GitHub": Row(BEHIND, "ok", "has all", fault(".", instead(problem(502, "busy")), times=2)),
    "a GitHub that stays busy": Row(BEHIND, "unknown", "answers 503", fault(".", instead(problem(503, "busy")))),
    "the connection breaks once": Row(BEHIND, "ok", "has all", fault(".", cut_off, times=1)),
    "the connection breaks each time": Row(BEHIND, "unknown", "cannot be asked", fault(".", cut_off)),
    "a body that ends early": Row(BEHIND, "unknown", "no whole JSON document", fault(".", half)),
    "an empty body": Row(BEHIND, "unknown", "no whole JSON document", fault(".", instead(Said(200, b"")))),
    "a web page": Row(BEHIND, "unknown", "no whole JSON", fault(".", instead(Said(200, b"<html>hi</html>")))),
    "bytes that are no text": Row(BEHIND, "unknown", "no whole JSON", fault(".", instead(Said(200, b'{"a": "\xff"}')))),
    "a body that is packed and damaged": Row(BEHIND, "unknown", "cannot be asked", fault(".", damaged_gzip)),
    "very deep JSON": Row(BEHIND, "unknown", "no whole JSON", fault(".", instead(Said(200, b"[" * 100_000)))),
    "not modified, though never asked": Row(BEHIND, "unknown", "not modified", fault(".", instead(Said(304, b"")))),
    "no content": Row(BEHIND, "unknown", "answers 204", fault(".", instead(Said(204, b"")))),
    "moved within GitHub": Row(
        BEHIND,
        "ok",
        "has all",
        fault("compare", instead(Said(301, b"", {"Location": f"{PLACE}/compare/main...{COMMIT}"})), times=1),
    ),
    "moved to another server": Row(
        BEHIND, "unknown", "another server", fault(".", instead(Said(301, b"", {"Location": "http://127.0.0.1:9/"})))
    ),
    "moved in a circle": Row(
        BEHIND, "unknown", "answers 301", fault(".", instead(Said(301, b"", {"Location": f"{PLACE}/compare/x"})))
    ),
    "a secondary limit that ends in time": Row(BEHIND, "ok", "has all", fault(".", instead(WAIT), times=1)),
    "a secondary limit that lasts": Row(
        BEHIND, "unknown", "secondary rate limit is used up for another 20 s", fault(".", instead(WAIT))
    ),
    "a secondary limit that does not say how long": Row(
        BEHIND,
        "unknown",
        "secondary rate limit is used up for another 60 s",
        fault(".", instead(problem(403, "You have exceeded a secondary rate limit"))),
    ),
    "too many requests": Row(
        BEHIND, "ok", "has all", fault(".", instead(problem(429, "slow", Retry_After="3")), times=3)
    ),
    "a limit until a date": Row(
        BEHIND,
        "unknown",
        "rate limit",
        fault(".", instead(problem(429, "slow", Retry_After="Fri, 15 Jan 2027 09:00:00 GMT"))),
    ),
    "a limit until nobody knows when": Row(
        BEHIND, "unknown", "another 60 s", fault(".", instead(problem(429, "slow", Retry_After="soon")))
    ),
    "the primary limit ends in time": Row(BEHIND, "ok", "has all", set_to(remaining=0, resets_at=1_800_000_010.0)),
    "the primary limit lasts": Row(
        BEHIND,
        "unknown",
        "GitHub's rate limit is used up for another 601 s",
        set_to(remaining=0, resets_at=1_800_000_600.0),
    ),
}
GITHUB: list[str] = []
"""Where it listens."""


@pytest.mark.parametrize("row", SITUATIONS)
async def test_situation(github: GitHub, row: str) -> None:
    word, wanted, says, change = SITUATIONS[row]
    GITHUB[:] = [github.url]
    change(github)
    async with context(github) as made:
        told = await asked(made, word)
    everything = "\n".join([told.says, *(f"{one.subject}: {one.says}" for one in told.findings)])
    assert (told.status, says in everything) == (wanted, True), everything
    assert told.status == "ok" or told.hint, "there is always a next thing to type"
    assert "Traceback" not in everything
    assert TOKEN not in told.to_json()


def test_there_are_enough_situations() -> None:
    assert len(SITUATIONS) >= 100
    assert {row.gate for row in SITUATIONS.values()} == set(WORDS)


async def test_out_of_the_box_all_gates_are_open(github: GitHub) -> None:
    async with context(github) as made:
        assert {word: (await asked(made, word)).status for word in WORDS} == dict.fromkeys(WORDS, "ok")
    assert all(one.headers["authorization"] == f"Bearer {TOKEN}" for one in github.asked)
    assert all(one.headers["x-github-api-version"] for one in github.asked)


async def test_no_answer(github: GitHub) -> None:
    """The one row that waits on a real clock: nothing comes, and nobody waits for ever."""
    github.fault("compare", hangs)
    clock = FakeClock()
    async with context(github, clock) as made:
        await clock.sleep(0)
        spec = made.installation.github
        assert spec is not None
        made.installation = made.installation.model_copy(update={"github": spec.model_copy(update={"patience": 0.3})})
        told = await asked(made, "behind")
    assert (told.status, "no answer" in told.says) == ("unknown", True), told.says


async def test_what_has_not_changed_costs_nothing_and_says_the_same(github: GitHub, tmp_path: Path) -> None:
    github.runs = list(many(250))
    store = Store(tmp_path / "history.db")
    async with context(github, cache=store) as made:
        first = await asked(made, "ci")
    left, before = github.remaining, len(github.asked)
    async with context(github, cache=Store(tmp_path / "history.db")) as made:
        again = await asked(made, "ci")
    assert [one.status for one in first.findings] == [one.status for one in again.findings] == ["ok"] * 251
    assert github.remaining == left, "every answer was 304"
    assert len(github.asked) == 2 * before
    assert all("if-none-match" in one.headers for one in github.asked[before:])
    github.runs = list(many(250, conclusion="failure"))
    async with context(github, cache=store) as made:
        assert (await asked(made, "ci")).status == "fail", "the page that has changed comes anew"
    assert store.warnings == []


async def test_what_was_damaged_is_not_kept(github: GitHub, tmp_path: Path) -> None:
    store = Store(tmp_path / "history.db")
    github.fault("compare", half, times=1)
    async with context(github, cache=store) as made:
        assert (await asked(made, "behind")).status == "unknown"
    async with context(github, cache=store) as made:
        assert (await asked(made, "behind")).status == "ok"
    assert "if-none-match" not in github.asked[-1].headers


async def test_a_missing_token_is_said(github: GitHub) -> None:
    async with context(github, token="") as made:
        told = await asked(made, "ci")
    assert (told.status, told.says) == ("unknown", "the secret GITHUB_TOKEN is missing")
    assert github.asked == []


async def test_the_patience_is_for_all_questions_together(github: GitHub) -> None:
    """Two waits of 20 s do not fit into 30 s, whoever waits."""
    github.fault("check-runs", instead(WAIT), times=1)
    github.fault("compare", instead(WAIT), times=1)
    clock = FakeClock()
    async with context(github, clock) as made:
        first, second = await asked(made, "ci"), await asked(made, "behind")
    assert (first.status, second.status) == ("ok", "unknown")
    assert clock.monotonic() == 20


REMOTES = {
    f"git@github.com:{REPOSITORY}.git": True,
    f"git@github.com:{REPOSITORY}": True,
    f"ssh://git@github.com/{REPOSITORY}.git": True,
    f"ssh://git@ssh.github.com:443/{REPOSITORY}.git": True,
    f"https://github.com/{REPOSITORY}": True,
    f"https://ada:secret@github.com/{REPOSITORY}.git/": True,
    f"https://GitHub.com/{REPOSITORY}.git": True,
    f"https://gitlab.com/{REPOSITORY}.git": False,
    f"git@work:{REPOSITORY}.git": False,
    "https://github.com/acme": False,
    "https://github.com/acme/shop/tree/main": False,
    "https://github.com//shop": False,
    "/srv/git/shop.git": False,
    "https://[broken": False,
    "": False,
}


@pytest.mark.parametrize("remote", REMOTES)
def test_the_repository_is_found_in_the_remote(remote: str) -> None:
    assert repository_of(remote, "https://api.github.com") == (REPOSITORY if REMOTES[remote] else "")


def test_of_an_enterprise_too() -> None:
    api = "https://git.acme.example/api/v3"
    assert repository_of("git@git.acme.example:acme/shop.git", api) == REPOSITORY
    assert repository_of(f"https://github.com/{REPOSITORY}", api) == ""


@pytest.mark.parametrize(("remote", "status"), [("/srv/git", "unknown"), ("http://127.0.0.1/acme/shop.git", "ok")])
async def test_where_the_file_names_no_repository_the_remote_does(github: GitHub, remote: str, status: str) -> None:
    async with context(github, remote=remote) as made:
        spec = made.installation.github
        assert spec is not None
        made.installation = made.installation.model_copy(update={"github": spec.model_copy(update={"repository": ""})})
        told = await asked(made, "ci")
    assert told.status == status
    assert status == "ok" or "github: {repository:" in told.hint
