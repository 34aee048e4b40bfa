from __future__ import annotations

import pytest

from fairlead.model import duration

ROWS = {
    -1: "0 s",
    0.0: "0 s",
    0.0049: "under 0.01 s",
    0.354: "0.35 s",
    1: "1 s",
    4.26: "4.3 s",
    59.94: "59.9 s",
    59.96: "1 min",
    119.7: "2 min",
    723: "12 min 3 s",
    3599.4: "59 min 59 s",
    3599.6: "1 h",
    3900: "1 h 5 min",
    86_400: "24 h",
    172_799: "47 h 59 min",
    172_799.6: "2 days",
    183_600: "2 days 3 h",
    3_456_000: "40 days",
}


@pytest.mark.parametrize("seconds", ROWS)
def test_seconds_in_words(seconds: float) -> None:
    assert duration(seconds) == ROWS[seconds]


def test_no_unit_is_ever_full() -> None:
    for tenths in range(0, 2_000_000, 7):
        words = duration(tenths / 10).split()
        assert not {"60 s", "60 min"} & {" ".join(words[at : at + 2]) for at in range(0, len(words), 2)}
