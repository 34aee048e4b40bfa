"""What only ssh can get wrong. Every server here is a real sshd on the loopback."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from fairlead.config.source import EnvironmentSource
from fairlead.errors import Lost, NotReady, Unreachable
from fairlead.model import Account, Command, Result, SecretRef, shell
from fairlead.outside.secrets import Secrets
from fairlead.outside.ssh import LASTING, SshHost
from support.processes import alive, mentioning, pid_in, until
from support.sshd import KEY, Sshd

TRUE = Command(argv=("true",))


@asynccontextmanager
async def opened(sshd: Sshd, key: str = "", **changes: object) -> AsyncIterator[SshHost]:
    account = sshd.account().model_copy(update=changes)
    secrets = Secrets((EnvironmentSource(),), environ={KEY: key}) if key else sshd.secrets
    host = SshHost(account, secrets)
    try:
        yield host
    finally:
        await host.aclose()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- one connection


async def test_one_connection_for_everything(tmp_path: Path) -> None:
    with Sshd(tmp_path) as sshd:
        async with opened(sshd) as host:
            await asyncio.gather(*(host.run(TRUE) for _ in range(20)))
            await host.call("true")
            assert sshd.connections == 1


async def sessions(sshd: Sshd) -> int:
    return sshd.log.count("Starting session")


async def test_looks_one_after_the_other_share_a_session(tmp_path: Path) -> None:
    with Sshd(tmp_path, "LogLevel VERBOSE") as sshd:
        async with opened(sshd) as host:
            for number in range(10):
                assert (await host.run(shell("echo $1; exit $1", str(number)))).code == number
                assert (await host.call(f"echo {number}; exit {number}")).stdout == f"{number}\n"
            assert await sessions(sshd) == 2, "the login's own, and one for all looks"


async def test_one_look_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    with Sshd(tmp_path, "LogLevel VERBOSE") as sshd:
        async with opened(sshd) as host:
            spoilt = "cd /tmp; umask 077; x=1; export x; exec 1>&2 2>/dev/null </dev/null; set -eu; trap 'echo no' EXIT"
            first = await host.run(shell("umask; pwd; cat; echo ${x-unset}"), stdin=b"\x00in\n\n")
            await host.call(spoilt)
            await host.run(shell("head -c 1; exit 9"), stdin=b"unread\nlines, one of them without an end")
            await host.call("head -c 3 >/dev/null", stdin=b"unread again\nand no end")
            assert (
                await host.run(shell("umask; pwd; cat; echo ${x-unset}"), stdin=b"\x00in\n\n")
            ).stdout == first.stdout
            assert await sessions(sshd) == 2


DD = {"GNU's dd": "", "one that knows no fullblock": "echo unknown >&2; exit 1", "none": "exit 127"}


@pytest.mark.parametrize("dd", DD)
async def test_a_long_request_arrives_whole_and_takes_nothing_of_what_follows(
    sshd: Sshd, ssh: SshHost, dd: str
) -> None:
    if DD[dd]:
        sshd.shim("dd", DD[dd])
    text = "\n".join(f": 'umlaut {number} äöü'" for number in range(3000))
    for number in range(3):
        heard = await ssh.run(shell(f"{text}\ncat; exit $1", str(number)), stdin=b"\x00in\n\n")
        assert (heard.stdout, heard.code) == ("\x00in\n\n", number)
        assert (await ssh.call(f"{text}\nhead -c 3", stdin=b"in\nmore")).stdout == "in\n"


async def test_a_look_that_prints_how_its_session_was_opened_is_heard_to_its_end(ssh: SshHost) -> None:
    """`env` on an account with ForceCommand shows the line that opened the session, which has the session's word."""
    for _ in range(5):  # where it is taken for the end, what comes after it may still be read in time
        result = await ssh.run(shell("env; head -c 3000000 /dev/zero"))
        assert "SSH_ORIGINAL_COMMAND" in result.stdout and result.stdout.count("\0") == 3_000_000


