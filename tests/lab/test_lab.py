"""The lab without booting it: its scripts can be read, and its operator has the whole installation."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

from fairlead.config import load, parse

LAB = Path(__file__).parents[2] / "lab"
SCRIPTS = sorted(path.relative_to(LAB).as_posix() for path in LAB.rglob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_bash(script: str) -> None:
    subprocess.run(["bash", "-n", LAB / script], check=True)


def test_the_operator_has_seven_services_and_seventeen_databases() -> None:
    settings = {f"LAB_{name}": f"10.77.0.{number}" for name, number in (("PLESK", 10), ("MYSQL", 20), ("PG", 30))}
    found = load(parse((LAB / "operator/fairlead.yml").read_text()), settings)
    assert (len(found.environments["production"].services), len(found.databases)) == (7, 17)


def test_every_source_of_the_operator_is_written(tmp_path: Path) -> None:
    runpy.run_path(str(LAB / "sources.py"))["write"](tmp_path / "source", "v1")
    settings = {f"LAB_{name}": "10.77.0.10" for name in ("PLESK", "MYSQL", "PG")}
    services = load(parse((LAB / "operator/fairlead.yml").read_text()), settings).environments["production"].services
    wanted = {service.source.folder for service in services.values() if service.source}
    assert {path for path in wanted if (tmp_path / path / "VERSION").read_text() != "v1\n"} == set()


def test_without_root_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        ["bash", LAB / "lab.sh", "up"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "lab: booting hosts needs root")
