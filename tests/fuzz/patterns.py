"""Operator patterns that change a tensor's shape, in every form that onnxruntime runs.

A pattern appends nodes to a ``Builder``. The tensor that goes through has 3 to 5 axes: a batch, a number of
channels that the builder knows, and sizes that nobody knows before the run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Pattern = Callable[["Builder", Random], None]
FLOAT, INT64, UINT8, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8, TensorProto.BOOL
FAR = [2**31 - 1, 2**63 - 1, 10**7, 1000]


class Unfit(Exception):  # noqa: N818  # the chain goes on without the pattern
    """Raised by a pattern that the tensor or the opset does not fit."""


class Builder:
    """A graph in the making."""

    def __init__(self, opset: int, channels: int, rank: int = 4) -> None:
        self.opset = opset
        self.channels = channels
        self.rank = rank
        self.nodes: list[NodeProto] = []
        self.stored: list[TensorProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.values: list[str] = []
        self._count = 0
        self.value = self.input("x", FLOAT, ["N", channels, "H", "W"][:rank])

    def name(self, what: str) -> str:
        """A name that is not taken."""
        self._count += 1
        return f"{what.lower()}_{self._count}"

    def input(self, name: str, dtype: int, shape: Sequence[int | str]) -> str:
        """One more input of the model; once for each name."""
        if name not in {value.name for value in self.inputs}:
            self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """A node; the name of its result, or a list of several."""
        names = [self.name(op) for _ in range(outputs)]
        given = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(op, list(inputs), names, names[0], domain=domain, **given))
        self.values += names
        return names if outputs > 1 else names[0]

    def const(self, value: Any, dtype: type = np.int64) -> str:
        """A stored tensor."""
        name = self.name("const")
        self.stored.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def shape(self, value: str | None = None) -> str:
        """The shape of a tensor, as a tensor."""
        return str(self.node("Shape", value or self.value))

    def size(self, axis: int, value: str | None = None) -> str:
        """One size of a tensor, as a list of one element."""
        return str(self.node("Gather", self.shape(value), self.const([axis]), axis=0))

    def unsqueeze(self, value: str, axes: Sequence[int]) -> str:
        """Unsqueeze, as the opset has it."""
        if self.opset >= 13:
            return str(self.node("Unsqueeze", value, self.const(list(axes))))
        return str(self.node("Unsqueeze", value, axes=list(axes)))

    def squeeze(self, value: str, axes: Sequence[int]) -> str:
        """Squeeze, as the opset has it."""
        if self.opset >= 13:
            return str(self.node("Squeeze", value, self.const(list(axes))))
        return str(self.node("Squeeze", value, axes=list(axes)))

    def slice(
        self, value: str, starts: Any, ends: Any, axes: Sequence[int], steps: Sequence[int] | None = None
    ) -> str:
        """Slice, as the opset has it; ``starts`` and ``ends`` are lists or tensors."""
        if self.opset < 10:
            if steps is not None or isinstance(starts, str) or isinstance(ends, str):
                raise Unfit
            return str(self.node("Slice", value, starts=list(starts), ends=list(ends), axes=list(axes)))
        places = [part if isinstance(part, str) else self.const(part) for part in (starts, ends)]
        given = [self.const(list(steps))] if steps is not None else []
        return str(self.node("Slice", value, *places, self.const(list(axes)), *given))

    def pad(self, value: str, pads: Any, mode: str = "constant") -> str:
        """Pad, as the opset has it."""
        if self.opset < 11:
            if isinstance(pads, str):
                raise Unfit
            return str(self.node("Pad", value, pads=list(pads), mode=mode))
        return str(self.node("Pad", value, pads if isinstance(pads, str) else self.const(pads), mode=mode))

    def reduce(self, op: str, value: str, axes: Sequence[int], keepdims: int) -> str:
        """A reduction, as the opset has it."""
        since = 13 if op == "ReduceSum" else 18
        if self.opset >= since:
            return str(self.node(op, value, self.const(list(axes)), keepdims=keepdims))
        return str(self.node(op, value, axes=list(axes), keepdims=keepdims))

    def cast(self, value: str, to: int) -> str:
        """Cast."""
        return str(self.node("Cast", value, to=to))

    def need(self, *, opset: int = 0, rank: int = 0, until: int = 99) -> None:
        """Leave the pattern out unless opset and rank fit."""
        if not opset <= self.opset <= until or (rank and self.rank != rank):
            raise Unfit

    @property
    def spatial(self) -> list[int]:
        """The axes behind batch and channels."""
        return list(range(2, self.rank))

    def quantized(self) -> str:
        """The tensor as uint8."""
        self.need(opset=10)
        return str(
            self.node("QuantizeLinear", self.value, self.const(0.1, np.float32), self.const(128, np.uint8))
        )

    def dequantize(self, value: str) -> None:
        """Back to float."""
        self.value = self.node(
            "DequantizeLinear", value, self.const(0.1, np.float32), self.const(128, np.uint8)
        )

    def model(self) -> ModelProto:
        """The model; its outputs are all tensors of the main graph."""
        outputs = [helper.make_empty_tensor_value_info(name) for name in self.values]
        graph = helper.make_graph(self.nodes, "fuzz", self.inputs, outputs, self.stored)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8 if self.opset < 19 else 10)

    def convolve(self, rng: Random) -> str:
        """The convolution behind the chain; the name of its node."""
        spatial = self.rank - 2
        out = rng.choice([1, 2, 4])
        kernel = [rng.choice([1, 1, 2, 3]) for _ in range(spatial)]
        weight = self.const(np.zeros((out, self.channels, *kernel)), np.float32)
        form = rng.choice(["plain", "padded", "strided", "same"])
        attributes: dict[str, Any] = {}
        if form == "padded":
            attributes = {"pads": [rng.randrange(3) for _ in range(2 * spatial)]}
        elif form == "strided":
            attributes = {"strides": [rng.choice([1, 2, 3]) for _ in range(spatial)]}
        elif form == "same":
            attributes = {"auto_pad": rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])}
        self.value = self.node("Conv", self.value, weight, **attributes)
        return self.value


def body(nodes: Sequence[NodeProto], inputs: Sequence[ValueInfoProto], outputs: Sequence[str]) -> GraphProto:
    """The body of an If, Loop or Scan."""
    return helper.make_graph(nodes, "body", inputs, [helper.make_empty_tensor_value_info(o) for o in outputs])


# --- cutting ---------------------------------------------------------------------------------------------


def slice_constant(b: Builder, r: Random) -> None:
    axes = r.sample(b.spatial, r.randint(1, len(b.spatial)))
    starts = [r.choice([0, 0, 1, 2, -3, -5, -1000, 7]) for _ in axes]
    ends = [r.choice([*FAR, -1, -2, 3, 6, 20, 33]) for _ in axes]
    b.value = b.slice(b.value, starts, ends, axes)


def slice_steps(b: Builder, r: Random) -> None:
    b.need(opset=10)
    axes = r.sample(b.spatial, r.randint(1, len(b.spatial)))
    starts = [r.choice([0, 1, 2, -1, -2, 5]) for _ in axes]
    steps = [r.choice([2, 3, 5]) for _ in axes]
    b.value = b.slice(b.value, starts, [r.choice([*FAR, -1, 30]) for _ in axes], axes, steps)


def slice_backwards(b: Builder, r: Random) -> None:
    b.need(opset=10)
    axes = r.sample(b.spatial, r.randint(1, len(b.spatial)))
    starts = [r.choice([-1, -2, 10, 1000, 2**63 - 1]) for _ in axes]
    ends = [r.choice([-(2**63) + 1, -1000, 0, 1, -8]) for _ in axes]
    b.value = b.slice(b.value, starts, ends, axes, [r.choice([-1, -2, -3]) for _ in axes])


def slice_batch(b: Builder, r: Random) -> None:
    b.value = b.slice(b.value, [r.choice([0, 0, -1])], [r.choice([1, 8, 2**31 - 1])], [0])


def slice_half(b: Builder, r: Random) -> None:
    """x[:, :, : H // 2], or the second half."""
    b.need(opset=10)
    axis = r.choice(b.spatial)
    half = b.node("Div", b.size(axis), b.const([r.choice([2, 3])]))
    if r.random() < 0.5:
        b.value = b.slice(b.value, b.const([0]), half, [axis])
    else:
        b.value = b.slice(b.value, half, b.const([2**63 - 1]), [axis])


def slice_dynamic_minus(b: Builder, r: Random) -> None:
    """x[:, :, : H - k], x[:, :, k - H :]."""
    b.need(opset=10)
    axis = r.choice(b.spatial)
    op = r.choice(["Sub", "Add"])
    end = b.node(op, b.size(axis), b.const([r.choice([1, 2, 5])]))
    b.value = b.slice(b.value, b.const([r.choice([0, 1])]), end, [axis])


def crop_to_smaller(b: Builder, r: Random) -> None:
    """As skip connections crop: to the smaller of two sizes."""
    b.need(opset=12, rank=4)
    other = b.node("MaxPool", b.value, kernel_shape=[2, 2], strides=[1, 1])
    size = b.node("Min", b.size(2), b.size(2, other))
    b.value = b.slice(b.value, b.const([0]), size, [2])


def split_even(b: Builder, r: Random) -> None:
    parts = r.choice([p for p in (1, 2, 3, 4) if b.channels % p == 0])
    given = {"num_outputs": parts} if b.opset >= 18 else {}
    names = b.node("Split", b.value, outputs=parts, axis=1, **given)
    b.value = names if parts == 1 else r.choice(names)
    b.channels //= parts


def split_uneven(b: Builder, r: Random) -> None:
    """With num_outputs, the last part is shorter."""
    b.need(opset=18)
    parts = r.choice([2, 3])
    names = b.node("Split", b.value, outputs=parts, axis=r.choice(b.spatial), num_outputs=parts)
    b.value = r.choice(names)


def split_sizes(b: Builder, r: Random) -> None:
    """A part of a given size, and the rest."""
    b.need(opset=13)
    axis = r.choice(b.spatial)
    first = r.choice([1, 2, 3])
    rest = b.node("Sub", b.size(axis), b.const([first]))
    sizes = b.node("Concat", b.const([first]), rest, axis=0)
    b.value = r.choice(b.node("Split", b.value, sizes, outputs=2, axis=axis))


def center_crop_pad(b: Builder, r: Random) -> None:
    b.need(opset=18, rank=4)
    axes = r.choice([[2, 3], [2], [-1], [3, 2]])
    if r.random() < 0.5:
        sizes = b.const([r.choice([3, 8, 20]) for _ in axes])
    else:
        sizes = b.node(
            "Add", b.node("Gather", b.shape(), b.const(axes), axis=0), b.const([r.choice([-1, 2])])
        )
    b.value = b.node("CenterCropPad", b.value, sizes, axes=axes)


# --- padding ---------------------------------------------------------------------------------------------


def pad_constant(b: Builder, r: Random) -> None:
    before = [0, 0, *(r.choice([0, 1, 3]) for _ in b.spatial)]
    after = [0, 0, *(r.choice([0, 2, 1, -1]) for _ in b.spatial)]
    b.value = b.pad(b.value, [*before, *after])


def pad_mode(b: Builder, r: Random) -> None:
    modes = ["reflect", "edge"] + (["wrap"] if b.opset >= 19 else [])
    pads = [0, 0, *(1 for _ in b.spatial), 0, 0, *(r.choice([0, 1, 2]) for _ in b.spatial)]
    b.value = b.pad(b.value, pads, r.choice(modes))


def pad_axes(b: Builder, r: Random) -> None:
    b.need(opset=18)
    axes = r.sample(b.spatial, 1)
    b.value = b.node(
        "Pad",
        b.value,
        b.const([r.choice([0, 1]), r.choice([2, -1])]),
        "",
        b.const([axis - b.rank if r.random() < 0.5 else axis for axis in axes]),
    )


def pad_channels(b: Builder, r: Random) -> None:
    extra = r.choice([1, 2])
    b.value = b.pad(b.value, [0, extra, *[0] * len(b.spatial), 0, 0, *[0] * len(b.spatial)])
    b.channels += extra


def pad_to_multiple(b: Builder, r: Random) -> None:
    """pad = (m - size % m) % m, as segmentation nets have it."""
    b.need(opset=11, rank=4)
    m = r.choice([2, 4, 8, 32])
    sizes = b.node("Gather", b.shape(), b.const([2, 3]), axis=0)
    rest = b.node("Mod", sizes, b.const([m]), fmod=r.choice([0, 0, 1]))
    pads = b.node("Mod", b.node("Sub", b.const([m]), rest), b.const([m]))
    b.value = b.pad(b.value, str(b.node("Concat", b.const([0, 0, 0, 0, 0, 0]), pads, axis=0)))


def pad_to_multiple_by_ceil(b: Builder, r: Random) -> None:
    """pad = ceil(size / m) * m - size in float32."""
    b.need(opset=11, rank=4)
    m = r.choice([2, 4, 7, 32])
    size = b.size(r.choice([2, 3]))
    real = b.node("Div", b.cast(size, FLOAT), b.const([m], np.float32))
    up = b.node("Mul", b.cast(b.node("Ceil", real), INT64), b.const([m]))
    pads = b.node("Concat", b.const([0] * 6), b.node("Sub", up, size), b.const([0]), axis=0)
    b.value = b.pad(b.value, str(pads))


# --- pooling ---------------------------------------------------------------------------------------------


def _window(b: Builder, r: Random) -> dict[str, Any]:
    rank = len(b.spatial)
    kernel = [r.choice([1, 2, 3, 3, 5]) for _ in range(rank)]
    window: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [r.choice([1, 2, 2, 3, 4]) for _ in range(rank)],
    }
    form = r.choice(["pads", "pads", "none", "auto"])
    if form == "pads":
        window["pads"] = [r.randrange(min(k, 3)) for k in kernel * 2]
    elif form == "auto":
        window["auto_pad"] = r.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    return window


