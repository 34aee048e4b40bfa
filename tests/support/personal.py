"""Values that are valid and belong to nobody, the shapes of logs they turn up in, and lines that hold none."""

# ruff: noqa: E501 - lines of logs are as long as they are

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote, quote_plus

NAMES = (
    "anna",
    "huber",
    "mueller",
    "j.gruber",
    "maria-luise",
    "o.wagner99",
    "sepp_maier",
    "k.yilmaz+news",
    "lisa.bauer",
)
DOMAINS = ("gmx.at", "example.org", "mail.example.co.uk", "uni-wien.ac.at", "firma.example.com", "posteo.de", "aon.at")


def email(rng: random.Random) -> str:
    name = f"{rng.choice(NAMES)}{rng.choice(('', rng.randrange(100)))}@{rng.choice(DOMAINS)}"
    return name.upper() if rng.random() < 0.05 else name


def iban(rng: random.Random) -> str:
    """Of six countries; the check digits are reckoned as the standard has it, by nobody's library."""
    digits = "".join(str(rng.randrange(10)) for _ in range(30))
    country, own = rng.choice(
        (("AT", digits[:16]), ("DE", digits[:18]), ("CH", digits[:17]), ("NL", f"ABNA{digits[:10]}"),
         ("FR", digits[:23]), ("ES", digits[:20]))
    )  # fmt: skip
    as_number = "".join(str(int(sign, 36)) for sign in f"{own}{country}00")
    number = f"{country}{98 - int(as_number) % 97:02d}{own}"
    return number if rng.random() < 0.6 else " ".join(number[at : at + 4] for at in range(0, len(number), 4))


def svnr(rng: random.Random) -> str:
    while True:
        serial, day, month, year = (
            rng.randrange(100, 1000),
            rng.randrange(1, 29),
            rng.randrange(1, 13),
            rng.randrange(100),
        )
        digits = f"{serial}{day:02d}{month:02d}{year:02d}"
        check = sum(weight * int(digit) for weight, digit in zip((3, 7, 9, 5, 8, 4, 2, 1, 6), digits, strict=True)) % 11
        if check < 10:  # numbers with ten are not given out
            return f"{serial}{check} {digits[3:]}" if rng.random() < 0.5 else f"{serial}{check}{digits[3:]}"


def phone(rng: random.Random) -> str:
    own = rng.randrange(2_000_000, 9_999_999)
    forms = (
        f"+43 664 {own}", f"+43664{own}", f"+43 (0) 664 {own}", f"0043 664 {own}", f"0664/{own}", f"+43 1 {own}",
        f"+49 151 {own}1", f"+49151{own}1", f"+41 79 {own}", f"0676/{own // 10_000} {own % 10_000:04d}",
    )  # fmt: skip
    return rng.choice(forms)


VALUES: dict[str, Callable[[random.Random], str]] = {"email": email, "iban": iban, "svnr": svnr, "phone": phone}
WORDS = {"email": "email", "iban": "iban", "svnr": "svnr", "phone": "phone"}
GERMAN = {"email": "E-Mail", "iban": "Konto", "svnr": "SV-Nr.", "phone": "Tel."}
DAY = "2026-11-20"
IP = "192.168.7.9"
AGENT = '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.85 Safari/537.36"'


def _twice(kind: str, value: str) -> str:
    return quote(f"/me?{WORDS[kind]}={quote(value, safe='')}", safe="")


SHAPES: dict[str, Callable[[str, str], str]] = {
    # how a value of a kind gets into a line
    "nginx, in a query": lambda k, v: (
        f'{IP} - - [20/Nov/2026:10:01:02 +0100] "GET /donate?{WORDS[k]}={quote(v)}&step=2 HTTP/2.0" 200 5120 "-" {AGENT}'
    ),
    "nginx, in a form's query": lambda k, v: (
        f'{IP} - - [20/Nov/2026:10:01:02 +0100] "GET /find?a=1&{WORDS[k]}={quote_plus(v)} HTTP/1.1" 302 0 "-" {AGENT}'
    ),
    "nginx, in a referer that is encoded twice": lambda k, v: (
        f'{IP} - - [20/Nov/2026:10:01:02 +0100] "GET / HTTP/1.1" 200 17 '
        f'"https://www.example.org/login?to={_twice(k, v)}" {AGENT}'
    ),
    "nginx, an error": lambda k, v: (
        f"{DAY.replace('-', '/')} 10:01:02 [error] 1204#1204: *88 upstream timed out (110: Connection timed out) while reading "
        f'response header, client: {IP}, request: "GET /u?{WORDS[k]}={quote(v)} HTTP/1.1"'
    ),
    "JSON": lambda k, v: json.dumps({"ts": f"{DAY}T10:01:02.345Z", "level": "info", "msg": "signup", WORDS[k]: v}),
    "JSON within JSON": lambda k, v: json.dumps({"t": 1795168800, "body": json.dumps({"n": 1, WORDS[k]: v})}),
    "JSON with escapes": lambda k, v: json.dumps({"message": f"new {GERMAN[k]} {v} für"}).replace("@", "\\u0040"),
    "Python's logging": lambda k, v: f"{DAY} 10:01:02,345 WARNING app.members [412]: {GERMAN[k]} {v} was refused",
    "syslog": lambda k, v: f"Nov 20 10:01:02 web-1 api[2211]: reminder for {GERMAN[k]} {v} queued as 4F2A9C1E8B",
    "logfmt": lambda k, v: f'ts={DAY}T10:01:02Z level=info msg="member saved" id=4711 {WORDS[k]}="{v}" took=12ms',
    "Drupal's watchdog": lambda k, v: (
        f"https://crm.example.org|1795168800|webform|{IP}|https://crm.example.org/form/7||3||{GERMAN[k]}: {v}"
    ),
    "MariaDB, a statement": lambda k, v: (
        f"261120 10:01:02\t   88 Query\tINSERT INTO members (id, {WORDS[k]}, active) VALUES (4711, '{v}', 1)"
    ),
    "PostgreSQL, a detail": lambda k, v: (
        f"{DAY} 10:01:02.345 UTC [712] DETAIL:  Key ({WORDS[k]})=({v}) already exists."
    ),
    "an exception": lambda k, v: f"ValueError: could not parse {GERMAN[k]} {v!r}",
    "CSV": lambda k, v: f'4711;"{v}";2026-11-20;aktiv' if k != "svnr" else f'4711;svnr;"{v}";2026-11-20;aktiv',
    "XML": lambda k, v: f"<member id='4711'><{WORDS[k]}>{v}</{WORDS[k]}><since>2026-11-20</since></member>",
    "at the end of a line": lambda k, v: f"[4711] lookup failed, {GERMAN[k]} {v}",
}


