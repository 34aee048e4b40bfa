from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import model_validator

from fairlead.model.account import Account
from fairlead.model.base import Model, canonical, sha256
from fairlead.model.check import Check, DatabaseCheck
from fairlead.model.step import Step
from fairlead.model.tree import Difference

Kind = Literal["deploy", "rollback", "adopt", "restore", "prune", "provision", "firewall"]
"""What a plan is for."""

PLAN_FORMAT = 1
LONG = 1000
"""Characters from which on an argument, such as a program, is written once, whatever the number of commands with it."""


class Inventory(Model):
    """What lay in a docroot when the plan was made, outside of what is protected: a photograph for the person.

    Counts may move with every visitor, so they bind nobody: a plan is held against the ground by its steps.
    """

    files: int = 0
    folders: int = 0
    links: int = 0
    others: int = 0
    """Sockets, pipes, devices."""
    untouched: int = 0
    """Files and links that the plan leaves as they are."""
    shapes: tuple[str, ...] = ()
    """`COUNT TYPE MODE OWNER`: how many have the same type, mode and owner."""
    foreign: tuple[str, ...] = ()
    """Files that Fairlead did not put there and that the release replaces; they are kept for the way back."""
    by_hand: tuple[str, ...] = ()
    """Files that Fairlead put there, somebody changed, and the release replaces; they are kept too."""
    left: tuple[str, ...] = ()
    """Files that Fairlead put there, somebody changed, and the release no longer has; they stay."""
    protected: tuple[str, ...] = ()
    """Paths that are never written."""


class ServiceChange(Model):
    """What a plan does to one service."""

    service: str
    host: str
    strategy: str
    before: str = ""
    """Release that is live now; empty = none."""
    before_tree: str = ""
    """Tree hash of what is live now, where somebody wrote to that release: the way back leads to what was found."""
    after: str
    """Release that will be live: the first 12 hex digits of its tree hash."""
    unnamed: bool = False
    """The release does not tell its id, because it was found and not made: it is proven by its files alone."""
    gone: bool = False
    """Nothing will be live: the first deployment of the service is taken back."""
    version: str = ""
    """What people call the new release: a commit, a tag, a text; shown beside the hash."""
    files: Difference = Difference()
    folder: str = ""
    """Where its releases lie on the host."""
    inventory: Inventory | None = None
    """What was found, where a folder is changed that holds more than ours."""
    unit: str = ""
    """What systemd said of its unit, where nothing of ours was live: for the person, it binds nobody."""

    @property
    def tells(self) -> str:
        """The id that the service must tell once it is live; empty = it cannot."""
        return "" if self.unnamed else self.after

    @property
    def leads_to(self) -> str:
        """For people: what will be live."""
        return self.after or ("nothing" if self.gone else "what was found")

    def back(self, **more: object) -> ServiceChange:
        """The same the other way round, without what was found before it; `more` are fields that differ from that."""
        found = {"version": "", "inventory": None, "unit": "", "gone": False}
        return self.model_copy(update={"before": self.after, "after": self.before, **found, **more})


class WatchTarget(Model):
    """One service as the watch looks at it."""

    service: str
    checks: tuple[Check, ...]
    host: str = ""
    access_log: str = ""
    """On `host`; where it is given, the share of failed requests comes from here instead of from our own probes."""


class WatchRules(Model):
    """How long to look after a deployment, how often, and what starts the way back."""

    duration: float = 1800.0
    """Seconds."""
    interval: float = 30.0
    """Seconds between two looks."""
    down_for: float = 120.0
    """A service that has not answered rightly for this many seconds starts the way back."""
    error_share: float = 0.05
    """A larger share of failed requests starts the way back."""
    window: float = 300.0
    """The share is taken over the last so many seconds."""
    min_requests: int = 20
    """Fewer requests than this in the window are not enough data to judge."""
    lost_database: Literal["back", "halt"] = "back"
    """What a database that is lost during the deployment starts: the way back, or a stop for a human to look."""


class Lease(Model):
    """How the lock is held."""

    ttl: int = 30
    """Seconds after which a holder that was not heard of may be replaced."""
    beat: int = 15
    """Seconds without a heartbeat after which a running change is ended."""


class TakeBack(Model):
    """How the way back of a deployment takes one database back: the backup restored beside it, proven, swapped in."""

    database: str
    """Its name in fairlead.yml."""
    label: str
    """Under which what it replaces is kept."""
    data: Literal["all", "migrated", "none"]
    """When: if anything was switched or migrated, if one of `migrations` was begun, or only when a person says so."""
    on_new_rows: Literal["keep_and_restore", "stop_and_ask"] = "keep_and_restore"
    migrations: tuple[str, ...] = ()
    """Ids of the steps that change it and cannot take that back themselves."""
    writers: tuple[str, ...] = ()
    """Services that use it and can be kept from writing."""
    open_to: tuple[str, ...] = ()
    """Services that use it, live before and after, which nobody can keep from writing meanwhile."""
    shadow: Step
    swap: Step

    @property
    def clear(self) -> str:
        """Id of the step that drops a shadow that was filled in advance and is not needed."""
        return f"db-{self.database}.clear"


