"""A folder's content as a value, with a hash that a shell on the target can compute too.

The hash is SHA-256 over two lists of NUL-ended records, each sorted bytewise (LC_ALL=C):

1. one record an entry below the folder: `TYPE MODE LINK<TAB>PATH`, TYPE as find's `%y` (f, d, l), MODE octal, LINK the
   target of a symbolic link or nothing, PATH relative without `./`, UTF-8;
2. one record a regular file: `SHA256  ./PATH`.

`IDENTITY_FILE` at the top is left out: it holds the release's name, which is made from this hash. `BYTECODE` is left
out everywhere: Python writes it into a release that runs, and makes it anew where it does not fit the sources.
`LISTING` is the shell's half; `tests/` hold both halves against each other.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from fairlead.model.base import Model, sha256

IDENTITY_FILE = "release.json"
BYTECODE = "__pycache__"
_COUNTS = "find . -mindepth 1 -name " + BYTECODE + " -prune -o ! -path ./" + IDENTITY_FILE

LISTING = (
    f"{{ {_COUNTS} -printf '%y %m %l\\t%P\\0' | LC_ALL=C sort -z && "
    f"{_COUNTS} -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum -z; }}"
)
"""Run inside the folder. Needs GNU find, sort, xargs and sha256sum."""


class Entry(Model):
    """One file, folder or symbolic link of a tree."""

    kind: Literal["f", "d", "l"]
    mode: int
    """Permission bits, such as 0o644; 0o777 for links."""
    link: str = ""
    """The target of a symbolic link."""
    size: int = 0
    """Bytes; 0 where it was not asked for. Not part of the hash: the content's hash says more."""
    sha256: str = ""
    """Of a regular file's content."""


class Tree(Model):
    """A folder: relative path -> entry."""

    entries: dict[str, Entry]

    @cached_property
    def hash(self) -> str:
        """64 hex digits; equal exactly when types, modes, links, paths and contents are equal."""
        return sha256(self.listing())

    @property
    def files(self) -> int:
        """Number of regular files."""
        return sum(entry.kind == "f" for entry in self.entries.values())

    @property
    def size(self) -> int:
        """Bytes of all regular files."""
        return sum(entry.size for entry in self.entries.values())

    def listing(self) -> bytes:
        """The text that is hashed, byte for byte what `LISTING` prints."""
        entries = {_raw(path): entry for path, entry in self.entries.items()}
        shape = sorted(f"{e.kind} {e.mode:o} ".encode() + _raw(e.link) + b"\t" + path for path, e in entries.items())
        names = sorted(b"./" + path for path, e in entries.items() if e.kind == "f")
        content = (entries[name[2:]].sha256.encode() + b"  " + name for name in names)
        return b"".join(record + b"\0" for record in (*shape, *content))


def parse_listing(raw: bytes) -> Tree:
    """Read what `LISTING` printed. Raises ValueError where it is not whole."""
    found: dict[str, dict[str, Any]] = {}
    records = raw.split(b"\0")
    if records.pop() != b"":
        raise ValueError("the listing is cut off")
    for record in records:
        head, tab, path = record.partition(b"\t")
        if tab and head[:2] in (b"f ", b"d ", b"l "):
            kind, mode, link = _text(head).split(" ", 2)
            found[_text(path)] = {"kind": kind, "mode": int(mode, 8), "link": link}
        else:
            digest, _, name = record.partition(b"  ./")
            found[_text(name)]["sha256"] = digest.decode()
    return Tree(entries={path: Entry(**values) for path, values in found.items()})


def _raw(text: str) -> bytes:
    return text.encode()


def _text(raw: bytes) -> str:
    # Artifacts are refused when a name is not UTF-8, so a name like that is foreign and is only shown, never sent.
    return raw.decode("utf-8", "backslashreplace")


class Difference(Model):
    """What a release adds, changes and deletes, by path; sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


def difference(old: Tree, new: Tree) -> Difference:
    """Compare file by file; sizes are ignored, since one side may not know them."""

    def same(path: str) -> bool:
        return _without_size(old.entries[path]) == _without_size(new.entries[path])

    return Difference(
        added=tuple(sorted(new.entries.keys() - old.entries.keys())),
        changed=tuple(sorted(path for path in new.entries.keys() & old.entries.keys() if not same(path))),
        deleted=tuple(sorted(old.entries.keys() - new.entries.keys())),
    )


def _without_size(entry: Entry) -> tuple[str, int, str, str]:
    return entry.kind, entry.mode, entry.link, entry.sha256
