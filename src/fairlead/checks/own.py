"""Gates of one's own. Whatever they answer that is not understood, and every error in them, is `unknown`."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

from fairlead.checks.looked import looked, within
from fairlead.config.own import OwnSpec
from fairlead.errors import NotReady
from fairlead.model import Finding, Status
from fairlead.outside.program import run_program

GROUP = "fairlead.checks"
"""Entry points of this group are async functions. They are called with one mapping: `environment`, `commit` (empty =
not known), `folder` (of fairlead.yml, as text) and `settings`. They return one with `status` (`ok`, `warn`, `fail` or
`unknown`), `says` (one sentence) and, if they like, `hint`. They must change nothing, and not block."""
_LONGEST = 300
_STATUSES: tuple[Status, ...] = get_args(Status)


async def check_own(
    spec: OwnSpec, base: Path, env: Mapping[str, str], told: Mapping[str, Any], clean: Callable[[str], str]
) -> Finding:
    """Ask a gate of one's own. `told` is what a `check` is told beside its settings; `clean` takes secrets out."""
    look = _by_command(spec, base, env) if spec.run else _by_package(spec, base, told)
    found = await looked(spec.name, spec.name, look)
    shown = {
        "says": _line(clean(found.says)),
        "hint": _line(clean(found.hint or ("" if found.status == "ok" else spec.hint))),
    }
    return found.model_copy(update=shown)


async def _by_command(spec: OwnSpec, base: Path, env: Mapping[str, str]) -> Finding:
    result = await run_program(spec.run, folder=base / spec.folder, env=env, timeout=spec.timeout)
    command = shlex.join(spec.run)
    if result.code not in (0, 1):
        why = "did not end in time" if result.code == 124 else f"exited {result.code}"
        raise NotReady(f"`{command}` {why}", f"run it by hand in {spec.folder} to see why")
    status: Status = "fail" if result.code else "ok"
    last = next((line for line in reversed(result.stdout.splitlines()) if line.strip()), "")
    says = last or f"`{command}` says {'no' if result.code else 'yes'}"
    return Finding(check=spec.name, subject=spec.name, status=status, says=says)


async def _by_package(spec: OwnSpec, base: Path, told: Mapping[str, Any]) -> Finding:
    asked = _called(spec, {**told, "folder": str(base), "settings": spec.settings})
    answer = await within(spec.timeout, asked)
    if not isinstance(answer, Mapping) or set(answer) - {"status", "says", "hint"}:
        raise NotReady(f"the check {spec.check} answers something else than `status`, `says` and `hint`")
    status, says, hint = answer.get("status"), answer.get("says"), answer.get("hint", "")
    if status not in _STATUSES or not isinstance(says, str) or not says.strip() or not isinstance(hint, str):
        raise NotReady(f"the check {spec.check} answers with what is no status, or without a sentence")
    return Finding(check=spec.name, subject=spec.name, status=status, says=says, hint=hint)


async def _called(spec: OwnSpec, told: Mapping[str, Any]) -> Any:
    try:
        check = _loaded(spec.check)
        if not inspect.iscoroutinefunction(check):
            raise NotReady(f"the check {spec.check} is no async function")
        return await check(told)
    except NotReady:
        raise
    except (Exception, SystemExit) as error:  # a package may want to end the program; it is only asked
        # What it says may hold anything, so only its kind is told.
        raise NotReady(f"the check {spec.check} failed: {type(error).__name__}") from None


def _loaded(name: str) -> Any:
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = ", ".join(sorted(point.name for point in entry_points(group=GROUP))) or "none"
        raise NotReady(f"no installed package has a check {name}", f"there are: {known}")
    if len(found) > 1:
        raise NotReady(f"more than one installed package has a check {name}", "take one of them away")
    return next(iter(found)).load()


def _line(text: str) -> str:
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
