"""What was not delivered yet goes out in order, and counts as delivered when GitHub has said so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from fairlead.errors import NotReady
from fairlead.journal.store import Store
from fairlead.model import Message
from fairlead.notify.words import cut
from fairlead.outside.clock import Clock

if TYPE_CHECKING:
    from fairlead.outside.github import GitHub

CLAIM = 120.0
"""Seconds for which a process that delivers a message keeps others from delivering it too."""
DAY = 86_400.0

OpenGitHub = Callable[[], AbstractAsyncContextManager["GitHub"]]


class Outbox:
    """Messages about the runs of one environment, for the issues of one repository."""

    def __init__(self, store: Store, environment: str, github: OpenGitHub, clock: Clock) -> None:
        self._store, self._environment, self._github, self._clock = store, environment, github, clock
        self._sending = asyncio.Lock()
        self._issues: dict[str, int] = {}

    def post(self, message: Message) -> None:
        """Write a message down; one with the same key is never written down twice."""
        self._store.post(self._environment, message)

    def waiting(self) -> int:
        """How many messages were not delivered yet."""
        return len(self._store.undelivered(self._environment))

    def number(self, run: str) -> int:
        """The number of its issue, where something of it was delivered just now; else 0."""
        return self._issues.get(run, 0)

    async def send(self) -> str:
        """Deliver what waits, the oldest first; returns what kept the rest back, empty = nothing waits any more."""
        async with self._sending:
            waiting = self._store.undelivered(self._environment)
            if not waiting:
                return ""
            try:
                async with self._github() as github:
                    for message in waiting:
                        await self._claimed(github, message)
            except NotReady as error:
                return error.what
        return ""

    async def _claimed(self, github: GitHub, message: Message) -> None:
        """Deliver one message that nobody else is delivering. Raises NotReady."""
        if not self._store.claim(message.key, self._clock.now(), CLAIM):
            raise NotReady("another process is sending it")
        try:
            await self._deliver(github, message)
        except BaseException:
            self._store.unclaim(message.key)
            raise
        self._store.delivered(message.key, self._clock.now())

    async def _deliver(self, github: GitHub, message: Message) -> None:
        number = await self._issue(github, message)
        if message.kind != "opened":
            mark = _mark(message.key)
            if not any(mark in (comment.body or "") for comment in await github.comments(number)):
                await github.comment(number, f"{cut(message.text)}\n\n{mark}")
        if message.kind == "closed":
            await github.close_issue(number, good=message.good)

    async def _issue(self, github: GitHub, message: Message) -> int:
        """The number of the run's issue; opened where there is none. Looked for first: an answer may have been lost."""
        if message.run not in self._issues:
            mark = _mark(message.run)
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(message.at - DAY))
            found = [one for one in await github.issues_since(since) if mark in (one.body or "")]
            body = f"{cut(message.opening)}\n\n{mark}"
            issue = min(found, key=lambda one: one.number) if found else await github.open_issue(message.title, body)
            self._issues[message.run] = issue.number
        return self._issues[message.run]


def _mark(key: str) -> str:
    """Stands unseen in what was told about this, so that it can be found again."""
    return f"<!-- fairlead {key} -->"
