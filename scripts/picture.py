"""Run the demo and draw what it said, as it looked in the terminal, into docs/demo.svg.

The demo writes to a terminal of our own, so that colours and progress are the real ones. A file that holds such output
may be given instead: `scripts/picture.py demo.txt`.
"""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "demo.svg"
WIDTH = 112
"""Columns; longer lines are cut in the picture."""
SHOWN = 2
"""Of lines that say the same of one thing after the other, so many are shown."""
KINDS = (
    r"^[✓✗!?] (\w+) ",  # findings of one check
    r"()(?: failed, | failed \(|s to go$)",  # what the watch sees
    r"()(?: s … | s [✓✗] (?:\S+: )?(?:back up|upload|put releases|\S*/releases/))",  # staging
    r"()(?: s [✓✗] undo )",  # the way back
)
"""What makes two lines alike."""


def play() -> str:
    """The demo's output, as a terminal of WIDTH columns got it. Raises SystemExit when the demo fails."""
    heard = bytearray()

    def read(terminal: int) -> bytes:
        data = os.read(terminal, 65536)
        heard.extend(data)
        return data

    os.environ |= {"COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    code = os.waitstatus_to_exitcode(pty.spawn([str(Path(sys.executable).with_name("fairlead")), "demo"], read))
    if code:
        raise SystemExit(f"error: the demo exited {code}, there is nothing to draw")
    return heard.decode(errors="replace")


def shortened(text: str) -> str:
    """The story with runs of alike lines cut, and the temporary folder by a short name."""
    plain = re.sub(r"/\S*/fairlead-demo-\w+", "/tmp/fairlead-demo", text.replace("\r\n", "\n"))
    told: list[str] = []
    for _, alike in itertools.groupby(enumerate(plain.split("\n")), lambda item: _kind(*item)):
        lines = [line for _, line in alike]
        told += lines if len(lines) <= SHOWN + 1 else [*lines[:SHOWN], f"          … {len(lines) - SHOWN} more"]
    return "\n".join(told)


def _kind(number: int, line: str) -> str:
    """The same for lines that say the same of different things."""
    bare = re.sub(r"\x1b\[[0-9;]*m", "", line)
    found = (re.search(pattern, bare) for pattern in KINDS)
    return next((f"{index}: {match[1]}" for index, match in enumerate(found) if match), str(number))


def draw(text: str) -> str:
    """The text as SVG, with nothing in it that a viewer would have to fetch."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    for line in text.rstrip("\n").split("\n"):
        shown = Text.from_ansi(line)
        shown.truncate(WIDTH, overflow="ellipsis")
        console.print(shown, soft_wrap=True)
    svg = console.export_svg(title="$ make demo", unique_id="demo", font_aspect_ratio=0.61)
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    story = Path(sys.argv[1]).read_text() if len(sys.argv) > 1 else play()
    OUT.write_text(draw(shortened(story)))
    print(f"wrote {OUT.relative_to(ROOT)}")
