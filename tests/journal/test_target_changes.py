"""What happens to running changes: ended, waited for, taken over, left behind. Real processes, real signals."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fairlead.journal import encode
from fairlead.model import Entry
from support.account import Said, ShellAccount, alive, said, until

LINE = encode(Entry(kind="intent", step="a", what="do", attempt=1), 1, 1)
TAKE = ("acquire", "resume", "n2", 30, "r1", "bob", 0)
STUBBORN = "trap '' TERM; echo $$ >pid; while :; do sleep 0.05; done"
PATIENT = "echo $$ >pid; while [ ! -e go ]; do sleep 0.02; done; echo went"


@contextmanager
def running(account: ShellAccount, *words: object, stdin: bytes = b"") -> Iterator[subprocess.Popen[bytes]]:
    """A change that has written its pid; what is left of it afterwards is killed."""
    with account.begun(*words) as process:
        process.stdin.write(stdin)
        process.stdin.flush()
        until(lambda: written_pid(account), "the change to begin")
        try:
            yield process
        finally:
            if alive(written_pid(account)):
                os.killpg(written_pid(account), signal.SIGKILL)


def written_pid(account: ShellAccount, name: str = "pid") -> int:
    path = account.home / name
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") else 0


def end_of(process: subprocess.Popen[bytes]) -> Said:
    process.wait(10)
    return said(process, process.stdout.read(), process.stderr.read())


def take_over(account: ShellAccount, *, patience: int = 0, grace: int = 1, wait: int = 8) -> Said:
    (account.dir / "lease").write_text("1 1000 30\n")
    assert account.call(*TAKE).answer.startswith("ok 2 r1 fresh")
    return account.call("raise", 2, patience, grace, wait)


def nothing_left(account: ShellAccount) -> bool:
    return not list((account.dir / "pg").iterdir()) and not list((account.dir / "out").iterdir())


def step(words: list[object]) -> list[object]:
    return ["step", "r1", 30, len(LINE), *words[1:]]


def stream(words: list[object]) -> list[object]:
    return ["stream", *words[1:4], *words[9:]]


# ---------------------------------------------------------------------------------------------- what a change is given


@pytest.mark.parametrize("locale", [None, "C.UTF-8", ""], ids=["no LC_ALL", "LC_ALL set", "LC_ALL empty"])
@pytest.mark.parametrize("verb", ["run", "step", "stream"])
def test_a_change_has_the_logins_umask_locale_and_home(account: ShellAccount, verb: str, locale: str | None) -> None:
    account.hold()
    account.environ |= {} if locale is None else {"LC_ALL": locale}
    words = account.change("1.a.1", "sh", "-c", 'echo "$(umask) <${LC_ALL-unset}> $PWD"; touch made')
    words = {"run": list, "step": step, "stream": stream}[verb](words)
    got = account.call(*words, stdin=LINE if verb == "step" else b"", stay=True, before="umask 027")
    assert got.answer.startswith("done 0"), got
    shown = {None: "unset"}.get(locale, locale)
    assert got.stdout.decode().splitlines()[0].lstrip("0") == f"27 <{shown}> {account.home}"
    assert (account.home / "made").stat().st_mode & 0o777 == 0o640
    assert {path.stat().st_mode & 0o077 for path in account.dir.rglob("*")} == {0}


def test_input_arrives_whole_with_heartbeats_on_its_heels(account: ShellAccount) -> None:
    account.hold()
    for number, size in enumerate((1, 7, 200_000)):
        content = os.urandom(size)
        words = account.change(f"1.a.{number}", "sha256sum", bytes=size)
        got = account.call(*words, stdin=content + b"." * 50, stay=True)
        assert got.output.split()[0].decode() == hashlib.sha256(content).hexdigest()
    assert nothing_left(account)


def test_a_change_may_leave_its_input_unread(account: ShellAccount) -> None:
    account.hold()
    got = account.call(*account.change("1.a.1", "true", bytes=50_000), stdin=b"x" * 50_000, stay=True)
    assert got.answer.startswith("done 0")
    assert nothing_left(account)


def test_step_gives_the_record_its_line_and_the_change_its_input(account: ShellAccount) -> None:
    account.hold()
    words = step(account.change("1.a.1", "cat", bytes=6))
    got = account.call(*words, stdin=LINE + b"secret" + b"..", stay=True)
    assert (got.output, got.word) == (b"secret", "done")
    assert (account.dir / "runs" / "r1.rec").read_bytes() == LINE


def test_stream_hands_both_directions_through(account: ShellAccount) -> None:
    account.hold()
    got = account.call(*stream(account.change("1.a.1", "tr", "a-z", "A-Z")), stdin=b"both ways")
    assert got.stdout == b"BOTH WAYS"
    assert re.search(rb"^fl1 done 0 \d+$", got.stderr, re.M)


def test_input_is_seen_on_no_disk_and_in_no_argument_list(plain: ShellAccount) -> None:
    plain.hold()
    words = plain.change("1.a.1", "sh", "-c", f"cat >/dev/null; {PATIENT}", bytes=8)
    with running(plain, *words, stdin=b"s3ntinel") as process:
        files = [path for path in plain.home.rglob("*") if path.is_file()]
        assert not [path for path in files if b"s3ntinel" in path.read_bytes()]
        assert not [pid for pid in Path("/proc").glob("[0-9]*") if b"s3ntinel" in seen_in(pid)]
        (plain.home / "go").touch()
        assert end_of(process).word == "done"


def seen_in(process: Path) -> bytes:
    if process.name == str(os.getpid()):
        return b""
    try:
        return (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    except OSError:
        return b""


def test_output_is_kept_as_it_came(account: ShellAccount) -> None:
    account.hold()
    for number, loss in enumerate(("end", "finish")):
        words = account.change(f"1.a.{number}", "sh", "-c", "printf out; printf 'fl1 done 9 9\\nerr' >&2", loss=loss)
        got = account.call(*words, stay=True)
        assert re.fullmatch(r"done 0 \d+", got.answer)
        assert got.output == b"outfl1 done 9 9\nerr"


# -------------------------------------------------------------------------------------------------- how a change ends


def test_a_lost_line_ends_the_change(account: ShellAccount) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", PATIENT)) as process:
        process.stdin.close()
        assert re.fullmatch(r"done 143 \d+ ended", end_of(process).answer)
    assert (account.dir / "receipts").read_text().startswith("1.a.1 143 ")
    assert nothing_left(account)


def test_silence_ends_the_change(plain: ShellAccount) -> None:
    plain.hold()
    with running(plain, *plain.change("1.a.1", "sh", "-c", PATIENT, beat=1)) as process:
        assert re.fullmatch(r"done 143 \d+ ended", end_of(process).answer)


def test_heartbeats_keep_it_alive(plain: ShellAccount) -> None:
    plain.hold()
    with running(plain, *plain.change("1.a.1", "sh", "-c", PATIENT, beat=1)) as process:
        for _ in range(5):
            time.sleep(0.3)
            process.stdin.write(b".")
            process.stdin.flush()
        (plain.home / "go").touch()
        assert re.fullmatch(r"done 0 \d+", end_of(process).answer)


@pytest.mark.parametrize("how", ["end of file", "silence"])
def test_a_change_that_may_finish_outlives_its_line(account: ShellAccount, how: str) -> None:
    account.hold()
    words = account.change("1.a.1", "sh", "-c", PATIENT, loss="finish", beat=1)
    with running(account, *words) as process:
        if how == "end of file":
            process.stdin.close()
        time.sleep(0.1 if how == "end of file" else 1.3)
        assert alive(written_pid(account))
        (account.home / "go").touch()
        got = end_of(process)
    assert re.fullmatch(r"done 0 \d+", got.answer)
    assert got.output == b"went\n"
    assert nothing_left(account)


def test_a_change_that_may_finish_writes_its_receipt_when_nobody_listens(account: ShellAccount) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", PATIENT, loss="finish")) as process:
        for stream_ in (process.stdin, process.stdout, process.stderr):
            stream_.close()
        (account.home / "go").touch()
        process.wait(10)
    assert (account.dir / "receipts").read_text().startswith("1.a.1 0 ")


@pytest.mark.parametrize("loss", ["end", "finish"])
def test_over_its_limit_it_is_ended_even_if_it_ignores_term(account: ShellAccount, loss: str) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", STUBBORN, loss=loss, limit=1, grace=1)) as process:
        assert re.fullmatch(r"done 137 \d+ ended", end_of(process).answer)
    assert nothing_left(account)


def test_what_it_started_in_another_process_group_is_ended_too(account: ShellAccount) -> None:
    account.hold()
    deep = 'timeout 60 sh -c "echo \\$\\$ >member; sleep 60" & echo $$ >pid; wait'
    with running(account, *account.change("1.a.1", "sh", "-c", deep)) as process:
        until(lambda: written_pid(account, "member"), "its member to begin")
        process.stdin.close()
        assert end_of(process).word == "done"
        assert not alive(written_pid(account, "member"))


def test_a_change_that_dies_by_a_signal_of_its_own(account: ShellAccount) -> None:
    account.hold()
    got = account.call(*account.change("1.a.1", "sh", "-c", "kill -9 $$"), stay=True)
    assert re.fullmatch(r"done 137 \d+", got.answer)


def watchers(account: ShellAccount) -> list[int]:
    """Processes of the script, and what they sleep by, in this account's folder."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if folder_of(pid) == str(account.dir) and alive(pid)]


