"""What to do with a step, from what the record says of it and what its probe sees. The whole decision is this table."""

from __future__ import annotations

from typing import Literal

from fairlead.model import StepFact, Where

Move = Literal["do", "next", "found", "seen", "undo_then_do", "undo", "undone", "back", "halt"]

ATTEMPTS = 3
"""A change that was begun so often and never ended is not begun again."""

_ROW = tuple[Move, Move, Move, Move]
_SEES: tuple[Where, ...] = ("before", "after", "between", "cannot_tell")

FORWARD: dict[str, _ROW] = {
    #              before   after    between         cannot_tell
    "none": ("do", "found", "halt", "back"),
    "begun": ("do", "seen", "undo_then_do", "halt"),
    "done": ("halt", "next", "halt", "halt"),
    "failed": ("back", "back", "back", "halt"),
    "found": ("halt", "next", "halt", "halt"),
    "begun_undo": ("do", "undo_then_do", "undo_then_do", "halt"),
    "undone": ("do", "halt", "halt", "halt"),
}
BACKWARD: dict[str, _ROW] = {
    "none": ("next", "next", "halt", "next"),
    "found": ("next", "next", "halt", "next"),
    "undone": ("next", "next", "halt", "halt"),
    "left": ("next", "next", "next", "next"),
    "begun": ("undone", "undo", "undo", "halt"),
    "done": ("undone", "undo", "undo", "halt"),
    "failed": ("undone", "undo", "undo", "halt"),
    "begun_undo": ("undone", "undo", "undo", "halt"),
}


def move(fact: StepFact, sees: Where, going: Literal["forward", "back"]) -> Move:
    """Look the next move up. Too many attempts turn forward into back, and back into halt."""
    row = (FORWARD if going == "forward" else BACKWARD)[fact.state]
    found = row[_SEES.index(sees)]
    if found in ("do", "undo_then_do") and fact.attempts >= ATTEMPTS:
        return "back"
    if found in ("undo", "undo_then_do") and fact.undo_attempts >= ATTEMPTS:
        return "halt"
    return found
