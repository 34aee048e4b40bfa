"""Does a service answer rightly: not only with a status, but with the body, the type and the release it should have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pydantic import JsonValue

from fairlead.checks.looked import looked
from fairlead.model import Finding, HttpCheck, SecretRef, Status, canonical
from fairlead.outside.http import HttpAnswer, HttpClient, HttpError
from fairlead.outside.secrets import Secrets

Evidence = dict[str, JsonValue]
_MISSING = object()
_PROGRAM_TEXT = (b"<?php", b"#!")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_PAGE = (b"<!doctype html", b"<html")


async def check_http(check: HttpCheck, http: HttpClient, secrets: Secrets) -> Finding:
    """Ask once and judge the answer. 429 is `unknown`; a service that cannot be reached is `fail`."""
    return await looked(check.check, check.subject, _ask(check, http, secrets))


async def _ask(check: HttpCheck, http: HttpClient, secrets: Secrets) -> Finding:
    headers = {
        name: await secrets.open(value) if isinstance(value, SecretRef) else value
        for name, value in check.headers.items()
    }
    try:
        answer = await http.fetch(check.method, check.url, headers, check.timeout)
    except HttpError as error:
        # A name that does not resolve from here may well resolve for everybody else.
        status: Status = "unknown" if error.kind == "dns" else "fail"
        return _finding(check, status, error.what, error.hint or f"is it running? ask {check.url}", {"url": check.url})
    return _shown(judged(check, answer), secrets)


def judged(check: HttpCheck, answer: HttpAnswer) -> Finding:
    """What an answer is worth, without asking again."""
    if answer.status == 429 and 429 not in check.status:
        return _limited(check, answer)
    for says, got, expected, hint in _faults(check, answer):
        evidence: Evidence = {"url": check.url, "status": answer.status, "expected": expected, "got": got}
        return _finding(check, "fail", says, hint, evidence, answer.ms)
    slow = bool(check.slow_ms) and answer.ms > check.slow_ms
    says = f"release {_release(check)} answers" if check.check == "identity" else f"answers {answer.status}"
    if slow:
        says += f", but in {answer.ms:.0f} ms instead of at most {check.slow_ms:.0f}"
    hint = "what keeps it busy? compare with the last deployments" if slow else ""
    evidence = {"url": check.url, "status": answer.status}
    return _finding(check, "warn" if slow else "ok", says, hint, evidence, answer.ms)


def _limited(check: HttpCheck, answer: HttpAnswer) -> Finding:
    wait = answer.headers.get("retry-after", "")
    says = "it limits how often it may be asked (429), so its health is not known"
    hint = f"ask again after {wait} s" if wait.isdigit() else f"ask again after {wait}" if wait else "ask less often"
    return _finding(check, "unknown", says, hint, {"url": check.url, "status": 429, "retry_after": wait}, answer.ms)


Fault = tuple[str, JsonValue, JsonValue, str]
"""What is wrong, what came, what should have come, and what to look at."""


def _faults(check: HttpCheck, answer: HttpAnswer) -> Iterator[Fault]:
    yield from _wrong_status(check, answer)
    if check.method == "HEAD":
        yield from _wrong_type(check, answer)
        return
    yield from _wrong_kind(check, answer)
    yield from _wrong_type(check, answer)
    if check.contains and check.contains not in answer.body.decode("utf-8", "replace"):
        yield ("the text it should contain is missing", _short(answer.body), check.contains, "")
    if check.fields:
        yield from _wrong_fields(check, answer)


def _wrong_status(check: HttpCheck, answer: HttpAnswer) -> Iterator[Fault]:
    if answer.status not in check.status:
        wanted = " or ".join(map(str, check.status))
        place = answer.headers.get("location", "")
        to = f" (to {place})" if place and 300 <= answer.status < 400 else ""
        hint = "look at the service's log" if answer.status >= 500 else ""
        yield (f"answers {answer.status}{to} instead of {wanted}", _short(answer.body), list(check.status), hint)


def _wrong_kind(check: HttpCheck, answer: HttpAnswer) -> Iterator[Fault]:
    """Answers that every path of a misled web server gives, whatever the service does."""
    head = answer.body[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(_PROGRAM_TEXT):
        yield (
            "the text of the program is served instead of its answer",
            _short(answer.body),
            "",
            "is PHP switched on?",
        )
    wants_json = bool(check.fields) or "json" in check.content_type
    if wants_json and (head.startswith(_PAGE) or _media_type(answer) == "text/html"):
        says = "a web page came where JSON was expected, as a single-page application answers on every path"
        yield (says, _short(answer.body), "JSON", "does the web server pass this path on to the service?")


def _wrong_type(check: HttpCheck, answer: HttpAnswer) -> Iterator[Fault]:
    media = _media_type(answer)
    if media and not _MEDIA_TYPE.fullmatch(media):
        media = "not readable"  # cut at a `;` it might be half of something that nobody should see
    if check.content_type and not media.startswith(check.content_type.lower()):
        yield (
            f"the content type is {media or 'not given'} instead of {check.content_type}",
            media,
            check.content_type,
            "",
        )


def _wrong_fields(check: HttpCheck, answer: HttpAnswer) -> Iterator[Fault]:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        yield ("the body is not readable as JSON", _short(answer.body), "JSON", "")
        return
    for path, expected in check.fields.items():
        found = _field(body, path)
        if found is _MISSING or not _equal(found, expected):
            yield _wrong_field(check, path, found, expected)


def _wrong_field(check: HttpCheck, path: str, found: object, expected: JsonValue) -> Fault:
    got = None if found is _MISSING else _short(canonical(found).encode())
    if check.check == "identity":
        who = "it does not say which release it is" if found is _MISSING else f"release {_plain(found)} answers"
        return (f"{who} instead of {_plain(expected)}", got, expected, "was the old process left running?")
    if found is _MISSING:
        return (f"`{path}` is missing in the answer", got, expected, "")
    return (f"`{path}` is {got} instead of {canonical(expected)}", got, expected, "")


def _field(body: object, path: str) -> object:
    """Follow a dotted path; a number is a place in a list; a key that itself has dots is found too."""
    if isinstance(body, dict) and path in body:
        return body[path]
    head, dot, rest = path.partition(".")
    if isinstance(body, dict):
        inner = body.get(head, _MISSING)
    elif isinstance(body, list) and head.isdecimal() and int(head) < len(body):
        inner = body[int(head)]
    else:
        return _MISSING
    return _field(inner, rest) if dot else inner


def _equal(found: object, expected: object) -> bool:
    """As JSON has it: 1 is 1.0, but true is not 1."""
    if isinstance(found, (int, float)) and isinstance(expected, (int, float)):
        return found == expected and isinstance(found, bool) == isinstance(expected, bool)
    return canonical(found) == canonical(expected)


def _media_type(answer: HttpAnswer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def _release(check: HttpCheck) -> str:
    return ", ".join(_plain(value) for value in check.fields.values()) or check.contains


def _plain(value: object) -> str:
    return _short(value.encode() if isinstance(value, str) else canonical(value).encode())


def _short(raw: bytes) -> str:
    """An answer on one line; it is cut when secrets have been taken out, never before: half a secret is one too."""
    text = " ".join(raw.decode("utf-8", "replace").split())
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _finding(
    check: HttpCheck,
    status: Status,
    says: str,
    hint: str = "",
    evidence: Evidence | None = None,
    ms: float | None = None,
) -> Finding:
    return Finding(
        check=check.check, subject=check.subject, status=status, says=says, hint=hint, evidence=evidence or {}, ms=ms
    )


def _shown(finding: Finding, secrets: Secrets) -> Finding:
    """Without secrets, since a service may echo what it was sent, and no longer than a person reads."""

    def clean(text: str, most: int) -> str:
        text = secrets.redact(text)
        return text if len(text) <= most else f"{text[: most - 1]}…"

    evidence = {k: clean(v, 120) if isinstance(v, str) else v for k, v in finding.evidence.items()}
    says, hint = clean(finding.says, 300), clean(finding.hint, 300)
    return finding.model_copy(update={"says": says, "hint": hint, "evidence": evidence})
