"""Telling of a run while it goes on: an issue on GitHub, from the plan to the result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fairlead.checks.window import Stretch, coming, moment
from fairlead.errors import FairleadError, Halted, NotReady
from fairlead.model import Deployment, Entry, Event, Message, Model, Plan, sha256
from fairlead.notify import words
from fairlead.notify.outbox import Outbox
from fairlead.outside.git import working_copy

if TYPE_CHECKING:
    from fairlead.app.facade import Fairlead
    from fairlead.outside.github import GitHub

PATIENCE = 15.0
"""Seconds that a run waits for GitHub before its first change, and at its end; what is not delivered then waits."""
TOLD = ("phase", "back", "warning")
"""Kinds of events that a run's issue hears of."""


class Announced(Model):
    """A window that people were told of beforehand."""

    environment: str
    start: float
    """Unix time; may be past where it is open."""
    end: float
    """Until when a deployment may start."""
    says: str
    """Both, in words, by the clocks of the window's zone."""
    services: tuple[str, ...]
    called_off: bool = False
    issue: int = 0
    """The number of its issue; 0 = nothing new was to be told, or it was not delivered."""
    waits: str = ""
    """Why it was not delivered yet; it is kept, and sent by the next run."""


class Announcer:
    """Tells of the runs of an open installation's environment; does nothing where the environment tells nobody."""

    def __init__(self, app: Fairlead) -> None:
        self._app = app
        self._on = "github" in app.environment.announce
        self._outbox = Outbox(app.store, app.environment.name, self._github, app.clock)
        self._run, self._number = "", 0
        self._title = self._opening = ""
        self._heard: list[str] = []
        self._task: asyncio.Task[None] | None = None

    async def send(self) -> None:
        """Deliver what an earlier run could not; says what still waits."""
        if self._on and self._outbox.waiting():
            await self._sent()

    async def begun(self, run: str, plan: Plan, first: Entry) -> None:
        """A run is about to change something, or was taken over: its issue is opened before it does."""
        if not self._on:
            return
        self._run, self._title = run, words.title(plan.project, plan.environment, run)
        self._opening = self._app.secrets.redact(words.opening(plan, run, first))
        self._window_begins(run)
        self._post("opened", run)
        await self._sent()

    async def window(self, services: list[str], reason: str, *, off: bool = False) -> Announced:
        """Tell of the window that is open or comes next; told again, what differs is added. `off`: it is called off.

        Raises NotReady where there is no window, nobody to tell, or nothing to call off.
        """
        if not self._on:
            name = self._app.environment.name
            raise NotReady(f"{name} tells nobody", f"write `announce: [github]` into {name}")
        window = self._next_window()
        start, end = (moment(at, window.span.zone) for at in (window.start, window.end))
        run = self._window_name(window)
        project, environment = self._app.installation.project, self._app.environment.name
        times = [f"from: {start}", f"until: {end}"]
        opening = self._app.secrets.redact(words.window_opening(project, environment, times, services, reason))
        title = words.window_title(project, environment, start)
        fresh = Message(key=run, run=run, at=self._app.clock.now(), kind="opened", title=title, opening=opening)
        self._outbox.post(self._of_window(fresh, reason if off else None))
        why = self._app.secrets.redact(await self._outbox.send())
        return Announced(
            environment=environment,
            start=window.start,
            end=window.end,
            says=f"{start} until {end}",
            services=tuple(services),
            called_off=off,
            issue=self._outbox.number(run),
            waits=why,
        )

    def _of_window(self, fresh: Message, called_off: str | None) -> Message:
        """What is told of a window: that it comes, what differs from what was told first, or why it is called off.

        Raises NotReady where it was closed, and where there is nothing to call off.
        """
        store, run = self._app.store, fresh.run
        if store.message(f"{run} end"):
            raise NotReady("that window was closed already", "its issue says by whom")
        first = store.message(run)
        if called_off is not None:
            if first is None:
                raise NotReady("that window was never announced from this machine", "")
            said = f"**Called off.**\n\n{words.fenced([self._app.secrets.redact(called_off)])}"
            return first.model_copy(update=_more("closed", f"{run} end", said, good=False))
        if first is None or first.opening == fresh.opening:
            return first or fresh
        return first.model_copy(update=_more("comment", f"{run} {sha256(fresh.opening)[:12]}", fresh.opening))

    def _next_window(self) -> Stretch:
        spec = self._app.environment.gates.window
        found = coming(spec, self._app.clock.now()) if spec else None
        if found is None:
            says = "no window opens any more" if spec and spec.open else "it has no deployment windows"
            raise NotReady(f"{self._app.environment.name}: {says}", "write `gates: {window: {open: [...]}}`")
        return found

    def _window_name(self, window: Stretch) -> str:
        environment = self._app.environment.name
        return f"window {self._app.installation.project} {environment} {moment(window.start, 'UTC')}"

    def _window_begins(self, run: str) -> None:
        """What was announced begins: the run's own issue tells the rest."""
        spec, now = self._app.environment.gates.window, self._app.clock.now()
        window = coming(spec, now) if spec else None
        first = self._app.store.message(self._window_name(window)) if window and window.start <= now else None
        if first:
            said = f"Run `{run}` has begun; an issue of its own tells what comes of it."
            self._outbox.post(first.model_copy(update=_more("closed", f"{first.run} end", said)))

    def hear(self, event: Event) -> None:
        """Something has happened in the run; it is told beside it, and never in its way."""
        if not self._run or event.kind not in TOLD:
            return
        self._heard.append(event.says)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._tell())

    def ended(self, deployment: Deployment) -> None:
        """The run has ended; its issue is closed with the result."""
        if self._on and deployment.ended:
            self._flush()
            self._run = self._run or deployment.id
            self._title = self._title or words.title(deployment.project, deployment.environment, deployment.id)
            self._opening = self._opening or f"The beginning of run `{deployment.id}` was told by nobody."
            text = self._app.secrets.redact(words.result(deployment))
            self._post("closed", f"{deployment.id} end", text, good=deployment.state == "done")
            self._run = ""

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Around a run: whatever becomes of it, it is told, or kept to be told later."""
        try:
            yield
        except Halted as halt:
            if self._run:
                self._heard.append(f"a human is needed: {halt.what}".split("\n")[0])
            raise
        finally:
            self._flush()
            if self._task is not None:
                await asyncio.gather(self._task, return_exceptions=True)
            await self.send()

    async def _tell(self) -> None:
        self._flush()
        await self._outbox.send()

    def _flush(self) -> None:
        """Write down what was heard, as one message."""
        if self._heard and self._run:
            said, self._heard = self._heard, []
            self._number += 1
            key = f"{self._run} {self._app.clock.now():.3f} {self._number}"
            self._post("comment", key, words.happened(map(self._app.secrets.redact, said)))

    def _post(self, kind: str, key: str, text: str = "", *, good: bool = True) -> None:
        told = {"kind": kind, "key": key, "run": self._run, "at": self._app.clock.now(), "text": text, "good": good}
        self._outbox.post(Message.model_validate({**told, "title": self._title, "opening": self._opening}))

    async def _sent(self) -> None:
        try:
            why = await self._outbox.send()
        except Exception as error:  # a mistake of ours in telling must not become one in deploying
            why = f"the telling itself failed: {type(error).__name__}"
        if why:
            many = self._outbox.waiting()
            what = "1 message to GitHub waits" if many == 1 else f"{many} messages to GitHub wait"
            says = f"{what} to be sent by the next run of fairlead: {self._app.secrets.redact(why)}"
            self._app.listen(Event(at=self._app.clock.now(), kind="warning", says=says))

    @asynccontextmanager
    async def _github(self) -> AsyncIterator[GitHub]:
        from fairlead.outside.github import GitHub, repository  # time that nobody waits for who tells nobody
        from fairlead.outside.github_http import GitHubHttp

        spec = self._app.installation.github
        if spec is None:
            raise NotReady("the file has no `github`", "write `github:`")
        remote = "" if spec.repository else await self._remote(spec.remote)
        patience = min(PATIENCE, spec.patience)
        async with GitHubHttp(spec.api, spec.token, self._app.secrets, self._app.clock, None, patience) as http:
            yield GitHub(http, repository(spec.repository, remote, spec.api))

    async def _remote(self, name: str) -> str:
        try:
            return (await working_copy(self._app.config_path.parent.absolute(), name)).remote
        except FairleadError as error:
            raise NotReady(error.what, error.hint) from error


def _more(kind: str, key: str, text: str, *, good: bool = True) -> dict[str, object]:
    """What a later message of the same issue has of its own; when the issue began is still said in `at`."""
    return {"kind": kind, "key": key, "text": text, "good": good}