def max_pool(b: Builder, r: Random) -> None:
    b.value = b.node("MaxPool", b.value, **_window(b, r))


def max_pool_ceil(b: Builder, r: Random) -> None:
    b.need(opset=10)
    b.value = b.node("MaxPool", b.value, ceil_mode=1, **_window(b, r))


def max_pool_dilated(b: Builder, r: Random) -> None:
    b.need(opset=10)
    window = _window(b, r)
    if window.get("auto_pad", "").startswith("SAME"):
        del window["auto_pad"]
    dilations = [r.choice([1, 2, 3]) for _ in b.spatial]
    b.value = b.node("MaxPool", b.value, ceil_mode=r.choice([0, 1]), dilations=dilations, **window)


def max_pool_indices(b: Builder, r: Random) -> None:
    b.need(opset=10)
    b.value, _ = b.node("MaxPool", b.value, outputs=2, ceil_mode=r.choice([0, 1]), **_window(b, r))


def average_pool(b: Builder, r: Random) -> None:
    b.value = b.node("AveragePool", b.value, count_include_pad=r.choice([0, 1]), **_window(b, r))


def average_pool_ceil(b: Builder, r: Random) -> None:
    b.need(opset=10)
    b.value = b.node("AveragePool", b.value, ceil_mode=1, **_window(b, r))


