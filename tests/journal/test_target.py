"""`Target` over real local hosts: typed answers, errors that say what to do, what is asked twice and what never."""

from __future__ import annotations

import asyncio
import math
import os
import time
from pathlib import Path

import pytest

from fairlead.errors import Busy, CallError, Damaged, Fenced, Halted, Lost, NotReady, OpenRun, Refused, Unreachable
from fairlead.journal import (
    FencedBy,
    HeldBy,
    OpenRunOf,
    State,
    Stuck,
    Target,
    TooLate,
    as_word,
    encode,
    read_record,
)
from fairlead.journal.pack import pack
from fairlead.journal.parse import find_answer, refusal
from fairlead.model import Command, Entry, Receipt, Result, Upload, sha256, shell
from support.hosts import RsyncHost, WatchedHost

LINE = encode(Entry(kind="run", plan="p"), 1, 1)
NEXT = encode(Entry(kind="intent", step="a", what="do", attempt=1), 2, 1)
UPLOAD = Upload(artifact="x", to="site/releases/1", files=3, size=9)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def host(home: Path) -> WatchedHost:
    return WatchedHost(home)


@pytest.fixture
async def held(host: WatchedHost) -> Target:
    """Held with token 1, fence open."""
    target = Target(host, "prod")
    await target.acquire("new", "n1", 30, "r1", "Anna Berg")
    await target.raise_fence(1)
    host.verbs.clear()
    return target


def soon() -> float:
    return time.time() + 60


# ------------------------------------------------------------------------------------------------------------- answers


async def test_nothing_there_yet(host: WatchedHost) -> None:
    target = Target(host, "prod")
    assert await target.read() == State()
    assert await target.list() == ()
    assert await target.plan("0" * 64) is None
    await target.forget("r1")


async def test_a_run_from_its_beginning_to_its_end(host: WatchedHost, home: Path) -> None:
    target = Target(host, "prod")
    plan = '{"plan":"ü"}'.encode()
    got, _ = await target.begin(plan, "n1", 30, "r1", "Anna Berg")
    assert (got.token, got.run, got.fresh) == (1, "r1", True)
    assert abs(got.now - time.time()) < 3
    assert (await target.raise_fence(1)).signals == 0
    assert abs(await target.append(1, "r1", 30, LINE) - time.time()) < 3
    change = {"loss": "finish", "grace": 1, "beat": 9, "stdin": b"in"}
    done = await target.step("r1", 30, NEXT, 1, "1.a.b.1", soon(), shell("cat; exit 3"), **change)
    assert (done.rc, done.output, done.left, done.ended) == (3, "in", False, False)
    state = await target.read()
    assert (state.token, state.status, state.run, state.who, state.fence_state) == (
        1,
        "held",
        "r1",
        "Anna-Berg",
        "open",
    )
    assert 25 < state.lease_left <= 30
    assert state.receipts == (Receipt(token=1, step="a.b", attempt=1, rc=3, at=done.now),)
    assert [line.seq for line in read_record(state.record)] == [1, 2]
    assert await target.plan(sha256(plan)) == plan
    await target.release(1, "r1", True)
    state = await target.read("r1")
    assert (state.run, state.status, state.lease_left, state.record) == ("-", "free", 0, LINE + NEXT)
    assert oct((home / ".fairlead/prod").stat().st_mode)[-3:] == "700"


async def test_a_run_begins_and_ends_in_one_trip_each(host: WatchedHost) -> None:
    target = Target(host, "prod")
    got, raised = await target.begin(b"{}", "n1", 30, "r1", "anna")
    assert (got.token, got.run, got.fresh, got.idle, raised) == (1, "r1", True, math.inf, True)
    again, raised = await target.begin(b"{}", "n1", 30, "r1", "anna")
    assert (again.token, again.fresh, again.idle, raised) == (1, False, 0.0, True)
    assert (await target.run(1, "1.a.1", soon(), Command(argv=("true",)))).rc == 0
    assert await target.plan(sha256(b"{}")) == b"{}"
    with pytest.raises(HeldBy):
        await target.begin(b"{}", "n2", 30, "r2", "bob")
    await target.release(1, "r1", True, ttl=30, data=LINE)
    await target.release(1, "r1", True, ttl=30, data=LINE)  # only the answer was lost
    state = await target.read("r1")
    assert (state.run, state.status, state.record) == ("-", "free", LINE)


