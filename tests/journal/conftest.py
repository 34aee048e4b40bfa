from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.account import ShellAccount, flavours, tools_without

BARE = "sh without flock and setsid"


@pytest.fixture(scope="session")
def bare_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tools_without(tmp_path_factory.mktemp("tools"), {"flock", "setsid"})


@pytest.fixture(params=flavours())
def account(request: pytest.FixtureRequest, tmp_path: Path, bare_path: str) -> ShellAccount:
    """An empty account, once with every shell and lock that this machine has."""
    home = tmp_path / "home"
    home.mkdir()
    return ShellAccount(home, request.param, bare_path if request.param == BARE else os.environ["PATH"])


@pytest.fixture
def plain(tmp_path: Path) -> ShellAccount:
    """An empty account with the machine's own sh."""
    home = tmp_path / "home"
    home.mkdir()
    return ShellAccount(home)
