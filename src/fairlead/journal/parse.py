"""From the text that a call to the target's script printed to typed answers and errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from fairlead.errors import Damaged, FairleadError, Halted, Lost, Unreachable
from fairlead.journal.answers import Acquired, Done, FencedBy, HeldBy, OpenRunOf, RunHead, State, Stuck, TooLate
from fairlead.journal.record import read_line
from fairlead.model import Receipt, RecordLine

_FILE = re.compile(rb"fl1 file (\S+) +([0-9]+)")
_SIZE = re.compile(r"^ *([0-9]+) runs/(\S+)\.rec$", re.MULTILINE)
_HEADED = re.compile(r"^==> runs/(\S+)\.rec <==\n(.*)$", re.MULTILINE)
_STATE = re.compile(
    r"fl1 state ([0-9]+) (held|free) (\S+) (\S+) (\S+) ([0-9]+) ([0-9]+) ([0-9]+) (closed|open) ([0-9]+)"
)
_RECEIPT = re.compile(r"([1-9][0-9]*)\.(\S+)\.([1-9][0-9]*) ([0-9]+) ([0-9]+)")


@dataclass(frozen=True)
class Answer:
    """The last line that starts with `fl1 `, and everything before it."""

    word: str
    args: tuple[str, ...]
    body: str

    def number(self, place: int) -> int:
        """The argument at `place`; `Damaged` where it is none."""
        try:
            return int(self.args[place])
        except (IndexError, ValueError):
            raise _senseless(" ".join((self.word, *self.args))) from None


def find_answer(output: str) -> Answer | None:
    """Find the answer in what a call printed; None = what happened is not known."""
    start = output.rfind("\nfl1 ") + 1
    line, newline, _ = output[start:].partition("\n")
    if not line.startswith("fl1 ") or not newline:
        return None
    words = line.split()
    return Answer(words[1], tuple(words[2:]), output[:start]) if len(words) > 1 else None


def find_answers(output: str) -> list[Answer]:
    """The answers of several verbs in one call, in their order, where none of them prints anything else."""
    found: list[Answer] = []
    while (answer := find_answer(output)) is not None:
        found.insert(0, answer)
        output = answer.body
    return found


def read_acquired(answer: Answer) -> Acquired:
    """Read the answer of `acquire`."""
    idle = math.inf if answer.args[4] == "-" else float(answer.number(4))
    return Acquired(answer.number(0), answer.args[1], answer.args[2] == "fresh", answer.number(3), idle)


def read_done(answer: Answer) -> Done:
    """Read the answer of a change."""
    how = answer.args[2] if len(answer.args) > 2 else ""
    output = answer.body.removesuffix("\n")
    return Done(answer.number(0), output, answer.number(1), left=how == "left", ended=how == "ended")


def read_state(answer: Answer) -> State:
    """Read the answer of `read`."""
    if answer.word == "none":
        return State()
    head, _, rest = answer.body.partition("\n")
    match = _STATE.fullmatch(head)
    if not match:
        raise _senseless(head)
    content = read_files(rest)
    return State(
        token=int(match[1]),
        status="held" if match[2] == "held" else "free",
        nonce=match[3],
        run=match[4],
        who=match[5],
        lease_token=int(match[6]),
        lease_end=int(match[7]),
        fence=int(match[8]),
        fence_state="open" if match[9] == "open" else "closed",
        now=int(match[10]),
        receipts=_receipts(content.pop("receipts", b"").decode("ascii", "replace")),
        record=next(iter(content.values()), b""),
    )


def read_files(text: str) -> dict[str, bytes]:
    """Read `fl1 file NAME BYTES`, the content and a newline, as often as it comes."""
    rest, found = text.encode(), {}
    while rest:
        head, _, rest = rest.partition(b"\n")
        match = _FILE.fullmatch(head)
        if not match or len(rest) <= int(match[2]):
            raise _senseless(head.decode("ascii", "replace"))
        size = int(match[2])
        found[match[1].decode("ascii", "replace")], rest = rest[:size], rest[size + 1 :]
    return found


def read_heads(text: str) -> tuple[RunHead, ...]:
    """Read the answer of `list`: sizes, first lines, last lines; sorted by the first lines' tokens, newest last."""
    sizes, first_mark, lines = text.removeprefix("fl1 sizes\n").partition("fl1 first\n")
    firsts, last_mark, lasts = lines.partition("fl1 last\n")
    if text and not (first_mark and last_mark):
        raise _senseless(text[:80])
    first, last = (dict(_HEADED.findall(part)) for part in (firsts, lasts))
    heads = (
        RunHead(run, int(size), _single(first.get(run, "")), _single(last.get(run, "")))
        for size, run in _SIZE.findall(sizes)
    )
    return tuple(sorted(heads, key=lambda head: (head.first.token if head.first else 0, head.run)))


