from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlead.journal.store import KEEP_ANSWERS, MIGRATIONS, Store
from fairlead.model import Deployment, ErrorShare, Finding, Report, Sample, StepTime
from fairlead.outside.github_http import Kept


def deployment(run: str, started: float = 1.0, environment: str = "production", **more: object) -> Deployment:
    words = {"id": run, "project": "p", "environment": environment, "kind": "deploy", "state": "open", "plan": "0" * 64}
    return Deployment.model_validate({**words, "started": started, **more})


def step(name: str, seconds: float, started: float = 1.0, rc: int = 0) -> StepTime:
    return StepTime(step=name, title=name, service="api", what="do", started=started, seconds=seconds, rc=rc)


def report(run: str = "r1") -> Report:
    return Report(
        deployment=deployment(run, versions={"api": "abc 1.0"}, why_back='it\'s "broken"; drop table x; --'),
        steps=(step("api.upload", 1.5, 1.0), step("api.switch", 0.5, 3.0)),
        samples=(
            Sample(at=1.0, service="api", ok=True, ms=3.0),
            Sample(at=2.0, service="api", ok=None, ms=9, says="429"),
        ),
        shares=(ErrorShare(at=2.0, service="api", source="probes", requests=10, errors=1),),
        findings=(Finding(check="http", subject="api", status="ok", says="answers", ms=1.0),),
        timeline=((1.0, "begun"), (2.0, "ended")),
        downtime_ms={"api": 12.5},
    )


def test_a_report_comes_back_as_it_was_saved_also_in_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.db"
    first = Store(path)
    first.save_report(report())
    first.close()
    second = Store(path)
    assert second.report("r1") == report()
    assert (second.report("nothing"), second.load("nothing"), second.warnings) == (None, None, [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_saving_twice_keeps_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "h.db")
    store.save_report(report())
    store.save_report(report())
    assert store.report("r1") == report()
    assert len(store.history()) == 1


def test_history_is_newest_first_by_environment_and_limited(tmp_path: Path) -> None:
    store = Store(tmp_path / "h.db")
    for number in range(5):
        store.save(deployment(f"r{number}", float(number), "staging" if number == 2 else "production"))
    assert [one.id for one in store.history("production", limit=3)] == ["r4", "r3", "r1"]
    assert [one.id for one in store.history("staging")] == ["r2"]
    assert [one.id for one in store.history()] == ["r4", "r3", "r2", "r1", "r0"]


def test_durations_are_those_of_the_last_success_in_that_environment(tmp_path: Path) -> None:
    store = Store(tmp_path / "h.db")
    store.save(deployment("old", 1.0, state="done", ended=31.0))
    store.save(deployment("new", 100.0, state="back", ended=105.0))
    store.save(deployment("other", 200.0, "staging"))
    store.add_steps("old", [step("api.upload", 5.0, 1.0), step("api.switch", 0.5, 2.0)])
    store.add_steps("new", [step("api.upload", 7.0, 101.0), step("api.switch", 99.0, 102.0, rc=1)])
    store.add_steps("other", [step("api.upload", 1000.0, 201.0)])
    assert store.durations("production") == {"api.upload": 7.0, "api.switch": 0.5}
    assert store.durations("production", "undo") == {}
    assert (store.total_seconds("production"), store.total_seconds("staging")) == (30.0, None)


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to have been one " * 40)


def torn(path: Path) -> None:
    """The head is right and the pages are not, as after a disk fault."""
    Store(path).close()
    raw = path.read_bytes()
    path.write_bytes(raw[:100] + b"\xff" * (len(raw) - 100))


def foreign(path: Path) -> None:
    """Somebody else's database with our format number."""
    with sqlite3.connect(path) as db:
        db.execute("create table other (a)")
        db.execute("pragma user_version = 1")
    db.close()


@pytest.mark.parametrize("spoil", [garbage, torn, foreign])
def test_a_damaged_file_is_moved_aside_and_begun_anew(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "h.db"
    spoil(path)
    spoilt = path.read_bytes()
    store = Store(path)
    store.save_report(report())
    assert store.report("r1") == report()
    assert "moved to" in store.warnings[0] and len(store.warnings) == 1
    aside = tmp_path / "h.db.damaged-1"
    assert aside.read_bytes()[:16] == spoilt[:16]
    store.close()
    assert Store(path).report("r1") == report()


def test_damage_while_it_is_open_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    store = Store(path)
    store.save(deployment("r1"))
    store._db.execute("drop table deployments")
    assert store.history() == []
    store.save(deployment("r2"))
    assert [one.id for one in store.history()] == ["r2"]
    assert len(store.warnings) == 1


def not_a_folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "h.db"


def a_folder(tmp_path: Path) -> Path:
    (tmp_path / "h.db").mkdir()
    return tmp_path / "h.db"


def newer(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "h.db") as db:
        db.execute("pragma user_version = 99")
    db.close()
    return tmp_path / "h.db"


def proc(tmp_path: Path) -> Path:
    """Where even root cannot write."""
    return Path("/proc/fairlead/h.db")


@pytest.mark.parametrize("place", [not_a_folder, a_folder, newer, proc])
def test_without_a_place_it_works_in_memory_and_says_so(tmp_path: Path, place: Callable[[Path], Path]) -> None:
    path = place(tmp_path)
    before = path.read_bytes() if path.is_file() else None
    store = Store(path)
    store.save_report(report())
    assert store.report("r1") == report()
    assert store.warnings and store.warnings[0].startswith(f"no local history this time: {path}: ")
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_line_of_another_version_is_left_out_with_a_warning(tmp_path: Path) -> None:
    store = Store(tmp_path / "h.db")
    with store._db:
        store._db.execute("insert into deployments values ('x', 'production', 1, '{\"id\": \"x\"}')")
    assert store.history() == []
    assert "cannot be read" in store.warnings[0]


def fill(path: Path, start: int) -> None:
    store = Store(path)
    for number in range(start, start + 20):
        store.save(deployment(f"r{number}", float(number)))
    os._exit(len(store.warnings))


def test_several_processes_begin_and_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=fill, args=(path, 100 * n)) for n in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert len(Store(path).history(limit=1000)) == 120


def test_an_answer_is_kept_until_newer_ones_have_taken_its_place(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    store = Store(path)
    assert store.recall("a") is None
    store.keep("a", Kept("e1", b"\x00{}", ""))
    store.keep("a", Kept("e2", b"[1]", "https://next"))
    assert Store(path).recall("a") == Kept("e2", b"[1]", "https://next")
    for number in range(KEEP_ANSWERS + 5):
        store.keep(f"b{number}", Kept("e", b"", ""))
    assert (store.recall("a"), store.recall("b5"), store.warnings) == (None, Kept("e", b"", ""), [])
    assert store.recall(f"b{KEEP_ANSWERS + 4}") is not None
    store.close()


def test_a_file_of_the_first_format_is_brought_forward(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    with sqlite3.connect(path) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        old.execute("pragma user_version = 1")
    old.close()
    store = Store(path)
    store.keep("a", Kept("e", b"{}", ""))
    assert (store.recall("a"), store.warnings) == (Kept("e", b"{}", ""), [])
    store.close()