async def test_what_a_change_leaves_behind_says_nothing_into_later_answers(tmp_path: Path) -> None:
    with Sshd(tmp_path) as sshd:
        async with opened(sshd) as host:
            daemon = "(while [ ! -e enough ]; do echo noise; echo noise >&2; sleep 0.01; done) & echo $! >pid"
            assert (await host.call(daemon, beat=9, timeout=20)).code == 0
            for _ in range(20):
                heard = await host.run(shell("echo quiet; sleep 0.02"))
                assert (heard.stdout, heard.stderr) == ("quiet\n", "")
                assert (await host.call("echo quiet; sleep 0.02")).stdout == "quiet\n"
            (sshd.home / "enough").touch()


async def test_a_session_that_was_ended_from_outside_is_not_used_again(tmp_path: Path) -> None:
    with Sshd(tmp_path) as sshd:
        async with opened(sshd) as host:
            assert (await host.run(shell("echo $PPID"))).ok
            [shell_of_looks] = host._idle
            shell_of_looks._child.transport.kill()
            assert await until(lambda: not shell_of_looks.usable)
            assert (await host.run(TRUE)).ok and sshd.connections == 1


async def test_closing_leaves_nothing(sshd: Sshd, ssh: SshHost) -> None:
    (sshd.home / "pid").unlink(missing_ok=True)
    await ssh.run(TRUE)
    folder = Path(ssh._master.client[2]).parent
    cats = sshd.running("cat")
    assert mentioning(str(folder)) and cats and folder.stat().st_mode & 0o777 == 0o700
    await ssh.aclose()
    assert not mentioning(str(folder)) and not folder.exists()
    assert await until(lambda: not any(alive(pid) for pid in cats))


async def test_closing_a_host_that_was_never_opened(sshd: Sshd) -> None:
    await SshHost(sshd.account(), sshd.secrets).aclose()


async def test_a_failed_login_leaves_nothing(sshd: Sshd, tmp_path: Path) -> None:
    async with opened(sshd, known_hosts=str(tmp_path / "none")) as host:
        with pytest.raises(Unreachable):
            await host.open()
        folder = Path(host._master.client[2]).parent
        assert not (folder / "key").exists() and not mentioning(str(folder))
    assert not folder.exists()


# -- logging in


def _own_config(sshd: Sshd, folder: Path) -> dict[str, object]:
    return {
        "address": "target",
        "port": None,
        "user": "",
        "key": None,
        "known_hosts": "",
        "ssh_config": str(sshd.ssh_config),
    }


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(str, id="a path"),
        pytest.param(lambda key: key.read_text(), id="its content"),
        pytest.param(lambda key: key.read_text().strip().replace("\n", "\r\n"), id="its content from Windows"),
        pytest.param(lambda key: key.read_text().replace("\n", "\\n"), id="its content on one line"),
        pytest.param(lambda key: base64.b64encode(key.read_bytes()).decode(), id="its content in base64"),
        pytest.param(
            lambda key: base64.encodebytes(key.read_bytes()).decode(), id="its content in base64 of many lines"
        ),
    ],
)
async def test_forms_of_a_key(sshd: Sshd, key: Callable[[Path], str]) -> None:
    async with opened(sshd, key=key(sshd.key)) as host:
        assert (await host.run(TRUE)).ok
        assert not (Path(host._master.client[2]).parent / "key").exists()


async def test_ssh_config_is_honoured(sshd: Sshd, tmp_path: Path) -> None:
    async with opened(sshd, **_own_config(sshd, tmp_path)) as host:
        assert (await host.run(TRUE)).ok


def _other_key(sshd: Sshd, folder: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "other"], check=True)
    return folder / "other"


def _changed(sshd: Sshd, folder: Path) -> dict[str, object]:
    public = _other_key(sshd, folder).with_suffix(".pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {public}")
    return {"known_hosts": str(folder / "known_hosts")}


