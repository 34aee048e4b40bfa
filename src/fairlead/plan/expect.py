"""How long a plan's way back will take, from how long its steps took before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fairlead.model import Plan, Step, WayBackTime


def expected_way_back(plan: Plan, did: Mapping[str, float], undid: Mapping[str, float]) -> WayBackTime:
    """What the whole way back amounts to, if all of it is needed: data, then each switch, then what was staged.

    `did`, `undid`: seconds of a step's last change and of the last time it was taken back, by step id. A step that was
    never taken back counts as long as it took to be done.
    """
    waiting = {step.id for step in plan.steps}  # a shadow that is filled in advance costs the way back nothing
    shadows = [one.shadow for one in plan.data.databases if one.shadow.id not in waiting]
    swaps = [one.swap for one in plan.data.databases]
    clock = _Clock(did, undid)
    data = sum(
        clock.together([[step] for step in several], back=False) for several in (shadows, plan.data.enter, swaps)
    )
    activated = [step for step in plan.way_back if step.phase == "activate" and step.back == "reversible"]
    staged = [step for step in plan.way_back if step.phase == "stage" and step.back == "reversible"]
    code = clock.together([activated], back=True) + clock.together(_by_service(staged), back=True)
    code += clock.together([plan.data.leave], back=False)
    return WayBackTime(seconds=round(data + code, 1), data=round(data, 1), unmeasured=tuple(clock.unknown))


class _Clock:
    """Adds up what is known, and notes what is not."""

    def __init__(self, did: Mapping[str, float], undid: Mapping[str, float]) -> None:
        self._did, self._undid = did, undid
        self.unknown: list[str] = []

    def together(self, lanes: Iterable[Sequence[Step]], *, back: bool) -> float:
        """Seconds of lanes that go on at once: those of the longest."""
        return max((sum(self._of(step, back=back) for step in lane) for lane in lanes), default=0.0)

    def _of(self, step: Step, *, back: bool) -> float:
        seconds = self._undid.get(step.id) if back else None
        seconds = self._did.get(step.id) if seconds is None else seconds
        if seconds is None:
            self.unknown.append(step.id)
        return seconds or 0.0


def _by_service(steps: Iterable[Step]) -> list[list[Step]]:
    lanes: dict[str, list[Step]] = {}
    for step in steps:
        lanes.setdefault(step.service or step.id, []).append(step)
    return list(lanes.values())
