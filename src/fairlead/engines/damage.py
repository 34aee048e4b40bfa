"""What servers and their programs say where the bytes of a database are not what they were."""

from __future__ import annotations

import re

_WORDS = (
    # MariaDB
    r"is marked as crashed",
    r"index for table .* is corrupt",
    r"table .* is corrupted",
    r"incorrect key file for table",
    r"doesn't exist in engine",
    r"got error (?:126|127|134|144|145|175|176|180|192) ",
    # PostgreSQL
    r"invalid page in block",
    r"page verification failed",
    r"could not read block",
    r"(?:missing|unexpected) chunk number",
    r"compressed \w+ data is corrupt",
    r"could not open file \"?base/",
    # SQLite
    r"database disk image is malformed",
    r"file is not a database",
)
_DAMAGE = re.compile("|".join(_WORDS), re.IGNORECASE)


def names_damage(text: str) -> bool:
    """Whether an error names damage. Not a word of it is said of a server that only cannot be reached, or is full."""
    return bool(_DAMAGE.search(text))
