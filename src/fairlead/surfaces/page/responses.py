"""How long every service took to answer, over time."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from fairlead.model import Report, Sample, duration
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
from fairlead.surfaces.page.figures import Point, Span
from fairlead.surfaces.page.markup import Node, figure, number, picture, table, tag
from fairlead.surfaces.page.words import (
    clock,
    millis,
    several,
    utc,
)

SLICES = 12
"""Stretches of time in the table under the drawing."""


def drawn_responses(report: Report) -> ET.Element:
    """How long every look at every service took: a row a service, all on one logarithmic scale."""
    looks = figures.by_service(report.samples)
    rows = list(looks)[:MOST_ROWS]
    axis, high = straight(figures.seen_span(report), left=220.0), HEAD + 68 * len(rows)
    scale = _scale(sample.ms for sample in report.samples if sample.ok)
    drawn = [*ground(axis, high), *marks(axis, report, high)]
    most = max(8, MOST_POINTS // len(rows))
    for place, service in enumerate(rows):
        top = HEAD + 68 * place
        drawn += [label(0, top + 30, short(service, 24), "name"), label(0, top + 47, _typical(looks[service]), "small")]
        drawn += [
            *_scale_lines(scale, top),
            *_looks(axis, looks[service], scale, top, (most, figures.quiet_after(report))),
        ]
    caption = (
        f"{several(len(report.samples), 'look')} at {several(len(looks), 'service')}; the scale is logarithmic and the "
        "same for all. × is a look that failed, ◇ one that could not tell; a line is broken where nobody looked. "
        + told_marks(report)
    )
    drawing = picture("responses", "Response time of every service over time", caption, (WIDTH, high + 44), drawn)
    return figure("response times", drawing, caption, _looks_table(looks), _slices_table(report, looks))


def _typical(samples: Iterable[Sample]) -> str:
    middle = figures.quantile((sample.ms for sample in samples if sample.ok), 0.5)
    return "never answered rightly" if middle is None else f"median {millis(middle)}"


def _scale(times: Iterable[float]) -> Span:
    """Round milliseconds around every time, at least tenfold; times under 0.1 ms are drawn as 0.1 ms."""
    known = [max(ms, 0.1) for ms in times] or [1.0]
    low = max(ms for ms in _round(min(known)) if ms <= min(known))
    return low, min(ms for ms in _round(max(*known, 10 * low)) if ms >= max(*known, 10 * low))


def _round(ms: float) -> list[float]:
    """1, 2 and 5 times the powers of ten beside it, with the next one above."""
    power = math.floor(math.log10(ms))
    return [round(digit * 10.0**power, 9) for digit in (0.5, 1, 2, 5, 10, 20)]


def _height(ms: float, scale: Span, top: float) -> float:
    share = math.log(max(ms, 0.1) / scale[0]) / math.log(scale[1] / scale[0])
    return top + 58 - 46 * min(max(share, 0.0), 1.0)


def _scale_lines(scale: Span, top: float) -> list[ET.Element]:
    drawn = []
    for ms in scale:
        y = _height(ms, scale, top)
        told = f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms"
        drawn += [line(220, y, RIGHT, y, "grid"), label(212, y + 4, told, "small", "end")]
    powers = range(math.floor(math.log10(scale[0])) + 1, math.ceil(math.log10(scale[1])))
    heights = [_height(10.0**power, scale, top) for power in powers]
    return [*drawn, *(line(220, y, RIGHT, y, "grid") for y in heights)]


def _looks(
    axis: Axis, samples: Sequence[Sample], scale: Span, top: float, limits: tuple[int, float]
) -> list[ET.Element]:
    """One service's line, its dots where a look stands alone, its crosses and its diamonds."""
    most, quiet = limits
    lines: list[list[Point]] = []
    dots: list[list[Point]] = []
    for stretch in _stretches(samples, quiet):
        share = max(4, most * len(stretch) // len(samples))
        pixels = [(axis.x(at), _height(ms, scale, top)) for at, ms in figures.thinned(stretch, share)]
        (lines if len(pixels) > 1 else dots).append(pixels)
    drawn = [tag("path", d="".join(path(pixels) for pixels in lines), class_="line")] if lines else []
    drawn += [tag("circle", cx=x, cy=y, r=2.5, class_="dot") for [(x, y)] in _apart(dots)]
    for ok, sign, kind in ((False, "m-3-3l6 6m0-6l-6 6", "cross"), (None, "m0-4l4 4l-4 4l-4-4z", "diamond")):
        xs = dict.fromkeys(round(axis.x(sample.at) / 3) * 3 for sample in samples if sample.ok is ok)
        if xs:
            drawn.append(tag("path", d="".join(f"M{x} {number(top + 12)}{sign}" for x in xs), class_=kind))
    return drawn


def _stretches(samples: Sequence[Sample], quiet: float) -> list[list[Point]]:
    """Good looks without a bad one or a long silence between them."""
    found: list[list[Point]] = []
    whole, last = False, -math.inf
    for sample in samples:
        if sample.ok:
            if not whole or sample.at - last > quiet:
                found.append([])
            found[-1].append((sample.at, sample.ms))
        whole, last = bool(sample.ok), sample.at
    return found


def _apart(dots: Iterable[list[Point]]) -> list[list[Point]]:
    """Dots that would be drawn over each other, once."""
    return list({(round(x), round(y)): [(x, y)] for [(x, y)] in dots}.values())


def _looks_table(looks: dict[str, list[Sample]]) -> ET.Element:
    heads = ("Service", "Looks", "Good", "Failed", "Could not tell", "Median", "95% within", "Slowest", "Last failure")
    return table("Looks at every service", heads, [_looks_row(name, samples) for name, samples in looks.items()])


def _looks_row(service: str, samples: Sequence[Sample]) -> tuple[Node, ...]:
    good = [sample.ms for sample in samples if sample.ok]
    failed = [sample for sample in samples if sample.ok is False]
    figured = (figures.quantile(good, share) for share in (0.5, 0.95, 1.0))
    counts = (len(samples), len(good), len(failed), len(samples) - len(good) - len(failed))
    last = f"{clock(failed[-1].at)} {failed[-1].says}" if failed else "none"
    return (
        service,
        *(f"{n:,}" for n in counts),
        *("–" if ms is None else millis(ms) for ms in figured),
        short(last, 300),
    )


def _slices_table(report: Report, looks: dict[str, list[Sample]]) -> ET.Element:
    low, high = figures.seen_span(report)
    width = (high - low) / SLICES
    rows = [
        (utc(low + place * width, "%H:%M:%S"), *(_slice(samples, low, width, place) for samples in looks.values()))
        for place in range(SLICES)
    ]
    return table(f"Slowest good look in every {duration(width)}", ("From (UTC)", *looks), rows)


def _slice(samples: Iterable[Sample], low: float, width: float, place: int) -> str:
    mine = [sample for sample in samples if min(int((sample.at - low) / width), SLICES - 1) == place]
    slowest = figures.quantile((sample.ms for sample in mine if sample.ok), 1.0)
    failed = sum(sample.ok is False for sample in mine)
    told = ([millis(slowest)] if slowest is not None else []) + ([f"{failed} failed"] if failed else [])
    return ", ".join(told) or ("could not tell" if mine else "no look")
