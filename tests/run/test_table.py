"""The whole decision: what the record says of a step, what its probe sees, which way the run goes -> the next move."""

from __future__ import annotations

from typing import get_args

import pytest

from fairlead.model import StepFact, Where
from fairlead.run.table import ATTEMPTS, BACKWARD, FORWARD, move

SEES: tuple[Where, ...] = get_args(Where)

# record says ... -> what to do when the probe sees: before, after, between, cannot_tell
FORWARD_ROWS = {
    "none": "do found halt back",
    "begun": "do seen undo_then_do halt",
    "done": "halt next halt halt",
    "failed": "back back back halt",
    "found": "halt next halt halt",
    "begun_undo": "do undo_then_do undo_then_do halt",
    "undone": "do halt halt halt",
}
BACKWARD_ROWS = {
    "none": "next next halt next",
    "found": "next next halt next",
    "undone": "next next halt halt",
    "begun": "undone undo undo halt",
    "done": "undone undo undo halt",
    "failed": "undone undo undo halt",
    "begun_undo": "undone undo undo halt",
    "left": "next next next next",
}


def rows(table: dict[str, str]) -> list[object]:
    return [
        pytest.param(state, sees, wanted, id=f"{state}, the host says {sees}")
        for state, moves in table.items()
        for sees, wanted in zip(SEES, moves.split(), strict=True)
    ]


@pytest.mark.parametrize(("state", "sees", "wanted"), rows(FORWARD_ROWS))
def test_going_forward(state: str, sees: Where, wanted: str) -> None:
    assert move(StepFact.model_validate({"state": state, "attempts": 1}), sees, "forward") == wanted


@pytest.mark.parametrize(("state", "sees", "wanted"), rows(BACKWARD_ROWS))
def test_going_back(state: str, sees: Where, wanted: str) -> None:
    assert move(StepFact.model_validate({"state": state, "attempts": 1}), sees, "back") == wanted


def test_no_row_is_there_that_is_not_tested() -> None:
    assert (FORWARD.keys(), BACKWARD.keys()) == (FORWARD_ROWS.keys(), BACKWARD_ROWS.keys())


@pytest.mark.parametrize(
    ("state", "attempts", "undos", "sees", "going", "wanted"),
    [
        pytest.param("begun", ATTEMPTS - 1, 0, "before", "forward", "do", id="the last attempt is made"),
        pytest.param("begun", ATTEMPTS, 0, "before", "forward", "back", id="no further attempt: way back"),
        pytest.param("begun", ATTEMPTS, 0, "between", "forward", "back", id="no further attempt from between either"),
        pytest.param("begun", ATTEMPTS, 0, "after", "forward", "seen", id="the last attempt did succeed"),
        pytest.param("begun", ATTEMPTS, 0, "cannot_tell", "forward", "halt", id="not known stays not known"),
        pytest.param("begun", 1, ATTEMPTS, "between", "forward", "halt", id="it could not be undone so often: halt"),
        pytest.param("begun_undo", 1, ATTEMPTS - 1, "after", "back", "undo", id="the last undo is made"),
        pytest.param("begun_undo", 1, ATTEMPTS, "after", "back", "halt", id="no further undo: halt"),
        pytest.param("begun_undo", 1, ATTEMPTS, "before", "back", "undone", id="the last undo did succeed"),
        pytest.param("done", ATTEMPTS, 0, "after", "back", "undo", id="many attempts to do are no reason not to undo"),
    ],
)
def test_attempts_end(state: str, attempts: int, undos: int, sees: Where, going: str, wanted: str) -> None:
    fact = StepFact.model_validate({"state": state, "attempts": attempts, "undo_attempts": undos})
    assert move(fact, sees, going) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("state", sorted(FORWARD_ROWS))
def test_what_cannot_be_told_is_never_taken_for_an_answer(state: str) -> None:
    """What was never begun is not begun then, and there is nothing of it to take back."""
    fact = StepFact.model_validate({"state": state})
    ways = [move(fact, "cannot_tell", going) for going in ("forward", "back")]  # type: ignore[arg-type]
    assert ways == {"none": ["back", "next"], "found": ["halt", "next"]}.get(state, ["halt", "halt"])


def test_what_was_found_is_never_undone() -> None:
    assert {move(StepFact(state="found"), sees, "back") for sees in SEES} <= {"next", "halt"}
