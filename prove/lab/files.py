"""Disks that are full, files that may not be written, links, very many files, and names that no list can hold."""

from __future__ import annotations

import random
from collections.abc import Iterable

from prove.lab.attempts import one_by_one, unless
from prove.lab.breaks import HEAVY
from prove.lab.hosts import PLACES, SITE, Installation, Said
from prove.table import Row

GAMES = f"/{SITE}/{PLACES['games']}"
MANY = 14_000


def rows(lab: Installation, scale: float, dice: random.Random) -> Iterable[Row]:
    """One after the other on the same hosts; each leaves them as they were."""
    lab.install()
    yield from one_by_one(
        lab,
        (
            ("a disk that is full", _full),
            ("a disk that fills up while the release arrives", _fills),
            ("one folder of releases that may not be written to", _not_writable),
            ("a file of a docroot that is root's, among root's", _foreign_file),
            ("an owner that the account may not give", _owner),
            ("a folder of releases that is a link", _linked),
            ("a docroot that is a link", _linked_docroot),
            (f"{MANY} files", _many),
            ("a file name with a line break", _line_break),
        ),
    )


def ended(lab: Installation, said: Said, code: int, which: str, words: str = "") -> tuple[str, list[str]]:
    """How it ended and what is live."""
    found, wrong = lab.verdict()
    wrong += unless((said.code, found) == (code, which) and words in said.text, f"{found} is live", said)
    line = said.line(words) if words else ""
    return f"exit code {said.code}, {found}, {said.seconds:.0f} s{': ' if line else ''}{line[:120]}", wrong


def _full(lab: Installation) -> tuple[str, list[str]]:
    lab.lab("fault", "plesk", "full", GAMES, "4m")
    try:
        lab.write(heavy=HEAVY)
        return ended(lab, lab.deploy(), 1, "old", "make room")
    finally:
        lab.on("plesk", f"umount {GAMES}")


def _fills(lab: Installation) -> tuple[str, list[str]]:
    lab.lab("fault", "plesk", "full", GAMES, "200m")
    try:
        lab.write(heavy=3 * HEAVY)
        process = lab.start("deploy", "--yes", "--no-watch")
        lab.wait_for_line(process, 1)
        lab.lab("fault", "plesk", "fill", GAMES)
        said = lab.end(process)
        lab.on("plesk", f"rm {GAMES}/.filled")
        return ended(lab, said, 3, "old")
    finally:
        lab.on("plesk", f"umount {GAMES}")


def _not_writable(lab: Installation) -> tuple[str, list[str]]:
    lab.on("plesk", f"chown root {GAMES}/releases")
    try:
        lab.write()
        return ended(lab, lab.deploy(), 1, "old", "may not be written to")
    finally:
        lab.on("plesk", f"chown deploy {GAMES}/releases")


def _foreign_file(lab: Installation) -> tuple[str, list[str]]:
    place = f"/{SITE}/subdomains/admin-stg/httpdocs"
    lab.on("plesk", f"install -d {place}/static && echo theirs >{place}/static/theirs.txt && chmod 755 {place}/static")
    lab.write()
    (lab.folder / "source/admin/static").mkdir()
    (lab.folder / "source/admin/static/ours.txt").write_text("ours")
    said = lab.run("deploy", "--yes", "--no-watch", environment="staging")
    docroot = lab.root("plesk") / place.removeprefix("/")
    there = sorted(str(path.relative_to(docroot)) for path in docroot.rglob("*"))
    wrong = unless(said.code in (1, 3), "it cannot have been written", said)
    wrong += [] if there == ["static", "static/theirs.txt"] else [f"in the docroot: {there}"]
    told = next((line.strip() for line in said.text.splitlines() if "static" in line or "writ" in line), "")
    lab.on("plesk", f"rm -r {place}/static")
    return f"exit code {said.code}: {told[:120]}", wrong


def _owner(lab: Installation) -> tuple[str, list[str]]:
    lab.write()
    old = "    source: {folder: source/games, version: VERSION}\n"
    games = lab.file.read_text().partition(old)
    lab.file.write_text(games[0] + old + games[2].replace("owner: deploy:psacln", "owner: root:root", 1))
    try:
        return ended(lab, lab.deploy(), 3, "old", "Operation not permitted")
    finally:
        lab.file.write_text(lab.whole)


def _linked(lab: Installation) -> tuple[str, list[str]]:
    lab.on("plesk", f"mv {GAMES} {GAMES}-real && ln -s games-real {GAMES}")
    lab.write()
    told = ended(lab, lab.deploy(), 0, "new")
    lab.on("plesk", f"rm {GAMES} && mv {GAMES}-real {GAMES}")
    return told


def _linked_docroot(lab: Installation) -> tuple[str, list[str]]:
    place = f"/{SITE}/subdomains/admin-stg/httpdocs"
    lab.on("plesk", f"mv {place} {place}-real && ln -s httpdocs-real {place}")
    lab.write()
    said = lab.run("deploy", "--yes", "--no-watch", environment="staging")
    wrong = unless(said.code == 1 and "is a symbolic link to httpdocs-real" in said.text, "not refused", said)
    wrong += [] if lab.on("plesk", f"ls -A {place}-real") == "" else ["something was put into it"]
    lab.on("plesk", f"rm {place} && mv {place}-real {place}")
    return f"exit code {said.code}", wrong


def _many(lab: Installation) -> tuple[str, list[str]]:
    lab.write(many=MANY)
    note, wrong = ended(lab, lab.deploy(), 0, "new")
    lab.write(many=MANY)
    again, more = ended(lab, lab.deploy(), 0, "new")
    return f"{note}; the next version of them: {again}", [*wrong, *more]


def _line_break(lab: Installation) -> tuple[str, list[str]]:
    lab.write()
    (lab.folder / "source/frontend/two\nlines.html").write_text("x")
    return ended(lab, lab.deploy(), 1, "old", r"two\nlines.html")
