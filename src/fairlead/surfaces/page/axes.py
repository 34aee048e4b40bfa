"""Time from left to right, and what every plot of a run shows in common."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import NamedTuple

from fairlead.model import Report, duration
from fairlead.surfaces.page.figures import Span, activation
from fairlead.surfaces.page.markup import number, tag
from fairlead.surfaces.page.words import clock, utc

WIDTH = 1080.0
"""Pixels; every drawing has this width."""
RIGHT = 1060.0
HEAD = 56.0
"""Height of the words above a plot."""
MOST_ROWS = 120
"""Rows that a drawing has at most; tables have all."""
MOST_POINTS = 12_000
"""Points that a drawing has at most, all rows together."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_CUT = 64.0
"""Width of a pause that is drawn shorter than it was."""


class Piece(NamedTuple):
    """A stretch of time and where it is drawn; a pause is drawn shorter than it was."""

    low: float
    high: float
    left: float
    right: float
    pause: bool = False


class Axis:
    """Where a moment is drawn."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces

    def x(self, at: float) -> float:
        """Pixels from the left; what lies outside is drawn at the edge."""
        piece = next((piece for piece in self.pieces if at <= piece.high), self.pieces[-1])
        share = (at - piece.low) / (piece.high - piece.low)
        return piece.left + min(max(share, 0.0), 1.0) * (piece.right - piece.left)

    def ticks(self) -> list[float]:
        """Round moments, about 110 pixels apart."""
        found: list[float] = []
        for low, high, left, right, pause in self.pieces:
            pixel = (high - low) / (right - left)
            step = next((step for step in _STEPS if step / pixel >= 110), _STEPS[-1])
            at = (low // step + 1) * step
            while at < high and not pause:
                if left + 25 < self.x(at) < right - 25:
                    found.append(at)
                at += step
        return found


def straight(span: Span, left: float) -> Axis:
    """Every second has the same width."""
    return Axis([Piece(*span, left, RIGHT)])


def folded(spans: Iterable[Span], left: float) -> Axis:
    """Pauses in which nothing was changed are folded, so that what was changed can be seen. Needs at least one span."""
    busy = _merged(spans)
    long = max(2.0, 0.1 * sum(high - low for low, high in busy))
    blocks = [list(busy[0])]
    for low, high in busy[1:]:
        if low - blocks[-1][1] > long:
            blocks.append([low, high])
        else:
            blocks[-1][1] = high
    for block in blocks:
        block[1] = max(block[1], block[0] + 0.05)
    pixels = (RIGHT - left - _CUT * (len(blocks) - 1)) / sum(high - low for low, high in blocks)
    return Axis(_pieces(blocks, left, pixels))


def _merged(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def _pieces(blocks: list[list[float]], left: float, pixels: float) -> list[Piece]:
    pieces: list[Piece] = []
    for low, high in blocks:
        if pieces:
            pieces.append(Piece(pieces[-1].high, low, left, left + _CUT, pause=True))
            left += _CUT
        pieces.append(Piece(low, high, left, left + (high - low) * pixels))
        left = pieces[-1].right
    return pieces


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> ET.Element:
    """A straight line; `kind` is its class in page.css."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def label(x: float, y: float, says: str, kind: str = "", anchor: str = "start") -> ET.Element:
    """Text in a drawing."""
    return tag("text", says, x=x, y=y, class_=kind or None, text_anchor=None if anchor == "start" else anchor)


def path(points: Iterable[tuple[float, float]]) -> str:
    """Path data through these pixels."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def short(says: str, most: int) -> str:
    """Text that fits; its whole is in the table beneath."""
    return says if len(says) <= most else f"{says[: most - 1].rstrip()}…"


def ground(axis: Axis, bottom: float) -> list[ET.Element]:
    """Grid and labels of the time axis, and its folded pauses."""
    drawn = []
    for at in axis.ticks():
        drawn += [line(axis.x(at), HEAD, axis.x(at), bottom, "grid")]
        drawn += [label(axis.x(at), bottom + 18, utc(at, "%H:%M:%S"), "small", "middle")]
    for low, high, left, right, pause in axis.pieces:
        if pause:
            drawn.append(tag("rect", x=left + 4, y=HEAD, width=right - left - 8, height=bottom - HEAD, class_="pause"))
            drawn.append(label((left + right) / 2, bottom + 18, f"+ {duration(high - low)}", "small", "middle"))
    return [*drawn, label(RIGHT, bottom + 36, "time of day, UTC", "small", "end")]


def marks(axis: Axis, report: Report, bottom: float) -> list[ET.Element]:
    """The span in which what is live was changed, and the moment at which the way back began."""
    drawn = []
    if active := activation(report.steps):
        left, right = axis.x(active[0]), axis.x(active[1])
        drawn.append(tag("rect", x=left, y=HEAD, width=max(right - left, 0.5), height=bottom - HEAD, class_="active"))
        drawn += [line(left, 24, left, bottom, "edge"), line(right, HEAD, right, bottom, "edge")]
        drawn.append(_flag(left, 18, "activation", "edge-label"))
    if report.deployment.back_at:
        x = axis.x(report.deployment.back_at)
        drawn += [line(x, 44, x, bottom, "turn"), _flag(x, 38, "way back begins", "turn-label")]
    return drawn


def _flag(x: float, y: float, says: str, kind: str) -> ET.Element:
    return label(x - 4, y, says, kind, "end") if x > RIGHT - 120 else label(x + 4, y, says, kind)


def told_marks(report: Report) -> str:
    """The marks in words, for those who read a drawing by its description."""
    active, back = activation(report.steps), report.deployment.back_at
    told = "No activation is on record."
    if active:
        told = f"Activation ran from {clock(active[0])} to {clock(active[1])} UTC."
    return told + (f" The way back began at {clock(back)} UTC." if back else "")
