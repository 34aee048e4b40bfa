from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import punctuation
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NamedTuple, Self
from urllib.parse import quote, urlsplit

from fairlead.errors import NotReady

if TYPE_CHECKING:
    import h11

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

    A new connection for each request, because an old one may lead to a process that takes no new ones any more. No
    proxy and no ~/.netrc: what is measured is the way from here to the service.
    """

    def __init__(self) -> None:
        self._trust: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing of it goes on."""

    async def fetch(self, method: str, url: str, headers: Mapping[str, str], timeout: float) -> HttpAnswer:
        """Ask once; `timeout` in seconds for all of it. Raises HttpError."""
        import h11  # time that nobody waits for who asks nothing

        try:
            place = _place(url)
            async with asyncio.timeout(timeout):
                return await self._fetch(method, place, headers)
        except TimeoutError:
            raise HttpError("timeout", f"no answer within {timeout:g} s") from None
        except (
            OSError,
            EOFError,
            h11.RemoteProtocolError,
        ) as error:  # before ValueError: what TLS has against a certificate is both
            raise translated(error) from None
        except (ValueError, h11.LocalProtocolError):
            # Not in its own words: they may hold the value of a header.
            raise HttpError("other", "the URL or a header cannot be sent", hint=f"is {url!r} a whole URL?") from None

    async def _fetch(self, method: str, place: _Place, headers: Mapping[str, str]) -> HttpAnswer:
        import h11

        began, talk = time.monotonic(), h11.Connection(h11.CLIENT)
        request = talk.send(_request(method, place, headers)) or b""
        trust = self._opened() if place.encrypted else None
        reader, writer = await asyncio.open_connection(place.host, place.port, ssl=trust, happy_eyeballs_delay=0.25)
        try:
            writer.write(request + (talk.send(h11.EndOfMessage()) or b""))
            head, body = await _answer(talk, reader)
        finally:
            writer.transport.abort()
        ms = (time.monotonic() - began) * 1000
        return HttpAnswer(head.status_code, {name.decode(): value.decode() for name, value in head.headers}, body, ms)

    def _opened(self) -> ssl.SSLContext:
        """The machine's own certificates and SSL_CERT_FILE, so that a company's authority is known: 18 ms to read."""
        self._trust = self._trust or ssl.create_default_context()
        return self._trust


class _Place(NamedTuple):
    encrypted: bool
    host: str
    port: int
    name: str
    """What the Host header says."""
    target: str


def _place(url: str) -> _Place:
    """Where a URL leads. Raises HttpError and ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise HttpError("other", "the URL does not begin with http:// or https://")
    host = parts.hostname or ""
    host = host if host.isascii() else host.encode("idna").decode()
    if not host:
        raise ValueError(url)
    name = f"[{host}]" if ":" in host else host
    encrypted = parts.scheme == "https"
    port = parts.port or (443 if encrypted else 80)
    target = quote(parts._replace(scheme="", netloc="", path=parts.path or "/", fragment="").geturl(), safe=punctuation)
    return _Place(encrypted, host, port, f"{name}:{parts.port}" if parts.port else name, target)


def _request(method: str, place: _Place, headers: Mapping[str, str]) -> h11.Request:
    import h11

    given = {name.lower() for name in headers}
    ours = {"Host": place.name, "User-Agent": "fairlead", "Accept": "*/*", "Accept-Encoding": "identity"}
    several = [(name, value) for name, value in ours.items() if name.lower() not in given]
    several += [*headers.items(), ("Connection", "close")]
    return h11.Request(method=method, target=place.target, headers=several)


async def _answer(talk: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Response, bytes]:
    """The head of an answer, and the beginning of its body."""
    import h11

    head, body = None, b""
    while len(body) < BODY:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await reader.read(1 << 16))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif not isinstance(event, h11.InformationalResponse):
            break
    if head is None:
        raise EOFError
    return head, body[:BODY]


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
