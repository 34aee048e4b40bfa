"""What is drawn, computed from what was seen. What was not seen is None, never nought."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fairlead.model import ErrorShare, Finding, Report, Sample, StepTime

Span = tuple[float, float]
Point = tuple[float, float]


def activation(steps: Iterable[StepTime]) -> Span | None:
    """From the first to the last change of what is live; None where the record does not tell the phases apart."""
    live = [step for step in steps if step.phase == "activate" and step.what == "do"]
    return (live[0].started, max(step.started + step.seconds for step in live)) if live else None


def live_seconds(report: Report) -> float | None:
    """From the beginning until everything was live; None where it did not come so far or is not known."""
    active = activation(report.steps)
    if report.deployment.state != "done" or active is None or not report.deployment.started:
        return None
    return max(0.0, active[1] - report.deployment.started)


def services(report: Report) -> list[str]:
    """Every service that anything is known of, those of the plan first."""
    seen = (*report.deployment.services, *(s.service for s in report.samples), *(s.service for s in report.shares))
    return list(dict.fromkeys(seen))


def by_service(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Looks of each service, in order of time."""
    found: dict[str, list[Sample]] = defaultdict(list)
    for sample in sorted(samples, key=lambda sample: sample.at):
        found[sample.service].append(sample)
    return found


def quantile(values: Iterable[float], share: float) -> float | None:
    """The value that `share` of all values do not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about `most` points: of every slice of time the first, the lowest, the highest and the last.

    Extremes are what such a plot is looked at for; a mean would hide them.
    """
    if len(points) <= most:
        return list(points)
    start, width = points[0][0], (points[-1][0] - points[0][0]) * 4 / most or 1.0
    slices: dict[int, list[Point]] = defaultdict(list)
    for point in points:
        slices[int((point[0] - start) / width)].append(point)
    kept = []
    for found in slices.values():
        low, high = min(found, key=lambda p: p[1]), max(found, key=lambda p: p[1])
        kept += sorted({found[0], low, high, found[-1]})
    return kept


class Counted(NamedTuple):
    """Requests that were counted over a window that ends at a moment."""

    at: float
    requests: int
    errors: int

    @property
    def share(self) -> float | None:
        """0..1; None when no request fell into the window."""
        return self.errors / self.requests if self.requests else None


class Failures(NamedTuple):
    """How many requests to one service failed, and who counted."""

    service: str
    source: str
    """`access log`, `probes`, or empty when nobody counted."""
    counted: list[Counted]

    @property
    def worst(self) -> Counted | None:
        """The moment with the largest share; None when no request was counted."""
        known = [count for count in self.counted if count.requests]
        return max(known, key=lambda count: count.errors / count.requests, default=None)


def failures(report: Report, window: float) -> list[Failures]:
    """By service: failed requests over a sliding window of so many seconds, as the watch judges them.

    From the access log where it was read, else from our own probes; a look that could not tell is no request.
    A window begins anew where activation ends and where the way back begins: the watch does not hold a switch against
    a service either.
    """
    active, back = activation(report.steps), report.deployment.back_at
    anew = [*([active[1]] if active else []), *([back] if back else [])]
    looks = by_service(report.samples)
    found = []
    for service in services(report):
        counts = [share for share in report.shares if share.service == service]
        logged = [share for share in counts if share.source == "access_log"]
        probed = [share for share in counts if share.source == "probes"] or [
            _as_share(s) for s in looks.get(service, ())
        ]
        chosen = sorted(logged or probed, key=lambda share: share.at)
        source = "access log" if logged else "probes" if any(share.requests for share in chosen) else ""
        found.append(Failures(service, source, _slide(chosen, window, anew)))
    return found


def _as_share(sample: Sample) -> ErrorShare:
    known, failed = sample.ok is not None, sample.ok is False
    return ErrorShare(at=sample.at, service=sample.service, source="probes", requests=int(known), errors=int(failed))


def _slide(shares: Sequence[ErrorShare], window: float, anew: Sequence[float]) -> list[Counted]:
    first = requests = errors = 0
    found = []
    for share in shares:
        requests, errors = requests + share.requests, errors + share.errors
        since = max([share.at - window, *(at for at in anew if at < share.at)])
        while shares[first].at <= since:
            requests, errors = requests - shares[first].requests, errors - shares[first].errors
            first += 1
        found.append(Counted(share.at, requests, errors))
    return found


def window_of(report: Report, span: Span) -> float:
    """Seconds over which shares are taken: the watch's own, or a twentieth of what is shown where that is not known."""
    rules = report.deployment.watch_rules
    return rules.window if rules else max((span[1] - span[0]) / 20, 1.0)


def quiet_after(report: Report) -> float:
    """Seconds without a look after which a line is broken: three looks were missed."""
    rules = report.deployment.watch_rules
    return 3 * max(rules.interval if rules else 30.0, 1.0)


def seen_span(report: Report) -> Span:
    """The time that plots of looks show: the whole run, and every look around it."""
    run = report.deployment
    ends = [at for at in (run.started, run.ended) if at > 0]
    times = [*ends, *(s.at for s in report.samples), *(s.at for s in report.shares)]
    low, high = (min(times), max(times)) if times else (0.0, 0.0)
    return (low, high) if high - low >= 1 else (low - 5, high + 5)


def downtime(report: Report, service: str) -> str:
    """`420 ms`, `not measured`, or that it was still down; the longest time between two good looks around a bad one."""
    looks = [sample for sample in by_service(report.samples).get(service, ()) if sample.ok is not None]
    if looks and looks[-1].ok is False:
        good = next((sample.at for sample in reversed(looks) if sample.ok), looks[0].at)
        return f"at least {(looks[-1].at - good) * 1000:,.0f} ms: down when last looked at"
    measured = report.downtime_ms.get(service)
    if not measured and any(sample.ok is False for sample in looks):
        return "not measured: it was down at the first look"
    return "not measured" if measured is None else f"{measured:,.0f} ms"


def proof(findings: Iterable[Finding], service: str) -> tuple[str, str]:
    """A mark and a sentence: whether the checks at the end proved the service."""
    about = [finding for finding in findings if finding.subject == service]
    bad = next((finding for finding in about if finding.blocks), None)
    if bad:
        return ("?" if bad.status == "unknown" else "✗"), f"no: {bad.says}"
    if about:
        return "✓", f"yes, by {len(about)} of {len(about)} checks" if len(about) > 1 else "yes, by 1 check"
    return "", "no proof on this machine"
