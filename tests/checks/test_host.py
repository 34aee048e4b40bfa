from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.checks import host as subject
from fairlead.checks.host import Disk, Seen, check_host
from fairlead.errors import Unreachable
from fairlead.model import Account
from fairlead.outside.clock import FakeClock, SystemClock
from fairlead.outside.connect import Hosts
from fairlead.outside.secrets import Secrets
from support.places import Place, place
from support.sshd import Sshd

GB = 1_000_000_000


@pytest.fixture(params=["local", "ssh"])
async def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with place(request.param, tmp_path) as found:
        yield found


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    async with place("local", tmp_path) as found:
        yield found


async def test_a_real_account_is_ready_and_nothing_is_left_there(anywhere: Place) -> None:
    before = sorted(anywhere.home.rglob("*"))
    finding = await check_host(anywhere.hosts, "here", programs=("python3",), folders=("sites/a b/$(id)", "sites/-rf"))
    assert (finding.status, finding.evidence["lacks"]) == ("ok", []), finding
    assert finding.says.startswith("answers, ") and finding.says.endswith(" GB free")
    assert finding.ms is not None and finding.ms > 0
    assert finding.evidence["clock_skew_s"] == 0
    assert [disk["folder"] for disk in finding.evidence["disks"]] == [".fairlead", "sites/a b/$(id)", "sites/-rf"]
    assert all(disk["size"] > disk["free"] > 0 and disk["type"] for disk in finding.evidence["disks"])
    assert sorted(anywhere.home.rglob("*")) == before


@pytest.mark.parametrize(
    ("jump", "status", "says"),
    [
        (-100.0, "fail", "its clock is 1"),
        (100.0, "fail", "s behind ours"),
        (-30.0, "warn", "ahead of ours"),
        (1.0, "ok", "answers"),
    ],
    ids=["far ahead", "far behind", "a little ahead", "not worth a word"],
)
async def test_clocks_that_differ_are_noticed(here: Place, jump: float, status: str, says: str) -> None:
    clock = FakeClock(SystemClock().now() + jump)
    finding = await check_host(here.hosts, "here", clock=clock)
    assert finding.status == status and says in finding.says, finding


async def test_a_slow_and_talking_login_shell_is_a_warning(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "SLOW_LOGIN", 0.2)
    monkeypatch.setenv("SHELL", "/bin/sh")
    (here.home / ".profile").write_text("echo welcome; sleep 0.3\n")
    finding = await check_host(here.hosts, "here")
    assert finding.status == "warn"
    assert "login shell takes 0." in finding.says and "prints text" in finding.says


async def test_a_shell_that_prints_before_every_command_is_a_warning(tmp_path: Path) -> None:
    with Sshd(tmp_path / "sshd") as sshd:
        sshd.write(".bashrc", "echo welcome\n")
        async with Hosts({"here": sshd.account("here")}, sshd.secrets) as hosts:
            finding = await check_host(hosts, "here")
    assert finding.status == "warn"
    assert "prints text before every command, so copies go as a tar stream" in finding.says
    assert ".bashrc" in finding.hint


async def test_a_missing_program_is_named(here: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in ("/usr/bin", "/bin"):
        for tool in Path(folder).iterdir():
            if not tool.name.startswith(("python3", "flock", "perl", "tar")) and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    monkeypatch.setenv("PATH", str(tools))
    finding = await check_host(here.hosts, "here", programs=("python3",))
    assert finding.status == "fail"
    assert finding.says == "lacks GNU tar, flock or perl, python3, 3.7 or newer, with sqlite3"


async def test_a_folder_that_cannot_be_written_is_named(here: Place) -> None:
    finding = await check_host(here.hosts, "here", folders=("/proc/sys/x/y",))
    assert (finding.status, finding.says) == ("fail", "/proc/sys/x/y cannot be written to")


async def test_a_state_folder_that_is_a_file_is_refused(here: Place) -> None:
    (here.home / ".fairlead").write_text("")
    finding = await check_host(here.hosts, "here")
    assert (finding.status, finding.says) == ("fail", ".fairlead cannot be written to")


async def test_a_host_that_does_not_answer_is_not_known() -> None:
    account = Account(name="gone", kind="ssh", address="127.0.0.1", port=1, user="nobody", connect_timeout=2)
    async with Hosts({"gone": account}, Secrets()) as hosts:
        finding = await check_host(hosts, "gone")
        with pytest.raises(Unreachable) as told:
            await hosts.get("gone")
    assert (finding.status, finding.says, finding.hint) == ("unknown", told.value.what, told.value.hint)


def disk(**more: object) -> Disk:
    words = {"folder": ".fairlead", "writable": True, "type": "ext4", "free": 50 * GB, "size": 100 * GB}
    return Disk(**{**words, "inodes_free": 900, "inodes": 1000, **more})  # type: ignore[arg-type]


FAULTS = {
    "enough of everything": ({}, []),
    "9 percent free": ({"free": 9 * GB}, ["warn: the disk of .fairlead has 9.0 GB (9%) free"]),
    "1 percent free": ({"free": 1 * GB}, ["fail: the disk of .fairlead has 1.0 GB (1%) free"]),
    "150 MB free of 1 GB": (
        {"free": 150_000_000, "size": GB},
        ["fail: the disk of .fairlead has 0.1 GB (15%) free"],
    ),
    "no inodes": (
        {"inodes_free": 3},
        ["fail: the disk of .fairlead has no room for more files (3 inodes free)"],
    ),
    "a file system without inodes": ({"inodes_free": 0, "inodes": 0}, []),
    "nfs": ({"type": "nfs"}, ["fail: the state folder .fairlead lies on a network disk (nfs)"]),
    "cifs": ({"type": "cifs"}, ["fail: the state folder .fairlead lies on a network disk (cifs)"]),
    "fuse": ({"type": "fuseblk"}, ["warn: the state folder .fairlead may lie on a network disk (fuseblk)"]),
}


@pytest.mark.parametrize("case", FAULTS)
def test_disks_are_judged(case: str) -> None:
    words, told = FAULTS[case]
    seen = Seen(disks=[disk(**words)])
    assert [f"{status}: {says}" for status, says, _ in subject._faults(seen, 0.0)] == told


def test_other_folders_may_lie_on_a_network_disk_and_one_disk_is_told_once() -> None:
    seen = Seen(disks=[disk(), disk(folder="a", type="nfs", free=GB), disk(folder="b", type="nfs", free=GB)])
    assert [says for _, says, _ in subject._faults(seen, 0.0)] == ["the disk of a has 1.0 GB (1%) free"]


@pytest.mark.parametrize(
    "stdout",
    ["", "clock 1.0\nclock 2.0\nwhole\n", "clock 1.0\nplace 0 yes ext4 1 2 3 4 5\n"],
    ids=["empty", "no place", "cut"],
)
def test_half_an_answer_is_none(stdout: str) -> None:
    with pytest.raises(subject.NotReady):
        subject._read(stdout, (".fairlead",))


@pytest.mark.parametrize(
    ("began", "ended", "sent", "heard", "skew"),
    [
        (100, 101, 99, 102, 0),
        (100, 109, 99, 110, 0),
        (200, 201, 99, 102, 99),
        (50, 51, 99, 102, -49),
        (98, 99, 99, 109, -1),
    ],
    ids=["between", "a slow shell is no skew", "ahead", "behind", "only what is certain"],
)
def test_skew_is_only_what_no_delay_explains(
    began: float, ended: float, sent: float, heard: float, skew: float
) -> None:
    assert subject._skew(Seen(began=began, ended=ended), sent, heard) == skew
