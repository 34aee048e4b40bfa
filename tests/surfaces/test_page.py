"""The page and the post-mortem about a run: what they say, what they never say, and that nothing in them is obeyed."""

from __future__ import annotations

import importlib.resources
import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from fairlead.model import Deployment, ErrorShare, Finding, Report, Sample, StepTime, WatchRules
from fairlead.surfaces.page import page, post_mortem
from fairlead.surfaces.page.axes import folded
from fairlead.surfaces.page.figures import failures, thinned
from fairlead.surfaces.page.words import millis, percent

BEGAN = 1_759_847_520.0
"""2025-10-07 14:32:00 UTC"""
WHY = "6 of 60 requests to crm failed in the last 300 s (10.0%, limit 5.0%, by access log)"
EVIL = "<script>alert(1)</script>\"'&`|[x](javascript:1)\n# no\x00\u202e"


def run(**more: object) -> Deployment:
    base = {
        "id": "r-1",
        "project": "shop",
        "environment": "production",
        "kind": "deploy",
        "state": "done",
        "plan": "9c1e77ab02d4" + "0" * 52,
        "started": BEGAN,
        "ended": BEGAN + 62,
        "who": "anna@desk",
        "reason": "new form",
        "services": ("api", "crm"),
        "versions": {"api": "aaaa00000002 v2", "crm": "bbbb00000002 v2"},
        "before": {"api": "aaaa00000001", "crm": ""},
        "watch_rules": WatchRules(),
    }
    return Deployment.model_validate(base | more)


BACK = {"state": "back", "why_back": WHY, "back_at": BEGAN + 40, "back_seconds": 22.0}


def step(name: str, at: float, seconds: float = 1.0, **more: object) -> StepTime:
    service = name.split(".", maxsplit=1)[0]
    base = {"step": name, "title": f"{service}: {name}", "service": service, "what": "do", "rc": 0, "phase": "activate"}
    return StepTime.model_validate(base | {"started": BEGAN + at, "seconds": seconds} | more)


STEPS = (
    step("db-mo_api.backup", 1, title="back up mo_api", service="", phase="stage"),
    step("api.upload", 1, 8, phase="stage"),
    step("crm.upload", 1, 9, phase="stage"),
    step("api.switch", 12, 2),
    step("crm.switch", 15, 2),
    step("crm.switch", 41, 2, what="undo"),
    step("api.switch", 44, 2, what="undo"),
)


def look(at: float, service: str = "api", ok: bool | None = True, ms: float = 12.0, says: str = "") -> Sample:
    return Sample(at=BEGAN + at, service=service, ok=ok, ms=ms, says=says)


LOOKS = (
    look(11),
    look(12.5, ok=False, says="connection refused"),
    look(14),
    look(15, ok=None),
    look(30),
    look(31, "crm"),
)


def share(at: float, requests: int, errors: int, source: str = "access_log") -> ErrorShare:
    base = {"at": BEGAN + at, "service": "crm", "requests": requests, "errors": errors, "source": source}
    return ErrorShare.model_validate(base)


