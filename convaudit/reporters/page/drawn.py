"""Charts as SVG for a page: drawn once, here, so that a browser shows them without a script.

What a chart tells of a mark under the mouse becomes the mark's ``aria-label``, which the page's script shows
beside the mouse, and the layer that a mark is of becomes a link to that layer's row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from convaudit.errors import DependencyError
from convaudit.records import AuditReport
from convaudit.reporters.charts import charts_of, make_chart
from convaudit.reporters.charts.rows import safe
from convaudit.reporters.text import printable

_WIDTH = 520
"""Of a chart with its axes, in pixels; where there is less room it shrinks."""
_PADDING = {"left": 16, "right": 12, "top": 4, "bottom": 4}  # a browser's type may be wider than Vega's
_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_TAGS = {"svg", "g", "path", "text", "tspan", "line", "rect", "circle", "a", "clipPath", "defs", "title"}
_DROPPED = {"class", "version", "font-family", "aria-roledescription", "role", "aria-hidden", "style"}
_LAYER = re.compile(r"#layer-\d{1,9}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart in a page."""

    name: str
    title: str
    about: str
    notes: str  # what the chart itself says of what it shows
    svg: str  # empty: there is nothing to draw, as the notes say


def drawings(report: AuditReport) -> list[Drawing]:
    """All charts that say something of a report.

    Raises:
        DependencyError: Altair or vl-convert is not installed.
    """
    return [_drawing(name, report) for name in charts_of(report)]


def _drawing(name: str, report: AuditReport) -> Drawing:
    chart = charts_of(report)[name]
    try:
        from vl_convert import vegalite_to_svg
    except ImportError as error:
        need = "an HTML page needs vl-convert-python: pip install 'convaudit[html]'"
        raise DependencyError(need) from error
    spec = make_chart(name, report).to_dict(validate=False)
    title = spec.pop("title", {})
    notes = title.get("subtitle", []) if isinstance(title, dict) else []
    for unit in _units(spec):
        _tell(unit)
    spec |= {"width": _WIDTH, "autosize": {"type": "fit-x", "contains": "padding"}, "padding": _PADDING}
    svg = embedded(vegalite_to_svg(spec), name, f"{chart.title}: {chart.about}") if _draws(spec) else ""
    return Drawing(name=name, title=chart.title, about=chart.about, notes=printable(" ".join(notes)), svg=svg)


def _units(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a Vega-Lite chart that draw marks."""
    if "mark" in spec:
        yield spec
    for key in ("layer", "hconcat", "vconcat", "concat"):
        for part in spec.get(key, ()):
            yield from _units(part)


def _draws(spec: dict[str, Any]) -> bool:
    """Whether there is any row to draw; without one, scales have no ends."""
    return any(spec.get("datasets", {}).values()) or any(
        part.get("data", {}).get("values") for part in (spec, *_units(spec))
    )


def _tell(unit: dict[str, Any]) -> None:
    """Turn a unit's tooltip into its marks' description, and link them to their layers."""
    encoding = unit.get("encoding", {})
    tooltip = encoding.pop("tooltip", None)
    if not isinstance(tooltip, list):
        encoding["description"] = {"value": ""}
        return
    parts = [
        f"(isValid(datum[{json.dumps(one['field'])}]) ? {json.dumps(one.get('title', one['field']) + ': ')} "
        f"+ replace(datum[{json.dumps(one['field'])}] + '', /; /g, ', ') + '; ' : '')"
        for one in tooltip
    ]
    link = "isValid(datum.layer) && datum.layer >= 0 ? '#layer-' + datum.layer : null"
    unit.setdefault("transform", []).extend(
        [{"calculate": " + ".join(parts), "as": "told"}, {"calculate": link, "as": "link"}]
    )
    encoding["description"] = {"field": "told", "type": "nominal"}
    encoding["href"] = {"field": "link", "type": "nominal"}


def embedded(svg: str, name: str, label: str) -> str:
    """An SVG as a part of a page: one picture to a screen reader, with nothing in it but shapes and words.

    Args:
        svg: As Vega writes it.
        name: What makes its ids its own.
        label: What it is, for who cannot see it.

    Returns:
        The same with links to layers only, and text that commands nothing.
    """
    root = ElementTree.fromstring(printable(svg).replace(safe("<"), "&lt;"))
    _clean(root, name)
    box = root.get("viewBox", "0 0 1 1")
    root.attrib.clear()
    root.attrib.update({"viewBox": box, "role": "img", "aria-label": label})
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element, name: str) -> None:
    element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    target = element.attrib.pop(_HREF, None)
    if element.tag == "a":
        found = _LAYER.search(target or "")
        element.attrib = {"href": found[0], "tabindex": "-1"} if found else {}
    for key in [key for key in element.attrib if key in _DROPPED or key.startswith("on")]:
        del element.attrib[key]
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif value.startswith("url("):
            element.set(key, value.replace("#", f"#{name}-", 1))
    label = element.get("aria-label", "")
    if element.tag in ("path", "line", "text") and label.endswith("; "):
        element.set("aria-label", label[:-2])
    else:
        element.attrib.pop("aria-label", None)
    for child in list(element):
        tag = child.tag.removeprefix(f"{{{_SVG}}}")
        empty = tag == "path" and child.get("d") in ("", "M0,0h0v0h0Z", None)
        if tag not in _TAGS or empty:
            element.remove(child)
        else:
            _clean(child, name)
    for child in [child for child in element if child.tag == "g" and not len(child) and not child.text]:
        element.remove(child)
