from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.checks.reports.report import Issue, Report, agree, count, document, flag, line, listing, mapping, name
from fairlead.errors import NotReady

_SEVERITIES = {1: "medium", 2: "high"}


def read(raw: bytes) -> Report:
    """ESLint's JSON: a list of files, each with its messages and how many there are."""
    files = listing(document(raw), "list of files")
    if not files:
        raise NotReady("eslint looked at no file")
    return Report("eslint", tuple(issue for entry in files for issue in _issues(mapping(entry, "file"))))


def _issues(file: dict[str, Any]) -> Iterator[Issue]:
    where = name(file.get("filePath"))
    messages = [mapping(entry, "message") for entry in listing(file.get("messages"), "messages")]
    severities = [_severity(message) for message in messages]
    for word, severity in (("warningCount", "medium"), ("errorCount", "high")):
        told = count(file.get(word), word)
        agree(told, severities.count(severity), f"{word} is not the number of such messages")
    fatal = [message for message in messages if flag(message.get("fatal", False), "fatal")]
    if fatal or count(file.get("fatalErrorCount", 0), "fatalErrorCount"):
        raise NotReady(f"eslint could not read {where}")
    for message, severity in zip(messages, severities, strict=True):
        yield Issue(severity, name(message.get("ruleId")), where, line(message.get("line")))


def _severity(message: dict[str, Any]) -> str:
    found = _SEVERITIES.get(count(message.get("severity"), "severity"))
    if found is None:
        raise NotReady("severity of the report is not what the tool writes")
    return found
