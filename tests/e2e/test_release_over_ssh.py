"""Seven services over a real sshd as an ordinary user: v1 -> v2 -> broken v3 -> back to v2, seen by the witness."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.demo.config import DEPLOYED
from fairlead.demo.estate import Estate
from support.operator import Operator
from support.sshd import Sshd
from support.witness import Witness, difference, disagreements

WATCH = {"duration": "20s", "interval": "250ms", "window": "6s", "min_requests": 5}


class Site:
    """An estate behind sshd, an operator before it, a witness beside it."""

    def __init__(self, folder: Path, sshd: Sshd) -> None:
        user = sshd.user if sshd.user != "root" else ""
        self.sshd = sshd
        self.estate = Estate.create(folder / "estate", home=sshd.home / "site", user=user)
        self.estate.install_v1()
        account = {
            "address": "127.0.0.1",
            "port": sshd.port,
            "user": sshd.user,
            "key": "FAIRLEAD_TEST_SSH_KEY",
            "known_hosts": str(sshd.known_hosts),
        }
        self.estate.write_config("ssh", account=account, second=account, watch=WATCH)
        self.operator = Operator(self.estate.folder, folder / "operator", sshd.environ)
        self.witness = Witness.of(self.estate.folder)

    def releases(self) -> dict[str, str]:
        """What the sources that lie there now would be."""
        return {name: self.estate.release_of(name) for name in DEPLOYED}

    def live(self) -> dict[str, str | None]:
        """What each deployed service says it runs."""
        return {name: release for name, release in self.witness.standing().items() if name in DEPLOYED}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="fl-e2e-") as name, Sshd(Path(name) / "sshd") as sshd:
        Path(name).chmod(0o755)  # the ordinary user's writer keeps its journal in it
        made = Site(Path(name), sshd)
        try:
            yield made
        finally:
            made.estate.stop()


def test_not_ready_without_backups_then_ready(site: Site) -> None:
    told = site.operator.json(1, "ready")
    assert {f["subject"] for f in told["findings"] if f["check"] == "backup" and f["status"] == "fail"} >= {
        "crm",
        "idp",
    }
    assert site.operator.json(0, "db", "backup")["made"] == 17
    assert site.operator.json(0, "ready")["ok"]


def test_a_release_goes_out(site: Site) -> None:
    site.estate.write_version("v2")
    connections = site.sshd.connections
    told = site.operator.json(0, "deploy", "--yes", "--no-watch", "--reason", "v2")["deployment"]
    assert told["state"] == "done"
    assert site.sshd.connections - connections == 2, "one connection for each account"
    assert site.live() == site.releases()
    assert disagreements(site.witness.photograph()) == []
    assert site.witness.lost_rows() == []


def test_nothing_is_left_to_do_then(site: Site) -> None:
    assert site.operator.json(0, "deploy", "--yes") == {"deployment": None}


@pytest.mark.parametrize(
    ("broken", "mode", "because"),
    [
        ("crm", "errors", "requests to crm failed"),
        ("games", "unhealthy", "games after its switch"),
        ("api", "dead", "api"),
    ],
)
def test_a_broken_release_comes_back_whole(site: Site, broken: str, mode: str, because: str) -> None:
    before, live = site.witness.photograph(), site.live()
    site.estate.write_version("v3", broken=broken, mode=mode)  # type: ignore[arg-type]
    told = site.operator.json(3, "deploy", "--yes")["deployment"]
    assert told["state"] == "back"
    assert because in told["why_back"]
    assert site.live() == live
    after = site.witness.photograph()
    assert difference(before, after) == []
    assert disagreements(after) == []
    assert site.witness.lost_rows() == []
    assert not list(site.estate.home.glob("services/*/releases/.part-*"))


def test_the_record_alone_tells_the_story(site: Site) -> None:
    """From a machine that has never seen anything of it."""
    shutil.rmtree(site.operator.home)
    told = site.operator.json(0, "history")["deployments"]
    assert [one["state"] for one in told] == ["back", "back", "back", "done"]
    shown = site.operator.json(0, "show", told[-1]["id"])
    assert {step["service"] for step in shown["steps"] if step["step"].endswith(".switch")} == set(DEPLOYED)


def test_a_finished_deployment_can_be_taken_back(site: Site) -> None:
    v1 = {name: Path(site.estate.service(name) / "releases").iterdir() for name in DEPLOYED}
    older = {name: {path.name for path in paths if path.is_dir()} for name, paths in v1.items()}
    v2 = site.live()
    told = site.operator.json(0, "rollback", "--yes", "--no-watch", "--reason", "we want v1")["deployment"]
    assert told["kind"] == "rollback"
    now = site.live()
    assert all(now[name] in older[name] and now[name] != v2[name] for name in DEPLOYED)
    assert disagreements(site.witness.photograph()) == []
    assert site.witness.lost_rows() == []
