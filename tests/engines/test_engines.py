from __future__ import annotations

from fairlead import config
from fairlead.engines import ENGINES


def test_every_engine_that_the_file_may_name_is_there() -> None:
    assert set(ENGINES) == set(config.ENGINES)
