"""The suite's own promise: what was skipped counts as failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPS = {
    "inside a test": "import pytest\ndef test_it(): pytest.skip('no tool')",
    "by a mark": "import pytest\n@pytest.mark.skip(reason='no tool')\ndef test_it(): pass",
    "by an empty table": "import pytest\n@pytest.mark.parametrize('row', [])\ndef test_it(row): pass",
    "a whole file": "import pytest\npytest.skip('no tool', allow_module_level=True)",
    "a library that is not there": "import pytest\npytest.importorskip('no_such_library')",
}


@pytest.mark.parametrize(("allowed", "fails"), [("0", True), ("1", False)], ids=["by default", "where it is allowed"])
@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_a_skip_fails(tmp_path: Path, source: str, allowed: str, fails: bool) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(source)
    (tmp_path / "test_good.py").write_text("def test_good(): pass")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    environment = {**os.environ, "FAIRLEAD_ALLOW_SKIPS": allowed}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    # 2 = a file could not be collected
    assert ran.returncode in ((1, 2) if fails else (0,)), ran.stdout
