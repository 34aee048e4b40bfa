"""The tutorial, typed as it stands: every block ends with the exit code that the page says."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(sh|yaml)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@contextmanager
def _background(command: str, folder: Path, environ: dict[str, str]) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=environ, stdout=quiet, stderr=quiet, process_group=0
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def _typed(command: str, folder: Path, environ: dict[str, str], answer: str) -> tuple[int, str]:
    """Run a block in a shell; with an answer, its standard input is a terminal where that is typed."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        stdin = theirs if answer else subprocess.DEVNULL
        argv = ["bash", "-e", "-c", command]
        ran = subprocess.run(argv, cwd=folder, env=environ, stdin=stdin, capture_output=True, text=True, timeout=100)
    finally:
        os.close(ours)
        os.close(theirs)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.timeout(400)
def test_the_tutorial_can_be_typed(tmp_path: Path) -> None:
    # a port of our own, and a watch that is shorter than a reader's
    text = PAGE.read_text().replace("8123", str(free_port())).replace("duration: 10s", "duration: 2s")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    folder = tmp_path / "tutorial"
    with ExitStack() as stack:
        for kind, title, block in BLOCK.findall(text):
            word, _, value = title.strip().partition("=")
            if kind == "yaml":
                (folder / "fairlead.yml").write_text(block)
            elif word == "background":
                stack.enter_context(_background(block, folder, environ))
            elif word != "prepare":
                code, said = _typed(
                    block, folder if folder.exists() else tmp_path, environ, value if word == "answer" else ""
                )
                assert code == (int(value) if word == "exit" else 0), f"{block}\n{said}"
    assert (folder / "server/sites/hello/current/VERSION").read_text() == "1\n", "two out, one failed, one taken back"
    assert list(folder.glob("fairlead-*.html")), "the report was written"
    assert list(folder.glob("fairlead-*.post-mortem.md")), "and the post-mortem"
