"""What every check has in common: it measures its time, and whatever goes wrong becomes a finding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from fairlead.errors import FairleadError, NotReady
from fairlead.model import Finding

S = TypeVar("S")
T = TypeVar("T")


async def looked(check: str, subject: str, look: Awaitable[Finding]) -> Finding:
    """Wait for a finding; whatever goes wrong on the way becomes `unknown`, and the time is measured."""
    finding, ms = await _timed(look, lambda error: _unknown(check, subject, error))
    return _with_time(finding, ms)


async def host_by_host(
    several: Sequence[S], host_of: Callable[[S], str], look: Callable[[str, list[S]], Awaitable[list[Finding]]]
) -> list[Finding]:
    """Look at what belongs to one host together, at all hosts at once.

    `look` gets a host's name and what belongs to it, and answers in that order; the findings are in the order of
    `several`.
    """
    groups: dict[str, list[S]] = {}
    for one in several:
        groups.setdefault(host_of(one), []).append(one)
    found = await asyncio.gather(*(look(name, group) for name, group in groups.items()))
    answers = {name: iter(findings) for name, findings in zip(groups, found, strict=True)}
    return [next(answers[host_of(one)]) for one in several]


async def looked_at_all(check: str, subjects: tuple[str, ...], look: Awaitable[list[Finding]]) -> list[Finding]:
    """The same for a look that answers for several subjects at once."""
    findings, ms = await _timed(look, lambda error: [_unknown(check, subject, error) for subject in subjects])
    return [_with_time(one, ms) for one in findings]


def _with_time(finding: Finding, ms: float) -> Finding:
    """What a check has measured itself is better than the time of the whole look."""
    return finding.model_copy(update={"ms": round(ms if finding.ms is None else finding.ms, 1)})


async def _timed(look: Awaitable[T], otherwise: Callable[[Exception], T]) -> tuple[T, float]:
    """What `look` gives, or what `otherwise` makes of its error, and the milliseconds until then."""
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        seen = await look
    except Exception as error:
        seen = otherwise(error)
    return seen, (clock() - began) * 1000


def _unknown(check: str, subject: str, error: Exception) -> Finding:
    """Not knowing, with its cause."""
    if isinstance(error, FairleadError):
        return Finding(check=check, subject=subject, status="unknown", says=error.what, hint=error.hint)
    cause = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return Finding(check=check, subject=subject, status="unknown", says=f"the check itself failed: {cause}")


async def within(limit: float, look: Coroutine[Any, Any, T]) -> T:
    """Wait at most `limit` seconds; raises NotReady after them, without waiting for a look that ends slowly."""
    task = asyncio.ensure_future(look)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit)
        if done:
            return task.result()
    finally:
        task.cancel()
    await asyncio.wait({task}, timeout=1.0)
    raise NotReady(f"no answer within {limit:g} s")
