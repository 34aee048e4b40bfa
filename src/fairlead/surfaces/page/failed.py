"""The share of failed requests of every service, over time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from fairlead.model import Report, duration
from fairlead.surfaces.page import figures
from fairlead.surfaces.page.axes import (
    HEAD,
    MOST_POINTS,
    MOST_ROWS,
    RIGHT,
    WIDTH,
    Axis,
    ground,
    label,
    line,
    marks,
    path,
    short,
    straight,
    told_marks,
)
from fairlead.surfaces.page.figures import Failures, Point
from fairlead.surfaces.page.markup import Node, figure, picture, table, tag
from fairlead.surfaces.page.words import (
    clock,
    percent,
)


def drawn_failed(report: Report) -> ET.Element:
    """The share of failed requests: a row a service, over the window that the watch judges by."""
    span, rules = figures.seen_span(report), report.deployment.watch_rules
    window = figures.window_of(report, span)
    counts = figures.failures(report, window)
    limit = rules.error_share if rules else None
    caption = _failed_caption(counts, window, limit) + f" {told_marks(report)}"
    rows = [one for one in counts if one.source][:MOST_ROWS]
    bottom = HEAD + 60 * len(rows)
    axis = straight(span, left=220.0)
    top_share = _top_share(rows, limit)
    drawn = [*ground(axis, bottom), *marks(axis, report, bottom)]
    for place, one in enumerate(rows):
        drawn += _share_row(axis, one, HEAD + 60 * place, (top_share, limit), max(8, MOST_POINTS // len(rows)))
    drawing = picture("failed", "Share of failed requests over time", caption, (WIDTH, bottom + 44), drawn)
    heads = ("Service", "Counted by", "Largest share", "At (UTC)", "Requests then", "Failed then")
    return figure(
        "failed requests", drawing, caption, table("Failed requests", heads, [_share_cells(one) for one in counts])
    )


def _failed_caption(counts: Sequence[Failures], window: float, limit: float | None) -> str:
    limited = "The limit is not known."
    if limit is not None:
        limited = f"While watching, more than {percent(limit)} starts the way back (dashed line)."
    sources = [
        f"{source}: {', '.join(one.service for one in counts if one.source == source)}"
        for source in ("access log", "probes")
        if any(one.source == source for one in counts)
    ]
    silent = [one.service for one in counts if not one.source]
    nobody = f" Nothing was counted for {', '.join(silent)}." if silent else ""
    over = f"Share over the last {duration(window)}, beginning anew after activation and with the way back."
    return f"{over} {limited} Counted by {'; '.join(sources)}.{nobody}"


def _top_share(rows: Iterable[Failures], limit: float | None) -> float:
    """The largest share that is drawn, rounded up."""
    worst = [one.worst.share or 0.0 for one in rows if one.worst]
    wanted = min(1.0, max([*worst, 2 * (limit or 0.0)]))
    return next(share for share in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0) if share >= wanted)


def _share_row(axis: Axis, one: Failures, top: float, scale: tuple[float, float | None], most: int) -> list[ET.Element]:
    highest, limit = scale
    worst = one.worst

    def y(share: float) -> float:
        return top + 52 - 40 * min(share / highest, 1.0)

    drawn = [label(0, top + 26, short(one.service, 24), "name")]
    drawn.append(
        label(0, top + 43, f"{one.source}, at most {percent(worst.share or 0.0)}" if worst else one.source, "small")
    )
    for share in (0.0, highest):
        drawn += [
            line(220, y(share), RIGHT, y(share), "grid"),
            label(212, y(share) + 4, percent(share), "small", "end"),
        ]
    for stretch in _shares(one):
        drawn += _stairs([(axis.x(at), y(share)) for at, share in figures.thinned(stretch, most)], y(0.0))
    if limit is not None:
        drawn.append(line(220, y(limit), RIGHT, y(limit), "limit"))
    return drawn


def _shares(one: Failures) -> list[list[Point]]:
    """Stretches of time in which requests were counted."""
    found: list[list[Point]] = [[]]
    for count in one.counted:
        if count.share is None and found[-1]:
            found.append([])
        elif count.share is not None:
            found[-1].append((count.at, count.share))
    return [stretch for stretch in found if stretch]


def _stairs(pixels: list[Point], ground_y: float) -> list[ET.Element]:
    """A share stands until the next one is counted."""
    if len(pixels) == 1:
        return [tag("circle", cx=pixels[0][0], cy=pixels[0][1], r=2.5, class_="dot share")]
    stairs = [pixels[0]]
    for x, y in pixels[1:]:
        stairs += [(x, stairs[-1][1]), (x, y)]
    area = [(stairs[0][0], ground_y), *stairs, (stairs[-1][0], ground_y)]
    return [tag("path", d=path(area) + "Z", class_="area"), tag("path", d=path(stairs), class_="line share")]


def _share_cells(one: Failures) -> tuple[Node, ...]:
    worst = one.worst
    if worst is None or worst.share is None:
        return one.service, one.source or "nobody", "not known", "–", "–", "–"
    return one.service, one.source, percent(worst.share), clock(worst.at), f"{worst.requests:,}", f"{worst.errors:,}"
