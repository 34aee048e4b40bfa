from __future__ import annotations

from typing import Literal

from fairlead.model.base import Model


class Message(Model):
    """Something to tell about one run, or one window, kept until its receiver has said that it arrived."""

    key: str
    """Names what it tells, once and for all: what has the same key is never told twice."""
    run: str
    """Or the window: what has the same is told in one issue."""
    at: float
    """Unix time of what it tells."""
    kind: Literal["opened", "comment", "closed"]
    title: str
    """Of the issue about it."""
    opening: str
    """Its first text: what is going to be done, and how it would be taken back."""
    text: str = ""
    """What has happened since."""
    good: bool = True
    """closed: the run has ended as it was meant to."""
