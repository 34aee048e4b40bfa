"""The shell at the far end of a session, by itself: what the line between could do to it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fairlead.outside.ssh_shell import _script

WORD = "5e551on"
SHELLS = {"dash": ("dash",), "bash": ("bash",), "busybox": ("busybox", "sh")}


def request(line: str) -> bytes:
    """One request, as `Shell.ask` sends it."""
    text = f"{line}\n# {WORD}\n"
    return f"\n{WORD} {text.count(chr(10))} {len(text.encode())}\n{text}".encode()


LONG = "\n".join(f"echo {number} >>done" for number in range(1000))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("cut", [100, 3000, 4500, 9000])
def test_what_was_cut_off_is_not_run(tmp_path: Path, shell: str, cut: int) -> None:
    """The connection ends in the middle of a request: half a line could be another command."""
    whole = request(LONG)
    subprocess.run([*SHELLS[shell], "-c", _script(), "fairlead", WORD], input=whole[:cut], cwd=tmp_path, timeout=20)
    assert not (tmp_path / "done").exists()
    subprocess.run([*SHELLS[shell], "-c", _script(), "fairlead", WORD], input=whole * 2, cwd=tmp_path, timeout=20)
    assert len((tmp_path / "done").read_text().split()) == 2000
