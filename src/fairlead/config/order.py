from __future__ import annotations

from collections.abc import Mapping, Sequence

Needs = Mapping[str, Sequence[str]]


def ordered(needs: Needs) -> list[str]:
    """Names so that each stands behind what it needs; ties in the given order. Those on a cycle come last."""
    left, done = list(needs), list[str]()
    while ready := next(
        (name for name in left if all(need in done or need not in needs for need in needs[name])), None
    ):
        left.remove(ready)
        done.append(ready)
    return done + left


def reached(name: str, needs: Needs) -> set[str]:
    """Everything that `name` needs, directly or through others; with itself only on a cycle."""
    found, ahead = set[str](), list(needs.get(name, ()))
    while ahead:
        if (need := ahead.pop()) not in found:
            found.add(need)
            ahead += needs.get(need, ())
    return found


def cycle(name: str, needs: Needs) -> list[str]:
    """The shortest way from `name` back to itself, both ends included; empty where there is none."""
    ways = [[name]]
    seen = set[str]()
    while ways:
        way = ways.pop(0)
        for need in needs.get(way[-1], ()):
            if need == name:
                return [*way, name]
            if need not in seen:
                seen.add(need)
                ways.append([*way, need])
    return []
