from __future__ import annotations

from fairlead.checks.looked import looked
from fairlead.model import LISTING, Finding, TreeCheck, shell
from fairlead.outside.host import Host

SEARCH_LIMIT = 300.0
"""Seconds for reading a whole release."""


async def check_tree(check: TreeCheck, host: Host) -> Finding:
    """Hash a release folder where it lies and compare; `check.tree` may be a prefix of the hash."""
    return await looked("tree", check.subject, _compare(check, host))


async def _compare(check: TreeCheck, host: Host) -> Finding:
    result = await host.run(shell(f"{LISTING} | sha256sum", cwd=check.path, timeout=SEARCH_LIMIT))
    where = f"{check.path} on {check.host}"
    finding = Finding(check="tree", subject=check.subject, status="unknown", says="")
    digest = result.stdout.split(" ", 1)[0].strip()
    if result.code == 126:
        return finding.model_copy(update={"status": "fail", "says": f"there is no folder {where}"})
    if not result.ok or len(digest) != 64:
        return finding.model_copy(update={"says": f"{where} could not be read: {result.last_words or 'no answer'}"})
    evidence = {"expected": check.tree, "got": digest, "path": check.path, "host": check.host}
    if check.tree and digest.startswith(check.tree) and not result.stderr.strip():
        says = f"{where} is what its name promises"
        return finding.model_copy(update={"status": "ok", "says": says, "evidence": evidence})
    says = f"{where} is not what its name promises"
    says += f": {result.last_words}" if result.stderr.strip() else ""
    hint = f"somebody changed files below {check.path}; it must not be switched to"
    return finding.model_copy(update={"status": "fail", "says": says, "hint": hint, "evidence": evidence})
