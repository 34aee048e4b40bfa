from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.places import Place, place


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    async with place("local", tmp_path) as found:
        yield found


@pytest.fixture(params=["local", "ssh"])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with place(request.param, tmp_path) as found:
        yield found


OFTEN = {
    "test_a_number_is_given_out_once",
    "test_a_number_that_was_given_out_is_not_given_out_again",
    "test_clients_lose_no_row_and_see_no_mixture",
    "test_each_step_from_each_state_twice",
    "test_every_step_from_every_state_twice",
    "test_everything_becomes_what_it_was_and_what_was_live_is_kept",
    "test_no_number_is_given_out_twice",
    "test_probes_are_asked_about_several_databases_at_once",
    "test_readers_and_writers_see_no_wrong_answer",
    "test_readers_and_writers_see_one_release_or_the_other",
    "test_secrets_are_in_no_argument_and_no_answer",
    "test_the_backup_becomes_live_and_what_was_live_is_kept",
    "test_what_a_killed_run_wrote_beside_it_is_taken_back",
    "test_the_exact_ledger_is_the_truth",
    "test_the_ledger_equals_the_truth",
    "test_the_ledger_is_the_truth",
    "test_the_password_is_in_no_argument_environment_file_or_answer",
    "test_there_and_back_again_each_step_twice",
}
"""Rows of the swaps that every commit runs; all others are `long`."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Swaps take minutes; tests/faults/test_restore.py tries the whole way on each engine at every commit."""
    for item in items:
        name = getattr(item, "originalname", item.name)
        if item.path.name.endswith("_swap.py") and name not in OFTEN:
            item.add_marker(pytest.mark.long)
