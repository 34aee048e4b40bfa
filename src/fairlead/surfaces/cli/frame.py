"""What every command shares: options, the loop it runs in, errors, JSON, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fairlead.app import opened, run_loop
from fairlead.errors import FairleadError
from fairlead.model import Event, Model
from fairlead.surfaces.cli import actions, lines

if TYPE_CHECKING:
    from fairlead.app import Fairlead

Body = Callable[..., Awaitable[int]]


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command about an environment has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on stdout."),
        click.option("--config", default="fairlead.yml", type=click.Path(path_type=Path), help="The file to read."),
        click.option("-e", "--env", default="", help="Environment; needed when there is more than one."),
    ):
        function = option(function)
    return function


def command(body: Body) -> Callable[..., None]:
    """Make a Click callback of an async body that gets an open `Fairlead` and returns an exit code."""

    @wraps(body)
    def callback(*, env: str, config: Path, as_json: bool, **arguments: Any) -> None:
        async def work() -> int:
            listen = lines.quiet if as_json else lines.Progress(sys.stderr)
            async with opened(config, env, listen) as app:
                _heed_signals(app)
                try:
                    return await body(app, as_json, **{name: _text(value) for name, value in arguments.items()})
                except FairleadError as error:
                    error.what, error.hint = app.secrets.redact(error.what), app.secrets.redact(error.hint)
                    raise

        sys.exit(guarded(work, as_json))

    return callback


def _text(value: Any) -> Any:
    """An argument as text that can be kept and sent: bytes that are not UTF-8 are written as `\\udcff`. Paths stay."""
    if isinstance(value, tuple):
        return tuple(map(_text, value))
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def guarded(work: Callable[[], Awaitable[int]], as_json: bool) -> int:
    """Run to the end and turn every known error into its message and exit code."""
    try:
        return run_loop(work)
    except FairleadError as error:
        tell_error(error, as_json)
        return error.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped, nothing was changed", err=True)
        return 130
    except BrokenPipeError:
        return 141


def tell_error(error: FairleadError, as_json: bool) -> None:
    """An error for people on stderr; for programs as the one document on stdout."""
    actions.annotate("error", "fairlead", error.what)
    if as_json:
        found = [finding.model_dump(mode="json") for finding in getattr(error, "findings", ())]
        document = {"error": error.what, "hint": error.hint, "exit": error.exit_code, "kind": type(error).__name__}
        emit_json(document | ({"findings": found} if found else {}))
        return
    for line in error.what.splitlines():
        click.echo(f"error: {lines.ascii_path(line)}", err=True)
    for line in error.hint.splitlines():
        click.echo(f"hint: {lines.ascii_path(line)}", err=True)


def emit_json(document: object) -> None:
    """Print one JSON document; of a name that is not UTF-8 the odd bytes are escaped, as JSON can."""
    text = json.dumps(_plain(document), indent=2, ensure_ascii=False)
    click.echo(text.encode("utf-8", "backslashreplace").decode())


def _plain(value: object) -> object:
    if isinstance(value, Model):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _heed_signals(app: Fairlead) -> None:
    """First Ctrl-C or TERM: finish the step in hand, then go back. Second: leave the run open after that step."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def ask(name: str) -> None:
        if app.changing:
            app.stop.ask(f"stopped by {name}")
            app.listen(Event(at=app.clock.now(), kind="warning", says=f"{name}: finishing the step in hand"))
        elif task is not None:
            task.cancel()

    for number, name in ((signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")):
        loop.add_signal_handler(number, ask, name)
