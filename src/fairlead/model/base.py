from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A word of Fairlead: frozen, JSON both ways, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no blanks, so that equal words have equal text and equal hashes."""
        return canonical(self.model_dump(mode="json"))


def canonical(value: object) -> str:
    """Return `value` as JSON in the one form that is hashed and written into records."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def sha256(text: str | bytes) -> str:
    """SHA-256 of a text (as UTF-8) or of bytes, 64 hex digits."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