def average_pool_dilated(b: Builder, r: Random) -> None:
    b.need(opset=19)
    window = _window(b, r)
    if window.get("auto_pad", "").startswith("SAME"):
        del window["auto_pad"]
    dilations = [r.choice([1, 2]) for _ in b.spatial]
    b.value = b.node("AveragePool", b.value, ceil_mode=r.choice([0, 1]), dilations=dilations, **window)


def lp_pool(b: Builder, r: Random) -> None:
    window = _window(b, r)
    extra = {"ceil_mode": r.choice([0, 1])} if b.opset >= 18 else {}
    b.value = b.node("LpPool", b.value, p=2, **extra, **window)


def global_pool(b: Builder, r: Random) -> None:
    pooled = b.node(r.choice(["GlobalAveragePool", "GlobalMaxPool"]), b.value)
    b.value = b.node("Mul", b.value, pooled) if r.random() < 0.6 else pooled


# --- resizing --------------------------------------------------------------------------------------------


def _resize(b: Builder, r: Random, scales: str | None, sizes: str | None = None, **attributes: Any) -> None:
    mode = r.choice(["nearest", "linear"])
    if b.opset < 11:
        if sizes is not None or attributes:
            raise Unfit
        b.value = b.node("Resize", b.value, str(scales), mode=mode)
        return
    where = r.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    inputs = [b.value, "", scales or ""] + ([sizes] if sizes is not None else [])
    b.value = b.node("Resize", *inputs, mode=mode, coordinate_transformation_mode=where, **attributes)


def resize_scales(b: Builder, r: Random) -> None:
    b.need(opset=10)
    scales = [1.0, 1.0, *(r.choice([2, 0.5, 1.5, 0.75, 1, 4, 0.25, 2.5]) for _ in b.spatial)]
    _resize(b, r, b.const(scales, np.float32))


def resize_odd_scales(b: Builder, r: Random) -> None:
    """Scales that no float holds: what is not known exactly must be unknown."""
    b.need(opset=10)
    scales = [1.0, 1.0, *(r.choice([0.7, 1 / 3, 1.1, 0.9, 2 / 3, 1.7]) for _ in b.spatial)]
    _resize(b, r, b.const(scales, np.float32))


def resize_scales_axes(b: Builder, r: Random) -> None:
    b.need(opset=18)
    axes = r.sample(b.spatial, r.randint(1, len(b.spatial)))
    _resize(b, r, b.const([r.choice([2, 0.5, 3]) for _ in axes], np.float32), axes=axes)


def resize_sizes(b: Builder, r: Random) -> None:
    b.need(opset=11)
    front = b.slice(b.shape(), [0], [2], [0])
    sizes = b.node("Concat", front, b.const([r.choice([5, 8, 16]) for _ in b.spatial]), axis=0)
    _resize(b, r, None, sizes)


def resize_policy(b: Builder, r: Random) -> None:
    b.need(opset=18, rank=4)
    policy = r.choice(["not_larger", "not_smaller", "stretch"])
    # onnxruntime 1.31 changes nothing where a policy meets negative axes
    axes = r.choice([[2, 3], [3, 2], [2], [-2, -1] if policy == "stretch" else [2, 3]])
    sizes = b.const([r.choice([16, 9, 23, 7]) for _ in axes])
    _resize(b, r, None, sizes, axes=axes, keep_aspect_ratio_policy=policy)


def resize_like(b: Builder, r: Random) -> None:
    """To the size of an earlier tensor, and joined with it: the skip connection of every U-net."""
    b.need(opset=11, rank=4)
    skip = b.value
    small = b.node(
        "MaxPool", b.value, kernel_shape=[2, 2], strides=[2, 2], pads=r.choice([[0] * 4, [0, 0, 1, 1]])
    )
    sizes = b.node(
        "Concat", b.slice(b.shape(small), [0], [2], [0]), b.slice(b.shape(skip), [2], [4], [0]), axis=0
    )
    b.value = small
    _resize(b, r, None, sizes)
    if r.random() < 0.5:
        b.value = b.node("Add", b.value, skip)
    else:
        b.value = b.node("Concat", b.value, skip, axis=1)
        b.channels *= 2


def resize_half(b: Builder, r: Random) -> None:
    """Shape -> Div -> Resize."""
    b.need(opset=11, rank=4)
    halves = b.node("Div", b.slice(b.shape(), [2], [4], [0]), b.const([r.choice([2, 3, 4])]))
    sizes = b.node("Concat", b.slice(b.shape(), [0], [2], [0]), halves, axis=0)
    _resize(b, r, None, sizes)


def resize_float_sizes(b: Builder, r: Random) -> None:
    """Shape -> Cast -> Mul -> Floor -> Cast -> Resize, as torch's exporter writes scale_factor."""
    b.need(opset=11, rank=4)
    scale = r.choice([2.0, 0.5, 1.5, 0.7, 1 / 3])
    real = b.node("Mul", b.cast(b.slice(b.shape(), [2], [4], [0]), FLOAT), b.const([scale], np.float32))
    rounded = b.node(r.choice(["Floor", "Ceil"]), real)
    sizes = b.node("Concat", b.slice(b.shape(), [0], [2], [0]), b.cast(rounded, INT64), axis=0)
    _resize(b, r, None, sizes)


def resize_computed_scales(b: Builder, r: Random) -> None:
    """scales = wanted / size, in float32."""
    b.need(opset=11, rank=4)
    wanted = b.node("Mul", b.slice(b.shape(), [2], [4], [0]), b.const([2, 2]))
    scales = b.node("Div", b.cast(wanted, FLOAT), b.cast(b.slice(b.shape(), [2], [4], [0]), FLOAT))
    _resize(b, r, b.node("Concat", b.const([1, 1], np.float32), scales, axis=0))


