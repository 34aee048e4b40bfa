"""What gates have said, kept and bound to a commit: when it counts again, when it does not, and who may override it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fairlead.app import Fairlead
from fairlead.checks import gates
from fairlead.checks.gate import Gate, GateContext
from fairlead.model import Evidence, Finding
from fairlead.outside.clock import FakeClock
from support.gated import Site
from support.github import OTHER, TOKEN, GitHub, run


@pytest.fixture(scope="module")
def server() -> Iterator[GitHub]:
    with GitHub() as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, server: GitHub, monkeypatch: pytest.MonkeyPatch) -> Site:
    server.reset()
    made = Site(tmp_path, server)
    for name, value in made.operator.env().items():
        if name.startswith("XDG_") or name == "GITHUB_TOKEN":
            monkeypatch.setenv(name, value)
    return made


@asynccontextmanager
async def opened(site: Site, clock: FakeClock | None = None) -> AsyncIterator[Fairlead]:
    async with Fairlead(site.file, "test", clock=clock or FakeClock(time.time())) as app:
        yield app


def nothing(site: Site, clock: FakeClock) -> None:
    """The world stands still."""


def time_passes(site: Site, clock: FakeClock) -> None:
    clock.jump(14 * 60)


def too_much_time_passes(site: Site, clock: FakeClock) -> None:
    clock.jump(16 * 60)


def the_clock_is_set_back(site: Site, clock: FakeClock) -> None:
    clock.jump(-60)


def another_commit(site: Site, clock: FakeClock) -> None:
    site.commit("v2")


def not_committed(site: Site, clock: FakeClock) -> None:
    (site.folder / "source/api/VERSION").write_text("by hand\n")


def another_file(site: Site, clock: FakeClock) -> None:
    site.file.write_text(site.file.read_text().replace("acme/shop", "acme/shop").replace("15m", "14m"))
    site.git("commit", "-qam", "x")
    site.git("reset", "-q", "--soft", "HEAD~1")


MOVES: dict[str, tuple[Callable[[Site, FakeClock], None], bool]] = {
    "nothing has moved": (nothing, False),
    "fourteen minutes later": (time_passes, False),
    "sixteen minutes later": (too_much_time_passes, True),
    "a clock that goes backwards": (the_clock_is_set_back, True),
    "another commit": (another_commit, True),
    "something is not committed": (not_committed, True),
    "another fairlead.yml": (another_file, True),
}


@pytest.mark.parametrize("row", MOVES)
async def test_what_gates_said_counts_while_nothing_moves(site: Site, row: str) -> None:
    move, again = MOVES[row]
    clock = FakeClock(time.time())
    async with opened(site, clock) as app:
        first = await app.readiness.ask()
        assert not first.blocking, first.blocking
        site.asked()
        clock.jump(1)
        move(site, clock)
    async with opened(site, clock) as app:
        told = await app.readiness.ask(await app.plan())
    assert bool(site.asked()) == again
    assert [one.gate for one in told.gates] == ["hosts", "lock", "commit", "ci", "behind"]
    before = {one.gate: one.at for one in first.gates}
    assert all((one.at == before[one.gate]) != again for one in told.gates if one.gate in ("ci", "behind"))
    assert all(one.at == clock.now() for one in told.gates if one.gate in ("hosts", "lock")), "these are always asked"


async def test_whoever_asks_for_readiness_gets_a_fresh_answer(site: Site) -> None:
    async with opened(site) as app:
        await app.readiness.ask()
        site.asked()
        await app.readiness.ask()
    assert site.asked()


async def test_a_no_is_asked_again(site: Site) -> None:
    head = site.commit("v2")
    site.github.runs = [run(conclusion="failure", head_sha=head)]
    async with opened(site) as app:
        plan = await app.plan()
        assert [one.gate for one in (await app.readiness.ask(plan)).blocking] == ["ci"]
        site.github.runs = [run(head_sha=head)]
        assert not (await app.readiness.ask(plan)).blocking


async def test_what_was_said_of_one_plan_does_not_count_for_another(site: Site) -> None:
    async with opened(site) as app:
        await app.readiness.ask(await app.plan(["api"]))
        site.asked()
        await app.readiness.ask(await app.plan(["api"]))
        assert not site.asked()
        await app.readiness.ask(await app.plan())
        assert site.asked()


async def test_a_plan_is_asked_about_by_its_own_commit(site: Site) -> None:
    first = site.git("rev-parse", "HEAD")
    async with opened(site) as app:
        plan = await app.plan()
        assert (plan.commit, plan.uncommitted) == (first, ())
        second = site.commit("v2")
        site.asked()
        told = await app.readiness.ask(plan)
        assert site.asked() == {first}
        assert told.commit == first
        assert (await app.readiness.ask()).commit == second
        assert site.asked() == {second}
        assert {one.gate for one in told.blocking} == {"ci"}, "its check runs are those of the other commit"


async def test_tools_are_not_asked_about_a_commit_that_is_not_there(site: Site) -> None:
    report = '{format: gitleaks, run: [printf, "[]"]}'
    site.file.write_text(site.file.read_text().replace("valid: 15m", f"security: {{reports: [{report}]}}"))
    site.commit("v2")
    async with opened(site) as app:
        plan = await app.plan()
        assert not (await app.readiness.ask(plan)).blocking
        site.commit("v3")
        app.clock = FakeClock(time.time() + 3600)
        [security] = [one for one in (await app.readiness.ask(plan)).gates if one.gate == "security"]
    assert (security.status, "another commit is checked out" in security.says) == ("unknown", True)


async def test_a_plan_remembers_what_was_not_committed(site: Site) -> None:
    not_committed(site, FakeClock())
    async with opened(site) as app:
        plan = await app.plan()
        assert plan.uncommitted == ("source/api/VERSION",)
        site.git("commit", "-qam", "later")
        told = await app.readiness.ask(plan)
        commit = next(one for one in told.gates if one.gate == "commit")
        assert (commit.status, "source/api/VERSION" in commit.says) == ("warn", True)
        assert (await app.again(plan)).hash == plan.hash


async def test_a_commit_that_git_does_not_have(site: Site) -> None:
    async with opened(site) as app:
        plan = (await app.plan()).model_copy(update={"commit": OTHER})
        told = await app.readiness.ask(plan)
    assert {one.gate for one in told.blocking} == {"commit", "ci", "behind"}
    assert all("git does not have the commit" in one.says for one in told.blocking)


async def test_kept_evidence_that_was_changed_does_not_count(site: Site) -> None:
    async with opened(site) as app:
        told = await app.readiness.ask()
        [kept] = app.store.evidence("test")
        assert (kept.hash, kept.commit) == (told.evidence, site.git("rev-parse", "HEAD"))
        assert Evidence.model_validate_json(kept.to_json()) == kept
        app.store._write(
            "update evidence set body = ? where hash = ?",
            [(kept.model_copy(update={"commit": OTHER}).to_json(), kept.hash)],
        )
        assert app.store.evidence("test") == []


# -- by the command line


def told(site: Site, code: int, *words: str) -> str:
    done = site.operator.run(*words)
    assert done.returncode == code, done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout + done.stderr


GO = ("deploy", "--yes", "--no-watch")


def test_a_deployment_does_not_start_while_a_gate_says_no(site: Site) -> None:
    head = site.commit("v2")
    site.github.runs = [run("test", "failure", head_sha=head)]
    said = told(site, 1, *GO)
    assert "not ready: test: ended with failure" in said
    assert "hint: https://github.example/runs/test" in said
    assert not (site.folder.parent / "home/srv").exists()
    assert told(site, 0, "lock", "show").count("no open run") == 1
    assert "blocked by ci" in told(site, 1, "ready")

    assert "says why" in told(site, 2, *GO, "--override", "ci")
    assert "says why" in told(site, 2, *GO, "--override", "ci", "--reason", " ")
    assert "cannot be overridden" in told(site, 2, *GO, "--override", "lock", "--reason", "x")
    assert "no gate 'cii' was asked" in told(site, 2, *GO, "--override", "cii", "--reason", "x")
    assert "not ready" in told(site, 1, *GO, "--override", "behind", "--reason", "another one than what blocks")
    assert not (site.folder.parent / "home/srv").exists()

    said = told(site, 0, *GO, "--override", "ci", "--override", "behind", "--reason", "the tests are wrong")
    assert "ci is overridden: ended with failure" in said
    [one] = json.loads(told(site, 0, "history", "--json"))["deployments"]
    assert (one["overridden"], one["reason"]) == (["ci"], "the tests are wrong"), "only what was in the way"
    assert len(one["evidence"]) == 64
    assert "overridden: ci" in told(site, 0, "history")


def test_a_deployment_that_passes_all_gates_says_so_in_its_record(site: Site) -> None:
    before = json.loads(told(site, 0, "ready", "--json"))["evidence"]
    site.asked()
    told(site, 0, *GO)
    assert not site.asked(), "what was said a moment ago still counts"
    [one] = json.loads(told(site, 0, "history", "--json"))["deployments"]
    assert (one["overridden"], len(one["evidence"])) == ([], 64)
    assert one["evidence"] != before, "hosts and lock were asked again"


def test_readiness_is_one_screen(site: Site) -> None:
    lines = told(site, 0, "ready").splitlines()
    assert [line.split()[1] for line in lines[:-1]] == ["hosts", "lock", "commit", "ci", "behind"]
    assert lines[-1] == "ready for deployment"


async def test_status_is_the_activation_report(site: Site) -> None:
    async with opened(site) as app:
        told = await app.readiness.status()
        assert (told.branch, told.commit) == ("main", site.git("rev-parse", "HEAD"))
        assert (told.gates_open, told.gates_total, told.ready) == (2, 2, True)
        site.github.runs = [run("test", "failure", head_sha=told.commit)]
        told = await app.readiness.status()
        assert (told.gates_open, told.gates_total, told.ready) == (1, 2, False)
        assert app.store.evidence("test") == [], "it is no question whose answer a deployment may rely on"


async def test_status_does_not_wait_for_slow_gates(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def slow(context: GateContext) -> Gate:
        async def look() -> list[Finding]:
            asked.append("slow")
            return [Finding(check="slow", subject="x", status="ok", says="fine")]

        return Gate("behind", "something slow", look, limit=300.0)

    monkeypatch.setattr(gates, "GATES", {**gates.GATES, "behind": slow})
    async with opened(site) as app:
        told = await app.readiness.status()
        behind = told.gate("behind")
        assert behind is not None
        assert (behind.status, asked, told.ready) == ("unknown", [], False)
        assert "fairlead ready" in behind.hint
        await app.readiness.ask()
        told = await app.readiness.status()
        assert (told.gates_open, told.ready, asked) == (2, True, ["slow"])
        site.commit("v2")
        assert not (await app.readiness.status()).ready, "it was said of another commit"


def test_status_for_people(site: Site) -> None:
    said = told(site, 0, "status").splitlines()
    head = site.git("rev-parse", "HEAD")[:12]
    assert said[:5] == [
        "last deployment: none yet",
        f"branch: main at {head}, CI: ok, ended with success",
        "databases: 0/0",
        "ssh: 1/1 accounts can be worked on",
        "gates: 2/2 open",
    ]
    assert said[-1] == "ready to ask `fairlead ready`"
    site.github.compare = {"status": "behind", "ahead_by": 0, "behind_by": 4}
    assert "lacks 4 commits of main" in told(site, 1, "status")


async def test_gates_that_only_wait_are_waited_for_together(site: Site) -> None:
    """All of it takes at most one and a half times what the slowest takes, measured in one run."""
    waiting = ", ".join(f"w{number}: {{run: [sleep, '{1 + number / 20}']}}" for number in range(12))
    site.file.write_text(site.file.read_text().replace("ask: [commit, ci, behind]", f"own: {{{waiting}}}"))
    async with opened(site) as app:
        began = time.monotonic()
        told = await app.readiness.ask()
        took = (time.monotonic() - began) * 1000
    slowest = max(one.ms for one in told.gates)
    assert sum(one.gate.startswith("w") for one in told.gates) == 12
    assert told.ok and slowest >= 1500
    assert took <= 1.5 * slowest, f"{took:.0f} ms, and the slowest {slowest:.0f} ms"
