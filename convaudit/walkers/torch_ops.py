"""What torch's operators compute: which are convolutions, and what the other multiplying ones cost.

The only place that knows the names and arguments of torch's operators. Arguments are bound by their schema,
so one reader serves ``aten.convolution`` and its mkldnn and cudnn forms, whatever order they take them in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch._ops import HigherOrderOperator, OpOverload

from convaudit.formulas import Count, parse, product
from convaudit.shapes import Pair, per_axis

Arguments = Mapping[str, Any]
"""An operator's arguments by the names of its schema, defaults filled in."""


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
    deformable: bool = False
    offset: Tensor | None = None
    mask: Tensor | None = None
    packed: bool = False  # the weight was unpacked for this record: it is no tensor of the model's

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return self.weight.dim() - 2


def op_name(func: OpOverload | HigherOrderOperator) -> str:
    """``aten.convolution`` of ``aten.convolution.default``."""
    return str(func.overloadpacket) if isinstance(func, OpOverload) else f"higher_order.{func.name()}"


def bind(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Arguments by their schema's names, with its defaults."""
    declared = func._schema.arguments
    bound = {argument.name: argument.default_value for argument in declared}
    bound.update(zip((argument.name for argument in declared), args, strict=False))
    bound.update(kwargs)
    return bound


def size(value: Any) -> Count:
    """An ``int`` as it is; a symbolic size of an exported program as a formula of its names."""
    return value if isinstance(value, int) else parse(str(value))


def dtype_name(tensor: Tensor) -> str:
    """NumPy's name of the type; torch's quantised ones go by the integers that they hold."""
    return str(tensor.dtype).removeprefix("torch.").removeprefix("q")


def shape(tensor: Tensor) -> tuple[Count, ...]:
    """A tensor's sizes, symbolic ones as formulas."""
    return tuple(size(value) for value in tensor.shape)


# --- convolutions ---------------------------------------------------------------------------------------


def read_conv(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ConvCall | None:
    """The convolution that this call is, or None if the operator is no convolution."""
    op = op_name(func)
    reader = CONV_READERS.get(op)
    return None if reader is None else reader(op, bind(func, args, kwargs))


def _plain(op: str, a: Arguments) -> ConvCall:
    weight = _first(a, "weight", "W")
    rank = weight.dim() - 2
    transposed = bool(a.get("transposed", "transpose" in op))
    return ConvCall(
        op=op,
        x=_first(a, "input", "self", "X"),
        weight=weight,
        bias=_first(a, "bias", "B"),
        stride=_axes(a["stride"], rank, "stride"),
        padding=_symmetric(a["padding"], rank),
        dilation=_axes(a["dilation"], rank, "dilation"),
        groups=a["groups"],
        transposed=transposed,
        output_padding=_axes(a["output_padding"], rank, "output_padding") if transposed else None,
    )


def _deformable(op: str, a: Arguments) -> ConvCall:
    return ConvCall(
        op=op,
        x=a["input"],
        weight=a["weight"],
        bias=a["bias"],
        stride=(a["stride_h"], a["stride_w"]),
        padding=_symmetric((a["pad_h"], a["pad_w"]), 2),
        dilation=(a["dilation_h"], a["dilation_w"]),
        groups=a["groups"],
        deformable=True,
        offset=a["offset"],
        mask=a["mask"] if a["use_mask"] else None,
    )


def _first(a: Arguments, *names: str) -> Any:
    return next((a[name] for name in names if name in a), None)


def _quantised(op: str, a: Arguments) -> ConvCall:
    """torch keeps weight and attributes of a quantised convolution in one packed object."""
    packed = _first(a, "packed_weight", "weight")
    weight, bias = packed.unpack()
    rank = a["qx"].dim() - 2
    if weight.dim() > rank + 2:
        weight = weight.squeeze(2)  # a 1-D one is packed as 2-D, with a first axis of 1
    transposed = bool(packed.transpose())
    return ConvCall(
        op=op,
        x=a["qx"],
        weight=weight,
        bias=bias,
        stride=tuple(packed.stride()[-rank:]),
        padding=_symmetric(packed.padding()[-rank:], rank),
        dilation=tuple(packed.dilation()[-rank:]),
        groups=packed.groups(),
        transposed=transposed,
        output_padding=tuple(packed.output_padding()[-rank:]) if transposed else None,
        packed=True,
    )


def _axes(value: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    # torch lets one number in a list stand for all axes
    return per_axis(value[0] if not isinstance(value, int) and len(value) == 1 else value, rank, name)


def _symmetric(padding: int | Sequence[int], rank: int) -> tuple[Pair, ...]:
    return tuple((amount, amount) for amount in _axes(padding, rank, "padding"))


CONV_READERS: dict[str, Callable[[str, Arguments], ConvCall]] = {
    "aten.convolution": _plain,
    "aten.convolution_overrideable": _plain,
    "aten._convolution": _plain,
    "aten.mkldnn_convolution": _plain,
    "aten.cudnn_convolution": _plain,
    "aten.cudnn_convolution_transpose": _plain,
    "aten.cudnn_convolution_relu": _plain,
    "aten.miopen_convolution": _plain,
    "aten.miopen_convolution_transpose": _plain,
    "mkldnn._convolution_pointwise": _plain,
    "mkldnn._convolution_transpose_pointwise": _plain,
    "torchvision.deform_conv2d": _deformable,
    **{
        f"quantized.conv{form}{rank}d{fused}": _quantised
        for form in ("", "_transpose")
        for rank in (1, 2, 3)
        for fused in ("", "_relu", "_add", "_add_relu", "_dynamic")
    },
}


# --- other multiplying operators ------------------------------------------------------------------------


def count_macs(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Count | None:
    """MACs of a multiplying operator that is no convolution; None if it is not one of them."""
    counter = MAC_COUNTERS.get(op_name(func).removesuffix("_"))  # in place or not
    return None if counter is None else counter(bind(func, args, kwargs))


def unknown_cost(op: str) -> str | None:
    """Why the cost of an operator outside the tables is unknown; None if it multiplies nothing.

    torch's own operators move, compare, sample and combine elementwise, but for those with a telling name.
    """
    namespace, _, name = op.partition(".")
    if namespace == "higher_order":
        return "what runs inside it is not seen"
    if namespace not in _KNOWN_NAMESPACES:
        return "a custom operator"
    return "no rule for this operator" if _MULTIPLIES.search(name) and name not in _ELEMENTWISE else None


_KNOWN_NAMESPACES = {"aten", "mkldnn", "onednn", "prims", "quantized", "quantized_decomposed", "torchvision"}
_MULTIPLIES = re.compile(
    r"(^|_)(\w*mm|\w*matmul\w*|attention|transformer|q?linear(?!1d)|conv\w*|lstm|gru|rnn|trilinear(?!3d)|cdist|"
    r"einsum|linalg|fft|cholesky|svd|inverse|lu|triangular)(_|$)"
)
_ELEMENTWISE = {  # in spite of their names
    "linalg_vector_norm",
    "linalg_cross",
    "linalg_diagonal",
    "_linalg_check_errors",
    "_thnn_fused_lstm_cell",  # the gates; their matrix products are operators of their own
    "_thnn_fused_gru_cell",
    "_cudnn_rnn_flatten_weight",
}


def _matrix_product(left: str, right: str) -> Callable[[Arguments], Count]:
    """(…, m, k) times (…, k, n): every element on the left meets n columns on the right."""
    return lambda a: product(shape(a[left])) * size(a[right].shape[-1])


def _linear(x: str, weight: str) -> Callable[[Arguments], Count]:
    """(…, k) times a stored (n, k)."""
    return lambda a: product(shape(a[x])) * size(a[weight].shape[0])


def _elements(x: str) -> Callable[[Arguments], Count]:
    """Every element is multiplied once: a matrix or vector times a vector."""
    return lambda a: product(shape(a[x]))


def _attention(a: Arguments) -> Count:
    """(…, L, E) queries against S keys, then (…, L, S) weights against (…, S, V) values.

    Nominal: a causal mask takes nothing off. Fewer key heads than query heads make no difference.
    """
    query, value = shape(a["query"]), shape(a["value"])
    return product(query[:-1]) * value[-2] * (query[-1] + value[-1])


def _packed_linear(a: Arguments) -> Count:
    return product(shape(a["X"])) * size(a["W_prepack"].unpack()[0].shape[0])


def _recurrent(*weights: str) -> Callable[[Arguments], Count]:
    """Every weight matrix meets every vector of the sequences; biases are vectors."""

    def count(a: Arguments) -> Count:
        tensors = [
            tensor for name in weights for tensor in (a[name] if isinstance(a[name], list) else [a[name]])
        ]
        matrices = [product(shape(tensor)) for tensor in tensors if tensor.dim() == 2]
        return product(shape(a["input"])[:-1]) * sum(matrices)

    return count


MAC_COUNTERS: dict[str, Callable[[Arguments], Count]] = {
    "aten.mm": _matrix_product("self", "mat2"),
    "aten.bmm": _matrix_product("self", "mat2"),
    "aten.addmm": _matrix_product("mat1", "mat2"),
    "aten._addmm_activation": _matrix_product("mat1", "mat2"),
    "aten.baddbmm": _matrix_product("batch1", "batch2"),
    "aten.addbmm": _matrix_product("batch1", "batch2"),
    "aten._scaled_mm": _matrix_product("self", "mat2"),
    "aten._int_mm": _matrix_product("self", "mat2"),
    "aten.mv": _elements("self"),
    "aten.addmv": _elements("mat"),
    "aten.dot": _elements("self"),
    "aten.vdot": _elements("self"),
    "aten.linear": _linear("input", "weight"),
    "aten.mkldnn_linear": _linear("self", "weight"),
    "mkldnn._linear_pointwise": _linear("X", "W"),
    "quantized.linear": _packed_linear,
    "quantized.linear_relu": _packed_linear,
    "quantized.linear_dynamic": _packed_linear,
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten._scaled_dot_product_flash_attention": _attention,
    "aten._scaled_dot_product_efficient_attention": _attention,
    "aten._scaled_dot_product_cudnn_attention": _attention,
    "aten._scaled_dot_product_fused_attention_overrideable": _attention,
    "aten.mkldnn_rnn_layer": _recurrent("weight0", "weight1"),
    "aten._cudnn_rnn": _recurrent("weight"),
    "aten.miopen_rnn": _recurrent("weight"),
}
