from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from fairlead.errors import NotReady
from fairlead.outside.process import Listening, Saying, converse, start
from fairlead.outside.program import run_program
from support.processes import mentioning, until

ENV = {"PATH": "/usr/bin:/bin", "WORD": "given"}

THREADS = """
import asyncio, threading
from fairlead.outside.process import run_async, start

async def main():
    children = [await start(("sleep", "30")) for _ in range(20)]
    print(threading.active_count())
    for child in children:
        await child.end(patience=0)
    print({child.code for child in children})

run_async(main())
"""


def test_children_cost_no_threads() -> None:
    done = subprocess.run([sys.executable, "-X", "dev", "-c", THREADS], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n{-15}\n", "")


UNSEEN = """
import os, signal
from fairlead.outside import process

async def not_heard_of(event, within, real=process.happens):
    if within == 7:  # it ends now, and the loop has no time to notice
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        return False
    return await real(event, within)

async def main():
    global child
    child = await process.start(("sh", "-c", "trap '' TERM; sleep 30"))
    process.happens = not_heard_of
    await child.end(patience=7)
    print(child.code)

process.run_async(main())
"""


def test_what_has_ended_unseen_keeps_its_exit_code() -> None:
    """255 would be taken for a connection that broke, and the loop complains on the terminal."""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", UNSEEN], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("-9\n", "")


async def test_a_cancellation_in_the_moment_of_the_end_is_not_lost() -> None:
    child = await start(("sleep", "30"), Listening())
    talking = asyncio.create_task(converse(child, Saying(), timeout=20, patience=0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    child.complete.set()
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talking


async def test_a_program_of_the_user(tmp_path: Path) -> None:
    result = await run_program(("sh", "-c", 'pwd; echo "$WORD"; cat; exit 4'), folder=tmp_path, env=ENV, stdin=b"in")
    assert (result.code, result.stdout) == (4, f"{tmp_path}\ngiven\nin")


async def test_the_end_of_a_long_output_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.outside.lifeline.LIMIT", 100_000)
    script = ("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; echo end")
    result = await run_program(script, folder=tmp_path, env=ENV, keep_end=True)
    assert result.ok and result.stdout.endswith("xend\n") and len(result.stdout) < 300_000
    with pytest.raises(NotReady, match="printed more than"):
        await run_program(script, folder=tmp_path, env=ENV)


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    assert (await run_program(("no-such-program",), folder=tmp_path, env=ENV)).code == 127
    assert (await run_program(("true",), folder=tmp_path / "gone", env=ENV)).code == 126


async def test_a_program_whose_shell_is_killed(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="`sh` was ended from outside"):
        await run_program(("sh", "-c", "kill -KILL $PPID; sleep 30"), folder=tmp_path, env=ENV)


async def test_a_program_s_arguments_can_be_too_long(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="`echo` cannot be started"):
        await run_program(("echo", "x" * 200_000), folder=tmp_path, env=ENV)


@pytest.mark.parametrize("turns", range(12))
async def test_cancelled_while_it_starts_it_leaves_nothing(tmp_path: Path, turns: int) -> None:
    mark = f"{300 + turns}.{tmp_path.stat().st_ino}"
    task = asyncio.create_task(run_program(("sleep", mark), folder=tmp_path, env=ENV, timeout=300))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await until(lambda: not mentioning(mark), 4)
