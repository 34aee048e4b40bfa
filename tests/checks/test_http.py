from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fairlead.checks.http import check_http
from fairlead.model import Finding, HttpCheck, SecretRef
from fairlead.outside.http import HttpClient
from fairlead.outside.secrets import Secrets

SECRET = 's3cr3t-"token"-with/odd+chars'
HTML = "<!DOCTYPE html><html><title>app</title></html>"


@contextmanager
def server(status: int = 200, body: str | bytes = "", delay: float = 0.0, **headers: str) -> Iterator[str]:
    """A real HTTP server that answers everything with the same; `{sent}` in the body is the Authorization it got."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(delay)
            raw = (
                body
                if isinstance(body, bytes)
                else body.replace("{sent}", self.headers.get("Authorization", "")).encode()
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            if self.command != "HEAD":
                with suppress(BrokenPipeError):  # who asked may have lost patience
                    self.wfile.write(raw)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_address[1]}"
        finally:
            httpd.shutdown()
            thread.join()


async def look(url: str, **wants: Any) -> Finding:
    secrets = Secrets(environ={"API_TOKEN": SECRET})
    async with HttpClient() as http:
        return await check_http(HttpCheck(subject="api", url=f"{url}/health", **wants), http, secrets)


JSON = {"Content_Type": "application/json; charset=utf-8"}
WELL = json.dumps({"status": "healthy", "db": [{"name": "crm", "up": True}, {"name": "idp", "up": True}], "a.b": 1})

ROWS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    # case: (the answer, what is wanted, status, sentence)
    "all is well": (
        {"body": WELL, **JSON},
        {"fields": {"status": "healthy", "db.1.up": True, "a.b": 1.0}, "content_type": "application/json"},
        "ok",
        "answers 200",
    ),
    "text is there": ({"body": "yes, ok"}, {"contains": "ok"}, "ok", "answers 200"),
    "another status is wanted": ({"status": 204}, {"status": (200, 204)}, "ok", "answers 204"),
    "head asks no body": ({"body": "x", **JSON}, {"method": "HEAD", "fields": {"a": 1}}, "ok", "answers 200"),
    "server error": ({"status": 503, "body": "no db"}, {}, "fail", "answers 503 instead of 200"),
    "not found": ({"status": 404}, {"status": (200, 204)}, "fail", "answers 404 instead of 200 or 204"),
    "moved": ({"status": 302, "Location": "/login"}, {}, "fail", "answers 302 (to /login) instead of 200"),
    "asked too often": (
        {"status": 429, "Retry_After": "30"},
        {},
        "unknown",
        "it limits how often it may be asked (429), so its health is not known",
    ),
    "429 is what is wanted": ({"status": 429}, {"status": (429,)}, "ok", "answers 429"),
    "field differs": (
        {"body": '{"status":"degraded"}', **JSON},
        {"fields": {"status": "healthy"}},
        "fail",
        '`status` is "degraded" instead of "healthy"',
    ),
    "field missing": ({"body": '{"a":{}}', **JSON}, {"fields": {"a.b": 1}}, "fail", "`a.b` is missing in the answer"),
    "list too short": ({"body": '{"a":[]}'}, {"fields": {"a.0": 1}}, "fail", "`a.0` is missing in the answer"),
    "null is not missing": ({"body": '{"a":null}'}, {"fields": {"a": None}}, "ok", "answers 200"),
    "true is not 1": ({"body": '{"a":true}'}, {"fields": {"a": 1}}, "fail", "`a` is true instead of 1"),
    "false is not 0": ({"body": '{"a":0}'}, {"fields": {"a": False}}, "fail", "`a` is 0 instead of false"),
    "body is a list": ({"body": '[{"a":1}]'}, {"fields": {"0.a": 1}}, "ok", "answers 200"),
    "no json": ({"body": "fine", **JSON}, {"fields": {"a": 1}}, "fail", "the body is not readable as JSON"),
    "empty body": ({"body": "", **JSON}, {"fields": {"a": 1}}, "fail", "the body is not readable as JSON"),
    "torn json": ({"body": '{"a":1', **JSON}, {"fields": {"a": 1}}, "fail", "the body is not readable as JSON"),
    "bytes": ({"body": b"\xff\xfe\x00", **JSON}, {"fields": {"a": 1}}, "fail", "the body is not readable as JSON"),
    "endless nesting": ({"body": "[" * 100_000}, {"fields": {"a": 1}}, "fail", "the body is not readable as JSON"),
    "page of a single-page application": (
        {"body": HTML, "Content_Type": "text/html"},
        {"fields": {"status": "healthy"}},
        "fail",
        "a web page came where JSON was expected, as a single-page application answers on every path",
    ),
    "such a page that calls itself json": (
        {"body": "\ufeff\n" + HTML, **JSON},
        {"content_type": "application/json"},
        "fail",
        "a web page came where JSON was expected, as a single-page application answers on every path",
    ),
    "php as text": (
        {"body": "<?php echo 'ok';", "Content_Type": "text/plain"},
        {"contains": "ok"},
        "fail",
        "the text of the program is served instead of its answer",
    ),
    "wrong type": (
        {"body": "ok", "Content_Type": "text/plain"},
        {"content_type": "text/html"},
        "fail",
        "the content type is text/plain instead of text/html",
    ),
    "no type": ({}, {"content_type": "text/html"}, "fail", "the content type is not given instead of text/html"),
    "text missing": ({"body": "nothing"}, {"contains": "ok"}, "fail", "the text it should contain is missing"),
    "right release": (
        {"body": '{"release":"3f2a91c0b7de"}'},
        {"check": "identity", "fields": {"release": "3f2a91c0b7de"}},
        "ok",
        "release 3f2a91c0b7de answers",
    ),
    "old release": (
        {"body": '{"release":"000000000000"}'},
        {"check": "identity", "fields": {"release": "3f2a91c0b7de"}},
        "fail",
        "release 000000000000 answers instead of 3f2a91c0b7de",
    ),
    "nameless release": (
        {"body": "{}"},
        {"check": "identity", "fields": {"release": "3f2a91c0b7de"}},
        "fail",
        "it does not say which release it is instead of 3f2a91c0b7de",
    ),
}


@pytest.mark.parametrize("case", ROWS)
async def test_answers_are_judged(case: str) -> None:
    answer, wants, status, says = ROWS[case]
    with server(**answer) as url:
        finding = await look(url, **wants)
    assert (finding.status, finding.says) == (status, says)
    assert finding.ms is not None and finding.ms > 0
    assert finding.check == wants.get("check", "http") and finding.subject == "api"
    assert finding.evidence["status"] == answer.get("status", 200)


async def test_a_failure_shows_what_came_and_what_was_expected() -> None:
    with server(status=500, body="boom\n" * 100) as url:
        finding = await look(url)
    assert finding.evidence["expected"] == [200]
    got = str(finding.evidence["got"])
    assert got.startswith("boom boom") and len(got) == 120
    assert finding.hint == "look at the service's log"


async def test_retry_after_is_told() -> None:
    with server(status=429, Retry_After="30") as url:
        finding = await look(url)
    assert (finding.hint, finding.evidence["retry_after"]) == ("ask again after 30 s", "30")


async def test_slow_is_a_warning_with_both_times() -> None:
    with server(delay=0.05) as url:
        finding = await look(url, slow_ms=10)
    assert finding.status == "warn" and finding.says.endswith("ms instead of at most 10")


@pytest.mark.parametrize(
    "echo", ["{sent}", '{"a": "{sent}"}', "x" * 110 + "{sent}"], ids=["plain", "json", "at the cut"]
)
async def test_a_secret_that_is_echoed_is_not_shown(echo: str) -> None:
    with server(status=500, body=echo) as url:
        finding = await look(url, headers={"Authorization": SecretRef(name="API_TOKEN"), "X-Plain": "y"})
    told = finding.model_dump_json()
    assert "s3cr3t" not in told and "[secret" in told


async def test_a_secret_is_sent_as_it_is() -> None:
    with server(body="{sent}") as url:
        finding = await look(url, headers={"Authorization": SecretRef(name="API_TOKEN")}, contains=SECRET)
    assert finding.status == "ok"


async def test_a_missing_secret_is_not_knowing() -> None:
    finding = await look("http://127.0.0.1:9", headers={"Authorization": SecretRef(name="NONE")})
    assert (finding.status, finding.says) == ("unknown", "the secret NONE is missing")


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def test_nobody_listens() -> None:
    finding = await look(closed_port())
    assert (finding.status, finding.says) == ("fail", "the connection is refused")
    assert finding.hint.startswith("is it running?") and finding.ms is not None


async def test_no_answer_in_time() -> None:
    with server(delay=0.5) as url:
        finding = await look(url, timeout=0.1)
    assert (finding.status, finding.says) == ("fail", "no answer within 0.1 s")


async def test_a_name_that_does_not_resolve_is_not_knowing() -> None:
    finding = await look("http://name.invalid")
    assert (finding.status, finding.says) == ("unknown", "the name does not resolve")
