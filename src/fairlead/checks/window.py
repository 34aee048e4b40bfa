"""May a deployment start now, by the clock alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim

from fairlead.config.window import SpanSpec, WindowSpec
from fairlead.model import Finding

TARGET = 1800.0
"""Seconds that a deployment may take; a window that ends sooner is a warning."""
_STEPS = 200
"""So many spans are followed in search of the next moment that is open."""


class Stretch(NamedTuple):
    """One time that a span takes."""

    start: float
    """Unix time."""
    end: float
    span: SpanSpec


def check_window(environment: str, window: WindowSpec, now: float) -> Finding:
    """Is a deployment allowed to start at `now`, unix time in seconds; if not, when is it next."""
    frozen, opened = within(window.frozen, now, wide=True), within(window.open, now)
    if not frozen and (opened or not window.open):
        return _allowed(environment, window, opened, now)
    zone = frozen.span.zone if frozen else window.open[0].zone
    why = f": {frozen.span.why}" if frozen and frozen.span.why else ""
    says = f"frozen until {moment(frozen.end, zone)}{why}" if frozen else "outside of all deployment windows"
    following = next_open(window, now)
    then = f"the next window opens {moment(following, zone)}" if following is not None else "no window opens any more"
    return Finding(
        check="window",
        subject=environment,
        status="fail",
        says=f"{says}; {then}",
        hint="wait, or type: fairlead deploy --override window --reason TEXT",
        evidence={"now": now, "next": following},
    )


def _allowed(environment: str, window: WindowSpec, opened: Stretch | None, now: float) -> Finding:
    end = _end(window, opened, now)
    soon = end is not None and end - now < TARGET
    zone = opened.span.zone if opened else "UTC"
    says = f"open until {moment(end, zone)}" if end is not None else "no window is set, and nothing is frozen"
    return Finding(
        check="window",
        subject=environment,
        status="warn" if soon else "ok",
        says=says + f", and a deployment may take {TARGET / 60:.0f} min" * soon,
        hint="a deployment that has begun is carried to its end" if soon else "",
        evidence={"now": now, "until": end},
    )


def coming(window: WindowSpec, now: float) -> Stretch | None:
    """The window in which a deployment may start next, the one that is open now first; freezes are cut off."""
    at = next_open(window, now)
    opened = within(window.open, at) if at is not None else None
    if at is None or opened is None:
        return None
    frozen = [one.end for span in window.frozen if (one := _last(span, at, wide=True)) and one.end <= at]
    end = _end(window, opened, at)
    return Stretch(max([opened.start, *frozen]), opened.end if end is None else end, opened.span)


def _end(window: WindowSpec, opened: Stretch | None, at: float) -> float | None:
    """Until when a deployment may start, from a moment on at which it may; None = for ever."""
    ends = [opened.end] if opened else []
    ends += [freeze.start for span in window.frozen if (freeze := _following(span, at, wide=True))]
    return min(ends, default=None)


def within(spans: Iterable[SpanSpec], now: float, *, wide: bool = False) -> Stretch | None:
    """The stretch that `now` lies in; of several the one that ends last."""
    found = [stretch for span in spans if (stretch := _last(span, now, wide)) and stretch.start <= now < stretch.end]
    return max(found, key=lambda one: one.end, default=None)


def next_open(window: WindowSpec, now: float) -> float | None:
    """The next moment at which a deployment may start; None = none within reach."""
    at: float | None = now
    for _ in range(_STEPS):
        if at is None:
            return None
        if frozen := within(window.frozen, at, wide=True):
            at = frozen.end
        elif not window.open or within(window.open, at):
            return at
        else:
            starts = [stretch.start for span in window.open if (stretch := _following(span, at))]
            at = min(starts, default=None)
    return None


def _last(span: SpanSpec, now: float, wide: bool) -> Stretch | None:
    """The stretch that began last, up to `now` itself."""
    if not span.cron:
        return _once(span, wide)
    started = next(CronSim(span.cron, _local(span, now) + timedelta(minutes=1), reverse=True), None)
    return _lasting(span, started) if started else None


def _following(span: SpanSpec, now: float, *, wide: bool = False) -> Stretch | None:
    """The next stretch that begins after `now`."""
    if not span.cron:
        stretch = _once(span, wide)
        return stretch if stretch.start > now else None
    started = next(CronSim(span.cron, _local(span, now)), None)
    return _lasting(span, started) if started else None


def _local(span: SpanSpec, now: float) -> datetime:
    return datetime.fromtimestamp(now, ZoneInfo(span.zone)).replace(second=0, microsecond=0)


def _lasting(span: SpanSpec, started: datetime) -> Stretch:
    return Stretch(started.timestamp(), started.timestamp() + span.lasts, span)


def _once(span: SpanSpec, wide: bool) -> Stretch:
    """A time that clocks show twice, or not at all, is taken so that a freeze is long and a window short."""
    (start, later_start), (end, later_end) = _moments(span.start, span.zone), _moments(span.end, span.zone)
    return Stretch(start, later_end, span) if wide else Stretch(later_start, end, span)


def _moments(written: str, zone: str) -> tuple[float, float]:
    """The first and the last moment that a time on the clock can mean; almost always the same."""
    local = datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(zone))
    both = [local.replace(fold=fold).timestamp() for fold in (0, 1)]
    return min(both), max(both)


def moment(at: float, zone: str) -> str:
    """A unix time as clocks in a zone show it: `Sat 2026-11-21 14:00 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M %Z}"
