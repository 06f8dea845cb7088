"""The convolution of an ``Execution`` once more, by convaudit's own engine, in the precision asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from convaudit.engine import MacCounter, conv, conv_transpose, deform_conv
from convaudit.verifier.execution import Deformation, Execution

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be convolved. The operands may differ from the execution's; its attributes hold."""

    execution: Execution
    x: Array  # (N, channels, *spatial) whatever the execution's layout, behind its past state if it has one
    weight: Array
    bias: Array | None
    residual: Array | None
    mask: Array | None  # of a deformable convolution
    workspace_bytes: int

    def map(self, function: Callable[[Array], Array]) -> Problem:
        """The same problem with ``function`` applied to each operand."""

        def optional(operand: Array | None) -> Array | None:
            return None if operand is None else function(operand)

        return replace(
            self,
            x=function(self.x),
            weight=function(self.weight),
            bias=optional(self.bias),
            residual=optional(self.residual),
            mask=optional(self.mask),
        )

    @property
    def terms(self) -> int:
        """Number of terms that an output element sums: products, bias and residual."""
        inputs = int(self.x.shape[1]) // self.execution.groups
        extra = (self.bias is not None) + (self.residual is not None)
        return inputs * math.prod(self.weight.shape[2:]) + extra

    def output_index(self, index: Sequence[int]) -> tuple[int, ...]:
        """Where (n, channel, position), positions in one axis, is in the output as it was laid out."""
        image, channel, position = index
        shape = channels_first(self.execution.output, self.execution).shape[2:]
        spatial = tuple(int(item) for item in np.unravel_index(position, shape))
        if self.execution.layout == "channels_last":
            return (image, *spatial, channel)
        return (image, channel, *spatial)


def pose(execution: Execution, *, workspace_bytes: int) -> Problem:
    """The problem that the runtime was given, in float64, which holds every narrower format exactly."""
    x, residual = channels_first(execution.x, execution), execution.residual
    weight, quantization = execution.weight, execution.quantization
    if execution.past_state is not None:
        x = np.concatenate([execution.past_state, x], axis=2)
    if quantization is not None:
        x = np.subtract(x, quantization.x_zero_point, dtype=np.float64)
        weight = np.subtract(weight, _of_filters(quantization.w_zero_point, execution), dtype=np.float64)
    return Problem(
        execution=execution,
        x=x,
        weight=weight,
        bias=execution.bias,
        residual=None if residual is None else channels_first(residual, execution),
        mask=None if execution.deformation is None else execution.deformation.mask,
        workspace_bytes=workspace_bytes,
    ).map(lambda operand: np.ascontiguousarray(operand, np.float64))


def _of_filters(values: Array | int, execution: Execution) -> Array:
    """A scalar, or one value per output channel, shaped to be combined with the weight."""
    values, rank = np.asarray(values), execution.weight.ndim - 2
    if values.size == 1:
        return values.reshape(())
    if not execution.transposed:
        return values.reshape(-1, 1, *(1 for _ in range(rank)))
    groups, inputs = execution.groups, execution.weight.shape[0] // execution.groups
    by_group = values.reshape(groups, 1, -1, *(1 for _ in range(rank)))
    return by_group.repeat(inputs, axis=1).reshape(-1, *by_group.shape[2:])


def channels_first(array: Array, execution: Execution) -> Array:
    """A view (N, channels, *spatial) of an activation of the execution."""
    return np.moveaxis(array, -1, 1) if execution.layout == "channels_last" else array


def solve(problem: Problem, counter: MacCounter | None = None) -> Array:
    """Convolution, bias and residual, in the operands' precision; no activation."""
    execution = problem.execution
    settings: dict[str, Any] = {
        "stride": execution.stride,
        "padding": execution.padding,
        "dilation": execution.dilation,
        "groups": execution.groups,
        "workspace_bytes": problem.workspace_bytes,
        "counter": counter,
    }
    operands = problem.x, problem.weight, problem.bias
    if execution.deformation is not None:
        result = _deformed(problem, execution.deformation, settings)
    elif execution.transposed:
        result = conv_transpose(*operands, output_padding=execution.output_padding or 0, **settings)
    else:
        result = conv(*operands, **settings)
    if problem.residual is not None:
        result += problem.residual
    return result


