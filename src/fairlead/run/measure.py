"""Figures about a run, from what was really seen."""

from __future__ import annotations

from collections.abc import Iterable

from fairlead.model import Sample


def downtime_ms(samples: Iterable[Sample]) -> dict[str, float]:
    """By service: milliseconds between the last good look before a bad one and the first good look after it, longest.

    Services that were never seen down have 0.0; the resolution is the distance between two looks.
    """
    longest: dict[str, float] = {}
    last_good: dict[str, float] = {}
    bad: set[str] = set()
    for sample in sorted(samples, key=lambda sample: sample.at):
        name = sample.service
        longest.setdefault(name, 0.0)
        if sample.ok is False:
            bad.add(name)
        elif sample.ok:
            if name in bad and name in last_good:
                longest[name] = max(longest[name], round((sample.at - last_good[name]) * 1000, 1))
            bad.discard(name)
            last_good[name] = sample.at
    return longest
