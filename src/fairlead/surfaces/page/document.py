"""The page: verdict first, then how long, what, when, how it answered, what was proven, and what happened."""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.resources
import xml.etree.ElementTree as ET
from string import Template

from fairlead.model import Finding, Report
from fairlead.surfaces.page import figures
from fairlead.surfaces.page.durations import drawn_durations
from fairlead.surfaces.page.failed import drawn_failed
from fairlead.surfaces.page.markup import Node, moment, table, tag, text_of
from fairlead.surfaces.page.responses import drawn_responses
from fairlead.surfaces.page.steps import drawn_steps
from fairlead.surfaces.page.words import clean, clock, millis, names, utc, verdict

SIGNS = {"ok": "✓ ok", "warn": "! warning", "fail": "✗ failed", "unknown": "? not known"}


def page(report: Report) -> str:
    """One run as a complete HTML document that needs nothing beside it: no script, no font, no network."""
    folder = importlib.resources.files("fairlead.surfaces.page")
    style = folder.joinpath("page.css").read_text()
    style_sum = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    run, told = report.deployment, verdict(report.deployment)
    return Template(folder.joinpath("page.html").read_text()).substitute(
        title=html.escape(clean(f"{told.word}: {run.kind} {run.id} of {run.project} in {run.environment}")),
        style=style,
        style_sum=f"sha256-{style_sum}",
        body=text_of(_body(report)),
    )


def _body(report: Report) -> ET.Element:
    main = tag(
        "main",
        _section("How long it took", drawn_durations(report)),
        _section("Services", _services(report)),
        _section("Steps", _steps(report)),
        _section("Response times", _responses(report)),
        _section("Failed requests", _failed(report)),
        _section("What was proven at the end", _findings(report)),
        _section("What happened", _timeline(report)),
    )
    foot = "Made by Fairlead from the run's record on its lock host and this machine's history of it. All times in UTC."
    return tag("body", _head(report), main, tag("footer", tag("p", foot)))


def _section(title: str, content: Node | list[ET.Element]) -> ET.Element:
    return tag("section", tag("h2", title), content)


def _missing(says: str) -> ET.Element:
    return tag("p", says, class_="missing")


def _head(report: Report) -> ET.Element:
    run, told = report.deployment, verdict(report.deployment)
    title = tag("h1", tag("span", told.word, class_=f"{told.tone}-word"), f": {told.headline}")
    place = f"{run.project or 'project not recorded'} · {run.environment or 'environment not recorded'} · {run.kind}"
    return tag("header", tag("p", place, class_="place"), title, tag("p", told.more, class_="more"), _facts(report))


def _facts(report: Report) -> ET.Element:
    run = report.deployment
    facts: list[tuple[str, Node]] = [
        ("Who", run.who or "not recorded"),
        ("Began", moment(run.started, utc(run.started))),
        ("Ended", moment(run.ended, utc(run.ended)) if run.ended else "not ended"),
        ("Reason given", run.reason or "none"),
        ("Run", tag("code", run.id)),
        ("Plan", tag("code", run.plan[:12]) if run.plan else "not recorded"),
    ]
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts], class_="facts")


def _services(report: Report) -> list[ET.Element]:
    found = figures.services(report)
    if not found:
        return [_missing("The plan of this run is gone from the lock host, so its services are not known.")]
    heads = ("Service", "Before", "Wanted", "Longest downtime", "Proven at the end")
    note = (
        "Downtime is the longest time between two good looks with a bad one between them; "
        "0 ms means that no look failed. A gap shorter than the distance between two looks cannot be seen."
    )
    rows = [_service_row(report, service) for service in found]
    return [table("Releases: what was live, what was wanted", heads, rows), tag("p", note, class_="note")]


def _service_row(report: Report, service: str) -> tuple[Node, ...]:
    run = report.deployment
    wanted, _, version = run.versions.get(service, "").partition(" ")
    before = run.before.get(service, "")
    sign, proof = figures.proof(report.findings, service)
    return (
        service,
        tag("code", before) if before else "nothing" if service in run.before else "not known",
        tag("span", tag("code", wanted), f" {version}") if wanted else "not known",
        figures.downtime(report, service),
        f"{sign} {proof}".strip(),
    )


def _steps(report: Report) -> ET.Element:
    if not report.steps:
        return _missing("No change is on record: nothing was done, and nothing taken back.")
    return drawn_steps(report)


def _responses(report: Report) -> ET.Element:
    if not report.samples:
        return _missing("No samples on this machine: either nobody watched, or somebody did from another machine.")
    return drawn_responses(report)


def _failed(report: Report) -> ET.Element:
    if not any(share.requests for share in report.shares) and all(sample.ok is None for sample in report.samples):
        return _missing("No requests were counted on this machine, so the share of failed ones is not known.")
    return drawn_failed(report)


def _findings(report: Report) -> ET.Element:
    if not report.findings:
        return _missing("No proof on this machine: what was checked at the end is kept where the run ended.")
    heads = ("Subject", "Check", "Result", "What was seen", "Took")
    subjects = dict.fromkeys(finding.subject for finding in report.findings)
    return table(f"Checks of {names(subjects)}", heads, [_finding_row(finding) for finding in report.findings])


def _finding_row(finding: Finding) -> tuple[Node, ...]:
    says = finding.says + (f" – {finding.hint}" if finding.hint and finding.status != "ok" else "")
    result = tag("span", SIGNS[finding.status], class_=f"status-{finding.status}")
    took = "not measured" if finding.ms is None else millis(finding.ms)
    return finding.subject, finding.check, result, says, took


def _timeline(report: Report) -> ET.Element:
    if not report.timeline:
        return _missing("The record tells nothing of this run.")
    told = [tag("li", moment(at, clock(at)), tag("span", says)) for at, says in report.timeline]
    return tag("ol", told, class_="told")
