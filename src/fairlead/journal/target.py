"""One environment's folder on one account: its lock, its record and its fence, asked through the target's script."""

from __future__ import annotations

import asyncio
import importlib.resources
import re
import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from math import ceil, floor
from pathlib import Path
from typing import Literal, TypeVar

from fairlead.errors import CallError, Damaged, Halted, Lost
from fairlead.journal.answers import (
    Acquired,
    Done,
    FencedBy,
    HeldBy,
    OpenRunOf,
    Raised,
    RunHead,
    Saw,
    State,
    Stuck,
    TooLate,
)
from fairlead.journal.pack import pack
from fairlead.journal.parse import (
    Answer,
    find_answer,
    find_answers,
    read_acquired,
    read_done,
    read_files,
    read_heads,
    read_state,
    refusal,
)
from fairlead.model import IDENTITY_FILE, Command, Patch, Result, Upload, as_where, sha256, shell
from fairlead.model.tree import BYTECODE
from fairlead.outside.host import Host

T = TypeVar("T")

__all__ = [
    "SCRIPT",
    "Acquired",
    "Done",
    "FencedBy",
    "HeldBy",
    "OpenRunOf",
    "Raised",
    "RunHead",
    "Saw",
    "State",
    "Stuck",
    "Target",
    "TooLate",
    "as_word",
]

SCRIPT = importlib.resources.files("fairlead.journal").joinpath("target.sh").read_text()
GRACE, WAIT = 5.0, 30.0
"""Seconds that changes of others have after TERM, and after KILL, before they count as stuck."""
PATIENCE = (0.2, 1.0)
"""Seconds before a call that is safe to repeat is repeated."""

_VERBS = {"run": "a change", "step": "a change", "probed": "a change", "stream": "an upload"}
"""What people call what these verbs do."""
_WORD = re.compile(r"[A-Za-z0-9_:@+-][A-Za-z0-9._:@+-]*")
_INSTALL = """umask 077; mkdir -p -- "$1" && head -c "$3" >"$1/.$2.$$" || exit 1
case $(sha256sum <"$1/.$2.$$") in "$4 "*) ;; *) rm -f "$1/.$2.$$"; exit 1 ;; esac
sync "$1/.$2.$$" && mv -f "$1/.$2.$$" "$1/$2" && sync "$1" && echo 'fl1 ok'"""


# What is to be other is removed first: it is a link to the file that is live.
_PATCH = (
    """set -e; to=$1 from=$2 then=$3; shift 3; mkdir -p -- "$(dirname -- "$to")"
rm -rf -- "$to"; cp -a -l -T -- "$from" "$to"
(cd -- "$to"; rm -rf -- "$@"
find . -name """
    + BYTECODE
    + """ -prune -exec rm -rf -- {} +
exec tar -x -o -m -p -f -)
exec sh -c "$then"
"""
)


def as_word(text: str) -> str:
    """Make any text one that can be a field: other characters become `-`; never empty, never `-` alone."""
    return re.sub(r"[^A-Za-z0-9._:@+-]+", "-", text).strip(".-") or "unknown"


