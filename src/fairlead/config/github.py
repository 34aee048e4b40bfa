from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from fairlead.config.types import Line, MoreSeconds, SecretName, Url, Wrong, matching, no_option
from fairlead.model import Model, SecretRef


def _guarded(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise Wrong("should begin with https://: the token would travel for everybody to read")
    return value


Api = Annotated[Url, AfterValidator(_guarded)]
Repository = Annotated[
    Line, AfterValidator(matching(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}", "should be `owner/name`"))
]
GitRef = Annotated[
    Line,
    AfterValidator(no_option),
    AfterValidator(matching(r"[^\s~^:?*\[\\\x7f]{1,200}", "should be the name of a branch or remote")),
]


class GitHubEntry(Model):
    """Where the sources lie, for the gates that ask GitHub."""

    api: Api = "https://api.github.com"
    """Where it is asked; of GitHub Enterprise that is `https://HOST/api/v3`."""
    token: SecretName = "GITHUB_TOKEN"  # noqa: S105 - a name
    """Name of the secret that it is asked with."""
    repository: Repository = ""
    """`owner/name`; default: what the remote of the working copy leads to."""
    remote: GitRef = "origin"
    """The remote of the working copy that leads to it."""
    main: GitRef = "main"
    """The branch that a commit must have all of, and that its pull request leads into."""
    patience: MoreSeconds = 30.0
    """How long all questions together may take, waiting for GitHub's rate limits included."""
    not_asked: tuple[Line, ...] = ()
    """Names of checks that `ci` leaves out: the job that runs Fairlead itself, which is not over while it asks."""


class GitHubSpec(Model):
    """GitHub, resolved."""

    api: str
    token: SecretRef
    repository: str = ""
    remote: str = "origin"
    main: str = "main"
    patience: float = 30.0
    """Seconds."""
    not_asked: tuple[str, ...] = ()


def github_spec(entry: GitHubEntry) -> GitHubSpec:
    """The GitHub that an entry stands for."""
    return GitHubSpec.model_validate({**entry.model_dump(), "token": SecretRef(name=entry.token)})
