"""The operator's artifact store: what was built, each tree in a folder named by its hash, never changed afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from fairlead.model import Tree


class ArtifactStore:
    """A folder of trees. Two processes may add the same tree at once: one of them wins, both find it whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, tree: str) -> Path:
        """Where the tree of that hash lies, or would lie."""
        return self.folder / tree

    def has(self, tree: str) -> bool:
        """Whether it is here; what is here is whole."""
        return self.path(tree).is_dir()

    def add(self, source: Path, tree: Tree, extra: Mapping[str, str]) -> Path:
        """Copy what `tree` names from the folder `source`, and `extra` files by path; returns where it lies."""
        place = self.path(tree.hash)
        if place.is_dir():
            return place
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.folder / f".part-{tree.hash}-{os.getpid()}"
        shutil.rmtree(part, ignore_errors=True)
        _copy(source, tree, part)
        for path, text in extra.items():
            (part / path).write_text(text, encoding="utf-8")
            (part / path).chmod(0o644)
        try:
            part.rename(place)
        except OSError:
            shutil.rmtree(part)
            if not place.is_dir():
                raise
        return place


def _copy(source: Path, tree: Tree, into: Path) -> None:
    into.mkdir(mode=0o700)
    folders = []
    for path in sorted(tree.entries):
        entry, place = tree.entries[path], into / path
        if entry.kind == "d":
            place.mkdir()
            folders.append((place, entry.mode))
        elif entry.kind == "l":
            place.symlink_to(entry.link)
        else:
            shutil.copyfile(source / path, place)
            place.chmod(entry.mode)
    for place, mode in reversed(folders):  # last, since a folder may be read-only
        place.chmod(mode)
    into.chmod(0o755)