class Target:
    """What stands in STATE/ENVIRONMENT on one account. Everything that is asked of it may be refused.

    Every method may raise: `Unreachable` (nothing was changed), `Lost` (not known; the safe calls were repeated
    before), `Damaged` and `Halted` (a human is needed), and the refusals that it names.
    """

    def __init__(self, host: Host, environment: str) -> None:
        self.host, self.environment = host, _word(environment)
        state = host.account.state.rstrip("/") or "/"
        self._state, self._folder = state, f"{state}/{environment}"
        self._name = f"fl-{sha256(SCRIPT)[:12]}.sh"
        self._script = f"{state}/{self._name}"
        self._installed = False

    async def acquire(
        self, mode: Literal["new", "resume", "anew"], nonce: str, ttl: int, run: str, who: str, minimum: int = 0
    ) -> Acquired:
        """Take the lock for `ttl` seconds; `nonce` is random, one for each process, and never stored.

        new: opens `run`. resume: `run` must be the open one. anew: the owner gives itself a higher token, above
        `minimum`. `who` is for people; blanks in it become `-`.
        Raises `HeldBy`, `OpenRunOf`, `FencedBy` (anew: not the owner any more).
        """
        words = (mode, _word(nonce), ttl, _word(run), as_word(who), minimum)
        return read_acquired(await self._surely("acquire", *words))

    async def begin(self, plan: bytes, nonce: str, ttl: int, run: str, who: str) -> tuple[Acquired, bool]:
        """Keep the plan, `acquire` the lock for a new run and `raise_fence` with its token, in one trip.

        Returns what `acquire` would, and whether the fence was raised: where it was not, asking for it tells why.
        Raises as `acquire`.
        """
        total = ceil(GRACE) + ceil(WAIT)
        verbs = (
            ("store", sha256(plan), len(plan)),
            ("acquire", "new", _word(nonce), ttl, _word(run), as_word(who), 0),
            ("raise", f"@{nonce}", 0, ceil(GRACE), total),
        )
        answers = await self._all_surely(verbs, stdin=plan, timeout=total + 60.0)
        for answer in answers[:2]:
            self._checked(answer, "ok")
        return read_acquired(answers[1]), len(answers) == len(verbs) and answers[2].word == "ok"

    async def renew(self, token: int, run: str, ttl: int) -> int:
        """Hold the lock for `ttl` seconds from now; returns the host's now. Raises `FencedBy`."""
        return (await self._surely("renew", token, _word(run), ttl)).number(0)

    async def append(self, token: int, run: str, ttl: int, data: bytes) -> int:
        """Write whole lines to the run's record, on the disk when this returns, and renew; returns the host's now."""
        answer = await self._surely("append", token, _word(run), ttl, len(data), stdin=data)
        return answer.number(0)

    async def release(self, token: int, run: str, done: bool, *, ttl: int = 0, data: bytes = b"") -> None:
        """Give the lock back; `done` closes the run, otherwise it stays open for anybody. Raises `FencedBy`.

        `data`: last lines for its record, as for `append`, in the same trip.
        """
        last = [("append", token, _word(run), ttl, len(data))] if data else []
        answers = await self._all_surely(
            [*last, ("release", token, _word(run), "done" if done else "keep")], stdin=data
        )
        answer = answers[-1]
        if answer.word != "fenced":
            self._checked(answer, "ok")
        elif answer.word == "fenced" and answer.args[:2] != (str(token), "free"):  # free: only our answer was lost
            raise refusal(self.host.account.name, answer)

    async def raise_fence(self, token: int, patience: float = 0, grace: float = GRACE, wait: float = WAIT) -> Raised:
        """Refuse every lower token from now on; end or await what still runs of them.

        `patience` seconds go by before anything is ended, `grace` more before it is killed, `wait` more until it
        counts as stuck. Raises `FencedBy` (its `token` is higher than ours), `Stuck` (may be asked again).
        """
        total = ceil(patience) + ceil(grace) + ceil(wait)
        words = (token, ceil(patience), ceil(grace), total)
        answer = await self._surely("raise", *words, timeout=total + 30.0)
        return Raised(answer.number(0), answer.number(1))

    async def run(  # noqa: PLR0913 - each is a condition of its own, told by name
        self,
        token: int,
        change_id: str,
        late: float,
        command: Command,
        *,
        loss: Literal["end", "finish"] = "end",
        grace: int = 5,
        beat: int = 15,
        stdin: bytes = b"",
    ) -> Done:
        """Run a change under the fence; `stdin` is its input and never touches the disk there.

        It does not begin after `late` (unix time by the host's clock). It is ended, with TERM and `grace` seconds
        later KILL, over `command.timeout`, and (loss=end) when its operator was not heard for `beat` seconds.
        Raises `FencedBy`, `TooLate` (both: it has not begun), `Lost` (it may have).
        """
        words = _change(token, change_id, late, command, (loss, grace, beat, len(stdin)))
        timeout = command.timeout + grace + 60.0
        answer = await self._ask("run", *words, stdin=stdin, beat=float(beat), timeout=timeout)
        return read_done(self._checked(answer, "done"))

    async def step(  # noqa: PLR0913 - the arguments of `append` and of `run`
        self,
        run: str,
        ttl: int,
        data: bytes,
        token: int,
        change_id: str,
        late: float,
        command: Command,
        *,
        loss: Literal["end", "finish"] = "end",
        grace: int = 5,
        beat: int = 15,
        stdin: bytes = b"",
        probe: Command | None = None,
    ) -> Done | Saw:
        """`append` and `run` in one trip, where the lock host is the host. Errors as for both.

        With a `probe`, which has no input, it is asked first, and anything but `before` is `Saw`: nothing was written
        then, nor was anything done. Only `Done` proves that `data` was written. The lease counts from the beginning of
        the trip, not from its end.
        """
        words = (_word(run), ttl, len(data), *_change(token, change_id, late, command, (loss, grace, beat, len(stdin))))
        timeout = command.timeout + grace + 60.0
        if probe:
            asks = (ceil(probe.timeout), _line(_in_folder(probe)), "step")
            timeout += probe.timeout
            answer = await self._ask("probed", *asks, *words, stdin=data + stdin, beat=float(beat), timeout=timeout)
        else:
            answer = await self._ask("step", *words, stdin=data + stdin, beat=float(beat), timeout=timeout)
        if answer.word == "saw":
            return Saw(as_where(answer.args[0]))
        return read_done(self._checked(answer, "done"))

    async def upload(  # noqa: PLR0913 - as `run`
        self,
        token: int,
        change_id: str,
        late: float,
        source: Path,
        upload: Upload,
        *,
        grace: int = 5,
        beat: int = 15,
        timeout: float = 1800.0,
    ) -> Done:
        """Copy what is in the folder `source` to `upload.to`, as a change; `timeout` in seconds. Errors as `run`."""
        if upload.patch or "tar" in (upload.by, self.host.copies_with):
            command, content = await asyncio.to_thread(_unpacking, source, upload, upload.patch)
            command = command.model_copy(update={"timeout": timeout})
            return await self.run(token, change_id, late, command, grace=grace, beat=beat, stdin=content)
        if not self._installed:  # rsync cannot ask for the script, so we do, once
            await self.read()
        receive = shell('mkdir -p -- "$1" && shift && exec "$@"', upload.to, "rsync").argv
        words = ("sh", self._script, "stream", self._folder, token, _word(change_id), floor(late), *receive)
        program, link = _line(words), upload.link_from
        result = await self.host.rsync(source, upload.to, remote_program=program, link_from=link, timeout=timeout)
        return await self._uploaded(result, change_id)

    async def read(self, run: str = "") -> State:
        """Look at lock, lease, fence, receipts, and the record of `run` or else of the open run. Claims nothing."""
        words = (_word(run),) if run else ()
        return read_state(await self._surely("read", *words, allow=("none",)))

    async def plan(self, sha: str) -> bytes | None:
        """The plan of this SHA-256 that a run began with; None where there is none. Raises `Damaged` for another."""
        answer = await self._surely("plan", _word(sha), allow=("none",))
        if answer.word == "none":
            return None
        content = next(iter(read_files(answer.body).values()))
        if sha256(content) != sha:
            raise Damaged(f"the plan {sha[:12]} on {self.host.account.name} is damaged", hint="fairlead close")
        return content

    async def list(self) -> tuple[RunHead, ...]:
        """Every record that is there, oldest first."""
        return read_heads((await self._surely("list", allow=("none",))).body)

    async def forget(self, run: str) -> None:
        """Delete a run's record, and plans that no record names any more. Raises `OpenRunOf` for the open run."""
        await self._surely("forget", _word(run), allow=("none",))

    async def _uploaded(self, result: Result, change_id: str) -> Done:
        answer = find_answer(result.stderr)
        if answer is None:
            return await self._unheard(result, change_id)
        done = read_done(self._checked(answer, "done"))
        said = "".join(line for line in result.stderr.splitlines(True) if not line.startswith("fl1 "))
        return Done(done.rc or result.code, said, done.now, done.left, done.ended)

    async def _unheard(self, result: Result, change_id: str) -> Done:
        """What became of an upload whose rsync ended, and hung up, before the script on the far side could say it."""
        for pause in (0.0, *PATIENCE) if result.code else ():
            await asyncio.sleep(pause)
            receipts = (await self.read()).receipts
            for found in (one for one in receipts if f"{one.token}.{one.step}.{one.attempt}" == change_id):
                return Done(found.rc or result.code, result.stderr, found.at)
        raise self._lost("stream", result)

    async def _surely(
        self, verb: str, *words: object, stdin: bytes = b"", timeout: float = 30.0, allow: Iterable[str] = ()
    ) -> Answer:
        """Ask what may be asked twice, until there is an answer."""

        async def ask() -> Answer:
            return self._checked(await self._ask(verb, *words, stdin=stdin, timeout=timeout), "ok", *allow)

        return await _until_heard(ask)

    async def _all_surely(
        self, verbs: Sequence[tuple[object, ...]], *, stdin: bytes, timeout: float = 30.0
    ) -> Sequence[Answer]:
        """The answers of verbs that may be asked twice, each asked where the one before it said ok: at least one."""

        async def ask() -> Sequence[Answer]:
            return find_answers(await self._told(verbs, stdin=stdin, beat=0.0, timeout=timeout))

        return await _until_heard(ask)

    def _checked(self, answer: Answer, *good: str) -> Answer:
        if answer.word in good:
            return answer
        raise refusal(self.host.account.name, answer)

    async def _ask(self, verb: str, *words: object, stdin: bytes = b"", beat: float = 0.0, timeout: float) -> Answer:
        """One trip; a second and third where the account does not have the script yet."""
        told = await self._told([(verb, *words)], stdin=stdin, beat=beat, timeout=timeout)
        answer = find_answer(told)
        assert answer is not None  # noqa: S101 - something was told
        return answer

    async def _told(self, verbs: Sequence[tuple[object, ...]], *, stdin: bytes, beat: float, timeout: float) -> str:
        """What the script printed, an answer at its end. Raises `Lost` where there is none."""
        there = f"[ -e {shlex.quote(self._script)} ] || {{ echo 'fl1 noscript'; exit 1; }}; "
        calls = [_line(("sh", self._script, verb, self._folder, *words)) for verb, *words in verbs]
        line = there + " && ".join([*calls[:-1], f"exec {calls[-1]}"])
        result = await self.host.call(line, stdin=stdin, beat=beat, timeout=timeout)
        answer = find_answer(result.stdout)
        if answer and answer.word == "noscript":
            await self._install()
            result = await self.host.call(line, stdin=stdin, beat=beat, timeout=timeout)
            answer = find_answer(result.stdout)
        if answer is None:
            raise self._lost(str(verbs[-1][0]), result)
        self._installed = True
        return result.stdout

    async def _install(self) -> None:
        """Under the hash of its own text, whole or not at all: a shell reads its script while it runs it."""
        script = SCRIPT.encode()
        line = _line(("sh", "-c", _INSTALL, "fairlead", self._state, self._name, len(script), sha256(script)))
        result = await self.host.call(line, stdin=script)
        if not find_answer(result.stdout):
            what = f"the target's script cannot be put on {self.host.account.name}: {result.last_words}"
            raise Halted(what, hint=f"may the account write to {self._state} there?")

    def _lost(self, verb: str, result: Result) -> Lost:
        said = "" if verb in ("run", "step") else result.last_words  # a change's own output may hold anything
        what = f"{self.host.account.name} did not say what became of {_VERBS.get(verb, verb)}"
        return Lost(f"{what}: {said}" if said else what, hint="fairlead resume")


