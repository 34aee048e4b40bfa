"""A docroot that others live in too: whatever is deployed and taken back, nothing foreign is lost or changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.docroot import rounds


@pytest.mark.timeout(600)
def test_nothing_foreign_is_lost_or_changed(tmp_path: Path) -> None:
    wrong = [f"round {number}: {what}" for number, several in rounds(tmp_path, 10, seed=4711) for what in several]
    assert wrong == []