async def test_a_fence_above_the_lock_is_told_to_whoever_begins(host: WatchedHost) -> None:
    target = Target(host, "prod")
    await target.raise_fence(7)
    got, raised = await target.begin(b"{}", "n1", 30, "r1", "anna")
    assert (got.token, raised) == (8, True), "acquire climbs above the fence that it sees"


async def test_list_is_sorted_by_token(held: Target) -> None:
    await held.append(1, "r1", 30, LINE)
    await held.release(1, "r1", True)
    await held.acquire("new", "n1", 30, "a-later-run", "anna")
    await held.append(2, "a-later-run", 30, encode(Entry(kind="run"), 1, 2) + encode(Entry(kind="end"), 2, 2))
    heads = await held.list()
    assert [(head.run, head.size) for head in heads] == [("r1", len(LINE)), ("a-later-run", heads[1].size)]
    assert [line and line.entry.kind for line in (heads[1].first, heads[1].last)] == ["run", "end"]


async def test_list_shows_records_that_it_cannot_read_whole(held: Target, home: Path) -> None:
    runs = home / ".fairlead/prod/runs"
    (runs / "torn.rec").write_bytes(LINE + b"2 1 xx\0")
    (runs / "empty.rec").write_bytes(b"")
    heads = {head.run: head for head in await held.list()}
    assert heads["torn"].first and heads["torn"].last is None
    assert heads["empty"].first is heads["empty"].last is None


@pytest.mark.parametrize("state", [".fairlead", "deep/er state/'s", "/absolute"], ids=["relative", "odd", "absolute"])
async def test_the_state_folder_may_be_anywhere(home: Path, tmp_path: Path, state: str) -> None:
    place = f"{tmp_path}{state}" if state.startswith("/") else state
    target = Target(WatchedHost(home, state=place), "prod")
    await target.acquire("new", "n1", 30, "r1", "anna")
    await target.raise_fence(1)
    assert (await target.run(1, "1.a.1", soon(), Command(argv=("true",)))).rc == 0
    assert (home / place / "prod" / "lock").exists()


# ---------------------------------------------------------------------------------------------------------- the script


async def test_the_script_is_sent_once_and_costs_no_trip_afterwards(host: WatchedHost, home: Path) -> None:
    target = Target(host, "prod")
    await target.read()
    assert host.verbs == ["read", "install", "read"]
    await Target(host, "staging").read()
    assert host.verbs[3:] == ["read"]
    (script,) = (home / ".fairlead").glob("fl-*.sh")
    script.unlink()
    await target.acquire("new", "n1", 30, "r1", "anna")
    assert host.verbs[4:] == ["acquire", "install", "acquire"]


async def test_a_change_sends_the_script_too_and_runs_once(held: Target, host: WatchedHost, home: Path) -> None:
    (script,) = (home / ".fairlead").glob("fl-*.sh")
    script.unlink()
    await held.run(1, "1.a.1", soon(), shell("echo once >>count"))
    assert host.verbs == ["run", "install", "run"]
    assert (home / "count").read_text() == "once\n"


async def test_many_at_once_may_send_the_script(home: Path) -> None:
    await asyncio.gather(*(Target(WatchedHost(home), f"e{i}").acquire("new", "n", 9, "r", "a") for i in range(6)))
    assert len(list((home / ".fairlead").glob("*fl-*.sh*"))) == 1


async def test_a_place_that_takes_no_script_is_said(home: Path) -> None:
    (home / ".fairlead").write_text("not a folder")
    with pytest.raises(Halted, match=r"script cannot be put on web1: .*File exists") as halted:
        await Target(WatchedHost(home), "prod").read()
    assert ".fairlead" in halted.value.hint


# ------------------------------------------------------------------------------------------------------------ refusals


async def test_held_by_somebody(held: Target) -> None:
    with pytest.raises(HeldBy, match=r"^Anna-Berg holds the lock on web1 for run r1$") as busy:
        await held.acquire("new", "n2", 30, "r2", "bob")
    assert (busy.value.who, busy.value.run) == ("Anna-Berg", "r1")
    assert 25 < busy.value.seconds <= 30
    assert isinstance(busy.value, Busy)


async def test_another_run_is_open(held: Target) -> None:
    await held.release(1, "r1", False)
    with pytest.raises(OpenRunOf, match="run r1 on web1 is not finished") as open_run:
        await held.acquire("new", "n2", 30, "r2", "bob")
    assert open_run.value.run == "r1"
    assert isinstance(open_run.value, OpenRun)
    with pytest.raises(OpenRunOf):
        await held.forget("r1")


async def test_nothing_is_open_any_more(held: Target) -> None:
    await held.release(1, "r1", True)
    with pytest.raises(OpenRunOf, match="finished meanwhile") as nothing:
        await held.acquire("resume", "n2", 30, "r1", "bob")
    assert nothing.value.run == "-"


async def test_after_a_takeover_every_call_says_who_stands_there(held: Target) -> None:
    await held.release(1, "r1", False)
    await held.acquire("resume", "n2", 30, "r1", "bob", 6)
    await held.raise_fence(7)
    true = Command(argv=("true",))
    for call in (
        held.renew(1, "r1", 30),
        held.append(1, "r1", 30, LINE),
        held.release(1, "r1", True),
        held.raise_fence(1),
        held.acquire("anew", "n1", 30, "r1", "anna"),
        held.run(1, "1.a.1", soon(), true),
        held.step("r1", 30, LINE, 1, "1.a.1", soon(), true),
        held.upload(1, "1.a.1", soon(), Path("/etc/default"), UPLOAD),
    ):
        with pytest.raises(FencedBy) as fenced:
            await call
        assert fenced.value.token == 7
        assert isinstance(fenced.value, Fenced)


async def test_climbing_above_a_fence_met_elsewhere(held: Target, home: Path) -> None:
    (home / ".fairlead/prod/fence").write_text("40 open\n")
    with pytest.raises(FencedBy) as fenced:
        await held.raise_fence(1)
    again = await held.acquire("anew", "n1", 30, "r1", "anna", fenced.value.token)
    assert again.token == 41
    assert (await held.raise_fence(41)).signals == 0


async def test_too_late(held: Target, home: Path) -> None:
    with pytest.raises(TooLate):
        await held.run(1, "1.a.1", time.time() - 2, Command(argv=("touch", "changed")))
    assert not (home / "changed").exists()


async def test_stuck_names_the_stragglers(held: Target) -> None:
    script = 'env -i PATH="$PATH" sleep 30 & echo $! >member; wait'
    change = asyncio.create_task(held.run(1, "1.a.1", soon(), shell(script), grace=1))
    member = Path(held.host.account.home) / "member"
    while not member.exists() or not member.read_text().endswith("\n"):
        await asyncio.sleep(0.01)
    await held.release(1, "r1", False)
    await held.acquire("resume", "n2", 30, "r1", "bob")
    with pytest.raises(Stuck, match=r"still running on web1: pg/1\.a\.1:\d+") as stuck:
        await held.raise_fence(2, grace=0, wait=1)
    assert len(stuck.value.stragglers) == 1
    await held.host.run(Command(argv=("kill", "-9", member.read_text().strip())))
    assert (await held.raise_fence(2)).now
    assert (await change).rc > 128


ANSWERS = {
    "busy mutex": (Unreachable, "nothing was changed"),
    "short": (Unreachable, "did not get all"),
    "twice": (Lost, "has not ended"),
    "disk receipt": (Lost, "could not be written down"),
    "disk record": (Halted, "could not write its record"),
    "corrupt lock": (Damaged, "the lock on web1"),
    "newer 2": (Halted, "format 2"),
    "missing flock": (Halted, "neither flock nor perl"),
    "none": (Damaged, "is gone"),
    "usage": (Halted, "did not accept"),
    "stuck gate": (Stuck, "gate"),
    "surprise": (Damaged, "makes no sense"),
    "fenced x": (Damaged, "makes no sense"),
}


@pytest.mark.parametrize(("answer", "error", "says"), [(k, *v) for k, v in ANSWERS.items()], ids=ANSWERS)
def test_every_other_refusal_says_what_to_do(answer: str, error: type, says: str) -> None:
    found = find_answer(f"noise\nfl1 {answer}\n")
    try:
        got = refusal("web1", found)
    except Damaged as damaged:
        got = damaged
    assert type(got) is error
    assert says in got.what
    assert got.hint
    assert got.what[0].islower() or got.what.startswith("web1")
    assert not got.what.endswith(".")


UNKNOWN = ["", "fl1", "fl1 ", "fl1 ok", "xfl1 ok\n", "fl1 done 0 12", "noise\nfl1 done 0 1", " fl1 ok\n"]


@pytest.mark.parametrize("output", UNKNOWN)
def test_what_is_no_whole_answer_is_none(output: str) -> None:
    assert find_answer(output) is None


def test_the_last_answer_counts() -> None:
    assert find_answer("fl1 ok 1\nfl1 fenced 2 open\nlast words\n").word == "fenced"


# --------------------------------------------------------------------------------------------------------- lost answers


@pytest.mark.parametrize("silent", [False, True], ids=["the connection broke", "no answer came"])
async def test_what_is_safe_is_asked_again(held: Target, host: WatchedHost, silent: bool) -> None:
    host.silent = silent
    host.loses = dict.fromkeys(("acquire", "raise", "append", "renew", "store", "read", "release", "plan", "list"), 1)
    again = await held.acquire("new", "n1", 30, "r1", "anna")
    assert (again.token, again.fresh) == (1, False)
    await held.raise_fence(1)
    await held.append(1, "r1", 30, LINE)
    await held.renew(1, "r1", 30)
    again, raised = await held.begin(b"plan", "n1", 30, "r1", "anna")
    assert (again.token, again.fresh, raised, await held.plan(sha256(b"plan"))) == (1, False, True, b"plan")
    state = await held.read()
    assert state.record == LINE * 2
    assert len(read_record(state.record)) == 1
    await held.list()
    await held.release(1, "r1", True)
    assert set(host.loses.values()) == {0}
    assert (await held.read()).status == "free"


async def test_after_three_lost_answers_it_is_lost(held: Target, host: WatchedHost) -> None:
    host.loses = {"renew": 3}
    with pytest.raises(Lost):
        await held.renew(1, "r1", 30)
    assert host.verbs == ["renew"] * 3


@pytest.mark.parametrize("silent", [False, True], ids=["the connection broke", "no answer came"])
async def test_a_change_is_never_sent_again(held: Target, host: WatchedHost, home: Path, silent: bool) -> None:
    host.silent, host.loses = silent, {"run": 9, "step": 9}
    count = shell("echo x >>count; echo secret")
    with pytest.raises(Lost) as lost:
        await held.run(1, "1.a.1", soon(), count)
    assert "secret" not in lost.value.what
    with pytest.raises(Lost):
        await held.step("r1", 30, LINE, 1, "1.a.2", soon(), count)
    assert host.verbs == ["run", "step"]
    assert (home / "count").read_text() == "x\nx\n"


