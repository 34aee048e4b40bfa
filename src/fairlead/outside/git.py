"""The working copy that a deployment is made from: its commit, its branch, its remote, what was not committed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from fairlead.errors import NotReady
from fairlead.model import Model, Result
from fairlead.outside.environment import ci_branch, login_environment
from fairlead.outside.program import run_program

GIT_LIMIT = 20.0
"""Seconds that git has for one answer."""
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class WorkingCopy(Model):
    """What lies in the folder of fairlead.yml, as git sees it."""

    commit: str
    """40 or 64 hex digits: what a deployment from here is made of, if nothing is `changed`."""
    committed: float
    """Unix time at which the commit was made."""
    branch: str = ""
    """Empty = the commit was checked out without one, and CI does not tell it either."""
    remote: str = ""
    """URL of the remote; empty = there is none."""
    checked_out: bool = True
    """It is this commit that lies in the folder, and not another one."""
    changed: tuple[str, ...] = ()
    """Paths that differ from the commit, or that git does not know."""


async def working_copy(folder: Path, remote: str = "origin", commit: str = "") -> WorkingCopy:
    """Ask git; changes nothing. `commit`: of another one than the one that is checked out.

    Raises NotReady where `folder` is in no working copy, nothing was committed yet, or git does not have that commit.
    """
    status, log, url = await asyncio.gather(
        _git(folder, "status", "--porcelain=v2", "--branch", "-z"),
        _git(folder, "log", "-1", "--no-show-signature", "--format=%H %ct", commit or "HEAD", "--"),
        _git(folder, "remote", "get-url", "--", remote),
    )
    if not status.ok:
        raise NotReady(f"git does not know {folder}: {status.last_words}", "is it a working copy? type: git status")
    found, _, time = log.stdout.strip().partition(" ")
    if commit and found != commit:
        raise NotReady(f"git does not have the commit {commit[:12]} that the plan was made from", "type: git fetch")
    if not log.ok or not _COMMIT.fullmatch(found) or not time.isdigit():
        raise NotReady("nothing was committed here yet, so there is no commit to ask about", "type: git log -1")
    head, branch, changed = _status(status.stdout)
    return WorkingCopy(
        commit=found,
        committed=float(time),
        branch=branch or ci_branch(found),
        remote=url.stdout.strip() if url.ok else "",
        checked_out=found == head,
        changed=changed,
    )


async def _git(folder: Path, *words: str) -> Result:
    # Without optional locks: a look must not be in the way of whoever works in the same copy.
    argv = ("git", "--no-optional-locks", *words)
    return await run_program(argv, folder=folder, env=login_environment(), timeout=GIT_LIMIT)


def _status(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Commit, branch and changed paths out of `git status --porcelain=v2 -z`."""
    head, branch, changed = "", "", list[str]()
    parts = iter(text.split("\0"))
    for part in parts:
        words = part.split(" ")
        if part.startswith("# branch.head ") and part != "# branch.head (detached)":
            branch = part.removeprefix("# branch.head ")
        elif part.startswith("# branch.oid "):
            head = part.removeprefix("# branch.oid ")
        elif words[0] in ("1", "u", "?"):
            changed.append(" ".join(words[{"1": 8, "u": 10, "?": 1}[words[0]] :]))
        elif words[0] == "2":
            changed.append(" ".join(words[9:]))
            next(parts, "")  # where it was renamed from
    return head, branch, tuple(changed)
