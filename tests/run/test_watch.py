"""When a watch says that it must go back, from real log files and from half an hour that takes milliseconds."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from fairlead.model import Check, ErrorShare, Finding, HttpCheck, Sample, WatchRules, WatchTarget
from fairlead.outside.clock import FakeClock
from fairlead.run.watch import _COUNT, Evidence, Watch, down_since, enough, in_window, judge
from support.small import HERE, Site, site

RULES = WatchRules()  # half an hour, every 30 s, down for 120 s, 5 % of the last 300 s, at least 20 requests
NOW = 1_000_000.0
GOOD, BAD, UNKNOWN = True, False, None


def looks(answers: Iterable[bool | None], service: str = "api", every: float = 30.0) -> list[Sample]:
    """One look every so often, the last one now."""
    several = list(answers)
    return [
        Sample(at=NOW - every * (len(several) - 1 - number), service=service, ok=ok, ms=1.0)
        for number, ok in enumerate(several)
    ]


def share(requests: int, errors: int, *, ago: float = 0.0, source: str = "access_log") -> ErrorShare:
    given = {"at": NOW - ago, "service": "api", "source": source, "requests": requests, "errors": errors}
    return ErrorShare.model_validate(given)


@pytest.mark.parametrize(
    ("answers", "since"),
    [
        pytest.param([], None, id="never looked"),
        pytest.param([GOOD], None, id="good"),
        pytest.param([BAD], 0, id="bad just now"),
        pytest.param([GOOD, BAD, BAD], 30, id="bad for one look"),
        pytest.param([BAD, GOOD], None, id="good again"),
        pytest.param([UNKNOWN, UNKNOWN], None, id="429 is not down"),
        pytest.param([BAD, UNKNOWN, UNKNOWN], 60, id="429 does not end it"),
        pytest.param([GOOD, UNKNOWN, BAD], 0, id="429 does not begin it"),
        pytest.param([BAD, BAD, GOOD, BAD], 0, id="counts from the last good one"),
    ],
)
def test_down_since(answers: list[bool | None], since: float | None) -> None:
    assert down_since(looks(answers)) == (None if since is None else NOW - since)


JUDGED: dict[str, tuple[Evidence, str]] = {
    "nothing seen": (Evidence(), ""),
    "all good": (Evidence(looks([GOOD] * 20)), ""),
    "one transient error": (Evidence(looks([GOOD] * 9 + [BAD, GOOD])), ""),
    "down, but not long enough": (Evidence(looks([GOOD] + [BAD] * 4)), ""),
    "down for the limit": (Evidence(looks([GOOD] + [BAD] * 5)), "has not answered rightly for 120 s"),
    "down from the first look on": (Evidence(looks([BAD] * 5)), "has not answered rightly for 120 s"),
    "429 all the time": (Evidence(looks([UNKNOWN] * 40)), ""),
    "429 after it went down": (Evidence(looks([GOOD, BAD, BAD, UNKNOWN, UNKNOWN, BAD])), "has not answered rightly"),
    "log: over the limit": (Evidence(looks([GOOD]), [share(100, 6)]), "6 of 100 requests to api failed"),
    "log: at the limit": (Evidence(looks([GOOD]), [share(100, 5)]), ""),
    "log: too few requests to judge": (Evidence(looks([GOOD]), [share(19, 19)]), ""),
    "log: just enough requests": (Evidence(looks([GOOD]), [share(20, 2)]), "2 of 20 requests"),
    "log: one error is never enough": (Evidence(looks([GOOD]), [share(20, 1)]), ""),
    "log: no traffic": (Evidence(looks([GOOD] * 10), [share(0, 0)]), ""),
    "log: summed over the window": (Evidence(looks([GOOD]), [share(10, 0, ago=60), share(10, 2)]), "2 of 20"),
    "log: older than the window": (Evidence(looks([GOOD]), [share(100, 100, ago=300), share(30, 0)]), ""),
    "log: good, though our probes fail": (Evidence(looks([GOOD, BAD] * 6), [share(1000, 3)]), ""),
    "log: too few requests, so the probes count": (
        Evidence(looks([GOOD, BAD, BAD, GOOD, BAD] * 2), [share(5, 0)]),
        "by probes",
    ),
    "probes: two of ten may be chance": (Evidence(looks([GOOD] * 4 + [BAD] + [GOOD] * 3 + [BAD, GOOD])), ""),
    "probes: too few": (Evidence(looks([BAD, BAD, GOOD])), ""),
    "probes: over the limit": (Evidence(looks([GOOD, BAD, GOOD, GOOD, BAD] * 2)), "by probes"),
    "probes: 429 does not count as a good one": (Evidence(looks([UNKNOWN] * 8 + [BAD, GOOD, BAD, GOOD])), ""),
}


@pytest.mark.parametrize("row", JUDGED)
def test_judge(row: str) -> None:
    evidence, wanted = JUDGED[row]
    found = judge(evidence, ["crm", "api"], RULES, NOW)
    assert wanted in found if wanted else found == ""


def test_the_window_says_where_its_figures_come_from() -> None:
    by_log = in_window(Evidence(looks([BAD]), [share(27, 2)]), "api", RULES, NOW)
    assert (by_log.source, by_log.requests, by_log.errors) == ("access_log", 27, 2)
    by_probes = in_window(Evidence(looks([BAD, UNKNOWN, GOOD])), "api", RULES, NOW)
    assert (by_probes.source, by_probes.requests, by_probes.errors) == ("probes", 2, 1)
    assert in_window(Evidence(), "api", RULES, NOW).share is None


@pytest.mark.parametrize(
    ("interval", "window", "wanted"),
    [(30, 300, 10), (1, 300, 20), (100, 300, 3), (300, 300, 3)],
    ids=["all that fit", "no more than of a log", "never under three", "one look a window: still three"],
)
def test_enough_probes(interval: float, window: float, wanted: int) -> None:
    rules = RULES.model_copy(update={"interval": interval, "window": window})
    assert not enough(share(wanted - 1, 0, source="probes"), rules)
    assert enough(share(wanted, 0, source="probes"), rules)


# -- the access log, through the real script

COMMON = '192.0.2.7 - - [23/Nov/2026:04:00:00 +0000] "GET {path} HTTP/1.1" {status} 512'
COMBINED = COMMON + ' "{referrer}" "{agent}"'


def line(status: object = 200, agent: str = "Mozilla/5.0", path: str = "/", referrer: str = "-") -> str:
    return COMBINED.format(status=status, agent=agent, path=path, referrer=referrer) + "\n"


LOGS = {
    "nothing": ("", 0, 0),
    "combined": (line() + line(503) + line(404), 3, 1),
    "common": ("".join(COMMON.format(path="/", status=status) + "\n" for status in (200, 500, 301)), 3, 1),
    "our own probes are left out": (line(agent="fairlead") * 50 + line(500) + line(), 2, 1),
    "our own failing probes too": (line(503, agent="fairlead") + line(), 1, 0),
    "our probes where more fields follow": (line(503, agent='fairlead" "192.0.2.9') + line(), 1, 0),
    "somebody who looks like us": (line(500, agent="fairlead/2 (a stranger)"), 1, 1),
    "an agent with quotes": (line(200, agent='\\"a\\" 500 \\"b\\" 502 x'), 1, 0),
    "a path with a quote and a status": (line(200, path='/\\" 500 \\"'), 1, 0),
    "a path with a quote, and a real error": (line(502, path='/\\" 200 \\"'), 1, 1),
    "nginx escapes quotes otherwise": (line(200, path="/\\x22 500 "), 1, 0),
    "a path that ends in a backslash": (line(500, path="/\\\\"), 1, 1),
    "a referrer with a status": (line(200, referrer="http://x/ 500 "), 1, 0),
    "sizes and times are no status": (line(200).replace(" 512 ", " 503 "), 1, 0),
    "no request at all": ('192.0.2.7 - - [23/Nov/2026:04:00:00 +0000] "-" 408 0 "-" "-"\n', 1, 0),
    "bytes that are not text": (line(200, path="/\\x16\\x03\\xff") + "\udcff\udcfe\n" + line(500), 2, 1),
    "a line that is no request": ("2026/11/23 [error] 500\n\n" + line(), 1, 0),
    "another format is not taken for good answers": ('{"status": 500, "path": "/"}\n' * 30, 0, 0),
}
SHELLS = [shell for shell in (["sh"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]


def count(log: Path, since: int, shell: list[str] = SHELLS[0]) -> list[int]:
    argv = [*shell, "-c", _COUNT, "x", str(log), str(since)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.stderr == ""
    return [int(word) for word in done.stdout.split()]


def put(log: Path, text: str) -> None:
    with log.open("ab") as file:
        file.write(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("row", LOGS)
def test_what_is_counted(tmp_path: Path, row: str, shell: list[str]) -> None:
    text, requests, errors = LOGS[row]
    log = tmp_path / "-access 'log'"
    put(log, line(500) * 3)
    size = log.stat().st_size
    assert count(log, -1, shell) == [size, 0, 0], "what was there before is not ours to judge"
    put(log, text)
    assert count(log, size, shell) == [log.stat().st_size, requests, errors]


def test_a_line_that_is_still_being_written_is_counted_once(tmp_path: Path) -> None:
    log, whole = tmp_path / "log", line(500)
    counted, seen = 0, 0
    for cut in range(1, len(whole)):
        put(log, whole[:cut])
        seen, requests, _ = count(log, seen) if cut % 40 == 1 else (seen, 0, 0)
        counted += requests
        put(log, whole[cut:])
    assert count(log, seen)[1] + counted == len(whole) - 1


@pytest.mark.parametrize("way", ["truncated", "rotated", "gone", "empty", "a folder"])
def test_a_log_that_is_not_what_it_was(tmp_path: Path, way: str) -> None:
    log = tmp_path / "log"
    put(log, line() * 100)
    size = log.stat().st_size
    if way == "rotated":
        log.rename(tmp_path / "log.1")
    if way == "truncated":
        log.write_text("")
    if way in ("truncated", "rotated"):
        put(log, line(500) * 4)
        assert count(log, size) == [log.stat().st_size, 4, 4]
        return
    log.unlink()
    if way == "empty":
        log.touch()
    if way == "a folder":
        log.mkdir()
    assert count(log, size) == ([0, 0, 0] if way == "empty" else [])


# -- half an hour


async def watched(
    here: Site, answers: Callable[[float], str], *, log: str = "", every_look: Callable[[], None] = lambda: None
) -> tuple[str, float, Watch]:
    """Watch for half an hour by a clock of its own. Returns why it goes back, after how many seconds, and the watch."""
    clock = FakeClock()

    async def checks(asked: Iterable[Check]) -> list[Finding]:
        every_look()
        status = answers(clock.monotonic())
        given = {"check": "http", "status": status, "says": "!", "ms": 5.0}
        return [Finding.model_validate({"subject": one.subject, **given}) for one in asked]

    target = WatchTarget(service="api", checks=(HttpCheck(subject="api", url="http://x/"),), host=HERE, access_log=log)
    plan = here.plan.model_copy(update={"watch": (target,)})
    watch = Watch(plan, here.hosts, checks, clock, here.events.append, here.stop)
    why = await watch.run(RULES.duration)
    return why, clock.monotonic(), watch


async def test_a_good_half_hour(tmp_path: Path) -> None:
    async with site(tmp_path, []) as here:
        why, seconds, watch = await watched(here, lambda _: "ok")
        assert (why, seconds, len(watch.evidence.samples)) == ("", 1800.0, 60)
        updates = [event for event in here.events if event.kind == "watch" and event.service]
        assert len(updates) == 5, "one every five minutes"


@pytest.mark.parametrize(
    ("answers", "because", "after"),
    [
        pytest.param(lambda t: "fail" if t >= 600 else "ok", "by probes", 660, id="goes down in the middle"),
        pytest.param(lambda t: "fail", "has not answered rightly for 120 s", 120, id="is down from the beginning"),
        pytest.param(lambda t: "fail" if t == 600 else "ok", "", 1800, id="one transient error"),
        pytest.param(lambda t: "unknown" if t >= 600 else "ok", "", 1800, id="429 to the end"),
        pytest.param(lambda t: "warn" if t >= 600 else "ok", "", 1800, id="slow to the end"),
    ],
)
async def test_half_an_hour(tmp_path: Path, answers: Callable[[float], str], because: str, after: float) -> None:
    async with site(tmp_path, []) as here:
        why, seconds, _ = await watched(here, answers)
        assert because in why if because else why == ""
        assert seconds == after


async def test_only_being_down_counts_where_a_log_says_that_visitors_are_well(tmp_path: Path) -> None:
    log = tmp_path / HERE / "access.log"
    log.parent.mkdir()
    put(log, line(500) * 1000)
    async with site(tmp_path, []) as here:
        why, seconds, _ = await watched(
            here, lambda t: "fail" if t >= 300 else "ok", log="access.log", every_look=lambda: put(log, line() * 40)
        )
        assert "has not answered rightly for 120 s" in why
        assert seconds == 420


async def test_errors_that_only_visitors_see_start_the_way_back(tmp_path: Path) -> None:
    log = tmp_path / HERE / "access.log"
    log.parent.mkdir()
    put(log, line())
    async with site(tmp_path, []) as here:
        why, _, watch = await watched(
            here, lambda _: "ok", log="access.log", every_look=lambda: put(log, line() * 9 + line(500))
        )
        assert "by access log" in why
        assert {one.source for one in watch.evidence.shares} == {"access_log"}


async def test_a_log_that_nobody_may_read_is_said_once_and_the_probes_go_on(tmp_path: Path) -> None:
    async with site(tmp_path, []) as here:
        why, seconds, watch = await watched(here, lambda _: "ok", log="no/such.log")
        assert (why, seconds, len(watch.evidence.samples)) == ("", 1800.0, 60)
        warned = [event.says for event in here.events if event.kind == "warning"]
        assert warned == ["api: its access log cannot be read: no/such.log is not a file that may be read"]


async def test_asked_to_stop_it_ends_at_once_and_says_nothing(tmp_path: Path) -> None:
    async with site(tmp_path, []) as here:

        def answers(seconds: float) -> str:
            if seconds >= 90:
                here.stop.ask("Ctrl-C")
            return "ok"

        why, seconds, _ = await watched(here, answers)
        assert (why, seconds) == ("", 120.0)
