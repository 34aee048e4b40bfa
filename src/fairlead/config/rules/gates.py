from __future__ import annotations

from collections.abc import Iterator

from fairlead.config.gates import ALWAYS, GATES, QUALITIES
from fairlead.config.problems import Problem
from fairlead.config.quality import FORMATS
from fairlead.config.rules.ground import Ground
from fairlead.config.types import choice


def personal_data_is_looked_for(ground: Ground) -> Iterator[Problem]:
    """A gate without logs and reports would look at nothing."""
    for environment in ground.installation.environments.values():
        personal = environment.gates.personal_data
        if personal and not personal.logs and not personal.quality:
            path = ("environments", environment.name, "gates", "personal_data")
            yield ground.problem(path, "needs `logs` or `reports`")


def own_gates_have_names_of_their_own(ground: Ground) -> Iterator[Problem]:
    """An answer must say which gate it is from."""
    taken = {*ALWAYS, *GATES, *QUALITIES, "personal_data", "window"}
    for environment in ground.installation.environments.values():
        for gate in environment.gates.own:
            if gate.name in taken:
                path = ("environments", environment.name, "gates", "own", gate.name)
                yield ground.problem(path, "is the name of another gate", "take another name")


def reports_say_what_is_asked(ground: Ground) -> Iterator[Problem]:
    """Where issues are counted, every report lists some; where figures are measured, every report has one of them."""
    for environment in ground.installation.environments.values():
        for gate in environment.gates.quality:
            path = ("environments", environment.name, "gates", gate.name)
            for number, report in enumerate(gate.reports):
                figures = FORMATS[report.format]
                if bool(figures) != bool(gate.least) or (figures and not set(figures) & gate.least.keys()):
                    what = f"`{report.format}` has {_said(figures)}, and this gate asks for {_said(tuple(gate.least))}"
                    yield ground.problem((*path, "reports", number, "format"), what)
            for figure in gate.least:
                if not any(figure in FORMATS[report.format] for report in gate.reports):
                    hint = "add a report that does, such as Lighthouse's, or leave the figure out"
                    yield ground.problem((*path, "least", figure), "no report of this gate has it", hint)


def _said(figures: tuple[str, ...]) -> str:
    return choice(figures) if figures else "issues"


RULES = (
    personal_data_is_looked_for,
    reports_say_what_is_asked,
)