def _locked(sshd: Sshd, folder: Path) -> dict[str, object]:
    shutil.copy(sshd.key, folder / "locked")
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", folder / "locked"], check=True)
    return {"key_value": str(folder / "locked")}


def _broken(sshd: Sshd, folder: Path) -> dict[str, object]:
    lines = sshd.key.read_text().splitlines()
    return {"key_value": "\n".join([lines[0], "A" * 70, lines[-1]])}


Change = Callable[[Sshd, Path], dict[str, object]]
TROUBLES: dict[str, tuple[Change, str, str]] = {
    "host key unknown": (
        lambda s, f: {"known_hosts": str(f / "none")},
        "the host key of 127.0.0.1:{port} is not known",
        "ssh-keyscan -p {port} 127.0.0.1 >> ",
    ),
    "host key changed": (
        _changed,
        "the host key of 127.0.0.1:{port} has changed",
        "ssh-keygen -R '[127.0.0.1]:{port}'",
    ),
    "name does not resolve": (
        lambda s, f: {"address": "no-such-host.invalid"},
        "the name no-such-host.invalid of account target does not resolve",
        "hosts.target.address",
    ),
    "port closed": (lambda s, f: {"port": closed_port()}, "refuses the connection", "is sshd running there"),
    "key not admitted": (
        lambda s, f: {"key_value": str(_other_key(s, f))},
        "does not admit {user}: permission denied",
        "authorized_keys",
    ),
    "key with a passphrase": (_locked, "the key of account target has a passphrase", "ssh-add"),
    "key broken": (_broken, "the key of account target cannot be used", "ssh-keygen -y"),
    "key is no key": (lambda s, f: {"key_value": "nonsense"}, f"the secret {KEY} is neither a private key", "BEGIN"),
    "address that looks like an option": (lambda s, f: {"address": "-oProxyCommand=touch pwned"}, "no login on", "ssh"),
}


@pytest.mark.parametrize("row", TROUBLES.values(), ids=TROUBLES.keys())
async def test_each_trouble_says_what_it_is(sshd: Sshd, tmp_path: Path, row: tuple[Change, str, str]) -> None:
    change, what, hint = row
    changes = change(sshd, tmp_path)
    key = str(changes.pop("key_value", ""))
    facts = {"port": sshd.port, "user": sshd.user}
    async with opened(sshd, key, **changes) as host:
        with pytest.raises(NotReady) as error:
            await host.run(TRUE)
    assert what.format(**facts) in error.value.what and hint.format(**facts) in error.value.hint
    assert "nonsense" not in str(error.value) + error.value.hint and not Path("pwned").exists()


async def test_a_host_that_never_answers_is_given_up_in_time(sshd: Sshd) -> None:
    with silent_port() as port:
        async with opened(sshd, port=port, connect_timeout=1.0) as host:
            began = asyncio.get_running_loop().time()
            answers = await asyncio.gather(*(host.run(TRUE) for _ in range(20)), return_exceptions=True)
            assert asyncio.get_running_loop().time() - began < 5
    assert {str(answer) for answer in answers} == {f"127.0.0.1:{port} did not answer within 1 s"}


async def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    with Sshd(tmp_path, "MaxStartups 1") as sshd, socket.create_connection(("127.0.0.1", sshd.port)) as waiting:
        async with opened(sshd) as host:
            opening = asyncio.create_task(host.open())
            assert await until(lambda: "drop connection" in sshd.log or "MaxStartups" in sshd.log)
            waiting.close()
            await opening
            assert (await host.run(TRUE)).ok


