"""What Fairlead can do with a database, one module for each engine; a new one is a module and a word here."""

from __future__ import annotations

from fairlead.engines import mariadb, postgres, sqlite
from fairlead.engines.engine import Engine, Made, Spare

ENGINES: dict[str, Engine] = {"mariadb": mariadb, "postgres": postgres, "sqlite": sqlite}
"""By the word that fairlead.yml uses."""

__all__ = ["ENGINES", "Engine", "Made", "Spare"]