PROOF = (
    Finding(check="http", subject="api", status="ok", says="answers 200", ms=8.4),
    Finding(check="identity", subject="api", status="ok", says="runs aaaa00000001"),
    Finding(check="http", subject="crm", status="unknown", says="answered 429", hint="try again"),
)
TOLD = ((BEGAN, "anna@desk began: new form"), (BEGAN + 14, "api: switch (2.0 s)"), (BEGAN + 40, f"going back: {WHY}"))
WHOLE = Report(
    deployment=run(**BACK),
    steps=STEPS,
    samples=LOOKS,
    shares=(share(20, 30, 0), share(30, 30, 6)),
    findings=PROOF,
    timeline=TOLD,
    downtime_ms={"api": 3000.0},
)
MANY = Report(
    deployment=run(ended=BEGAN + 2000),
    samples=tuple(
        look(
            i / 7,
            f"service-{i % 7}",
            ok=None if i % 501 == 0 else i % 97 != 0,
            ms=5 + (i * 7919) % 400,
            says="no " * 20,
        )
        for i in range(10_000)
    ),
    steps=tuple(step(f"s{i}.switch", i, 0.5) for i in range(400)),
    shares=tuple(share(i, 20, i % 3) for i in range(3000)),
    timeline=tuple((BEGAN + i, f"sentence {i}") for i in range(900)),
)
HOSTILE = Report(
    deployment=run(
        **BACK | {"why_back": EVIL, "services": (EVIL,), "versions": {EVIL: EVIL}, "before": {EVIL: EVIL}},
        project=EVIL,
        environment=EVIL,
        who=EVIL,
        reason=EVIL,
        id=EVIL,
        plan=EVIL,
    ),
    steps=(step("a.switch", 1, title=EVIL, service=EVIL, rc=1), step("a.switch", 4, title=EVIL, what="undo")),
    samples=(look(2, EVIL, ok=False, says=EVIL), look(3, EVIL, says=EVIL), look(5, "\ud800lone")),
    shares=(ErrorShare(at=BEGAN, service=EVIL, source="access_log", requests=9, errors=3),),
    findings=(Finding(check=EVIL, subject=EVIL, status="fail", says=EVIL, hint=EVIL),),
    timeline=((BEGAN, EVIL),),
)
NOTHING = Report(
    deployment=Deployment(id="r", project="", environment="e", kind="deploy", state="nothing", plan="", started=0)
)
REPORTS = {
    "came back": WHOLE,
    "done": Report(deployment=run(), steps=STEPS[:5], samples=LOOKS, timeline=TOLD[:2]),
    "open": Report(deployment=run(state="open", ended=0)),
    "nothing known": NOTHING,
    "many samples": MANY,
    "hostile values": HOSTILE,
    "one sample": Report(deployment=run(), samples=(look(3),)),
    "one sample, failed": Report(deployment=run(), samples=(look(3, ok=False),)),
    "no share known": Report(deployment=run(), samples=(look(3, ok=None),), shares=(share(1, 0, 0),)),
    "a step of no length": Report(deployment=run(), steps=(step("api.switch", 1, 0.0),)),
    "phases not known": Report(
        deployment=run(watch_rules=None), steps=(step("api.switch", 1, phase=""),), samples=LOOKS
    ),
    "clocks that disagree": Report(deployment=run(ended=BEGAN - 5), steps=(step("api.switch", -9),), samples=LOOKS),
    "a date beyond dates": Report(deployment=run(started=1e300, ended=0)),
}
every_report = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())


class Strict(HTMLParser):
    """Reads a page as browsers do, and keeps what is wrong with it."""

    VOID = {"meta"}

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        self.wrong += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if len(dict(attrs)) != len(attrs):
            self.wrong.append(f"<{tag}> has an attribute twice")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.wrong.append(f"<{tag}/> is not HTML")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def words(report: Report) -> str:
    return " ".join(" ".join(Strict(page(report)).words).split())


@every_report
def test_page_is_balanced_and_stands_alone(report: Report) -> None:
    source = page(report)
    read = Strict(source)
    assert read.wrong == []
    assert not {"script", "link", "iframe", "img", "object", "base", "a", "form", "use", "image"} & {
        t for t, _ in read.tags
    }
    for tag, attrs in read.tags:
        assert not {key for key in attrs if key.startswith("on") or key in ("src", "href", "style", "xlink:href")}, tag
        assert not any("://" in (value or "") for value in attrs.values()), tag
    assert len(source.encode()) < 1_000_000
    assert not re.search(r"url\((?!#)|@import|://", source.split("</style>")[0])
    assert "NaN" not in source and "nan" not in re.findall(r'(?:x|y|width|d)="([^"]*)"', source)


@every_report
def test_page_can_be_read_by_everybody(report: Report) -> None:
    read = Strict(page(report))
    heads = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
    assert heads[0] == 1 and heads.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(heads))
    assert len(read.every("table")) == len(read.every("caption"))
    assert all(attrs.get("scope") in ("col", "row") for attrs in read.every("th"))
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in read.every("svg"):
        assert attrs["role"] == "img"
        assert attrs["aria-labelledby"] in ids and attrs["aria-describedby"] in ids
    assert len(read.every("figure")) == len(read.every("svg")) == len(read.every("details"))
    assert read.every("html") == [{"lang": "en"}]


