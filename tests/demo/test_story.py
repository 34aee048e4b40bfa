from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fairlead.demo.estate import Estate
from fairlead.demo.prober import Prober, longest_gap
from fairlead.demo.story import command, shortcomings
from support.rows import some_long
from support.witness import Witness

PRETENDER = Path(__file__).parent / "pretender"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its folder; the commands that it starts are those of the pretender."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(PRETENDER))
    return tmp_path


def tell(how: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> Result:
    monkeypatch.setenv("PRETENDER", how)
    return CliRunner().invoke(command, ["--json", *options])


def test_a_story_that_goes_well_leaves_the_papers_and_one_document(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tell("honest", monkeypatch, "--broken", "crm")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [act["exit"] for act in document["acts"]] == [1, 0, 0, 0, 3]
    assert {s["name"]: (s["version"], s["identity_proven"]) for s in document["services"]} == {
        **dict.fromkeys(("api", "crm", "frontend", "games", "admin", "n8n"), ("v2", True)),
        "website": ("v1", True),
    }
    assert (document["databases"], document["rows_lost"]) == ({"reachable": 17, "total": 17}, 0)
    assert (document["schemas"], document["rows_kept"] > 0) == ({"votes": "v2", "crm": "v2"}, True)
    assert document["downtime_ms"]["crm"] > document["downtime_ms"]["website"] > 0
    (folder,) = temporary.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.post-mortem.md"]
    assert processes_below(temporary) == []


UNTRUE = {
    "always ready": "`fairlead ready` exited 0 where 1 was expected",
    "idle": "no visitor ever saw v2 of api",
    "mixed": "what games says it is could not be proven",
    "loses rows": "acknowledged rows are lost",
    "no post-mortem": "`fairlead report` wrote no post-mortem",
}
"""What a product that is not what it says does, and the sentence that must come of it."""


@pytest.mark.parametrize("how", some_long(UNTRUE, ("mixed", "loses rows")))
def test_the_demo_does_not_believe_what_it_is_told(temporary: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    result = tell(how, monkeypatch)
    assert result.exit_code == 1
    assert UNTRUE[how] in result.stderr
    assert json.loads(result.stdout)["acts"]
    assert processes_below(temporary) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_demo_stops_everything_it_started(tmp_path: Path, number: signal.Signals) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "PRETENDER": "slow"}
    start = f"import os; os.environ['PYTHONPATH'] = {str(PRETENDER)!r}; import fairlead.demo.story as s; s.command()"
    demo = subprocess.Popen(
        [sys.executable, "-I", "-c", start],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert demo.stdout
    for line in demo.stdout:
        if b"fairlead deploy" in line:
            break
    assert len(processes_below(tmp_path)) >= 8
    if number == signal.SIGINT:
        os.killpg(demo.pid, number)  # as the terminal does: to the demo and to its command
    else:
        demo.send_signal(number)
    demo.communicate(timeout=20)
    assert demo.returncode
    assert processes_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def processes_below(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line and str(os.getpid()) != path.parts[2]:
            found.append(line)
    return found


def test_keep_leaves_it_up_and_says_how_to_stop_it(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETENDER", "honest")
    result = CliRunner().invoke(command, ["--keep"])
    (folder,) = temporary.iterdir()
    try:
        assert result.exit_code == 0, result.exception
        assert None not in Witness.of(folder).standing().values()
        stop = result.output.partition("stop it:")[2].strip().splitlines()[0]
        subprocess.run(["sh", "-c", stop], check=True, timeout=20)
        assert processes_below(temporary) == []
        assert not folder.exists()
    finally:
        if folder.exists():
            Estate.open(folder).stop()


@pytest.mark.parametrize(
    ("good", "seconds"),
    [
        ([], 10.0),
        ([5.0], 5.0),
        ([1.0, 2.0, 3.0, 7.5, 8.0, 9.0], 4.5),
        ([1.0, 2.0, 3.0], 7.0),
        ([-5.0, 4.0, 8.0, 12.0], 4.0),
    ],
    ids=[
        "no answer at all",
        "one answer",
        "a gap in the middle",
        "no answer at the end",
        "answers outside do not count",
    ],
)
def test_downtime_is_the_longest_time_without_a_good_answer(good: list[float], seconds: float) -> None:
    assert longest_gap(good, 0.0, 10.0) == seconds


def test_downtime_is_seen_where_it_was_and_not_elsewhere(tmp_path: Path) -> None:
    estate = Estate.create(tmp_path)
    try:
        estate.install_v1()
        with Prober(estate.ports) as prober:
            time.sleep(0.2)
            since = time.monotonic()
            command = [*estate.control, "stop", "games", str(estate.service("games"))]
            subprocess.run(command, check=True)
            time.sleep(0.4)
            estate.start(["games"])
            time.sleep(0.2)
            gaps = prober.longest_gap_ms(since, time.monotonic())
        assert 400 < gaps["games"] < 1500
        assert gaps["crm"] < 400
        assert prober.saw("games", "v1")
        assert not prober.saw("games", "v2")
    finally:
        estate.stop()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({}, []),
        ({"rows_lost": 3}, ["3 acknowledged rows are lost"]),
        ({"schemas": {"crm": "v3"}}, ["the data of crm is v3's, not v2's"]),
        (
            {"rows_kept": 0},
            ["nothing that visitors wrote after v3's migrations was kept beside the data that came back"],
        ),
        ({"databases": {"reachable": 16, "total": 17}}, ["not every database is reachable"]),
        ({"services": [{"name": "crm", "version": "v3", "identity_proven": True}]}, ["crm is v3, not v2"]),
        ({"services": [{"name": "website", "version": "v1", "identity_proven": True}]}, []),
        (
            {"services": [{"name": "n8n", "version": "v2", "identity_proven": False}]},
            ["what n8n says it is could not be proven"],
        ),
    ],
    ids=[
        "all as promised",
        "lost rows",
        "data left",
        "nothing kept",
        "a silent database",
        "stuck on v3",
        "the website stays",
        "no proof",
    ],
)
def test_shortcomings(change: dict[str, object], sentence: list[str]) -> None:
    document = {"rows_lost": 0, "databases": {"reachable": 17, "total": 17}, "services": []}
    document |= {"schemas": {"votes": "v2"}, "rows_kept": 1}
    assert shortcomings({**document, **change}) == sentence
