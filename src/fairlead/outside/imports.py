"""The beginning of the program."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Around imports of much: no garbage is looked for meanwhile, and later not among what they have brought.

    Hardly anything of it is ever garbage, and looking for it costs a tenth of the time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