def folder_of(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def test_no_watcher_outlives_a_change(account: ShellAccount) -> None:
    account.hold()
    account.call(*account.change("1.a.1", "true", limit=4711), stay=True)
    until(lambda: not watchers(account), "its watchers to end", 8)


def test_a_wrapper_that_nobody_listens_to_any_more_lives_until_it_has_written_the_receipt(
    account: ShellAccount,
) -> None:
    account.hold()
    silent = STUBBORN.replace("'' TERM", "'' TERM PIPE")
    with running(account, *account.change("1.a.1", "sh", "-c", silent)) as process:
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
        until((account.dir / "receipts").exists, "the receipt")
        process.wait(10)
    assert (account.dir / "receipts").read_text().startswith("1.a.1 137 ")
    assert nothing_left(account)
    until(lambda: not watchers(account), "its watchers to end", 8)


def test_the_watchers_of_a_wrapper_that_was_killed_end_with_the_change(account: ShellAccount) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", PATIENT, limit=4711)) as process:
        process.kill()
        process.stdin.close()
        assert take_over(account).word == "ok"
        until(lambda: not watchers(account), "its watchers to end", 8)


def test_what_it_leaves_behind_is_said(account: ShellAccount) -> None:
    account.hold()
    words = account.change("1.a.1", "sh", "-c", "sleep 30 >/dev/null 2>&1 & echo $! >pid")
    got = account.call(*words, stay=True)
    os.kill(written_pid(account), signal.SIGKILL)
    assert re.fullmatch(r"done 0 \d+ left", got.answer)


def test_a_daemon_that_it_starts_does_not_hold_the_gate(account: ShellAccount) -> None:
    account.hold()
    daemon = "import os, time; os.setsid(); print(os.getpid(), file=open('pid', 'w'), flush=True); time.sleep(30)"
    words = account.change("1.a.1", "sh", "-c", 'python3 -c "$1" >/dev/null 2>&1 & sleep 0.3', "sh", daemon)
    assert account.call(*words, stay=True).word == "done"
    until(lambda: written_pid(account), "the daemon")
    assert take_over(account, wait=1).answer.startswith("ok 0 ")
    os.kill(written_pid(account), signal.SIGKILL)


# ---------------------------------------------------------------------------------------------------------- taking over


def test_a_takeover_ends_what_runs_and_only_the_new_token_counts(account: ShellAccount) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", PATIENT)) as process:
        raised = take_over(account)
        assert re.fullmatch(r"ok [1-9]\d* \d+", raised.answer)
        assert re.fullmatch(r"done 143 \d+", end_of(process).answer)
    assert account.call(*account.change("1.a.2", "true"), stay=True).answer == "fenced 2 open"
    assert account.call("append", 1, "r1", 30, len(LINE), stdin=LINE).answer == "fenced 2 held r1"
    assert account.call(*account.change("2.a.3", "true", token=2), stay=True).word == "done"
    assert account.call("raise", 1, 0, 1, 5).answer == "fenced 2 open"


def test_a_takeover_kills_what_ignores_term(account: ShellAccount) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", STUBBORN)) as process:
        assert take_over(account).word == "ok"
        assert re.fullmatch(r"done 137 \d+", end_of(process).answer)


def test_patience_comes_before_term_and_grace_before_kill(plain: ShellAccount) -> None:
    plain.hold()
    with running(plain, *plain.change("1.a.1", "sh", "-c", STUBBORN)):
        began = time.monotonic()
        assert take_over(plain, patience=2, grace=1).word == "ok"
        assert time.monotonic() - began > 2.9


def test_with_patience_a_change_may_end_by_itself(account: ShellAccount) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", PATIENT, loss="finish")) as process:
        (account.dir / "lease").write_text("1 1000 30\n")
        account.call(*TAKE)
        with account.begun("raise", 2, 20, 1, 25) as raising:
            until(lambda: account.fence() == "2 closed", "the fence to close")
            assert account.call(*account.change("2.b.1", "true", token=2), stay=True).answer == "fenced 2 closed"
            (account.home / "go").touch()
            assert re.fullmatch(r"ok 0 \d+", end_of(raising).answer)
        assert re.fullmatch(r"done 0 \d+", end_of(process).answer)


@pytest.mark.parametrize("script", [PATIENT, STUBBORN], ids=["ends by TERM", "ignores TERM"])
def test_when_the_wrapper_was_killed_the_change_is_still_found(account: ShellAccount, script: str) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", script, loss="finish")) as process:
        process.kill()
        process.wait()
        assert alive(written_pid(account))
        assert re.fullmatch(r"ok [1-9]\d* \d+", take_over(account).answer)
        assert not alive(written_pid(account))
    assert account.call(*account.change("2.a.2", "true", token=2), stay=True).word == "done"
    assert nothing_left(account)


def test_a_wrapper_that_was_stopped_keeps_the_gate_until_it_goes_on(account: ShellAccount) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", PATIENT)) as process:
        process.send_signal(signal.SIGSTOP)
        assert take_over(account, wait=1).answer == "stuck gate"
        assert account.fence() == "2 closed"
        process.send_signal(signal.SIGCONT)
        assert end_of(process).word == "done"
    assert account.call("raise", 2, 0, 1, 5).word == "ok"


def test_who_cannot_be_told_apart_is_named_and_not_killed(account: ShellAccount) -> None:
    account.hold()
    script = "env -i PATH=\"$PATH\" sh -c 'echo $$ >member; sleep 30' & echo $$ >pid; wait"
    with running(account, *account.change("1.a.1", "sh", "-c", script)) as process:
        until(lambda: written_pid(account, "member"), "its member to begin")
        session = written_pid(account)
        assert take_over(account, wait=1).answer == f"stuck pg/1.a.1:{session}"
        assert alive(written_pid(account, "member"))
        os.killpg(session, signal.SIGKILL)
        assert end_of(process).word == "done"
    assert account.call("raise", 2, 0, 1, 5).word == "ok"


def boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


STALE = {
    "another start time": lambda pid, start: f"1 {pid} {start + 1} {boot()}\n",
    "another boot": lambda pid, start: f"1 {pid} {start} 00000000-0000-0000-0000-000000000000\n",
    "cut off": lambda pid, start: f"1 {pid} {start}",
    "no numbers": lambda pid, start: f"x {pid} {start} {boot()}\n",
    "a pid that is a word": lambda pid, start: f"1 ../{pid} {start} {boot()}\n",
}


@pytest.mark.parametrize("content", STALE.values(), ids=STALE)
def test_a_stale_file_that_names_a_stranger_harms_nobody(plain: ShellAccount, content) -> None:
    plain.hold()
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as stranger:
        start = int(Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19])
        (plain.dir / "pg" / "1.a.1").write_text(content(stranger.pid, start))
        assert re.fullmatch(r"ok 0 \d+", take_over(plain).answer)
        assert stranger.poll() is None
        stranger.kill()
    assert nothing_left(plain)


