"""What the page of explained layers shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convaudit.records.explanation import Explanation
from convaudit.reporters.explained import explained_heading, explained_lines, explained_sections
from convaudit.reporters.pictures import grid_svg, wiring_svg
from convaudit.reporters.text import printable


def explain_context(explanations: Sequence[Explanation]) -> dict[str, Any]:
    """All that ``explain.html`` shows."""
    names = ", ".join(told.layer.name for told in explanations[:3])
    more = f" and {len(explanations) - 3} more" if len(explanations) > 3 else ""
    return {
        "title": printable(f"{names}{more}, explained"),
        "layers": [_layer(told) for told in explanations],
    }


def _layer(told: Explanation) -> dict[str, Any]:
    drawn = {
        "Which channels reach which": (wiring_svg(told), wiring_svg(told, stacked=True)),
        "Where the taps lie": (grid_svg(told), ""),
    }
    return {
        "heading": explained_heading(told),
        "lines": explained_lines(told),
        "pictures": [(name, *both) for name, both in drawn.items() if both[0]],
        "sections": list(explained_sections(told).items()),
    }
