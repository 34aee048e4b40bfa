from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from fairlead.demo.estate import DATABASES, DEPLOYED, SERVICES, Estate
from fairlead.demo.sources import install
from support.witness import Witness, difference, disagreements


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    built = Estate.create(tmp_path / "estate")
    try:
        built.install_v1()
        yield built
    finally:
        built.stop()


def ask(estate: Estate, name: str, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(estate.urls[name] + path, timeout=5) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def control(estate: Estate, *words: str) -> subprocess.CompletedProcess[str]:
    program = [estate.python, "-I", "-S", str(estate.home / "bin" / "control.py")]
    return subprocess.run([*program, *words], text=True, capture_output=True, timeout=20)


def restart(estate: Estate, name: str) -> subprocess.CompletedProcess[str]:
    return control(estate, "restart", name, str(estate.service(name)))


def switch_by_hand(estate: Estate, name: str, version: str) -> None:
    """What a deployment does, without a deployment."""
    for leftover in ("current", ".live", "log"):
        path = estate.service(name) / leftover
        shutil.rmtree(path) if leftover == "log" else path.unlink()
    install(estate.folder / "source" / name, estate.service(name), name, version)


def eventually(true: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def processes_of(estate: Estate) -> list[str]:
    lines = (path.read_bytes().replace(b"\0", b" ").decode() for path in living_command_lines())
    return [line for line in lines if str(estate.home) in line]


def living_command_lines() -> Iterator[Path]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if path.exists():
            yield path


def test_an_estate_starts_in_under_three_seconds_and_stops_without_a_trace(tmp_path: Path) -> None:
    began = time.monotonic()
    built = Estate.create(tmp_path)
    try:
        built.install_v1()
        seconds = time.monotonic() - began
        assert len(processes_of(built)) == len(SERVICES) + 1
    finally:
        built.stop()
    assert seconds < 15  # it takes half a second; this catches a start that waits for a timeout
    assert processes_of(built) == []


def test_all_seven_answer_and_say_from_which_release_they_were_started(estate: Estate) -> None:
    for name in SERVICES:
        status, page = ask(estate, name, "/")
        assert (status, b"v1" in page) == (200, True)
        assert json.loads(ask(estate, name, "/health")[1])["status"] == "healthy"
        assert json.loads(ask(estate, name, "/version")[1])["release"] == estate.release_of(name)
    assert disagreements(Witness.of(estate.folder).photograph()) == []


def test_the_seventeen_databases_belong_to_one_service_each() -> None:
    assert len(DATABASES) == 17
    assert sorted(base for databases in SERVICES.values() for base in databases) == sorted(DATABASES)


def test_identity_is_the_processs_and_not_the_links(estate: Estate) -> None:
    before = estate.release_of("api")
    estate.write_version("v2")
    switch_by_hand(estate, "api", "v2")
    assert json.loads(ask(estate, "api", "/version")[1])["release"] == before
    assert control(estate, "status", "api", str(estate.service("api"))).returncode == 1
    assert any("api" in line for line in disagreements(Witness.of(estate.folder).photograph()))
    assert restart(estate, "api").returncode == 0
    assert json.loads(ask(estate, "api", "/version")[1])["release"] == estate.release_of("api") != before
    assert disagreements(Witness.of(estate.folder).photograph()) == []


def test_the_release_on_the_host_is_named_by_its_tree_as_the_shell_computes_it(estate: Estate) -> None:
    from fairlead.model.tree import LISTING

    folder = estate.service("crm") / "current"
    told = subprocess.run(["sh", "-c", f"{LISTING} | sha256sum"], cwd=folder, capture_output=True, text=True)
    assert told.stdout[:12] == estate.release_of("crm")
    listing = subprocess.run(["sh", "-c", LISTING], cwd=folder, capture_output=True).stdout
    assert (folder.resolve().with_name(told.stdout[:12] + ".tree")).read_bytes() == listing


def test_rows_are_acknowledged_in_every_database_and_none_is_lost_over_a_restart(estate: Estate) -> None:
    witness = Witness.of(estate.folder)

    def databases_with_rows() -> set[str]:
        return {line.split()[0] for line in estate.acknowledged.read_text().splitlines()}

    assert eventually(lambda: len(databases_with_rows()) == 17)
    assert restart(estate, "crm").returncode == 0
    assert witness.lost_rows() == []


@pytest.mark.parametrize(
    ("mode", "path", "status"),
    [("unhealthy", "/health", 503), ("errors", "/health", 200), ("errors", "/version", 200)],
    ids=["unhealthy says so", "errors keeps its health good", "errors keeps its identity"],
)
def test_broken_versions_start_and_answer(estate: Estate, mode: str, path: str, status: int) -> None:
    estate.write_version("v3", broken="games", mode=mode)
    switch_by_hand(estate, "games", "v3")
    assert restart(estate, "games").returncode == 0
    assert ask(estate, "games", path)[0] == status


def test_a_version_with_errors_answers_more_and_more_pages_with_500(estate: Estate) -> None:
    estate.write_version("v3", broken="games")
    switch_by_hand(estate, "games", "v3")
    restart(estate, "games")
    log = estate.service("games") / "log" / "access.log"
    assert eventually(lambda: ask(estate, "games", "/")[0] == 500)
    assert '"GET / HTTP/1.1" 500 ' in log.read_text()


def test_a_version_that_dies_is_found_dead_after_it_was_started(estate: Estate) -> None:
    estate.write_version("v3", broken="n8n", mode="dead")
    switch_by_hand(estate, "n8n", "v3")
    assert restart(estate, "n8n").returncode == 0
    assert eventually(lambda: control(estate, "status", "n8n", str(estate.service("n8n"))).returncode == 3)


def test_a_service_that_cannot_start_is_told_with_its_last_words(estate: Estate) -> None:
    (estate.service("admin") / "current" / "service.json").unlink()
    told = restart(estate, "admin")
    assert told.returncode == 1
    assert "service.json" in told.stderr


def test_a_restart_that_is_killed_leaves_no_process_behind_that_nobody_knows(estate: Estate) -> None:
    program = [estate.python, "-I", "-S", str(estate.home / "bin" / "control.py")]
    for milliseconds in range(10, 90, 8):
        killed = subprocess.Popen([*program, "restart", "api", str(estate.service("api"))], stderr=subprocess.DEVNULL)
        time.sleep(milliseconds / 1000)
        killed.kill()
        killed.wait()
    assert restart(estate, "api").returncode == 0
    assert len([line for line in processes_of(estate) if "etc/api.json" in line]) == 1


def test_the_configuration_names_services_in_the_order_of_deployment(estate: Estate) -> None:
    document = yaml.safe_load(estate.write_config().read_text())
    assert tuple(document["services"]) == (*DEPLOYED, "website")
    assert document["databases"]["estate"]["names"].keys() == set(DATABASES)
    assert document["services"]["website"]["strategy"] == "verify_only"
    ssh = {"address": "127.0.0.1", "user": "deploy"}
    document = yaml.safe_load(estate.write_config("ssh", account=ssh, second=ssh, watch={"duration": "2s"}).read_text())
    demo = document["environments"]["demo"]
    assert document["hosts"].keys() == {"server", "annex"}
    assert demo["services"]["n8n"] == {
        "host": "annex",
        "path": str(estate.service("n8n")),
        "url": estate.urls["n8n"],
        "port": estate.ports["n8n"],
        "databases": ["n8n", "nextcloud"],
        "access_log": str(estate.service("n8n") / "log" / "access.log"),
    }
    assert demo["watch"]["duration"] == "2s"


def test_an_estate_is_found_again(estate: Estate) -> None:
    assert Estate.open(estate.folder) == estate


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (
            lambda e: (e.service("api") / "current" / "index.html").chmod(0o600),
            "api: current/index.html mode was 0o644, is 0o600",
        ),
        (lambda e: (e.service("api") / "current" / "more").touch(), "api: current/more was absent"),
        (lambda e: (e.service("crm") / "stray").touch(), "crm: stray was absent"),
        (lambda e: control(e, "stop", "crm", str(e.service("crm"))), "crm: its process is gone"),
        (lambda e: e.database("idp").write_bytes(b""), "mo_idp: 120 rows of entries are gone"),
        (lambda e: shutil.rmtree(e.service("games") / "releases"), "is gone"),
    ],
    ids=["a mode", "a file more", "a stray file", "a stopped process", "an emptied database", "a deleted release"],
)
def test_the_witness_notices(tmp_path: Path, what: Callable[[Estate], object], sentence: str) -> None:
    built = Estate.create(tmp_path)
    for name in SERVICES:
        install(built.folder / "source" / name, built.service(name), name, "v1")
    try:
        built.start(SERVICES)
        witness = Witness.of(built.folder)
        before = witness.photograph()
        assert difference(before, witness.photograph(), but=()) == []
        what(built)
        assert any(sentence in line for line in difference(before, witness.photograph()))
    finally:
        built.stop()


def test_the_witness_counts_rows_that_were_acknowledged_and_are_gone(estate: Estate) -> None:
    estate.stop()
    with estate.acknowledged.open("a") as journal:
        journal.write("mo_crm never-written\n")
    assert Witness.of(estate.folder).lost_rows() == ["mo_crm never-written"]
