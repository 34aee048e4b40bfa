"""The command line. This module is all that `fairlead --help` imports: commands are loaded when they are called."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click

from fairlead import __version__


class Lazy(NamedTuple):
    """A command that is not imported until it is called."""

    target: str
    help: str


_CLI = "fairlead.surfaces.cli"
COMMANDS = {
    "init": Lazy(f"{_CLI}.setup:init", "Write a fairlead.yml to start from"),
    "status": Lazy(f"{_CLI}.look:status", "Last deployment, CI, databases, connections, gates: can I start?"),
    "ready": Lazy(f"{_CLI}.look:ready", "Ask all gates: may a deployment start?"),
    "plan": Lazy(f"{_CLI}.change:plan", "Show what a deployment would do, and change nothing"),
    "deploy": Lazy(f"{_CLI}.change:deploy", "Carry out a deployment, watch it, come back if it fails"),
    "announce": Lazy(f"{_CLI}.tell:announce", "Tell the team when the next deployment window opens, and what for"),
    "adopt": Lazy(f"{_CLI}.change:adopt", "Make a site that is live already the first release of a service"),
    "rollback": Lazy(f"{_CLI}.change:rollback", "Go back to what was live before"),
    "resume": Lazy(f"{_CLI}.change:resume", "Finish or undo a run that was interrupted, from any machine"),
    "close": Lazy(f"{_CLI}.change:close", "End an open run by hand and leave everything as it stands"),
    "health": Lazy(f"{_CLI}.look:health", "All services and databases at once, in under ten seconds"),
    "history": Lazy(f"{_CLI}.past:history", "What was deployed, when, by whom, and how it ended"),
    "show": Lazy(f"{_CLI}.past:show", "One run, change by change"),
    "report": Lazy(f"{_CLI}.past:report", "Write a page with plots about one run, and a post-mortem"),
    "db": Lazy(f"{_CLI}.data:db", "Databases: check, back up, restore"),
    "lock": Lazy(f"{_CLI}.setup:lock", "Who holds the lock; give up a dead one"),
    "doctor": Lazy(f"{_CLI}.setup:doctor", "Is this machine able to run Fairlead?"),
    "schema": Lazy(f"{_CLI}.setup:schema", "Print the JSON Schema of fairlead.yml for editors"),
    "demo": Lazy("fairlead.demo.story:command", "The whole story on this machine: no root, no servers"),
}


def load(name: str) -> click.Command:
    """Import a command. KeyError where there is none of that name."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


class LazyGroup(click.Group):
    """A group whose help is a table of words, so that showing it imports nothing."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; Ctrl-C while it is still being imported ends as it does a moment later."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("stopped, nothing was changed", err=True)
            ctx.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which an operator meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command that was called."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="fairlead")
def main() -> None:
    """Take a release of many services and databases onto servers, and bring everything back if it goes wrong.

    Begin with `fairlead demo`, then `fairlead init`. Data goes to stdout, progress to stderr. Exit codes: 0 done or
    yes, 1 no, 2 the call or fairlead.yml is wrong, 3 failed and everything is back as it was, 4 a human is needed,
    5 refused.
    """
