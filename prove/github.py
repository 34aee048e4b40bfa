"""GitHub's answers damaged in thousands of ways; and every request held against GitHub's own published description.

The description is npm's `@octokit/openapi`, served by `@stoplight/prism-cli`; both are installed into build/prism.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fairlead.errors import NotReady
from fairlead.outside.clock import SystemClock
from fairlead.outside.github import GitHub
from fairlead.outside.github_http import GitHubHttp, _Answer
from fairlead.outside.secrets import Secrets
from prove.table import Row
from support.ports import free_port

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "prism"
PACKAGES = ("@octokit/openapi@23.0.2", "@stoplight/prism-cli@5.14.2")
CASES = 10_000
PROCESSES = 2
REPOSITORY = "octocat/Hello-World"
COMMIT = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
"""That of the examples in the description."""
_PLACE = "/repos/{owner}/{repo}"
OPERATIONS = {
    "GET": (
        f"{_PLACE}/commits/{{ref}}/check-runs",
        f"{_PLACE}/commits/{{ref}}/status",
        f"{_PLACE}/commits/{{commit_sha}}/pulls",
        f"{_PLACE}/dependabot/alerts",
        f"{_PLACE}/pulls",
        f"{_PLACE}/pulls/{{pull_number}}/reviews",
        f"{_PLACE}/compare/{{basehead}}",
        f"{_PLACE}/issues",
        f"{_PLACE}/issues/{{issue_number}}/comments",
    ),
    "POST": (f"{_PLACE}/issues", f"{_PLACE}/issues/{{issue_number}}/comments"),
    "PATCH": (f"{_PLACE}/issues/{{issue_number}}",),
}
"""What the client may ask: anything else is not in the description that is served, and is refused."""


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """Damage first, then the description."""
    yield _damage(max(1, round(CASES * scale)), seed)
    try:
        _install()
    except (OSError, subprocess.SubprocessError) as error:
        yield Row("requests that GitHub's description allows", 1, [f"the description cannot be had: {error}"])
        return
    description = slim(json.loads((HOME / "node_modules/@octokit/openapi/generated/api.github.com.json").read_text()))
    (HOME / "slim.json").write_text(json.dumps(description))
    with _prism() as url:
        yield _refuses(url)
        yield asyncio.run(_requests(url, description))


def _damage(cases: int, seed: int) -> Row:
    """The tests of `tests/checks/test_github_fuzz.py`, with more and other cases; no damage is no case."""
    began = time.monotonic()
    examples = str(-(-cases * 11 // 10 // PROCESSES))
    environ = os.environ | {"FAIRLEAD_FUZZ": examples, "PYTHONPATH": str(ROOT / "tests")}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "prove.github", str(seed * PROCESSES + number)],
            cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True,
        )
        for number in range(PROCESSES)
    ]  # fmt: skip
    told = [_told(process) for process in running]
    failures = [failure for one in told for failure in one["failures"]]
    tried, refused, yes = (sum(one[word] for one in told) for word in ("tried", "refused", "yes"))
    if tried < cases:
        failures.append(f"{cases} were to be tried")
    note = f"{refused} were refused with a message and a hint, {yes} of the clean ones still say yes, no other"
    name = "damaged answers that become a yes or a traceback"
    return Row(name, tried, failures, time.monotonic() - began, note)


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    try:
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        failures = [f"a process ended with {process.returncode}"]
        told = {"tried": 0, "refused": 0, "yes": 0, "failures": failures}
    return told


def main(seed: int) -> None:
    """Damage answers; how often, what came of it and what failed as one line of JSON."""
    from hypothesis import seed as seeded

    fuzz = importlib.import_module("checks.test_github_fuzz")
    verdict, told = fuzz.verdict, {"tried": 0, "refused": 0, "yes": 0, "failures": list[str]()}

    async def counting(server: Any, gate: str, damage: Callable[[_Answer], _Answer], which: int) -> Any:
        changed: list[bool] = []

        def noting(answer: _Answer) -> _Answer:
            other = damage(answer)
            changed.append(other != answer)
            return other

        found = await verdict(server, gate, noting, which)
        if any(changed):
            told["tried"] += 1
            told["refused"] += not found
            told["yes"] += fuzz.said_yes(found)
        return found

    fuzz.verdict = counting
    try:
        seeded(seed)(fuzz.test_damage_never_makes_a_yes)()
    except BaseException:
        told["failures"].append(f"seed {seed}: {traceback.format_exc()[-600:]}")
    print(json.dumps(told), flush=True)


def _install() -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    if all((HOME / "node_modules" / name.rpartition("@")[0]).is_dir() for name in PACKAGES):
        return
    (HOME / "package.json").write_text('{"private": true}')
    argv = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES]
    environ = os.environ | {"SCARF_ANALYTICS": "false"}
    subprocess.run(argv, cwd=HOME, env=environ, check=True, capture_output=True, timeout=600)


def slim(whole: dict[str, Any]) -> dict[str, Any]:
    """The description with the operations that the client needs, repaired so that all of it is enforced."""
    paths: dict[str, Any] = {}
    for method, places in OPERATIONS.items():
        for place in places:
            paths.setdefault(place, {})[method.lower()] = whole["paths"][place][method.lower()]
    kept = {"openapi": whole["openapi"], "info": whole["info"], "paths": paths}
    components: dict[str, dict[str, Any]] = {}
    todo = [kept]
    while todo:
        for reference in _references(todo.pop()):
            _, _, kind, name = reference.split("/")
            if name not in components.setdefault(kind, {}):
                components[kind][name] = whole["components"][kind][name]
                todo.append(components[kind][name])
    repaired = _repaired({**kept, "components": components})
    assert isinstance(repaired, dict)
    return repaired


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _repaired(value: Any) -> Any:
    """`nullable` without `type` makes Prism drop the whole check of that body, without a word."""
    if isinstance(value, list):
        return [_repaired(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    dropped = {"nullable"} if "nullable" in value and "type" not in value and value["nullable"] is True else set()
    return {key: _repaired(inner) for key, inner in value.items() if key not in dropped}


@contextmanager
def _prism() -> Iterator[str]:
    port = free_port()
    log = (HOME / "prism.log").open("w")
    argv = ["node", "node_modules/.bin/prism", "mock", "-h", "127.0.0.1", "-p", str(port), "slim.json"]
    process = subprocess.Popen(argv, cwd=HOME, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 90
        while _status("GET", f"{url}{_PLACE.format(owner='a', repo='b')}/pulls") != 200:
            assert time.monotonic() < end, (HOME / "prism.log").read_text()[-1000:]
            assert process.poll() is None, (HOME / "prism.log").read_text()[-1000:]
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()
        log.close()


def _status(method: str, url: str, body: Any = None) -> int:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


WRONG = {
    "an issue without a title": ("POST", "/issues", {"body": "x"}, 422),
    "labels that are no list": ("POST", "/issues", {"title": "x", "labels": "a"}, 422),
    "a state that there is not": ("PATCH", "/issues/1", {"state": "done"}, 422),
    "a comment without a body": ("POST", "/issues/1/comments", {}, 422),
    "a page size that is no number": ("GET", "/pulls?per_page=abc", None, 422),
    "a filter that there is not": ("GET", f"/commits/{COMMIT}/check-runs?filter=bogus", None, 422),
    "a number that is none": ("GET", "/pulls/abc/reviews", None, 422),
    "a path that there is not": ("GET", "/nothing", None, 404),
    "a method that there is not": ("POST", "/dependabot/alerts", {}, 405),
}
"""What the served description must refuse; else it proves nothing."""


def _refuses(url: str) -> Row:
    began, failures = time.monotonic(), []
    for name, (method, path, body, wanted) in WRONG.items():
        got = _status(method, f"{url}/repos/{REPOSITORY}{path}", body)
        if got != wanted:
            failures.append(f"{name} is answered with {got} instead of {wanted}")
    note = "so the description is enforced, request bodies included"
    return Row("wrong requests that the description must refuse", len(WRONG), failures, time.monotonic() - began, note)


class Strict(GitHubHttp):
    """A client that keeps what it asked, and what was wrong with it."""

    def __init__(self, url: str, description: dict[str, Any]) -> None:
        super().__init__(url, None, Secrets((), environ={}), SystemClock(), None, 60.0)
        self.description, self.asked, self.wrong = description, list[str](), list[str]()

    async def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        answer = await super()._once(method, url, headers, body)
        path, query = urlsplit(url).path, dict(parse_qsl(urlsplit(url).query))
        self.asked.append(f"{method} {path}")
        violations = json.loads(answer.headers.get("sl-violations", "[]"))
        wrong = [one for one in violations if one["location"][0] == "request"]  # some of GitHub's own examples are
        if answer.status not in (200, 201) or wrong:
            said = wrong or answer.body[:300].decode("utf-8", "replace")
            self.wrong.append(f"{method} {path} {query}: {answer.status} {said}")
        if undeclared := query.keys() - self._declared(method, path):
            self.wrong.append(f"{method} {path}: the description knows no {', '.join(sorted(undeclared))}")
        # The examples' links lead to GitHub.
        return _Answer(answer.status, {k: v for k, v in answer.headers.items() if k != "link"}, answer.body)

    def _declared(self, method: str, path: str) -> set[str]:
        """Query parameters of an operation: Prism lets others pass."""
        for place, operations in self.description["paths"].items():
            pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(place))
            if method.lower() in operations and re.fullmatch(pattern, path):
                return {self._parameter(one)["name"] for one in operations[method.lower()].get("parameters", ())}
        return set()

    def _parameter(self, value: dict[str, Any]) -> dict[str, Any]:
        reference = value.get("$ref", "").rpartition("/")[2]
        found: dict[str, Any] = self.description["components"]["parameters"][reference] if reference else value
        return found


def questions(github: GitHub) -> dict[str, Callable[[], Awaitable[object]]]:
    """Everything that the client can ask."""
    return {
        "check runs": lambda: github.check_runs(COMMIT),
        "statuses": lambda: github.statuses(COMMIT),
        "alerts": github.alerts,
        "pull requests of a commit": lambda: github.pulls_of(COMMIT),
        "open pull requests": github.open_pulls,
        "reviews": lambda: github.reviews(42),
        "how it stands to main": lambda: github.compare("main", COMMIT),
        "issues": lambda: github.issues_since("2026-11-29T07:00:00Z"),
        "opening an issue": lambda: github.open_issue("title", "body"),
        "comments": lambda: github.comments(1),
        "a comment": lambda: github.comment(1, "body"),
        "closing an issue": lambda: github.close_issue(1, good=False),
    }


_STATELESS = {"closing an issue": "is still open"}
"""What a server without a memory cannot do."""


async def _requests(url: str, description: dict[str, Any]) -> Row:
    """Ask everything; GitHub's own examples must also be of the form that is wanted of answers."""
    began, failures = time.monotonic(), []
    async with Strict(url, description) as http:
        for name, ask in questions(GitHub(http, REPOSITORY)).items():
            before = len(http.asked)
            try:
                await ask()
            except NotReady as error:
                if _STATELESS.get(name, "\n") in error.what:
                    continue
                failures.append(f"{name}: GitHub's own example is refused: {error.what}")
            if len(http.asked) == before:
                failures.append(f"{name}: nothing was asked")
        failures += http.wrong
        note = f"{len(set(http.asked))} different ones: {', '.join(sorted(set(http.asked)))}"
    return Row("requests that GitHub's description allows", len(http.asked), failures, time.monotonic() - began, note)


if __name__ == "__main__":
    main(int(sys.argv[1]))
