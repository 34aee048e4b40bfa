"""The command line as a program calls it: exit codes, one JSON document, hints, who may say yes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.demo.estate import Estate
from fairlead.model import Plan
from support.operator import Operator

NAMES = ("api", "crm")


class Site:
    """A small part of the demo's estate on this machine, with one account, and an operator."""

    def __init__(self, folder: Path) -> None:
        self.estate = Estate.create(folder / "estate")
        self.estate.install_v1()
        path = self.estate.write_config(watch={"duration": "1s", "interval": "250ms"})
        document = yaml.safe_load(path.read_text())
        document["services"] = {
            name: {key: value for key, value in document["services"][name].items() if key != "migrations"}
            for name in NAMES
        }
        place = document["environments"]["demo"]
        place["services"] = {
            name: {**place["services"][name], "databases": [name]} for name in NAMES if name == "crm"
        } | {"api": {**place["services"]["api"], "databases": ["votes"]}}
        names = document["databases"]["estate"]["names"]
        document["databases"]["estate"]["names"] = {name: names[name] for name in ("votes", "crm")}
        document["environments"]["guarded"] = {
            **{"lock_host": "server", "unattended": "refuse"},
            "services": {"api": {"host": "server", "path": "elsewhere/api", "url": "http://127.0.0.1:9/"}},
        }
        self.document = document
        self.write()
        self.estate.write_version("v2")
        self.operator = Operator(self.estate.folder, folder / "operator")

    def write(self) -> None:
        self.estate.config.write_text(yaml.safe_dump(self.document, sort_keys=False))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("cli"))
    try:
        yield made
    finally:
        made.estate.stop()


def told(site: Site, *words: str) -> tuple[int, Any, str]:
    """Exit code, the one document on standard output, standard error."""
    done = site.operator.run(*words, "--json")
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


WRONG = {
    "which environment": (["plan"], 2, "which environment?"),
    "no such environment": (["plan", "-e", "prod"], 2, "no environment 'prod'"),
    "no such service": (["plan", "-e", "demo", "shop"], 2, "no service 'shop'"),
    "no such file": (["plan", "--config", "gone.yml"], 2, "gone.yml"),
    "no such run to go back to": (["rollback", "-e", "demo", "--yes"], 2, "no finished deployment"),
    "no such run to show": (["show", "nope", "-e", "demo"], 2, "no run nope"),
    "nothing to show": (["show", "-e", "demo"], 2, "nothing was ever deployed"),
    "no such database": (["db", "backup", "nope", "-e", "demo"], 2, "no database 'nope'"),
    "not ready": (["deploy", "-e", "demo", "--yes"], 1, "not ready"),
    "deploy unasked": (["deploy", "-e", "demo", "api"], 1, "not ready"),
}


@pytest.mark.parametrize("row", WRONG)
def test_a_wrong_call_says_what_is_wrong_and_what_to_type(site: Site, row: str) -> None:
    words, code, what = WRONG[row]
    found, document, _ = told(site, *words)
    assert (found, document["exit"]) == (code, code)
    assert what in document["error"]
    assert set(document) - {"findings"} == {"error", "hint", "exit", "kind"}
    assert document["hint"]


def test_for_people_errors_and_hints_go_to_standard_error(site: Site) -> None:
    done = site.operator.run("plan", "-e", "prod")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == ["error: no environment 'prod'", "hint: there are: demo, guarded"]


@pytest.mark.parametrize(
    "words",
    [
        ["nope"],
        ["plan", "--nope"],
        ["deploy", "--plan", "gone.json"],
        ["close", "-e", "demo"],
        ["history", "--limit", "0"],
    ],
    ids=["no such command", "no such option", "no such plan file", "an option is missing", "out of range"],
)
def test_words_that_the_command_line_does_not_know(site: Site, words: list[str]) -> None:
    done = site.operator.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage:" in done.stderr


NOTHING_OPEN = {
    "resume": (["resume"], {"deployment": None}),
    "close": (["close", "--reason", "x"], {"deployment": None}),
    "history": (["history"], {"deployments": []}),
    "db backups": (["db", "backups"], {"backups": []}),
}


@pytest.mark.parametrize("row", NOTHING_OPEN)
def test_where_there_is_nothing_that_is_no_error(site: Site, row: str) -> None:
    words, wanted = NOTHING_OPEN[row]
    assert told(site, *words, "-e", "demo")[:2] == (0, wanted)


def test_answers_of_yes_and_no(site: Site) -> None:
    code, document, _ = told(site, "health", "-e", "demo")
    assert (code, document["ok"]) == (0, True)
    assert {one["subject"] for one in document["findings"]} == {"api", "crm", "votes"}
    code, document, _ = told(site, "health", "-e", "guarded")
    assert code == int(not document["ok"])
    code, document, _ = told(site, "ready", "-e", "demo")
    assert (code, document["ok"]) == (1, False), "no backup was made"
    assert told(site, "db", "check", "-e", "demo")[1]["reachable"] == 2
    assert told(site, "lock", "show", "-e", "demo")[1]["run"] == "-"


