"""How GitHub is asked: page by page to the end, with ETags, patient with its limits, and never with half an answer.

Whatever is not a whole and right answer is a `GitHubError` with the true cause: not knowing counts as no.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, cast
from urllib.parse import urljoin, urlsplit

from fairlead.errors import NotReady
from fairlead.model import SecretRef, canonical, sha256
from fairlead.outside.clock import Clock
from fairlead.outside.http import HttpError, translated
from fairlead.outside.secrets import Secrets

if TYPE_CHECKING:
    import httpx

# 36 ms of rich and pygments for a command line of its own, which httpx does without where they are not installed.
sys.modules.setdefault("httpx._main", cast(Any, None))

LARGEST = 16 * 1024 * 1024
"""Bytes of one answer; GitHub's largest page has a few."""
MOST_PAGES = 100
ONE_REQUEST = 10.0
"""Seconds that one request may take."""
TRIES = 3
"""So often a question is asked whose answer gets lost on the way, or for which GitHub is too busy."""
SECONDARY = 60.0
"""Seconds to wait after a secondary limit that does not say for how long, as GitHub's manual asks for."""
VERSION = "2022-11-28"
_NEXT = re.compile(r'<([^>]*)>\s*(?:;[^,<]*)?;\s*rel="?next"?')
_MOVED = (301, 302, 307, 308)
_BUSY = (500, 502, 503, 504)


class GitHubError(NotReady):
    """GitHub did not answer, or its answer cannot be relied on; `status` is the HTTP status, 0 = none came."""

    def __init__(self, what: str, hint: str = "", status: int = 0) -> None:
        super().__init__(what, hint or "ask again a little later")
        self.status = status

    def __reduce__(self) -> tuple[type[GitHubError], tuple[str, str, int]]:
        return type(self), (self.what, self.hint, self.status)


@dataclass(frozen=True)
class Kept:
    """An answer that may be used again when GitHub says that it has not changed."""

    etag: str
    body: bytes
    following: str
    """URL of the next page; empty = this is the last."""


class Cache(Protocol):
    """Where answers are kept between two questions."""

    def recall(self, key: str) -> Kept | None:
        """What was kept under this key."""
        ...

    def keep(self, key: str, kept: Kept) -> None:
        """Keep an answer, in place of what was kept before."""
        ...


