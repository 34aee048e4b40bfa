"""Files of the operator's machine: texts, trees, and the store of artifacts."""

from __future__ import annotations

import asyncio
import hashlib
import os
import posixpath
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from pathlib import Path

from fairlead.errors import NotReady
from fairlead.model import IDENTITY_FILE, Tree
from fairlead.model.tree import Entry

_HASHERS = 4
_TOLD = 5


@cache
def package_text(name: str) -> str:
    """A text file of this package by its path below `fairlead/`, such as `config/examples/plesk.yml`."""
    return files("fairlead").joinpath(*name.split("/")).read_text(encoding="utf-8")


def read_bytes(path: Path) -> bytes:
    """A file. Raises NotReady when it is missing or unreadable."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotReady(f"there is no file {path}") from None
    except OSError as error:
        raise NotReady(f"{path} cannot be read: {error.strerror}") from None


def read_text(path: Path) -> str:
    """A text file. Raises NotReady when it is missing, unreadable or not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotReady(f"{path} is not UTF-8 (byte {error.start})") from None


def read_first_line(path: Path) -> str:
    """The first line without blanks around it, such as a version; empty for an empty file. Raises as `read_text`."""
    return read_text(path).strip().partition("\n")[0].strip()


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a whole file or nothing; folders above it are made. `mode` 0o600 for what others must not read.

    Raises NotReady when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            Path(new).replace(path)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise NotReady(f"{path} cannot be written: {error.strerror}") from None


def tree_of(folder: Path, exclude: Sequence[str] = ()) -> Tree:
    """The content of a folder, links not followed; permission bits without setuid, setgid and sticky.

    `exclude`: patterns such as `.git`, `*.pyc`, `docs/*.md`, held against names and against whole paths.
    Raises NotReady for what cannot be released: sockets, devices, names that are not UTF-8 or hold control characters,
    links that are absolute or leave the folder.
    """
    try:
        found = _found(folder, exclude)
        _refuse(folder, [problem for path, status in found.items() if (problem := _problem(folder, path, status))])
        return _read(folder, found)
    except OSError as error:
        raise NotReady(f"{error.filename or folder} cannot be read: {error.strerror}") from None


def _found(folder: Path, exclude: Sequence[str] = ()) -> dict[str, os.stat_result]:
    if not folder.is_dir():
        raise NotReady(f"there is no folder {folder}")
    return dict(_walk(os.fsencode(folder), "", tuple(pattern.rstrip("/") for pattern in exclude)))


def _read(folder: Path, found: Mapping[str, os.stat_result]) -> Tree:
    with ThreadPoolExecutor(_HASHERS) as pool:
        entries = pool.map(lambda item: _entry(folder / item[0], item[1]), found.items())
        return Tree(entries=dict(zip(found, entries, strict=True)))


