"""Files of the operator's machine: texts, trees, and the store of artifacts."""

from __future__ import annotations

import asyncio
import hashlib
import os
import posixpath
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fnmatch import translate
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from fairlead.errors import NotReady
from fairlead.model import IDENTITY_FILE, Tree
from fairlead.model.tree import BYTECODE, Entry

_HASHERS = 4
_LARGE = 1 << 20
_CHUNK = 1 << 16
_TOLD = 5
_READABLE = 64 << 20
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


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


class Stamp(NamedTuple):
    """Which writing of a file this is."""

    modified_ns: int
    """Unix time in nanoseconds."""
    inode: int
    size: int

    @property
    def modified(self) -> float:
        """Unix time in seconds."""
        return self.modified_ns / 1e9


def stamp(path: Path) -> Stamp | None:
    """The file's stamp; None where there is none."""
    with suppress(OSError):
        return _stamp(path.stat())
    return None


def read_stamped(path: Path) -> tuple[bytes, Stamp]:
    """A file and its stamp. Raises NotReady when it is missing, unreadable, no regular file or above 64 MB."""
    try:
        status = path.stat()
    except OSError:
        return read_bytes(path), Stamp(0, 0, 0)  # it says why not
    if not stat.S_ISREG(status.st_mode) or status.st_size > _READABLE:
        raise NotReady(f"{path} is no file of at most {_READABLE >> 20} MB")
    return read_bytes(path), _stamp(status)


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_mtime_ns, status.st_ino, status.st_size)


