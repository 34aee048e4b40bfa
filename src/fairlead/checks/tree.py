from __future__ import annotations

import re
from collections.abc import Sequence
from posixpath import basename

from fairlead.checks.looked import looked_at_all
from fairlead.model import LISTING, Finding, TreeCheck, shell
from fairlead.outside.host import Host

SEARCH_LIMIT = 300.0
"""Seconds for reading all releases that are asked about together."""

_HASH = (
    """\
number=0
for folder; do
  number=$((number + 1))
  ( said=$( { cd -- "$folder" 2>/dev/null || exit 126; """
    + LISTING
    + """ | sha256sum; } 2>&1)
    printf '%s %s %s\\n' "$number" "$?" "$(printf %s "$said" | tr '\\n' ' ')" ) &
  [ $((number % 4)) -ne 0 ] || wait
done
wait
"""
)
"""Prints `NUMBER CODE WORDS` for each folder, some at the same time."""
_WHOLE = 64
"""Hex digits of a whole hash."""
_DIGEST = re.compile(r"(?:^| )([0-9a-f]{64})  -$")


async def check_trees(checks: Sequence[TreeCheck], host: Host) -> list[Finding]:
    """Hash release folders of one host where they lie, in one round trip, and compare; in the order of `checks`.

    `TreeCheck.tree` may be a prefix of the hash.
    """
    return await looked_at_all("tree", tuple(check.subject for check in checks), _compare_all(checks, host))


async def _compare_all(checks: Sequence[TreeCheck], host: Host) -> list[Finding]:
    result = await host.run(shell(_HASH, *(check.path for check in checks), timeout=SEARCH_LIMIT))
    answers: dict[int, tuple[str, str]] = {}
    for line in result.stdout.splitlines():
        number, _, rest = line.partition(" ")
        code, _, words = rest.partition(" ")
        answers[int(number)] = code, words.strip()
    silent = ("", result.last_words or "no answer")
    return [_compared(check, *answers.get(number, silent)) for number, check in enumerate(checks, 1)]


def _compared(check: TreeCheck, code: str, words: str) -> Finding:
    where = f"{check.path} on {check.host}"
    finding = Finding(check="tree", subject=check.subject, status="unknown", says="")
    if code == "126":
        return finding.model_copy(update={"status": "fail", "says": f"there is no folder {where}"})
    found = _DIGEST.search(words)
    if code != "0" or not found:
        return finding.model_copy(update={"says": f"{where} could not be read: {words or 'no answer'}"})
    digest, trouble = found[1], words[: found.start()].strip()
    evidence = {"expected": check.tree, "got": digest, "path": check.path, "host": check.host}
    named = len(check.tree) < _WHOLE or check.tree.startswith(basename(check.path))
    promised = "its name promises" if named else "it was"
    if check.tree and digest.startswith(check.tree) and not trouble:
        says = f"{where} is what {promised}"
        return finding.model_copy(update={"status": "ok", "says": says, "evidence": evidence})
    says = f"{where} is not what {promised}{f': {trouble}' if trouble else ''}"
    hint = f"somebody changed files below {check.path}; it must not be switched to"
    return finding.model_copy(update={"status": "fail", "says": says, "hint": hint, "evidence": evidence})