class ArtifactStore:
    """Artifacts on the operator's machine, each in a folder named by its tree hash, whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, tree_hash: str) -> Path:
        """Where the artifact of that hash lies, or would."""
        return self.folder / tree_hash

    def has(self, tree_hash: str) -> bool:
        """Whether it is there."""
        return self.path(tree_hash).is_dir()

    async def tree(self, tree_hash: str) -> Tree:
        """What the artifact of that hash holds, read again. Raises NotReady when it is no longer what its name says."""
        tree = await asyncio.to_thread(self._kept, self.path(tree_hash))
        if tree.hash != tree_hash:
            raise NotReady(f"the artifact {self.path(tree_hash)} was changed", "delete it, and make a new plan")
        return tree

    def _kept(self, place: Path) -> Tree:
        # Refused nothing: links to what is shared leave an artifact, and nobody but a deployment puts them there.
        try:
            return _read(place, {path: status for path, status in _found(place).items() if path != IDENTITY_FILE})
        except OSError as error:
            raise NotReady(f"{error.filename or place} cannot be read: {error.strerror}") from None

    def add(self, source: Path, tree: Tree, extra: Mapping[str, str] | None = None) -> Path:
        """Keep what `tree` lists: files come from `source`, folders and links from the tree itself.

        `extra`: texts by path that are not part of the hash, such as the release's name; written anew where the
        artifact is already there. Raises NotReady when a file has changed since the tree was made.
        """
        place = self.path(tree.hash)
        if not self.has(tree.hash):
            self._copy(source, tree, place)
        for path, text in (extra or {}).items():
            write_text(place / path, text)
        return place

    def keep_newest(self, number: int) -> None:
        """Delete all but the newest so many; what is deleted can be built again."""
        if self.folder.is_dir():
            places = sorted(self.folder.glob("[0-9a-f]*"), key=lambda place: place.stat().st_mtime, reverse=True)
            for place in places[number:]:
                remove_tree(place)

    def _copy(self, source: Path, tree: Tree, place: Path) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
        except OSError as error:
            raise NotReady(f"{self.folder} cannot be written: {error.strerror}") from None
        try:
            _copy_tree(source, tree, new)
            new.chmod(0o755)
            if not place.is_dir():
                new.rename(place)
        except OSError as error:
            if not place.is_dir():  # somebody else may have been faster, with the same content
                raise NotReady(f"{error.filename or source} cannot be kept: {error.strerror}") from None
        finally:
            remove_tree(new)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, folders without write permission too; nothing when there is none."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for path, folders, _ in os.walk(folder):
        for name in folders:
            inner = Path(path) / name
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(folder)


def _walk(folder: bytes, below: str, exclude: tuple[str, ...]) -> Iterator[tuple[str, os.stat_result]]:
    # As bytes: a name that is not UTF-8 must come to light here, with all others, and not as an error elsewhere.
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            name = os.fsdecode(entry.name)
            path = f"{below}{name}"
            if any(fnmatchcase(name, pattern) or fnmatchcase(path, pattern) for pattern in exclude):
                continue
            yield path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{path}/", exclude)


def _problem(folder: Path, path: str, status: os.stat_result) -> str:
    kind = stat.S_IFMT(status.st_mode)
    if _odd(path):
        return f"{_shown(path)}: its name is not UTF-8 or holds control characters"
    if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        return f"{path}: it is neither a file nor a folder nor a symbolic link"
    return _link_problem(path, _link(folder / path)) if kind == stat.S_IFLNK else ""


def _link_problem(path: str, target: str) -> str:
    if _odd(target):
        return f"{path}: the name it links to is not UTF-8 or holds control characters"
    if target.startswith("/"):
        return f"{path}: it links to an absolute path, {target}"
    if posixpath.normpath(posixpath.join(posixpath.dirname(path), target)).split("/")[0] == "..":
        return f"{path}: it links out of the folder, to {target}"
    return ""


def _link(path: Path) -> str:
    return os.readlink(path)  # noqa: PTH115 - as it stands: a Path would drop `./` and `//`


def _odd(name: str) -> bool:
    return any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in name)


def _shown(name: str) -> str:
    return ascii(os.fsencode(name))[1:]


def _refuse(folder: Path, problems: Sequence[str]) -> None:
    if problems:
        more = f" and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        what = "; ".join(problems[:_TOLD])
        raise NotReady(f"{folder} holds what cannot be released: {what}{more}", hint="remove or `exclude` it")


def _entry(path: Path, status: os.stat_result) -> Entry:
    mode = stat.S_IMODE(status.st_mode) & 0o777
    if stat.S_ISDIR(status.st_mode):
        return Entry(kind="d", mode=mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry(kind="l", mode=0o777, link=_link(path))
    with path.open("rb") as file:
        return Entry(kind="f", mode=mode, size=status.st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _copy_tree(source: Path, tree: Tree, new: Path) -> None:
    entries = sorted(tree.entries.items())
    for path, entry in entries:
        if entry.kind == "d":
            (new / path).mkdir()
        elif entry.kind == "l":
            (new / path).symlink_to(entry.link)
        else:
            _copy_file(source / path, new / path, entry)
    for path, entry in reversed(entries):  # at last, because nothing can be put into a read-only folder
        if entry.kind == "d":
            (new / path).chmod(entry.mode)


def _copy_file(source: Path, to: Path, entry: Entry) -> None:
    digest = hashlib.sha256()
    with source.open("rb") as reading, to.open("xb") as writing:
        while chunk := reading.read(1 << 20):
            digest.update(chunk)
            writing.write(chunk)
        os.fchmod(writing.fileno(), entry.mode)
    if digest.hexdigest() != entry.sha256:
        raise NotReady(f"{source} changed while it was read", hint="is a build still running?")
