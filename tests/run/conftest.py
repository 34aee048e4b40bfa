from __future__ import annotations

import pytest

from fairlead.run import runner


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Services of these tests are well at once or never."""
    monkeypatch.setattr(runner, "PROOF_PATIENCE", 0.05)
    monkeypatch.setattr(runner, "PROOF_PAUSE", 0.02)
