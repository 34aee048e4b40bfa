"""A service that wants secrets in headers and, when it refuses them, gives them back in every spelling."""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

Answer = tuple[int, dict[str, str], str]


def _text(status: int, body: str) -> Answer:
    return status, {"Content-Type": "text/plain"}, body


def _base64(text: str, before: str) -> str:
    return base64.b64encode((before + text).encode()).decode()


REFUSALS: dict[str, Callable[[str], Answer]] = {
    "plain": lambda secret: _text(401, f"bad token: {secret}"),
    "json": lambda secret: (200, {"Content-Type": "application/json"}, json.dumps({"status": secret})),
    "php": lambda secret: _text(401, json.dumps({"sent": f"{secret}/"}).replace("/", "\\/")),
    "page": lambda secret: (401, {"Content-Type": "text/html"}, f"<html><p>{html.escape(secret)}</p>"),
    "base64": lambda secret: _text(401, _base64(secret, "")),
    "basic": lambda secret: _text(401, _base64(secret, "u:")),
    "basic2": lambda secret: _text(401, _base64(secret, "u")),
    "url": lambda secret: _text(401, quote(secret, safe="").lower()),
    "blanks": lambda secret: _text(401, " " * 950 + secret),
    "hex": lambda secret: _text(401, secret.encode().hex()),
    "place": lambda secret: (302, {"Location": f"/login?token={secret}"}, ""),
    "later": lambda secret: (429, {"Retry-After": secret}, ""),
    "type": lambda secret: (200, {"Content-Type": f"x/{secret}"}, "{}"),
}
"""What it answers when it refuses, by the path that is asked for."""


@dataclass
class Gate:
    """The service, on a loopback port; healthy while the right headers come and `refuses` is not true."""

    wanted: Mapping[str, str]
    refuses: Callable[[], bool] = lambda: False
    passed: int = 0
    """How often all headers were right."""
    refused: set[str] = field(default_factory=set)

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        """What a request gets."""
        right = all(headers.get(name) == value for name, value in self.wanted.items())
        self.passed += right
        if right and not self.refuses():
            return 200, {"Content-Type": "application/json"}, '{"status": "healthy"}'
        self.refused.add(path)
        got = " ".join(headers.get(name) or "-" for name in self.wanted)
        return REFUSALS[path](got)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()


def _handler(gate: Gate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = gate.answer(self.path.strip("/"), self.headers)  # type: ignore[arg-type]
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler
