"""What each verb answers, and what it leaves on the disk. Rows over the real script in real shells."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from fairlead.journal import encode, read_record
from fairlead.model import Entry
from support.account import SCRIPT, ShellAccount, said

NEW = ("acquire", "new", "n1", 30, "r1", "anna", 0)
LAPSED = "1 1000 30\n"
LINE = encode(Entry(kind="run", plan="p"), 1, 1)
NEXT = encode(Entry(kind="intent", step="a", what="do", attempt=1), 2, 1)
APPEND = ("append", 1, "r1", 30, len(LINE))
RAISE = ("raise", 1, 0, 1, 5)
PLAN = b'{"a plan":1}'
SHA = hashlib.sha256(PLAN).hexdigest()


def put(name: str, content: str):
    return lambda account: (account.dir / name).write_text(content)


def since(name: str, seconds: int):
    def change(account):
        at = time.time() - seconds
        os.utime(account.dir / name, (at, at))

    return change


ROWS = [
    ("nothing there: read", [], ("read",), r"none"),
    ("nothing there: list", [], ("list",), r"none"),
    ("nothing there: plan", [], ("plan", SHA), r"none"),
    ("nothing there: renew", [], ("renew", 1, "r1", 30), r"none"),
    ("nothing there: run", [], ("run", 1, "1.a.1", 9, "end", 9, 1, 9, 0, "true"), r"none"),
    ("a free lock is given", [], NEW, r"ok 1 r1 fresh \d+ -"),
    ("the same process asks again", [NEW], NEW, r"ok 1 r1 again \d+ 0"),
    ("somebody else holds it", [NEW], ("acquire", "new", "n2", 9, "r2", "bob", 0), r"busy 1 anna (30|2\d) r1"),
    ("held, resume too", [NEW], ("acquire", "resume", "n2", 9, "r1", "bob", 0), r"busy 1 anna (30|2\d) r1"),
    ("lease over: an open run refuses a new one", [NEW, put("lease", LAPSED)],
     ("acquire", "new", "n2", 9, "r2", "bob", 0), r"open r1 1"),
    ("lease over: the open run may be taken", [NEW, put("lease", LAPSED)],
     ("acquire", "resume", "n2", 9, "r1", "bob", 0), r"ok 2 r1 fresh \d+ [0-9]"),
    ("lease over: another run cannot be resumed", [NEW, put("lease", LAPSED)],
     ("acquire", "resume", "n2", 9, "r7", "bob", 0), r"open r1 1"),
    ("lease lost: as over", [NEW, lambda a: (a.dir / "lease").unlink()],
     ("acquire", "resume", "n2", 9, "r1", "bob", 0), r"ok 2 r1 fresh \d+ [0-9]"),
    ("lease of another token: as over", [NEW, put("lease", "7 99999999999 30\n")],
     ("acquire", "resume", "n2", 9, "r1", "bob", 0), r"ok 2 r1 fresh \d+ [0-9]"),
    ("lease torn: as over", [NEW, put("lease", "1 9999")],
     ("acquire", "resume", "n2", 9, "r1", "bob", 0), r"ok 2 r1 fresh \d+ [0-9]"),
    ("the clock went back", [NEW, put("lease", "1 99999999999 30\n"), ("acquire", "new", "n2", 9, "r2", "bob", 0)],
     ("acquire", "new", "n2", 9, "r2", "bob", 0), r"busy 1 anna (30|2\d) r1"),
    ("released, kept open: resume", [NEW, ("release", 1, "r1", "keep")],
     ("acquire", "resume", "n2", 9, "r1", "bob", 0), r"ok 2 r1 fresh \d+ [0-9]"),
    ("released, kept open: new", [NEW, ("release", 1, "r1", "keep")],
     ("acquire", "new", "n2", 9, "r2", "bob", 0), r"open r1 1"),
    ("released, done: new", [NEW, ("release", 1, "r1", "done")],
     ("acquire", "new", "n2", 9, "r2", "bob", 0), r"ok 2 r2 fresh \d+ [0-9]"),
    ("released, done: nothing to resume", [NEW, ("release", 1, "r1", "done")],
     ("acquire", "resume", "n2", 9, "r1", "bob", 0), r"open - 1"),
    ("anew: the owner climbs", [NEW], ("acquire", "anew", "n1", 9, "r1", "anna", 0), r"ok 2 r1 fresh \d+ [0-9]"),
    ("anew: above what was met elsewhere", [NEW],
     ("acquire", "anew", "n1", 9, "r1", "anna", 9), r"ok 10 r1 fresh \d+ [0-9]"),
    ("anew: not the owner", [NEW], ("acquire", "anew", "n2", 9, "r1", "bob", 0), r"fenced 1 held r1"),
    ("the lock was deleted: above the fence", [NEW, lambda a: (a.dir / "lock").unlink()], NEW, r"ok 2 r1 fresh \d+ -"),
    ("nobody held the lock for a while", [NEW, ("release", 1, "r1", "done"), since("lock", 100)],
     ("acquire", "new", "n2", 9, "r2", "bob", 0), r"ok 2 r2 fresh \d+ 1(00|0\d)"),
    ("the lock was given back in the future", [NEW, ("release", 1, "r1", "done"), since("lock", -100)],
     ("acquire", "new", "n2", 9, "r2", "bob", 0), r"ok 2 r2 fresh \d+ 0"),
    ("unknown mode", [NEW, ("release", 1, "r1", "done")], ("acquire", "x", "n", 9, "r1", "b", 0), r"usage"),
    ("lock cut off", [NEW, put("lock", "1 1 held n1 r1 an")], NEW, r"corrupt lock"),
    ("lock empty", [NEW, put("lock", "")], ("renew", 1, "r1", 9), r"corrupt lock"),
    ("lock without a number", [NEW, put("lock", "1 x held n1 r1 anna\n")], ("read",), r"corrupt lock"),
    ("lock in an unknown state", [NEW, put("lock", "1 1 lent n1 r1 anna\n")], ("read",), r"corrupt lock"),
    ("lock of a newer format", [NEW, put("lock", "2 1 held n1 r1 anna\n")], NEW, r"newer 2"),
    ("fence cut off", [NEW, put("fence", "1 cl")], RAISE, r"corrupt fence"),
    ("renewed", [NEW], ("renew", 1, "r1", 30), r"ok \d+"),
    ("renewed after the lease, nobody took it", [NEW, put("lease", LAPSED)], ("renew", 1, "r1", 30), r"ok \d+"),
    ("renew: another token", [NEW], ("renew", 2, "r1", 30), r"fenced 1 held r1"),
    ("renew: another run", [NEW], ("renew", 1, "r2", 30), r"fenced 1 held r1"),
    ("renew: released", [NEW, ("release", 1, "r1", "keep")], ("renew", 1, "r1", 30), r"fenced 1 free r1"),
    ("release: another token", [NEW], ("release", 2, "r1", "done"), r"fenced 1 held r1"),
    ("release: unknown word", [NEW], ("release", 1, "r1", "perhaps"), r"usage"),
    ("append", [NEW], (*APPEND, LINE), r"ok \d+"),
    ("append: less than was said", [NEW], (*APPEND, LINE[:-9]), r"short"),
    ("append: no newline", [NEW], (*APPEND, LINE[:-1] + b"x"), r"short"),
    ("append: a NUL", [NEW], (*APPEND, b"\0" + LINE[1:]), r"short"),
    ("append: another token", [NEW], ("append", 2, "r1", 30, len(LINE), LINE), r"fenced 1 held r1"),
    ("append: taken over", [NEW, put("lease", LAPSED), ("acquire", "resume", "n2", 9, "r1", "bob", 0)],
     (*APPEND, LINE), r"fenced 2 held r1"),
    ("store", [], ("store", SHA, len(PLAN), PLAN), r"ok"),
    ("store: cut off", [], ("store", SHA, len(PLAN), PLAN[:-1]), r"short"),
    ("store: something else", [], ("store", SHA, len(PLAN), PLAN.upper()), r"short"),
    ("plan", [("store", SHA, len(PLAN), PLAN)], ("plan", SHA), r"ok"),
    ("plan: unknown", [NEW], ("plan", SHA), r"none"),
    ("forget the open run", [NEW], ("forget", "r1"), r"open r1 1"),
    ("forget a run that is not there", [NEW], ("forget", "r7"), r"ok"),
    ("raise", [NEW], RAISE, r"ok 0 \d+"),
    ("raise: with the holder's token", [NEW], ("raise", "@n1", 0, 1, 5), r"ok 0 \d+"),
    ("raise: with the token of somebody who does not hold it", [NEW], ("raise", "@n2", 0, 1, 5), r"fenced 1 held"),
    ("raise: with the token of who gave it back", [NEW, ("release", 1, "r1", "done")], ("raise", "@n1", 0, 1, 5),
     r"fenced 1 free"),
    ("raise: again", [NEW, RAISE], RAISE, r"ok 0 \d+"),
    ("raise: an account that never saw us", [], RAISE, r"ok 0 \d+"),
    ("raise: below the fence", [("raise", 7, 0, 1, 5)], RAISE, r"fenced 7 open"),
    ("run: not raised", [NEW], ("run", 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true"), r"fenced 1 closed"),
    ("run: a lower token", [("raise", 2, 0, 1, 5)], ("run", 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true"),
     r"fenced 2 open"),
    ("run: a higher token, nobody drained for it", [RAISE],
     ("run", 2, "2.a.1", 99999999999, "end", 9, 1, 9, 0, "true"), r"fenced 1 open"),
    ("run: no fence at all", [("store", SHA, len(PLAN), PLAN)],
     ("run", 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true"), r"corrupt fence"),
    ("run: too late", [RAISE], ("run", 1, "1.a.1", 1000, "end", 9, 1, 9, 0, "true"), r"late"),
    ("run: begun before and not ended", [RAISE, put("pg/1.a.1", "1 1 1 x\n")],
     ("run", 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true"), r"twice"),
    ("run", [RAISE], ("run", 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "sh", "-c", "exit 3"), r"done 3 \d+"),
    ("run: no such program", [RAISE], ("run", 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "/no/such"), r"done 127 \d+"),
    ("run: unknown kind of loss", [RAISE], ("run", 1, "1.a.1", 9, "x", 9, 1, 9, 0, "true"), r"usage"),
    ("step: another token", [NEW, RAISE],
     ("step", "r1", 30, len(LINE), 2, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true", LINE), r"fenced 1 held r1"),
    ("step: short", [NEW, RAISE],
     ("step", "r1", 30, len(LINE), 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true", LINE[:-5]), r"short"),
    ("step", [NEW, RAISE],
     ("step", "r1", 30, len(LINE), 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true", LINE), r"done 0 \d+"),
    ("stream: too late", [RAISE], ("stream", 1, "1.a.1", 1000, "true"), r"late"),
    ("stream: fenced", [("raise", 2, 0, 1, 5)], ("stream", 1, "1.a.1", 99999999999, "true"), r"fenced 2 open"),
    ("stream", [RAISE], ("stream", 1, "1.a.1", 99999999999, "sh", "-c", "exit 4"), r"done 4 \d+"),
    ("an unknown verb", [NEW], ("frobnicate",), r"usage"),
]  # fmt: skip


def ask(account: ShellAccount, call, *, stay: bool = False, before: str = ""):
    if callable(call):
        return call(account)
    stdin = call[-1] if isinstance(call[-1], bytes) else b""
    words = [word for word in call if not isinstance(word, bytes)]
    return account.call(*words, stdin=stdin, stay=stay, before=before)


@pytest.mark.parametrize(("before", "call", "answer"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_answer(account: ShellAccount, before, call, answer: str) -> None:
    for earlier in before:
        ask(account, earlier)
    got = ask(account, call, stay=answer.startswith("done"))
    assert re.fullmatch(answer, got.answer), got
    assert got.code == (int(got.answer.split()[1]) if call[0] == "stream" and got.word == "done" else got.word not in (
        "ok", "done"))  # fmt: skip


REFUSED = [row for row in ROWS if row[0].split(":")[0] in ("run", "step") and not row[3].startswith("done")]


@pytest.mark.parametrize(("before", "call"), [row[1:3] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_change_did_not_begin(plain: ShellAccount, before, call) -> None:
    for earlier in before:
        ask(plain, earlier)
    touching = [word if word != "true" else "touch" for word in call]
    touching.insert(touching.index("touch") + 1, "began")
    assert ask(plain, tuple(touching)).word not in ("", "done")
    assert not (plain.home / "began").exists()


HOSTILE = ["", "a b", "$(touch x)", "../x", ".x", "a/b", "a\nb", "ä", "a;b", "'", "*"]
NUMBERS = ["", "08", "-1", "1.5", "0x1", "1 1", "9" * 16, "$(touch x)", "a", "1\n"]
PLACES = [
    (("acquire", "new", None, 30, "r1", "anna", 0), HOSTILE),
    (("acquire", "new", "n1", 30, None, "anna", 0), HOSTILE),
    (("acquire", "new", "n1", 30, "r1", None, 0), HOSTILE),
    (("acquire", "new", "n1", None, "r1", "anna", 0), NUMBERS),
    (("acquire", "new", "n1", 30, "r1", "anna", None), NUMBERS),
    (("renew", 1, "r1", None), NUMBERS),
    (("append", 1, "r1", None, len(LINE)), NUMBERS),
    (("append", 1, "r1", 30, None), NUMBERS),
    (("store", None, 3), HOSTILE),
    (("plan", None), HOSTILE),
    (("read", None), HOSTILE[1:]),
    (("forget", None), HOSTILE),
    (("raise", None, 0, 1, 5), NUMBERS),
    (("raise", 1, None, 1, 5), NUMBERS),
    (("run", None, "1.a.1", 9, "end", 9, 1, 9, 0, "true"), NUMBERS),
    (("run", 1, None, 9, "end", 9, 1, 9, 0, "true"), HOSTILE),
    (("run", 1, "1.a.1", None, "end", 9, 1, 9, 0, "true"), NUMBERS),
    (("run", 1, "1.a.1", 9, "end", None, 1, 9, 0, "true"), NUMBERS),
    (("run", 1, "1.a.1", 9, "end", 9, 1, 9, None, "true"), NUMBERS),
    (("stream", 1, None, 9, "true"), HOSTILE),
    (("stream", 1, "1.a.1", None, "true"), NUMBERS),
]


@pytest.mark.parametrize(
    ("call", "words"), PLACES, ids=[f"{call[0]} argument {call.index(None)}" for call, _ in PLACES]
)
def test_hostile_words_are_refused_and_change_nothing(plain: ShellAccount, call, words) -> None:
    plain.hold()
    before = everything(plain.home)
    for word in words:
        got = plain.call(*(word if part is None else part for part in call), stdin=LINE)
        assert got.answer == "usage", (word, got)
    assert everything(plain.home) == before


def everything(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file() and path.name != "mutex"}


def test_state_shows_lock_lease_fence_receipts_and_record(account: ShellAccount) -> None:
    account.hold()
    account.call(*APPEND, stdin=LINE)
    account.call(*account.change("1.a.1", "true"), stay=True)
    got = account.call("read")
    head, receipts, *rest = got.stdout.decode().split("fl1 ")[1:]
    assert re.fullmatch(r"state 1 held nonce-r1 r1 anna 1 \d+ 1 open \d+\n", head)
    assert re.fullmatch(r"file receipts \d+\n1\.a\.1 0 \d+\n\n", receipts)
    assert rest == [f"file runs/r1.rec {len(LINE)}\n{LINE.decode()}\n", "ok\n"]


def test_a_lease_never_ends_later_than_its_holder_was_told(plain: ShellAccount) -> None:
    for call in (NEW, ("renew", 1, "r1", 30), (*APPEND, LINE)) * 3:
        told = int(re.findall(r"\d{9,}", ask(plain, call).answer)[-1])
        assert (plain.dir / "lease").read_text() == f"1 {told + 30} 30\n"


def test_list_shows_first_and_last_line_of_each_record(account: ShellAccount) -> None:
    account.hold()
    account.call(*APPEND, stdin=LINE)
    account.call("append", 1, "r1", 30, len(NEXT), stdin=NEXT)
    (account.dir / "runs" / "r0.rec").write_bytes(LINE + b"2 1 to\0rn")
    (account.dir / "runs" / "r9.rec").write_bytes(b"")
    sizes, first, last = re.split("fl1 first\n|fl1 last\n", account.call("list").stdout.decode())
    assert [line.split() for line in sizes.splitlines()[:4]] == [
        ["fl1", "sizes"],
        [f"{len(LINE) + 9}", "runs/r0.rec"],
        [f"{len(LINE + NEXT)}", "runs/r1.rec"],
        ["0", "runs/r9.rec"],
    ]
    assert f"==> runs/r0.rec <==\n{LINE.decode()}\n==> runs/r1.rec <==\n{LINE.decode()}" in first
    assert f"==> runs/r0.rec <==\n2 1 to?rn\n==> runs/r1.rec <==\n{NEXT.decode()}" in last
    assert last.endswith("\nfl1 ok\n")


def test_forget_keeps_plans_that_a_record_names_and_those_of_the_last_day(account: ShellAccount) -> None:
    account.hold()
    texts = {name: name.encode() for name in ("named", "old", "young")}
    sums = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    for name, text in texts.items():
        account.call("store", sums[name], len(text), stdin=text)
    for name in ("named", "old"):
        os.utime(account.dir / "plans" / sums[name], (1, 1))
    for run, plan in (("r0", sums["old"]), ("r1", sums["named"])):
        (account.dir / "runs" / f"{run}.rec").write_bytes(encode(Entry(kind="run", plan=plan), 1, 1))
    assert account.call("forget", "r0").answer == "ok"
    assert {path.name for path in (account.dir / "plans").iterdir()} == {sums["named"], sums["young"]}
    assert [path.name for path in (account.dir / "runs").iterdir()] == ["r1.rec"]


TAILS = {
    "torn": NEXT[:20],
    "torn one byte early": NEXT[:-1],
    "zeros": b"\0" * 64,
    "a line, then zeros": NEXT[:30] + b"\0" * 9,
    "bytes that are no text": b"\xff\xfe\x80",
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_a_torn_tail_is_healed_by_the_next_append(account: ShellAccount, tail: bytes) -> None:
    account.hold()
    account.call(*APPEND, stdin=LINE)
    record = account.dir / "runs" / "r1.rec"
    record.write_bytes(LINE + tail)
    shown = account.call("read").stdout
    assert f"file runs/r1.rec {len(LINE + tail)}".encode() in shown
    assert account.call("append", 1, "r1", 30, len(NEXT), stdin=NEXT).word == "ok"
    assert record.read_bytes() == LINE + tail + b"\n" + NEXT
    assert [line.seq for line in read_record(record.read_bytes())] == [1, 2]


FULL = {
    "acquire": (("acquire", "anew", "nonce-r1", 30, "r1", "anna", 0), r"disk lock"),
    "renew": (("renew", 1, "r1", 30), r"disk lease"),
    "append": ((*APPEND, LINE), r"disk record"),
    "release": (("release", 1, "r1", "done"), r"disk lock"),
    "store": (("store", SHA, len(PLAN), PLAN), r"disk plan|short"),
    "raise": (("raise", 2, 0, 1, 5), r"disk fence"),
    "step": (("step", "r1", 30, len(LINE), 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true", LINE), r"disk record"),
    "run": (("run", 1, "1.a.1", 99999999999, "end", 9, 1, 9, 0, "true"), r"disk receipt"),
}


@pytest.mark.parametrize(("call", "answer"), FULL.values(), ids=FULL)
def test_a_disk_that_takes_no_byte_is_said_and_nothing_is_lost(account: ShellAccount, call, answer: str) -> None:
    account.hold()
    lock = (account.dir / "lock").read_text()
    got = ask(account, call, stay=call[0] == "run", before="trap '' XFSZ; ulimit -f 0")
    assert re.fullmatch(answer, got.answer), got
    assert (account.dir / "lock").read_text() == lock
    assert account.fence() == "1 open"
    assert account.call("renew", 1, "r1", 30).word == "ok"


def test_a_folder_that_takes_no_file_is_said(plain: ShellAccount) -> None:
    (plain.home / ".fairlead").write_text("not a folder")
    assert plain.call(*NEW).answer == "disk folder"


def test_neither_flock_nor_perl_is_refused(plain: ShellAccount, tmp_path: Path) -> None:
    plain.hold()
    (tmp_path / "few").mkdir()
    plain.shell, plain.environ["PATH"] = ["/bin/sh"], str(tmp_path / "few")
    assert plain.call("renew", 1, "r1", 30).answer == "missing flock"


def test_eight_at_once_and_one_wins(account: ShellAccount) -> None:
    for number in range(1, 4):
        calls = [("acquire", "new", f"n{i}", 30, f"r{number}.{i}", f"op{i}", 0) for i in range(8)]
        answers = at_once(account, calls)
        won = [answer for answer in answers if answer.startswith("ok")]
        assert len(won) == 1, answers
        token, run = won[0].split()[1:3]
        assert int(token) == number
        assert sum(answer.startswith(f"busy {token} ") for answer in answers) == 7, answers
        assert account.call("release", token, run, "done").answer == "ok"


def at_once(account: ShellAccount, calls) -> list[str]:
    argv = [[*account.shell, str(SCRIPT), verb, ".fairlead/prod", *map(str, words)] for verb, *words in calls]
    pipe = subprocess.PIPE
    begun = [
        subprocess.Popen(one, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, cwd=account.home, env=account.environ)
        for one in argv
    ]
    return [said(process, *process.communicate(timeout=30)).answer for process in begun]


def test_kill_inside_acquire_and_append_leaves_lock_and_record_whole(plain: ShellAccount) -> None:
    plain.hold()
    record, token = plain.dir / "runs" / "r1.rec", 1
    for turn in range(24):
        written = read_record(record.read_bytes()) if record.exists() else ()
        line = encode(Entry(kind="note", says=f"{turn}"), len(written) + 1, 1)
        append = ("append", token, "r1", 30, len(line))
        with plain.begun(*(append if turn % 2 else ("acquire", "anew", "nonce-r1", 30, "r1", "anna", 0))) as process:
            process.stdin.write(line)
            process.stdin.close()
            time.sleep(0.001 * turn)
            process.kill()
            heard = b"fl1 ok" in process.stdout.read()
        state = re.match(rb"fl1 state (\d+) held nonce-r1 r1", plain.call("read").stdout)
        assert state and int(state[1]) >= token + (heard and not turn % 2)
        token = int(state[1])
        now = read_record(record.read_bytes()) if record.exists() else ()
        assert now[: len(written)] == written
        assert len(now) >= len(written) + (heard and turn % 2)