def _deformed(problem: Problem, deformation: Deformation, settings: dict[str, Any]) -> Array:
    operands = problem.x, problem.weight, deformation.offset, problem.bias, problem.mask
    return deform_conv(*operands, offset_groups=deformation.offset_groups, **settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A problem solved in float64."""

    exact: Array  # (N, channels, *spatial): convolution, bias and residual, before the activation
    products: Array  # of each output channel, the mean of Q, the sum of the squared products
    macs: int  # multiply-adds that the engine counted


def solution_of(problem: Problem) -> Solution:
    """Solve a problem whose operands are float64."""
    counter = MacCounter()
    exact = solve(problem, counter)
    return Solution(exact=exact, products=product_energy(problem, exact.shape[2:]), macs=counter.macs)


def magnitude(problem: Problem, *, terms: int) -> Array:
    """S, the sum of the absolute values of an element's terms; less if ``terms`` are not all of them.

    In float32: a bound need not be exact.
    """
    problem = problem.map(lambda operand: np.abs(operand, dtype=np.float32))
    groups, transposed = problem.execution.groups, problem.execution.transposed
    inputs = problem.x.shape[1] // groups
    keep = min(inputs, -(-terms // math.prod(problem.weight.shape[2:])))
    if problem.execution.deformation is not None:
        keep = inputs  # its offsets belong to all of them
    return solve(
        replace(
            problem,
            x=_first_of_each_group(problem.x, 1, groups, keep),
            weight=_first_of_each_group(problem.weight, 0, groups, keep)
            if transposed
            else problem.weight[:, :keep],
        )
    )


def _first_of_each_group(array: Array, axis: int, groups: int, keep: int) -> Array:
    size = array.shape[axis] // groups
    kept = np.add.outer(np.arange(groups) * size, np.arange(keep)).reshape(-1)
    return array if keep == size else array.take(kept, axis)


def product_energy(problem: Problem, out_spatial: tuple[int, ...]) -> Array:
    """Per output channel, the mean over its elements of Q, the sum of the squared products.

    The mean over positions needs no convolution: it is each tap's squared weight times the energy of all
    inputs that this tap meets, and these are sums along one axis after the other. (Where a deformable
    convolution interpolates, it is at most what interpolating the squares gives.)
    """
    if problem.execution.deformation is not None:
        squared = replace(problem.map(np.square), bias=None)
        interpolated: Array = solve(squared).mean(axis=(0, *range(2, problem.x.ndim)))
        return interpolated
    groups, weight, rank = problem.execution.groups, problem.weight, len(out_spatial)
    energy = np.einsum("n...,n...->...", problem.x, problem.x)
    for axis in reversed(range(rank)):
        # The last axis of positions becomes the first of taps: after all axes (*kernel, in).
        met = _met(problem, axis, energy.shape[-1], out_spatial[axis])
        energy = np.stack([energy[..., inputs].sum(axis=-1) for inputs in met])
    energy = energy.reshape(-1, groups, energy.shape[-1] // groups).transpose(1, 2, 0)
    squares = np.square(weight).reshape(groups, -1, weight.shape[1], energy.shape[2])
    if problem.execution.transposed:
        sums = np.einsum("giot,git->go", squares, energy)
    else:
        flat = squares.shape[1], energy[0].size
        sums = np.einsum("gok,gk->go", squares.reshape(groups, *flat), energy.reshape(groups, -1))
    mean: Array = sums.reshape(-1) / max(1, len(problem.x) * math.prod(out_spatial))
    return mean


def _met(problem: Problem, axis: int, size: int, out: int) -> Iterator[slice]:
    """For each tap of one axis, the input positions that it meets for some output position."""
    execution = problem.execution
    stride, before = execution.stride[axis], execution.padding[axis][0]
    for tap in range(problem.weight.shape[2 + axis]):
        offset = tap * execution.dilation[axis] - before
        if execution.transposed:  # inputs p with an output position p*stride + offset
            yield slice(max(0, -(offset // stride)), max(0, min(size, -((offset - out) // stride))))
        else:  # inputs p*stride + offset of output positions p
            first = max(0, -(offset // stride))
            last = min(out, -((offset - size) // stride))
            yield slice(first * stride + offset, max(0, (last - 1) * stride + offset + 1), stride)
