"""A layer's wiring and its window as pictures: standalone SVG text, for a page, a notebook or a file.

Each is an ``<svg>`` of bounded size whatever the layer, without script, style, reference or id, so that any
number of them stand in one page below the strictest policy. Words are in ``currentColor``, and colours in CSS
variables (``--convaudit-g0`` to ``--convaudit-g7``, ``--convaudit-pad``) whose fallbacks suit light and dark.
"""

from convaudit.reporters.pictures.grid import grid_svg
from convaudit.reporters.pictures.wiring import wiring_svg

__all__ = ["grid_svg", "wiring_svg"]
