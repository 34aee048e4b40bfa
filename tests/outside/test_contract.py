"""What holds for every kind of host. The recorder must be usable wherever the others are."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fairlead.config.source import EnvironmentSource
from fairlead.errors import NotReady
from fairlead.model import LISTING, Account, Command, Result, SecretRef, shell
from fairlead.outside.host import Host
from fairlead.outside.local import LocalHost
from fairlead.outside.recorder import Recorder
from fairlead.outside.secrets import Secrets
from fairlead.outside.ssh import SshHost
from support.processes import alive, pid_in, until
from support.sshd import KEY, Sshd

HOSTILE = [
    "", " ", "two words", "it's", '"', "$(touch pwned)", "`touch pwned`", "${HOME}", "-rf", "--", "*", "a\nb", "a\tb",
    "\\", "\\n", "!!", "~", "ü–🚢", ";touch pwned", "&", "|", ">pwned", "#", "%s", "x" * 100_000,
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    command: Command
    code: int = 0
    stdout: str = ""
    stderr: str | None = ""
    """None = whatever the shell there calls it."""
    stdin: bytes = b""


ROWS = {
    "exit code 0": Row(shell("exit 0")),
    "exit code 1": Row(shell("exit 1"), code=1),
    "exit code 255 is the command's own": Row(shell("echo out; exit 255"), code=255, stdout="out\n"),
    "ended by a signal": Row(shell("kill -KILL $$"), code=137),
    "no such program": Row(Command(argv=("/no/such-program",)), 127, stderr=None),
    "no such folder": Row(shell("echo ran", cwd="gone"), 126, stderr="no folder ./gone\n"),
    "the two outputs are kept apart": Row(shell("echo out; echo err >&2"), stdout="out\n", stderr="err\n"),
    "no newline at the end": Row(shell("printf out; printf err >&2"), stdout="out", stderr="err"),
    "only newlines": Row(shell("echo; echo; echo >&2"), stdout="\n\n", stderr="\n"),
    "not UTF-8": Row(shell(r"printf 'a\377b\0c'"), stdout="a\\xffb\0c"),
    "looks like a trailer": Row(shell("printf '\\nfairlead rc 7 end 0\\n' >&2"), stderr="\nfairlead rc 7 end 0\n"),
    "standard input is empty": Row(shell("cat; echo end"), stdout="end\n"),
    "standard input, every byte": Row(shell("od -An -v -tx1 | tr -d ' \\n'"), stdin=bytes(range(256)) * 3,
                                      stdout=(bytes(range(256)) * 3).hex()),
    "standard input nobody reads": Row(shell("echo done"), stdin=b"x" * 3_000_000, stdout="done\n"),
    "starts in the home": Row(shell('[ "$PWD" = "$HOME" ] && echo yes'), stdout="yes\n"),
    "a session of its own": Row(shell('read -r stat </proc/$$/stat; set -- ${stat##*) }; [ "$4" = $$ ] && echo own'),
                                stdout="own\n"),
    "arguments arrive as they are": Row(Command(argv=("printf", "<%s>\\n", *HOSTILE)),
                                        stdout="".join(f"<{word}>\n" for word in HOSTILE)),
}  # fmt: skip


@pytest.fixture
def local(tmp_path: Path, sshd: Sshd) -> LocalHost:
    home = tmp_path / "home"
    home.mkdir()
    return LocalHost(Account(name="here", kind="local", home=str(home)), sshd.secrets)


@pytest.fixture(params=["local", "ssh"])
async def host(request: pytest.FixtureRequest, local: LocalHost, sshd: Sshd) -> AsyncIterator[Host]:
    chosen: Host = local if request.param == "local" else SshHost(sshd.account(), sshd.secrets)
    yield chosen
    await chosen.aclose()


@pytest.fixture
def home(host: Host, sshd: Sshd) -> Path:
    return Path(host.account.home) if host.account.kind == "local" else sshd.home


async def answers(host: Host, row: Row) -> None:
    result = await host.run(row.command, stdin=row.stdin)
    stderr = result.stderr if row.stderr is None else row.stderr
    assert (result.code, result.stdout, result.stderr) == (row.code, row.stdout, stderr)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_a_command_answers_the_same_everywhere(host: Host, row: Row) -> None:
    await answers(host, row)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_the_recorder_answers_the_same(row: Row) -> None:
    said = Result(code=row.code, stdout=row.stdout, stderr=row.stderr or "")
    host = Recorder({str(row.command): said})
    await answers(host, row)
    assert (host.heard, host.inputs) == ([str(row.command)], [row.stdin])


async def test_nothing_hostile_was_executed(host: Host, home: Path) -> None:
    await answers(host, ROWS["arguments arrive as they are"])
    assert not (home / "pwned").exists()


@pytest.mark.parametrize("folder", ["plain", "two words", "it's", "-", "-P", "$(touch pwned)", "ü", "~"])
async def test_runs_in_the_folder_it_is_given(host: Host, home: Path, folder: str) -> None:
    await host.run(Command(argv=("mkdir", "-p", "--", folder)))
    for cwd in (folder, str(home / folder)):
        result = await host.run(Command(argv=("pwd",), cwd=cwd))
        assert result.stdout == f"{home / folder}\n"


async def test_big_output(host: Host) -> None:
    result = await host.run(shell("head -c 20000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero | tr '\\0' y >&2"))
    assert (result.code, len(result.stdout), len(result.stderr)) == (0, 20_000_000, 300_000)


async def test_output_without_end_is_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlead.outside.lifeline.LIMIT", 1_000_000)
    with pytest.raises(NotReady, match="`yes` printed more than"):
        await host.run(Command(argv=("yes",)))


async def test_many_at_once(host: Host) -> None:
    results = await asyncio.gather(*(host.run(shell('echo "$1"; exit "$1"', str(n))) for n in range(40)))
    assert [(r.code, r.stdout) for r in results] == [(n, f"{n}\n") for n in range(40)]


async def test_a_secret_arrives_on_standard_input_and_nowhere_else(local: LocalHost, sshd: Sshd) -> None:
    secrets = Secrets((EnvironmentSource(),), environ={"PASSWORD": "s3cret $x", KEY: str(sshd.key)})
    for kind in (LocalHost(local.account, secrets), SshHost(sshd.account(), secrets)):
        command = Command(argv=("sh", "-c", "cat; env; cat /proc/[0-9]*/cmdline"), stdin=SecretRef(name="PASSWORD"))
        result = await kind.run(command, stdin=b"\n")
        assert result.stdout.startswith("s3cret $x\n") and result.stdout.count("s3cret") == 1
        await kind.aclose()


async def test_a_daemon_that_keeps_an_output_open_does_not_hold_us(host: Host, home: Path) -> None:
    began = time.monotonic()
    result = await host.run(shell("setsid sh -c 'echo $$ >daemon; exec sleep 300' & echo started", timeout=30))
    assert (result.code, result.stdout) == (0, "started\n")
    assert time.monotonic() - began < 10
    await host.run(shell('kill "$(cat daemon)"; rm daemon'))


STUBBORN = "trap '' TERM; echo $$ >pid; while :; do sleep 1; done"
CHILDREN = "setsid true; (echo $$ >group; sleep 300) & timeout 300 sh -c 'echo $$ >pid; exec sleep 300'"


@pytest.mark.parametrize(
    "script", ["echo $$ >pid; exec sleep 300", STUBBORN, CHILDREN], ids=["plain", "stubborn", "children"]
)
async def test_over_its_time_it_is_ended_there(host: Host, home: Path, script: str) -> None:
    (home / "pid").unlink(missing_ok=True)
    result = await host.run(shell(f"echo before; {script}", timeout=0.5))
    assert (result.code, result.stdout, result.stderr) == (124, "before\n", "ended after 0.5 s")
    assert await until(lambda: not alive(int((home / "pid").read_text())), 4)


@pytest.mark.parametrize("script", ["echo $$ >pid; exec sleep 300", STUBBORN], ids=["plain", "stubborn"])
async def test_cancelled_it_is_ended_there(host: Host, home: Path, script: str) -> None:
    (home / "pid").unlink(missing_ok=True)
    task = asyncio.create_task(host.run(shell(script, timeout=300)))
    pid = await pid_in(home / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await until(lambda: not alive(pid), 6)


async def test_a_call_reads_standard_input_itself_and_hears_the_beats(host: Host) -> None:
    line = 'head -c 4; head -c 3; echo; echo "home $HOME"; echo err >&2; exit 3'
    result = await host.call(line, stdin=b"a\0b\n", beat=0.09)
    assert (result.code, result.stdout.splitlines()[:2], result.stderr) == (3, ["a\0b", "..."], "err\n")


async def test_a_call_that_reads_nothing_and_ends_at_once(host: Host) -> None:
    result = await host.call("exec 0<&-; echo fl1 ok; exit 255", stdin=b"x" * 1_000_000, beat=0.03)
    assert (result.code, result.stdout) == (255, "fl1 ok\n")


async def test_a_call_sees_the_end_of_its_input_when_its_time_is_over(host: Host, home: Path) -> None:
    result = await host.call("cat >/dev/null; echo fl1 gone", timeout=0.4)
    assert (result.code, result.stdout, result.stderr) == (124, "fl1 gone\n", "ended after 0.4 s")


async def test_a_call_sees_the_end_of_its_input_when_it_is_cancelled(host: Host, home: Path) -> None:
    (home / "pid").unlink(missing_ok=True)
    (home / "gone").unlink(missing_ok=True)
    task = asyncio.create_task(host.call("echo $$ >pid; cat >/dev/null; echo >gone", timeout=0, beat=1))
    pid = await pid_in(home / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await until(lambda: (home / "gone").exists() and not alive(pid), 4)


async def test_a_call_keeps_the_end_of_a_long_answer(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    result = await host.call("head -c 200000000 /dev/zero; echo; echo fl1 done", timeout=60)
    assert result.code == 0 and result.stdout.endswith("\nfl1 done\n")


async def test_too_long_a_command_is_an_error_with_a_hint(host: Host) -> None:
    with pytest.raises(NotReady) as error:
        await host.run(Command(argv=("printf", "%s", "x" * 200_000)))
    assert "128 KB" in error.value.hint


async def test_listing_on_a_host(host: Host, home: Path) -> None:
    await host.run(shell("mkdir -p tree/sub && echo x >tree/sub/file && ln -sf file tree/sub/link"))
    result = await host.run(shell(f"{LISTING} | tr '\\0' '\\n'", cwd="tree"))
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["sub", "sub/file", "sub/link", "./sub/file"]


async def test_recorder_never_guesses() -> None:
    host = Recorder({"true": [Result(code=0), NotReady("not now")]})
    command = Command(argv=("true",))
    assert (await host.run(command)).ok
    with pytest.raises(NotReady):
        await host.run(command)
    with pytest.raises(KeyError):
        await host.run(command)
    with pytest.raises(KeyError, match=shlex.quote("rsync there")):
        await host.rsync(Path("here"), "there", remote_program="rsync", timeout=1)
    assert host.heard == ["true", "true", "true", "rsync there"]


async def test_cancelled_twice_it_is_ended_there_all_the_same(host: Host, home: Path) -> None:
    (home / "pid").unlink(missing_ok=True)
    task = asyncio.create_task(host.run(shell(STUBBORN, timeout=300)))
    pid = await pid_in(home / "pid")
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await until(lambda: not alive(pid), 6)
