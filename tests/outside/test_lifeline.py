"""The wrapper in every shell that may be called `sh` somewhere."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from fairlead.model import Account, shell
from fairlead.outside.local import LocalHost
from support.processes import alive, pid_in, until

NEEDED = ("base64", "cat", "env", "head", "perl", "sleep", "wc")
SHELLS = {"dash": "dash", "bash": "bash", "busybox ash": "busybox", "dash without setsid": "dash"}


@pytest.fixture(params=[name for name, program in SHELLS.items() if shutil.which(program)])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHost:
    tools, home = tmp_path / "tools", tmp_path / "home"
    tools.mkdir()
    home.mkdir()
    (tools / "sh").symlink_to(str(shutil.which(SHELLS[request.param])))
    for tool in (*NEEDED, *(() if "without" in request.param else ("setsid",))):
        (tools / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", str(tools))
    return LocalHost(Account(name="here", kind="local", home=str(home)))


async def test_answers(host: LocalHost) -> None:
    result = await host.run(shell("cat; echo err >&2; exit 7"), stdin=b"a\0b\n")
    assert (result.code, result.stdout, result.stderr) == (7, "a\0b\n", "err\n")


async def test_a_signal_is_not_talked_about(host: LocalHost) -> None:
    result = await host.run(shell("kill -TERM $$"))
    assert (result.code, result.stdout, result.stderr) == (143, "", "")


async def test_no_variable_of_ours_is_seen(host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    result = await host.run(shell("env; set"), stdin=b"sentinel")
    assert "sentinel" not in result.stdout and "c2VudGluZWw" not in result.stdout


@pytest.mark.parametrize(
    "script", ["exec sleep 300", "trap '' TERM; while :; do sleep 1; done"], ids=["plain", "stubborn"]
)
async def test_ends_with_the_one_who_asked(host: LocalHost, script: str) -> None:
    task = asyncio.create_task(host.run(shell(f"echo $$ >pid; {script}", timeout=300)))
    pid = await pid_in(Path(host.account.home) / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await until(lambda: not alive(pid), 4)
