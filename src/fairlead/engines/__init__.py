"""What Fairlead can do with a database, one module for each engine; a new one is a module and a word here."""

from __future__ import annotations

from fairlead.engines import mariadb, mariadb_admin, postgres, postgres_admin, sqlite
from fairlead.engines.admin import Provisioner
from fairlead.engines.engine import Engine, Made, Spare

ENGINES: dict[str, Engine] = {"mariadb": mariadb, "postgres": postgres, "sqlite": sqlite}
"""By the word that fairlead.yml uses."""

PROVISIONERS: dict[str, Provisioner] = {"mariadb": mariadb_admin, "postgres": postgres_admin}
"""Those whose databases are made on a server."""

__all__ = ["ENGINES", "PROVISIONERS", "Engine", "Made", "Provisioner", "Spare"]