async def test_start_up_noise_of_the_remote_shell_is_not_part_of_an_answer(sshd: Sshd, ssh: SshHost) -> None:
    noise = "echo hello; echo 'fairlead rc 3 end x'; echo oops >&2; printf 'no newline'; export CDPATH=/tmp\n"
    files = [sshd.write(name, noise) for name in (".bashrc", ".profile", ".bash_profile")]
    try:
        result = await ssh.run(shell("pwd; echo err >&2"))
        assert (result.code, result.stdout, result.stderr) == (0, f"{sshd.home}\n", "err\n")
        assert (await ssh.call("echo fl1 ok; exit 3")).stdout == "fl1 ok\n"
        async with opened(sshd) as another:
            assert (await another.call("echo fl1 ok")).stdout == "fl1 ok\n"
            assert another.copies_with == "tar"  # there was noise
    finally:
        for file in files:
            file.unlink()


# -- through another host


async def test_jumping_through_another_account(sshd: Sshd, tmp_path: Path) -> None:
    with Sshd(tmp_path) as bastion:
        secrets = Secrets((EnvironmentSource(),), environ={KEY: str(bastion.key), "INNER": str(sshd.key)})
        jump = SshHost(bastion.account("bastion"), secrets)
        inner = sshd.account(via="bastion").model_copy(update={"key": SecretRef(name="INNER")})
        host = SshHost(inner, secrets, via=jump)
        assert (await host.run(TRUE)).ok and (await jump.run(TRUE)).ok
        assert bastion.connections == 1
        await host.aclose()
        await jump.aclose()


async def test_a_jump_host_that_does_not_forward(sshd: Sshd, tmp_path: Path) -> None:
    with Sshd(tmp_path, "AllowTcpForwarding no") as bastion:
        jump = SshHost(bastion.account("bastion"), bastion.secrets)
        host = SshHost(sshd.account(via="bastion"), sshd.secrets, via=jump)
        with pytest.raises(Unreachable, match="cannot be reached through bastion"):
            await host.open()
        await host.aclose()
        await jump.aclose()


# -- losing the connection


async def _running(host: SshHost, home: Path) -> tuple[asyncio.Task[object], int]:
    (home / "pid").unlink(missing_ok=True)
    task: asyncio.Task[object] = asyncio.create_task(host.run(shell("echo $$ >pid; exec sleep 300", timeout=300)))
    return task, await pid_in(home / "pid")


async def test_master_killed_in_mid_command(sshd: Sshd, ssh: SshHost) -> None:
    task, pid = await _running(ssh, sshd.home)
    assert ssh._master._child
    os.kill(ssh._master._child.pid, signal.SIGKILL)
    with pytest.raises(Lost, match="while `sh` may have been running"):
        await task
    assert await until(lambda: not alive(pid))
    assert (await ssh.run(TRUE)).ok  # the next command logs in again


async def test_connection_dropped_in_mid_command_and_in_mid_call(tmp_path: Path) -> None:
    with Sshd(tmp_path) as sshd:
        async with opened(sshd) as host:
            long = {
                "sleep": lambda: host.run(shell("exec sleep 300", timeout=60)),
                "tail": lambda: host.call("exec tail -f /dev/null", timeout=60, beat=1),
            }
            for program, start in long.items():
                task = asyncio.create_task(start())
                assert await until(lambda name=program: sshd.running(name))
                sshd.drop_connections()
                with pytest.raises(Lost):
                    await task


async def test_a_command_that_provably_did_not_run_is_sent_again(sshd: Sshd, ssh: SshHost) -> None:
    await ssh.open()
    assert ssh._master._child
    os.kill(ssh._master._child.pid, signal.SIGSTOP)
    asked = asyncio.create_task(ssh.run(shell("echo once")))
    assert await until(lambda: len(mentioning(str(Path(ssh._master.client[2]).parent))) > 1)
    os.kill(ssh._master._child.pid, signal.SIGKILL)  # its client had only knocked
    assert (await asked).stdout == "once\n"


