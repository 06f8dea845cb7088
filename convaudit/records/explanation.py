"""A layer explained: every number of its audit beside the arithmetic that makes it, and its wiring.

Counts are as everywhere: an ``int``, a ``Formula``, or ``None`` with the reason. Texts hold names of symbolic
dimensions, which come from a file: whoever shows them makes them safe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from convaudit.formulas import Count, add, product
from convaudit.records.report import LayerCost
from convaudit.shapes import kernel_extent

DimensionRule = Literal["window", "transposed", "same", "input", "weight", "declared", "unknown"]
"""What makes a dimension of the output as long as it is: the window's arithmetic, forwards or transposed;
``ceil(size/stride)``; the input's own size; the weight's; the file's word alone; or nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One number of a product, with what it counts: ``("input channels of a group", 4)``."""

    name: str
    value: Count | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """A count of the audit, and the product that it is.

    Attributes:
        factors: What is multiplied.
        added: What is added to the product: the bias.
        total: The count as the audit has it; None: unknown.
        text: The same with the numbers filled in: ``64 x 32 x 3 x 3 + 64 = 18,496``.
        reason: Why the total is unknown; None: it is known.
    """

    factors: tuple[Factor, ...]
    added: tuple[Factor, ...] = ()
    total: Count | None
    text: str
    reason: str | None = None

    @property
    def result(self) -> Count | None:
        """What the factors give: the total, or the explanation is wrong."""
        return add(product(factor.value for factor in self.factors), *(one.value for one in self.added))


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisWindow:
    """Where the taps lie along one spatial axis.

    Of a convolution, taps are input positions that one output position reads; of a transposed one, output
    positions that one input position is added to.
    """

    name: str  # "height"
    letter: str  # "H"
    input: Count | None  # positions, without padding
    output: Count | None
    kernel: int
    stride: int
    dilation: int
    before: int | None  # padding; None while it depends on an open size; negative: cropped
    after: int | None
    output_padding: int = 0
    transposed: bool = False

    @property
    def extent(self) -> int:
        """Positions that the dilated kernel spans: ``dilation*(kernel - 1) + 1``."""
        return kernel_extent(self.kernel, self.dilation)

    def taps(self, position: int) -> range:
        """Positions that the taps touch, those outside of the tensor, which are padding, included.

        Args:
            position: Of the output; of a transposed convolution, of the input.
        """
        start = position * self.stride - (self.before or 0)
        return range(start, start + self.extent, self.dilation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One dimension of the output, and how it follows.

    Attributes:
        name: ``batch``, ``channels``, ``height``, ...
        letter: ``N``, ``C``, ``H``, ...
        rule: What makes it as long as it is.
        size: As the audit has it; None: unknown.
        derived: What the rule gives; None where it cannot tell.
        symbols: The rule in symbols.
        text: The rule with the numbers filled in, and what it gives.
        reason: Why the size is unknown, or does not follow from the rule; None: it follows.
        window: Of a spatial axis, where the taps lie; None where the kernel is not known.
    """

    name: str
    letter: str
    rule: DimensionRule
    size: Count | None
    derived: Count | None
    symbols: str
    text: str
    reason: str | None = None
    window: AxisWindow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelBlock:
    """Input channels, and the output channels that read all of them and nothing else.

    A ``range`` where they stand beside each other, else a tuple in ascending order.
    """

    inputs: Sequence[int]
    outputs: Sequence[int]

    @property
    def sizes(self) -> tuple[int, int]:
        """How many inputs and outputs; ``len`` refuses a range of a hostile number of channels."""
        counts = [
            channels.stop - channels.start if isinstance(channels, range) else len(channels)
            for channels in (self.inputs, self.outputs)
        ]
        return counts[0], counts[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Which input channels reach which output channels; blocks are made as they are asked for.

    Attributes:
        in_channels: All input channels.
        out_channels: All output channels.
        groups: Blocks that the layer declares.
        latent: Blocks that its weight hides in these, as ``lint`` finds them (CA204); none: nobody looked, or
            there are none.
        shared: Names of the other layers whose weight is the same stored tensor.
    """

    in_channels: int
    out_channels: int
    groups: int
    latent: tuple[ChannelBlock, ...] = ()
    shared: tuple[str, ...] = ()

    @property
    def inputs_per_group(self) -> int:
        """Input channels that each output channel reads."""
        return self.in_channels // self.groups

    @property
    def outputs_per_group(self) -> int:
        """Output channels of each group."""
        return self.out_channels // self.groups

    @property
    def style(self) -> Literal["dense", "grouped", "depthwise"]:
        """``dense`` is one block; ``depthwise`` is one input channel a group."""
        if self.groups == 1:
            return "dense"
        return "depthwise" if self.in_channels == self.groups else "grouped"

    @property
    def multiplier(self) -> int | None:
        """Output channels for each input channel of a depthwise layer; None: it is not depthwise."""
        return self.outputs_per_group if self.style == "depthwise" else None

    def block(self, group: int) -> ChannelBlock:
        """The channels of one group, counted from 0."""
        inputs, outputs = self.inputs_per_group, self.outputs_per_group
        return ChannelBlock(
            inputs=range(group * inputs, (group + 1) * inputs),
            outputs=range(group * outputs, (group + 1) * outputs),
        )

    def blocks(self) -> Iterator[ChannelBlock]:
        """All groups that the layer declares; there may be as many as there are channels."""
        return map(self.block, range(self.groups))


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One layer of an audit, explained.

    Attributes:
        layer: Its row.
        source: The model that it is of; empty: not told.
        weight: The axes of its weight, in the order in which it is stored.
        params: Why it has these parameters.
        dense_params: The same with groups=1.
        macs: Why it takes these multiply-accumulates, of one call.
        dense_macs: The same with groups=1.
        dimensions: Those of its output, in the order of its shape.
        wiring: Which channels reach which; None: unknown.
        wiring_reason: Why the wiring is unknown.
        remarks: Sentences: what each filter reads, what groups removed, what they forbid.
    """

    layer: LayerCost
    source: str = ""
    weight: tuple[Factor, ...]
    params: Arithmetic
    dense_params: Arithmetic
    macs: Arithmetic
    dense_macs: Arithmetic
    dimensions: tuple[Dimension, ...]
    wiring: Wiring | None
    wiring_reason: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def factor(self) -> int:
        """How many times fewer weights and multiply-accumulates than with groups=1: the number of groups."""
        return self.layer.groups

    @property
    def windows(self) -> tuple[AxisWindow, ...]:
        """Where the taps lie, one a spatial axis; empty where the kernel is unknown."""
        return tuple(one.window for one in self.dimensions if one.window is not None)
