"""HTML and SVG as trees of elements: what is text stays text, because only the serialiser writes angle brackets."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from fairlead.surfaces.page.words import clean, utc

Node = ET.Element | str | None


def tag(name: str, *children: Node | Iterable[Node], **attributes: str | float | None) -> ET.Element:
    """An element. `class_` becomes class, `aria_label` aria-label; what is None is left out."""
    element = ET.Element(name)
    for key, value in attributes.items():
        if value is not None:
            element.set(key.rstrip("_").replace("_", "-"), clean(value) if isinstance(value, str) else number(value))
    for child in children:
        for node in [child] if child is None or isinstance(child, str | ET.Element) else child:
            _add(element, node)
    return element


def _add(element: ET.Element, node: Node) -> None:
    if isinstance(node, ET.Element):
        element.append(node)
    elif node is not None and len(element):
        element[-1].tail = (element[-1].tail or "") + clean(node)
    elif node is not None:
        element.text = (element.text or "") + clean(node)


def number(value: float) -> str:
    """A coordinate: one decimal is a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def text_of(element: ET.Element) -> str:
    """The element as text; `<div></div>` is never shortened, which HTML would read as an open tag."""
    return ET.tostring(element, encoding="unicode", short_empty_elements=False)


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Node]]) -> ET.Element:
    """A table whose first column heads its rows. It scrolls by itself where it is wider than the page."""
    head = tag("thead", tag("tr", [tag("th", title, scope="col") for title in heads]))
    body = tag("tbody", (_row(row) for row in rows))
    whole = tag("table", tag("caption", caption), head, body)
    return tag("div", whole, class_="wide", role="group", aria_label=caption, tabindex="0")


def _row(cells: Sequence[Node]) -> ET.Element:
    first = tag("th", cells[0], scope="row")
    return tag("tr", first, [tag("td", cell) for cell in cells[1:]])


def picture(name: str, title: str, says: str, size: tuple[float, float], drawn: Iterable[Node]) -> ET.Element:
    """An SVG that tells what it shows. `name` is unique on the page, `size` is width and height in pixels."""
    width, height = size
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", says, id=f"{name}-desc"),
        drawn,
        role="img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
    )


def figure(name: str, drawing: ET.Element, caption: str, *tables: ET.Element) -> ET.Element:
    """A drawing with its words, and the same figures as tables beneath."""
    scroll = tag("div", drawing, class_="wide", role="group", aria_label=f"plot: {name}", tabindex="0")
    figures = tag("details", tag("summary", f"The figures: {name}"), *tables)
    return tag("figure", scroll, tag("figcaption", caption), figures)


def moment(at: float, says: str) -> ET.Element:
    """A time that machines can read too; `at` in unix seconds."""
    date = utc(at, "%Y-%m-%dT%H:%M:%SZ")
    return tag("time", says, datetime=date if date[0].isdigit() else None)