async def test_cancelling_ends_the_change(held: Target, home: Path) -> None:
    change = asyncio.create_task(held.run(1, "1.a.1", soon(), shell("echo $$ >pid; sleep 30"), grace=1))
    while not (home / "pid").exists():
        await asyncio.sleep(0.01)
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change
    assert [receipt.rc for receipt in (await held.read()).receipts] == [143]


# -------------------------------------------------------------------------------------------------------------- changes


async def test_a_command_over_its_time_is_ended_on_the_host(held: Target) -> None:
    done = await held.run(1, "1.a.1", soon(), shell("sleep 30", timeout=0.5), grace=1)
    assert (done.rc, done.ended) == (143, True)


@pytest.mark.parametrize("folder", ["", "here", "-", "a b/c", "ABSOLUTE"])
async def test_it_runs_in_its_folder(held: Target, home: Path, folder: str) -> None:
    place = home / "abs" if folder == "ABSOLUTE" else home / folder
    place.mkdir(parents=True, exist_ok=True)
    cwd = str(place) if folder == "ABSOLUTE" else folder
    assert (await held.run(1, "1.a.1", soon(), shell("pwd", cwd=cwd))).output == f"{place}\n"


HOSTILE = ["", "a b", "'", '"', "$(touch x)", "`touch x`", "-rf", "a\nb", "*", "ü", "\\", "; touch x", "fl1 done 0 0"]


async def test_arguments_arrive_as_they_are(held: Target, home: Path) -> None:
    done = await held.run(1, "1.a.1", soon(), Command(argv=("printf", "<%s>", *HOSTILE)))
    assert done.output == "".join(f"<{word}>" for word in HOSTILE)
    assert not (home / "x").exists()


@pytest.mark.parametrize("word", ["", "a b", "../x", ".x", "$(x)", "a/b", "a\nb", "ü"])
async def test_names_that_cannot_be_are_refused_before_anything_is_sent(host: WatchedHost, word: str) -> None:
    with pytest.raises(CallError):
        Target(host, word)
    target = Target(host, "prod")
    for call in (
        target.acquire("new", "n", 9, word, "anna"),
        target.acquire("new", word, 9, "r1", "anna"),
        target.run(1, word, soon(), Command(argv=("true",))),
        target.plan(word),
        target.forget(word),
    ):
        with pytest.raises(CallError) as refused:
            await call
        assert refused.value.hint
    assert host.verbs == []


@pytest.mark.parametrize(
    ("text", "word"),
    [("Anna Berg", "Anna-Berg"), ("", "unknown"), ("...", "unknown"), ("a@b:c", "a@b:c"), ("Jürgen\n$(x)", "J-rgen-x")],
)
def test_as_word(text: str, word: str) -> None:
    assert as_word(text) == word


# -------------------------------------------------------------------------------------------------------------- uploads


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = tmp_path / "tree"
    (source / "sub" / "empty").mkdir(parents=True)
    (source / "sub" / "read only").write_text("text")
    (source / "sub" / "read only").chmod(0o440)
    (source / "-rf $(x)\nü").write_bytes(bytes(range(256)))
    (source / "program").write_text("#!/bin/sh\n")
    (source / "program").chmod(0o755)
    (source / "twin").hardlink_to(source / "program")
    (source / "link").symlink_to("sub/read only")
    (source / "dangling").symlink_to("../../nowhere")
    (source / "sub").chmod(0o750)
    return source


def shape(folder: Path) -> list[tuple[object, ...]]:
    rows = []
    for path in sorted(folder.rglob("*")):
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        rows.append((path.relative_to(folder), path.lstat().st_mode, content))
    return rows


