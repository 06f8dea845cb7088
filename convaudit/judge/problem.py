"""The convolution that a runtime was given, in float64 and part by part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from convaudit.engine.deformable import check_offsets
from convaudit.engine.geometry import Geometry, conv_geometry, conv_transpose_geometry
from convaudit.engine.operands import Array, check_operands
from convaudit.judge.execution import Execution
from convaudit.judge.partition import BlockSize, InputWindow, fitting, longest_window, ranges, windows
from convaudit.judge.reference import Elementwise, Part, ReferenceSummary

JUDGE_BYTES = 128 * 2**20
"""What judging one convolution may allocate, unless it is told otherwise."""

INPUT_BYTES, OUTPUT_BYTES, INTEGER_BYTES, WEIGHT_BYTES = 24, 32, 88, 24
"""Bytes for each element of a part: its values in float64 and float32, their squares, and the temporaries."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A convolution in float64, which represents every narrower format exactly.

    The operands of a part are made from the execution's when the part is asked for, and freed after it, so
    that only what the runtime itself returned is in memory as a whole.
    """

    execution: Execution
    workspace_bytes: int = JUDGE_BYTES
    on_x: Elementwise | None = None  # hypothesis: every element of the input was changed like this
    on_weight: Elementwise | None = None  # hypothesis: every element of the weight was changed like this
    dealt: bool = False  # hypothesis: the input's channels are dealt out to the groups in turn
    _only: list[Part] = field(init=False, repr=False, compare=False, default_factory=list)

    @property
    def terms(self) -> int:
        """Terms summed for each output element: products, bias and residual."""
        execution = self.execution
        inputs = self._x.shape[1] // execution.groups
        extra = (execution.bias is not None) + (execution.residual is not None)
        return int(inputs * math.prod(execution.weight.shape[2:]) + extra)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, channels, *spatial) of the output."""
        geometry = self.geometry
        positions = geometry.fine if self.execution.transposed else geometry.coarse
        return (len(self._x), self.execution.groups * self._filters, *positions)

    @cached_property
    def geometry(self) -> Geometry:
        """Which input positions meet which output positions.

        Raises:
            ModelError: The operands do not make a convolution.
        """
        execution, x = self.execution, self._x
        check_operands(
            x,
            execution.weight,
            execution.bias,
            execution.groups,
            transposed=execution.transposed,
            name="conv",
        )
        settings: dict[str, Any] = {
            "stride": execution.stride,
            "padding": execution.padding,
            "dilation": execution.dilation,
            "name": "conv",
        }
        kernel = execution.weight.shape[2:]
        if execution.transposed:
            extra = execution.output_padding or 0
            return conv_transpose_geometry(x.shape[2:], kernel, output_padding=extra, **settings)
        past = 0 if execution.past_state is None else execution.past_state.shape[2]
        geometry = conv_geometry([size + past for size in x.shape[2:]], kernel, **settings)
        if execution.deformation is not None:
            deformation = execution.deformation
            check_offsets(
                x,
                deformation.offset,
                deformation.mask,
                deformation.offset_groups,
                (geometry.taps, *geometry.coarse),
                name="conv",
            )
        return geometry

    @property
    def output(self) -> Array:
        """(N, channels, *spatial) of what the runtime returned."""
        return channels_first(self.execution.output, self.execution)

    def output_index(self, index: tuple[int, ...]) -> tuple[int, ...]:
        """The index (n, channel, *position) in the layout of the runtime's output."""
        image, channel, *position = index
        last = self.execution.layout == "channels_last"
        return (image, *position, channel) if last else (image, channel, *position)

    def parts(self) -> Iterator[Part]:
        """All parts, one after the other. If there is only one, it is made once and keeps its reference."""
        if self._only:
            yield from self._only
            return
        whole = BlockSize(len(self._x), self.execution.groups, self._filters, self.shape[2:])
        if 0 in (*self.shape, *whole):
            return
        deformable = self.execution.deformation is not None
        limit = self.workspace_bytes * 5 // 8
        block = fitting(whole, self._bytes, limit, by_group=not deformable)
        if block == whole:
            self._only.extend(self._cut(whole, block))
            yield from self._only
        else:
            yield from self._cut(whole, block)

    @property
    def _x(self) -> Array:
        return channels_first(self.execution.x, self.execution)

    @property
    def _filters(self) -> int:
        """Output channels of each group."""
        weight = self.execution.weight
        return int(weight.shape[1] if self.execution.transposed else weight.shape[0] // self.execution.groups)

    def _bytes(self, block: BlockSize) -> int:
        """Memory that judging a block takes."""
        execution, kernel = self.execution, self.geometry.kernel
        inputs = self._x.shape[1] // execution.groups
        channels = block.groups * block.filters
        positions = math.prod(block.positions)
        each = OUTPUT_BYTES if execution.quantization is None else INTEGER_BYTES
        total = each * block.images * channels * positions
        total += WEIGHT_BYTES * channels * inputs * math.prod(kernel)
        if execution.deformation is None:
            window = longest_window(self.geometry, block.positions, transposed=execution.transposed)
            return int(total + INPUT_BYTES * block.images * block.groups * inputs * window)
        masks = execution.deformation.offset_groups * math.prod(kernel)
        return int(total + INPUT_BYTES * block.images * masks * positions)

    def _cut(self, whole: BlockSize, block: BlockSize) -> Iterator[Part]:
        for groups, filters in itertools.product(
            ranges(whole.groups, block.groups), ranges(whole.filters, block.filters)
        ):
            weight = self._weight(groups, filters)
            for images, *positions in itertools.product(
                ranges(whole.images, block.images),
                *(ranges(*axis) for axis in zip(whole.positions, block.positions, strict=True)),
            ):
                yield self._part(images, groups, filters, tuple(positions), weight)

    def _part(
        self, images: slice, groups: slice, filters: slice, positions: tuple[slice, ...], weight: Array
    ) -> Part:
        execution, deformation = self.execution, self.execution.deformation
        place = (images, self._channels(groups, filters), *positions)
        bias, residual = execution.bias, execution.residual
        common: dict[str, Any] = {
            "place": place,
            "weight": weight,
            "bias": None if bias is None else _float64(bias[place[1]]),
            "residual": None if residual is None else _float64(channels_first(residual, execution)[place]),
            "returned": self.output,
            "workspace_bytes": self.workspace_bytes // 4,
        }
        if deformation is not None:
            mask = deformation.mask
            return Part(
                execution=execution,
                x=self._x[images],
                prepare=self._prepared,
                offset=deformation.offset[(images, slice(None), *positions)],
                mask=None if mask is None else _float64(mask[(images, slice(None), *positions)]),
                own=0,
                **common,
            )
        cuts = windows(self.geometry, positions, transposed=execution.transposed)
        attributes = replace(
            execution,
            groups=groups.stop - groups.start,
            padding=tuple(cut.padding for cut in cuts),
            output_padding=None,
        )
        own = math.prod(cut.own for cut in cuts)
        x = self._window(images, groups, cuts)
        return Part(execution=attributes, x=x, offset=None, mask=None, own=own, **common)

    def _channels(self, groups: slice, filters: slice) -> slice:
        """The output channels of some groups, or of some filters of one group."""
        start, last = (group * self._filters for group in (groups.start, groups.stop - 1))
        return slice(start + filters.start, last + filters.stop)

    def _window(self, images: slice, groups: slice, cuts: list[InputWindow]) -> Array:
        """The input of some groups in the windows."""
        execution, x = self.execution, self._x
        inputs = x.shape[1] // execution.groups
        channels: Any = slice(groups.start * inputs, groups.stop * inputs)
        if self.dealt:
            channels = np.arange(x.shape[1]).reshape(execution.groups, inputs).T.reshape(-1)[channels]
        inner = tuple(cut.inputs for cut in cuts)
        if execution.past_state is None:
            return self._prepared(x[(images, slice(None), *inner)][:, channels])
        (steps,), past = inner, execution.past_state.shape[2]
        before = execution.past_state[images, channels, steps]
        behind = x[images, channels, max(0, steps.start - past) : max(0, steps.stop - past)]
        return self._prepared(np.concatenate([before, behind], axis=2))

    def _prepared(self, x: Array) -> Array:
        """The values of the input that enter the products."""
        quantization = self.execution.quantization
        if quantization is None:
            values = _float64(x)
        else:
            values = np.subtract(x, quantization.x_zero_point, dtype=np.float64)
        return np.ascontiguousarray(values if self.on_x is None else self.on_x(values))

    def _weight(self, groups: slice, filters: slice) -> Array:
        """The values of the weight of some groups, or of some filters of one group, that are multiplied."""
        execution, weight = self.execution, self.execution.weight
        if execution.transposed:
            inputs = weight.shape[0] // execution.groups
            weight = weight[groups.start * inputs : groups.stop * inputs, filters]
        else:
            weight = weight[self._channels(groups, filters)]
        if execution.quantization is None:
            values = _float64(weight)
        else:
            shift = self._of_filters(execution.quantization.w_zero_point, groups, filters)
            values = np.subtract(weight, shift, dtype=np.float64)
        return np.ascontiguousarray(values if self.on_weight is None else self.on_weight(values))

    def _of_filters(self, values: Array | int, groups: slice, filters: slice) -> Array:
        """A scalar, or one value per output channel, in a shape that broadcasts over a part of the weight."""
        values, execution = np.asarray(values), self.execution
        ones = (1,) * (execution.weight.ndim - 2)
        if values.size == 1:
            return values.reshape(())
        by_group = values.reshape(execution.groups, -1)[groups, filters]
        if not execution.transposed:
            return by_group.reshape(-1, 1, *ones)
        inputs = execution.weight.shape[0] // execution.groups
        return by_group.repeat(inputs, axis=0).reshape(-1, by_group.shape[1], *ones)


def channels_first(array: Array, execution: Execution) -> Array:
    """View an input or output of an execution in one layout.

    Args:
        array: (N, channels, *spatial) or (N, *spatial, channels), as the execution's layout says.
        execution: The execution that it belongs to.

    Returns:
        A view (N, channels, *spatial).
    """
    return np.moveaxis(array, -1, 1) if execution.layout == "channels_last" else array


def _float64(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float64)


def summarise(problem: Problem) -> ReferenceSummary:
    """Summarise the reference of all parts."""
    summary = ReferenceSummary(problem.shape)
    for part in problem.parts():
        summary.add(part)
    return summary