@every_report
def test_drawings_hold_only_figures(report: Report) -> None:
    for drawing in re.findall(r"<svg.*?</svg>", page(report), re.DOTALL):
        for element in ElementTree.fromstring(drawing).iter():
            for key in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
                value = float(element.get(key, "0"))
                assert -1 <= value <= 20_000, (element.tag, key)
            assert not re.search(r"nan|inf|e[-+]", element.get("d", ""))


@pytest.mark.parametrize(
    ("report", "said", "unsaid"),
    [
        pytest.param(
            WHOLE,
            [
                f"Came back : {WHY}",
                "anna@desk",
                "new form",
                "2025-10-07 14:32:00 UTC",
                "The whole run: 1 min 2 s, target 30 min: within its target.",
                "The way back: 22 s, target 5 min: within its target.",
                "aaaa00000001",
                "aaaa00000002 v2",
                "3,000 ms",
                "crm nothing bbbb00000002 v2 not measured ? no: answered 429",
                "✓ yes, by 2 of 2 checks",
                "way back begins",
                "activation",
                "Counted by access log: crm; probes: api.",
                "While watching, more than 5% starts the way back",
                "5 changes were made and 2 were taken back.",
                "answered 429 – try again",
                "14:32:40.0 going back: 6 of 60",
                "connection refused",
            ],
            ["no samples", "not known on"],
            id="came back",
        ),
        pytest.param(
            REPORTS["done"],
            [
                "Done : api and crm are live on the new release",
                "No proof on this machine",
                "Counted by probes: api, crm.",
            ],
            ["way back begins", "The way back:", "yes, by"],
            id="done",
        ),
        pytest.param(
            Report(deployment=run(ended=BEGAN + 1860), steps=STEPS[:5]),
            [
                "The whole run: 31 min, target 30 min: live after 17 s, within its target;",
                "the rest was watching and tidying.",
            ],
            ["over its target"],
            id="a watch that lasts is no lateness",
        ),
        pytest.param(
            Report(deployment=run(ended=BEGAN + 2000)),
            ["The whole run: 33 min 20 s, target 30 min: 3 min 20 s over its target."],
            ["within"],
            id="too slow",
        ),
        pytest.param(
            Report(deployment=run(**BACK | {"back_seconds": 420.0})),
            ["The way back: 7 min, target 5 min: 2 min over its target."],
            [],
            id="way back too slow",
        ),
        pytest.param(
            REPORTS["open"],
            ["Open : this run has not ended", "fairlead resume -e production", "The whole run: no recorded end"],
            ["Done", "within its target"],
            id="open",
        ),
        pytest.param(
            Report(deployment=run(state="open", ended=0, back_at=BEGAN + 40, why_back=WHY)),
            ["Open : the way back has begun and is not finished: 6 of 60", "The way back: no recorded end"],
            ["was proven after"],
            id="open on the way back",
        ),
        pytest.param(
            Report(deployment=run(state="closed")), ["Closed : this run was ended by hand"], ["Done"], id="closed"
        ),
        pytest.param(
            Report(deployment=run(kind="rollback")), ["api and crm are back on the earlier release"], [], id="rollback"
        ),
        pytest.param(
            NOTHING,
            [
                "Nothing : nothing is recorded of this run",
                "its services are not known",
                "No change is on record",
                "No samples on this machine",
                "No requests were counted on this machine",
                "No proof on this machine",
                "The record tells nothing of this run",
            ],
            ["0 ms", "0%", "1970"],
            id="nothing known",
        ),
        pytest.param(REPORTS["no share known"], ["the share of failed ones is not known"], ["0%"], id="no share known"),
        pytest.param(
            REPORTS["one sample, failed"],
            ["at least 0 ms: down when last looked at", "never answered rightly", "probes, at most 100%"],
            ["median"],
            id="one sample, failed",
        ),
        pytest.param(
            REPORTS["one sample"], ["median 12 ms", "not measured", "1 look at 1 service"], [], id="one sample"
        ),
        pytest.param(
            REPORTS["phases not known"],
            ["No activation is on record.", "The limit is not known."],
            ["Activation ran"],
            id="phases not known",
        ),
        pytest.param(REPORTS["a date beyond dates"], ["not recorded"], [], id="a date beyond dates"),
        pytest.param(MANY, ["The first 120 steps are drawn, 280 more are in the table."], [], id="many steps"),
    ],
)
def test_page_says(report: Report, said: list[str], unsaid: list[str]) -> None:
    told = words(report)
    assert [sentence for sentence in said if sentence not in told] == []
    assert [sentence for sentence in unsaid if sentence in told] == []


