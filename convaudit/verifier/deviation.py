"""How far an output lies from the float64 recomputation: each element against its bound, and each channel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convaudit.verifier import rounding
from convaudit.verifier.activations import Function

Array: TypeAlias = NDArray[Any]
Block: TypeAlias = tuple[int, slice, slice]

BLOCK_ELEMENTS = 1 << 16
"""Elements compared at a time, so that the float64 temporaries stay in the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an honest runtime returns, and how far from it rounding may lead.

    Arrays are (N, channels, positions).
    """

    exact: Array  # float64: convolution, bias and residual, before the activation
    magnitude: Array  # S, the sum of the absolute values of all terms, or less
    function: Function | None  # the activation
    growth: float  # bound on the error before the activation, in units of S
    underflow: float  # absolute error that it may add before the activation
    unit: float  # unit roundoff of the output
    coarser: bool  # than the format of the sum, so that the result is rounded once more

    def values(self, block: Block) -> Array:
        """The expected output there."""
        exact: Array = self.exact[block]
        return exact if self.function is None else self.function.value(exact)

    def bounds(self, block: Block, values: Array) -> Array:
        """The largest error there that rounding explains: of the sum, of the activation and of the output."""
        bounds: Array = self.growth * self.magnitude[block].astype(np.float64) + self.underflow
        if self.function is not None:
            bounds *= self.function.lipschitz
            bounds += self.unit * self.function.evaluation(self.exact[block])
        elif not self.coarser:
            return bounds  # the last addition's rounding, in ``growth``, is the output's
        return bounds + self.unit * (np.abs(values) + bounds)

    def bound_at(self, index: tuple[int, int, int]) -> float:
        """The bound of one element."""
        image, row, column = index
        block = image, slice(row, row + 1), slice(column, column + 1)
        return float(self.bounds(block, self.values(block)).item())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """Errors, summed up per output channel. An energy is a mean square over the channel's elements."""

    samples: int  # elements of a channel
    error: Array  # energy of the error
    output: Array  # energy of the expected output
    signal: Array  # energy of what passes the activation: equal to output if there is none
    gain: Array  # energy of the activation's derivative: 1 if there is none, 0 where it is saturated
    evaluation: Array  # energy of the error that evaluating the activation may add
    exceeding: Array  # number of elements above their bound
    identical: bool  # every element is the expected one, rounded once
    max_abs_error: float
    worst_ratio: float  # largest error in units of its bound
    worst_index: tuple[int, int, int]  # (n, channel, position) of it
    worst_bound: float

    @property
    def bits(self) -> float:
        """Accuracy carried: ``-log2(RMS error / RMS signal)``, infinite if there is no error."""
        error, output = float(self.error.mean()), float(self.output.mean())
        if error == 0:
            return math.inf
        return 0.5 * math.log2(output / error) if output > 0 and error < math.inf else -math.inf


def measure(output: Array, expected: Expectation) -> Deviation:
    """Compare ``output`` (N, channels, positions) with what is expected, block by block."""
    images, channels, positions = output.shape
    energies = np.zeros((5, channels))  # in the order of Deviation's fields
    exceeding = np.zeros(channels, np.int64)
    identical, largest, worst = True, 0.0, (-1.0, (0, 0, 0))
    for block in _blocks(output.shape):
        image, rows, columns = block
        values, actual = expected.values(block), output[block]
        bounds = expected.bounds(block, values)
        error = np.abs(_difference(actual, values, bounds))
        identical = identical and bool(np.array_equal(_rounded(values, actual.dtype), actual))
        largest = max(largest, float(error.max()))
        energies[:, rows] += [_energy(error), *_passed(expected, block, values)]
        ratio = np.divide(error, bounds, out=bounds)
        row, column = divmod(int(ratio.argmax()), ratio.shape[1])
        highest = float(ratio[row, column])
        if highest > 1:
            exceeding[rows] += np.count_nonzero(ratio > 1, axis=1)
        if highest > worst[0]:
            worst = highest, (image, rows.start + row, columns.start + column)
    energies /= images * positions
    error_, output_, signal, gain, evaluation = energies
    return Deviation(
        samples=images * positions,
        error=error_,
        output=output_,
        signal=signal,
        gain=gain,
        evaluation=evaluation,
        exceeding=exceeding,
        identical=identical,
        max_abs_error=largest,
        worst_ratio=worst[0],
        worst_index=worst[1],
        worst_bound=expected.bound_at(worst[1]),
    )


def _blocks(shape: tuple[int, ...]) -> Iterator[Block]:
    images, channels, positions = shape
    columns = min(positions, BLOCK_ELEMENTS)
    rows = max(1, BLOCK_ELEMENTS // columns)
    for image, row, column in itertools.product(
        range(images), range(0, channels, rows), range(0, positions, columns)
    ):
        yield image, slice(row, min(row + rows, channels)), slice(column, min(column + columns, positions))


def _difference(actual: Array, values: Array, bounds: Array) -> Array:
    """Actual less expected: 0 where both overflow the output's format, infinite where one does."""
    difference: Array = np.subtract(actual, values, dtype=np.float64)
    if not math.isfinite(difference.sum()):
        overflow = np.isinf(actual) & (np.sign(actual) == np.sign(values))
        overflow &= np.abs(values) + bounds >= float(rounding.limits(actual.dtype).max)
        difference[overflow] = 0
        difference[~np.isfinite(difference)] = np.inf
    return difference


def _passed(expected: Expectation, block: Block, values: Array) -> tuple[Array, Array, Array, Array]:
    """Sums of squares: output, signal passing the activation, its derivative, error of evaluating it."""
    energy, exact = _energy(values), expected.exact[block]
    if expected.function is None:
        return energy, energy, np.full(len(exact), float(exact.shape[1])), np.zeros(len(exact))
    gain = expected.function.derivative(exact)
    evaluation = np.broadcast_to(expected.unit * expected.function.evaluation(exact), exact.shape)
    return energy, _energy(gain * exact), _energy(gain), _energy(evaluation)


def _energy(values: Array) -> Array:
    energy: Array = np.einsum("cp,cp->c", values, values)
    return energy


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def beyond_bounds(output: Array, expected: Expectation) -> tuple[Array, Array]:
    """Of each element (N, channels, positions), whether it is above its bound, and its squared error."""
    above, energy = np.zeros(output.shape, bool), np.zeros(output.shape)
    for block in _blocks(output.shape):
        values = expected.values(block)
        bounds = expected.bounds(block, values)
        difference = _difference(output[block], values, bounds)
        above[block], energy[block] = np.abs(difference) > bounds, np.square(difference)
    return above, energy
