from __future__ import annotations

from fairlead.model.base import Model


class Reported(Model):
    """A backup that somebody else has made, as the organisation's table `backup_metadata` tells it."""

    database: str
    """Its name on the server, or in fairlead.yml."""
    age: float
    """Seconds, by the clock of the server that the table is on."""
    size_mb: float = 0.0
    retention_days: int | None = None