def test_way_back_is_marked_apart_from_the_way_there() -> None:
    bars = [attrs["class"] for attrs in Strict(page(WHOLE)).every("rect") if str(attrs.get("class")).startswith("bar")]
    assert bars.count("bar stage") == 3
    assert bars.count("bar activate") == 2
    assert bars.count("bar undo") == 2


def test_what_a_run_says_is_shown_and_not_obeyed() -> None:
    source = page(HOSTILE)
    assert "<script" not in source and "\x00" not in source and "\u202e" not in source
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in source
    assert "\\u202e" in source
    source.encode()


def test_style_is_the_only_thing_that_may_act() -> None:
    policy = next(attrs["content"] for attrs in Strict(page(WHOLE)).every("meta") if "http-equiv" in attrs)
    assert policy and policy.startswith("default-src 'none'; style-src 'sha256-")


def test_extremes_survive_thinning() -> None:
    points = [(float(i), 10.0) for i in range(10_000)]
    points[4321], points[8765] = (4321.0, 900.0), (8765.0, 0.5)
    kept = thinned(points, 400)
    assert len(kept) <= 404
    assert {points[0], points[4321], points[8765], points[-1]} <= set(kept)
    assert kept == sorted(kept)


def test_shares_slide_over_the_window_and_forget() -> None:
    report = Report(deployment=run(), shares=(share(0, 10, 10), share(100, 10, 0), share(400, 0, 0)))
    [_, crm] = failures(report, 300.0)
    assert [count.share for count in crm.counted] == [1.0, 0.5, None]
    assert crm.source == "access log"


def test_a_switch_is_not_held_against_the_watch() -> None:
    report = Report(deployment=run(), steps=(step("crm.switch", 12, 2),), shares=(share(13, 10, 10), share(20, 10, 0)))
    [_, crm] = failures(report, 300.0)
    assert [count.share for count in crm.counted] == [1.0, 0.0]


def _drawn(report: Report, kind: str) -> list[str]:
    return [str(attrs["d"]) for attrs in Strict(page(report)).every("path") if attrs.get("class") == kind]


@pytest.mark.parametrize(
    ("looks", "pieces"),
    [
        ((look(1), look(2), look(3), look(4)), 1),
        ((look(1), look(2), look(2.5, ok=False), look(3), look(4)), 2),
        ((look(1), look(2), look(2.5, ok=None), look(3), look(4)), 2),
        ((look(1), look(2), look(500), look(501)), 2),
    ],
    ids=["nothing missing", "a failed look", "a look that could not tell", "nobody looked for minutes"],
)
def test_a_line_is_not_drawn_where_nothing_good_was_seen(looks: tuple[Sample, ...], pieces: int) -> None:
    [line] = _drawn(Report(deployment=run(), samples=looks), "line")
    assert line.count("M") == pieces


def test_no_share_is_drawn_where_no_request_was_counted() -> None:
    counted = (share(0, 9, 1), share(10, 9, 0), share(900, 0, 0), share(910, 9, 9), share(920, 9, 0))
    assert len(_drawn(Report(deployment=run(), shares=counted), "line share")) == 2


