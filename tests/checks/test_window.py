"""Windows and freezes, with the clock given: recurring and dated, in time zones, and where clocks are changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from fairlead.checks.window import check_window, coming, moment, next_open
from fairlead.config.window import WindowEntry, WindowSpec, window_spec

VIENNA = "Europe/Vienna"
SATURDAY = {"cron": "0 8 * * sat", "lasts": "6h", "zone": "UTC"}
NIGHTLY = {"cron": "0 1 * * *", "lasts": "4h", "zone": VIENNA}
AT_TWO = {"cron": "30 2 * * *", "lasts": "30m", "zone": VIENNA}
CHRISTMAS = {"start": "2026-12-19", "end": "2027-01-07T06:00", "zone": VIENNA, "why": "holidays"}
AUTUMN = {"start": "2026-10-25T02:30", "end": "2026-10-25T02:45", "zone": VIENNA}
"""A quarter of an hour that clocks show twice."""
SPRING = {"start": "2026-03-29T02:15", "end": "2026-03-29T02:45", "zone": VIENNA}
"""Half an hour that clocks never show."""


def window(*opened: dict[str, Any], frozen: tuple[dict[str, Any], ...] = ()) -> WindowSpec:
    return window_spec(WindowEntry.model_validate({"open": list(opened), "frozen": list(frozen)}))


def unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


ROWS: dict[str, tuple[WindowSpec, str, str, str]] = {
    # case: window, now, status, part of the sentence
    "no window": (window(), "2026-11-21T09:00+00:00", "ok", "no window is set"),
    "in the window": (window(SATURDAY), "2026-11-21T09:00+00:00", "ok", "open until Sat 2026-11-21 14:00 UTC"),
    "at its first moment": (window(SATURDAY), "2026-11-21T08:00+00:00", "ok", "open until"),
    "in its first minute": (window(SATURDAY), "2026-11-21T08:00:30+00:00", "ok", "open until"),
    "a moment before": (
        window(SATURDAY),
        "2026-11-21T07:59:59+00:00",
        "fail",
        "outside of all deployment windows; the next window opens Sat 2026-11-21 08:00 UTC",
    ),
    "in its last minute": (window(SATURDAY), "2026-11-21T13:59:59+00:00", "warn", "a deployment may take 30 min"),
    "at its end": (
        window(SATURDAY),
        "2026-11-21T14:00+00:00",
        "fail",
        "the next window opens Sat 2026-11-28 08:00 UTC",
    ),
    "on another day": (window(SATURDAY), "2026-11-22T09:00+00:00", "fail", "outside of all"),
    "in one of two": (window(SATURDAY, NIGHTLY), "2026-11-22T01:30+00:00", "ok", "open until Sun 2026-11-22 05:00 CET"),
    "after midnight in another zone": (window(NIGHTLY), "2026-11-21T00:30+00:00", "ok", "open until"),
    "across midnight": (
        window({"cron": "0 22 * * *", "lasts": "4h", "zone": VIENNA}),
        "2026-11-22T00:30+01:00",
        "ok",
        "02:00 CET",
    ),
    "on the last day of a month": (
        window({"cron": "0 8 L * *", "lasts": "1h"}),
        "2026-11-30T08:10+00:00",
        "ok",
        "open until",
    ),
    "on the first Monday": (
        window({"cron": "0 8 * * mon#1", "lasts": "1h"}),
        "2026-12-07T08:10+00:00",
        "ok",
        "open until",
    ),
    "frozen": (
        window(SATURDAY, frozen=(CHRISTMAS,)),
        "2026-12-26T09:00+00:00",
        "fail",
        "frozen until Thu 2027-01-07 06:00 CET: holidays; the next window opens Sat 2027-01-09 09:00 CET",
    ),
    "frozen without windows": (
        window(frozen=(CHRISTMAS,)),
        "2026-12-26T09:00+00:00",
        "fail",
        "the next window opens Thu 2027-01-07 06:00 CET",
    ),
    "a freeze begins soon": (
        window(frozen=(CHRISTMAS,)),
        "2026-12-18T22:50+00:00",
        "warn",
        "open until Fri 2026-12-18 23:00 UTC",
    ),
    "a freeze is over": (window(frozen=(CHRISTMAS,)), "2027-01-07T05:00+00:00", "ok", "nothing is frozen"),
    "frozen every week": (
        window(frozen=({"cron": "0 16 * * fri", "lasts": "62h", "zone": VIENNA},)),
        "2026-11-22T12:00+01:00",
        "fail",
        "frozen until Mon 2026-11-23 06:00 CET",
    ),
    "windows that are over": (
        window({"start": "2026-01-01", "end": "2026-01-02"}),
        "2026-11-21T09:00+00:00",
        "fail",
        "no window opens any more",
    ),
    "always frozen": (
        window(frozen=({"cron": "* * * * *", "lasts": "1h"},)),
        "2026-11-21T09:00+00:00",
        "fail",
        "no window opens any more",
    ),
    # Clocks go forward: 2026-03-29 02:00 CET is 03:00 CEST.
    "a window begins at a time that is left out": (window(AT_TWO), "2026-03-29T03:10+02:00", "warn", "03:30 CEST"),
    "... and not before": (window(AT_TWO), "2026-03-29T01:59+01:00", "fail", "Sun 2026-03-29 03:00 CEST"),
    "a window across the hour that is left out": (window(NIGHTLY), "2026-03-29T05:50+02:00", "warn", "06:00 CEST"),
    "a window that lies in the hour that is left out": (
        window(SPRING),
        "2026-03-29T03:00+02:00",
        "fail",
        "no window opens",
    ),
    "a freeze around the hour that is left out": (
        window(frozen=(SPRING,)),
        "2026-03-29T03:00+02:00",
        "fail",
        "frozen until",
    ),
    # Clocks go back: 2026-10-25 03:00 CEST is 02:00 CET.
    "a window begins at a time that comes twice": (window(AT_TWO), "2026-10-25T02:40+02:00", "warn", "02:00 CET"),
    "... and only the first time": (window(AT_TWO), "2026-10-25T02:40+01:00", "fail", "Mon 2026-10-26 02:30 CET"),
    "a window across the hour that comes twice": (window(NIGHTLY), "2026-10-25T03:50+01:00", "warn", "04:00 CET"),
    "a freeze of a time that comes twice, first": (
        window(frozen=(AUTUMN,)),
        "2026-10-25T02:35+02:00",
        "fail",
        "02:45 CET",
    ),
    "... between": (window(frozen=(AUTUMN,)), "2026-10-25T02:10+01:00", "fail", "02:45 CET"),
    "... second": (window(frozen=(AUTUMN,)), "2026-10-25T02:40+01:00", "fail", "02:45 CET"),
    "... over": (window(frozen=(AUTUMN,)), "2026-10-25T02:46+01:00", "ok", "nothing is frozen"),
    "a window of a time that comes twice is none": (window(AUTUMN), "2026-10-25T02:40+02:00", "fail", "outside"),
}


@pytest.mark.parametrize("row", ROWS)
def test_may_a_deployment_start(row: str) -> None:
    spec, now, status, says = ROWS[row]
    found = check_window("production", spec, unix(now))
    assert (found.status, says in found.says) == (status, True), found.says
    assert ("--override window" in found.hint) == (status == "fail")


def test_the_next_moment_is_really_open() -> None:
    spec = window(SATURDAY, NIGHTLY, frozen=(CHRISTMAS, AT_TWO))
    for hour in range(0, 24 * 120, 7):
        now = unix("2026-10-01T00:00+00:00") + hour * 3600
        following = next_open(spec, now)
        assert following is not None
        assert not check_window("production", spec, following).blocks
        assert (following == now) == (not check_window("production", spec, now).blocks)


LONG = {"start": "2026-11-21", "end": "2026-11-25", "zone": "UTC"}
COMING = {
    # case: window, now, from, until
    "the next": (window(SATURDAY), "2026-11-18T09:00+00:00", "Sat 2026-11-21 08:00 UTC", "Sat 2026-11-21 14:00 UTC"),
    "the one that is open": (
        window(SATURDAY),
        "2026-11-21T09:17+00:00",
        "Sat 2026-11-21 08:00 UTC",
        "Sat 2026-11-21 14:00 UTC",
    ),
    "up to a freeze": (
        window(LONG, frozen=({"start": "2026-11-22", "end": "2026-11-23"},)),
        "2026-11-20T09:00+00:00",
        "Sat 2026-11-21 00:00 UTC",
        "Sun 2026-11-22 00:00 UTC",
    ),
    "from a freeze on": (
        window(LONG, frozen=({"start": "2026-11-22", "end": "2026-11-23"},)),
        "2026-11-22T09:00+00:00",
        "Mon 2026-11-23 00:00 UTC",
        "Wed 2026-11-25 00:00 UTC",
    ),
    "after a freeze": (
        window(LONG, frozen=({"start": "2026-11-22", "end": "2026-11-23"},)),
        "2026-11-24T09:00+00:00",
        "Mon 2026-11-23 00:00 UTC",
        "Wed 2026-11-25 00:00 UTC",
    ),
}


@pytest.mark.parametrize("row", COMING)
def test_which_window_comes(row: str) -> None:
    spec, now, start, end = COMING[row]
    found = coming(spec, unix(now))
    assert found is not None
    assert (moment(found.start, "UTC"), moment(found.end, "UTC")) == (start, end)


@pytest.mark.parametrize(
    "spec", [window(), window(frozen=(CHRISTMAS,)), window(AUTUMN)], ids=["none", "frozen", "past"]
)
def test_no_window_comes(spec: WindowSpec) -> None:
    assert coming(spec, unix("2026-12-20T00:00+00:00")) is None
