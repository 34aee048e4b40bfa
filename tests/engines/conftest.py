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
