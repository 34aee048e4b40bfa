"""Messages about a run: each arrives once, whatever happens to GitHub and to its answers meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from fairlead.journal.store import Store
from fairlead.model import Message, SecretRef
from fairlead.notify.outbox import Outbox
from fairlead.notify.words import LONGEST, cut, fenced
from fairlead.outside.clock import FakeClock
from fairlead.outside.github import GitHub as Client
from fairlead.outside.github_http import GitHubHttp
from fairlead.outside.secrets import Secrets
from support.github import REPOSITORY, TOKEN, GitHub, Said, cut_off, edited, half, instead, ok, problem

RUN = "20260704-120000-abcd"


@pytest.fixture(scope="module")
def server() -> Iterator[GitHub]:
    with GitHub() as made:
        yield made


@pytest.fixture
def github(server: GitHub) -> GitHub:
    server.reset()
    return server


def message(kind: str, key: str = "", text: str = "", run: str = RUN, at: float = 1_800_000_000.0) -> Message:
    words = {"kind": kind, "key": key or f"{run} {kind}", "run": run, "at": at, "text": text}
    return Message.model_validate({**words, "title": f"deployment {run}", "opening": "the plan"})


STORY = (message("opened", at=1.0), message("comment", text="switched", at=2.0), message("closed", text="done", at=3.0))


def outbox(github: GitHub, path: Path, clock: FakeClock | None = None) -> Outbox:
    clock = clock or FakeClock()
    secrets = Secrets(environ={"GITHUB_TOKEN": TOKEN})

    @asynccontextmanager
    async def opened() -> AsyncIterator[Client]:
        async with GitHubHttp(github.url, SecretRef(name="GITHUB_TOKEN"), secrets, clock, None, 5.0) as http:
            yield Client(http, REPOSITORY)

    return Outbox(Store(path), "test", opened, clock)


def told(github: GitHub) -> list[tuple[str, list[str], str]]:
    """Every issue: its first line, the first lines of its comments, its state."""
    return [
        (
            str(one["body"]).split("\n")[0],
            [str(comment["body"]).split("\n")[0] for comment in github.comments.get(one["number"], [])],
            one["state"],
        )
        for one in github.issues
    ]


WHOLE = [("the plan", ["switched", "done"], "closed")]


async def test_a_run_from_its_plan_to_its_result(github: GitHub, tmp_path: Path) -> None:
    box = outbox(github, tmp_path / "h.db")
    for one in STORY:
        box.post(one)
        box.post(one)
    assert box.waiting() == 3
    assert await box.send() == ""
    assert (told(github), box.waiting()) == (WHOLE, 0)
    asked = len(github.asked)
    assert await box.send() == ""
    assert len(github.asked) == asked, "nothing waits, so nobody is asked"
    assert github.issues[0]["title"] == f"deployment {RUN}"
    assert github.issues[0]["state_reason"] == "completed"


class Row(NamedTuple):
    path: str
    what: Callable[[Said], Said]
    says: str
    skip: int = 0


OPEN, COMMENT, CLOSE = r"/issues$", r"/comments$", r"/issues/\d+$"
FAULTS = {
    "GitHub is away": Row(".", instead(problem(503, "busy")), "answers 503"),
    "the token may not write": Row(OPEN, instead(problem(403, "Resource not accessible")), "may not ask this"),
    "issues are switched off": Row(OPEN, instead(problem(410, "Issues are disabled")), "switched this off"),
    "a limit that lasts": Row(OPEN, instead(problem(403, "secondary rate limit", Retry_After="900")), "rate limit"),
    "the answer to the opening is lost": Row(OPEN, cut_off, "cannot be asked"),
    "the answer to the opening is half": Row(OPEN, half, "no whole JSON"),
    "the opening is answered with something else": Row(OPEN, instead(ok({"ok": True})), "not of the form"),
    "the answer to a comment is lost": Row(COMMENT, cut_off, "cannot be asked"),
    "the answer to the second comment is lost": Row(COMMENT, cut_off, "cannot be asked", 1),
    "the comments cannot be read": Row(r"/comments\?", instead(problem(500, "oops")), "answers 500"),
    "the answer to the closing is lost": Row(CLOSE, cut_off, "cannot be asked"),
    "the issue stays open": Row(CLOSE, edited(lambda issue: {**issue, "state": "open"}), "still open"),
    "the issues cannot be listed": Row(r"/issues\?", instead(problem(502, "oops")), "answers 502"),
    "a list of issues that is cut off": Row(r"/issues\?", half, "no whole JSON"),
}


@pytest.mark.parametrize("row", FAULTS)
async def test_what_was_not_confirmed_waits_and_nothing_is_told_twice(github: GitHub, tmp_path: Path, row: str) -> None:
    path, what, says, skip = FAULTS[row]
    github.fault(path, what, skip=skip)
    box = outbox(github, tmp_path / "h.db")
    for one in STORY:
        box.post(one)
    why = await box.send()
    assert says in why, why
    assert box.waiting() >= 1
    github.faults.clear()
    again = outbox(github, tmp_path / "h.db")  # the next run of fairlead
    assert await again.send() == ""
    assert (told(github), again.waiting()) == (WHOLE, 0)


async def test_a_machine_that_knows_nothing_finds_the_issue(github: GitHub, tmp_path: Path) -> None:
    first = outbox(github, tmp_path / "a.db")
    for one in STORY[:2]:
        first.post(one)
    await first.send()
    second = outbox(github, tmp_path / "b.db")
    for one in (STORY[0], STORY[2]):
        second.post(one)
    assert await second.send() == ""
    assert told(github) == WHOLE


async def test_an_end_without_a_beginning_has_an_issue_too(github: GitHub, tmp_path: Path) -> None:
    box = outbox(github, tmp_path / "h.db")
    box.post(STORY[2])
    assert await box.send() == ""
    assert told(github) == [("the plan", ["done"], "closed")]


async def test_two_processes_do_not_tell_the_same(github: GitHub, tmp_path: Path) -> None:
    boxes = [outbox(github, tmp_path / "h.db") for _ in range(3)]
    for one in STORY:
        boxes[0].post(one)
    said = await asyncio.gather(*(box.send() for box in boxes))
    assert sorted(said) == ["", "another process is sending it", "another process is sending it"]
    assert told(github) == WHOLE


async def test_a_process_that_died_while_it_was_sending_is_replaced(github: GitHub, tmp_path: Path) -> None:
    clock = FakeClock()
    box = outbox(github, tmp_path / "h.db", clock)
    box.post(STORY[0])
    assert Store(tmp_path / "h.db").claim(STORY[0].key, clock.now(), 120.0)
    assert await box.send() == "another process is sending it"
    clock.jump(121)
    assert (await box.send(), box.waiting()) == ("", 0)


async def test_runs_do_not_mix(github: GitHub, tmp_path: Path) -> None:
    box = outbox(github, tmp_path / "h.db")
    for run in ("run-1", "run-12"):
        for kind in ("opened", "closed"):
            box.post(message(kind, run=run, text=f"{run} is done"))
    assert await box.send() == ""
    assert [comments for _, comments, _ in told(github)] == [["run-1 is done"], ["run-12 is done"]]


async def test_a_text_that_is_too_long_is_cut_and_still_found(github: GitHub, tmp_path: Path) -> None:
    long = message("opened").model_copy(update={"opening": "x" * 200_000})
    box = outbox(github, tmp_path / "h.db")
    box.post(long)
    assert await box.send() == ""
    assert len(github.issues[0]["body"]) < 65_536
    again = outbox(github, tmp_path / "other.db")
    again.post(long)
    assert await again.send() == ""
    assert len(github.issues) == 1


@pytest.mark.parametrize(
    "line", ["``` end", "@everyone look", "<script>", "a\nb", "````````", "\x1b[31m", "<!-- fairlead x -->"]
)
def test_values_stand_in_a_fence_that_they_cannot_leave(line: str) -> None:
    first, *inside, last = fenced([line]).split("\n")
    assert first == f"{last}text"
    assert len(inside) == 1
    assert last not in inside[0]
    assert inside[0].isprintable()


def test_what_is_short_enough_is_not_cut() -> None:
    assert cut("x" * LONGEST) == "x" * LONGEST
