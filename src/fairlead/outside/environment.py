"""Who and where we are, and which environment the programs that we start get to see."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "TERM", "XDG_RUNTIME_DIR")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_FOR_LOGIN = ("SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME", "DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS")


def environment() -> Mapping[str, str]:
    """The environment of this process."""
    return os.environ


@dataclass(frozen=True)
class Folders:
    """Where things lie on the operator's machine. All of it can be lost: the target is the truth."""

    cache: Path
    """What can be made again, such as artifacts."""
    state: Path
    """What is known of past runs."""


def folders() -> Folders:
    """Fairlead's own folders, as XDG_CACHE_HOME and XDG_STATE_HOME have it; they need not exist."""
    return Folders(_xdg("XDG_CACHE_HOME", ".cache"), _xdg("XDG_STATE_HOME", ".local/state"))


def _xdg(variable: str, below_home: str) -> Path:
    given = Path(os.environ.get(variable, ""))  # a relative one is to be ignored, says the XDG specification
    return (given if given.is_absolute() else Path.home() / below_home) / "fairlead"


def who() -> str:
    """Who is working, as `user@host`; only letters, digits and `._@+-`, as the record on the target wants it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid{os.getuid()}"
    return "".join(
        c if c.isascii() and (c.isalnum() or c in "._@+-") else "_" for c in f"{user}@{socket.gethostname()}"
    )


def ci_branch(commit: str) -> str:
    """The branch that GitHub Actions has checked this commit out for, without a branch of git's; empty = not known."""
    if os.environ.get("GITHUB_SHA") != commit or os.environ.get("GITHUB_REF_TYPE") == "tag":
        return ""
    return os.environ.get("GITHUB_HEAD_REF") or os.environ.get("GITHUB_REF_NAME", "")


def job_summary() -> Path | None:
    """The file whose Markdown GitHub Actions shows as the summary of the job; None = we do not run there."""
    place = os.environ.get("GITHUB_STEP_SUMMARY", "")
    return Path(place) if place and os.environ.get("GITHUB_ACTIONS") == "true" else None


def plain_environment(home: str = "") -> dict[str, str]:
    """What a command on a local account sees: as little as a login would give it, so no secret of ours.

    `home` takes the place of HOME.
    """
    plain = {name: os.environ[name] for name in (*_PASSED_ON, *_PROXIES) if name in os.environ}
    plain |= {name: value for name, value in os.environ.items() if name.startswith("LC_")}
    return plain | {"HOME": home} if home else plain


def login_environment() -> dict[str, str]:
    """What `ssh` sees: the plain environment and what reaches the user's agents."""
    return plain_environment() | {name: os.environ[name] for name in _FOR_LOGIN if name in os.environ}


def build_environment(without: Collection[str]) -> dict[str, str]:
    """What the user's own build programs see: everything but the variables that hold secrets."""
    return {name: value for name, value in os.environ.items() if name not in without}