class Line(NamedTuple):
    """A line of a log, and what personal kind is in it; empty = none."""

    text: str
    kind: str
    shape: str


def personal(rng: random.Random, each: int) -> Iterator[Line]:
    """So many lines of every kind in every shape."""
    for shape, form in SHAPES.items():
        for kind, value in VALUES.items():
            for _ in range(each):
                yield Line(form(kind, value(rng)), kind, shape)


def innocent(rng: random.Random) -> str:
    """A line that holds numbers, names and signs of all sorts, and nothing of a person."""
    now = rng.randrange(1_700_000_000, 1_830_000_000)
    token = rng.randbytes(32)
    number = rng.randrange(10**9, 10**10)
    unique = uuid.UUID(bytes=token[:16], version=4)
    digest, text = hashlib.sha256(token).hexdigest(), base64.b64encode(token).decode()
    version = f"{rng.randrange(30)}.{rng.randrange(40)}.{rng.randrange(200)}"
    path = f"/orders/{number}/items/{rng.randrange(10**6)}?v={version}&h={digest[:16]}&t={now}"
    lines = (
        f'{IP} - - [20/Nov/2026:10:01:02 +0100] "GET {path} HTTP/2.0" 200 {rng.randrange(10**6)} "-" {AGENT}',
        f'10.0.3.7 - - [20/Nov/2026:10:01:02 +0000] "POST /api/{unique} HTTP/1.1" 201 {rng.randrange(10**5)} "-" "curl/8.5.0"',
        f"order {number} paid, invoice {rng.randrange(2020, 2030)}-{rng.randrange(10**6):06d}, batch {rng.randrange(10**7):08d}",
        f"{now}.{rng.randrange(10**6):06d} worker[{rng.randrange(99999)}]: job {unique} took {rng.random():.9f} s",
        json.dumps({"ts": now * 1000, "trace": token[:16].hex(), "span": token[16:24].hex(), "size": number, "v": version}),
        f"commit {hashlib.sha1(token, usedforsecurity=False).hexdigest()} tree {digest}",
        f"Nov 20 10:01:02 web-1 systemd[1]: Started getty@tty{rng.randrange(9)}.service, user@{rng.randrange(9999)}.service.",
        f"Nov 20 10:01:02 web-1 sshd[88]: Accepted publickey for deploy from {IP} port {rng.randrange(65536)} ssh2: "
        f"ED25519 SHA256:{text[:43]}",
        f"npm http fetch GET 200 https://registry.example.org/lodash/-/lodash-{version}.tgz {rng.randrange(9999)}ms lodash@{version}",
        f"Fetched git@github.com:acme/shop.git and ssh://deploy@web.example.org:22/srv, logo@2x.png, {text}",
        f"InnoDB: log sequence number {number * 37} {rng.randrange(10**6)}; transaction id {number}",
        f"LOG:  checkpoint complete: wrote {rng.randrange(9999)} buffers (0.1%); write={rng.random():.3f} s; lsn=0/{token[:4].hex()}",
        f"  File \"/usr/lib/python3.11/asyncio/base_events.py\", line {rng.randrange(2000)}, in run_until_complete",
        f"-rw-r--r-- 1 www-data www-data {rng.randrange(10**8)} {rng.randrange(10**6)} 0644 0755 2026-11-20 10:01 {digest[:12]}.js",
        f"peer [fe80::{token[:2].hex()}:{token[2:4].hex()}] mac 02:42:{token[0]:02x}:{token[1]:02x}:{token[2]:02x}:{token[3]:02x}",
        f"mo_games.sessions: {number} rows, avg {rng.randrange(10**4)}, checksum {rng.randrange(2**32)}, offset +{number % 10**6}",
        f"[{now}] heartbeat seq={number} crc={rng.randrange(10**10):010d} eta=00:{rng.randrange(60):02d}:{rng.randrange(60):02d}",
        f"Set-Cookie: SESS{token[:16].hex()}={text.rstrip('=')}; ETag: W/\"{rng.randrange(10**6):x}-{token[:6].hex()}\"",
    )  # fmt: skip
    return rng.choice(lines)