async def test_a_server_with_few_sessions(tmp_path: Path) -> None:
    with Sshd(tmp_path, "MaxSessions 4") as sshd:
        async with opened(sshd) as host:
            held = "while [ ! -e enough ]; do sleep 0.05; done; echo $1"
            asked = asyncio.gather(*(host.run(shell(held, str(n))) for n in range(12)))
            assert await until(lambda: "no more sessions" in sshd.log)
            (sshd.home / "enough").touch()
            assert [r.stdout for r in await asked] == [f"{n}\n" for n in range(12)]
            assert sshd.connections == 1


HELD = "touch begun.$1; while [ ! -e enough.$1 ] && [ ! -e enough ]; do sleep 0.05; done"


def begun(sshd: Sshd) -> int:
    return len(list(sshd.home.glob("begun.*")))


@asynccontextmanager
async def going_on(sshd: Sshd, *held: Awaitable[Result]) -> AsyncIterator[None]:
    """What is held goes on meanwhile, and ends well afterwards."""
    several = asyncio.gather(*held)
    try:
        yield
    finally:
        (sshd.home / "enough").touch()
        assert {one.code for one in await several} == {0}


def held_changes(host: SshHost, number: int) -> list[Awaitable[Result]]:
    return [host.call(f"set -- {n}; {HELD}", beat=9) for n in range(number)]


async def test_a_look_waits_for_no_change(tmp_path: Path) -> None:
    """Databases that are looked at while others are restored for minutes would seem to be lost."""
    with Sshd(tmp_path) as sshd:
        async with opened(sshd) as host, going_on(sshd, *held_changes(host, 17)):
            assert await until(lambda: begun(sshd) >= LASTING - 1)
            assert (await asyncio.wait_for(host.run(shell("echo seen")), 10)).stdout == "seen\n"
            assert begun(sshd) == LASTING - 1


async def test_a_word_for_the_record_waits_for_nothing_that_lasts(tmp_path: Path) -> None:
    """Seventeen databases are restored for minutes, and the lock is renewed all the while."""
    with Sshd(tmp_path) as sshd:
        async with opened(sshd) as host:
            changes = held_changes(host, 17)
            looks = [host.run(shell(HELD, str(n))) for n in range(17, 34)]
            async with going_on(sshd, *looks[:2], *changes, *looks[2:]):
                assert await until(lambda: begun(sshd) >= LASTING)
                heard = await asyncio.wait_for(host.call("echo heard"), 10)
                assert (heard.stdout, begun(sshd)) == ("heard\n", LASTING)


async def test_a_word_for_the_record_and_a_look_on_a_server_with_few_sessions(tmp_path: Path) -> None:
    """Once it was seen how few there are, one of them stays free for each."""
    with Sshd(tmp_path, "MaxSessions 5") as sshd:
        async with opened(sshd) as host:
            async with going_on(sshd, *held_changes(host, 9)):
                assert await until(lambda: (begun(sshd), host._most) == (4, 3), 30)
                for path in sshd.home.glob("begun.*"):
                    path.with_name(f"enough{path.suffix}").touch()
                assert await until(lambda: begun(sshd) == 4 + 2, 30)
                for _ in range(20):  # between two of them, what lasts could take their place
                    word, look = host.call("sleep 0.1; echo heard"), host.run(shell("sleep 0.1; echo seen"))
                    heard = await asyncio.wait_for(asyncio.gather(word, look), 10)
                    assert [one.stdout for one in heard] == ["heard\n", "seen\n"]
                assert begun(sshd) == 4 + 2
            assert begun(sshd) == 9


async def test_what_finds_no_session_waits_for_what_has_one(tmp_path: Path) -> None:
    with Sshd(tmp_path, "MaxSessions 2") as sshd:
        async with opened(sshd) as host:
            long = asyncio.create_task(
                host.run(shell("echo $$ >pid; while [ ! -e enough ]; do sleep 0.1; done; echo long"))
            )
            await pid_in(sshd.home / "pid")
            short = asyncio.create_task(host.run(shell("echo short")))
            assert await until(lambda: sshd.log.count("no more sessions") == 5)
            given_up, _ = await asyncio.wait({short}, timeout=0.5)
            (sshd.home / "enough").touch()
            assert ((await long).stdout, (await short).stdout) == ("long\n", "short\n")
            assert not given_up and sshd.connections == 1


