"""What every reader of a report gives, and the careful hands with which they take reports apart.

A report proves something only when it is whole: whatever is missing or of another kind than the tool writes, what its
own sums contradict, and every error of the tool in it is `NotReady`, so the gate says that it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from fairlead.errors import NotReady

SEVERITIES = ("info", "low", "medium", "high", "critical", "unknown")
"""From mild to grave; what cannot be told is graver than anything that can."""
_LONGEST = 200
"""Characters of a rule or a file's name that are kept."""


class Issue(NamedTuple):
    """One thing that a tool has found: where, and which rule says so. Never what it found: that may be a secret."""

    severity: str
    rule: str
    file: str = ""
    line: int = 0
    """From 1; 0 = the tool does not say."""


@dataclass(frozen=True)
class Report:
    """What a report says, whichever tool wrote it."""

    tool: str
    issues: tuple[Issue, ...] = ()
    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """By name, in percent: `performance`, `lines`, `maintainability`."""
    suppressed: int = 0
    """Issues that somebody has marked as accepted; they are no part of `issues`."""
    commit: str = ""
    """What the report says that it was made for; empty = it does not say."""
    made: float | None = None
    """Unix time at which the report says that it was made; None = it does not say."""


def document(raw: bytes) -> Any:
    """The JSON in a report, UTF-8 or UTF-16, with or without a byte order mark. Raises NotReady."""
    if not raw.strip():
        raise NotReady("the report is empty")
    try:
        return json.loads(raw, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise NotReady("the report is no whole JSON document") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def mapping(value: Any, where: str) -> dict[str, Any]:
    """`value` if it is a JSON object. Raises NotReady, as all of these do."""
    if not isinstance(value, dict):
        raise _other(value, where)
    return value


def listing(value: Any, where: str) -> list[Any]:
    """`value` if it is a list."""
    if not isinstance(value, list):
        raise _other(value, where)
    return value


def text(value: Any, where: str) -> str:
    """`value` if it is a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise _other(value, where)
    return value


def flag(value: Any, where: str) -> bool:
    """`value` if it is true or false."""
    if not isinstance(value, bool):
        raise _other(value, where)
    return value


def number(value: Any, where: str) -> float:
    """`value` if it is a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        raise _other(value, where)
    return float(value)


def count(value: Any, where: str) -> int:
    """`value` if it is a whole number that is not negative."""
    found = number(value, where)
    if found < 0 or found != int(found):
        raise _other(value, where)
    return int(found)


def line(value: Any) -> int:
    """A line's number, 0 where there is none that makes sense: an issue without its place is an issue, too."""
    sensible = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9
    return value if sensible else 0


def name(value: Any) -> str:
    """A rule or a file as it can be shown: one line, printable, not too long; `?` where there is none."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in value) if isinstance(value, str) else ""
    return f"{shown[: _LONGEST - 1]}…" if len(shown) > _LONGEST else shown or "?"


def when(value: Any, where: str) -> float | None:
    """ISO 8601 as unix time; None where no time zone is given, so that it could be any of several hours."""
    try:
        found = datetime.fromisoformat(text(value, where))
        return found.timestamp() if found.tzinfo else None
    except (ValueError, OverflowError):
        raise _other(value, where) from None


def agree(first: object, second: object, what: str) -> None:
    """Raises NotReady where a report contradicts itself."""
    if first != second:
        raise NotReady(f"the report contradicts itself: {what}")


def _other(value: Any, where: str) -> NotReady:
    if value is None:
        return NotReady(f"the report has no {where}, so the tool did not run to its end")
    return NotReady(f"{where} of the report is not what the tool writes")
