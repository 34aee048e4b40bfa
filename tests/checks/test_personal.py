"""What counts as personal in a line, what only looks like it, and how well the difference is told."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fairlead.checks.personal import KINDS, Rules, scan
from support.personal import SHAPES, VALUES, innocent, personal

FOUND: dict[str, tuple[str, list[str]]] = {
    # case: line, kinds
    "an address": ("signup of Anna.Huber+x@mail.example.org done", ["email"]),
    "an address in a URL": ("GET /me?email=anna%40example.org&a=1", ["email"]),
    "an address that was encoded twice": ("to=%2Fme%3Fmail%3Danna%2540example.org", ["email"]),
    "an address in escaped JSON": ('{"mail":"anna\\u0040example.org"}', ["email"]),
    "an address after an escaped line end": ("text\\nanna@example.org", ["email"]),
    "an address with umlauts": ("von müller@bücher.example", ["email"]),
    "two in a line": ("from a.b@example.org to c.d@example.org", ["email", "email"]),
    "an IBAN": ("IBAN AT611904300234573201.", ["iban"]),
    "an IBAN in groups": ("to AT61 1904 3002 3457 3201 today", ["iban"]),
    "an IBAN in small letters": ("iban=at611904300234573201&x", ["iban"]),
    "an IBAN of a form": ("iban=AT61+1904+3002+3457+3201", ["iban"]),
    "an IBAN with letters": ("NL91ABNA0417164300", ["iban"]),
    "an IBAN and a word after it": ("AT61 1904 3002 3457 3201 EUR", ["iban"]),
    "a social insurance number": ("Patient 1237 010180", ["svnr"]),
    "one in a row, with its name": ("svnr=1237010180", ["svnr"]),
    "one in a statement": ("INSERT INTO m (id, svnr, a) VALUES (4711, '1237010180', 1)", ["svnr"]),
    "one in JSON": ('{"svnr": "1237010180"}', ["svnr"]),
    "a phone number": ("call +43 664 1234567 back", ["phone"]),
    "a phone number in a row": ("to=+436641234567", ["phone"]),
    "a phone number with zeros": ("0043 664 1234567", ["phone"]),
    "a phone number of the country": ("0664/1234567", ["phone"]),
    "a phone number with its name": ("Tel.: 0664 123 45 67", ["phone"]),
    "a phone number in XML": ("<phone>+43 1 5123456</phone><since>2026-11-20</since>", ["phone"]),
    "a phone number of elsewhere": ("+1 415 555 2671", ["phone"]),
    "an address of the internet": ("client 93.184.216.34 connected", ["ip"]),
    "one of version 6": ("from 2001:4860:4860::8888 port 22", ["ip"]),
    "one in a URL": ("http://93.184.216.34/x", ["ip"]),
    "all at once": (
        "anna@example.org AT611904300234573201 svnr 1237010180 tel 0664/1234567 93.184.216.34",
        ["email", "iban", "svnr", "phone", "ip"],
    ),
}
INNOCENT = {
    "a unit of systemd": "Started getty@tty1.service and user@1000.service",
    "a package": "lodash@4.17.21 @types/node@20.1.0",
    "a repository": "git@github.com:acme/shop.git",
    "a login": "ssh://deploy@web.example.org:22/srv",
    "a picture": "GET /logo@2x.png",
    "a program's mail": "to=<root@web.example.org>, <mailer-daemon@example.org>",
    "an IBAN with a wrong sum": "AT621904300234573201",
    "an IBAN that is too long": "AT6119043002345732012",
    "a hash": "de89370400440532013000aa0011223344556677",
    "a social insurance number with a wrong sum": "svnr 1238010180",
    "one of an impossible day": "svnr 1237 400180",
    "an order number that could be one": "order 1237010180 paid",
    "an invoice that could be one": "invoice 1237-010180",
    "columns of numbers": "12 1237 010180 77",
    "a time": "at 1795168800.123456",
    "a time zone": "[20/Nov/2026:10:01:02 +0100] 1234567",
    "a date after a phone": "phone checked 2026-11-20",
    "octal modes": "0644 1234567 0755 7654321",
    "a counter": "offset +1234567890",
    "a hotel and telemetry": "hotel 06641234567 telemetry=06641234567",
    "a private address": "client 192.168.7.9, 10.0.0.1, ::1, fe80::1",
    "a shortened address": "client 93.184.216.0",
    "a browser": "Chrome/131.0.67.85 Safari/537.36",
    "a version": "v1.2.3.4 and 5.6.7.8.9",
    "the time of day": "20:10:01:22 23:59:59",
    "a UUID": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "nothing": "",
}


def kinds(line: str, **rules: object) -> list[str]:
    return [hit.kind for hit in scan(line, Rules(**rules))]  # type: ignore[arg-type]


@pytest.mark.parametrize(("line", "found"), FOUND.values(), ids=FOUND)
def test_what_counts(line: str, found: list[str]) -> None:
    assert sorted(kinds(line)) == sorted(found)


@pytest.mark.parametrize("line", INNOCENT.values(), ids=INNOCENT)
def test_what_only_looks_like_it(line: str) -> None:
    assert kinds(line) == []


ALLOWED = {
    "an address": ("office@example.org", "mail of Office@Example.org"),
    "all of a domain": ("*@example.org", "anna@example.org"),
    "an account, however it is grouped": ("AT61 1904 3002 3457 3201", "AT611904300234573201"),
    "a phone number, however it is grouped": ("+43 664 1234567", "+43 (664) 123-4567"),
    "an address of the internet": ("93.184.216.34", "from 93.184.216.34"),
}


@pytest.mark.parametrize(("allowed", "line"), ALLOWED.values(), ids=ALLOWED)
def test_what_may_stand_there(allowed: str, line: str) -> None:
    assert kinds(line)
    assert kinds(line, allow=(allowed,)) == []
    assert kinds(line, allow=("other@example.org",))


def test_addresses_by_policy() -> None:
    line = "93.184.216.34 192.168.7.9"
    assert (kinds(line), kinds(line, private_ip=True), kinds(line, ip=False)) == (["ip"], ["ip", "ip"], [])


def test_phone_numbers_of_other_countries() -> None:
    assert kinds("tel: 020 7946 0958", regions=("GB",)) == ["phone"]
    assert kinds("tel: 0664 1234567", regions=()) == []


def test_lines_are_counted_as_the_file_has_them() -> None:
    text = "a\n%0A%0Aanna%40example.org\r\n\n\x0bx\u2028anna@example.org\nanna@example.org"
    assert [hit.line for hit in scan(text, Rules())] == [2, 4, 5]


def test_every_kind_has_a_name_and_nothing_else_comes_out() -> None:
    hits = scan(FOUND["all at once"][0], Rules())
    assert {hit.kind for hit in hits} == set(KINDS)
    assert all(set(hit._fields) == {"kind", "line"} for hit in hits)


@pytest.mark.parametrize("seed", range(3))
def test_how_well_the_difference_is_told(seed: int) -> None:
    """A small version of what `make prove ARGS=privacy` does with logs of real servers."""
    rng = random.Random(seed)
    lines = list(personal(rng, 3))
    assert (len(SHAPES) >= 10, len(lines)) == (True, 3 * len(SHAPES) * len(VALUES))
    hits = Counter((hit.line, hit.kind) for hit in scan("\n".join(line.text for line in lines), Rules()))
    missed = [line for number, line in enumerate(lines, 1) if not hits[number, line.kind]]
    assert len(missed) <= 0.01 * len(lines), missed[:5]
    quiet = [innocent(rng) for _ in range(5_000)]
    wrong = scan("\n".join(quiet), Rules())
    assert len(wrong) <= 1, [(hit.kind, quiet[hit.line - 1]) for hit in wrong[:5]]


def test_a_long_line_takes_no_long_time() -> None:
    for sign in ("a", "1", "@", "a@", "+4", "0/", "AT61 ", "::", "1.1.", "%41", "tel ", "\\u0040"):
        scan(sign * 20_000, Rules())
