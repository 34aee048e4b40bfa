from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairlead.outside import environment


def test_commands_get_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DB_PASS", "SSH_PRIVATE_KEY", "LC_TIME", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "x")
    plain, login = environment.plain_environment(home="/h"), environment.login_environment()
    assert plain["HOME"] == "/h" and plain["PATH"] and plain["LC_TIME"] == "x" and "SSH_AUTH_SOCK" not in plain
    assert login["SSH_AUTH_SOCK"] == "x" and not {"DB_PASS", "SSH_PRIVATE_KEY"} & (plain.keys() | login.keys())
    build = environment.build_environment(without={"DB_PASS"})
    assert "DB_PASS" not in build and build["SSH_PRIVATE_KEY"] == "x"


def test_who_is_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "Jörg Müller\n")
    assert re.fullmatch(r"J_rg_M_ller_@[A-Za-z0-9._@+-]+", environment.who())


def test_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/h")
    folders = environment.folders()
    assert (folders.cache, folders.state) == (Path("/c/fairlead"), Path("/h/.local/state/fairlead"))