def test_the_whole_way_of_a_plan_file(site: Site, tmp_path: Path) -> None:
    """Made, refused when the ground moves, carried out, and then there is nothing left to do."""
    file, operator = tmp_path / "plan.json", site.operator
    assert told(site, "db", "backup", "-e", "demo")[1]["made"] == 2
    site.estate.write_version("v2")
    code, document, _ = told(site, "plan", "-e", "demo", "--out", str(file))
    assert code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == Plan.model_validate(document["plan"]).to_json() + "\n"

    (site.estate.folder / "source/api/VERSION").write_text("a later one, which the plan does not mean\n")
    page = site.estate.service("api") / "current/index.html"
    was = page.read_text()
    page.write_text("changed by hand")
    code, document, _ = told(site, "deploy", "-e", "demo", "--plan", str(file), "--yes")
    assert (code, document.get("kind")) == (5, "Moved"), document
    assert "fairlead plan --out" in document["hint"]
    page.write_text(was)
    assert told(site, "deploy", "-e", "guarded", "--plan", str(file), "--yes")[0] in (2, 5)
    code, document, _ = told(site, "deploy", "-e", "demo", "--plan", str(file), "api")
    assert (code, document["kind"]) == (2, "CallError")
    code, document, stderr = told(site, "deploy", "-e", "demo", "--plan", str(file), "--yes", "--no-watch")
    assert (code, document["deployment"]["state"]) == (0, "done"), stderr
    assert (site.estate.service("api") / "current/VERSION").read_text() == "v2\n", "the plan's artifact, not the source"
    site.estate.write_version("v2")
    assert told(site, "deploy", "-e", "demo", "--yes")[:2] == (0, {"deployment": None})
    assert "nothing to change" in operator.must(0, "deploy", "-e", "demo")
    assert told(site, "rollback", "nope", "-e", "demo", "--yes")[0] == 2


@pytest.mark.parametrize("text", ["{}", "\udcff\udcfe"], ids=ascii)
def test_what_is_no_plan_file(site: Site, tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    code, document, _ = told(site, "deploy", "-e", "demo", "--plan", str(file), "--yes")
    assert (code, document["exit"]) == (2, 2)
    assert "plan.json" in document["error"]


@pytest.mark.parametrize("words", [["--yes"], []], ids=["--yes without a plan that was seen", "nobody is there"])
def test_who_may_say_yes(site: Site, words: list[str]) -> None:
    """Where the environment says refuse, a program needs a plan file; without a terminal nobody can be asked."""
    site.document["environments"]["demo"]["unattended"] = "refuse"
    site.write()
    try:
        site.estate.write_version("v9")
        told(site, "db", "backup", "-e", "demo")
        code, document, _ = told(site, "deploy", "-e", "demo", "--no-watch", *words)
        assert (code, document["kind"]) == (5, "Refused"), document
        assert "fairlead deploy --plan FILE --yes" in document["hint"]
        assert told(site, "lock", "show", "-e", "demo")[1]["run"] == "-"
    finally:
        site.document["environments"]["demo"]["unattended"] = "allow"
        site.write()


def test_fairlead_yml_is_told_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "fairlead.yml").write_text("fairlead: 1\nproject: p\nservces: {}\nhosts: {a: {conect: ssh}}\n")
    done = Operator(tmp_path, tmp_path / "home").run("plan")
    assert (done.returncode, done.stdout) == (2, "")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: fairlead.yml:")]
    assert len(errors) >= 2
    assert "hint: " in done.stderr


def test_there_is_no_fairlead_yml(tmp_path: Path) -> None:
    done = Operator(tmp_path, tmp_path / "home").run("ready")
    assert done.returncode == 2
    assert "hint: `fairlead init`" in done.stderr


def test_init_writes_once(tmp_path: Path) -> None:
    operator = Operator(tmp_path, tmp_path / "home")
    operator.must(0, "init")
    text = (tmp_path / "fairlead.yml").read_text()
    done = operator.run("init", "--example", "plesk")
    assert done.returncode == 2
    assert (tmp_path / "fairlead.yml").read_text() == text


def test_the_whole_installation_without_access(tmp_path: Path) -> None:
    """Its hosts do not exist: one clear error for each of them, at once, and no traceback."""
    operator = Operator(tmp_path, tmp_path / "home")
    operator.must(0, "init", "--example", "plesk")
    began = time.monotonic()
    done = operator.run("plan", "--json", "-e", "staging")
    assert time.monotonic() - began < 30
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert "Traceback" not in done.stdout + done.stderr
    errors = document["error"].splitlines()
    hosts = yaml.safe_load((tmp_path / "fairlead.yml").read_text())["environments"]["staging"]["services"]
    used = {one["host"] for one in hosts.values() if "host" in one}
    assert len(errors) == len(set(errors))
    for host in used:
        assert len([line for line in errors if host in line]) == 1, document
    assert document["hint"]


def test_help_for_every_command() -> None:
    from click.testing import CliRunner

    from fairlead.surfaces.cli import COMMANDS, load, main

    assert CliRunner().invoke(main, ["--help"]).exit_code == 0
    for name in COMMANDS:
        done = CliRunner().invoke(load(name), ["--help"])
        assert (done.exit_code, "Usage:" in done.output) == (0, True), name