def read_text(path: Path) -> str:
    """A text file. Raises NotReady when it is missing, unreadable or not UTF-8."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotReady(f"{path} is not UTF-8 (byte {error.start})") from None


def read_first_line(path: Path) -> str:
    """The first line without blanks around it, such as a version; empty for an empty file. Raises as `read_text`."""
    return read_text(path).strip().partition("\n")[0].strip()


def append_text(path: Path, text: str) -> None:
    """Write at the end of a file. Raises NotReady when that cannot be done."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise NotReady(f"{path} cannot be written: {error.strerror}") from error


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
    """The content of a folder, links not followed; permission bits without setuid, setgid and sticky. No `BYTECODE`.

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
    patterns = [translate(pattern.rstrip("/")) for pattern in (BYTECODE, *exclude)]
    return dict(_walk(os.fsencode(folder), "", re.compile("|".join(patterns))))


def _read(folder: Path, found: Mapping[str, os.stat_result]) -> Tree:
    regular = [(path, status.st_size) for path, status in found.items() if stat.S_ISREG(status.st_mode)]
    with ThreadPoolExecutor(_HASHERS) as pool:  # for large ones: a small one is read faster than it is handed over
        large = {path: pool.submit(_digest, f"{folder}/{path}") for path, size in regular if size >= _LARGE}
        digests = {path: _digest(f"{folder}/{path}") for path, size in regular if size < _LARGE}
        digests |= {path: digest.result() for path, digest in large.items()}
    return Tree(entries={path: _entry(folder, path, status, digests.get(path, "")) for path, status in found.items()})


class ArtifactStore:
    """Artifacts on the operator's machine, each in a folder named by its tree hash, whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, Tree] = {}

    def path(self, tree_hash: str) -> Path:
        """Where the artifact of that hash lies, or would."""
        return self.folder / tree_hash

    def has(self, tree_hash: str) -> bool:
        """Whether it is there."""
        return self.path(tree_hash).is_dir()

    async def tree(self, tree_hash: str) -> Tree:
        """What the artifact of that hash holds. Raises NotReady when it is no longer what its name says.

        It is read again, unless this very store has made it: whatever is sent is proven on the target as well.
        """
        if tree_hash in self._made and self.has(tree_hash):
            return self._made[tree_hash]
        tree = await asyncio.to_thread(self._kept, self.path(tree_hash))
        if tree is None or tree.hash != tree_hash:
            raise NotReady(f"the artifact {self.path(tree_hash)} was changed", "delete it, and make a new plan")
        return tree

    def _kept(self, place: Path) -> Tree | None:
        """None = it holds what no artifact holds. Links may leave it: those to what is shared do."""
        try:
            found = {path: status for path, status in _found(place).items() if path != IDENTITY_FILE}
            if any(_strange(path, status) for path, status in found.items()):
                return None
            tree = _read(place, found)
        except OSError as error:
            raise NotReady(f"{error.filename or place} cannot be read: {error.strerror}") from None
        return None if any(_ODD.search(entry.link) for entry in tree.entries.values()) else tree

    def add(self, source: Path, tree: Tree, extra: Mapping[str, str] | None = None, *, like: str = "") -> Path:
        """Keep what `tree` lists: files come from `source`, folders and links from the tree itself.

        `extra`: texts by path that are not part of the hash, such as the release's name; written anew where the
        artifact is already there. `like`: a name that artifacts share when each resembles the one before, such as the
        service's; a file that the last one has too, which is proven by reading it, is linked and not copied.
        Raises NotReady when a file has changed since the tree was made.
        """
        place = self.path(tree.hash)
        if not self.has(tree.hash) and self._make(source, tree, extra or {}, like):
            self._made[tree.hash] = tree
        else:
            for path, text in (extra or {}).items():
                write_text(place / path, text)
            with suppress(OSError):
                os.utime(place)  # it is in use again: `keep_newest` goes by this
        if like:
            self._remember(like, tree.hash)
        return place

    def _last(self, like: str) -> Path:
        return self.folder / f".last-{like}"

    def _remember(self, like: str, tree_hash: str) -> None:
        with suppress(OSError), self._new_folder() as new:  # without it the next one is copied
            (new / "last").symlink_to(tree_hash)
            (new / "last").replace(self._last(like))

    def keep_newest(self, number: int) -> None:
        """Delete all but the newest so many; what is deleted can be built again."""
        if self.folder.is_dir():
            places = sorted(self.folder.glob("[0-9a-f]*"), key=lambda place: place.stat().st_mtime, reverse=True)
            for place in places[number:]:
                remove_tree(place)

    def _make(self, source: Path, tree: Tree, extra: Mapping[str, str], like: str) -> bool:
        """False = somebody else was faster, with the same content."""
        place = self.path(tree.hash)
        try:
            with self._new_folder() as new:
                _copy_tree(source, tree, new, self._last(like))
                for path, text in extra.items():
                    with (new / path).open("x", encoding="utf-8") as file:
                        file.write(text)
                        os.fchmod(file.fileno(), 0o644)
                new.chmod(0o755)
                new.rename(place)
        except OSError as error:
            if place.is_dir():
                return False
            raise NotReady(f"{error.filename or source} cannot be kept: {error.strerror}") from None
        return True

    @contextmanager
    def _new_folder(self) -> Iterator[Path]:
        """A folder beside the artifacts, which is gone afterwards unless it was renamed."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
        except OSError as error:
            raise NotReady(f"{self.folder} cannot be written: {error.strerror}") from None
        try:
            yield new
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


def _walk(folder: bytes, below: str, exclude: re.Pattern[str]) -> Iterator[tuple[str, os.stat_result]]:
    # As bytes: a name that is not UTF-8 must come to light here, with all others, and not as an error elsewhere.
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            name = os.fsdecode(entry.name)
            path = f"{below}{name}"
            if exclude.match(name) or exclude.match(path):
                continue
            yield path, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{path}/", exclude)


def _problem(folder: Path, path: str, status: os.stat_result) -> str:
    return _strange(path, status) or (_link_problem(path, _link(folder / path)) if stat.S_ISLNK(status.st_mode) else "")


def _strange(path: str, status: os.stat_result) -> str:
    if _ODD.search(path):
        return f"{_shown(path)}: its name is not UTF-8 or holds control characters"
    if stat.S_IFMT(status.st_mode) not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        return f"{path}: it is neither a file nor a folder nor a symbolic link"
    return ""


def _link_problem(path: str, target: str) -> str:
    if _ODD.search(target):
        return f"{path}: the name it links to is not UTF-8 or holds control characters"
    if target.startswith("/"):
        return f"{path}: it links to an absolute path, {target}"
    if posixpath.normpath(posixpath.join(posixpath.dirname(path), target)).split("/")[0] == "..":
        return f"{path}: it links out of the folder, to {target}"
    return ""


def _link(path: Path) -> str:
    return os.readlink(path)  # noqa: PTH115 - as it stands: a Path would drop `./` and `//`


def _shown(name: str) -> str:
    return ascii(os.fsencode(name))[1:]


def _refuse(folder: Path, problems: Sequence[str]) -> None:
    if problems:
        more = f" and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""
        what = "; ".join(problems[:_TOLD])
        raise NotReady(f"{folder} holds what cannot be released: {what}{more}", hint="remove or `exclude` it")


def _entry(folder: Path, path: str, status: os.stat_result, digest: str) -> Entry:
    mode = stat.S_IMODE(status.st_mode) & 0o777
    if stat.S_ISDIR(status.st_mode):
        return Entry(kind="d", mode=mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry(kind="l", mode=0o777, link=_link(folder / path))
    return Entry(kind="f", mode=mode, size=status.st_size, sha256=digest)


def _chunks(file: str) -> Iterator[bytes]:
    # Without a file object: it costs more than all of a small file, and a release has thousands of them.
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        while chunk := os.read(handle, _CHUNK):
            yield chunk
    finally:
        os.close(handle)


def _digest(file: str) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(file):
        digest.update(chunk)
    return digest.hexdigest()


def _copy_tree(source: Path, tree: Tree, new: Path, last: Path) -> None:
    entries = sorted(tree.entries.items())
    # Folders of both. Where the last artifact has a link instead, it may lead to files that others write into.
    both = {""}
    for path, entry in entries:
        folder = path.rpartition("/")[0]
        if entry.kind == "d":
            (new / path).mkdir()
            if folder in both and (last / path).is_dir() and not (last / path).is_symlink():
                both.add(path)
        elif entry.kind == "l":
            (new / path).symlink_to(entry.link)
        elif folder not in both or not _linked(f"{last}/{path}", f"{new}/{path}", entry):
            _copy_file(f"{source}/{path}", f"{new}/{path}", entry)
    for path, entry in reversed(entries):  # at last, because nothing can be put into a read-only folder
        if entry.kind == "d":
            (new / path).chmod(entry.mode)


def _linked(kept: str, to: str, entry: Entry) -> bool:
    """Whether an artifact's file is what is wanted, mode included, and became the new one's too."""
    try:
        status = os.lstat(kept)
        if (status.st_mode, status.st_size) != (stat.S_IFREG | entry.mode, entry.size) or _digest(kept) != entry.sha256:
            return False
        os.link(kept, to)
    except OSError:  # there is none, or no hard link can be made: a copy can
        return False
    return True


def _copy_file(source: str, to: str, entry: Entry) -> None:
    digest = hashlib.sha256()
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for chunk in _chunks(source):
            digest.update(chunk)
            _write(handle, chunk)
        os.fchmod(handle, entry.mode)
    finally:
        os.close(handle)
    if digest.hexdigest() != entry.sha256:
        raise NotReady(f"{source} changed while it was read", hint="is a build still running?")


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
