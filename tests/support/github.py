"""A GitHub of our own, on loopback: state, pages, ETags, rate limits, and faults on purpose.

It speaks the published shapes with what is asked for here, and a few keys more. It says no to a wrong token, counts
requests, and keeps all that it was asked.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

COMMIT = "c0ffee" + "0" * 34
OTHER = "deaf" + "0" * 36
TOKEN = "sentinel-token-4711"
REPOSITORY = "acme/shop"
PLACE = f"/repos/{REPOSITORY}"


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None


@dataclass
class Said:
    """An answer; `cut` bytes of its end are never sent, though its length says otherwise."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    hang: bool = False
    """Nothing is said until the server is closed."""


Change = Callable[[Said], Said]


@dataclass
class Fault:
    """What happens to the answers to some requests."""

    path: str
    """A pattern that is searched for in path and query."""
    change: Change
    times: int = 1_000_000
    skip: int = 0


def run(name: str = "test", conclusion: str | None = "success", **more: Any) -> dict[str, Any]:
    """A check run."""
    numbers = {"id": 100, "app": {"id": 15368, "slug": "github-actions"}, "check_suite": {"id": 7}}
    status = "completed" if conclusion else "in_progress"
    return {**numbers, "name": name, "head_sha": COMMIT, "status": status, "conclusion": conclusion,
            "html_url": f"https://github.example/runs/{name}", **more}  # fmt: skip


def status(context: str = "ci/other", state: str = "success") -> dict[str, Any]:
    """A commit status."""
    return {"id": 1, "context": context, "state": state, "target_url": "https://ci.example/1", "description": None}


def alert(severity: str = "high", **more: Any) -> dict[str, Any]:
    """An alert of Dependabot."""
    return {
        "number": 1,
        "state": "open",
        "html_url": "https://github.example/alerts/1",
        "dependency": {"package": {"ecosystem": "npm", "name": "left-pad"}, "scope": "runtime"},
        "security_advisory": {"ghsa_id": "GHSA-aaaa-bbbb-cccc", "cve_id": "CVE-2026-1", "severity": severity},
        "security_vulnerability": {"severity": severity, "vulnerable_version_range": "< 2"},
        **more,
    }


def branch(ref: str, sha: str, repository: str | None = REPOSITORY) -> dict[str, Any]:
    """One end of a pull request."""
    return {"ref": ref, "sha": sha, "repo": {"full_name": repository} if repository else None, "label": f"acme:{ref}"}


def pull(**more: Any) -> dict[str, Any]:
    """A pull request whose head is the commit."""
    return {
        "number": 12,
        "title": "Take the left pad out",
        "state": "open",
        "draft": False,
        "merged_at": None,
        "merge_commit_sha": OTHER,
        "html_url": "https://github.example/pull/12",
        "user": {"login": "ada", "id": 1},
        "head": branch("pads", COMMIT),
        "base": branch("main", OTHER),
        **more,
    }


def review(who: str | None = "grace", state: str = "APPROVED", **more: Any) -> dict[str, Any]:
    """A review."""
    user = {"login": who, "id": more.pop("user_id", sum(who.encode()))} if who else None
    return {"id": 1, "user": user, "state": state, "commit_id": COMMIT, "author_association": "MEMBER", "body": "",
            **more}  # fmt: skip


