"""The reference: a part of a convolution by convaudit's own engine, in the precision asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from convaudit.engine import MacCounter, conv, conv_transpose, deform_conv
from convaudit.engine.operands import Array
from convaudit.judge.execution import Deformation, Execution

Elementwise: TypeAlias = Callable[[Array], Array]


@dataclass(frozen=True, kw_only=True)
class Part:
    """The operands of some images, output channels and positions of a problem."""

    execution: Execution  # its attributes hold for this part, its arrays are the whole ones
    place: tuple[slice, ...]  # images, output channels, and positions of each spatial axis
    x: Array  # (n, channels, *window) in float64; of a deformable convolution (n, channels, *spatial) raw
    weight: Array
    bias: Array | None
    residual: Array | None
    offset: Array | None  # of a deformable convolution, as is the mask
    mask: Array | None
    returned: Array  # (N, channels, *spatial) of the runtime, whole
    prepare: Elementwise | None = None  # makes operands of what a deformable convolution reads of x
    own: int  # positions of a transposed convolution's window that no earlier part had
    workspace_bytes: int

    @property
    def output(self) -> Array:
        """(n, channels, positions): what the runtime returned."""
        output = self.returned[self.place]
        return output.reshape(*output.shape[:2], -1)

    def map(self, function: Elementwise) -> Part:
        """The same part with ``function`` applied to each operand."""

        def optional(operand: Array | None) -> Array | None:
            return None if operand is None else function(operand)

        prepare = self.prepare
        return replace(
            self,
            x=function(self.x) if prepare is None else self.x,
            prepare=None if prepare is None else lambda read: function(prepare(read)),
            weight=function(self.weight),
            bias=optional(self.bias),
            residual=optional(self.residual),
            mask=optional(self.mask),
        )

    @cached_property
    def _computed(self) -> tuple[Array, int]:
        counter = MacCounter()
        return convolve(self, counter), counter.macs

    @property
    def exact(self) -> Array:
        """(n, channels, *positions): convolution, bias and residual, before the activation."""
        return self._computed[0]

    @property
    def macs(self) -> int:
        """Multiply-adds that the engine counted, without those that neighbouring parts repeat."""
        counted, window = self._computed[1], math.prod(self.x.shape[2:])
        return counted * self.own // window if self.execution.transposed and window else counted


def convolve(part: Part, counter: MacCounter | None = None) -> Array:
    """Compute convolution, bias and residual, without the activation.

    Args:
        part: Its operands are of the precision to compute in.
        counter: Told the multiply-adds executed.

    Returns:
        (n, channels, *positions), dtype of the operands.
    """
    execution = part.execution
    settings: dict[str, Any] = {
        "stride": execution.stride,
        "padding": execution.padding,
        "dilation": execution.dilation,
        "groups": execution.groups,
        "workspace_bytes": part.workspace_bytes,
        "counter": counter,
    }
    operands = part.x, part.weight, part.bias
    if execution.deformation is not None:
        result = _deformed(part, execution.deformation, settings)
    elif execution.transposed:
        result = conv_transpose(*operands, output_padding=execution.output_padding or 0, **settings)
    else:
        result = conv(*operands, **settings)
    if part.residual is not None:
        result += part.residual
    return result


def _deformed(part: Part, deformation: Deformation, settings: dict[str, Any]) -> Array:
    assert part.offset is not None
    return deform_conv(
        part.x,
        part.weight,
        part.offset,
        part.bias,
        part.mask,
        offset_groups=deformation.offset_groups,
        block=part.place[2:],
        prepare=part.prepare,
        **settings,
    )


def magnitude(part: Part, *, terms: int) -> Array:
    """Compute S, the sum of the absolute values of each element's terms.

    Args:
        part: Operands in float64.
        terms: How many terms are enough; if they are not all, S is smaller.

    Returns:
        (n, channels, *positions) in float32: a bound need not be exact.
    """
    groups = part.execution.groups
    inputs = part.x.shape[1] // groups
    keep = min(inputs, -(-terms // math.prod(part.weight.shape[2:])))
    if keep < inputs and part.execution.deformation is None:  # whose offsets belong to all of them
        transposed = part.execution.transposed
        part = replace(
            part,
            x=_first_of_each_group(part.x, 1, groups, keep),
            weight=_first_of_each_group(part.weight, 0, groups, keep)
            if transposed
            else part.weight[:, :keep],
        )
    return convolve(part.map(lambda operand: np.abs(operand, dtype=np.float32)))


def _first_of_each_group(array: Array, axis: int, groups: int, keep: int) -> Array:
    if groups == 1:
        first: Array = array[:, :keep] if axis else array[:keep]
        return first
    size = array.shape[axis] // groups
    kept = np.add.outer(np.arange(groups) * size, np.arange(keep)).reshape(-1)
    taken: Array = array.take(kept, axis)
    return taken


def product_energy(part: Part) -> Array:
    """Sum up Q, the sum of an element's squared products, over each output channel.

    The sum over positions needs no convolution: it is each tap's squared weight times the energy of all
    inputs that this tap meets, and these are sums along one axis after the other. (Where a deformable
    convolution interpolates, it is at most what interpolating the squares gives.)

    Args:
        part: Operands in float64.

    Returns:
        (channels,)
    """
    if part.execution.deformation is not None:
        squared = replace(part.map(np.square), bias=None, residual=None)
        interpolated: Array = convolve(squared).sum(axis=(0, *range(2, part.x.ndim)))
        return interpolated
    groups, weight = part.execution.groups, part.weight
    energy = _input_energy(part)
    energy = energy.reshape(-1, groups, energy.shape[-1] // groups).transpose(1, 2, 0)
    squares = np.square(weight).reshape(groups, -1, weight.shape[1], energy.shape[2])
    if part.execution.transposed:
        sums = np.einsum("giot,git->go", squares, energy)
    else:
        flat = squares.shape[1], energy[0].size
        sums = np.einsum("gok,gk->go", squares.reshape(groups, *flat), energy.reshape(groups, -1))
    total: Array = sums.reshape(-1)
    return total


def _input_energy(part: Part) -> Array:
    """(*kernel, in): the sum of the squares of each input channel that each tap meets."""
    sizes = [piece.stop - piece.start for piece in part.place[2:]]
    met = [list(_met(part, axis, part.x.shape[2 + axis], out)) for axis, out in enumerate(sizes)]
    if all(taps == [slice(0, size, 1)] for taps, size in zip(met, part.x.shape[2:], strict=True)):
        flat = part.x.reshape(*part.x.shape[:2], -1)
        pointwise: Array = np.einsum("ncp,ncp->c", flat, flat)
        return pointwise
    energy: Array = np.einsum("n...,n...->...", part.x, part.x)
    for taps in reversed(met):  # the last axis of positions becomes the first of taps
        energy = np.stack([energy[..., inputs].sum(axis=-1) for inputs in taps])
    return energy


def _met(part: Part, axis: int, size: int, out: int) -> Iterator[slice]:
    """The input positions that each tap of one axis meets, whatever the output position."""
    execution = part.execution
    stride, before = execution.stride[axis], execution.padding[axis][0]
    for tap in range(part.weight.shape[2 + axis]):
        offset = tap * execution.dilation[axis] - before
        if execution.transposed:  # inputs p with an output position p*stride + offset
            first = max(0, -(offset // stride))
            yield slice(first, max(first, min(size, -((offset - out) // stride))), 1)
        else:  # inputs p*stride + offset of output positions p
            first = max(0, -(offset // stride))
            last = min(out, -((offset - size) // stride))
            yield slice(first * stride + offset, max(0, (last - 1) * stride + offset + 1), stride)


class ReferenceSummary:
    """What the reference shows of a problem, whatever the runtime returned; added up part by part."""

    def __init__(self, shape: Sequence[int]) -> None:
        """Start for an output (N, channels, *spatial)."""
        self.macs = 0  # multiply-adds that the engine counted
        self.finite = True  # whether every operand and sum is
        self._products = np.zeros(shape[1])
        self._samples = max(1, shape[0] * math.prod(shape[2:]))

    @property
    def products(self) -> Array:
        """(channels,): the mean over each output channel of Q, the sum of the squared products."""
        mean: Array = self._products / self._samples
        return mean

    @property
    def largest(self) -> float:
        """Upper limit of the Q of any element."""
        return float(self._products.max(initial=0))

    def add(self, part: Part) -> None:
        """Add one part of the problem."""
        self.macs += part.macs
        energy = product_energy(part)
        self._products[part.place[1]] += energy
        self.finite = self.finite and math.isfinite(energy.sum()) and math.isfinite(part.exact.sum())