def _single(text: str) -> RecordLine | None:
    try:
        return read_line(text.encode())
    except Damaged:  # one record of a later format must not hide the others
        return None


def _receipts(text: str) -> tuple[Receipt, ...]:
    found = (_RECEIPT.fullmatch(line) for line in text.splitlines())
    return tuple(
        Receipt(token=int(one[1]), step=one[2], attempt=int(one[3]), rc=int(one[4]), at=int(one[5]))
        for one in found
        if one
    )


def refusal(host: str, answer: Answer) -> FairleadError:
    """The error that a refusing answer stands for."""
    make = _REFUSALS.get(answer.word)
    return make(host, answer) if make else _senseless(" ".join((answer.word, *answer.args)))


def _busy(host: str, answer: Answer) -> FairleadError:
    if len(answer.args) < 4:
        return Unreachable(
            f"{host}: a lock file was taken for 10 s; nothing was changed", hint="is the disk of its account healthy?"
        )
    who, seconds, run = answer.args[1], answer.number(2), answer.args[3]
    hint = f"wait up to {seconds} s; a holder that is gone is replaced after that"
    return HeldBy(f"{who} holds the lock on {host} for run {run}", hint, who=who, seconds=seconds, run=run)


def _open(host: str, answer: Answer) -> FairleadError:
    run = answer.args[0]
    if run == "-":
        return OpenRunOf(f"no run is open on {host}: it was finished meanwhile", hint="fairlead history", run=run)
    return OpenRunOf(f"run {run} on {host} is not finished", hint="fairlead resume", run=run)


def _fenced(host: str, answer: Answer) -> FairleadError:
    token = answer.number(0)
    return FencedBy(f"somebody else took over on {host}, with token {token}", hint="fairlead status", token=token)


def _stuck(host: str, answer: Answer) -> FairleadError:
    names = ", ".join(answer.args)
    hint = f"end these processes on {host} or wait for them, then fairlead resume"
    return Stuck(f"an earlier change is still running on {host}: {names}", hint, stragglers=answer.args)


def _disk(host: str, answer: Answer) -> FairleadError:
    if answer.args == ("receipt",):
        return Lost(f"a change on {host} ended, but that could not be written down", hint="free space, fairlead resume")
    return Halted(f"{host} could not write its {' '.join(answer.args)}", hint="free space or repair the disk there")


def _says(error: type[FairleadError], what: str, hint: str) -> Callable[[str, Answer], FairleadError]:
    return lambda host, answer: error(what.format(host=host, args=" ".join(answer.args)), hint)


def _senseless(text: str) -> Damaged:
    return Damaged(f"an answer of the target makes no sense: {text[:200]}", hint="fairlead doctor")


_REFUSALS: dict[str, Callable[[str, Answer], FairleadError]] = {
    "busy": _busy,
    "open": _open,
    "fenced": _fenced,
    "stuck": _stuck,
    "disk": _disk,
    "late": _says(TooLate, "the lease was over before the change could begin on {host}; it did not begin", ""),
    "twice": _says(Lost, "this change was begun on {host} before and has not ended", "fairlead resume"),
    "short": _says(Unreachable, "{host} did not get all that was sent; nothing was changed", "try again"),
    "none": _says(Damaged, "the state folder on {host} is gone", "was it deleted? restore it, or fairlead lock show"),
    "corrupt": _says(Damaged, "the {args} on {host} cannot be read", "look at it in the state folder of the account"),
    "newer": _says(Halted, "the lock on {host} was written by a newer fairlead (format {args})", "upgrade fairlead"),
    "missing": _says(
        Halted, "{host} has neither {args} nor perl, so nothing can be locked there", "install util-linux"
    ),
    "usage": _says(Halted, "{host} did not accept the call; this is a defect of fairlead", "please report it"),
}
