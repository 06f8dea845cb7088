"""Made-up samples: what a timer would hand back."""

from __future__ import annotations

from typing import Any

import pytest

from convaudit.records.timing import LayerSamples, Samples

_ORDER = (0, 5, 2, 7, 1, 6, 3, 8, 4, 11, 9, 10)


def around(seconds: float, jitter: float = 0.001, rounds: int = 12) -> Samples:
    """Samples whose order looks random and whose median is ``seconds``, of all 12 rounds."""
    return tuple(seconds * (1 + jitter * (step - 5.5)) for step in _ORDER[:rounds])


def close(value: float) -> Any:
    """Medians of ratios are not exactly the ratios of medians."""
    return pytest.approx(value, rel=1e-4)


def layer_samples(alone: float, dense: float | None = None, **changes: Any) -> LayerSamples:
    """A quiet layer: its copy takes as long, and it takes as long in the model."""
    values: dict[str, Any] = {
        "alone": around(alone),
        "dense": around(dense)[::-1] if dense is not None else (),
        "itself": around(alone),
        "in_model": around(alone),
        "kernel": "Conv (NCHWc)",
        "dense_kernel": "Conv (NCHWc)" if dense is not None else None,
    }
    return LayerSamples(**(values | changes))
