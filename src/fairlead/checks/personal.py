"""Personal data in text: what kind stands in which line. What was found itself is never handed on."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import unquote

KINDS = {
    "email": "e-mail address",
    "iban": "IBAN",
    "svnr": "social insurance number",
    "phone": "phone number",
    "ip": "IP address",
}
"""Word in evidence -> what people call it."""

_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}|\\u00[0-9A-Fa-f]{2}|\\[nrt]")
_UNICODE = re.compile(r"\\u00([0-9A-Fa-f]{2})")
_DOMAIN = re.compile(r"@((?:[\w-]{1,63}\.){1,8}([^\W\d_]{2,24}))(?![\w-])")
_LOCAL = re.compile(r"[\w.+%-]{1,64}$")
# fmt: off
_NO_DOMAIN = frozenset((
    "automount", "conf", "config", "css", "device", "gif", "html", "ico", "internal", "invalid", "ipynb", "jpeg", "jpg",
    "js", "json", "jsx", "local", "localdomain", "localhost", "map", "mjs", "mount", "path", "php", "png", "py",
    "scope", "service", "slice", "socket", "svg", "swap", "target", "timer", "ts", "tsx", "txt", "webp", "xml", "yaml",
    "yml",
))
"""What follows a dot behind an `@` and is no top level: units of systemd, files, names of a machine for itself."""
_NOBODY = frozenset((
    "abuse", "apache", "bounce", "cron", "daemon", "git", "hostmaster", "mailer-daemon", "mysql", "nobody", "no-reply",
    "noreply", "postgres", "postmaster", "root", "webmaster", "www-data",
))
"""Accounts of programs."""
# fmt: on
# None of these begins with a look behind: that would be tried at every character. What stands before is asked later.
_IBAN = re.compile(r"[A-Za-z]{2}\d{2}(?:[ +.-]?[A-Za-z0-9]){10,40}")
_SVNR = re.compile(r"[1-9]\d{3} \d{6}(?!\w|[.,:-]\d| \d)")
_SVNR_QUOTED = re.compile(r"(?<=['\"])[1-9]\d{9}(?=['\"])")
_SVNR_NAMED = re.compile(r"[^\d\n]{0,30}([1-9]\d{3}[ /+-]?\d{6})(?!\d)")
_SVNR_NAMES = (
    "svnr", "sv-n", "sv n", "sv_n", "vsnr", "vnr", "ecard", "e-card", "sozialvers", "versicherungsn", "versicherten",
    "insurance", "social_sec", "social sec", "socialsec", "ssn",
)  # fmt: skip
_PHONES = (
    re.compile(r"\+[1-9](?:[ ()/.-]{0,2}\d){7,14}(?!\w)"),
    re.compile(r"00[1-9](?:[ ()/.-]{0,2}\d){8,14}(?!\w)"),
    re.compile(r"0[1-9]\d{1,3}\)?/\d(?:[ -]?\d){4,11}(?![\w/])"),
)
_PHONE_NAMED = re.compile(r"[A-Za-z_]{0,12}[^\d+(\n<]{0,6}(\+?\(?\d(?:[ ()/.+-]{0,2}\d){6,14})(?!\w)")
_PHONE_NAMES = (
    "telefon", "telephone", "tel.", "tel:", "tel=", "tel ", 'tel"', "tel>", "phone", "mobil", "handy", "fax", "msisdn",
    "gsm", "rufnummer", "anruf", "caller", "sms", "whatsapp",
)  # fmt: skip
_SHORTEST_PHONE = 8
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{4}")
_IPV4 = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?!\w|\.\d|-\d)")
_IPV6 = re.compile(r"[23][0-9A-Fa-f]{0,3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:.])")


@dataclass(frozen=True)
class Rules:
    """What counts."""

    ip: bool = True
    """Addresses of the internet; one that ends in `.0` is taken for shortened and does not count."""
    private_ip: bool = False
    """Addresses of private networks, too."""
    regions: tuple[str, ...] = ("AT", "DE", "CH")
    """Countries whose phone numbers are known without their country code."""
    allow: tuple[str, ...] = ()
    """Values that may stand there; `*` stands for any text."""

    def allows(self, value: str) -> bool:
        """May this value stand there?"""
        plain = _plain(value)
        return any(fnmatchcase(plain, _plain(pattern)) for pattern in self.allow)


class Hit(NamedTuple):
    """Something personal."""

    kind: str
    line: int
    """From 1."""


def scan(text: str, rules: Rules) -> list[Hit]:
    """Everything personal in `text`, line by line; what two kinds could claim is told once."""
    text = _decoded(text)
    lines = [0, *(found.end() for found in re.finditer("\n", text))]
    taken = bytearray(len(text))
    hits: list[Hit] = []
    for kind, find in _FINDERS.items():
        for start, end in find(text, rules):
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                hits.append(Hit(kind, bisect_right(lines, start)))
    return sorted(hits, key=lambda hit: hit.line)


def _decoded(text: str) -> str:
    """Lines with `%40`, `\\u0040` and `\\n` in them as they are meant; the number of lines stays."""
    if not _ENCODED.search(text):
        return text
    return "\n".join(_decoded_line(line) if "%" in line or "\\" in line else line for line in text.split("\n"))


def _decoded_line(line: str) -> str:
    for _ in range(2):  # what was encoded twice, as in a URL that is a parameter of another
        line = unquote(line, errors="replace") if "%" in line else line
    line = _UNICODE.sub(lambda found: chr(int(found[1], 16)), line)
    for sign in ("\\n", "\\r", "\\t"):
        line = line.replace(sign, "  ")
    return line.replace("\n", " ").replace("\r", " ")


Span = tuple[int, int]


def _emails(text: str, rules: Rules) -> Iterator[Span]:
    for found in _DOMAIN.finditer(text):
        local = _LOCAL.search(text, max(0, found.start() - 64), found.start())
        if local is None or found[2].lower() in _NO_DOMAIN or local[0].lower() in _NOBODY:
            continue
        in_url = text[max(0, local.start() - 2) : local.start()] == "//"  # who logs in to a server
        if not in_url and any(map(str.isalpha, local[0])) and not rules.allows(local[0] + found[0]):
            yield local.start(), found.end()


def _ibans(text: str, rules: Rules) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        length = _length(found[0][:2].upper())
        if not length or text[found.start() - 1 : found.start()].isalnum():
            continue
        number, end = _first(text, found.start(), length)
        whole = len(number) == length and not text[end : end + 1].isalnum()
        if whole and _is_iban(number) and not rules.allows(number):
            yield found.start(), end


def _first(text: str, start: int, length: int) -> tuple[str, int]:
    """So many letters and digits from `start` on, without what stands between them, and where they end."""
    taken: list[str] = []
    end = start
    while end < len(text) and len(taken) < length and (text[end].isalnum() or text[end] in " +.-"):
        taken += text[end] if text[end].isalnum() else ""
        end += 1
    return "".join(taken).upper(), end


@cache
def _length(country: str) -> int:
    """How long a country's IBANs are; 0 = it has none."""
    from stdnum import numdb

    [(_, info), *_] = numdb.get("iban").info(f"{country}00")
    parts = re.findall(r"(\d+)!", info.get("bban", ""))
    return 4 + sum(map(int, parts)) if parts else 0


