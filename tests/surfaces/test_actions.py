"""In GitHub Actions: annotations and the job's summary; and the workflow of the documents, step by step."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.gated import FILE, Site
from support.github import TOKEN, GitHub, pull, run

WORKFLOW = Path(__file__).parents[2] / "docs" / "github-actions.yml"
EVIL = "evil %0A::add-mask::x\r\n::error::y | <b>`"


@pytest.fixture(scope="module")
def server() -> Iterator[GitHub]:
    with GitHub() as made:
        yield made


class Job(Site):
    """The same, in a job."""

    def __init__(self, folder: Path, github: GitHub) -> None:
        super().__init__(folder, github)
        self.summary = folder / "summary.md"
        self.operator.environ = {
            **self.operator.environ,
            "GITHUB_ACTIONS": "true",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_SHA": self.git("rev-parse", "HEAD"),
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_RUN_ID": "42",
        }


@pytest.fixture
def job(tmp_path: Path, server: GitHub) -> Job:
    server.reset()
    return Job(tmp_path, server)


def test_a_red_gate_is_an_annotation_and_a_row(job: Job) -> None:
    head = job.git("rev-parse", "HEAD")
    job.github.runs = [run(EVIL, "failure", head_sha=head)]
    done = job.operator.run("ready", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False), "one document, whatever else is said"
    commands = [line for line in done.stderr.splitlines() if line.startswith("::")]
    assert [line.split("::")[1].split(" ")[0] for line in commands] == ["error"], commands
    assert "title=ci%3A evil %250A%3A%3Aadd-mask" in commands[0]
    assert "ended with failure; next: https://github.example/runs/" in commands[0]
    summary = job.summary.read_text()
    assert summary.startswith("## test: blocked by ci\n")
    assert f"commit {head}" in summary
    rows = [line for line in summary.splitlines() if line.startswith("| ✗")]
    assert len(rows) == 1
    assert rows[0].startswith("| ✗ fail | ci | ")
    assert "<b>" not in summary
    assert TOKEN not in summary + done.stdout + done.stderr


def test_green_gates_annotate_nothing(job: Job) -> None:
    done = job.operator.run("ready")
    assert done.returncode == 0
    assert "::" not in done.stderr
    assert job.summary.read_text().count("| ✓ ok |") == 5


def test_outside_of_actions_nothing_of_it_is_said(job: Job) -> None:
    del job.operator.environ["GITHUB_ACTIONS"]  # type: ignore[attr-defined]
    job.github.compare = {"status": "behind", "ahead_by": 0, "behind_by": 4}
    done = job.operator.run("ready")
    assert done.returncode == 1
    assert not re.search(r"(?m)^::", done.stdout + done.stderr)
    assert not job.summary.exists()


def test_an_error_is_an_annotation(job: Job) -> None:
    done = job.operator.run("deploy", "nothing-of-this-name", "--yes")
    assert done.returncode == 2
    assert "::error title=fairlead::no service 'nothing-of-this-name' in test" in done.stderr


def test_a_summary_that_cannot_be_written_ends_nothing(job: Job) -> None:
    job.summary.mkdir()
    done = job.operator.run("ready")
    assert done.returncode == 0
    assert "::warning title=fairlead::the job's summary was not written" in done.stderr


def steps() -> list[dict[str, Any]]:
    """Steps of the workflow in the documents, in the order in which they run."""
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return [*jobs["plan"]["steps"], *jobs["deploy"]["steps"]]


class Workflow:
    """The steps of the documents' workflow, as a runner runs them."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job, self.home, self.bin = job, folder / "home", folder / "bin"
        text = FILE.replace("unattended: allow", "").replace("  test:", "  production:")
        text = text.replace("HOME", str(self.home)).replace("URL", job.github.url)
        job.file.write_text(text.replace("repository: acme/shop", "repository: acme/shop, not_asked: [plan, deploy]"))
        self.head = job.commit("v2")
        job.github.runs += [run("plan", None, id=7, head_sha=self.head)]
        job.github.pulls = [pull()]
        self.bin.mkdir()
        program = self.bin / "fairlead"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m fairlead "$@"\n')
        program.chmod(0o755)

    def play(self, red_before: str = "") -> list[tuple[str, int, str]]:
        """Each step up to the first that fails: command, exit code, what it said; CI turns red before one of them."""
        told: list[tuple[str, int, str]] = []
        environ = {**self.job.operator.env(), "PATH": f"{self.bin}:{os.environ['PATH']}"}
        for line in (step["run"] for step in steps() if str(step.get("run", "")).startswith("fairlead ")):
            word = line.split()[1]
            if word == red_before:
                self.job.github.runs = [run("e2e", "failure", head_sha=self.head)]
            argv = ["bash", "-e", "-c", line]
            done = subprocess.run(argv, cwd=self.job.folder, env=environ, capture_output=True, text=True)
            told.append((word, done.returncode, done.stdout + done.stderr))
            assert TOKEN not in told[-1][2]
            if done.returncode:
                break
        return told


def test_the_workflow_of_the_documents_deploys(job: Job, tmp_path: Path) -> None:
    workflow = Workflow(job, tmp_path)
    told = workflow.play()
    assert [(word, code) for word, code, _ in told] == [("ready", 0), ("plan", 0), ("deploy", 0)], told
    assert (tmp_path / "home/srv/api/current/VERSION").read_text() == "v2\n"
    summary = job.summary.read_text()
    assert summary.count("## production: ready for deployment") == 2
    assert re.search(r"(?m)^## deploy \S+: done in [\d.]+ s$", summary)
    [one] = json.loads(job.operator.must(0, "history", "--json"))["deployments"]
    assert one["reason"] == "https://github.example/acme/shop/actions/runs/42"


@pytest.mark.parametrize("step", ["ready", "deploy"])
def test_the_workflow_stops_where_a_gate_turns_red(job: Job, tmp_path: Path, step: str) -> None:
    workflow = Workflow(job, tmp_path)
    job.file.write_text(job.file.read_text().replace("valid: 15m", "valid: 1ms"))
    workflow.head = job.commit("v3")
    told = workflow.play(red_before=step)
    word, code, said = told[-1]
    assert (word, code, len(told)) == (step, 1, {"ready": 1, "deploy": 3}[step]), told
    errors = [line for line in said.splitlines() if line.startswith("::error ")]
    assert errors[0].startswith("::error title=ci%3A e2e::ended with failure; next: https://github.example/runs/e2e")
    last = job.summary.read_text().rpartition("## production: ")[2]
    assert last.startswith("blocked by ci\n")
    table = [line for line in last.splitlines() if line.startswith("|")]
    assert table[:2] == ["| | gate | says |", "|---|---|---|"] and len(table) == 2 + 5
    assert any(row.startswith("| ✗ fail | ci | ended with failure") for row in table), table
    assert "Next:\n\n- https://github.example/runs/e2e" in last
    assert not (tmp_path / "home/srv").exists()
