"""How far an output deviates from the reference: each element beside its bound, each channel in the mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from convaudit.engine.operands import Array
from convaudit.judge import rounding
from convaudit.judge.activations import Function

Block: TypeAlias = tuple[slice, slice, slice]

BLOCK_ELEMENTS = 1 << 16
"""Elements compared at a time, so that the float64 temporaries stay in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What bounds the rounding errors of a correct kernel."""

    function: Function | None  # the activation
    growth: float  # bound on the error before the activation, in units of S
    underflow: float  # absolute error that it may add before the activation
    unit: float  # unit roundoff of the output
    coarser: bool  # whether the output's format is coarser than the sum's, so that it is rounded once more


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a correct kernel returns for some part of a layer. Arrays are (n, channels, positions)."""

    exact: Array  # float64: convolution, bias and residual, before the activation
    magnitude: Array  # S, the sum of the absolute values of all terms, or of some of them
    tolerance: Tolerance

    def values(self, block: Block) -> Array:
        """The expected output there."""
        exact: Array = self.exact[block]
        function = self.tolerance.function
        return exact if function is None else function.value(exact)

    def bounds(self, block: Block, values: Array) -> Array:
        """The largest errors there that rounding of the sum, the activation and the output explains."""
        tolerance = self.tolerance
        bounds: Array = tolerance.growth * self.magnitude[block].astype(np.float64) + tolerance.underflow
        if tolerance.function is not None:
            bounds *= tolerance.function.lipschitz
            bounds += tolerance.unit * tolerance.function.evaluation(self.exact[block])
        elif not tolerance.coarser:
            return bounds  # the last addition's rounding, in ``growth``, is the output's
        return bounds + tolerance.unit * (np.abs(values) + bounds)

    def bound_at(self, index: Sequence[int]) -> float:
        """The bound of one element."""
        image, row, column = (slice(at, at + 1) for at in index)
        block = image, row, column
        return float(self.bounds(block, self.values(block)).item())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """Errors of an output. Arrays are (channels,); an energy is a mean square over a channel's elements."""

    samples: int  # elements of a channel
    error: Array  # energy of the error
    output: Array  # energy of the expected output
    signal: Array  # energy of what passes the activation: equal to output if there is none
    gain: Array  # energy of the activation's derivative: 1 if there is none, 0 where it is saturated
    evaluation: Array  # energy of the error that evaluating the activation may add
    exceeding: Array  # number of elements whose error is above its bound
    identical: bool  # every element is the expected one, rounded once
    max_abs_error: float
    worst_ratio: float  # largest quotient of an error and its bound
    worst_index: tuple[int, ...]  # (n, channel, *position) where it is
    worst_bound: float  # the bound there

    @property
    def bits(self) -> float:
        """Accuracy carried: ``-log2(RMS error / RMS signal)``, infinite if there is no error."""
        error, output = float(self.error.mean()), float(self.output.mean())
        if error == 0:
            return math.inf
        return 0.5 * math.log2(output / error) if output > 0 and error < math.inf else -math.inf


class Tally:
    """Errors of a layer's output, added up part by part."""

    def __init__(self, shape: Sequence[int]) -> None:
        """Start for an output (N, channels, *spatial)."""
        images, channels, *self._spatial = shape
        self._samples = max(1, images * math.prod(self._spatial))
        self._energies = np.zeros((5, channels))  # in the order of Deviation's fields
        self._exceeding = np.zeros(channels, np.int64)
        self._identical, self._largest = True, 0.0
        self._worst: tuple[float, tuple[int, ...], float] = (-1.0, (0,) * len(shape), 0.0)

    def add(self, output: Array, expected: Expectation, place: Sequence[slice]) -> None:
        """Compare one part, block by block.

        Args:
            output: (n, channels, positions) that the runtime returned.
            expected: What to compare it with.
            place: Images, output channels and positions of the part in the whole.
        """
        channels = place[1]
        worst, at = self._worst[0], None
        for block in _blocks(output.shape):
            values, actual = expected.values(block), output[block]
            bounds = expected.bounds(block, values)
            error = np.abs(_difference(actual, values, bounds))
            self._identical = self._identical and bool(np.array_equal(_rounded(values, actual.dtype), actual))
            self._largest = max(self._largest, float(error.max()))
            images, rows, columns = block
            these = slice(channels.start + rows.start, channels.start + rows.stop)
            self._energies[:, these] += [_energy(error), *_passed(expected, block, values)]
            ratio = np.divide(error, bounds, out=bounds)
            flat = int(ratio.argmax())
            highest = float(ratio.reshape(-1)[flat])
            if highest > 1:
                self._exceeding[these] += np.count_nonzero(ratio > 1, axis=(0, 2))
            if highest > worst:
                image, row, column = np.unravel_index(flat, ratio.shape)
                worst = highest
                at = int(image) + images.start, int(row) + rows.start, int(column) + columns.start
        if at is not None:
            self._worst = worst, index_of(at, place), expected.bound_at(at)

    def result(self) -> Deviation:
        """The deviation of all parts together."""
        error, output, signal, gain, evaluation = self._energies / self._samples
        return Deviation(
            samples=self._samples,
            error=error,
            output=output,
            signal=signal,
            gain=gain,
            evaluation=evaluation,
            exceeding=self._exceeding,
            identical=self._identical,
            max_abs_error=self._largest,
            worst_ratio=self._worst[0],
            worst_index=self._worst[1],
            worst_bound=self._worst[2],
        )


