"""Gates of quality, with commands that really run, reports that really lie there and a real working copy's commit."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fairlead.checks.quality import Place, check_quality
from fairlead.config.quality import QualityEntry, QualitySpec, quality_spec
from fairlead.errors import NotReady
from fairlead.model import Finding
from fairlead.outside.git import WorkingCopy
from support.reports import CLEAN, COMMIT, FOUND, PLANTED, changed, raw, result, sarif, with_

NOW = 1_800_000_000.0
COMMITTED = NOW - 3600
COPY = WorkingCopy(commit=COMMIT, committed=COMMITTED)


def gate(name: str, *reports: dict[str, Any], **more: Any) -> QualitySpec:
    return quality_spec(name, QualityEntry.model_validate({"reports": list(reports), **more}))


def leave(folder: Path, name: str, report: Any, age: float = 600) -> Path:
    """What CI has left so many seconds ago."""
    file = folder / name
    file.write_bytes(report if isinstance(report, bytes) else raw(report))
    os.utime(file, (NOW - age, NOW - age))
    return file


async def ask(folder: Path, spec: QualitySpec, copy: WorkingCopy | NotReady = COPY, now: float = NOW) -> Finding:
    return await check_quality(spec, Place(folder, {"PATH": os.environ["PATH"]}, copy, now))


LEFT: dict[str, tuple[str, str, Any, dict[str, Any], str, str]] = {
    # case: gate, format, report, settings of the gate, status, part of the sentence
    "no leak": ("security", "gitleaks", CLEAN["gitleaks"], {}, "ok", "no issues: gitleaks"),
    "leaks": (
        "security",
        "gitleaks",
        FOUND["gitleaks"],
        {},
        "fail",
        "4 issues by gitleaks: 4 critical; aws-access-token in deploy/env.sh:3, aws-access-token in deploy/env.sh:14, "
        "aws-access-token in deploy/env.sh:15 and 1 more",
    ),
    "the gravest are named": (
        "security",
        "sarif",
        FOUND["sarif"],
        {},
        "fail",
        "1 critical, 1 high, 1 medium, 1 low; CVE-2026-1",
    ),
    "so many are allowed": ("security", "gitleaks", FOUND["gitleaks"], {"most": 4}, "ok", "4 issues by gitleaks"),
    "one more than allowed": ("security", "gitleaks", FOUND["gitleaks"], {"most": 3}, "fail", "4 issues by gitleaks"),
    "only grave ones count": (
        "security",
        "eslint",
        FOUND["eslint"],
        {"severity": "critical"},
        "ok",
        "of severity critical or graver",
    ),
    "accepted ones are told": (
        "security",
        "sarif",
        sarif(result(index=0, suppressions=[{"kind": "inSource"}])),
        {},
        "ok",
        "(1 accepted)",
    ),
    "high vulnerabilities": (
        "dependencies",
        "npm-audit",
        FOUND["npm-audit"],
        {},
        "fail",
        "3 issues by npm audit: 1 critical, 2 high",
    ),
    "moderate vulnerabilities": (
        "dependencies",
        "npm-audit",
        changed(
            CLEAN["npm-audit"],
            with_({"ms": {"severity": "moderate"}}, "vulnerabilities"),
            with_(1, "metadata", "vulnerabilities", "moderate"),
            with_(1, "metadata", "vulnerabilities", "total"),
        ),
        {},
        "ok",
        "no issues of severity high or graver",
    ),
    "vulnerabilities without a severity count": (
        "dependencies",
        "pip-audit",
        FOUND["pip-audit"],
        {},
        "fail",
        "3 unknown",
    ),
    "90 percent with rank A": (
        "maintainability",
        "radon",
        CLEAN["radon"],
        {},
        "ok",
        "maintainability is 90, at least 85",
    ),
    "30 percent with rank A": (
        "maintainability",
        "radon",
        FOUND["radon"],
        {},
        "fail",
        "maintainability is 30, at least 85 is asked",
    ),
    "fast": ("performance", "lighthouse", CLEAN["lighthouse"], {}, "ok", "performance is 96, at least 90"),
    "slow": ("performance", "lighthouse", FOUND["lighthouse"], {}, "fail", "performance is 52, at least 90 is asked"),
    "just not": (
        "maintainability",
        "coverage",
        changed(
            CLEAN["coverage"],
            *(
                with_({"total": 10000, "covered": 8999, "skipped": 0, "pct": 89.99}, "total", kind)
                for kind in ("lines",)
            ),
        ),
        {"least": {"lines": 90}},
        "fail",
        "lines is 89.9",
    ),
    "two figures, one too low": (
        "performance",
        "lighthouse",
        FOUND["lighthouse"],
        {"least": {"accessibility": 90, "performance": 90}},
        "fail",
        "accessibility is 100, at least 90; performance is 52, at least 90 is asked",
    ),
    "a figure that is not there": (
        "performance",
        "lighthouse",
        CLEAN["lighthouse"],
        {"least": {"seo": 90}},
        "unknown",
        "no report has the figure seo",
    ),
    "a fallback": ("security", "gitleaks", {"findings": []}, {}, "unknown", "report.json counts as not run"),
    "empty": ("security", "sarif", b"", {}, "unknown", "report.json counts as not run: the report is empty"),
    "for another commit": (
        "security",
        "sarif",
        sarif(versionControlProvenance=[{"revisionId": "b" * 40}]),
        {},
        "unknown",
        "for another commit",
    ),
    "for the commit": (
        "security",
        "sarif",
        sarif(versionControlProvenance=[{"revisionId": COMMIT.upper()}]),
        {},
        "ok",
        "no issues",
    ),
    "says itself that it is older than the commit": (
        "security",
        "sarif",
        sarif(invocations=[{"executionSuccessful": True, "endTimeUtc": "2026-01-01T00:00:00Z"}]),
        {},
        "unknown",
        "is older than commit 4f2a9c1e8b7d",
    ),
    "says itself that it comes from the future": (
        "security",
        "sarif",
        sarif(invocations=[{"executionSuccessful": True, "endTimeUtc": "2030-01-01T00:00:00Z"}]),
        {},
        "unknown",
        "comes from the future",
    ),
}


@pytest.mark.parametrize("row", LEFT)
async def test_a_report_that_ci_left(tmp_path: Path, row: str) -> None:
    name, form, report, settings, status, says = LEFT[row]
    # The readers' rows have reports of last year; here they are about a commit of before.
    leave(tmp_path, "report.json", report)
    copy = COPY if "older" in row else COPY.model_copy(update={"committed": 0.0})
    found = await ask(tmp_path, gate(name, {"format": form, "file": "report.json"}, **settings), copy)
    assert (found.status, says in found.says) == (status, True), found.says
    assert PLANTED not in found.to_json()
    assert (found.hint == "") == (status == "ok")


AGES: dict[str, tuple[float, dict[str, Any], str]] = {
    # case: age of the file in seconds, settings of the report, status
    "younger than the commit": (3599, {}, "ok"),
    "older than the commit": (3601, {}, "unknown"),
    "from a clock that is a little ahead": (-50, {}, "ok"),
    "from the future": (-70, {}, "unknown"),
    "young enough": (1700, {"max_age": "30m"}, "ok"),
    "too old": (1900, {"max_age": "30m"}, "unknown"),
}


@pytest.mark.parametrize("row", AGES)
async def test_how_old_a_report_may_be(tmp_path: Path, row: str) -> None:
    age, settings, status = AGES[row]
    leave(tmp_path, "leaks.json", [], age)
    found = await ask(tmp_path, gate("security", {"format": "gitleaks", "file": "leaks.json", **settings}))
    assert found.status == status, found.says


COMMITS = {
    "the same": (COMMIT + "\n", "ok"),
    "shortened": (COMMIT[:7], "ok"),
    "too short to tell": (COMMIT[:6], "unknown"),
    "another one": ("b" * 40, "unknown"),
    "empty": ("", "unknown"),
    "missing": (None, "unknown"),
}


@pytest.mark.parametrize(("text", "status"), COMMITS.values(), ids=COMMITS)
async def test_the_commit_beside_a_report(tmp_path: Path, text: str | None, status: str) -> None:
    leave(tmp_path, "leaks.json", [])
    if text is not None:
        (tmp_path / "commit").write_text(text)
    spec = gate("security", {"format": "gitleaks", "file": "leaks.json", "commit": "commit"})
    assert (await ask(tmp_path, spec)).status == status


async def test_no_report(tmp_path: Path) -> None:
    found = await ask(tmp_path, gate("security", {"format": "gitleaks", "file": "leaks.json"}))
    assert (found.status, found.says) == ("unknown", f"there is no file {tmp_path / 'leaks.json'}")


async def test_a_folder_is_no_report(tmp_path: Path) -> None:
    (tmp_path / "leaks.json").mkdir()
    assert (await ask(tmp_path, gate("security", {"format": "gitleaks", "file": "leaks.json"}))).status == "unknown"


async def test_what_ci_left_for_an_unknown_commit(tmp_path: Path) -> None:
    leave(tmp_path, "leaks.json", [])
    spec = gate("security", {"format": "gitleaks", "file": "leaks.json"})
    found = await ask(tmp_path, spec, NotReady("nothing was committed here yet"))
    assert found.status == "unknown"
    assert "nothing was committed here yet" in found.says


async def test_all_reports_of_a_gate_count(tmp_path: Path) -> None:
    for name in ("bandit", "eslint", "gitleaks"):
        leave(tmp_path, name, (FOUND if name == "bandit" else CLEAN)[name])
    reports = [{"format": name, "file": name} for name in ("gitleaks", "bandit", "eslint")]
    copy = COPY.model_copy(update={"committed": 0.0})
    found = await ask(tmp_path, gate("security", *reports), copy)
    assert found.says.startswith("4 issues by gitleaks, bandit, eslint: 1 high, 1 medium, 2 low; B105 in app/a.py:3")
    (tmp_path / "eslint").unlink()
    assert (await ask(tmp_path, gate("security", *reports), copy)).status == "unknown"


async def test_the_evidence_names_what_was_read(tmp_path: Path) -> None:
    leave(tmp_path, "sarif", sarif(result(index=0), versionControlProvenance=[{"revisionId": COMMIT}]))
    found = await ask(tmp_path, gate("security", {"format": "sarif", "file": "sarif"}))
    [seen] = found.model_dump(mode="json")["evidence"]["reports"]
    assert (seen["tool"], seen["commit"], seen["issues"], seen["file"]) == ("Scanner", COMMIT, {"critical": 1}, "sarif")
    assert (len(seen["sha256"]), seen["made"]) == (64, NOW - 600)


# -- commands


def tool(folder: Path, code: int, report: Any = None, *, prints: Any = "", waits: float = 0.0) -> list[str]:
    """A scanner: writes `report` to report.json, prints, waits, and exits."""
    text = "" if report is None else raw(report).decode()
    script = (
        f"import pathlib, sys, time; text = {text!r}; text and pathlib.Path('report.json').write_text(text);"
        f"print({prints!r}, end=''); time.sleep({waits}); sys.exit({code})"
    )
    (folder / "tool.py").write_text(script)
    return [sys.executable, "tool.py"]


RUNS: dict[str, tuple[int, Any, dict[str, Any], str, str]] = {
    # case: exit code, report, settings, status, part of the sentence
    "finds nothing": (0, CLEAN["gitleaks"], {}, "ok", "no issues: gitleaks"),
    "finds something": (1, FOUND["gitleaks"], {}, "fail", "4 issues by gitleaks"),
    "finds something and exits 0": (0, FOUND["gitleaks"], {}, "fail", "4 issues by gitleaks"),
    "says with its code that it found something, and not with its report": (
        1,
        CLEAN["gitleaks"],
        {},
        "unknown",
        "exited 1, as if it had found something",
    ),
    "fails": (2, CLEAN["gitleaks"], {}, "unknown", "exited 2"),
    "is not there": (127, CLEAN["gitleaks"], {}, "unknown", "exited 127"),
    "has a code of its own": (77, FOUND["gitleaks"], {"findings": [77]}, "fail", "4 issues"),
    "1 is no code of its own": (1, FOUND["gitleaks"], {"findings": [77]}, "unknown", "exited 1"),
    "writes no report": (0, None, {}, "unknown", "report.json"),
    "writes half a report": (0, raw(FOUND["gitleaks"]).decode()[:100], {}, "unknown", "counts as not run"),
}


@pytest.mark.parametrize("row", RUNS)
async def test_a_command(tmp_path: Path, row: str) -> None:
    code, report, settings, status, says = RUNS[row]
    command = tool(tmp_path, code, report, prints=f"leaked: {PLANTED}")
    found = await ask(
        tmp_path, gate("security", {"format": "gitleaks", "file": "report.json", "run": command, **settings})
    )
    assert (found.status, says in found.says) == (status, True), found.says
    assert PLANTED not in found.to_json()


async def test_a_report_of_an_earlier_run_is_not_believed(tmp_path: Path) -> None:
    leave(tmp_path, "report.json", CLEAN["gitleaks"], age=0)
    found = await ask(
        tmp_path, gate("security", {"format": "gitleaks", "file": "report.json", "run": tool(tmp_path, 0)})
    )
    assert (found.status, "did not write report.json" in found.says) == ("unknown", True)


async def test_what_a_command_prints_can_be_the_report(tmp_path: Path) -> None:
    command = tool(tmp_path, 1, prints=json.dumps(FOUND["npm-audit"]))
    found = await ask(tmp_path, gate("dependencies", {"format": "npm-audit", "run": command}))
    assert found.status == "fail"
    command = tool(tmp_path, 0, prints="")
    found = await ask(tmp_path, gate("dependencies", {"format": "npm-audit", "run": command}))
    assert (found.status, "printed counts as not run: the report is empty" in found.says) == ("unknown", True)


async def test_a_command_runs_where_it_should(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    command = tool(tmp_path / "site", 0, CLEAN["eslint"])
    spec = gate("security", {"format": "eslint", "file": "site/report.json", "run": command, "folder": "site"})
    assert (await ask(tmp_path, spec)).status == "ok"


async def test_a_command_has_its_time(tmp_path: Path) -> None:
    spec = gate("security", {"format": "gitleaks", "run": tool(tmp_path, 0, waits=30), "timeout": "1s"})
    began = time.monotonic()
    found = await ask(tmp_path, spec)
    assert (found.status, "did not end in time" in found.says, time.monotonic() - began < 10) == ("unknown", True, True)


async def test_a_command_ends_with_us(tmp_path: Path) -> None:
    mark = f"fairlead-test-{tmp_path.name}-{os.getpid()}"
    spec = gate("security", {"format": "gitleaks", "run": ["sh", "-c", f": >begun; exec sleep 300 # {mark}"]})
    asked = asyncio.ensure_future(ask(tmp_path, spec))
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in running if mark.encode() in line]


async def test_a_command_sees_no_shell(tmp_path: Path) -> None:
    word = "; touch broken; $(touch broken)"
    command = [*tool(tmp_path, 0, CLEAN["gitleaks"]), word]
    found = await ask(tmp_path, gate("security", {"format": "gitleaks", "file": "report.json", "run": command}))
    assert (found.status, (tmp_path / "broken").exists()) == ("ok", False)
    assert shlex.quote(word) not in found.says


async def test_a_tool_that_is_missing(tmp_path: Path) -> None:
    found = await ask(tmp_path, gate("security", {"format": "gitleaks", "run": ["no-such-scanner", "--all"]}))
    assert (found.status, found.says) == ("unknown", "`no-such-scanner --all` exited 127")