def upsample(b: Builder, r: Random) -> None:
    b.need(opset=7, until=9)
    scales = [1.0, 1.0, *(r.choice([2.0, 1.0, 3.0, 1.5]) for _ in b.spatial)]
    if len(scales) != 4:
        raise Unfit
    if b.opset < 9:
        b.value = b.node("Upsample", b.value, scales=scales, mode="nearest")
    else:
        b.value = b.node("Upsample", b.value, b.const(scales, np.float32), mode="nearest")


# --- reshaping -------------------------------------------------------------------------------------------


def reshape_zero(b: Builder, r: Random) -> None:
    """(0, 0, -1): the sizes flattened."""
    b.value = b.node("Reshape", b.value, b.const([0, 0, -1]))
    b.rank = 3


def reshape_fold_channels(b: Builder, r: Random) -> None:
    """A channel shuffle."""
    b.need(rank=4)
    groups = r.choice([g for g in (1, 2, 3) if b.channels % g == 0])
    h, w = b.size(2), b.size(3)
    n = b.size(0)
    parts = b.node("Concat", n, b.const([groups, b.channels // groups]), h, w, axis=0)
    turned = b.node("Transpose", b.node("Reshape", b.value, parts), perm=[0, 2, 1, 3, 4])
    first = b.const([-1]) if r.random() < 0.5 else n
    back = b.node("Concat", first, b.const([b.channels]), h, w, axis=0)
    b.value = b.node("Reshape", turned, back)


def reshape_pixel_shuffle(b: Builder, r: Random) -> None:
    """Channels to pixels by Reshape, Transpose, Reshape."""
    b.need(rank=4)
    if b.channels % 4:
        raise Unfit
    n, h, w = b.size(0), b.size(2), b.size(3)
    c = b.channels // 4
    parts = b.node("Reshape", b.value, b.node("Concat", n, b.const([c, 2, 2]), h, w, axis=0))
    turned = b.node("Transpose", parts, perm=[0, 1, 4, 2, 5, 3])
    two = b.const([2])
    target = b.node("Concat", n, b.const([c]), b.node("Mul", h, two), b.node("Mul", w, two), axis=0)
    b.value = b.node("Reshape", turned, target)
    b.channels = c


def reshape_windows(b: Builder, r: Random) -> None:
    """Blocks of pixels to the batch: a size divided by a number."""
    b.need(rank=4)
    m = r.choice([2, 4])
    n, h, w = b.size(0), b.size(2), b.size(3)
    parts = b.node(
        "Concat", n, b.const([b.channels]), b.node("Div", h, b.const([m])), b.const([m]), w, axis=0
    )
    turned = b.node("Transpose", b.node("Reshape", b.value, parts), perm=[0, 2, 1, 3, 4])
    b.value = b.node("Reshape", turned, b.node("Concat", b.const([-1, b.channels, m]), w, axis=0))


def reshape_minus_one(b: Builder, r: Random) -> None:
    """-1 for one of the sizes."""
    b.need(rank=4)
    target = r.choice([[0, b.channels, -1, 1], [-1, b.channels, 1, 2], [0, -1, 1, 1], [1, b.channels, -1, 4]])
    b.value = b.node("Reshape", b.value, b.const(target))
    if target[1] == -1:
        b.value = b.node("Transpose", b.value, perm=[0, 2, 1, 3])
        b.channels = 1


def flatten(b: Builder, r: Random) -> None:
    axis = r.choice([1, 2]) if b.opset < 11 else r.choice([1, 2, -1, -2])
    b.value = b.unsqueeze(b.node("Flatten", b.value, axis=axis), [1])
    b.channels, b.rank = 1, 3


def squeeze(b: Builder, r: Random) -> None:
    """An axis added and taken away again, named or not."""
    axis = r.choice([0, 2, b.rank])
    wide = b.unsqueeze(b.value, [axis])
    b.value = b.squeeze(wide, [axis])


def unsqueeze_last(b: Builder, r: Random) -> None:
    if b.rank > 4:
        raise Unfit
    b.value = b.unsqueeze(b.value, [b.rank if b.opset < 11 or r.random() < 0.5 else -1])
    b.rank += 1


def merge_last(b: Builder, r: Random) -> None:
    """The last two axes joined, their product worked out by the graph."""
    if b.rank < 4:
        raise Unfit
    sizes = b.shape()
    last = b.node("Mul", b.size(b.rank - 2), b.size(b.rank - 1))
    target = b.node("Concat", b.slice(sizes, [0], [b.rank - 2], [0]), last, axis=0)
    b.value = b.node("Reshape", b.value, target)
    b.rank -= 1


def transpose(b: Builder, r: Random) -> None:
    perm = [0, 1, *r.sample(b.spatial, len(b.spatial))]
    b.value = b.node("Transpose", b.value, perm=perm)


def expand(b: Builder, r: Random) -> None:
    b.need(opset=8)
    if r.random() < 0.5:
        b.value = b.unsqueeze(b.value, [0])
        target = b.node("Concat", b.const([r.choice([1, 2])]), b.shape(), axis=0)
        wide = b.node("Expand", b.value, b.node("Concat", b.const([2]), b.const([1] * b.rank), axis=0))
        del target
        b.value = b.reduce("ReduceSum", wide, [0], 0)
        return
    small = b.reduce("ReduceMean", b.value, b.spatial, 1)
    b.value = b.node("Expand", small, b.shape())


def tile(b: Builder, r: Random) -> None:
    repeats = [r.choice([1, 2]), 1, *(r.choice([1, 2, 3]) for _ in b.spatial)]
    b.value = b.node("Tile", b.value, b.const(repeats))


def tile_dynamic(b: Builder, r: Random) -> None:
    """Repeated as often as another size says."""
    b.need(rank=4)
    small = b.reduce("ReduceMax", b.value, [2], 1)
    repeats = b.node("Concat", b.const([1, 1]), b.size(2), b.const([1]), axis=0)
    b.value = b.node("Tile", small, repeats)


# --- joining ---------------------------------------------------------------------------------------------


def concat_channels(b: Builder, r: Random) -> None:
    other = b.node(r.choice(["Relu", "Sigmoid", "Neg"]), b.value)
    b.value = b.node("Concat", b.value, other, axis=1)
    b.channels *= 2


def concat_spatial(b: Builder, r: Random) -> None:
    axis = r.choice(b.spatial)
    part = b.slice(b.value, [0], [r.choice([1, 3, 2**31 - 1])], [axis])
    b.value = b.node(
        "Concat", b.value, part, axis=axis if b.opset < 11 or r.random() < 0.5 else axis - b.rank
    )


def concat_two_ways(b: Builder, r: Random) -> None:
    """Two branches of equal sizes, worked out differently."""
    b.need(rank=4)
    w = b.const(np.zeros((b.channels, b.channels, 3, 3)), np.float32)
    left = b.node("Conv", b.value, w, strides=[2, 2], pads=[1, 1, 1, 1])
    right = b.node("MaxPool", b.value, kernel_shape=[1, 1], strides=[2, 2])
    if r.random() < 0.5:
        b.value = b.node("Concat", left, right, axis=1)
        b.channels *= 2
    else:
        b.value = b.node("Add", left, right)


def add_other_input(b: Builder, r: Random) -> None:
    """Another input, whose sizes have other names or are 1."""
    if b.rank != 4 or b.value != "x":
        raise Unfit
    shape = r.choice(
        [["M", 1, 1, 1], [1, b.channels, "H", "W"], ["N", 1, "H", 1], ["N", b.channels, "K", "W"]]
    )
    b.value = b.node("Add", b.value, b.input("y_" + "_".join(map(str, shape)), FLOAT, shape))


def add_broadcast(b: Builder, r: Random) -> None:
    op = r.choice(["Add", "Mul", "Sub", "Div"])
    shape = r.choice([[1], [b.channels, *[1] * len(b.spatial)], [1] * b.rank, []])
    b.value = b.node(op, b.value, b.const(np.ones(shape), np.float32))


def where(b: Builder, r: Random) -> None:
    b.need(opset=9)
    mask = b.node("Greater", b.value, b.const(0.5, np.float32))
    b.value = b.node("Where", mask, b.value, b.reduce("ReduceMax", b.value, [r.choice(b.spatial)], 1))


def max_of_many(b: Builder, r: Random) -> None:
    b.need(opset=8)
    row = b.reduce("ReduceMean", b.value, [2], 1)
    b.value = b.node(r.choice(["Max", "Min", "Sum", "Mean"]), row, b.value, b.const([1.0], np.float32))


# --- gathering -------------------------------------------------------------------------------------------


def gather(b: Builder, r: Random) -> None:
    axis = r.choice(b.spatial)
    indices = r.choice([[0], [0, 0, 0], [[0, 0], [0, 0]]])
    b.value = b.node("Gather", b.value, b.const(indices), axis=axis)
    if np.ndim(indices) == 2:
        b.rank += 1
    if b.rank > 5:
        raise Unfit


def gather_range(b: Builder, r: Random) -> None:
    """Every row of a Range over a size."""
    b.need(opset=11)
    axis = r.choice(b.spatial)
    limit = b.squeeze(b.size(axis), [0])
    start, step = r.choice([(0, 1), (0, 2), (1, 1), (1, 3)])
    rows = b.node("Range", b.const(start), limit, b.const(step))
    b.value = b.node("Gather", b.value, rows, axis=axis)


def gather_nd(b: Builder, r: Random) -> None:
    b.need(opset=12, rank=4)
    picked = b.node("GatherND", b.value, b.const([[0], [0]]), batch_dims=0)
    b.value = picked


def gather_elements(b: Builder, r: Random) -> None:
    b.need(opset=11, rank=4)
    zeros = b.node("ConstantOfShape", b.shape(), value=helper.make_tensor("v", INT64, [1], [0]))
    part = b.slice(zeros, [0], [r.choice([1, 4, 2**31 - 1])], [3])
    b.value = b.node("GatherElements", b.value, part, axis=3)


def top_k(b: Builder, r: Random) -> None:
    b.need(opset=10)
    axis = r.choice(b.spatial)
    if r.random() < 0.5:
        k = b.const([r.choice([1, 2, 4])])
    else:
        k = b.node("Min", b.size(axis), b.const([r.choice([3, 300])])) if b.opset >= 12 else b.size(axis)
    b.value, _ = b.node("TopK", b.value, k, outputs=2, axis=axis)


def compress(b: Builder, r: Random) -> None:
    """How many are left depends on data: unknown."""
    b.need(opset=9)
    b.value = b.node("Compress", b.value, b.const([1, 0, 1], bool), axis=r.choice(b.spatial))


def non_zero(b: Builder, r: Random) -> None:
    """How many there are depends on data: unknown."""
    b.need(opset=9)
    found = b.cast(b.node("NonZero", b.value), FLOAT)
    b.value = b.unsqueeze(found, [0])
    b.channels, b.rank = b.rank, 3


def one_hot(b: Builder, r: Random) -> None:
    b.need(opset=9, rank=4)
    labels = b.node("ArgMax", b.value, axis=1, keepdims=0)
    depth = b.const([r.choice([3, 5])])
    b.value = b.node("OneHot", labels, depth, b.const([0.0, 1.0], np.float32), axis=1)
    b.channels = int(numpy_helper.to_array(b.stored[-2])[0])


def one_hot_dynamic(b: Builder, r: Random) -> None:
    """As deep as another tensor is wide."""
    b.need(opset=9, rank=4)
    labels = b.node("ArgMin", b.value, axis=3, keepdims=0)
    b.value = b.node("OneHot", labels, b.size(3), b.const([0.0, 1.0], np.float32), axis=-1)


def trilu(b: Builder, r: Random) -> None:
    b.need(opset=14)
    b.value = b.node("Trilu", b.value, upper=r.choice([0, 1]))


def scatter_nd(b: Builder, r: Random) -> None:
    b.need(opset=11, rank=4)
    row = b.slice(b.value, [0], [1], [0])
    b.value = b.node("ScatterND", b.value, b.const([[0]]), row)


# --- reducing --------------------------------------------------------------------------------------------


def reduce_keep(b: Builder, r: Random) -> None:
    op = r.choice(["ReduceMean", "ReduceMax", "ReduceSum", "ReduceL2", "ReduceProd", "ReduceMin"])
    axis = r.choice(b.spatial)
    b.value = b.reduce(op, b.value, [axis if b.opset < 11 or r.random() < 0.5 else axis - b.rank], 1)


def reduce_away(b: Builder, r: Random) -> None:
    if b.rank < 4:
        raise Unfit
    b.value = b.reduce(r.choice(["ReduceMean", "ReduceMax", "ReduceSum"]), b.value, [r.choice(b.spatial)], 0)
    b.rank -= 1


def arg_max(b: Builder, r: Random) -> None:
    b.value = b.cast(
        b.node(r.choice(["ArgMax", "ArgMin"]), b.value, axis=r.choice(b.spatial), keepdims=1), FLOAT
    )


def cum_sum(b: Builder, r: Random) -> None:
    b.need(opset=11)
    b.value = b.node("CumSum", b.value, b.const(2), exclusive=r.choice([0, 1]))


# --- blocks ----------------------------------------------------------------------------------------------


def depth_to_space(b: Builder, r: Random) -> None:
    b.need(rank=4)
    if b.channels % 4:
        b.value = b.node("Concat", b.value, b.value, b.value, b.value, axis=1)
        b.channels *= 4
    mode = {"mode": r.choice(["DCR", "CRD"])} if b.opset >= 11 else {}
    b.value = b.node("DepthToSpace", b.value, blocksize=2, **mode)
    b.channels //= 4


def space_to_depth(b: Builder, r: Random) -> None:
    b.need(rank=4)
    if b.channels > 8:
        raise Unfit
    block = r.choice([1, 2, 3])
    b.value = b.node("SpaceToDepth", b.value, blocksize=block)
    b.channels *= block**2


def col2im(b: Builder, r: Random) -> None:
    """Blocks put together again to an image of a known size."""
    b.need(opset=18, rank=4)
    columns = b.node(
        "Reshape",
        b.node(
            "Resize",
            b.value,
            "",
            "",
            b.node("Concat", b.slice(b.shape(), [0], [2], [0]), b.const([2, 2]), axis=0),
            mode="nearest",
        ),
        b.const([0, 0, 4]),
    )
    rows = b.node("Concat", columns, columns, columns, columns, axis=1)
    b.value = b.node("Col2Im", rows, b.const([4, 4]), b.const([2, 2]), strides=[2, 2])


# --- convolutions ----------------------------------------------------------------------------------------


def _weight(b: Builder, r: Random, kernel: Sequence[int], transposed: bool = False) -> tuple[str, int]:
    out = r.choice([1, 2, 4])
    shape = (b.channels, out, *kernel) if transposed else (out, b.channels, *kernel)
    return b.const(np.zeros(shape), np.float32), out


def conv(b: Builder, r: Random) -> None:
    kernel = [r.choice([1, 2, 3]) for _ in b.spatial]
    weight, out = _weight(b, r, kernel)
    strides = [r.choice([1, 2, 3]) for _ in kernel]
    if r.random() < 0.5:
        pads = [r.randrange(3) for _ in kernel * 2]
        dilations = [r.choice([1, 2]) for _ in kernel]
        b.value = b.node("Conv", b.value, weight, strides=strides, pads=pads, dilations=dilations)
    else:
        auto = r.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
        b.value = b.node("Conv", b.value, weight, strides=strides, auto_pad=auto)
    b.channels = out


def conv_transpose(b: Builder, r: Random) -> None:
    kernel = [r.choice([2, 3, 4]) for _ in b.spatial]
    weight, out = _weight(b, r, kernel, transposed=True)
    strides = [r.choice([1, 2]) for _ in kernel]
    pads = [r.randrange(2) for _ in kernel * 2]
    extra = [r.randrange(stride) for stride in strides]
    b.value = b.node("ConvTranspose", b.value, weight, strides=strides, pads=pads, output_padding=extra)
    b.channels = out


def conv_transpose_auto(b: Builder, r: Random) -> None:
    kernel = [r.choice([2, 3]) for _ in b.spatial]
    weight, out = _weight(b, r, kernel, transposed=True)
    auto = r.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    extra = {"output_padding": [1] * len(kernel)} if r.random() < 0.3 else {}
    b.value = b.node("ConvTranspose", b.value, weight, strides=[2] * len(kernel), auto_pad=auto, **extra)
    b.channels = out


def conv_transpose_shape(b: Builder, r: Random) -> None:
    kernel = [3 for _ in b.spatial]
    weight, out = _weight(b, r, kernel, transposed=True)
    b.value = b.node(
        "ConvTranspose", b.value, weight, strides=[2] * len(kernel), output_shape=[16] * len(kernel)
    )
    b.channels = out


def conv_integer(b: Builder, r: Random) -> None:
    b.need(opset=10, rank=4)
    weight = b.const(np.zeros((3, b.channels, 3, 3)), np.uint8)
    found = b.node("ConvInteger", b.quantized(), weight, pads=[1, 1, 0, 1], strides=[r.choice([1, 2]), 1])
    b.value, b.channels = b.cast(found, FLOAT), 3


def qlinear_conv(b: Builder, r: Random) -> None:
    b.need(opset=10, rank=4)
    scale, zero = b.const(0.1, np.float32), b.const(128, np.uint8)
    weight = b.const(np.zeros((2, b.channels, 3, 3)), np.uint8)
    x = b.quantized()
    auto = {"auto_pad": "SAME_UPPER"} if r.random() < 0.5 else {"pads": [1, 0, 1, 2]}
    found = b.node("QLinearConv", x, scale, zero, weight, scale, zero, scale, zero, strides=[2, 1], **auto)
    b.dequantize(found)
    b.channels = 2


def fused_conv(b: Builder, r: Random) -> None:
    b.need(rank=4)
    weight, out = _weight(b, r, [3, 3])
    b.value = b.node(
        "FusedConv",
        b.value,
        weight,
        domain="com.microsoft",
        activation="Relu",
        pads=[1, 1, 1, 1],
        strides=[2, 2],
    )
    b.channels = out


# --- onnxruntime's own -----------------------------------------------------------------------------------


def _scales(b: Builder) -> tuple[str, str]:
    return b.const(0.1, np.float32), b.const(128, np.uint8)


def qlinear_global_pool(b: Builder, r: Random) -> None:
    b.need(opset=10, rank=4)
    s, z = _scales(b)
    x = b.quantized()
    last = r.choice([0, 1])
    if last:
        x = b.node("Transpose", x, perm=[0, 2, 3, 1])
    y = b.node("QLinearGlobalAveragePool", x, s, z, s, z, domain="com.microsoft", channels_last=last)
    b.dequantize(b.node("Transpose", y, perm=[0, 3, 1, 2]) if last else y)


def qlinear_average_pool(b: Builder, r: Random) -> None:
    b.need(opset=10, rank=4)
    s, z = _scales(b)
    window = _window(b, r)
    y = b.node(
        "QLinearAveragePool",
        b.quantized(),
        s,
        z,
        s,
        z,
        domain="com.microsoft",
        ceil_mode=r.choice([0, 1]),
        **window,
    )
    b.dequantize(y)


def qlinear_reduce_mean(b: Builder, r: Random) -> None:
    b.need(opset=10, rank=4)
    s, z = _scales(b)
    y = b.node("ReduceMean", b.value, axes=[2, 3], keepdims=1) if b.opset < 18 else None
    y = b.node(
        "QLinearReduceMean",
        b.quantized(),
        s,
        z,
        s,
        z,
        domain="com.microsoft",
        axes=r.choice([[2, 3], [-1]]),
        keepdims=1,
    )
    b.dequantize(y)


def qlinear_concat(b: Builder, r: Random) -> None:
    b.need(opset=10)
    s, z = _scales(b)
    x = b.quantized()
    axis = r.choice([1, *b.spatial])
    y = b.node("QLinearConcat", s, z, x, s, z, x, s, z, domain="com.microsoft", axis=axis)
    b.dequantize(y)
    b.channels *= 2 if axis == 1 else 1


def qlinear_binary(b: Builder, r: Random) -> None:
    b.need(opset=10)
    s, z = _scales(b)
    x = b.quantized()
    other = x if r.random() < 0.5 else b.const(np.ones((b.channels, *[1] * len(b.spatial))), np.uint8)
    op = r.choice(["QLinearAdd", "QLinearMul"])
    b.dequantize(b.node(op, x, s, z, other, s, z, s, z, domain="com.microsoft"))


def qlinear_unary(b: Builder, r: Random) -> None:
    b.need(opset=10)
    s, z = _scales(b)
    op, extra = r.choice([("QLinearLeakyRelu", {"alpha": 0.1}), ("QLinearSigmoid", {})])
    b.dequantize(b.node(op, b.quantized(), s, z, s, z, domain="com.microsoft", **extra))


def microsoft_unary(b: Builder, r: Random) -> None:
    b.value = b.node(r.choice(["QuickGelu", "Gelu"]), b.value, domain="com.microsoft")


def nhwc_max_pool(b: Builder, r: Random) -> None:
    b.need(opset=10, rank=4)
    x = b.node("Transpose", b.quantized(), perm=[0, 2, 3, 1])
    window = _window(b, r)
    y = b.node("NhwcMaxPool", x, domain="com.microsoft", ceil_mode=r.choice([0, 1]), **window)
    b.dequantize(b.node("Transpose", y, perm=[0, 3, 1, 2]))


def _as_rows(b: Builder) -> str:
    """Batch and sizes as rows, channels as columns."""
    last = b.node("Transpose", b.value, perm=[0, *b.spatial, 1])
    return str(b.node("Reshape", last, b.const([-1, b.channels])))


def _from_rows(b: Builder, rows: str, channels: int) -> None:
    sizes = b.node("Gather", b.shape(), b.const([0, *b.spatial]), axis=0)
    back = b.node("Reshape", rows, b.node("Concat", sizes, b.const([channels]), axis=0))
    b.value = b.node("Transpose", back, perm=[0, b.rank - 1, *range(1, b.rank - 1)])
    b.channels = channels


def fused_gemm(b: Builder, r: Random) -> None:
    weight = b.const(np.zeros((b.channels, 3)), np.float32)
    bias = b.const(np.zeros(3), np.float32)
    _from_rows(
        b, b.node("FusedGemm", _as_rows(b), weight, bias, domain="com.microsoft", activation="Relu"), 3
    )


def gemm(b: Builder, r: Random) -> None:
    weight = b.const(np.zeros((2, b.channels)), np.float32)
    _from_rows(b, b.node("Gemm", _as_rows(b), weight, b.const(np.zeros(2), np.float32), transB=1), 2)


def dynamic_quantize_matmul(b: Builder, r: Random) -> None:
    weight = b.const(np.zeros((b.channels, 2)), np.uint8)
    scale, zero = b.const([0.1], np.float32), b.const([128], np.uint8)
    last = b.node("Transpose", b.value, perm=[0, *b.spatial, 1])
    y = b.node("DynamicQuantizeMatMul", last, weight, scale, zero, domain="com.microsoft")
    b.value = b.node("Transpose", y, perm=[0, b.rank - 1, *range(1, b.rank - 1)])
    b.channels = 2


def fused_matmul(b: Builder, r: Random) -> None:
    """x @ x.T over the last axes."""
    y = b.node(
        "FusedMatMul", b.value, b.value, domain="com.microsoft", transA=(t := r.choice([0, 1])), transB=1 - t
    )
    b.value = y


def matmul(b: Builder, r: Random) -> None:
    perm = [*range(b.rank - 2), b.rank - 1, b.rank - 2]
    b.value = b.node("MatMul", b.value, b.node("Transpose", b.value, perm=perm))


def einsum(b: Builder, r: Random) -> None:
    b.need(opset=12, rank=4)
    equation = r.choice(["nchw,nckw->nchk", "nchw,ncjw->nchj", "nchw->ncwh", "nchw,nchw->nch"])
    operands = [b.value] * (1 + ("," in equation))
    b.value = b.node("Einsum", *operands, equation=equation)
    b.rank = len(equation.partition("->")[2])


# --- sampling --------------------------------------------------------------------------------------------


def grid_sample(b: Builder, r: Random) -> None:
    b.need(opset=16, rank=4)
    grid = b.node("Transpose", b.value, perm=[0, 2, 3, 1])
    pair = b.slice(grid, [0], [2], [3])
    if b.channels < 2:
        raise Unfit
    y = b.slice(pair, [0], [r.choice([3, 2**31 - 1])], [1])
    b.value = b.node("GridSample", b.value, y)


def affine_grid(b: Builder, r: Random) -> None:
    b.need(opset=20, rank=4)
    theta = b.node(
        "Expand",
        b.const(np.zeros((1, 2, 3)), np.float32),
        b.node("Concat", b.size(0), b.const([1, 1]), axis=0),
    )
    grid = b.node("AffineGrid", theta, b.shape())
    b.value = b.node("GridSample", b.value, grid)


def roi_align(b: Builder, r: Random) -> None:
    b.need(opset=10, rank=4)
    boxes = r.choice([1, 3])
    rois = b.const(np.tile([0, 0, 2, 2], (boxes, 1)), np.float32)
    size = r.choice([4, 7])
    b.value = b.node(
        "RoiAlign",
        b.value,
        rois,
        b.const(np.zeros(boxes)),
        output_height=size,
        output_width=size,
        sampling_ratio=1,
    )


def stft(b: Builder, r: Random) -> None:
    b.need(opset=17)
    rows = b.node("Reshape", b.value, b.node("Concat", b.size(0), b.const([-1, 1]), axis=0))
    frame = r.choice([4, 8])
    window = b.const(np.ones(frame), np.float32)
    y = b.node(
        "STFT",
        rows,
        b.const(r.choice([2, 3, 4])),
        window,
        b.const(frame),
        **r.choice([{}, {"onesided": 0}, {"onesided": 1}]),
    )
    b.value = b.node("Transpose", y, perm=[0, 3, 1, 2])
    b.channels, b.rank = 2, 4


# --- element by element ----------------------------------------------------------------------------------


def unary(b: Builder, r: Random) -> None:
    ops = [
        "Relu",
        "Sigmoid",
        "Tanh",
        "Exp",
        "Abs",
        "Floor",
        "Softplus",
        "Sqrt",
        "Elu",
        "LeakyRelu",
        "HardSigmoid",
    ]
    ops += [
        "Identity",
        "Softmax",
        "LogSoftmax",
        "Selu",
        "Softsign",
        "Reciprocal",
        "Ceil",
        "Neg",
        "LRN",
        "Hardmax",
    ]
    ops += ["Erf", "Sign", "Sin", "Cosh"] if b.opset >= 9 else []
    ops += ["HardSwish"] if b.opset >= 14 else []
    ops += ["Mish"] if b.opset >= 18 else []
    ops += ["Gelu"] if b.opset >= 20 else []
    op = r.choice(ops)
    b.value = b.node(op, b.value, **({"size": 3} if op == "LRN" else {}))


def normalize(b: Builder, r: Random) -> None:
    one = [b.const(np.ones(b.channels), np.float32) for _ in range(4)]
    if r.random() < 0.5:
        b.value = b.node("BatchNormalization", b.value, *one)
    else:
        b.value = b.node("InstanceNormalization", b.value, *one[:2])


# --- shape arithmetic ------------------------------------------------------------------------------------


def constant_of_shape(b: Builder, r: Random) -> None:
    """A tensor of ones, as large as a shape that the graph works out."""
    b.need(opset=9, rank=4)
    sizes = b.node(
        r.choice(["Add", "Mul", "Max"]) if b.opset >= 12 else "Add", b.shape(), b.const([1, 1, 2, 2])
    )
    ones = b.node("ConstantOfShape", sizes, value=helper.make_tensor("v", FLOAT, [1], [1.0]))
    b.value = b.slice(ones, [0], [b.channels], [1])


def where_shape(b: Builder, r: Random) -> None:
    """Expand as torch's exporter writes it: Where(shape == -1, 1, shape)."""
    b.need(opset=9, rank=4)
    small = b.reduce("ReduceMean", b.value, [3], 1)
    target = b.node("Concat", b.const([-1, -1]), b.size(2), b.size(3), axis=0)
    ones = b.node("ConstantOfShape", b.const([4]), value=helper.make_tensor("v", INT64, [1], [1]))
    minus = b.node("Mul", ones, b.const([-1]))
    same = b.node("Equal", target, minus)
    b.value = b.node("Expand", small, b.node("Where", same, ones, target))


def squeeze_scalar_arithmetic(b: Builder, r: Random) -> None:
    """Gather of a scalar, arithmetic, Unsqueeze, Concat, Reshape."""
    b.need(rank=4)
    h = b.node("Gather", b.shape(), b.const(2), axis=0)
    w = b.node("Gather", b.shape(), b.const(3), axis=0)
    area = b.node("Mul", h, w)
    parts = [b.size(0), b.const([b.channels]), b.unsqueeze(area, [0])]
    b.value = b.node("Reshape", b.value, b.node("Concat", *parts, axis=0))
    b.rank = 3


def reduce_prod_of_shape(b: Builder, r: Random) -> None:
    """The product of the last sizes by ReduceProd."""
    b.need(rank=4)
    area = b.reduce("ReduceProd", b.slice(b.shape(), [2], [4], [0]), [0], 1)
    b.value = b.node("Reshape", b.value, b.node("Concat", b.size(0), b.const([b.channels]), area, axis=0))
    b.rank = 3


def shape_slice_attributes(b: Builder, r: Random) -> None:
    """Shape with start and end."""
    b.need(opset=15, rank=4)
    tail = b.node("Shape", b.value, start=r.choice([2, -2]))
    head = b.node("Shape", b.value, end=1)
    small = b.reduce("ReduceMean", b.value, [2, 3], 1)
    b.value = b.node("Expand", small, b.node("Concat", head, b.const([b.channels]), tail, axis=0))


def range_positions(b: Builder, r: Random) -> None:
    """Positions added, as a Range over a size."""
    b.need(opset=11)
    axis = b.rank - 1
    limit = b.squeeze(b.size(axis), [0])
    positions = b.cast(b.node("Range", b.const(0), limit, b.const(1)), FLOAT)
    b.value = b.node("Add", b.value, positions)


def signed_arithmetic(b: Builder, r: Random) -> None:
    """Quotients and rests of numbers that may be negative: they are rounded towards zero."""
    b.need(opset=10, rank=4)
    size = b.size(2)
    shifted = b.node("Sub", size, b.const([r.choice([3, 9, 100])]))
    divisor = r.choice([2, 3, -2])
    part = b.node(r.choice(["Div", "Mod"]), shifted, b.const([divisor]))
    square = b.node("Mul", part, part)
    amount = b.node("Sub", size, b.node("Mod", square, b.const([3])))
    b.value = b.slice(b.value, b.const([0]), amount, [2])


# --- control flow ----------------------------------------------------------------------------------------


def if_same(b: Builder, r: Random) -> None:
    """Branches of one shape, or of two."""
    flag = b.node("Greater", b.squeeze(b.size(0), [0]), b.const(r.choice([0, 1]))) if b.opset >= 9 else None
    if flag is None:
        raise Unfit
    arms = []
    for op in r.choice([("Relu", "Neg"), ("Relu", "MaxPool")]):
        name = b.name("arm")
        window = (
            {"kernel_shape": [2] * len(b.spatial), "strides": [2] * len(b.spatial)} if op == "MaxPool" else {}
        )
        arms.append(body([helper.make_node(op, [b.value], [name], **window)], [], [name]))
    b.value = b.node("If", flag, then_branch=arms[0], else_branch=arms[1])


def loop_carried(b: Builder, r: Random) -> None:
    """A state that keeps its shape, or grows."""
    iteration = helper.make_tensor_value_info(b.name("i"), INT64, [])
    go = helper.make_tensor_value_info(b.name("go"), BOOL, [])
    state = ValueInfoProto(name=b.name("state"))
    state.type.tensor_type.elem_type = FLOAT
    out, again = b.name("out"), b.name("again")
    grows = r.random() < 0.5
    if grows:
        step = helper.make_node("Concat", [state.name, b.value], [out], axis=b.rank - 1)
    else:
        step = helper.make_node("Relu", [state.name], [out])
    inner = body(
        [helper.make_node("Identity", [go.name], [again]), step], [iteration, go, state], [again, out]
    )
    given = [b.const(r.choice([1, 3])), "" if r.random() < 0.5 else b.const(value=True, dtype=bool)]
    b.value = b.node("Loop", *given, b.value, body=inner)


def loop_scanned(b: Builder, r: Random) -> None:
    """What every iteration gives, stacked: as long as the trip count, which is a size."""
    b.need(rank=4)
    iteration = helper.make_tensor_value_info(b.name("i"), INT64, [])
    go = helper.make_tensor_value_info(b.name("go"), BOOL, [])
    out, again = b.name("out"), b.name("again")
    step = (
        helper.make_node("ReduceMax", [b.value], [out], keepdims=0)
        if b.opset >= 18
        else helper.make_node("ReduceMax", [b.value], [out], axes=[0, 1, 2, 3], keepdims=0)
    )
    inner = body([helper.make_node("Identity", [go.name], [again]), step], [iteration, go], [again, out])
    trips = b.squeeze(b.size(3), [0]) if r.random() < 0.7 else b.const(4)
    row = b.node("Loop", trips, "", body=inner)
    b.value = b.unsqueeze(row, [0, 1])
    b.channels, b.rank = 1, 3


def scan(b: Builder, r: Random) -> None:
    """Rows one after the other."""
    b.need(opset=9, rank=4)
    state, row = ValueInfoProto(name=b.name("state")), ValueInfoProto(name=b.name("row"))
    for value in (state, row):
        value.type.tensor_type.elem_type = FLOAT
    total, copy = b.name("total"), b.name("copy")
    nodes = [
        helper.make_node("Add", [state.name, row.name], [total]),
        helper.make_node("Identity", [total], [copy]),
    ]
    inner = body(nodes, [state, row], [total, copy])
    start = b.reduce("ReduceSum", b.value, [2], 0)
    _, b.value = b.node(
        "Scan",
        start,
        b.value,
        outputs=2,
        body=inner,
        num_scan_inputs=1,
        scan_input_axes=[2],
        scan_output_axes=[2],
    )


PATTERNS: dict[str, Pattern] = {
    name: function
    for name, function in list(globals().items())
    if not name.startswith("_")
    and callable(function)
    and getattr(function, "__module__", "") == __name__
    and not isinstance(function, type)
    and name != "body"
}
"""By name."""