def test_pauses_are_folded_and_steps_keep_their_scale() -> None:
    axis = folded([(0, 10), (2, 20), (1820, 1830)], left=0)
    assert [piece.pause for piece in axis.pieces] == [False, True, False]
    there, _, back = ((p.right - p.left) / (p.high - p.low) for p in axis.pieces)
    assert there == pytest.approx(back)
    assert axis.x(-5) == 0 and axis.x(9999) == axis.x(1830)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (millis(3.21), "3.2 ms"),
        (millis(1240), "1,240 ms"),
        (percent(0.0), "0%"),
        (percent(0.0004), "under 0.1%"),
        (percent(0.067), "6.7%"),
    ],
)
def test_figures_have_units(told: str, wanted: str) -> None:
    assert told == wanted


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_apart(scheme: int) -> None:
    style = importlib.resources.files("fairlead.surfaces.page").joinpath("page.css").read_text()
    root = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colour = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})\b", root))
    for ground in ("paper", "sheet"):
        for name in ("ink", "soft", "good", "back", "bad", "open", "live"):
            assert _contrast(colour[name], colour[ground]) >= 4.5, (name, ground)
    for name in ("stage", "live", "close", "undo", "good", "bad", "back"):
        assert _contrast(colour[name], colour["sheet"]) >= 3, name


# -- post-mortem


def test_post_mortem_is_filled_in_from_the_record() -> None:
    told = post_mortem(WHOLE)
    for sentence in (
        "# Deployment rollback post-mortem: shop in production",
        "- **Timestamp:** 2025-10-07 14:32:40 UTC (the way back began)",
        f"- **Trigger:** {WHY}",
        "- **Duration of the way back:** 22 s (within the target of 5 min)",
        "- **Affected services:** `api` and `crm`",
        "- **Run:** `r-1` by `anna@desk`, plan `9c1e77ab02d4`",
        "| `api` | `aaaa00000001` | `aaaa00000002 v2` | 3,000 ms |",
        "| `crm` | nothing | `bbbb00000002 v2` | not measured |",
        "| 14:32:14.0 | api: switch (2.0 s) |",
        "- unknown: `crm`, http: answered 429",
        "- `api`: 1 of 5 looks failed, at 14:32:12.5, during the activation; the first said: connection refused",
        "- `crm`: up to 10% of requests failed, by access log (6 of 60 at 14:32:30.0)",
        "This run had made 1 backup before: back up mo\\_api.",
        "Data was left as it is",
    ):
        assert sentence in told
    heads = re.findall(r"^## (.*)$", told, re.MULTILINE)
    assert heads == [
        "Incident details",
        "Timeline",
        "What was proven afterwards",
        "Root cause",
        "Prevention measures",
        "Data",
    ]
    assert told.count("- [ ] ") == 3 and told.count("to be filled in by people") == 4


def test_post_mortem_says_what_is_missing() -> None:
    told = post_mortem(Report(deployment=run(**BACK | {"why_back": "", "back_seconds": 0.0})))
    assert "- **Trigger:** not recorded" in told
    assert "not known, its end is not on record" in told
    assert "no samples on this machine" in told
    assert "The proof is not on this machine" in told
    assert "- **Affected services:** `api` and `crm`" in told


def test_post_mortem_names_only_services_that_were_changed_while_live() -> None:
    told = post_mortem(Report(deployment=run(**BACK), steps=(*STEPS[:4], STEPS[-1])))
    assert "- **Affected services:** `api`\n" in told
    staged = post_mortem(Report(deployment=run(**BACK), steps=STEPS[:3]))
    assert "- **Affected services:** none was changed while it was live" in staged


def test_values_in_a_post_mortem_stay_values() -> None:
    told = post_mortem(HOSTILE)
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", told)
    assert not re.search(r"(?<!\\)<script", outside)
    assert not re.search(r"(?<!\\)\[x", outside)
    assert re.findall(r"^#+ ", told, re.MULTILINE) == ["# ", *["## "] * 6]
    assert "\x00" not in told and "\u202e" not in told
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {3, 5}
    told.encode()
