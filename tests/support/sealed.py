"""A key of age for a test, made by age's own program, and what reads a file by it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from fairlead.config.database import DatabaseSpec, Encryption
from fairlead.model import SecretRef

NAME = "BACKUP_IDENTITY"
"""Name of the secret with the identity."""


@dataclass(frozen=True)
class Key:
    """One identity and its public key."""

    identity: str
    public: str

    @classmethod
    def new(cls) -> Key:
        told = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout.splitlines()
        return cls(identity=told[-1], public=told[1].rpartition(" ")[2])

    @property
    def file(self) -> dict[str, object]:
        """`backup_store.encrypt` in fairlead.yml."""
        return {"to": [self.public], "identity": NAME}

    def sealed(self, database: DatabaseSpec, *more: str) -> DatabaseSpec:
        """The same database, its backups encrypted to this key."""
        whom = Encryption(to=(self.public, *more), identity=SecretRef(name=NAME))
        place = database.store.model_copy(update={"encrypt": whom})
        return database.model_copy(update={"store": place})

    def read(self, file: Path) -> bytes:
        """What a file holds, by age's own program."""
        argv = ["age", "--decrypt", "--identity", "-", str(file)]
        return subprocess.run(argv, input=self.identity.encode(), capture_output=True, check=True).stdout
