"""What quality a commit must have before it goes out, and which reports of tools say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from fairlead.config.types import (
    Arguments,
    LocalPath,
    MoreSeconds,
    Name,
    Wrong,
    enum,
    one_of,
    some,
    text,
)
from fairlead.model import Model

COUNTED: tuple[str, ...] = ()
FORMATS = {
    "aggregate": COUNTED,
    "bandit": COUNTED,
    "coverage": ("lines", "statements", "functions", "branches"),
    "dsgvo": COUNTED,
    "eslint": COUNTED,
    "gitleaks": COUNTED,
    "lighthouse": ("performance", "accessibility", "best-practices", "seo"),
    "npm-audit": COUNTED,
    "pip-audit": COUNTED,
    "radon": ("maintainability",),
    "sarif": COUNTED,
    "semgrep": COUNTED,
}
"""Formats of reports, and the figures that each may hold; those without figures list issues, which are counted."""

SEVERITIES = ("info", "low", "medium", "high", "critical")


def _percent(value: float) -> float:
    if not 0 <= value <= 100:
        raise Wrong("should be between 0 and 100")
    return value


Format = Annotated[str, BeforeValidator(text), AfterValidator(one_of(FORMATS)), enum(FORMATS)]
Severity = Annotated[str, BeforeValidator(text), AfterValidator(one_of(SEVERITIES)), enum(SEVERITIES)]
Percent = Annotated[float, Field(strict=True), AfterValidator(_percent)]
ExitCode = Annotated[int, Field(strict=True, ge=1, le=123)]
"""From 124 on they say that a command did not run to its end."""


class ReportEntry(Model):
    """A tool's report: left there by CI, or written by a command that is run for it."""

    format: Format
    """Which tool's, such as `sarif`, which many can write."""
    file: LocalPath = ""
    """Where it lies, seen from this file; without it, what `run` prints."""
    run: Arguments = ()
    """The command that makes it, on this machine, without a shell; without it, CI has left the report."""
    folder: LocalPath = "."
    """Where `run` is run, seen from this file."""
    timeout: MoreSeconds = 300.0
    """How long `run` may take."""
    findings: tuple[ExitCode, ...] = (1,)
    """Exit codes of `run` that say that something was found; 0 says that nothing was, all others that it failed."""
    max_age: MoreSeconds | None = None
    """A report that CI left and that is older counts as none; it is never older than the commit."""
    commit: LocalPath = ""
    """A file of CI's whose first line is the commit that the report was made for."""


def whole(entry: ReportEntry) -> ReportEntry:
    """A validator: a report that comes from somewhere, with the keys that go with that."""
    if not entry.file and not entry.run:
        raise Wrong("needs a `file`, or a command in `run` that prints the report")
    if not entry.run and {"folder", "timeout", "findings"} & entry.model_fields_set:
        raise Wrong("`folder`, `timeout` and `findings` are only for a report with `run`")
    if entry.run and (entry.max_age is not None or entry.commit):
        raise Wrong("`max_age` and `commit` are only for a report that CI left", "leave `run` out, or them")
    return entry


class QualityEntry(Model):
    """A gate of quality: all its reports count together."""

    severity: Severity | None = None
    """Issues from this severity on count, and those that a tool cannot judge. Default: `info`, for dependencies
    `high`."""
    most: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = 0
    """So many issues are allowed."""
    least: dict[Name, Percent] | None = None
    """By figure, what it must be at least, in percent. Default: `maintainability: 85` (the share of modules with
    rank A) and `performance: 90`."""
    reports: Annotated[tuple[Annotated[ReportEntry, AfterValidator(whole)], ...], AfterValidator(some)]
    """The reports that are read; each must be there."""


class ReportSpec(Model):
    """A report, everything resolved."""

    format: str
    file: str
    run: tuple[str, ...]
    folder: str
    timeout: float
    """Seconds."""
    findings: tuple[int, ...]
    max_age: float | None
    """Seconds."""
    commit: str


class QualitySpec(Model):
    """A gate of quality, everything resolved."""

    name: str
    severity: str
    most: int
    least: dict[str, float]
    """Empty = issues are counted."""
    reports: tuple[ReportSpec, ...]

    @property
    def alone(self) -> bool:
        """It measures speed, so nothing else may run meanwhile."""
        return self.name == "performance"


_LEAST = {"maintainability": {"maintainability": 85.0}, "performance": {"performance": 90.0}}


def quality_spec(name: str, entry: QualityEntry) -> QualitySpec:
    """The gate of that name that an entry stands for."""
    given = {"most": entry.most, "severity": entry.severity or ("high" if name == "dependencies" else "info")}
    least = _LEAST.get(name, {}) if entry.least is None else entry.least
    return quality_spec_of(name, entry.reports).model_copy(update={**given, "least": least})


def quality_spec_of(name: str, reports: Iterable[ReportEntry]) -> QualitySpec:
    """A gate that allows no issue at all."""
    several = tuple(ReportSpec(**report.model_dump()) for report in reports)
    return QualitySpec(name=name, severity="info", most=0, least={}, reports=several)