class GitHub:
    """The server: `with GitHub() as github:`. Out of the box everything is as it should be."""

    def __init__(self) -> None:
        self.url = "http://github.example"
        self.reset()

    def reset(self) -> None:
        """All is well again, and nothing was asked."""
        self.runs: list[dict[str, Any]] = [run("lint", id=101), run("test", id=102)]
        self.statuses: list[dict[str, Any]] = [status()]
        self.alerts: list[dict[str, Any]] = [alert("low", number=3)]
        self.pulls: list[dict[str, Any]] = [pull()]
        self.reviews: dict[int, list[dict[str, Any]]] = {12: [review()]}
        self.compare = {"status": "ahead", "ahead_by": 3, "behind_by": 0, "total_commits": 3, "commits": []}
        self.issues: list[dict[str, Any]] = []
        self.comments: dict[int, list[dict[str, Any]]] = {}
        self.known = {COMMIT, OTHER}
        self.token = TOKEN
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.remaining, self.resets_at = 5000, 0.0
        self.now: Callable[[], float] = lambda: 0.0
        self.page = 100
        """Items that a page has at most."""

    def fault(self, path: str, change: Change, times: int = 1_000_000, skip: int = 0) -> None:
        """Let answers go wrong."""
        self.faults.append(Fault(path, change, times, skip))

    def __enter__(self) -> Self:
        self.closed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                outer.handle(self)

            do_POST = do_PATCH = do_GET  # noqa: N815 - http.server's names

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closed.set()
        self.server.shutdown()
        self.server.server_close()

    # -- answering

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("content-length") or 0)
        body = json.loads(handler.rfile.read(length)) if length else None
        headers = {name.lower(): value for name, value in handler.headers.items()}
        said = self.said(Asked(handler.command, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body))
        if said.hang:
            self.closed.wait(30)
            return
        self._send(handler, said)

    def said(self, asked: Asked) -> Said:
        """What is answered, faults included."""
        self.asked.append(asked)
        query = f"?{urlencode(asked.query)}" if asked.query else ""
        return self._with_faults(asked.path + query, self._right(asked))

    def _send(self, handler: BaseHTTPRequestHandler, said: Said) -> None:
        handler.send_response(said.status)
        for name, value in {"Content-Type": "application/json; charset=utf-8", **said.headers}.items():
            handler.send_header(name, value)
        if said.status != 304:
            handler.send_header("Content-Length", str(len(said.body)))
        handler.end_headers()
        if said.status != 304:
            handler.wfile.write(said.body[: len(said.body) - said.cut])
        if said.cut:
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True

    def _with_faults(self, path: str, said: Said) -> Said:
        for fault in self.faults:
            if re.search(fault.path, path):
                if fault.skip:
                    fault.skip -= 1
                elif fault.times:
                    fault.times -= 1
                    said = fault.change(said)
        return said

    def _right(self, asked: Asked) -> Said:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return problem(401, "Bad credentials")
        if self.remaining <= 0 and self.now() >= self.resets_at:
            self.remaining = 5000
        if self.remaining <= 0:
            said = problem(403, "API rate limit exceeded for user ID 1.")
            return self._with_limits(said)
        return self._with_limits(self._counted(asked, self._answer(asked)))

    def _counted(self, asked: Asked, said: Said) -> Said:
        """A question whose answer has not changed is free."""
        if asked.method == "GET" and said.status == 200:
            etag = f'W/"{hashlib.sha256(said.body).hexdigest()[:32]}"'
            if asked.headers.get("if-none-match") == etag:
                return Said(304, b"", {"ETag": etag})
            said.headers["ETag"] = etag
        self.remaining -= 1
        return said

    def _with_limits(self, said: Said) -> Said:
        said.headers |= {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(max(self.remaining, 0)),
            "X-RateLimit-Reset": str(int(self.resets_at)),
        }
        return said

    def _answer(self, asked: Asked) -> Said:
        place = asked.path.removeprefix(PLACE)
        if place == asked.path:
            return problem(404, "Not Found")
        for pattern, answer in self._routes(asked).items():
            if found := re.fullmatch(pattern, f"{asked.method} {place}"):
                return answer(*found.groups())
        return problem(404, "Not Found")

    def _routes(self, asked: Asked) -> dict[str, Callable[..., Said]]:
        return {
            r"GET /commits/([^/]+)/check-runs": lambda sha: self._of(asked, sha, "check_runs", self._latest(asked)),
            r"GET /commits/([^/]+)/status": lambda sha: self._of(
                asked, sha, "statuses", self.statuses, sha=sha, state=self._combined()
            ),
            r"GET /commits/([^/]+)/pulls": lambda sha: self._of(asked, sha, "", self.pulls),
            r"GET /dependabot/alerts": lambda: self._list(asked, [a for a in self.alerts if self._open(asked, a)]),
            r"GET /pulls": lambda: self._list(asked, [one for one in self.pulls if one["state"] == "open"]),
            r"GET /pulls/(\d+)/reviews": lambda number: self._list(asked, self.reviews.get(int(number), [])),
            r"GET /compare/(.+)\.\.\.(.+)": lambda base, head: (
                ok(self.compare) if head in self.known and base == "main" else problem(404, "Not Found")
            ),
            r"GET /issues": lambda: self._list(asked, list(reversed(self.issues))),
            r"POST /issues": lambda: self._create(asked),
            r"PATCH /issues/(\d+)": lambda number: self._change(int(number), asked),
            r"GET /issues/(\d+)/comments": lambda number: self._list(asked, self.comments.get(int(number), [])),
            r"POST /issues/(\d+)/comments": lambda number: self._comment(int(number), asked),
        }

    def _open(self, asked: Asked, one: dict[str, Any]) -> bool:
        return asked.query.get("state") != "open" or one["state"] != "fixed"

    def _latest(self, asked: Asked) -> list[dict[str, Any]]:
        if asked.query.get("filter", "latest") == "all":
            return self.runs
        last: dict[Any, dict[str, Any]] = {}
        for one in sorted(self.runs, key=lambda one: int(one["id"])):
            last[json.dumps([one.get("app"), one.get("check_suite"), one.get("name")])] = one
        return list(last.values())

    def _combined(self) -> str:
        states = {one.get("state") for one in self.statuses}
        return "failure" if states & {"failure", "error"} else "success" if states == {"success"} else "pending"

    def _of(self, asked: Asked, commit: str, key: str, items: list[Any], **more: Any) -> Said:
        if commit not in self.known:
            return problem(422, f"No commit found for SHA: {commit}")
        return self._list(asked, items, key, **more)

    def _list(self, asked: Asked, items: list[Any], key: str = "", **more: Any) -> Said:
        size, number = min(int(asked.query.get("per_page", 30)), self.page), int(asked.query.get("page", 1))
        part = items[(number - 1) * size : number * size]
        headers = {}
        if number * size < len(items):
            query = urlencode({**asked.query, "page": number + 1})
            last = urlencode({**asked.query, "page": -(-len(items) // size)})
            headers["Link"] = (
                f'<{self.url}{asked.path}?{query}>; rel="next", <{self.url}{asked.path}?{last}>; rel="last"'
            )
        return ok({"total_count": len(items), key: part, **more} if key else part, headers)

    # -- issues

    def _create(self, asked: Asked) -> Said:
        if not (asked.body or {}).get("title"):
            return problem(422, "Validation Failed")
        number = 100 + len(self.issues)
        url = f"https://github.example/{REPOSITORY}/issues/{number}"
        self.issues.append({"number": number, "state": "open", "html_url": url, "body": None, **asked.body})
        return Said(201, json.dumps(self.issues[-1]).encode())

    def _change(self, number: int, asked: Asked) -> Said:
        for one in self.issues:
            if one["number"] == number:
                one.update(asked.body)
                return ok(one)
        return problem(404, "Not Found")

    def _comment(self, number: int, asked: Asked) -> Said:
        comments = self.comments.setdefault(number, [])
        comments.append({"id": len(comments) + 1, "html_url": "https://github.example/c", **asked.body})
        return Said(201, json.dumps(comments[-1]).encode())


def ok(body: Any, headers: dict[str, str] | None = None) -> Said:
    """200."""
    return Said(200, json.dumps(body).encode(), headers or {})


def problem(code: int, message: str, **headers: str) -> Said:
    """A refusal."""
    return Said(
        code,
        json.dumps({"message": message, "documentation_url": "https://docs.github.com/rest"}).encode(),
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


# -- faults


def instead(said: Said) -> Change:
    """Something else is said."""
    return lambda _: Said(said.status, said.body, dict(said.headers), said.cut, said.hang)


def cut_off(said: Said) -> Said:
    """The connection breaks in the middle of the body."""
    return Said(said.status, said.body, said.headers, cut=len(said.body) // 2)


def half(said: Said) -> Said:
    """The body ends early, and its length agrees."""
    return Said(said.status, said.body[: len(said.body) // 2], said.headers)


def hangs(said: Said) -> Said:
    """No answer."""
    return Said(said.status, said.body, said.headers, hang=True)


def damaged_gzip(said: Said) -> Said:
    """Packed, and then damaged."""
    packed = bytearray(gzip.compress(said.body))
    packed[len(packed) // 2] ^= 0xFF
    return Said(said.status, bytes(packed), {**said.headers, "Content-Encoding": "gzip"})


def edited(edit: Callable[[Any], Any]) -> Change:
    """The document is changed; `edit` changes it in place or returns another."""

    def change(said: Said) -> Said:
        document = json.loads(said.body)
        other = edit(document)
        return Said(said.status, json.dumps(document if other is None else other).encode(), said.headers)

    return change
