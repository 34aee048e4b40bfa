from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead.checks import host as subject
from fairlead.checks.host import Asked, Disk, Growth, Needs, Seen, check_host
from fairlead.config import LoadSpec
from fairlead.errors import Unreachable
from fairlead.model import Account
from fairlead.outside.clock import FakeClock, SystemClock
from fairlead.outside.connect import Hosts
from fairlead.outside.secrets import Secrets
from support.places import Place, place
from support.sshd import Sshd

GB = 1_000_000_000
BUSY = LoadSpec(warn=10_000, fail=10_000)
"""This machine may be as busy as it likes."""
ANY = Needs(load=BUSY)


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
    finding = await check_host(
        anywhere.hosts, "here", Needs(programs=("python3",), folders=("sites/a b/$(id)", "sites/-rf"), load=BUSY)
    )
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
    finding = await check_host(here.hosts, "here", ANY, clock=clock)
    assert finding.status == status and says in finding.says, finding


async def test_a_slow_and_talking_login_shell_is_a_warning(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "SLOW_LOGIN", 0.2)
    monkeypatch.setenv("SHELL", "/bin/sh")
    (here.home / ".profile").write_text("echo welcome; sleep 0.3\n")
    finding = await check_host(here.hosts, "here", ANY)
    assert finding.status == "warn"
    assert "login shell takes 0." in finding.says and "prints text" in finding.says


async def test_a_shell_that_prints_before_every_command_is_a_warning(tmp_path: Path) -> None:
    with Sshd(tmp_path / "sshd") as sshd:
        sshd.write(".bashrc", "echo welcome\n")
        async with Hosts({"here": sshd.account("here")}, sshd.secrets) as hosts:
            finding = await check_host(hosts, "here", ANY)
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
    finding = await check_host(here.hosts, "here", Needs(programs=("python3",), load=BUSY))
    assert finding.status == "fail"
    assert finding.says == "lacks GNU tar, flock or perl, python3, 3.7 or newer, with sqlite3"


async def test_a_folder_that_cannot_be_written_is_named(here: Place) -> None:
    finding = await check_host(here.hosts, "here", Needs(folders=("/proc/sys/x/y",), load=BUSY))
    assert (finding.status, finding.says) == ("fail", "/proc/sys/x/y cannot be written to")


async def test_a_state_folder_that_is_a_file_is_refused(here: Place) -> None:
    (here.home / ".fairlead").write_text("")
    finding = await check_host(here.hosts, "here", ANY)
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
    seen = Seen(
        disks=[
            disk(),
            disk(folder="a", type="nfs", free=GB, device="1"),
            disk(folder="b", type="nfs", free=GB, device="1"),
        ]
    )
    assert [says for _, says, _ in subject._faults(seen, 0.0)] == ["the disk of a has 1.0 GB (1%) free"]


@pytest.mark.parametrize(
    "stdout",
    ["", "clock 1.0\nclock 2.0\nwhole\n", "clock 1.0\nload 1 2\nplace 0 yes ext4 1 2 3 4 5 6\n"],
    ids=["empty", "no place", "cut"],
)
def test_half_an_answer_is_none(stdout: str) -> None:
    with pytest.raises(subject.NotReady):
        subject._read(stdout, [Asked("place", ".fairlead")])


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


COMING = {
    "room for all": (10 * GB, GB, []),
    "more than there is": (10 * GB, 10 * GB, ["fail: the disk of sites has 10.0 GB free, and 1 release and 1 backup"]),
    "just not enough with what must stay free": (10 * GB, 9_850_000_000, ["fail: the disk of sites has 10.0 GB free"]),
    "not found out": (10 * GB, None, ["warn: how large the release in sites is was not found out in time"]),
    "full as it is": (GB // 10, GB, ["fail: the disk of sites has 0.1 GB (0%) free"]),
}


@pytest.mark.parametrize("case", COMING)
def test_what_is_to_come_must_fit(case: str) -> None:
    free, size, told = COMING[case]
    disks = [disk(device="1"), disk(folder="sites", free=free, device="2"), disk(folder="store", free=free, device="2")]
    sizes: dict[Growth, int | None] = {
        Growth("release", "sites", "sites"): size,
        Growth("copies", "store", "store/a"): 0,
    }
    said = [f"{status}: {says}" for status, says, _ in subject._faults(Seen(disks=disks, sizes=sizes), 0.0)]
    assert len(said) == len(told) and all(one.startswith(begin) for one, begin in zip(said, told, strict=True)), said


def test_what_comes_onto_another_disk_takes_no_room_here() -> None:
    disks = [disk(device="1"), disk(folder="a", free=5 * GB, size=6 * GB, device="2"), disk(folder="b", device="3")]
    seen = Seen(disks=disks, sizes={Growth("release", "b", "b"): 8 * GB})
    assert list(subject._faults(seen, 0.0)) == []


LOADS = {
    "idle": (0.0, 2, []),
    "busy": (3.9, 2, []),
    "busier than its cores": (4.0, 2, ["warn: its load is 4.0 with 2 cores"]),
    "much busier": (32.0, 2, ["fail: its load is 32.0 with 2 cores"]),
    "one core": (16.5, 1, ["fail: its load is 16.5 with 1 core"]),
    "the same with many cores": (16.5, 16, []),
}


@pytest.mark.parametrize("case", LOADS)
def test_load_is_judged_against_cores(case: str) -> None:
    load, cores, told = LOADS[case]
    seen = Seen(disks=[disk()], load=load, cores=cores)
    assert [f"{status}: {says}" for status, says, _ in subject._faults(seen, 0.0)] == told


async def test_the_load_is_this_machines_and_its_limits_are_ours(anywhere: Place) -> None:
    finding = await check_host(anywhere.hosts, "here", ANY)
    now = float(Path("/proc/loadavg").read_text().split()[0])
    assert abs(float(str(finding.evidence["load"])) - now) < max(1.0, now / 2)
    assert finding.evidence["cores"] == len(os.sched_getaffinity(0))
    tight = await check_host(anywhere.hosts, "here", Needs(load=LoadSpec(warn=-1, fail=-1)))
    assert (tight.status, "its load is" in tight.says, "top" in tight.hint) == ("fail", True, True)
