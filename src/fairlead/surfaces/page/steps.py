"""Every change of a run as a bar over time: what ran in parallel, and what was taken back."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from fairlead.model import Report, StepTime, duration
from fairlead.surfaces.page.axes import (
    HEAD,
    MOST_ROWS,
    RIGHT,
    WIDTH,
    Axis,
    folded,
    ground,
    label,
    marks,
    short,
    told_marks,
)
from fairlead.surfaces.page.markup import Node, figure, picture, table, tag
from fairlead.surfaces.page.words import (
    clock,
    names,
    several,
)


def drawn_steps(report: Report) -> ET.Element:
    """A row a step, a bar each time it was done or undone: what stands below one another ran at the same time."""
    shown = list(dict.fromkeys(step.step for step in report.steps))[:MOST_ROWS]
    bars = [step for step in report.steps if step.step in shown]
    turn = [(at, at) for at in (report.deployment.back_at,) if at]
    axis = folded([*((step.started, step.started + step.seconds) for step in bars), *turn], left=300.0)
    bottom = HEAD + 22 * len(shown) + 6
    drawn = [*ground(axis, bottom), *marks(axis, report, bottom)]
    for place, name in enumerate(shown):
        mine = [step for step in bars if step.step == name]
        drawn.append(label(0, HEAD + 22 * place + 17.5, short(mine[0].title, 42)))
        drawn += [node for step in mine for node in _step_bar(axis, step, HEAD + 22 * place + 6)]
    left_out = len({step.step for step in report.steps}) - len(shown)
    caption = f"{_counted_steps(report.steps)} {told_marks(report)}" + (
        f" The first {len(shown)} steps are drawn, {left_out} more are in the table." if left_out else ""
    )
    drawing = picture(
        "steps", "Every change, and when it ran", caption, (WIDTH, bottom + 44), [_hatch("steps"), *drawn]
    )
    heads = ("Began (UTC)", "Step", "Service", "Phase", "What", "Took", "Exit code")
    rows = [_step_row(step) for step in report.steps]
    return tag("div", _legend(report.steps), figure("steps", drawing, caption, table("Steps", heads, rows)))


def _counted_steps(all_steps: Sequence[StepTime]) -> str:
    undone = sum(step.what == "undo" for step in all_steps)
    failed = sum(step.rc != 0 for step in all_steps)
    told = [f"{several(len(all_steps) - undone, 'change was', 'changes were')} made"]
    told += [f"{several(undone, 'was', 'were')} taken back"] if undone else []
    told += [f"{several(failed, 'attempt')} failed"] if failed else []
    return f"{names(told)}."


def _kind(step: StepTime) -> str:
    return "undo" if step.what == "undo" else step.phase or "activate"


def _step_bar(axis: Axis, step: StepTime, y: float) -> list[ET.Element]:
    left, right = axis.x(step.started), axis.x(step.started + step.seconds)
    width = max(right - left, 3.0)
    told = duration(step.seconds) + (f", failed with exit code {step.rc}" if step.rc else "")
    kind = f"bar {_kind(step)}{' failed' if step.rc else ''}"
    title = tag("title", f"{'undo ' if step.what == 'undo' else ''}{step.title}: {told}")
    drawn = [tag("rect", title, x=left, y=y, width=width, height=14, rx=2, class_=kind)]
    if step.what == "undo":
        drawn.append(tag("rect", x=left, y=y, width=width, height=14, rx=2, fill="url(#steps-hatch)"))
    fits = left + width + 7 * len(told) < RIGHT
    kind = "small bad-label" if step.rc else "small"
    return [*drawn, label(left + width + 5, y + 11, told, kind) if fits else label(left - 5, y + 11, told, kind, "end")]


def _hatch(name: str) -> ET.Element:
    stripe = tag("path", d="M-1 7L7 -1M-1 1L1 -1M5 7L7 5", class_="hatch")
    return tag("defs", tag("pattern", stripe, id=f"{name}-hatch", width=6, height=6, patternUnits="userSpaceOnUse"))


def _legend(all_steps: Iterable[StepTime]) -> ET.Element:
    words = {
        "stage": "staged, nothing live is changed",
        "activate": "done to what is live",
        "close": "tidied after the watch",
        "undo": "taken back",
    }
    used = {_kind(step) for step in all_steps}
    keys = [tag("li", tag("span", class_=f"key {kind}"), says) for kind, says in words.items() if kind in used]
    return tag("ul", keys, class_="legend")


def _step_row(step: StepTime) -> tuple[Node, ...]:
    what = "taken back" if step.what == "undo" else "done"
    phase = step.phase or "not known"
    return clock(step.started), step.title, step.service or "–", phase, what, duration(step.seconds), str(step.rc)
