from __future__ import annotations

import asyncio
import pickle
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from fairlead.outside.http import HttpAnswer, HttpClient, HttpError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Word: Hello\r\n\r\nok"


@asynccontextmanager
async def server(
    answer: bytes, tls: ssl.SSLContext | None = None, wait: float = 0.0, greets: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answers every connection with the same bytes, `greets`: unasked; yields its address and what it was asked."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            if not greets:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
            await asyncio.sleep(wait)
            writer.write(answer)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", asked
    await asyncio.sleep(wait + 0.05)  # the last connections close


async def fetch(url: str, method: str = "GET", timeout: float = 5.0, **headers: str) -> HttpAnswer:
    async with HttpClient() as client:
        return await client.fetch(method, url, headers, timeout)


async def test_an_answer() -> None:
    async with server(OK) as (url, asked):
        answer = await fetch(f"{url}/health?x=1", Authorization="Bearer token")
    assert (answer.status, answer.body, answer.headers["x-word"]) == (200, b"ok", "Hello")
    assert 0 < answer.ms < 5000
    assert asked[0].startswith(b"GET /health?x=1 HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer token\r\n" in asked[0]


@pytest.mark.parametrize("status", [204, 301, 404, 429, 503])
async def test_any_status_is_an_answer_and_redirects_are_not_followed(status: int) -> None:
    async with server(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nLocation: /there\r\n\r\n".encode()) as (url, asked):
        assert (await fetch(url)).status == status
    assert len(asked) == 1


async def test_head() -> None:
    async with server(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n") as (url, _):
        assert (await fetch(url, "HEAD")).body == b""


async def test_only_the_beginning_of_a_long_body() -> None:
    async with server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000) as (url, _):
        assert (await fetch(url)).body == b"x" * 256 * 1024


async def test_many_at_once_each_on_a_connection_of_its_own() -> None:
    async with server(OK, wait=0.05) as (url, asked), HttpClient() as client:
        answers = await asyncio.gather(*(client.fetch("GET", url, {}, 5) for _ in range(20)))
        assert [a.status for a in answers] == [200] * 20 and len(asked) == 20


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


FAILURES = {
    "refused": (lambda: f"http://127.0.0.1:{closed_port()}/", "refused", "the connection is refused"),
    "no such name": (lambda: "http://no-such-host.invalid/", "dns", "the name does not resolve"),
    "no URL": (lambda: "no url", "other", "the URL does not begin with http:// or https://"),
    "odd URL": (lambda: "http://[::1", "other", "the URL or a header cannot be sent"),
}  # fmt: skip


@pytest.mark.parametrize(("url", "kind", "what"), FAILURES.values(), ids=FAILURES.keys())
async def test_no_answer(url: object, kind: str, what: str) -> None:
    assert callable(url)
    with pytest.raises(HttpError) as error:
        await fetch(url())
    assert (error.value.kind, error.value.what) == (kind, what)
    assert error.value.__cause__ is None and pickle.loads(pickle.dumps(error.value)).kind == kind


@pytest.mark.parametrize("value", ["s3cret\nvalue", "s3cret–"], ids=["a newline", "not ASCII"])
async def test_a_secret_that_cannot_be_a_header_is_not_shown(value: str) -> None:
    async with server(OK) as (url, asked):
        with pytest.raises(HttpError, match="the URL or a header cannot be sent") as error:
            await fetch(url, X=value)
    assert "s3cret" not in f"{error.value} {error.value.hint}" and not asked


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"SSH-2.0-OpenSSH\r\n"],
    ids=["nothing", "half", "ssh"],
)
async def test_what_is_no_http(answer: bytes) -> None:
    async with server(answer) as (url, _):
        with pytest.raises(HttpError) as error:
            await fetch(url)
    assert error.value.kind == "other"


async def test_too_slow() -> None:
    async with server(OK, wait=0.6) as (url, _):
        with pytest.raises(HttpError, match=r"no answer within 0\.2 s") as error:
            await fetch(url, timeout=0.2)
    assert error.value.kind == "timeout"


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += [
        "-subj",
        "/CN=test",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def test_certificates_are_verified(tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with server(OK, tls) as (url, _):
        with pytest.raises(HttpError, match="the certificate is not accepted: self-signed certificate") as error:
            await fetch(url)
        assert error.value.kind == "tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert (await fetch(url)).status == 200


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
async def test_certificates_are_verified_after_plain_requests_too(tls: ssl.SSLContext, scheme: str) -> None:
    async with server(OK) as (plain, _), server(OK, tls) as (encrypted, _), HttpClient() as client:
        for _ in range(2):
            for url in (plain, plain.replace("http", "HTTP")):
                assert (await client.fetch("GET", url, {}, 5.0)).status == 200
            with pytest.raises(HttpError, match="the certificate is not accepted"):
                await client.fetch("GET", encrypted.replace("https", scheme), {}, 5.0)


def test_what_nobody_asks_for_is_not_imported() -> None:
    code = "import sys, fairlead.outside.http, fairlead.outside.github_http; print('h11' in sys.modules)\n"
    code += "import httpx; print([one for one in ('rich', 'pygments') if one in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "False\n[]\n"


async def test_https_asked_of_http() -> None:
    async with server(b"SSH-2.0-OpenSSH\r\n", greets=True) as (url, _):
        with pytest.raises(HttpError, match="no TLS connection comes about") as error:
            await fetch(url.replace("http:", "https:"), timeout=2)
    assert error.value.kind == "tls"
