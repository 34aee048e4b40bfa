from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "fairlead-ssh-"
# A control socket's path may have 107 bytes, and ssh adds 17 while it makes one.
_LONGEST = 40


class Scratch:
    """A 0700 folder with a short path for sockets and keys. Its lock tells the living from what a kill -9 left."""

    def __init__(self) -> None:
        base = _base()
        _sweep(base)
        self.path, self._lock = _make(base)
        while not (self.path / "lock").exists():  # somebody swept it in the moment before it was locked
            os.close(self._lock)
            self.path, self._lock = _make(base)

    def write(self, name: str, text: str) -> Path:
        """A 0600 file in it."""
        path = self.path / name
        with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _base() -> Path:
    for candidate in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        if candidate and len(candidate) <= _LONGEST and os.access(candidate, os.W_OK | os.X_OK):
            return Path(candidate)
    return Path("/tmp")  # noqa: S108 - mkdtemp makes a 0700 folder of an unguessable name in it


def _make(base: Path) -> tuple[Path, int]:
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return path, lock


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the one who made it is dead
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