async def _until_heard(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again, after a while, where it is not known what became of it."""
    for pause in PATIENCE:
        try:
            return await ask()
        except Lost:
            await asyncio.sleep(pause)
    return await ask()


def _line(words: Iterable[object]) -> str:
    return shlex.join(str(word) for word in words)


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise CallError(f"{text!r} cannot be a name on a target", hint="use letters, digits and . _ : @ + -")
    return text


def _change(
    token: int, change_id: str, late: float, command: Command, how: tuple[str, int, int, int]
) -> tuple[object, ...]:
    """The arguments of `run`: TOKEN ID LATE LOSS LIMIT GRACE BEAT BYTES COMMAND..."""
    loss, grace, beat, size = how
    limit = max(1, ceil(command.timeout))
    return (token, _word(change_id), floor(late), loss, limit, grace, beat, size, *_in_folder(command))


def _unpacking(source: Path, upload: Upload, patch: Patch | None) -> tuple[Command, bytes]:
    """The command that takes a tree as one stream, and the stream."""
    if patch is None:
        return shell('mkdir -p -- "$1" && cd -- "$1" && exec tar -x -o -m -p -f -', upload.to), pack(source)
    sends = (*patch.sends, *(name for name in (IDENTITY_FILE,) if (source / name).is_file()))
    # As ./NAME: a name may begin with `-`.
    others = (f"./{path}" for path in (*sends, *patch.drops))
    then = shlex.join(upload.then.argv) if upload.then else ":"
    return shell(_PATCH, upload.to, upload.link_from, then, *others), pack(source, sends)


def _in_folder(command: Command) -> tuple[str, ...]:
    """Its words, from the home."""
    if not command.cwd:
        return command.argv
    folder = command.cwd if command.cwd.startswith("/") else f"./{command.cwd}"
    return ("sh", "-c", 'cd -- "$1" && shift && exec "$@"', "fairlead", folder, *command.argv)