def _is_iban(number: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(number, check_country=False))


def _svnrs(text: str, rules: Rules) -> Iterator[Span]:
    """Ten digits in a row are an order number or a time just as well, so they need a word for it before them."""
    spans = [found.span() for found in _SVNR.finditer(text) if not _is_rest(text, found.start())]
    spans += [found.span(1) for found in _named(text, _SVNR_NAMES, _SVNR_NAMED)]
    spans += [found.span() for found in _SVNR_QUOTED.finditer(text) if _line_names(text, found.start(), _SVNR_NAMES)]
    for start, end in spans:
        number = re.sub(r"\D", "", text[start:end])
        if _is_svnr(number) and not rules.allows(number):
            yield start, end


def _is_rest(text: str, start: int) -> bool:
    """Is it only the rest of something longer, or the next of several columns?"""
    before = text[max(0, start - 2) : start]
    return _continues(text, start, ".,:+/-") or (before[:1].isdigit() and before[1:] == " ")


def _continues(text: str, start: int, signs: str) -> bool:
    before = text[max(0, start - 1) : start]
    return before.isalnum() or before in (*signs, "_")


def _named(text: str, names: tuple[str, ...], pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Where `pattern` goes on after one of the names, in capitals or not."""
    small = _small(text)
    for name in names:
        start = small.find(name)
        while start >= 0:
            if not small[start - 1 : start].isalpha() and (found := pattern.match(text, start + len(name))):
                yield found
            start = small.find(name, start + 1)


def _line_names(text: str, start: int, names: tuple[str, ...]) -> bool:
    before = _small(text[text.rfind("\n", 0, start) + 1 : start])
    return any(name in before for name in names)


_SMALL = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _small(text: str) -> str:
    """Small letters, of the alphabet alone: others may become two, and then nothing stands where it stood."""
    return text.translate(_SMALL)


def _is_svnr(number: str) -> bool:
    from stdnum.at import vnr

    # Months above 12 were given out where the numbers of a day did not suffice.
    return 1 <= int(number[4:6]) <= 31 and 1 <= int(number[6:8]) <= 15 and bool(vnr.is_valid(number))


def _phones(text: str, rules: Rules) -> Iterator[Span]:
    spans = [
        found.span()
        for pattern in _PHONES
        for found in pattern.finditer(text)
        if not _continues(text, found.start(), "+./:-") and _is_grouped_or_near(found[0], rules)
    ]
    spans += [found.span(1) for found in _named(text, _PHONE_NAMES, _PHONE_NAMED) if not _DATE.match(found[1])]
    for start, end in spans:
        number = text[start] + text[start + 1 : end].replace("+", " ")  # a form has `+` for blanks
        length = _phone_length(number, rules.regions)
        if length and not rules.allows(number) and not rules.allows(number[:length]):
            yield start, start + length


def _is_grouped_or_near(number: str, rules: Rules) -> bool:
    """Digits in a row after a `+` may count something; of the regions' own country codes they are believed."""
    plain = number.removeprefix("+").removeprefix("00")
    return not plain.isdigit() or plain.startswith(_codes(rules.regions)) or number[:2] in ("01", "02", "03")


@cache
def _codes(regions: tuple[str, ...]) -> tuple[str, ...]:
    import phonenumbers

    return tuple(str(phonenumbers.country_code_for_region(region)) for region in regions)


def _phone_length(number: str, regions: tuple[str, ...]) -> int:
    """Up to which blank it is a phone number, as the next word may be another number; 0 = it is none."""
    ends = [*(blank.start() for blank in re.finditer(" ", number)), len(number)]
    return next((end for end in ends if end > _SHORTEST_PHONE and _is_phone(number[:end], regions)), 0)


def _is_phone(number: str, regions: tuple[str, ...]) -> bool:
    import phonenumbers

    for region in ("ZZ",) if number.startswith("+") else regions:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(number, region)):
                return True
        except phonenumbers.NumberParseException:
            pass
    return False


