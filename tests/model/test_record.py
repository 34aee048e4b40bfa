"""What a run's record says of one step: the left column of the runner's table."""

from __future__ import annotations

import pytest

from fairlead.model import Entry, RecordLine, StepFact, step_fact

ENTRIES = {
    "do": Entry(kind="intent", step="s", what="do"),
    "undo": Entry(kind="intent", step="s", what="undo"),
    "did": Entry(kind="outcome", step="s", what="do", rc=0),
    "failed": Entry(kind="outcome", step="s", what="do", rc=1),
    "undid": Entry(kind="outcome", step="s", what="undo", rc=0),
    "undid badly": Entry(kind="outcome", step="s", what="undo", rc=1),
    "seen": Entry(kind="outcome", step="s", what="seen", probe="after"),
    "found": Entry(kind="outcome", step="s", what="found", probe="after"),
    "undone": Entry(kind="outcome", step="s", what="undone", probe="before"),
    "left": Entry(kind="outcome", step="s", what="left"),
    "other": Entry(kind="intent", step="t", what="do"),
    "run": Entry(kind="run", plan="p"),
    "taken": Entry(kind="taken"),
}


@pytest.mark.parametrize(
    ("told", "state", "attempts", "undos"),
    [
        ("", "none", 0, 0),
        ("run taken other", "none", 0, 0),
        ("do", "begun", 1, 0),
        ("do taken", "begun", 1, 0),
        ("do did", "done", 1, 0),
        ("do failed", "failed", 1, 0),
        ("do seen", "done", 1, 0),
        ("found", "found", 0, 0),
        ("do taken do", "begun", 2, 0),
        ("do taken do did", "done", 2, 0),
        ("do undo", "begun_undo", 1, 1),
        ("do did undo undid", "begun_undo", 1, 1),
        ("do did undo undid badly", "begun_undo", 1, 1),
        ("do did undo undid undone", "undone", 1, 1),
        ("do undone", "undone", 1, 0),
        ("do did undo taken undo", "begun_undo", 1, 2),
        ("do undo undid do", "begun", 2, 1),
        ("do undo undid do did", "done", 2, 1),
        ("do did left", "left", 1, 0),
    ],
)
def test_facts(told: str, state: str, attempts: int, undos: int) -> None:
    words = told.replace("undid badly", "undid_badly").split()
    entries = [ENTRIES[word.replace("_", " ")] for word in words]
    lines = [RecordLine(seq=number, token=7, entry=entry) for number, entry in enumerate(entries, 1)]
    wanted = StepFact.model_validate({"state": state, "attempts": attempts, "undo_attempts": undos})
    assert step_fact(lines, "s") == wanted
    assert step_fact(tuple(lines), "s") == wanted
