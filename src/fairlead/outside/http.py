from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from fairlead.errors import NotReady

if TYPE_CHECKING:
    import httpx

# 36 ms of rich and pygments for a command line of its own, which httpx does without where they are not installed.
sys.modules.setdefault("httpx._main", cast(Any, None))

BODY = 256 * 1024
"""Bytes of an answer's body that are read."""


@dataclass(frozen=True)
class HttpAnswer:
    """What a server answered, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """Its first 256 KiB."""
    ms: float
    """Milliseconds from the request, connection included, until the body was here."""


class HttpError(NotReady):
    """No answer came; `kind` says why."""

    def __init__(self, kind: Literal["refused", "timeout", "dns", "tls", "other"], what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.kind = kind

    def __reduce__(self) -> tuple[type[HttpError], tuple[str, str, str]]:
        return type(self), (self.kind, self.what, self.hint)


class HttpClient:
    """Asks HTTP servers; an async context manager. Follows no redirect, keeps no cookie and no connection.

    A new connection for each request, because an old one may lead to a process that takes no new ones any more.
    """

    def __init__(self) -> None:
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._clients:
            await self._clients.popitem()[1].aclose()

    async def fetch(self, method: str, url: str, headers: Mapping[str, str], timeout: float) -> HttpAnswer:
        """Ask once; `timeout` in seconds for all of it. Raises HttpError."""
        import httpx  # 20 ms that nobody waits for who asks nothing

        try:
            async with asyncio.timeout(timeout):
                return await self._fetch(method, url, headers)
        except TimeoutError:
            raise HttpError("timeout", f"no answer within {timeout:g} s") from None
        except httpx.TransportError as error:
            raise translated(error) from None
        except (httpx.InvalidURL, ValueError):
            # Not in its own words: they may hold the value of a header.
            raise HttpError("other", "the URL or a header cannot be sent", hint=f"is {url!r} a whole URL?") from None

    async def _fetch(self, method: str, url: str, headers: Mapping[str, str]) -> HttpAnswer:
        client = self._opened(encrypted=not url.startswith("http:"))
        began = time.monotonic()
        async with client.stream(method, url, headers=dict(headers)) as answer:
            body = await _beginning(answer)
            ms = (time.monotonic() - began) * 1000
            return HttpAnswer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, body, ms)

    def _opened(self, *, encrypted: bool) -> httpx.AsyncClient:
        if encrypted not in self._clients:
            import httpx

            self._clients[encrypted] = httpx.AsyncClient(
                # The machine's own certificates and SSL_CERT_FILE, so that a company's authority is known. They take
                # 18 ms to read: for what is not encrypted there are none, and without any nothing would be trusted.
                verify=ssl.create_default_context() if encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                # No proxy and no ~/.netrc: what is measured is the way from here to the service.
                trust_env=False,
                timeout=None,  # noqa: S113 - `fetch` has one for all of it
                limits=httpx.Limits(max_keepalive_connections=0),
                headers={"User-Agent": "fairlead", "Accept-Encoding": "identity", "Connection": "close"},
            )
        return self._clients[encrypted]


async def _beginning(answer: httpx.Response) -> bytes:
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) >= BODY:
            break
    return body[:BODY]


def translated(error: Exception) -> HttpError:
    """What went wrong on the way, in words of ours: those of a library may hold the value of a header."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return HttpError("tls", f"the certificate is not accepted: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError):
            return HttpError("tls", "no TLS connection comes about", hint="does the server speak https on this port?")
        if isinstance(cause, socket.gaierror):
            return HttpError("dns", "the name does not resolve")
        if isinstance(cause, ConnectionRefusedError):
            return HttpError("refused", "the connection is refused")
    if any(isinstance(cause, ConnectionResetError | BrokenPipeError | EOFError) for cause in causes):
        return HttpError("other", "the connection was closed before an answer came")
    known = {
        "RemoteProtocolError": "what came is no HTTP answer, or the connection was closed before one came",
        "UnsupportedProtocol": "the URL does not begin with http:// or https://",
        "LocalProtocolError": "the URL or a header cannot be sent",
    }
    return HttpError("other", known.get(type(error).__name__, "the connection failed"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that led to it."""
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__, *(one.exceptions if isinstance(one, BaseExceptionGroup) else ())]
