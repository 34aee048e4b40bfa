"""Names that want to be commands, in every place that takes a name: taken literally there and back, nothing executed.

A name that worked would make a file called `executed`, or delete something in `precious`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.operator import Operator
from support.sshd import Sshd
from support.witness import tree

NAMES = {
    "quotes": "it's \"so\" 'called'",
    "blanks": " a  b ",
    "command": "$(touch executed)",
    "backticks": "`touch executed`",
    "semicolon": "x; touch executed; rm -rf precious ..; #",
    "pipe": "x | tee executed && touch executed & touch executed",
    "redirect": "x >executed <executed",
    "option": "-rf",
    "options": "--rsh=touch executed",
    "pattern": "*?[a-z]{a,b}",
    "backslash": "\\ \\n\\\\ $HOME",
    "format": "%s%n%d%%",
    "home": "~root",
    "unicode": "grüße 🙂 \u00a0",
    "long": "l" * 200,
    "host": "user@host:path::module",
}
"""Each is a part of a path."""
PATHS = {
    "one": ("quotes", "command", "option", "long"),
    "two": ("blanks", "backticks", "options", "unicode"),
    "three": ("semicolon", "pattern", "format", "host"),
    "four": ("pipe", "redirect", "backslash", "home"),
}
"""A service lies in a folder in a folder ... of these names."""
PLACES = {service: "/".join(NAMES[key] for key in keys) for service, keys in PATHS.items()}
INSIDE = (*NAMES.values(), "turned \u202e round", "${HOME}", "#", "!x")
"""Names in a release: more than a configuration can hold."""
SHARED = "up; touch executed"
BESIDE = ("one", "three")
"""Names of folders in which databases and backups lie too."""
USE = 'd=$(dirname -- "$1"); [ ! -e "$1/current/broken" ] || exit 9; printf "%s\\n" "$2" >"$1/told"; [ -d "$d" ]'


def config(places: dict[str, Any], root: str) -> dict[str, Any]:
    """One service and, for some, one database for each name."""
    services = {
        key: {
            "source": {"folder": f"source/{name}", "version": "VERSION"},
            "shared": [f"{SHARED}/{name}/"],
            "protected": [f"kept {name}"],
            "on_switch": {"run": ["sh", "-c", USE, "x", f"{root}sites/{name}", name], "status": ["true"]},
            "keep": 2,
        }
        for key, name in PLACES.items()
    }
    placed = {key: {"host": "server", "path": f"{root}sites/{name}"} for key, name in PLACES.items()}
    groups = {}
    for key in BESIDE:
        store = {"host": "server", "path": f"{root}backups/{PLACES[key]}/-rf"}
        names = {"engine": "sqlite", "reached_from": "server", "path": f"{root}data/{PLACES[key]}/{{name}}.db"}
        groups[key] = {**names, "backup_store": store, "names": {f"db_{key}": {}}}
        placed[key]["databases"] = [f"db_{key}"]
    environment = {"unattended": "allow", "lease": {"ttl": "20s", "beat": "10s"}, "services": placed}
    head = {"fairlead": 1, "project": "hostile", "hosts": {"server": places}}
    return {**head, "databases": groups, "services": services, "environments": {"e": environment}}


class Ground:
    """An installation of hostile names, its operator, and the canaries around it."""

    def __init__(self, folder: Path, home: Path, sshd: Sshd | None) -> None:
        self.folder, self.home, self.sshd = folder, home, sshd
        account = {"connect": "local", "home": str(home), "state": f"state/{NAMES['command']}"}
        if sshd:
            account = {"connect": "ssh", "address": "127.0.0.1", "port": sshd.port, "user": sshd.user}
            account |= {"key": "FAIRLEAD_TEST_SSH_KEY", "known_hosts": str(sshd.known_hosts)}
            account |= {"state": f"state/{NAMES['semicolon']}"}
        (folder / "checkout").mkdir()
        text = yaml.safe_dump(config(account, ""), sort_keys=False, allow_unicode=True)
        (folder / "checkout" / "fairlead.yml").write_text(text)
        self.operator = Operator(folder / "checkout", folder / "operator", sshd.environ if sshd else {})
        for place in (home, folder / "checkout"):
            (place / "precious").mkdir()
            (place / "precious" / "file").write_text("precious")
        self._make_databases()

    def _make_databases(self) -> None:
        for key in BESIDE:
            path = self.home / "data" / PLACES[key] / f"db_{key}.db"
            path.parent.mkdir(parents=True)
            with sqlite3.connect(path) as database:
                database.execute("CREATE TABLE t (v)")
            database.close()
        if self.sshd and os.getuid() == 0:
            for path in (self.home, *self.home.rglob("*")):
                shutil.chown(path, self.sshd.user, self.sshd.user)

    def write(self, version: str, *, broken: str = "") -> None:
        """Sources in which files, folders and links have every name."""
        shutil.rmtree(self.folder / "checkout" / "source", ignore_errors=True)
        for key, name in PLACES.items():
            folder = self.source(name)
            (folder / "in" / name).mkdir(parents=True)
            (folder / "in" / name / "file").write_text(version)
            (folder / "in" / "link").symlink_to(name)
            (folder / "VERSION").write_text(f"{version} {name}\nsecond line $(touch executed)\n")
            for number, inner in enumerate(INSIDE if key == "one" else ()):
                (folder / inner).write_text(f"{version} {inner}")
                (folder / f"link {number}").symlink_to(inner)
            if key == broken:
                (folder / "broken").write_text("")

    def wrong(self) -> list[str]:
        """What is live and is not what the sources say, and every canary that something has hurt."""
        found = []
        for key, name in PLACES.items():
            source, live = (_plain(folder) for folder in (self.source(name), self.site(name) / "current"))
            ours = (SHARED, "release.json")
            live = {path: entry for path, entry in live.items() if path.partition("/")[0] not in ours}
            found += [f"{key} is not what its source is"] if live != source else []
            found += [f"{key} was told something else"] if (self.site(name) / "told").read_text() != f"{name}\n" else []
        return found + self.canaries()

    def source(self, name: str) -> Path:
        return self.folder / "checkout" / "source" / name

    def site(self, name: str) -> Path:
        return self.home / "sites" / name

    def canaries(self) -> list[str]:
        """Traces of something that was executed."""
        roots = (self.folder, self.home, Path.cwd(), Path.home())
        made = [str(path) for path in self.folder.rglob("executed*")] + [
            str(path) for path in self.home.rglob("executed*")
        ]
        made += [str(root / "executed") for root in (*roots, Path("/tmp"), Path("/")) if (root / "executed").exists()]
        hurt = [str(place) for place in (self.home, self.folder / "checkout") if not (place / "precious/file").exists()]
        return made + hurt


def _plain(folder: Path) -> dict[str, dict[str, Any]]:
    facts = tree(folder)
    return {path: {k: v for k, v in entry.items() if k != "owner"} for path, entry in facts.items() if path != "."}


@pytest.fixture(scope="module", params=["local", "ssh"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fl-hostile-")))
        sshd = stack.enter_context(Sshd(folder / "sshd")) if request.param == "ssh" else None
        home = sshd.home if sshd else folder / "home"
        home.mkdir(exist_ok=True)
        yield Ground(folder, home, sshd)


def test_it_goes_out_literally(ground: Ground) -> None:
    ground.write("v1")
    assert ground.operator.json(0, "db", "backup")["made"] == len(BESIDE)
    shown = ground.operator.must(0, "plan", "--out", "-- $(touch executed) `id`.json")
    assert "\u202e" not in shown, "what turns a terminal's text round is shown, not sent"
    assert ground.operator.json(0, "deploy", "--yes", "--no-watch")["deployment"]["state"] == "done"
    assert ground.wrong() == []
    ground.write("v2")
    assert ground.operator.json(0, "deploy", "--yes", "--no-watch", "--reason", "v2; $(touch executed)")
    assert ground.wrong() == []
    folders = {path.parent for path in (ground.home / "backups").rglob("*") if path.is_file()}
    assert folders == {ground.home / "backups" / PLACES[key] / "-rf" for key in BESIDE}


def test_a_failure_comes_back(ground: Ground) -> None:
    ground.write("v3", broken="four")
    told = ground.operator.json(3, "deploy", "--yes", "--no-watch", "--reason", "`touch executed`\n$(touch executed)")
    assert told["deployment"]["state"] == "back"
    ground.write("v2")
    assert ground.wrong() == []


def test_a_finished_release_is_taken_back(ground: Ground) -> None:
    ground.operator.json(0, "rollback", "--yes", "--no-watch", "--reason", "$(touch executed) '\"")
    ground.write("v1")
    assert ground.wrong() == []


def test_everything_that_was_done_can_be_told(ground: Ground) -> None:
    told = ground.operator.json(0, "history")["deployments"]
    assert len(told) == 4
    assert "`touch executed`\\n" in ground.operator.must(0, "show", told[1]["id"]), "a line break is shown, not sent"
    page = ground.folder / "checkout" / "$(touch executed) <b>.html"
    ground.operator.must(0, "report", told[1]["id"], "--out", page.name)
    assert "<b>" not in page.read_text().replace("<body>", "")
    assert ground.canaries() == []


def test_a_stranger_between_the_releases_is_left_alone(ground: Ground) -> None:
    """Names that only somebody else on the host can have made."""
    site = ground.site(PLACES["two"])
    evil = "x\ncurrent releases/000000000000\nlive 000000000000\n\nlisting\n"
    strangers = [site / "releases" / "a b $(touch executed)\n*", site / "shared" / SHARED / PLACES["two"] / evil]
    for path in strangers:
        path.mkdir(parents=True)
    subprocess.run(["chown", "-R", "--reference", str(site), str(strangers[0]), str(site / "shared")], check=True)
    before = (site / "current").readlink().name
    ground.write("v4")
    made = ground.operator.json(0, "plan", "two")["plan"]
    assert [change["before"] for change in made["services"]] == [before]
    ground.operator.json(0, "deploy", "two", "--yes", "--no-watch")
    assert all(path.is_dir() for path in strangers)
    assert ground.canaries() == []
