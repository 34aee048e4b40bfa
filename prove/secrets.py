# ruff: noqa: A005 - it is always `prove.secrets`
"""Sentinel secrets: a whole story over ssh and locally, searched for everywhere; planted leaks that are found."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Literal

from prove.table import Row
from support.acts import ALL, wrong_keys
from support.leaks import Story
from support.planted import PLANTED, plant
from support.trace import strace_works


def experiment(scale: float, seed: int) -> Iterable[Row]:
    """Everything once; `scale` below 1 leaves the local story and most planted leaks out."""
    del seed  # the values are new each time anyway: a secret that could be repeated would be none
    yield from _told("ssh", leaks=max(1, round(len(PLANTED) * scale)))
    if scale >= 1:
        yield from _told("local", leaks=0)


def _told(kind: Literal["ssh", "local"], leaks: int) -> Iterable[Row]:
    began = time.monotonic()
    failures = []
    with Story(kind) as story:
        for act in ALL:
            if kind == "local" and act is wrong_keys:
                continue  # nobody logs in
            try:
                act(story)
            except AssertionError as error:
                failures.append(f"{act.__name__} went otherwise than told: {str(error)[:300]}")
        search = story.search()
        failures += search.hits
        yield Row(f"sentinel secrets, {kind}", len(story.sentinels), failures, time.monotonic() - began, _note(story))
        if leaks:
            yield _leaks(story, leaks)


def _note(story: Story) -> str:
    programs = story.programs()
    far = sum(where == "trace sshd" for where, _ in programs)
    how = "strace" if strace_works() else "looks at /proc only: there is no strace here"
    return f"{len(ALL)} acts; {len(programs)} starts of programs, {far} of them on the far side, seen by {how}"


def _leaks(story: Story, count: int) -> Row:
    began, failures = time.monotonic(), []
    before = set(story.search().hits)
    for name, leak in list(PLANTED.items())[:count]:
        plant(story, leak)
        hits = set(story.search().hits)
        if not leak.found(hits - before):
            failures.append(f"{name} was not found: {sorted(hits - before)[:4]}")
        print(f"secrets: {name}: {len(hits - before)} new places", file=sys.stderr, flush=True)
        before |= hits
    return Row("leaks planted on purpose are found", count, failures, time.monotonic() - began)
