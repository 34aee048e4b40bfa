"""A live site becomes the first release, by the real command line, and goes back to exactly what was found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.operator import Operator
from support.witness import tree


class Site:
    """A service that somebody has put onto a server by hand."""

    def __init__(self, folder: Path, served: str, *, sick: bool = False) -> None:
        self.home, self.operator = folder / "home", Operator(folder, folder / "operator")
        self.place = self.home / "srv"
        live = self.place / served
        (live / "sub").mkdir(parents=True)
        (live / "index.html").write_text("by hand")
        (live / "sub/two\nlines").write_text("x")
        (live / "link").symlink_to("sub")
        (live / "index.html").chmod(0o640)
        (folder / "web").mkdir()
        (folder / "web/index.html").write_text("v1")
        health = [{"path": "/"}] if sick else []
        document = {
            **{"fairlead": 1, "project": "p", "hosts": {"here": {"connect": "local", "home": str(self.home)}}},
            "services": {"web": {"source": {"folder": "web"}, "health": health}},
            "environments": {
                "live": {
                    **{"unattended": "allow", "watch": {"duration": 0}},
                    "services": {"web": {"host": "here", "path": "srv", "url": "http://127.0.0.1:9"}},
                }
            },
        }
        (folder / "fairlead.yml").write_text(json.dumps(document))

    def change(self, edit: Callable[[dict[str, Any]], None]) -> None:
        """Another fairlead.yml."""
        document = json.loads((self.operator.folder / "fairlead.yml").read_text())
        edit(document)
        (self.operator.folder / "fairlead.yml").write_text(json.dumps(document))

    def seen(self) -> object:
        files = {str(p.relative_to(self.place)): p.lstat().st_ino for p in self.place.rglob("*") if not p.is_dir()}
        return tree(self.place), files


@pytest.mark.parametrize("served", ["current", "."], ids=["current is a folder", "the folder itself is served"])
def test_adopted_deployed_and_taken_back(tmp_path: Path, served: str) -> None:
    site = Site(tmp_path, served)
    found = site.seen()
    refused = site.operator.json(1, "plan")
    assert "fairlead adopt web -e live" in refused["hint"]
    assert site.seen() == found, "a refusal changes nothing"
    adopted = site.operator.json(0, "adopt", "web", "--yes")["deployment"]
    assert adopted["kind"] == "adopt"
    assert (site.place / "current").is_symlink()
    assert (site.place / "current/index.html").read_text() == "by hand"
    assert (site.place / "current/index.html").stat().st_mode & 0o777 == 0o640
    site.operator.must(0, "deploy", "--yes")
    assert (site.place / "current/index.html").read_text() == "v1"
    site.operator.must(0, "rollback", "--yes")
    assert (site.place / "current/index.html").read_text() == "by hand"
    assert (site.place / "current").readlink() == Path(f"releases/{adopted['versions']['web'].split()[0]}")
    site.operator.must(0, "rollback", adopted["id"], "--yes")
    if served == "current":
        assert not (site.place / "current").is_symlink()
        assert (site.place / "current/index.html").read_text() == "by hand"
    else:
        assert not (site.place / "current").exists()
        assert (site.place / "index.html").read_text() == "by hand"


@pytest.mark.parametrize("served", ["current", "."], ids=["current is a folder", "the folder itself is served"])
def test_an_adoption_that_comes_back_leaves_exactly_what_was_found(tmp_path: Path, served: str) -> None:
    site = Site(tmp_path, served)
    found = site.seen()
    adopted = site.operator.json(0, "adopt", "web", "--yes")["deployment"]
    site.operator.must(0, "rollback", adopted["id"], "--yes")
    assert site.seen() == found


UNITS = {
    "it runs": (
        ["printf", "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=812\n"],
        "its unit shop: active (running), process 812",
    ),
    "it does not": (
        ["printf", "LoadState=loaded\nActiveState=failed\nSubState=failed\nMainPID=0\n"],
        "its unit shop: failed (failed)",
    ),
    "nobody knows it": (
        ["printf", "LoadState=not-found\nActiveState=inactive\nMainPID=0\n"],
        "its unit shop: systemd knows no such unit",
    ),
    "systemd is not there": (
        ["sh", "-c", "echo 'System has not been booted' >&2; exit 1"],
        "its unit shop: systemd cannot be asked (System has not been booted)",
    ),
}


@pytest.mark.parametrize("case", UNITS)
def test_the_unit_that_is_there_is_shown_at_first_contact(tmp_path: Path, case: str) -> None:
    """By the plan of an adoption, and by that of a first deployment."""
    show, line = UNITS[case]
    site = Site(tmp_path, "current")
    site.change(lambda document: document["hosts"]["here"].update(commands={"show": show, "restart": ["true"]}))
    site.change(lambda document: document["environments"]["live"]["services"]["web"].update(unit="shop"))
    asked = site.operator.run("adopt", "web")
    assert line in asked.stdout + asked.stderr
    site.operator.must(0, "adopt", "web", "--yes")
    assert "its unit" not in site.operator.must(0, "plan"), "it is no first contact any more"
    site.change(lambda document: document["environments"]["live"]["services"]["web"].update(path="new"))
    assert line in site.operator.must(0, "plan")


@pytest.mark.long  # it is waited for as long as for any site that does not answer
def test_an_adoption_after_which_the_site_is_not_proven_comes_back_by_itself(tmp_path: Path) -> None:
    site = Site(tmp_path, "current", sick=True)
    found = site.seen()
    came = site.operator.json(3, "adopt", "web", "--yes")["deployment"]
    assert "web after its switch" in came["why_back"]
    assert site.seen() == found


def test_there_is_nothing_to_adopt(tmp_path: Path) -> None:
    site = Site(tmp_path, "current")
    site.operator.must(0, "adopt", "web", "--yes")
    again = site.operator.json(1, "adopt", "web", "--yes")
    assert "is a link already" in again["error"]
    assert site.operator.json(2, "adopt", "shop", "--yes")["error"].startswith("no service")
