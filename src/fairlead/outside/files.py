from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def package_text(name: str) -> str:
    """A text file of this package by its path below `fairlead/`, such as `config/examples/plesk.yml`."""
    return files("fairlead").joinpath(*name.split("/")).read_text(encoding="utf-8")
