"""The suite's own promise: what was skipped counts as failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPS = {
    "inside_a_test": "import pytest\ndef test_it(): pytest.skip('no tool')",
    "by_a_mark": "import pytest\n@pytest.mark.skip(reason='no tool')\ndef test_it(): pass",
    "by_an_empty_table": "import pytest\n@pytest.mark.parametrize('row', [])\ndef test_it(row): pass",
    "a_whole_file": "import pytest\npytest.skip('no tool', allow_module_level=True)",
    "a_library_that_is_not_there": "import pytest\npytest.importorskip('no_such_library')",
}
"""Each in a file of its own, beside one that is good."""
ALL = {f"test_{name}.py" for name in SKIPS}
RUNS: dict[str, tuple[str, tuple[str, ...], set[str]]] = {
    "by default": ("0", (), ALL),
    "where it is allowed": ("1", (), set()),
    "where files run beside each other": ("0", ("-n", "2", "--dist", "loadfile"), ALL),
}


@pytest.mark.parametrize("run", RUNS)
def test_a_skip_fails(tmp_path: Path, run: str) -> None:
    allowed, words, fail = RUNS[run]
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_good.py").write_text("def test_good(): pass")
    for name, source in SKIPS.items():
        (tmp_path / f"test_{name}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command += ["--continue-on-collection-errors", *words]
    environment = {**os.environ, "FAIRLEAD_ALLOW_SKIPS": allowed}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert set(re.findall(r"^(?:FAILED|ERROR) (\w+\.py)", ran.stdout, re.M)) == fail, ran.stdout
    assert ran.returncode == bool(fail) and "1 passed" in ran.stdout
