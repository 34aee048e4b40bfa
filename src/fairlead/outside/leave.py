"""The end of the program."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End this process with that code once all that was printed is out; 141 where nobody reads it any more.

    Everything of ours is closed by then. To take the interpreter apart as well costs a tenth of a short command's time.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = code or 141
    except OSError:
        code = code or 1
    os._exit(code)