async def test_a_server_with_one_session(tmp_path: Path) -> None:
    with Sshd(tmp_path, "MaxSessions 1") as sshd:
        async with opened(sshd) as host:
            for ask in (
                host.run(TRUE),
                host.call("true"),
                host.rsync(tmp_path, "x", remote_program="rsync", timeout=9),
            ):
                with pytest.raises(Unreachable, match="opens no further session"):
                    await ask
        assert sshd.connections == 1


# -- the operator's death

OPERATOR = """
import asyncio, signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background may have told us to ignore it
sys.path.insert(0, {tests!r})
from fairlead.model import Account, shell
from fairlead.outside.local import LocalHost
from fairlead.outside.process import run_async
from fairlead.outside.secrets import Secrets
from fairlead.outside.ssh import LASTING, SshHost

async def main():
    account = Account.model_validate_json({account!r})
    secrets = Secrets(environ={environ!r})
    host = SshHost(account, secrets) if account.kind == "ssh" else LocalHost(account)
    jobs = [host.run(shell("echo $$ >pid1; exec sleep 300", timeout=300)),
            host.call("echo $$ >pid2; exec cat >/dev/null", timeout=300, beat=1)]
    if account.kind == "ssh":
        print(Path((await opened(host))).parent, flush=True)
        program = "sh -c 'echo $$ >pid3; exec cat >/dev/null'"
        jobs.append(host.rsync(Path({source!r}), "x", remote_program=program, timeout=300))
    else:
        print("-", flush=True)
    await asyncio.gather(*jobs)

async def opened(host):
    await host.open()
    return host._master.client[2]

run_async(main())
"""


