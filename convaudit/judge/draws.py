"""How many independent draws a channel's errors are: equal results come from equal patches, and err alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

DISTINCT = 1 << 20
"""Distinct results to remember. Of more, the lightest count as new ones where they come again: of so many
draws each is too light for that to be seen."""


class Draws:
    """Distinct results and how often each came, added up part by part."""

    def __init__(self, variance: Callable[[Array], Array]) -> None:
        """Start with the variance of the error of a result."""
        self._variance = variance
        self._values, self._counts = np.zeros(0), np.zeros(0, np.int64)
        self._total, self._squares, self._heaviest = 0.0, 0.0, 0.0  # of what is no longer remembered

    def add(self, values: Array) -> None:
        """Take some results into account."""
        found, counts = np.unique(values, return_counts=True)
        if not len(self._values):
            self._values, self._counts = found, counts
        else:
            joined = np.concatenate([self._values, found])
            self._values, where = np.unique(joined, return_inverse=True)
            both = np.concatenate([self._counts, counts])
            self._counts = np.bincount(where, weights=both).astype(np.int64)
        if len(self._values) > DISTINCT:
            self._forget()

    @property
    def spread(self) -> float:
        """Of the distinct results' weights a, each its share of the variance: ``|a|_2 / |a|_1``."""
        total, squares, _ = self._sums()
        return float(squares**0.5 / total) if total else 0.0

    @property
    def peak(self) -> float:
        """``|a|_max / |a|_1``."""
        total, _, heaviest = self._sums()
        return heaviest / total if total else 0.0

    def _sums(self) -> tuple[float, float, float]:
        weights = self._counts * self._variance(self._values)
        return (
            self._total + float(weights.sum()),
            self._squares + float(np.square(weights).sum()),
            max(self._heaviest, float(weights.max(initial=0.0))),
        )

    def _forget(self) -> None:
        """Keep the heavier half of what may be remembered."""
        weights = self._counts * self._variance(self._values)
        order = np.argpartition(weights, len(weights) - DISTINCT // 2)
        light, kept = order[: -DISTINCT // 2], np.sort(order[-DISTINCT // 2 :])
        self._total += float(weights[light].sum())
        self._squares += float(np.square(weights[light]).sum())
        self._heaviest = max(self._heaviest, float(weights[light].max()))
        self._values, self._counts = self._values[kept], self._counts[kept]
