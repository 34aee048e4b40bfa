# ruff: noqa: E501 - values side by side
"""Secrets that are there, are missing, or only keep a place; nothing of a value is ever told."""

from __future__ import annotations

import pytest

from fairlead.checks.secrets import check_secrets, is_placeholder
from fairlead.config.source import DotenvSource
from fairlead.outside.secrets import Secrets

PLACEHOLDERS = (
    "changeme", "CHANGE_ME", "change-me-please", "replace this", "set_me", "xxx", "XXXXXXXX", "********", "...", "------",
    "<password>", "<your token>", "${DB_PASSWORD}", "{{ password }}", "%PASSWORD%", "$PASSWORD", "[secret]", "__TOKEN__",
    "password", "Passwort", "secret", "token", "your-password", "your-token-here", "my_secret", "YOUR_API_KEY", "api-key",
    "todo", "TODO: ask Anna", "tbd", "FIXME", "n/a", "none", "null", "example", "example-token", "dummy", "dummy_key",
    "placeholder", "db-changeme", "123456", "admin", "abc123", "ab", '"changeme"', " changeme\n",
)  # fmt: skip
REAL = (
    "correct horse battery staple", "tr0ub4dor&3", "s3cr3t-token-9f2", "hunter2hunter2", "xK9#mP2$vL", "changed-2026-Rose",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", "~/.ssh/id_ed25519", "passwordless-9", "todos-los-dias-7", "{a:b}!x", "<9#>",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[x](y)#2", "mysecretgarden1911", "Null-Bock-2026", "%d%m%Y%H!",
)  # fmt: skip


@pytest.mark.parametrize("value", PLACEHOLDERS)
def test_what_only_keeps_a_place(value: str) -> None:
    assert is_placeholder(value)


@pytest.mark.parametrize("value", REAL)
def test_what_can_be_a_secret(value: str) -> None:
    assert not is_placeholder(value)


ROWS = {
    "all there": ({"A": "tr0ub4dor&3", "B": "hunter2hunter2"}, "ok", "2/2 are there", ""),
    "one missing": ({"A": "tr0ub4dor&3"}, "fail", "missing: B", "put it where `sources` looks: B"),
    "one empty": ({"A": "tr0ub4dor&3", "B": ""}, "fail", "missing: B", "put it where `sources` looks: B"),
    "a placeholder": (
        {"A": "changeme-planted", "B": "hunter2hunter2"},
        "fail",
        "no more than a placeholder: A",
        "give A its real value",
    ),
    "both": (
        {"A": "changeme-planted"},
        "fail",
        "missing: B; no more than a placeholder: A",
        "put it where `sources` looks: B",
    ),
}


@pytest.mark.parametrize("row", ROWS)
async def test_what_is_said(row: str) -> None:
    values, status, says, hint = ROWS[row]
    found = await check_secrets(["A", "B", "A"], Secrets(environ=values), "production")
    assert (found.status, found.says, found.hint) == (status, says, hint)
    assert not any(value and value in found.to_json() for value in values.values())


async def test_a_source_that_cannot_be_read_is_no_yes(tmp_path: object) -> None:
    secrets = Secrets((DotenvSource(path="/proc/self/mem"),), environ={})
    assert (await check_secrets(["A"], secrets, "production")).status == "unknown"
