"""What is asked of GitHub about one repository, as words. A word that is not whole is no answer at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from fairlead.errors import NotReady
from fairlead.outside.github_http import GitHubError, GitHubHttp

A = TypeVar("A", bound="Answer")
_SCP = re.compile(r"(?:[^@/]+@)?([^:/]+):(?!//)(.+)")


class Answer(BaseModel):
    """Something that GitHub tells. Its other keys are nobody's business here; those that are must be as declared."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore", strict=True)


class Person(Answer):
    """An account of GitHub."""

    login: str
    id: int


class App(Answer):
    """What has run a check."""

    id: int


class Suite(Answer):
    """What a check run belongs to: one push, one pull request, one event."""

    id: int


class CheckRun(Answer):
    """One run of one check."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str | None
    html_url: str | None = None
    app: App | None
    check_suite: Suite | None


class CommitStatus(Answer):
    """What somebody else's CI says of a commit; the newest one of its context."""

    context: str
    state: str
    target_url: str | None = None


class Package(Answer):
    """A dependency."""

    name: str


class Dependency(Answer):
    """Where an alert was found."""

    package: Package


class Advisory(Answer):
    """What is known of a weakness."""

    ghsa_id: str
    cve_id: str | None = None
    severity: str


class Vulnerability(Answer):
    """How bad it is for this package."""

    severity: str


class Alert(Answer):
    """One alert of Dependabot."""

    number: int
    state: str
    html_url: str | None = None
    dependency: Dependency
    security_advisory: Advisory
    security_vulnerability: Vulnerability


class Repository(Answer):
    """Whose it is."""

    full_name: str


class Branch(Answer):
    """One end of a pull request."""

    ref: str
    sha: str
    repo: Repository | None
    """None = its repository was deleted."""


class Pull(Answer):
    """A pull request."""

    number: int
    title: str
    state: str
    html_url: str | None = None
    draft: bool = False
    merged_at: str | None
    merge_commit_sha: str | None
    user: Person | None
    """None = the account was deleted."""
    head: Branch
    base: Branch


class Review(Answer):
    """One review of a pull request."""

    id: int
    user: Person | None
    state: str
    commit_id: str | None
    author_association: str


class Comparison(Answer):
    """How a commit stands to a branch."""

    status: str
    ahead_by: int
    behind_by: int


class Issue(Answer):
    """An issue."""

    number: int
    state: str
    html_url: str
    body: str | None


class Comment(Answer):
    """A comment to an issue."""

    body: str | None


