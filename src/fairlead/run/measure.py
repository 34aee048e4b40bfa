"""Figures about a run, from what was really seen."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.model import Sample


def downtime_ms(samples: Iterable[Sample]) -> dict[str, float]:
    """By service: the longest time, in milliseconds, for which no good answer was seen around a bad one.

    From the last good look before to the first good look after; where one of them is missing, from the first or to
    the last look there was, so that the figure is a lower bound. 0.0 for a service that was never seen down. The
    resolution is the distance between two looks.
    """
    by_service: dict[str, list[Sample]] = {}
    for sample in sorted(samples, key=lambda sample: sample.at):
        if sample.ok is not None:
            by_service.setdefault(sample.service, []).append(sample)
    return {name: _longest_gap(several) for name, several in by_service.items()}


def _longest_gap(samples: list[Sample]) -> float:
    longest, since, bad = 0.0, samples[0].at, False
    for sample in samples:
        bad = bad or not sample.ok
        if bad:
            longest = max(longest, sample.at - since)
        if sample.ok:
            since, bad = sample.at, False
    return round(longest * 1000, 1)
