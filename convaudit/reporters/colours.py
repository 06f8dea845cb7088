"""One table of colours: each kind of layer, each verdict and each bound looks the same wherever it is drawn.

Every colour has a contrast of at least 3 to 1 against white and against the near-black of dark pages (WCAG
2.1, 1.4.11), so that charts need no second set for the dark. The kinds differ for readers without red, green
or blue cones too (Machado et al. 2009, full severity: at least 0.07 in Oklab), and where points are
drawn each kind has a shape of its own as well.
"""

from __future__ import annotations

from convaudit.records import KINDS, STATUSES, Status
from convaudit.records.verification import Meaning

OTHER = "other"
"""What stands for a kind where the row is of another multiplying op."""
_OF_KINDS = {
    "dense": "#2b62e3",
    "pointwise": "#12a0cf",
    "grouped": "#cf7d10",
    "depthwise": "#c9281a",
    "transposed": "#26763f",
    "deformable": "#a540ba",
}
KIND_COLOURS: dict[str, str] = {**{kind: _OF_KINDS[kind] for kind in KINDS}, OTHER: "#848484"}
"""By ``LayerCost.kind``, and for other multiplying ops."""
KIND_SHAPES: dict[str, str] = {
    "dense": "circle",
    "pointwise": "diamond",
    "grouped": "square",
    "depthwise": "triangle-up",
    "transposed": "triangle-down",
    "deformable": "cross",
    OTHER: "stroke",
}
"""Vega's name of the shape that a point of the kind has."""
QUIET = "#848484"
"""What stands beside the matter itself: groups=1, roofs, a rest."""
GOOD, BAD, DOUBTFUL = "#26763f", "#c9281a", "#cf7d10"


def _colour_of(meaning: Meaning) -> str:
    if meaning.proves == "right":
        return "#2b62e3" if meaning.told == "counted" else DOUBTFUL
    return BAD if meaning.proves == "wrong" else QUIET


STATUS_COLOURS: dict[Status, str] = {status: _colour_of(meaning) for status, meaning in STATUSES.items()}
"""By the status of a verification: right, right in a format that is named, wrong, nothing proven."""
THEMES = {"light": ("#ffffff", "#1f2328"), "dark": ("#14171c", "#e8eaed")}
"""Background and text of pictures that stand alone."""
_DARK_TEXT_FROM = 0.18  # relative luminance from which black reads better than white


def text_on(colour: str) -> str:
    """Black or white, whichever is easier to read on a colour.

    >>> text_on("#12a0cf"), text_on("#c9281a")
    ('#000000', '#ffffff')
    """
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]  # WCAG 2.1
    return "#000000" if luminance > _DARK_TEXT_FROM else "#ffffff"
