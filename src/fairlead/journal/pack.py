"""A folder as a tar stream, for hosts that take trees on standard input. Equal folders give equal bytes."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path

from fairlead.errors import CallError


def pack(source: Path, only: Iterable[str] | None = None) -> bytes:
    """Return the content of the folder `source`: modes and symbolic links kept, owners and times left out.

    `only`: nothing but these paths, relative to it, and of a folder not what is in it.
    Raises `CallError` for what is neither file, folder nor symbolic link.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(source.rglob("*") if only is None else map(source.joinpath, only)):
            _add(tar, path, path.relative_to(source).as_posix())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    status = path.lstat()
    entry = tarfile.TarInfo(f"./{name}")
    entry.mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
        tar.addfile(entry)
    elif stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)  # noqa: PTH115 - as text, not made a path
        tar.addfile(entry)
    elif stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        with path.open("rb") as content:
            tar.addfile(entry, content)
    else:
        raise CallError(f"{name} is neither file, folder nor symbolic link", hint="leave it out of the artifact")
