"""Connected components of a graph of integers, by NumPy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


def connected(size: int, firsts: Indices, seconds: Indices) -> Indices:
    """The smallest number that each one is connected with.

    Every round hooks the roots of an edge's ends together, the larger to the smaller, and flattens the
    trees (Shiloach & Vishkin 1982): the rounds grow with the logarithm of the longest path.

    Args:
        size: How many numbers there are.
        firsts: One end of each edge.
        seconds: The other one.
    """
    roots = np.arange(size, dtype=np.intp)
    while firsts.size:
        np.minimum.at(roots, np.maximum(firsts, seconds), np.minimum(firsts, seconds))
        while True:
            flatter = roots[roots]
            if np.array_equal(flatter, roots):
                break
            roots = flatter
        firsts, seconds = roots[firsts], roots[seconds]
        apart = firsts != seconds
        firsts, seconds = firsts[apart], seconds[apart]
    return roots
