"""What happened: the record on the target, and a local store that can be lost."""

from fairlead.journal.answers import (
    Acquired,
    Done,
    FencedBy,
    HeldBy,
    OpenRunOf,
    Raised,
    RunHead,
    State,
    Stuck,
    TooLate,
)
from fairlead.journal.record import encode, read_record
from fairlead.journal.target import Target, as_word

__all__ = [
    "Acquired",
    "Done",
    "FencedBy",
    "HeldBy",
    "OpenRunOf",
    "Raised",
    "RunHead",
    "State",
    "Stuck",
    "Target",
    "TooLate",
    "as_word",
    "encode",
    "read_record",
]