class Forgetful:
    """A cache that keeps nothing."""

    def recall(self, key: str) -> Kept | None:
        """Nothing."""
        del key
        return None

    def keep(self, key: str, kept: Kept) -> None:
        """Nothing is kept."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class GitHubHttp:
    """One GitHub, asked with one token; an async context manager. The patience begins with the first question."""

    def __init__(
        self,
        api: str,
        token: SecretRef | None,
        secrets: Secrets,
        clock: Clock,
        cache: Cache | None = None,
        patience: float = 30.0,
    ) -> None:
        """`api`: URL without a slash at its end. `patience`: seconds for everything, waits for limits included."""
        self.api, self.token = api, token
        self._secrets, self._clock, self._cache = secrets, clock, cache or Forgetful()
        self._patience, self._began = patience, -1.0
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client:
            await self._client.aclose()

    async def get(self, path: str, **query: str | int) -> Any:
        """One JSON document. Raises GitHubError."""
        return _json((await self._page(self._url(path, query))).body)

    async def pages(self, path: str, **query: str | int) -> list[Any]:
        """The JSON documents of all pages, to the last one. Raises GitHubError where any of them cannot be had."""
        documents = await self._pages(path, {**query, "per_page": 100})
        if _full(documents, 100):
            # A last page may be full by chance, or the link to the next one got lost on the way: count in other steps.
            again = await self._pages(path, {**query, "per_page": 99})
            if _full(again, 99) or sum(map(len, again)) != sum(map(len, documents)):
                raise GitHubError("GitHub's links to further pages get lost on the way, so some may be missing")
        return documents

    async def _pages(self, path: str, query: Mapping[str, str | int]) -> list[Any]:
        url, seen, documents = self._url(path, query), set[str](), []
        while url:
            if url in seen or len(seen) == MOST_PAGES:
                raise GitHubError(f"GitHub's pages do not end: {len(seen)} were read")
            seen.add(url)
            page = await self._page(url)
            documents.append(_json(page.body))
            url = self._ours(url, page.following) if page.following else ""
        return documents

    async def send(self, method: Literal["POST", "PATCH"], path: str, body: Mapping[str, Any]) -> Any:
        """Change something; asked once, because a lost answer does not say whether it was done. Raises GitHubError."""
        return _json((await self._patiently(method, self._url(path, {}), {}, json.dumps(body).encode(), tries=1)).body)

    async def _page(self, url: str) -> Kept:
        """One page, from the cache where GitHub says that it has not changed."""
        key = sha256(canonical([url, self.token.name if self.token else ""]))
        kept = self._cache.recall(key)
        answer = await self._patiently("GET", url, {"If-None-Match": kept.etag} if kept else {}, tries=TRIES)
        if answer.status == 304:
            if kept is None:
                raise GitHubError("GitHub says `not modified` to a question that was never asked before", status=304)
            return kept
        found = Kept(answer.headers.get("etag", ""), answer.body, _following(answer.headers))
        _json(found.body)  # what cannot be read must not be kept
        if found.etag:
            self._cache.keep(key, found)
        return found

    async def _patiently(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, tries: int
    ) -> _Answer:
        """Ask until there is an answer that is none of a limit, as long as there is patience."""
        tried, hops = 0, 0
        while True:
            tried += 1
            try:
                answer = await self._once(method, url, headers, body)
            except HttpError as error:
                if tried >= tries or not await self._wait(2.0 ** (tried - 1)):
                    raise GitHubError(f"GitHub cannot be asked: {error.what}", f"is it up? ask {self.api}") from None
                continue
            if answer.status in _MOVED and method == "GET" and hops < 3:
                url, hops, tried = self._ours(url, answer.headers.get("location", "")), hops + 1, tried - 1
            elif (seconds := _limited(answer, self._clock.now())) is not None:
                if not await self._wait(seconds):
                    raise self._too_long(answer, seconds)
                tried -= 1
            elif answer.status in _BUSY and tried < tries and await self._wait(2.0 ** (tried - 1)):
                continue
            else:
                return self._right(answer)

    async def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        import httpx

        more = {"Authorization": f"Bearer {await self._secrets.open(self.token)}"} if self.token else {}
        if body:
            more["Content-Type"] = "application/json"
        seconds = min(ONE_REQUEST, max(self._left(), 0.1))
        try:
            async with asyncio.timeout(seconds):
                return await self._ask(method, url, {**headers, **more}, body)
        except TimeoutError:
            raise HttpError("timeout", f"no answer within {seconds:.0f} s") from None
        except httpx.TransportError as error:
            raise translated(error) from None
        except httpx.DecodingError:
            raise HttpError("other", "the answer is damaged: it cannot be unpacked") from None
        except (httpx.InvalidURL, ValueError):
            raise HttpError("other", "the URL or a header cannot be sent") from None

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> _Answer:
        async with self._opened().stream(method, url, headers=dict(headers), content=body or None) as answer:
            whole = b""
            async for chunk in answer.aiter_bytes():
                whole += chunk
                if len(whole) > LARGEST:
                    raise HttpError("other", f"the answer is larger than {LARGEST} bytes")
            return _Answer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, whole)

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            encrypted = not self.api.startswith("http:")
            self._client = httpx.AsyncClient(
                verify=ssl.create_default_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                trust_env=encrypted,  # the proxy of the operator's machine; loopback needs none
                timeout=None,  # noqa: S113 - `_once` has one for all of it
                limits=httpx.Limits(max_connections=4),  # more at once would meet a secondary limit
                headers={
                    "User-Agent": "fairlead",
                    "Accept": "application/vnd.github+json, application/json;q=0.9",
                    "X-GitHub-Api-Version": VERSION,
                },
            )
        return self._client

    def _url(self, path: str, query: Mapping[str, str | int]) -> str:
        import httpx

        return str(httpx.URL(self.api + path, params=dict(query) or None))

    def _ours(self, url: str, place: str) -> str:
        """Where an answer leads to. Raises GitHubError where that is another server: it would be told the token."""
        there = urljoin(url, place)
        if urlsplit(there)[:2] != urlsplit(self.api)[:2] or not place:
            raise GitHubError("GitHub's answer leads to another server, which is not asked")
        return there

    def _left(self) -> float:
        """Seconds of patience that are left."""
        if self._began < 0:
            self._began = self._clock.monotonic()
        return self._began + self._patience - self._clock.monotonic()

    async def _wait(self, seconds: float) -> bool:
        """Let time pass, if there is as much patience."""
        if seconds >= self._left():
            return False
        await self._clock.sleep(seconds)
        return True

    def _too_long(self, answer: _Answer, seconds: float) -> GitHubError:
        which = "" if answer.headers.get("x-ratelimit-remaining") == "0" else "secondary "
        what = f"GitHub's {which}rate limit is used up for another {seconds:.0f} s"
        return GitHubError(what, f"ask again after {seconds:.0f} s", answer.status)

    def _right(self, answer: _Answer) -> _Answer:
        """An answer that says yes. Raises GitHubError with what GitHub says otherwise."""
        if answer.status in (200, 201, 202, 304):
            return answer
        # Taken out before it is cut: half a token is a secret too.
        message = " ".join(self._secrets.redact(_message(answer.body)).split())[:200]
        said = f": {message}" if message else ""
        name = f"the token {self.token.name}" if self.token else "a question without a token"
        needs = answer.headers.get("x-accepted-github-permissions", "")
        causes = {
            401: (f"GitHub does not accept {name}", "is it expired or mistyped? make a new one"),
            403: (f"{name} may not ask this", f"give it the permission {needs or 'to read this'}"),
            404: (f"GitHub does not have this, or {name} may not see it", "is `github.repository` right?"),
            410: ("GitHub has switched this off for the repository", ""),
            422: ("GitHub cannot make sense of the question", ""),
        }
        what, hint = causes.get(answer.status, (f"GitHub answers {answer.status}", "https://www.githubstatus.com"))
        raise GitHubError(f"{what} ({answer.status}{said})", hint, answer.status)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # not UTF-8 is a ValueError too
        raise GitHubError("GitHub's answer is no whole JSON document", "was it cut off on the way?") from None


def _full(documents: list[Any], size: int) -> bool:
    """The last page is a list that has as many items as a page may have; a document tells by itself how many."""
    return isinstance(documents[-1], list) and len(documents[-1]) == size


def _following(headers: Mapping[str, str]) -> str:
    found = _NEXT.search(headers.get("link", ""))
    return found[1] if found else ""


def _limited(answer: _Answer, now: float) -> float | None:
    """Seconds to wait where an answer is that of a limit; None = it is not."""
    if answer.status not in (403, 429):
        return None
    if after := answer.headers.get("retry-after", ""):
        return _seconds(after, now)
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(float(reset) - now, 0.0) + 1.0 if reset.isascii() and reset.isdigit() else SECONDARY
    return SECONDARY if answer.status == 429 or b"secondary rate limit" in answer.body.lower() else None


def _seconds(after: str, now: float) -> float:
    """What a `Retry-After` asks for: a number of seconds, or a date."""
    if after.isascii() and after.isdigit() and len(after) < 9:
        return float(after)
    try:
        return max(parsedate_to_datetime(after).timestamp() - now, 0.0) + 1.0
    except (ValueError, TypeError, OverflowError):
        return SECONDARY


def _message(body: bytes) -> str:
    """What GitHub says of a refusal."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
