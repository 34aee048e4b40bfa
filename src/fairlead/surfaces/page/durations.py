"""How long a run took, drawn against its targets."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from fairlead.model import Report, duration
from fairlead.surfaces.page import figures
from fairlead.surfaces.page.axes import (
    RIGHT,
    WIDTH,
    label,
    line,
)
from fairlead.surfaces.page.markup import figure, picture, table, tag
from fairlead.surfaces.page.words import (
    BACK_TARGET,
    DEPLOY_TARGET,
    total_seconds,
)


def drawn_durations(report: Report) -> ET.Element:
    """The whole run against its target and, when it came back, the way back against its own."""
    run, live = report.deployment, figures.live_seconds(report)
    rows = [("The whole run", total_seconds(run), DEPLOY_TARGET, live)]
    if run.back_at:
        rows.append(("The way back", run.back_seconds or None, BACK_TARGET, None))
    told = [(title, _took(took), duration(target), _rated(took, target, part)) for title, took, target, part in rows]
    drawn: list[ET.Element] = []
    for place, ((title, took, target, part), said) in enumerate(zip(rows, told, strict=True)):
        top = 12 + place * 64
        drawn += [label(0, top + 16, title, "name"), label(0, top + 34, said[1], "small")]
        drawn += _bar(top, took, target, part)
    says = " ".join(f"{title}: {took}, target {target}: {rated}." for title, took, target, rated in told)
    drawing = picture("durations", "Durations against their targets", says, (WIDTH, 12 + 64 * len(rows)), drawn)
    return figure("durations", drawing, says, table("Durations", ("What", "Took", "Target", "Result"), told))


def _took(seconds: float | None) -> str:
    return "no recorded end" if seconds is None else duration(seconds)


def _rated(took: float | None, target: float, live: float | None) -> str:
    if took is None:
        return "cannot be judged"
    if took <= target:
        return "within its target"
    if live is not None and live <= target:
        return f"live after {duration(live)}, within its target; the rest was watching and tidying"
    return f"{duration(took - target)} over its target"


def _bar(top: float, took: float | None, target: float, live: float | None) -> list[ET.Element]:
    """A bar, darker until everything was live, and a line at the target."""
    left = 190.0
    pixels = (RIGHT - left - 90) / max(took or 0.0, target)
    limit = left + target * pixels
    drawn = [tag("rect", x=left, y=top, width=limit - left, height=24, rx=3, class_="trough")]
    if took is not None:
        judged = took if live is None else min(live, took)
        kind = "good" if judged <= target else "bad"
        drawn.append(tag("rect", x=left, y=top, width=max(took * pixels, 2), height=24, rx=3, class_="rest"))
        drawn.append(tag("rect", x=left, y=top, width=max(judged * pixels, 2), height=24, rx=3, class_=kind))
    drawn.append(line(limit, top - 5, limit, top + 29, "limit"))
    return [
        *drawn,
        label(limit, top + 44, f"target {duration(target)}", "small", "end" if took and took > target else "middle"),
    ]