def index_of(at: Sequence[int], place: Sequence[slice]) -> tuple[int, ...]:
    """Index of an element of a part in the whole output.

    Args:
        at: Image, channel and flat position within the part.
        place: Images, output channels and positions of the part in the whole.

    Returns:
        (n, channel, *position)
    """
    image, channel, position = at
    spatial = np.unravel_index(position, [axis.stop - axis.start for axis in place[2:]])
    within = (image, channel, *(int(item) for item in spatial))
    return tuple(axis.start + item for axis, item in zip(place, within, strict=True))


def _blocks(shape: tuple[int, ...]) -> Iterator[Block]:
    images, channels, positions = shape
    columns = min(positions, BLOCK_ELEMENTS)
    rows = min(channels, max(1, BLOCK_ELEMENTS // columns))
    depth = max(1, BLOCK_ELEMENTS // (rows * columns))
    steps = ((images, depth), (channels, rows), (positions, columns))
    for starts in itertools.product(*(range(0, size, step) for size, step in steps)):
        image, row, column = (
            slice(start, min(start + step, size)) for start, (size, step) in zip(starts, steps, strict=True)
        )
        yield image, row, column


def _difference(actual: Array, values: Array, bounds: Array) -> Array:
    """Actual minus expected: 0 where both overflow the output's format, infinite where only one does."""
    difference: Array = np.subtract(actual, values, dtype=np.float64)
    if not math.isfinite(difference.sum()):
        overflow = np.isinf(actual) & (np.sign(actual) == np.sign(values))
        overflow &= np.abs(values) + bounds >= float(rounding.limits(actual.dtype).max)
        difference[overflow] = 0
        difference[~np.isfinite(difference)] = np.inf
    return difference


def _passed(expected: Expectation, block: Block, values: Array) -> tuple[Array, Array, Array, Array]:
    """Sums of squares: output, signal passing the activation, its derivative, error of evaluating it."""
    energy, exact, function = _energy(values), expected.exact[block], expected.tolerance.function
    if function is None:
        images, channels, positions = exact.shape
        return energy, energy, np.full(channels, float(images * positions)), np.zeros(channels)
    gain = function.derivative(exact)
    evaluation = np.broadcast_to(expected.tolerance.unit * function.evaluation(exact), exact.shape)
    return energy, _energy(gain * exact), _energy(gain), _energy(evaluation)


def _energy(values: Array) -> Array:
    energy: Array = np.einsum("ncp,ncp->c", values, values)
    return energy


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def beyond_bounds(output: Array, expected: Expectation) -> tuple[Array, Array]:
    """Compare each element of a part with its bound.

    Args:
        output: (n, channels, positions) that the runtime returned.
        expected: What to compare it with.

    Returns:
        A mask of the elements whose error is above its bound, and all squared errors; both (n, channels,
        positions).
    """
    above, energy = np.zeros(output.shape, bool), np.zeros(output.shape)
    for block in _blocks(output.shape):
        values = expected.values(block)
        bounds = expected.bounds(block, values)
        difference = _difference(output[block], values, bounds)
        above[block], energy[block] = np.abs(difference) > bounds, np.square(difference)
    return above, energy