class DataBack(Model):
    """What the way back does with data, before it takes back anything else."""

    databases: tuple[TakeBack, ...] = ()
    ends: tuple[str, ...] = ()
    """Steps of the plan that are taken back before any data is: first releases of services that write to it."""
    enter: tuple[Step, ...] = ()
    """Keep services from writing, a step for each."""
    leave: tuple[Step, ...] = ()
    """Let them write again, once all is back."""

    @property
    def day(self) -> str:
        """YYYYMMDD in the names of what is kept; empty where nothing will be."""
        return next((one.label[:8] for one in self.databases), "")

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them, in the order in which they are done."""
        shadows, swaps = (tuple(getattr(one, word) for one in self.databases) for word in ("shadow", "swap"))
        return (*shadows, *self.enter, *swaps, *self.leave)


class WayBackTime(Model):
    """How long a way back is expected to take if all of it is needed: from what its steps took the last time."""

    seconds: float
    """Of the steps that were measured before; the least that it takes."""
    data: float = 0.0
    """Of these, seconds until the data is back."""
    unmeasured: tuple[str, ...] = ()
    """Ids of steps that nobody knows a time of."""


class Untouched(Model):
    """What stands in fairlead.yml and is not changed by this plan."""

    hosts: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()


class Plan(Model):
    """A table of steps with the checks between them. Printing it is the dry run, its hash is what gets approved.

    It holds no time, no run id, no temporary path and no secret: two plans of an unmoved world are equal.
    """

    format: int = PLAN_FORMAT
    kind: Kind
    project: str
    environment: str
    lock_host: str
    commit: str = ""
    """What it was made from, where gates are asked of a commit; what they say of another one does not count."""
    uncommitted: tuple[str, ...] = ()
    """Paths that were not as in that commit when it was made."""
    accounts: dict[str, Account]
    """Every account the plan's steps or checks use, and those they jump through."""
    services: tuple[ServiceChange, ...]
    """In the order of activation; unchanged services are left out."""
    databases: tuple[str, ...] = ()
    """Databases that will be backed up or changed."""
    labels: dict[str, str] = {}
    """By database, by its name in fairlead.yml: the label under which what it was replaced for is kept."""
    backups: dict[str, tuple[str, ...]] = {}
    """By database, by its name in fairlead.yml: labels of what this plan backs up, the best to go back to first; where
    it restores, the SHA-256 of the backup that it takes."""
    firewalls: dict[str, str] = {}
    """By host: the label under which its firewall as it was before is kept."""
    untouched: Untouched = Untouched()
    steps: tuple[Step, ...]
    """Stage steps run in parallel by service; activate steps strictly in this order; close steps after the watch."""
    data: DataBack = DataBack()
    """What the way back does with databases; these steps are done, not undone."""
    staged: tuple[Check, ...] = ()
    """Must be ok after staging, before the first activation."""
    proven: dict[str, tuple[Check, ...]] = {}
    """By service: must be ok after its activation, before the next service is touched."""
    standing: dict[str, tuple[Check, ...]] = {}
    """By service: what must be ok again after the way back."""
    guards: tuple[DatabaseCheck, ...] = ()
    """What is looked at again and again while the plan is carried out, and must not be lost."""
    watch: tuple[WatchTarget, ...] = ()
    watch_rules: WatchRules = WatchRules()
    lease: Lease = Lease()
    remarks: tuple[str, ...] = ()
    """Sentences that belong to the approval, such as `the way back leaves data alone`."""

    def to_json(self) -> str:
        """Canonical JSON. Long arguments stand in `texts`, once, by their SHA-256: a plan is sent to its lock host, and
        seventeen databases have seventeen times the same programs in it.
        """
        texts: dict[str, str] = {}
        told = _each_argument(self.model_dump(mode="json"), lambda word: _moved(word, texts))
        return canonical({**told, "texts": texts})

    @model_validator(mode="before")
    @classmethod
    def _put_back(cls, told: Any) -> Any:
        if not isinstance(told, dict) or not isinstance(told.get("texts"), dict):
            return told
        texts = told["texts"]
        return _each_argument(
            {key: part for key, part in told.items() if key != "texts"}, lambda word: _at(word, texts)
        )

    @property
    def hash(self) -> str:
        """SHA-256 of the plan's canonical JSON: what is approved, and its name on the lock host."""
        return sha256(self.to_json())

    @property
    def way_back(self) -> tuple[Step, ...]:
        """The steps that a failure undoes, in the order in which it undoes them."""
        return tuple(step for step in reversed(self.steps) if step.phase != "close" and step.back != "stays")

    @property
    def way_back_hash(self) -> str:
        """SHA-256 of the way back as text, recorded before the first change."""
        data = [[step.id, str(step.do)] for step in self.data.steps]
        return sha256(canonical([*data, *([step.id, str(step.undo)] for step in self.way_back)]))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of the accounts that steps of this plan run on, and the lock host, each once."""
        return tuple(dict.fromkeys((self.lock_host, *(step.host for step in (*self.steps, *self.data.steps)))))

    def step(self, step_id: str) -> Step:
        """The step of that id; KeyError where there is none."""
        for step in (*self.steps, *self.data.steps):
            if step.id == step_id:
                return step
        raise KeyError(step_id)


def _each_argument(told: Any, change: Callable[[Any], Any]) -> Any:
    """The same JSON with every argument of its commands changed."""
    if isinstance(told, list):
        return [_each_argument(part, change) for part in told]
    if not isinstance(told, dict):
        return told
    return {
        key: [change(word) for word in part]
        if key == "argv" and isinstance(part, list)
        else _each_argument(part, change)
        for key, part in told.items()
    }


def _moved(word: Any, texts: dict[str, str]) -> Any:
    if not isinstance(word, str) or len(word) < LONG:
        return word
    name = sha256(word)
    texts[name] = word
    return {"text": name}


def _at(word: Any, texts: dict[str, Any]) -> Any:
    """What is not there, or another one, stays as it is, which is no argument."""
    name = word.get("text") if isinstance(word, dict) else None
    text = texts.get(name) if isinstance(name, str) else None
    return text if isinstance(text, str) and sha256(text) == name else word
