"""`fairlead`, and `python -m fairlead`."""

from typing import NoReturn

from fairlead.outside.imports import importing
from fairlead.outside.leave import leave


def run() -> NoReturn:
    """The command line, to the end of the process."""
    with importing():
        from fairlead.surfaces.cli import main
    try:
        main(prog_name="fairlead")
    except SystemExit as done:
        leave(done.code if isinstance(done.code, int) else int(done.code is not None))
    leave(0)


if __name__ == "__main__":
    run()