def test_a_change_that_runs_is_not_begun_again(account: ShellAccount) -> None:
    account.hold()
    with running(account, *account.change("1.a.1", "sh", "-c", PATIENT)) as process:
        assert account.call(*account.change("1.a.1", "touch", "again"), stay=True).answer == "twice"
        assert account.call(*stream(account.change("1.a.1", "touch", "again"))).answer == "twice"
        assert account.call(*account.change("1.b.1", "true"), stay=True).word == "done"
        (account.home / "go").touch()
        assert end_of(process).word == "done"
    assert not (account.home / "again").exists()


STOPPED = {
    "renew": ("renew", 1, "r1", 30),
    "append": ("append", 1, "r1", 30, len(LINE)),
    "release": ("release", 1, "r1", "done"),
    "raise": ("raise", 1, 0, 1, 5),
    "run": ("run", 1, "1.a.1", 99999999999, "finish", 9, 1, 9, 0, "touch", "changed"),
    "step": ("step", "r1", 30, len(LINE), 1, "1.a.1", 99999999999, "finish", 9, 1, 9, 0, "touch", "changed"),
    "stream": ("stream", 1, "1.a.1", 99999999999, "touch", "changed"),
}


@pytest.mark.parametrize("words", STOPPED.values(), ids=STOPPED)
def test_a_holder_that_slept_through_a_takeover_changes_nothing(plain: ShellAccount, words) -> None:
    plain.hold()
    with plain.begun(*words, before="kill -s STOP $$") as sleeper:
        until(lambda: " T " in Path(f"/proc/{sleeper.pid}/stat").read_text(), "the holder to stop")
        assert take_over(plain).word == "ok"
        before = sorted((path, path.stat().st_mtime_ns) for path in plain.dir.rglob("*"))
        sleeper.send_signal(signal.SIGCONT)
        got = said(sleeper, *sleeper.communicate(LINE, 10))
    assert re.fullmatch(r"fenced 2 .*", got.answer), got
    after = sorted((path, path.stat().st_mtime_ns) for path in plain.dir.rglob("*"))
    assert [row for row in after if row not in before and row[0].name not in ("mutex", "gate")] == []
    assert not (plain.home / "changed").exists()


