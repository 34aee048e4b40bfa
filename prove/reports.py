# ruff: noqa: E501 - a tool, its command and what it finds stand in one line
"""Reports of real tools with exact counts, and ten thousand damaged ones that must not say yes.

The tools come from their ordinary registries, through pip and npm, into build/tools; Lighthouse looks at a page of our
own with the system's Chromium.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from fairlead.checks.quality import Place, check_quality
from fairlead.checks.reports import READERS
from fairlead.config.quality import QualityEntry, quality_spec
from fairlead.errors import NotReady
from fairlead.outside.git import WorkingCopy
from prove.table import Row

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "tools"
PYTHON = ("bandit==1.9.4", "semgrep==1.185.0", "radon==6.0.1", "pip-audit==2.10.1")
NODE = ("eslint@9", "lighthouse@12", "@microsoft/eslint-formatter-sarif@3")
CASES = 10_000
PROCESSES = 2
TESTS = ("test_a_damaged_report_never_says_yes", "test_a_damaged_clean_report_gives_no_traceback")
COPY = WorkingCopy(commit="a" * 40, committed=0.0)

PLANTED = "planted-hunter2-9f"
BAD_PY = f'''import hashlib
import subprocess

import yaml

PASSWORD = "{PLANTED}"


def run(command, text):
    subprocess.call(command, shell=True)
    hashlib.md5(text)
    return yaml.load(text)


def reckon(text):
    return eval(text)
'''
GOOD_PY = 'def add(a, b):\n    """The sum."""\n    return a + b\n'
BAD_JS = "var a = 1\nfunction f(x) { if (x == 1) { return y } }\n"
RULES = """rules:
  - {id: no-eval, pattern: eval(...), message: eval, languages: [python], severity: ERROR}
  - {id: no-shell, pattern: "subprocess.call(..., shell=True)", message: shell, languages: [python], severity: WARNING}
