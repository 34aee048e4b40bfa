"""A docroot that others live in too: a site like WordPress, a forum like phpBB, uploads that somebody keeps adding to.

Deployments and ways back are chosen by a seed and carried out by the real command line; whether anything foreign was
lost or changed is judged by the witness alone.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.operator import Operator
from support.witness import entry, moved, tree

FOREIGN = {
    "index.php": "<?php require 'wp-blog-header.php';",
    "index.html": "<h1>under construction</h1>",
    "release.json": "{}",
    "wp-config.php": "<?php define('DB_PASSWORD', 'x');",
    "wp-admin/index.php": "<?php // admin",
    "wp-content/themes/blue sky/style.css": "body { color: blue }",
    "wp-content/plugins/a\nb/plugin.php": "a name with a newline",
    "wp-content/languages/de_AT.mo": "Grüß Gott",
    "assets/theirs.css": "in a folder that releases have too",
    ".env": "SECRET=1",
    ".htaccess": "deny from all",
    ".well-known/security.txt": "Contact: mailto:x@example.org",
    "forum/config.php": "<?php // phpBB",
    "forum/cache/data_global.php": "<?php // cache",
    "forum/files/index.htm": "",
    "uploads/2026/cat.jpg": "cat",
}
FILE = {
    "fairlead": 1,
    "project": "docroot",
    "hosts": {"here": {"connect": "local", "home": ""}},
    "services": {
        "site": {
            "strategy": "in_place",
            "source": {"folder": "site", "version": "VERSION"},
            "protected": [".env", "uploads", ".well-known", "forum"],
            "on_switch": {"run": ["sh", "-c", "[ ! -e httpdocs/broken ] || exit 3"]},
        },
        "games": {"strategy": "in_place", "source": {"folder": "games", "version": "VERSION"}},
    },
    "environments": {
        "live": {
            "unattended": "allow",
            "watch": {"duration": 0},
            "services": {
                "site": {"host": "here", "path": "httpdocs"},
                "games": {"host": "here", "path": "httpdocs/games"},
            },
        }
    },
}


@dataclass
class Docroot:
    """The host's home, the operator, and what is foreign."""

    folder: Path
    seed: int
    foreign: dict[str, Any] = field(default_factory=dict)
    """What the witness saw of every foreign path, when it was put there."""
    replaced: set[str] = field(default_factory=set)
    """Foreign paths that a release has replaced."""

    def __post_init__(self) -> None:
        self.dice, self.home = random.Random(self.seed), self.folder / "home"
        self.root = self.home / "httpdocs"
        self.operator = Operator(self.folder, self.folder / "operator")
        for name, text in FOREIGN.items():
            self.put(name, text)
        (self.root / "wp-content/link").symlink_to("../uploads")
        (self.root / "wp-content/second name").hardlink_to(self.root / "wp-config.php")
        (self.root / "games").mkdir()
        (self.root / "games/scores.txt").write_text("anna 100")
        (self.root / "wp-config.php").chmod(0o640)
        (self.root / "uploads").chmod(0o2775)
        (self.root / "index.html").chmod(0o664)
        self._share_out()
        document = {**FILE, "hosts": {"here": {"connect": "local", "home": str(self.home)}}}
        (self.folder / "fairlead.yml").write_text(json.dumps(document))
        self.foreign = tree(self.root)

    def _share_out(self) -> None:
        """Some of it belongs to others, also what a release replaces: for that this must be run as root."""
        if os.getuid() == 0:
            for path in self.root.rglob("*"):
                if self.dice.random() < 0.5:
                    os.lchown(path, *self.dice.choice([(31001, 31001), (31002, 31001)]))

    def put(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def upload(self, number: int) -> None:
        """Somebody adds a file, as visitors do; sometimes the site's own software writes too."""
        for name in (f"uploads/2026/{number}.jpg", *([f"wp-content/cache-{number}.php"] if number % 3 == 0 else [])):
            self.put(name, f"{number}")
            self.foreign[name] = entry(self.root / name)

    def build(self, service: str, number: int, *, broken: bool) -> dict[str, str]:
        """A version: some files in every one, some only in this one; a broken one does not start."""
        hashed = {f"assets/app.{number}-{n}.js": f"{number} {n}" for n in range(self.dice.randint(1, 6))}
        some = {f"pages/{n}/index.html": f"{number}" for n in range(8) if self.dice.random() < 0.5}
        files = {
            "VERSION": f"{service} {number}\n",
            "index.html": f"{service} {number}",
            "same.css": "same",
            **hashed,
            **some,
        }
        if service == "site" and self.dice.random() < 0.5:
            files["index.php"] = f"<?php // {number}"
        if broken:
            files["broken"] = ""
        source = self.folder / service
        for old in [path for path in source.rglob("*") if path.is_file()]:
            old.unlink()
        for name, text in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        return files

    def round(self, number: int) -> Iterator[str]:
        """One deployment, and often a way back; yields what is wrong after it."""
        service = self.dice.choice(["site", "site", "games"])
        way = self.dice.choice(["stay", "stay", "rollback", "fail"])
        self.upload(2 * number)
        files, top = (
            self.build(service, number, broken=way == "fail" and service == "site"),
            self.root / ("games" if service == "games" else ""),
        )
        before = tree(self.root)
        deployed = self.operator.run("deploy", service, "--yes", "--json")
        wanted = 3 if "broken" in files else 0
        if deployed.returncode != wanted:
            yield f"deploy ended with {deployed.returncode}, not {wanted}: {deployed.stdout[-800:]}"
            return
        self.upload(2 * number + 1)
        if way == "rollback":
            back = self.operator.run("rollback", "--yes", "--json")
            if back.returncode != 0:
                yield f"rollback ended with {back.returncode}: {back.stdout[-400:]} {back.stderr[-400:]}"
        if way == "rollback" or wanted == 3:
            yield from self.changed(before, tree(self.root), "was found before the way back")
        else:
            prefix = "games/" if service == "games" else ""
            self.replaced |= {prefix + name for name in (*files, "release.json")} & self.foreign.keys()
            lost = [name for name, text in files.items() if (top / name).read_text() != text]
            yield from (f"{name} is not the release's" for name in lost)
        now = tree(self.root)
        theirs = {path: what for path, what in self.foreign.items() if path not in self.replaced}
        yield from self.changed(theirs, {path: now.get(path) for path in theirs}, "is foreign")

    def changed(self, was: dict[str, Any], now: dict[str, Any], why: str) -> Iterator[str]:
        """Whatever of `was` is otherwise now; what visitors added meanwhile does not count."""
        added = {path for path in now.keys() - was.keys() if path not in self.foreign}
        for path in sorted(was.keys() | added):
            if was.get(path) != now.get(path):
                yield f"{path!r} {why}: {moved(was.get(path), now.get(path))}"

    def kept(self) -> Iterator[str]:
        """Every foreign file that a release replaced must still be kept beside the docroot, as it was."""
        for path in sorted(self.replaced):
            inner = path.removeprefix("games/")
            places = self.home.glob(f"httpdocs.fairlead/*/kept/*/found/{inner}")
            if self.foreign[path] not in [entry(place) for place in places]:
                yield f"{path!r} was replaced, and is not kept as it was"


def rounds(folder: Path, number: int, seed: int) -> Iterator[tuple[int, list[str]]]:
    """So many rounds on one docroot: each round's number and what was wrong."""
    docroot = Docroot(folder, seed)
    for each in range(number):
        yield each, list(docroot.round(each))
    yield number, list(docroot.kept())
