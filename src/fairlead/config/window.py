"""When a deployment may start: windows, and times in which nothing is changed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator

from fairlead.config.types import Line, MoreSeconds, Wrong
from fairlead.model import Model

_HINT = "such as 2026-12-24 or 2026-12-24T18:00"


def _zone(value: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):  # not known, a path, a folder
        hint = "such as Europe/Vienna or UTC; they come from the package tzdata of this machine"
        raise Wrong("should be a time zone", hint) from None
    return value


def _cron(value: str) -> str:
    from cronsim import CronSim, CronSimError

    if len(value.split()) != 5:
        raise Wrong("should have five parts: minute, hour, day, month, weekday", "such as 0 8 * * sat")
    try:
        next(CronSim(value, datetime(2026, 1, 1)))
    except (CronSimError, StopIteration):
        raise Wrong("should be a cron expression that comes to pass", "such as 0 8 * * sat") from None
    return value


def _moment(value: str) -> str:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise Wrong("should be a date, or a date and a time", _HINT) from None
    if found.tzinfo is not None:
        raise Wrong("should have no time zone of its own", "write it into `zone`")
    return value


Zone = Annotated[Line, AfterValidator(_zone)]
Cron = Annotated[Line, AfterValidator(_cron)]
Moment = Annotated[Line, AfterValidator(_moment)]


class SpanEntry(Model):
    """A span of time: once, with `start` and `end`, or again and again, with `cron` and `lasts`."""

    cron: Cron = ""
    """When it begins: minute, hour, day, month, weekday."""
    lasts: MoreSeconds | None = None
    """How long it lasts from then on, also where clocks are changed meanwhile."""
    start: Moment = ""
    """When it begins, as clocks in `zone` show it; a date alone means its midnight."""
    end: Moment = ""
    """When it is over."""
    zone: Zone = "UTC"
    """Whose clocks are meant."""
    why: Line = ""
    """Told to whoever is stopped by it."""


def _once_or_again(entry: SpanEntry) -> SpanEntry:
    given = entry.model_fields_set & {"cron", "lasts", "start", "end"}
    if given not in ({"cron", "lasts"}, {"start", "end"}):
        raise Wrong("should have `start` and `end`, or `cron` and `lasts`")
    if entry.start and datetime.fromisoformat(entry.start) >= datetime.fromisoformat(entry.end):
        raise Wrong("`end` should be later than `start`")
    return entry


Span = Annotated[SpanEntry, AfterValidator(_once_or_again)]


class WindowEntry(Model):
    """When a deployment may start."""

    open: tuple[Span, ...] = ()
    """Only in one of these; without any, always."""
    frozen: tuple[Span, ...] = ()
    """Never in one of these, whatever is open."""


class SpanSpec(Model):
    """A span of time, everything resolved."""

    cron: str
    lasts: float
    """Seconds."""
    start: str
    end: str
    zone: str
    why: str


class WindowSpec(Model):
    """When a deployment may start, everything resolved."""

    open: tuple[SpanSpec, ...] = ()
    frozen: tuple[SpanSpec, ...] = ()


def window_spec(entry: WindowEntry) -> WindowSpec:
    """The window that an entry stands for."""
    return WindowSpec(open=tuple(map(_span, entry.open)), frozen=tuple(map(_span, entry.frozen)))


def _span(entry: SpanEntry) -> SpanSpec:
    return SpanSpec(**{**entry.model_dump(), "lasts": entry.lasts or 0.0})
