"""Looks at services for a stated time after a deployment and says when it must go back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from fairlead.model import ErrorShare, Event, Plan, Sample, WatchRules, WatchTarget, shell
from fairlead.outside.clock import Clock
from fairlead.outside.connect import Hosts
from fairlead.run.runner import Listen, RunChecks, Stop

_COUNT = """\
f=$1 from=$2; [ -f "$f" ] && [ -r "$f" ] || exit 0
size=$(($(wc -c <"$f"))); [ "$from" -ge 0 ] || from=$size; [ "$size" -ge "$from" ] || from=0
set -- $(tail -c +$((from + 1)) <"$f" | head -c $((size - from)) | LC_ALL=C awk -v bytes=$((size - from)) '
  { requests += one; errors += bad; seen += line; line = length($0) + 1; one = bad = 0 }
  / "fairlead"( |$)/ { next }
  /^[^"]*"([^"\\\\]|\\\\.)*" [1-5][0-9][0-9]( |$)/ { one = 1 }
  /^[^"]*"([^"\\\\]|\\\\.)*" 5[0-9][0-9]( |$)/ { bad = 1 }
  END {
    if (seen + line > bytes) print line - 1, requests + 0, errors + 0
    else print 0, requests + one, errors + bad
  }')
echo $((size - $1)) "$2" "$3"
"""
"""Counts requests and 5xx answers that came into an access log since byte `$2` (-1 = only its size), and says how far.

Common and combined format; the status is what follows the first quoted field, in which servers escape quotes, so that
no visitor can write one into it. In the combined format our own probes are left out: they would thin out the share. A
line that is still being written is left for the next time.
"""

UPDATES = 6
"""Its duration is cut into so many parts, and between two of them a watch gives a summary."""


@dataclass
class Evidence:
    """What a watch has seen so far."""

    samples: list[Sample] = field(default_factory=list)
    shares: list[ErrorShare] = field(default_factory=list)
    """One count of requests and errors per look and service, not yet summed over the window."""


def down_since(samples: Iterable[Sample]) -> float | None:
    """Unix time since when a service has not answered rightly; None = it does, or nothing is known.

    A look that could not tell (429) neither ends nor begins a time of being down.
    """
    since = None
    for sample in samples:
        if sample.ok is True:
            since = None
        elif sample.ok is False and since is None:
            since = sample.at
    return since


def in_window(evidence: Evidence, service: str, rules: WatchRules, now: float) -> ErrorShare:
    """Requests and errors of one service over the window: from its access log where that has enough, else by probes."""
    counted = [s for s in evidence.shares if s.service == service and s.at > now - rules.window]
    requests, errors = sum(s.requests for s in counted), sum(s.errors for s in counted)
    if counted and requests >= rules.min_requests:
        return ErrorShare(at=now, service=service, source="access_log", requests=requests, errors=errors)
    looks = [s for s in evidence.samples if s.service == service and s.ok is not None and s.at > now - rules.window]
    errors = sum(sample.ok is False for sample in looks)
    return ErrorShare(at=now, service=service, source="probes", requests=len(looks), errors=errors)


def enough(share: ErrorShare, rules: WatchRules) -> bool:
    """Whether the window holds enough requests to judge by; of our own probes all that fit are enough, they are few."""
    if share.source == "access_log":
        return share.requests >= rules.min_requests
    return share.requests >= max(3, min(rules.min_requests, int(rules.window / rules.interval)))


def judge(evidence: Evidence, services: Iterable[str], rules: WatchRules, now: float) -> str:
    """The sentence with which the way back begins, or "" where there is none.

    One failed request is never enough, nor are two of our own few probes: that is what `down_for` is for.
    """
    for service in services:
        since = down_since(s for s in evidence.samples if s.service == service)
        if since is not None and now - since >= rules.down_for:
            return f"{service} has not answered rightly for {now - since:.0f} s (limit {rules.down_for:.0f} s)"
        share = in_window(evidence, service, rules, now)
        some = share.errors >= (2 if share.source == "access_log" else 3)
        if some and enough(share, rules) and share.errors / share.requests > rules.error_share:
            part, by = share.errors / share.requests, share.source.replace("_", " ")
            return (
                f"{share.errors} of {share.requests} requests to {service} failed in the last {rules.window:.0f} s "
                f"({part:.1%}, limit {rules.error_share:.1%}, by {by})"
            )
    return ""


@dataclass
class Watch:
    """One watch over one plan's services."""

    plan: Plan
    hosts: Hosts
    checks: RunChecks
    clock: Clock
    listen: Listen
    stop: Stop
    keep: Callable[[list[Sample], list[ErrorShare]], None] = lambda samples, shares: None
    evidence: Evidence = field(default_factory=Evidence)
    _offsets: dict[str, int] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    """Services whose log could not be read: said once."""

    async def run(self, seconds: float, ended: Callable[[], bool] = lambda: False) -> str:
        """Look every interval for so many seconds. Returns why to go back, or "" when the time is over, it was stopped,
        or something else has `ended` the run.

        While a service is down the watch goes on past its time, until the service answers again or the rule decides.
        """
        rules, names = self.plan.watch_rules, [target.service for target in self.plan.watch]
        end = self.clock.monotonic() + seconds
        next_update = self.clock.monotonic() + seconds / UPDATES
        await asyncio.gather(*(self._count(target) for target in self.plan.watch if target.access_log))
        while (self.clock.monotonic() < end or self._undecided(names)) and not self.stop.why:
            if ended():
                return ""
            began = self.clock.monotonic()
            await self.look()
            if why := judge(self.evidence, names, rules, self.clock.now()):
                return why
            if self.clock.monotonic() >= next_update:
                self._update(end)
                next_update += seconds / UPDATES
            pause = began + rules.interval - self.clock.monotonic()
            await self.clock.sleep(max(0.0, pause))
        return ""

    def _undecided(self, services: Iterable[str]) -> bool:
        """Some service does not answer rightly at the moment: a watch does not end well before that is decided."""
        samples = self.evidence.samples
        return any(down_since(s for s in samples if s.service == name) is not None for name in services)

    async def look(self) -> None:
        """Look once at every service, and count what its access log has got since the last look."""
        samples = list(await asyncio.gather(*(self._sample(target) for target in self.plan.watch)))
        logs = [target for target in self.plan.watch if target.access_log]
        shares = [s for s in await asyncio.gather(*(self._count(target) for target in logs)) if s is not None]
        self.evidence.samples += samples
        self.evidence.shares += shares
        self.keep(samples, shares)

    async def _sample(self, target: WatchTarget) -> Sample:
        at, findings = self.clock.now(), await self.checks(target.checks)
        return Sample(
            at=at,
            service=target.service,
            ok=_together([finding.status for finding in findings]),
            ms=max((finding.ms or 0.0 for finding in findings), default=0.0),
            says="; ".join(finding.says for finding in findings if finding.blocks),
        )

    async def _count(self, target: WatchTarget) -> ErrorShare | None:
        offset = self._offsets.get(target.service, -1)
        try:
            host = await self.hosts.get(target.host)
            words = (await host.run(shell(_COUNT, target.access_log, str(offset)))).stdout.split()
            size, requests, errors = (int(word) for word in words or ("-1", "0", "0"))
        except Exception as error:  # a log that cannot be read must not end the watch; the probes go on
            self._unread(target, str(error))
            return None
        if size < 0:
            self._unread(target, f"{target.access_log} is not a file that may be read")
            return None
        self._offsets[target.service] = size
        if offset < 0:
            return None
        at = self.clock.now()
        return ErrorShare(at=at, service=target.service, source="access_log", requests=requests, errors=errors)

    def _unread(self, target: WatchTarget, why: str) -> None:
        if target.service not in self._told:
            self._told.add(target.service)
            self._event("warning", f"{target.service}: its access log cannot be read: {why}", target.service)

    def _update(self, end: float) -> None:
        now = self.clock.now()
        for target in self.plan.watch:
            share = in_window(self.evidence, target.service, self.plan.watch_rules, now)
            last = next(s for s in reversed(self.evidence.samples) if s.service == target.service)
            told = f"{share.share:.2%} of {share.requests} failed" if share.share is not None else "no requests"
            if not enough(share, self.plan.watch_rules):
                told += ", not enough to judge"
            self._event(
                "watch",
                f"{target.service}: {told} ({share.source.replace('_', ' ')}), {last.ms:.0f} ms",
                target.service,
            )
        self._event("watch", f"{max(0.0, end - self.clock.monotonic()):.0f} s to go")

    def _event(self, kind: str, says: str, service: str = "") -> None:
        self.listen(Event.model_validate({"at": self.clock.now(), "kind": kind, "says": says, "service": service}))


def _together(statuses: list[str]) -> bool | None:
    if "fail" in statuses:
        return False
    return None if "unknown" in statuses or not statuses else True
