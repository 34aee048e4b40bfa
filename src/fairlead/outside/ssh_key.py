from __future__ import annotations

import base64
import binascii
from pathlib import Path

from fairlead.errors import NotReady
from fairlead.outside.scratch import Scratch

_MARK = "PRIVATE KEY-----"


def key_file(name: str, value: str, scratch: Scratch) -> tuple[Path, bool]:
    """The file that holds the private key, and whether it is ours to remove.

    `value` is a path, the key itself (line ends of any kind, also as `\\n`), or the key in base64. NotReady otherwise.
    """
    content = _content(value)
    if content:
        return scratch.write("key", content), True
    path = Path(value.strip()).expanduser()
    if "\n" not in value.strip() and len(value) < 4096 and path.is_file():
        return path, False
    raise NotReady(
        f"the secret {name} is neither a private key, nor one in base64, nor a file that exists",
        hint=f"give {name} the path of a key file, or the text between and with its BEGIN and END lines",
    )


def _content(value: str) -> str:
    if _MARK in value:
        lines = value.replace("\\n", "\n").replace("\r", "\n").split("\n")
        return "\n".join(line.strip() for line in lines if line.strip()) + "\n"
    try:
        decoded = base64.b64decode("".join(value.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return _content(decoded) if _MARK in decoded else ""