# ------------------------------------------------------------------------------------------- a probe before the change

PROBES = {
    "before": ("echo before", 0, "done 0"),
    "noise, then before": ("echo a login shell says hello; echo before", 0, "done 0"),
    "after": ("echo after", 1, "saw after"),
    "between": ("echo between", 1, "saw between"),
    "cannot tell": ("echo cannot_tell", 1, "saw cannot_tell"),
    "before, and a code that says no": ("echo before; exit 3", 1, "saw cannot_tell"),
    "another word": ("echo yes", 1, "saw cannot_tell"),
    "a pattern": ("echo '*'", 1, "saw cannot_tell"),
    "nothing": (":", 1, "saw cannot_tell"),
    "ended by its time": ("sleep 60; echo before", 1, "saw cannot_tell"),
    "a word of ours": ("echo 'fl1 done 0 1'; echo after", 1, "saw after"),
}


@pytest.mark.parametrize("row", PROBES)
def test_only_before_leads_on(account: ShellAccount, row: str) -> None:
    probe, code, answer = PROBES[row]
    account.hold()
    words = step(account.change("1.a.1", "sh", "-c", "echo done >made"))
    got = account.call("probed", 1, f"echo >asked; {probe}", *words, stdin=LINE, stay=True)
    assert (got.code, got.answer.startswith(answer)) == (code, True), got
    assert (account.home / "asked").exists() and (account.home / "made").exists() == (code == 0)
    record = account.dir / "runs" / "r1.rec"
    assert (record.read_bytes() if record.exists() else b"") == (LINE if code == 0 else b"")


def test_a_probe_has_the_logins_umask_and_locale_and_no_input(account: ShellAccount) -> None:
    account.hold()
    account.environ |= {"LC_ALL": "C.UTF-8"}
    probe = 'echo "$(umask) <${LC_ALL-unset}> $PWD $(cat)" >seen; echo before'
    words = step(account.change("1.a.1", "true"))
    got = account.call("probed", 9, probe, *words, stdin=LINE, stay=True, before="umask 027")
    assert got.answer.startswith("done 0"), got
    assert (account.home / "seen").read_text().split() == ["0027", "<C.UTF-8>", str(account.home)]


def test_whoever_was_replaced_changes_nothing_after_its_probe(account: ShellAccount) -> None:
    account.hold()
    words = step(account.change("1.a.1", "touch", "made"))
    assert take_over(account).answer.startswith("ok")
    got = account.call("probed", 9, "echo before", *words, stdin=LINE)
    assert got.answer.startswith("fenced 2") and not (account.home / "made").exists()
