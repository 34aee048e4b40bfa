"""Is there every secret that will be needed, and is it one. What it is is never told, nor anything about it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fairlead.checks.looked import looked
from fairlead.model import Finding, SecretRef
from fairlead.outside.secrets import Secrets

_PLACEHOLDER = re.compile(
    r"""
    (?:change|replace|fill|set|insert|enter|put)[ _.-]?(?:me|this|it|in|here).*      # changeme, replace-this
    | (?:x|\*|\.|-|_|0|\?|\#){3,}                                                    # xxxxxx, ******, ...
    | <[\w .:-]*> | \[[\w .:-]*\] | \$?\{+[\w .:-]*\}+                               # <password>, ${PASSWORD}, {{ x }}
    | %\w+% | \$[A-Z_]\w* | __\w*__
    | (?:your|my|the|some|an?|new|test|dummy|fake|sample|example)?[ _.-]?            # your-password-here
      (?:api|secret|private|access)?[ _.-]?
      (?:pass(?:word|wort|phrase)?|secret|token|key|value|placeholder)[ _.-]?(?:here)?
    | todo(?:\b|_).* | tbd | fixme(?:\b|_).* | n/?a | none | null | nil | undefined | empty | unset | redacted
    | (?:your|dummy|fake|sample|example|placeholder)(?:\b|[_.-]).*                   # example-token
    | .*[ _.-](?:changeme|placeholder|todo)                                          # db-changeme
    | abc123 | 123456(?:7(?:89?0?)?)? | admin | default | foo(?:bar)? | bar | qwert[yz] | geheim
    """,
    re.IGNORECASE | re.VERBOSE,
)


async def check_secrets(names: Iterable[str], secrets: Secrets, subject: str) -> Finding:
    """One finding for all names; `subject` is whose they are."""
    return await looked("secrets", subject, _look(list(dict.fromkeys(names)), secrets, subject))


async def _look(names: list[str], secrets: Secrets, subject: str) -> Finding:
    missing = [name for name in names if not await secrets.exists(name)]
    # Opened only here; what is made of it is yes or no.
    empty = [name for name in names if name not in missing and is_placeholder(await secrets.open(SecretRef(name=name)))]
    words = ((missing, "missing"), (empty, "no more than a placeholder"))
    told = [f"{word}: {', '.join(several)}" for several, word in words if several]
    finding = Finding(check="secrets", subject=subject, status="ok", says=f"{len(names)}/{len(names)} are there")
    if not told:
        return finding
    hint = f"put it where `sources` looks: {missing[0]}" if missing else f"give {empty[0]} its real value"
    return finding.model_copy(update={"status": "fail", "says": "; ".join(told), "hint": hint})


def is_placeholder(value: str) -> bool:
    """Does a value only keep the place of one?"""
    plain = value.strip().strip("'\"").strip()
    return len(plain) < 3 or bool(_PLACEHOLDER.fullmatch(plain))