class GitHub:
    """One repository on GitHub."""

    def __init__(self, http: GitHubHttp, repository: str) -> None:
        """`repository`: `owner/name`."""
        self.repository, self._http = repository, http
        self._place = "/repos/" + "/".join(quote(part, safe="") for part in repository.split("/"))

    async def check_runs(self, commit: str) -> list[CheckRun]:
        """The check runs of a commit, of each rerun the newest. Raises GitHubError where one of them is missing."""
        pages = await self._http.pages(f"{self._place}/commits/{commit}/check-runs", filter="latest")
        return _counted(pages, "check_runs", CheckRun)

    async def statuses(self, commit: str) -> list[CommitStatus]:
        """The newest status of each context of a commit."""
        pages = await self._http.pages(f"{self._place}/commits/{commit}/status")
        for page in pages:
            if not isinstance(page, dict) or page.get("sha") != commit:
                raise GitHubError(f"GitHub answers for another commit than {commit[:12]}")
        return _counted(pages, "statuses", CommitStatus)

    async def alerts(self) -> list[Alert]:
        """Open alerts of Dependabot, of every severity."""
        return _listed(await self._http.pages(f"{self._place}/dependabot/alerts", state="open"), Alert)

    async def pulls_of(self, commit: str) -> list[Pull]:
        """Pull requests that a commit belongs to, whatever became of them."""
        return _listed(await self._http.pages(f"{self._place}/commits/{commit}/pulls"), Pull)

    async def open_pulls(self) -> list[Pull]:
        """Pull requests that are open."""
        return _listed(await self._http.pages(f"{self._place}/pulls", state="open"), Pull)

    async def reviews(self, number: int) -> list[Review]:
        """All reviews of a pull request."""
        return _listed(await self._http.pages(f"{self._place}/pulls/{number}/reviews"), Review)

    async def compare(self, branch: str, commit: str) -> Comparison:
        """How a commit stands to a branch."""
        basehead = f"{quote(branch, safe='')}...{quote(commit, safe='')}"
        return _word(await self._http.get(f"{self._place}/compare/{basehead}", per_page=1), Comparison)

    async def issues_since(self, time: str) -> list[Issue]:
        """Issues, open or not, that have changed since a time written as `2026-11-29T07:00:00Z`."""
        return _listed(await self._http.pages(f"{self._place}/issues", state="all", since=time), Issue)

    async def open_issue(self, title: str, body: str) -> Issue:
        """Open an issue. A lost answer does not say whether it was opened: look before asking again."""
        return _word(await self._http.send("POST", f"{self._place}/issues", {"title": title, "body": body}), Issue)

    async def close_issue(self, number: int, *, good: bool) -> None:
        """Close an issue, as completed or as not planned; doing it twice changes nothing more."""
        words = {"state": "closed", "state_reason": "completed" if good else "not_planned"}
        closed = _word(await self._http.send("PATCH", f"{self._place}/issues/{number}", words), Issue)
        if closed.state != "closed":
            raise GitHubError(f"GitHub says that issue #{number} is still {closed.state}")

    async def comments(self, number: int) -> list[Comment]:
        """All comments to an issue."""
        return _listed(await self._http.pages(f"{self._place}/issues/{number}/comments"), Comment)

    async def comment(self, number: int, body: str) -> None:
        """Comment on an issue. A lost answer does not say whether it stands there."""
        _word(await self._http.send("POST", f"{self._place}/issues/{number}/comments", {"body": body}), Comment)


def repository(named: str, remote: str, api: str) -> str:
    """`owner/name`: the named one, else what the URL of a remote leads to. Raises NotReady where it leads elsewhere."""
    found = named or repository_of(remote, api)
    if not found:
        what = "which repository this is cannot be told from the remote of the working copy"
        raise NotReady(what, "write `github: {repository: owner/name}`")
    return found


def repository_of(remote: str, api: str) -> str:
    """`owner/name` out of the URL of a remote; empty = it leads to another server than `api`, or to no repository."""
    host, path = _place(remote)
    there = urlsplit(api).hostname or ""
    owner_and_name = path.strip("/").removesuffix(".git").split("/")
    wanted = "github.com" if there == "api.github.com" else there
    right = host.lower().removeprefix("ssh.") == wanted and len(owner_and_name) == 2 and all(owner_and_name)
    return "/".join(owner_and_name) if right else ""


def _place(remote: str) -> tuple[str, str]:
    """Host and path of a remote, written as a URL or as `user@host:path`."""
    if found := _SCP.fullmatch(remote):
        return found[1], found[2]
    try:
        parts = urlsplit(remote)
        return parts.hostname or "", parts.path
    except ValueError:
        return "", ""


def _counted(pages: Sequence[Any], key: str, word: type[A]) -> list[A]:
    """What lies under `key` on all pages; every page says how many there are, and as many must have come."""
    found: list[A] = []
    for page in pages:
        items = page.get(key) if isinstance(page, dict) else None
        total = page.get("total_count") if isinstance(page, dict) else None
        if not isinstance(items, list) or type(total) is not int:
            raise _odd(key)
        found += [_word(item, word) for item in items]
    if any(page["total_count"] != len(found) for page in pages):
        raise GitHubError(f"GitHub says that there are {pages[-1]['total_count']} {key}, and {len(found)} came")
    return found


def _listed(pages: Sequence[Any], word: type[A]) -> list[A]:
    found: list[A] = []
    for page in pages:
        if not isinstance(page, list):
            raise _odd("list")
        found += [_word(item, word) for item in page]
    return found


def _word(value: Any, word: type[A]) -> A:
    try:
        return word.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise _odd(".".join([word.__name__, *map(str, first["loc"])])) from None


def _odd(where: str) -> GitHubError:
    return GitHubError(f"GitHub's answer is not of the form that it should have: {where}")