def _ips(text: str, rules: Rules) -> Iterator[Span]:
    for pattern in (_IPV4, _IPV6) if rules.ip or rules.private_ip else ():
        for found in pattern.finditer(text):
            address = found[0]
            if pattern is _IPV6 and address.count(":") != 7 and "::" not in address:
                continue  # the time of day
            before = text[max(0, found.start() - 2) : found.start()]
            part = before[-1:].isalnum() or before[-1:] in (".", ":", "-", "_") or re.fullmatch("[A-Za-z]/", before)
            if not part and _is_personal_ip(address, rules) and not rules.allows(address):
                yield found.span()


@lru_cache(1 << 14)
def _is_personal_ip(written: str, rules: Rules) -> bool:
    try:
        address = ip_address(written)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or written.endswith((".0", "::")):
        return False
    return (rules.ip and address.is_global) or (rules.private_ip and address.is_private)


def _plain(value: str) -> str:
    """As values are compared: IBANs, numbers and phone numbers without what only groups their digits."""
    return re.sub(r"[ ()/.+-]", "", value).lower() if "@" not in value and ":" not in value else value.lower()


_FINDERS: dict[str, Callable[[str, Rules], Iterator[Span]]] = {
    "email": _emails,
    "iban": _ibans,
    "phone": _phones,
    "svnr": _svnrs,
    "ip": _ips,
}
