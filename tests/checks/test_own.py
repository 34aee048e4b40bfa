"""Gates of one's own: commands that really run, and packages that really are installed."""

# ruff: noqa: E501 - a package of one line each
from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fairlead.checks.own import check_own
from fairlead.config.own import OwnEntry, own_spec
from fairlead.model import Finding

SECRET = "planted-s3cret-77"


async def ask(base: Path, **entry: Any) -> Finding:
    told = {"environment": "production", "commit": "a" * 40}
    spec = own_spec("licences", OwnEntry.model_validate(entry))
    return await check_own(
        spec, base, {"PATH": os.environ["PATH"]}, told, lambda text: text.replace(SECRET, "[secret]")
    )


COMMANDS: dict[str, tuple[str, str, str]] = {
    # case: script, status, sentence
    "yes": ("exit 0", "ok", "says yes"),
    "yes, with a sentence": ("echo looking; echo 312 packages; echo", "ok", "312 packages"),
    "no": ("exit 1", "fail", "says no"),
    "no, with a sentence": ("echo GPL in 2 packages; exit 1", "fail", "GPL in 2 packages"),
    "does not know": ("echo ok; exit 2", "unknown", "exited 2"),
    "is killed": ("echo ok; kill -9 $$", "unknown", "exited 137"),
    "takes too long": ("echo ok; sleep 30", "unknown", "did not end in time"),
    "says a secret": (f"echo {SECRET}; exit 1", "fail", "[secret]"),
    "writes to the terminal": (r"printf 'a\033[2Jb\n'; exit 1", "fail", "a [2Jb"),
    "says much": ("printf 'x%.0s' $(seq 999); exit 1", "fail", "x" * 299 + "…"),
}


@pytest.mark.parametrize("row", COMMANDS)
async def test_a_command(tmp_path: Path, row: str) -> None:
    script, status, says = COMMANDS[row]
    began = time.monotonic()
    found = await ask(tmp_path, run=["sh", "-c", script], timeout="1s" if "long" in row else "30s")
    assert (found.status, says in found.says) == (status, True), found.says
    assert time.monotonic() - began < 15


async def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    assert (await ask(tmp_path, run=["no-such-check"])).status == "unknown"
    assert (await ask(tmp_path, run=["true"], folder="no-such-folder")).status == "unknown"


async def test_the_hint_of_the_file(tmp_path: Path) -> None:
    assert (await ask(tmp_path, run=["false"], hint="npm run licences")).hint == "npm run licences"
    assert (await ask(tmp_path, run=["true"], hint="npm run licences")).hint == ""


PACKAGE = """
import asyncio, sys
async def fine(told): return {"status": "ok", "says": f"{told['environment']} {told['commit'][:3]} {told['settings']['a']}"}
async def warns(told): return {"status": "warn", "says": "hm", "hint": "look"}
async def fails(told): return {"status": "fail", "says": "no"}
async def nothing(told): return None
async def odd(told): return {"status": "yes", "says": "x"}
async def silent(told): return {"status": "ok", "says": " "}
async def no_text(told): return {"status": "ok", "says": 3}
async def more(told): return {"status": "ok", "says": "x", "score": 3}
async def true(told): return True
async def breaks(told): raise RuntimeError("SECRET")
async def ends(told): sys.exit(0)
async def waits(told): await asyncio.sleep(60)
async def no_arguments(): return {"status": "ok", "says": "x"}
def plain(told): return {"status": "ok", "says": "x"}
value = 3
""".replace("SECRET", SECRET)
NAMES = [
    "fine",
    "warns",
    "fails",
    "nothing",
    "odd",
    "silent",
    "no_text",
    "more",
    "true",
    "breaks",
    "ends",
    "waits",
    "no_arguments",
    "plain",
    "value",
]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as pip leaves it, in a folder of its own on the path."""
    site = tmp_path / "site"
    info = site / "our_checks-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "our_checks.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-checks\nVersion: 1.0\n")
    points = "".join(f"{name} = our_checks:{name}\n" for name in NAMES)
    (info / "entry_points.txt").write_text(
        f"[fairlead.checks]\n{points}gone = our_checks:gone\nlost = no_such_module:x\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "our_checks", raising=False)
    return tmp_path


CHECKS: dict[str, tuple[str, str]] = {
    # entry point: status, part of the sentence
    "fine": ("ok", "production aaa 1"),
    "warns": ("warn", "hm"),
    "fails": ("fail", "no"),
    "nothing": ("unknown", "answers something else"),
    "odd": ("unknown", "no status"),
    "silent": ("unknown", "without a sentence"),
    "no_text": ("unknown", "without a sentence"),
    "more": ("unknown", "answers something else"),
    "true": ("unknown", "answers something else"),
    "breaks": ("unknown", "failed: RuntimeError"),
    "ends": ("unknown", "failed: SystemExit"),
    "waits": ("unknown", "no answer within"),
    "no_arguments": ("unknown", "failed: TypeError"),
    "plain": ("unknown", "no async function"),
    "value": ("unknown", "no async function"),
    "gone": ("unknown", "failed: AttributeError"),
    "lost": ("unknown", "failed: ModuleNotFoundError"),
    "other": ("unknown", "no installed package has a check other"),
}


@pytest.mark.parametrize("name", CHECKS)
async def test_a_check_of_a_package(package: Path, name: str) -> None:
    status, says = CHECKS[name]
    found = await ask(package, check=name, settings={"a": 1}, timeout="500ms" if name == "waits" else "30s")
    assert (found.status, says in found.says) == (status, True), found.says
    assert "failed" not in says or found.says.endswith(says), "only the kind of the error is told"
    assert SECRET not in found.to_json()
    assert found.hint == {"warns": "look", "other": found.hint}.get(name, "")


async def test_two_packages_with_one_name(package: Path) -> None:
    other = package / "site/other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[fairlead.checks]\nfine = our_checks:warns\n")
    found = await ask(package, check="fine", settings={"a": 1})
    assert (found.status, "more than one" in found.says) == ("unknown", True)
