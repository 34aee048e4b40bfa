"""`fairlead`, and `python -m fairlead`."""

import gc
from typing import NoReturn

from fairlead.outside.leave import leave


def run() -> NoReturn:
    """The command line, to the end of the process."""
    gc.disable()  # until all is imported: hardly anything of it is ever garbage, and looking costs a tenth of the time
    from fairlead.surfaces.cli import main

    try:
        main(prog_name="fairlead")
    except SystemExit as done:
        leave(done.code if isinstance(done.code, int) else int(done.code is not None))
    leave(0)


if __name__ == "__main__":
    run()
