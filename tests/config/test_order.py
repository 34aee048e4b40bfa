from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.config.order import cycle, ordered, reached

NAMES = st.sampled_from("abcdef")
NEEDS = st.dictionaries(NAMES, st.lists(NAMES, max_size=3))


@settings(derandomize=True)
@given(NEEDS)
def test_everything_stands_behind_what_it_needs_unless_it_is_on_or_behind_a_circle(needs: dict[str, list[str]]) -> None:
    order = ordered(needs)
    assert sorted(order) == sorted(needs)
    caught = {name for name in needs if any(cycle(other, needs) for other in {name, *reached(name, needs)})}
    for name in set(needs) - caught:
        assert all(order.index(need) < order.index(name) for need in needs[name] if need in needs)


@settings(derandomize=True)
@given(NEEDS)
def test_a_circle_leads_back(needs: dict[str, list[str]]) -> None:
    for name in needs:
        way = cycle(name, needs)
        assert bool(way) == (name in reached(name, needs))
        assert all(after in needs[before] for before, after in pairwise(way))
        assert way == [] or way[0] == way[-1] == name
