from __future__ import annotations

from fairlead.checks.reports.dsgvo import outcome
from fairlead.checks.reports.report import Issue, Report, document, flag, mapping, name, text, when
from fairlead.errors import NotReady


def read(raw: bytes) -> Report:
    """A summary of quality gates that another program has asked: each gate that did not pass is an issue."""
    report = mapping(document(raw), "report")
    made_for = mapping(report.get("metadata"), "metadata")
    gates = mapping(report.get("quality_gates"), "quality_gates")
    if not gates:
        raise NotReady("no gate was asked")
    passed = {
        gate: flag(mapping(entry, "gate").get("passed"), f"passed of {name(gate)}") for gate, entry in gates.items()
    }
    overall = outcome(mapping(report.get("summary"), "summary").get("overall_status"), "summary.overall_status")
    if all(passed.values()) == (overall == "failed"):
        raise NotReady("the report contradicts itself: overall_status is not what its gates give")
    return Report(
        "summary",
        tuple(Issue("high", name(gate)) for gate, yes in passed.items() if not yes),
        commit=text(made_for.get("commit"), "metadata.commit"),
        made=when(made_for.get("generated_at"), "metadata.generated_at"),
    )