"""
ESLINT = 'export default [{rules: {"no-undef": "error", eqeqeq: "error", "no-unused-vars": "warn"}}]\n'
SARIF_OF_ESLINT = str(HOME / "node/node_modules/@microsoft/eslint-formatter-sarif/sarif.js")
SEMGREP = ["semgrep", "scan", "--config", "rules.yml", "--metrics=off", "--disable-version-check", "-q"]

REAL: dict[str, tuple[str, list[str], str, dict[str, int], str]] = {
    # case: format, command, file that is looked at, severities, what the gate says
    "Bandit": ("bandit", ["bandit", "-q", "-f", "json", "bad.py"], "bad.py", {"high": 2, "medium": 2, "low": 2}, "fail"),
    "Bandit, nothing found": ("bandit", ["bandit", "-q", "-f", "json", "good.py"], "good.py", {}, "ok"),
    "Bandit, a file that it cannot parse": ("bandit", ["bandit", "-q", "-f", "json", "broken.py"], "broken.py", {}, "unknown"),
    "Semgrep": ("semgrep", [*SEMGREP, "--json", "bad.py"], "bad.py", {"high": 1, "medium": 1}, "fail"),
    "Semgrep as SARIF": ("sarif", [*SEMGREP, "--sarif", "bad.py"], "bad.py", {"high": 1, "medium": 1}, "fail"),
    "Semgrep, nothing found": ("semgrep", [*SEMGREP, "--json", "good.py"], "good.py", {}, "ok"),
    "Semgrep as SARIF, nothing found": ("sarif", [*SEMGREP, "--sarif", "good.py"], "good.py", {}, "ok"),
    "ESLint": ("eslint", ["eslint", "-f", "json", "bad.js"], "bad.js", {"high": 2, "medium": 2}, "fail"),
    "ESLint as SARIF": (
        "sarif", ["eslint", "-f", SARIF_OF_ESLINT, "bad.js"], "bad.js", {"high": 2, "medium": 2}, "fail"),
    "ESLint, nothing found": ("eslint", ["eslint", "-f", "json", "good.js"], "good.js", {}, "ok"),
    "ESLint, a file that it cannot parse": ("eslint", ["eslint", "-f", "json", "broken.js"], "broken.js", {}, "unknown"),
    "radon": ("radon", ["radon", "mi", "--json", "good.py"], "good.py", {}, "ok"),
    "radon, a module that it cannot parse": ("radon", ["radon", "mi", "--json", "broken.py"], "broken.py", {}, "unknown"),
    "pip-audit where no vulnerabilities are known": (
        "pip-audit", ["pip-audit", "--format", "json", "--disable-pip", "--no-deps", "-r", "old.txt"], "old.txt", {}, "unknown"),
    "a tool that is not there": ("gitleaks", ["gitleaks-is-not-there", "dir", "."], "bad.py", {}, "unknown"),
}  # fmt: skip
FILES = {
    "bad.py": BAD_PY, "good.py": GOOD_PY, "broken.py": "def (:\n", "bad.js": BAD_JS, "broken.js": "function (\n",
    "good.js": "export const one = 1;\n", "rules.yml": RULES, "eslint.config.mjs": ESLINT, "old.txt": "django==3.2.0\n",
}  # fmt: skip


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """Real tools first, then damage, split over as many processes as there are cores."""
    yield from _real()
    yield from _damaged(max(1, round(CASES * scale)), seed)


def _real() -> Iterator[Row]:
    began = time.monotonic()
    wrong = _installed()
    if wrong:
        yield Row("real tools can be installed", 1, [wrong])
        return
    folder = HOME / "code"
    folder.mkdir(exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    failures = [f"{case}: {why}" for case, row in REAL.items() if (why := _wrong(folder, *row))]
    yield Row("reports of real tools, counted exactly", len(REAL), failures, time.monotonic() - began)
    began = time.monotonic()
    failures = list(_lighthouse(folder))
    yield Row("Lighthouse with Chromium: a page, and one that is not there", 2, failures, time.monotonic() - began)


def _installed() -> str:
    """Install what is missing; why that did not work, or nothing."""
    pip, node = HOME / "python" / "bin" / "pip", HOME / "node"
    steps: list[list[str]] = []
    if not (HOME / "python" / "bin" / "semgrep").exists():
        steps += [[sys.executable, "-m", "venv", str(HOME / "python")], [str(pip), "install", "-q", *PYTHON]]
    if not (node / "node_modules" / ".bin" / "lighthouse").exists():
        node.mkdir(parents=True, exist_ok=True)
        (node / "package.json").write_text('{"private": true}')
        steps += [["npm", "install", "--no-audit", "--no-fund", "--prefix", str(node), *NODE]]
    for argv in steps:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            return f"`{' '.join(argv)}` exited {done.returncode}: {(done.stderr or done.stdout)[-300:]}"
    return "" if shutil.which("chromium") else "chromium is missing: apt install chromium"


def _environ() -> dict[str, str]:
    folders = (HOME / "python" / "bin", HOME / "node" / "node_modules" / ".bin")
    path = ":".join([*map(str, folders), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(HOME), "CHROME_PATH": shutil.which("chromium") or "", "LANG": "C.UTF-8"}


def _wrong(folder: Path, form: str, command: list[str], file: str, counted: dict[str, int], status: str) -> str:
    """Why a real report is not read as it should be; empty when it is."""
    done = subprocess.run(command, cwd=folder, env=_environ(), capture_output=True, timeout=300, check=False) if (
        shutil.which(command[0], path=_environ()["PATH"])) else None  # fmt: skip
    if counted and done is not None:
        try:
            report = READERS[form](done.stdout)
        except NotReady as error:
            return f"it is not believed: {error}"
        seen = dict(Counter(issue.severity for issue in report.issues))
        if seen != counted or not all(issue.file.endswith(file) and issue.line for issue in report.issues):
            return f"{seen} instead of {counted}, in {sorted({issue.file for issue in report.issues})}"
    name = "maintainability" if form == "radon" else "security"
    spec = quality_spec(name, QualityEntry.model_validate({"reports": [{"format": form, "run": command}]}))
    found = asyncio.run(check_quality(spec, Place(folder, _environ(), COPY, time.time())))
    if PLANTED in found.to_json():
        return "what was found is told"
    return "" if found.status == status else f"{found.status} instead of {status}: {found.says}"


def _lighthouse(folder: Path) -> Iterator[str]:
    page = folder / "page"
    page.mkdir(exist_ok=True)
    (page / "index.html").write_text(
        "<!doctype html><html lang=en><meta name=viewport content='width=device-width'><title>Page</title><h1>Hello</h1>"
    )
    with _served(page) as url:
        for case, address, status in (("a page", url, "ok"), ("no page", "http://127.0.0.1:9/", "unknown")):
            (folder / "lighthouse.json").unlink(missing_ok=True)
            command = [
                "lighthouse", address, "--output=json", "--output-path=lighthouse.json", "--quiet",
                "--only-categories=performance,accessibility", "--chrome-flags=--headless=new --no-sandbox --disable-dev-shm-usage",
            ]  # fmt: skip
            entry = {"format": "lighthouse", "file": "lighthouse.json", "run": command}
            # What a busy machine measures says nothing; that there is a figure, and that its audits bear it out, does.
            least = {"performance": 1, "accessibility": 50}
            spec = quality_spec("performance", QualityEntry.model_validate({"reports": [entry], "least": least}))
            found = asyncio.run(check_quality(spec, Place(folder, _environ(), COPY, time.time())))
            if found.status != status:
                yield f"{case}: {found.status} instead of {status}: {found.says}"


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def _damaged(cases: int, seed: int) -> Iterator[Row]:
    began = time.monotonic()
    jobs = [(test, seed * PROCESSES + number) for test in TESTS for number in range(PROCESSES)]
    told: list[dict[str, Any]] = []
    for start in range(0, len(jobs), PROCESSES):
        running = [_started(test, -(-cases // PROCESSES), own) for test, own in jobs[start : start + PROCESSES]]
        told += [_ended(process) for process in running]
    tried = sum(one["tried"] for one in told)
    failures = [failure for one in told for failure in one["failures"]]
    yes = sum(one["yes"] for one in told)
    note = f"{yes} of the clean ones still say yes, no other"
    yield Row("damaged reports: a traceback, or a yes that was none", tried, failures, time.monotonic() - began, note)


def _started(test: str, examples: int, seed: int) -> subprocess.Popen[str]:
    environ = os.environ | {"FAIRLEAD_FUZZ": str(examples), "PYTHONPATH": str(ROOT / "tests")}
    argv = [sys.executable, "-m", "prove.reports", test, str(seed)]
    return subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate()
    try:
        told: dict[str, Any] = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        told = {"tried": 0, "yes": 0, "failures": [f"a process ended with {process.returncode}"]}
    return told


def main(test: str, seed: int) -> None:
    """Try one kind of damage; how often and what failed as one line of JSON."""
    from hypothesis import seed as seeded

    damage = importlib.import_module("checks.reports.test_damage")
    verdict, told = damage.verdict, {"tried": 0, "yes": 0, "failures": list[str]()}

    def counting(form: str, data: bytes, code: int) -> Any:
        told["tried"] += 1
        said = verdict(form, data, code)
        told["yes"] += said == "ok"
        return said

    damage.verdict = counting
    try:
        seeded(seed)(getattr(damage, test))()
    except BaseException:
        told["failures"].append(f"{test}, seed {seed}: {traceback.format_exc()[-600:]}")
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