@pytest.mark.parametrize("kind", ["local", "ssh"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["kill -9", "TERM", "Ctrl-C"])
async def test_the_operator_dies(sshd: Sshd, tmp_path: Path, kind: str, how: signal.Signals) -> None:
    (tmp_path / "home").mkdir()
    account = sshd.account() if kind == "ssh" else Account(name="l", kind="local", home=str(tmp_path / "home"))
    home = sshd.home if kind == "ssh" else tmp_path / "home"
    names = ["pid1", "pid2"] + (["pid3"] if kind == "ssh" else [])
    for name in names:
        (home / name).unlink(missing_ok=True)
    program = OPERATOR.format(
        tests=str(Path(__file__).parents[1]), account=account.to_json(), environ=sshd.environ, source=str(tmp_path)
    )
    operator = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert operator.stdout
        folder = (await asyncio.to_thread(operator.stdout.readline)).decode().strip()
        pids = [await pid_in(home / name) for name in names]
        operator.send_signal(how)
        assert await until(lambda: not any(alive(pid) for pid in pids), 6)
        assert await until(lambda: kind == "local" or not mentioning(folder), 6)
        await asyncio.to_thread(operator.wait, 10)
    finally:
        operator.kill()
        operator.wait()
        assert operator.stdout
        operator.stdout.close()


async def test_what_a_killed_operator_left_is_swept(sshd: Sshd, ssh: SshHost, tmp_path: Path) -> None:
    left = Path(ssh_folder_of_a_dead(sshd))
    assert left.exists()
    await ssh.open()
    assert not left.exists()


def ssh_folder_of_a_dead(sshd: Sshd) -> str:
    program = "import os; from fairlead.outside.scratch import Scratch; print(Scratch().path, flush=True); os._exit(1)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip()


async def test_no_secret_in_what_ssh_shows_of_itself(sshd: Sshd, ssh: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTINEL_PASSWORD", "sentinel-4711")
    async with opened(sshd, key=sshd.key.read_text()) as host:
        task, _ = await _running(host, sshd.home)
        for pid in mentioning(str(Path(host._master.client[2]).parent)):
            for file in ("cmdline", "environ"):
                shown = Path(f"/proc/{pid}/{file}").read_bytes()
                assert b"PRIVATE KEY" not in shown and b"sentinel" not in shown
        task.cancel()


# -- copying


def _tree(folder: Path) -> Path:
    (folder / "sub dir" / "-rf").mkdir(parents=True)
    (folder / "sub dir" / "it's $(touch pwned) ü").write_text("one")
    (folder / "run.sh").write_text("two")
    (folder / "run.sh").chmod(0o751)
    (folder / "*").write_text("three")
    (folder / "link").symlink_to("sub dir/-rf")
    return folder


async def test_copying_a_tree(sshd: Sshd, ssh: SshHost, tmp_path: Path) -> None:
    source, to = _tree(tmp_path / "a tree"), "releases/it's $(touch pwned) ü"
    await ssh.run(Command(argv=("mkdir", "-p", "releases")))
    result = await ssh.rsync(source, to, remote_program="rsync", timeout=30)
    assert (result.code, result.stderr) == (0, "")
    copied = {p.relative_to(sshd.home / to): p for p in (sshd.home / to).rglob("*")}
    assert copied.keys() == {p.relative_to(source) for p in source.rglob("*")}
    assert (sshd.home / to / "run.sh").stat().st_mode & 0o777 == 0o751
    assert (sshd.home / to / "link").readlink() == Path("sub dir/-rf")
    assert not (sshd.home / "pwned").exists()


async def test_copying_links_what_is_there_already(sshd: Sshd, ssh: SshHost, tmp_path: Path) -> None:
    source = _tree(tmp_path / "tree")
    await ssh.run(Command(argv=("mkdir", "-p", "linked")))
    for link_from, to in (("", "linked/1"), ("linked/1", "linked/2"), (str(sshd.home / "linked/1"), "linked/3")):
        (source / "run.sh").write_text("new" if to == "linked/3" else "two")
        assert (await ssh.rsync(source, to, remote_program="rsync", link_from=link_from, timeout=30)).ok
    inodes = [{p.name: p.stat().st_ino for p in (sshd.home / f"linked/{n}").iterdir()} for n in (1, 2, 3)]
    assert inodes[0]["run.sh"] == inodes[1]["run.sh"] != inodes[2]["run.sh"]
    assert inodes[0]["*"] == inodes[1]["*"] == inodes[2]["*"]


async def test_copying_says_what_the_far_side_said(ssh: SshHost, tmp_path: Path) -> None:
    program = 'sh -c \'rsync "$@"; rc=$?; echo "fl1 done $rc" >&2; exit $rc\' fl'
    result = await ssh.rsync(_tree(tmp_path / "tree"), "said", remote_program=program, timeout=30)
    assert (result.code, result.stderr) == (0, "fl1 done 0\n")


async def test_copying_without_rsync_there(ssh: SshHost, tmp_path: Path) -> None:
    result = await ssh.rsync(tmp_path, "x", remote_program="no-such-rsync", timeout=30)
    # 12 where rsync wrote before it heard that nobody is there
    assert result.code in (12, 127) and "no-such-rsync" in result.stderr, result


async def test_copying_without_rsync_here(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("ssh", "sh", "setsid", "head", "base64", "sleep", "wc"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    monkeypatch.setenv("PATH", str(tmp_path))
    async with opened(sshd) as host:
        with pytest.raises(Unreachable, match="rsync is not installed on this machine") as error:
            await host.rsync(tmp_path, "x", remote_program="rsync", timeout=30)
    assert error.value.hint == "apt-get install rsync"


async def test_without_ssh_here(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with opened(sshd) as host:
        with pytest.raises(Unreachable, match="ssh is not installed on this machine"):
            await host.run(TRUE)