@pytest.mark.parametrize("kind", [WatchedHost, RsyncHost], ids=["tar", "rsync"])
async def test_an_uploaded_tree_is_the_tree(kind: type[WatchedHost], home: Path, tree: Path) -> None:
    target = Target(kind(home), "prod")
    await target.acquire("new", "n1", 30, "r1", "anna")
    await target.raise_fence(1)
    done = await target.upload(1, "1.a.1", soon(), tree, UPLOAD)
    assert done.rc == 0, done
    assert shape(home / UPLOAD.to) == shape(tree)
    assert (await target.read()).receipts[-1].rc == 0


async def test_a_plan_may_ask_for_a_tar_stream(home: Path, tree: Path) -> None:
    target = Target(RsyncHost(home), "prod")
    await target.raise_fence(1)
    streamed = UPLOAD.model_copy(update={"by": "tar"})
    assert (await target.upload(1, "1.a.1", soon(), tree, streamed)).rc == 0
    assert shape(home / UPLOAD.to) == shape(tree)


async def test_an_rsync_upload_puts_the_script_first(home: Path, tree: Path) -> None:
    await Target(WatchedHost(home), "prod").raise_fence(1)
    for script in (home / ".fairlead").glob("fl-*.sh"):
        script.unlink()
    assert (await Target(RsyncHost(home), "prod").upload(1, "1.a.1", soon(), tree, UPLOAD)).rc == 0


@pytest.mark.parametrize("kind", [WatchedHost, RsyncHost], ids=["tar", "rsync"])
async def test_an_upload_that_cannot_be_written_says_so(kind: type[WatchedHost], home: Path, tree: Path) -> None:
    target = Target(kind(home), "prod")
    await target.raise_fence(1)
    (home / "site").write_text("not a folder")
    done = await target.upload(1, "1.a.1", soon(), tree, UPLOAD)
    assert done.rc != 0
    assert "site" in done.output


class DeafHost(RsyncHost):
    """rsync hangs up as soon as the far side complains, often before the script there has answered."""

    begins = True

    async def rsync(self, source: Path, to: str, **more: object) -> Result:
        ended = await super().rsync(source, to, **more) if self.begins else Result(code=30, stderr="io timeout")
        heard = "".join(line for line in ended.stderr.splitlines(True) if not line.startswith("fl1 "))
        return ended.model_copy(update={"stderr": heard})


async def test_an_upload_that_nobody_heard_of_is_known_by_its_receipt(home: Path, tree: Path) -> None:
    target = Target(DeafHost(home), "prod")
    await target.raise_fence(1)
    (home / "site").write_text("not a folder")
    done = await target.upload(1, "1.a.1", soon(), tree, UPLOAD)
    assert done.rc != 0 and "site" in done.output


async def test_an_upload_without_answer_and_receipt_is_lost(home: Path, tree: Path) -> None:
    host = DeafHost(home)
    target = Target(host, "prod")
    await target.raise_fence(1)
    host.begins = False
    with pytest.raises(Lost, match="did not say what became of an upload: io timeout"):
        await target.upload(1, "1.a.1", soon(), tree, UPLOAD)


async def test_a_fenced_rsync_writes_nothing(home: Path, tree: Path) -> None:
    target = Target(RsyncHost(home), "prod")
    await target.raise_fence(2)
    with pytest.raises(FencedBy):
        await target.upload(1, "1.a.1", soon(), tree, UPLOAD)
    assert not (home / "site").exists()


def test_packing_is_deterministic_and_takes_no_special_files(tree: Path) -> None:
    first = pack(tree)
    (tree / "program").touch()
    assert pack(tree) == first

    os.mkfifo(tree / "pipe")
    with pytest.raises(CallError, match="pipe is neither"):
        pack(tree)


def test_refusals_exit_with_their_code() -> None:
    assert [error.exit_code for error in (HeldBy, OpenRunOf, FencedBy, TooLate, Stuck)] == [5, 5, 5, 4, 4]
    assert issubclass(HeldBy, Refused)
    assert issubclass(Unreachable, NotReady)
