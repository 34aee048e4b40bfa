"""How long a service did not answer, from what was really seen."""

from __future__ import annotations

import pytest

from fairlead.model import Sample
from fairlead.run.measure import downtime_ms


def seen(text: str, service: str = "api") -> list[Sample]:
    """`+` good, `-` bad, `?` not known: one look every half second."""
    known = {"+": True, "-": False, "?": None}
    return [Sample(at=100 + 0.5 * n, service=service, ok=known[mark], ms=1.0) for n, mark in enumerate(text)]


@pytest.mark.parametrize(
    ("looks", "gap"),
    [
        pytest.param("++++", 0.0, id="never down"),
        pytest.param("+-+", 1000.0, id="one bad look: from the last good one to the next"),
        pytest.param("+--+", 1500.0, id="two bad looks"),
        pytest.param("+-+++--+", 1500.0, id="the longest counts"),
        pytest.param("+?+", 0.0, id="429 is not down"),
        pytest.param("+-?+", 1500.0, id="429 does not end it"),
        pytest.param("?-+", 500.0, id="never seen good before: at least since the first look"),
        pytest.param("+--", 1000.0, id="not good again: at least until the last look"),
        pytest.param("", None, id="never looked"),
    ],
)
def test_downtime(looks: str, gap: float | None) -> None:
    assert downtime_ms(seen(looks)) == ({} if gap is None else {"api": gap})


def test_services_apart_and_in_any_order() -> None:
    mixed = [*reversed(seen("+--+", "crm")), *seen("++", "api")]
    assert downtime_ms(mixed) == {"crm": 1500.0, "api": 0.0}
