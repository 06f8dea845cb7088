"""The table of torch's convolution operators: a row says all that any stage must know of one.

The walker, the parameter count and the verifier derive what they do from it; an operator that these can
express is one row more. A row names arguments as the operator's schema does, whatever order they come in.
MACs are those of the ``ConvLayer`` that a call becomes, counted as for every front end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from torch import Tensor

from convaudit.frontends.torch.calls import Arguments, bind, op_name
from convaudit.shapes import Pair, per_axis

Roles: TypeAlias = Mapping[str, str | tuple[str, ...]]
"""Which argument has each role; several where there is one for each axis."""
Axes: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvCall:
    """One convolution as torch was asked to run it."""

    op: str  # "aten.convolution"
    x: Tensor
    weight: Tensor  # (out, in/groups, *kernel); transposed (in, out/groups, *kernel)
    bias: Tensor | None
    stride: tuple[int, ...]
    padding: tuple[Pair, ...]
    dilation: tuple[int, ...]
    groups: int
    transposed: bool = False
    output_padding: tuple[int, ...] | None = None  # transposed only
    offset: Tensor | None = None  # deformable only
    mask: Tensor | None = None
    fused: str | None = None  # what the operator does to the result before it returns it: "relu", "add"
    stored_weight: Tensor | None = None  # the operator's own, where ``weight`` is that with its axes permuted

    @property
    def row(self) -> ConvOp:
        """What the table says of its operator."""
        return CONV_OPS[self.op]

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return self.weight.dim() - 2

    def arranged(self, output: Any) -> Any:
        """The operator's output with its axes in the order of ``x``'s."""
        axes = self.row.axes
        return output if axes is None else output.permute(axes["x"])


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvOp:
    """One row: where an operator has its operands and attributes, and what it does besides convolving."""

    roles: Roles  # stride, padding, dilation and output_padding that are not there are plain; groups is 1
    transposed: bool = False  # where no argument has that role
    depthwise: bool = False  # each input channel is a group of its own, which the operator need not be told
    packed: Callable[[Arguments], dict[str, Any]] | None = None  # reads the other roles out of an object
    quantized: bool = False
    axes: Mapping[str, Axes] | None = None  # how to permute "x" (and the output) and "weight" to ours
    fused: str | None = None  # what the operator applies to its result, as its name says
    fused_by: tuple[str, ...] = ()  # arguments that say so
    unseen: tuple[str, Axes] | None = None  # what TorchScript runs in its place, and the order of its inputs
    alone: bool = True  # whether torch.convolution takes its operands as they are stored
    not_supported: str | None = None  # why no run of it can be verified

    @property
    def deformable(self) -> bool:
        """Whether its taps are moved by offsets."""
        return "offset" in self.roles


def read_conv(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ConvCall | None:
    """The convolution that this call is, or None if the operator is not one."""
    op = op_name(func)
    return None if op not in CONV_OPS else conv_call(op, bind(func, args, kwargs))


def conv_call(op: str, a: Arguments) -> ConvCall:
    """The convolution that an operator of the table is by its arguments."""
    row = CONV_OPS[op]
    given = {role: _argument(a, names) for role, names in row.roles.items()}
    if row.packed is not None:
        given |= row.packed(a)
    x, weight = given["x"], given["weight"]
    if row.axes is not None:
        x, weight = x.permute(row.axes["x"]), weight.permute(row.axes["weight"])
    rank = weight.dim() - 2
    transposed = bool(given.get("transposed", row.transposed))

    def sizes(role: str, plain: int) -> tuple[int, ...]:
        return _per_axis(given.get(role, plain), rank, role)

    return ConvCall(
        op=op,
        x=x,
        weight=weight,
        bias=given.get("bias"),
        stride=sizes("stride", 1),
        padding=tuple((amount, amount) for amount in sizes("padding", 0)),
        dilation=sizes("dilation", 1),
        groups=x.shape[1] if row.depthwise else given.get("groups", 1),
        transposed=transposed,
        output_padding=sizes("output_padding", 0) if transposed else None,
        offset=given.get("offset"),
        mask=given["mask"] if given.get("use_mask") else None,
        fused=_fused(row, a) or given.get("fused"),
        stored_weight=None if row.axes is None else given["weight"],
    )


def _argument(a: Arguments, names: str | tuple[str, ...]) -> Any:
    return a[names] if isinstance(names, str) else tuple(a[name] for name in names)


def _per_axis(value: int | Sequence[int], rank: int, role: str) -> tuple[int, ...]:
    # torch lets one number in a list stand for all axes
    return per_axis(value[0] if not isinstance(value, int) and len(value) == 1 else value, rank, role)


def _fused(row: ConvOp, a: Arguments) -> str | None:
    told = [a.get(name) for name in row.fused_by]
    return ", ".join(name for name in (*told, row.fused) if name not in (None, "none", "")) or None


# --- objects that hold weight and attributes ------------------------------------------------------------


def _quantized(a: Arguments) -> dict[str, Any]:
    """torch keeps weight and attributes of a quantised convolution in one object."""
    packed = a["packed_weight"] if "packed_weight" in a else a["weight"]
    weight, bias = packed.unpack()
    rank = a["qx"].dim() - 2
    if weight.dim() > rank + 2:
        weight = weight.squeeze(2)  # a 1-D one is packed as 2-D, with a first axis of 1
    return {
        "weight": weight,
        "bias": bias,
        "stride": packed.stride()[-rank:],
        "padding": packed.padding()[-rank:],
        "dilation": packed.dilation()[-rank:],
        "groups": packed.groups(),
        "transposed": packed.transpose(),
        "output_padding": packed.output_padding()[-rank:],
    }


def _prepared(a: Arguments, *, transposed: bool = False) -> dict[str, Any]:
    """XNNPACK and oneDNN keep all but the input in an object that shows its contents to a pickler alone."""
    state, _ = a["W_prepack"].__getstate__()
    names = ["weight", "bias", "stride", "padding", "output_padding", "dilation", "groups"]
    if not transposed:
        names.remove("output_padding")
    limits = state[len(names) :]
    clamped = any(limit is not None for limit in limits)
    fused = "what was prepared with its weight" if clamped else None
    return dict(zip(names, state, strict=False)) | {"fused": fused}


def _prepared_transposed(a: Arguments) -> dict[str, Any]:
    return _prepared(a, transposed=True)


# --- the table ------------------------------------------------------------------------------------------


def _named(x: str, roles: str, **others: str) -> Roles:
    """Roles of arguments that are called what they are, but for the input and ``others``."""
    return {"x": x, **{role: role for role in roles.split()}, **others}


_ATEN = _named("input", "weight bias stride padding dilation transposed output_padding groups")
_SELF = _named("self", "weight bias stride padding dilation groups")
_SELF_TRANSPOSED = _named("self", "weight bias stride padding output_padding dilation groups")
_NO_BIAS = _named("self", "weight stride padding dilation groups")
_NO_BIAS_TRANSPOSED = _named("self", "weight stride padding output_padding dilation groups")
_NO_GROUPS = _named("self", "weight bias stride padding dilation")
_NO_GROUPS_TRANSPOSED = _named("self", "weight bias stride padding output_padding dilation")
_UNDILATED = _named("self", "weight bias stride padding")
_ONEDNN = _named("X", "stride padding dilation groups", weight="W", bias="B")
_DEFORMABLE: Roles = {
    **_named("input", "weight bias groups offset mask use_mask"),
    "stride": ("stride_h", "stride_w"),
    "padding": ("pad_h", "pad_w"),
    "dilation": ("dilation_h", "dilation_w"),
}
_ATTRIBUTES = ("binary_attr", "attr", "unary_attr")
_POINTWISE = ConvOp(roles=_ONEDNN, fused_by=_ATTRIBUTES, alone=False)
_PREPARED = ConvOp(roles={"x": "X"}, packed=_prepared, alone=False)
_ONEDNN_QUANTIZED = ConvOp(
    roles=_named("qx", "bias stride padding dilation groups", weight="qw"),
    quantized=True,
    alone=False,
    not_supported="its scales are given as numbers",
)
_QUANTIZED = ConvOp(roles={"x": "qx"}, packed=_quantized, quantized=True, alone=False)
_QUANTIZED_RELU = replace(_QUANTIZED, fused="relu")
_DYNAMIC = replace(_QUANTIZED, not_supported="it quantises its input by itself as it runs")

CONV_OPS: dict[str, ConvOp] = {
    "aten.convolution": ConvOp(roles=_ATEN),
    "aten.convolution_overrideable": ConvOp(roles=_ATEN),
    "aten._convolution": ConvOp(roles=_ATEN),
    "aten.mkldnn_convolution": ConvOp(
        roles=_SELF, unseen=("prim::mkldnn_convolution", (0, 1, 2, 4, 3, 5, 6))
    ),
    "aten.cudnn_convolution": ConvOp(roles=_NO_BIAS),
    "aten.cudnn_convolution_transpose": ConvOp(roles=_NO_BIAS_TRANSPOSED, transposed=True),
    "aten.cudnn_convolution_relu": ConvOp(roles=_SELF, fused="relu"),
    "aten.cudnn_convolution_add_relu": ConvOp(roles=_SELF, fused="add, relu"),
    "aten.miopen_convolution": ConvOp(roles=_SELF),
    "aten.miopen_convolution_transpose": ConvOp(roles=_SELF_TRANSPOSED, transposed=True),
    "aten.miopen_convolution_relu": ConvOp(roles=_SELF, fused="relu"),
    "aten.miopen_convolution_add_relu": ConvOp(roles=_SELF, fused="add, relu"),
    "aten.miopen_depthwise_convolution": ConvOp(roles=_SELF),
    "aten._mps_convolution": ConvOp(roles=_SELF),
    "aten._mps_convolution_transpose": ConvOp(roles=_NO_BIAS_TRANSPOSED, transposed=True),
    "aten._nnpack_spatial_convolution": ConvOp(roles=_named("input", "weight bias stride padding")),
    "aten._slow_conv2d_forward": ConvOp(roles=_UNDILATED),
    "aten.slow_conv3d_forward": ConvOp(roles=_UNDILATED),
    "aten.slow_conv_dilated2d": ConvOp(roles=_NO_GROUPS),
    "aten.slow_conv_dilated3d": ConvOp(roles=_NO_GROUPS),
    "aten.slow_conv_transpose2d": ConvOp(roles=_NO_GROUPS_TRANSPOSED, transposed=True),
    "aten.slow_conv_transpose3d": ConvOp(roles=_NO_GROUPS_TRANSPOSED, transposed=True),
    "aten._conv_depthwise2d": ConvOp(roles=_NO_GROUPS, depthwise=True),
    "aten.conv_depthwise3d": ConvOp(roles=_NO_GROUPS, depthwise=True),
    "aten.conv_tbc": ConvOp(
        roles=_named("self", "weight bias", padding="pad"), axes={"x": (1, 2, 0), "weight": (2, 1, 0)}
    ),
    "torchvision.deform_conv2d": ConvOp(roles=_DEFORMABLE, alone=False),
    "mkldnn._convolution_pointwise": _POINTWISE,
    "mkldnn._convolution_pointwise_": _POINTWISE,
    "mkldnn._convolution_transpose_pointwise": replace(
        _POINTWISE, roles={**_ONEDNN, "output_padding": "output_padding"}, transposed=True
    ),
    "mkldnn_prepacked.conv2d_run": _PREPARED,
    "prepacked.conv2d_clamp_run": _PREPARED,
    "prepacked.conv2d_transpose_clamp_run": replace(_PREPARED, packed=_prepared_transposed, transposed=True),
    **dict.fromkeys(
        ["onednn.qconv_pointwise", *(f"onednn.qconv{rank}d_pointwise" for rank in (1, 2, 3))],
        _ONEDNN_QUANTIZED,
    ),
    **{
        f"quantized.conv{rank}d{ending}": row
        for rank in (1, 2, 3)
        for ending, row in (("", _QUANTIZED), ("_relu", _QUANTIZED_RELU), ("_dynamic", _DYNAMIC))
    },
    **{
        f"quantized.conv_transpose{rank}d{ending}": replace(row, transposed=True)
        for rank in (1, 2, 3)
        for ending, row in (("", _QUANTIZED), ("_dynamic", _DYNAMIC))
    },
    "quantized.conv2d_add": replace(_QUANTIZED, fused="add"),
    "quantized.conv2d_add_relu": replace(_QUANTIZED, fused="add, relu"),
    "_quantized.conv2d": _QUANTIZED,
    "_quantized.conv2d_relu": _QUANTIZED_RELU,
    "_quantized.conv3d": _QUANTIZED,
    "_quantized.conv3d_relu": _QUANTIZED_RELU,
    "_quantized.conv_transpose1d": replace(_QUANTIZED, transposed=True),
    "_quantized.conv_transpose2d": replace(_QUANTIZED, transposed=True),
}
