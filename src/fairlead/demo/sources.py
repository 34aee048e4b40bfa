"""The source trees that the demo deploys, and the layout in which a deployment leaves them on the host."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from pathlib import Path
from typing import Literal

from fairlead.model.base import canonical
from fairlead.model.tree import IDENTITY_FILE, Entry, Tree

Mode = Literal["errors", "unhealthy", "dead"]
"""In which way a version is broken."""


def write_source(folder: Path, name: str, version: str, mode: str) -> None:
    """Write one service's source tree; each version adds, changes and deletes some files."""
    shutil.rmtree(folder, ignore_errors=True)
    ways: dict[str, object] = {"mode": mode}
    if mode == "errors":
        ways |= {"most": 0.6, "within": 6.0}
    page = f'<!doctype html><html lang="en"><title>{name} {version}</title><h1>{name} {version}</h1></html>\n'
    files = {
        "VERSION": f"{version}\n",
        "service.json": json.dumps(ways) + "\n",
        "index.html": page,
        "static/style.css": "body { font-family: sans-serif }\n",
        f"static/{name}.js": f'console.log("{name} {version}")\n',
        f"static/only in {version}.js": f'console.log("{version}")\n',
        "static/words/grüße.html": "<p>Grüße</p>\n",
        "bin/hello": f"#!/bin/sh\necho {version}\n",
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "static" / "newest.css").symlink_to("style.css")
    for each in (folder, *folder.rglob("*")):
        if not each.is_symlink():
            each.chmod(0o755 if each.is_dir() or each.parent.name == "bin" else 0o644)


def install(source: Path, service: Path, name: str, version: str) -> None:
    """Lay a source tree out as the live release of a service, with all that Fairlead puts beside it."""
    tree = tree_of(source)
    release = tree.hash[:12]
    target = service / "releases" / release
    shutil.copytree(source, target, symlinks=True)
    identity = {"release": release, "service": name, "tree": tree.hash, "version": version}
    (target / IDENTITY_FILE).write_text(canonical(identity) + "\n")
    target.with_name(f"{release}.tree").write_bytes(tree.listing())
    (service / "current").symlink_to(f"releases/{release}")
    (service / ".live").write_text(f"{release}\n")
    (service / "log").mkdir()


def tree_of(folder: Path) -> Tree:
    """Read a folder's content, without the file that says what it is called."""
    paths = (path for path in folder.rglob("*") if path != folder / IDENTITY_FILE)
    return Tree(entries={str(path.relative_to(folder)): entry_of(path) for path in paths})


def entry_of(path: Path) -> Entry:
    """Read one file, folder or symbolic link."""
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if path.is_symlink():
        return Entry(kind="l", mode=mode, link=str(path.readlink()))
    if path.is_dir():
        return Entry(kind="d", mode=mode)
    return Entry(kind="f", mode=mode, size=found.st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
