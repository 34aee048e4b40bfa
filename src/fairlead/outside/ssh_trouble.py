"""What OpenSSH's own words mean, and what to do about them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from fairlead.errors import Unreachable
from fairlead.model import Account


@dataclass(frozen=True)
class _Trouble:
    words: str
    """A regular expression in what ssh printed."""
    what: str
    hint: str
    again: bool = False
    """Worth another attempt: the server was only busy."""


# The first row that matches says it: causes stand before their consequences.
_TROUBLES = (
    _Trouble(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|HOST IDENTIFICATION HAS CHANGED",
        "the host key of {at} has changed",
        "ask its administrator whether that is right; if so, `ssh-keygen -R {entry}` and add the new key",
    ),
    _Trouble(
        r"REVOKED HOST KEY|host key .* revoked",
        "the host key of {at} is revoked",
        "ask its administrator",
    ),
    _Trouble(
        r"Host key verification failed|No \S+ host key is known",
        "the host key of {at} is not known",
        "compare its fingerprint, then `ssh-keyscan -p {port} {host} >> {known_hosts}`",
    ),
    _Trouble(
        r"[Bb]ad configuration option|terminating, \d+ bad configuration|Can't open user config file|Bad owner or perm",
        "ssh_config cannot be used: {line}",
        "`ssh -G {host}` shows the line",
    ),
    _Trouble(
        r"Load key .*(passphrase)",
        "the key of account {name} has a passphrase",
        "load it into an agent with `ssh-add`, or use a key without one",
    ),
    _Trouble(
        r"Load key .*(invalid format|error in libcrypto|unsupported|bad permissions|Permission denied)|no such identity"
        r"|UNPROTECTED PRIVATE KEY",
        "the key of account {name} cannot be used: {line}",
        "`ssh-keygen -y -f KEY` must print its public half",
    ),
    _Trouble(
        r"Too many authentication failures",
        "{at} refused too many keys",
        "give hosts.{name}.key in fairlead.yml, so that only that one is offered",
    ),
    _Trouble(
        r"Permission denied \(",
        "{at} does not admit {user}: permission denied",
        "is the public key in {user}'s authorized_keys there? `ssh {words}` must work without a password",
    ),
    _Trouble(
        r"open failed: |stdio forwarding failed",
        "{at} cannot be reached through {via}: {line}",
        "does {via} allow TCP forwarding, and can it reach {host}:{port}?",
    ),
    _Trouble(
        r"Could not resolve hostname|Name or service not known|nodename nor servname",
        "the name {host} of account {name} does not resolve",
        "check hosts.{name}.address in fairlead.yml",
    ),
    _Trouble(
        r"Connection refused",
        "{at} refuses the connection",
        "is sshd running there, on this port?",
    ),
    _Trouble(
        r"timed out",
        "{at} did not answer within {timeout:g} s",
        "is it up, and does its firewall let this machine in? `ssh {words}` shows the same",
    ),
    _Trouble(
        r"No route to host|[Nn]etwork is unreachable",
        "there is no way to {at}",
        "is this machine's network up?",
    ),
    _Trouble(
        r"[Cc]onnection closed by|Connection reset by|banner exchange|Not allowed at this time",
        "{at} closes new connections before they are logged in",
        "its sshd admits only a few at once (MaxStartups) or is punishing this machine; try again in a minute",
        again=True,
    ),
)


def trouble(account: Account, said: str) -> tuple[Unreachable, bool]:
    """The error for what ssh said when it could not log in, and whether another attempt is worth it."""
    for row in _TROUBLES:
        found = re.search(row.words, said)
        if found:
            facts = _facts(account) | {"line": _line_with(said, found.start())}
            return Unreachable(row.what.format(**facts), row.hint.format(**facts)), row.again
    facts = _facts(account)
    last = " ".join(said.split())[-200:] or "ssh gave no reason"
    return Unreachable(f"no login on {facts['at']}: {last}", f"`ssh {facts['words']}` shows the same"), False


def _facts(account: Account) -> dict[str, object]:
    port = account.port or 22
    words = [*(["-p", str(port)] if account.port else []), *(["-l", account.user] if account.user else [])]
    return {
        "name": account.name,
        "host": account.address,
        "port": port,
        "at": f"{account.address}:{port}",
        "entry": account.address if port == 22 else f"'[{account.address}]:{port}'",
        "user": account.user or "this user",
        "known_hosts": account.known_hosts or "~/.ssh/known_hosts",
        "timeout": account.connect_timeout,
        "via": account.via or "the jump host",
        "words": shlex.join([*words, account.address]),
    }


def _line_with(said: str, position: int) -> str:
    start = said.rfind("\n", 0, position) + 1
    return said[start:].split("\n", 1)[0].strip()
