from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from fairlead.config.own import Own, OwnSpec, own_spec
from fairlead.config.personal import PersonalEntry, PersonalSpec, personal_spec
from fairlead.config.quality import QualityEntry, QualitySpec, quality_spec
from fairlead.config.types import MoreSeconds, Name, enum, one_of, text
from fairlead.config.window import WindowEntry, WindowSpec, window_spec
from fairlead.model import Model

GATES = ("commit", "ci", "dependabot", "review", "behind", "pulls")
"""Words of gates that an environment may ask, in the order in which they are told; `checks/gates` has their files."""

ASK_GITHUB = ("ci", "dependabot", "review", "behind", "pulls")
"""Those of them that need `github` in the file."""

ALWAYS = ("hosts", "lock", "services", "databases", "backups", "drills", "migrations", "secrets")
"""Gates that every environment is asked."""

QUALITIES = ("security", "maintainability", "dependencies", "performance")
"""Gates that read reports of tools."""

ANNOUNCE = ("github",)
"""Words of those whom an environment tells of its deployments."""

GateWord = Annotated[str, BeforeValidator(text), AfterValidator(one_of(GATES)), enum(GATES)]

AnnounceWord = Annotated[str, BeforeValidator(text), AfterValidator(one_of(ANNOUNCE)), enum(ANNOUNCE)]


class GatesEntry(Model):
    """Gates that a deployment has to pass here, beside those that are always asked."""

    ask: tuple[GateWord, ...] = ()
    """Which of those that need no settings; hosts, lock, services, databases, backups and drills are always asked."""
    security: QualityEntry | None = None
    """No issues, as Gitleaks, Bandit, Semgrep, ESLint or any tool that writes SARIF sees them."""
    maintainability: QualityEntry | None = None
    """The share of modules that are easy to maintain."""
    dependencies: QualityEntry | None = None
    """No grave vulnerability in what is built upon."""
    personal_data: PersonalEntry | None = None
    """No personal data in logs."""
    performance: QualityEntry | None = None
    """Lighthouse's scores; measured alone, when all other gates have answered."""
    window: WindowEntry | None = None
    """When a deployment may start."""
    own: dict[Name, Own] = {}
    """Gates of your own, by a name that no other gate has."""
    valid: MoreSeconds = 900.0
    """What these said of a commit counts so long for a deployment of it, while nothing moves."""


class GatesSpec(Model):
    """The gates of an environment."""

    ask: tuple[str, ...] = ()
    """Words, each once, in the order of `GATES`."""
    quality: tuple[QualitySpec, ...] = ()
    valid: float = 900.0
    """Seconds."""
    personal_data: PersonalSpec | None = None
    window: WindowSpec | None = None
    own: tuple[OwnSpec, ...] = ()

    @property
    def any_asked(self) -> bool:
        """The environment asks for more than what is always asked."""
        return self.model_copy(update={"valid": 900.0}) != GatesSpec()


def gates_spec(entry: GatesEntry) -> GatesSpec:
    """The gates that an entry stands for."""
    qualities = {name: getattr(entry, name) for name in QUALITIES}
    return GatesSpec(
        ask=tuple(word for word in GATES if word in entry.ask),
        valid=entry.valid,
        quality=tuple(quality_spec(name, given) for name, given in qualities.items() if given),
        window=window_spec(entry.window) if entry.window else None,
        own=tuple(own_spec(name, given) for name, given in entry.own.items()),
        personal_data=personal_spec(entry.personal_data) if entry.personal_data else None,
    )
