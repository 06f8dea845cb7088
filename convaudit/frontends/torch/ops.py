"""What torch's operators compute: which are convolutions, and what the other multiplying ones cost.

The only place that knows the names and arguments of torch's operators. Arguments are bound by their schema,
so one reader serves ``aten.convolution`` and its mkldnn and cudnn forms, whatever order they take them in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from convaudit.formulas import Count, parse, product
from convaudit.frontends.torch import _private as private
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
    fused: str | None = None  # what the operator does to the result before it returns it: "relu", "add"
    stored_weight: Tensor | None = None  # the operator's own, where ``weight`` is that with its axes permuted
    axes: tuple[int, ...] | None = None  # of the operator's output, in the order (N, out_channels, *spatial)

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return self.weight.dim() - 2

    def arranged(self, output: Any) -> Any:
        """The operator's output with its axes in the order of ``x``'s."""
        return output if self.axes is None else output.permute(self.axes)


def is_higher_order(func: Any) -> bool:
    """Whether an operator runs other code, and is not one overload of one that computes."""
    return not isinstance(func, _OVERLOAD)


_OVERLOAD = type(torch.ops.aten.convolution.default)


def op_name(func: Any) -> str:
    """``aten.convolution`` of ``aten.convolution.default``."""
    return f"higher_order.{func.name()}" if is_higher_order(func) else str(func.overloadpacket)


def takes_no_values(op: str) -> bool:
    """Whether a tensor gives the operator only its shape and type, as ``zeros_like``'s does."""
    return re.search(r"^aten\.(new_|\w+_like$)", op) is not None


def bind(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Arguments by their schema's names, with its defaults."""
    declared = private.schema(func).arguments
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


def read_conv(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ConvCall | None:
    """The convolution that this call is, or None if the operator is not one."""
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
        dilation=_axes(a.get("dilation", 1), rank, "dilation"),
        groups=a.get("groups", 1),
        transposed=transposed,
        output_padding=_axes(a["output_padding"], rank, "output_padding") if transposed else None,
        fused=_fused(op, a),
    )


def _fused(op: str, a: Arguments) -> str | None:
    """What the operator applies to its result, by its arguments (oneDNN) or else by its name."""
    named = [a.get(name) for name in ("binary_attr", "attr", "unary_attr")]
    fused = [name for name in named if name not in (None, "none", "")]
    fused += re.findall(r"add|relu", op.rpartition("_convolution")[2])
    return ", ".join(fused) or None


def _depthwise(op: str, a: Arguments) -> ConvCall:
    """Each input channel is a group of its own, which the operator need not be told."""
    return _plain(op, {**a, "groups": a["self"].shape[1]})


def _time_batch_channels(op: str, a: Arguments) -> ConvCall:
    """``conv_tbc`` takes (time, batch, channels) and a weight (kernel, in, out)."""
    return ConvCall(
        op=op,
        x=a["self"].permute(1, 2, 0),
        weight=a["weight"].permute(2, 1, 0),
        bias=a["bias"],
        stride=(1,),
        padding=_symmetric(a["pad"], 1),
        dilation=(1,),
        groups=1,
        stored_weight=a["weight"],
        axes=(1, 2, 0),
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
        fused=", ".join(re.findall(r"add|relu", op)) or None,
    )


def _prepacked(op: str, a: Arguments) -> ConvCall:
    """XNNPACK and oneDNN keep all but the input in an object that shows its contents to a pickler alone."""
    state, _ = _first(a, "W_prepack", "W").__getstate__()
    transposed = "transpose" in op
    weight, bias, stride, padding, *rest = state
    output_padding = rest.pop(0) if transposed else 0
    dilation, groups, *prepared = rest
    rank = weight.dim() - 2
    return ConvCall(
        op=op,
        x=a["X"],
        weight=weight,
        bias=bias,
        stride=_axes(stride, rank, "stride"),
        padding=_symmetric(padding, rank),
        dilation=_axes(dilation, rank, "dilation"),
        groups=groups,
        transposed=transposed,
        output_padding=_axes(output_padding, rank, "output_padding") if transposed else None,
        packed=True,
        fused=None if all(limit is None for limit in prepared) else "what was prepared with its weight",
    )


def _onednn_quantised(op: str, a: Arguments) -> ConvCall:
    rank = a["qw"].dim() - 2
    return ConvCall(
        op=op,
        x=a["qx"],
        weight=a["qw"],
        bias=a["bias"],
        stride=_axes(a["stride"], rank, "stride"),
        padding=_symmetric(a["padding"], rank),
        dilation=_axes(a["dilation"], rank, "dilation"),
        groups=a["groups"],
        fused="scales that it is given as numbers",
    )


def _axes(value: int | Sequence[int], rank: int, name: str) -> tuple[int, ...]:
    # torch lets one number in a list stand for all axes
    return per_axis(value[0] if not isinstance(value, int) and len(value) == 1 else value, rank, name)


def _symmetric(padding: int | Sequence[int], rank: int) -> tuple[Pair, ...]:
    return tuple((amount, amount) for amount in _axes(padding, rank, "padding"))


CONV_READERS: dict[str, Callable[[str, Arguments], ConvCall]] = {
    **dict.fromkeys(
        (
            "aten.convolution",
            "aten.convolution_overrideable",
            "aten._convolution",
            "aten.mkldnn_convolution",
            "aten.cudnn_convolution",
            "aten.cudnn_convolution_transpose",
            "aten.cudnn_convolution_relu",
            "aten.cudnn_convolution_add_relu",
            "aten.miopen_convolution",
            "aten.miopen_convolution_transpose",
            "aten.miopen_convolution_relu",
            "aten.miopen_convolution_add_relu",
            "aten.miopen_depthwise_convolution",
            "aten._mps_convolution",
            "aten._mps_convolution_transpose",
            "aten._nnpack_spatial_convolution",
            "aten._slow_conv2d_forward",
            "aten.slow_conv3d_forward",
            "aten.slow_conv_dilated2d",
            "aten.slow_conv_dilated3d",
            "aten.slow_conv_transpose2d",
            "aten.slow_conv_transpose3d",
            "mkldnn._convolution_pointwise",
            "mkldnn._convolution_pointwise_",
            "mkldnn._convolution_transpose_pointwise",
        ),
        _plain,
    ),
    "aten._conv_depthwise2d": _depthwise,
    "aten.conv_depthwise3d": _depthwise,
    "aten.conv_tbc": _time_batch_channels,
    "torchvision.deform_conv2d": _deformable,
    "mkldnn_prepacked.conv2d_run": _prepacked,
    "prepacked.conv2d_clamp_run": _prepacked,
    "prepacked.conv2d_transpose_clamp_run": _prepacked,
    "onednn.qconv_pointwise": _onednn_quantised,
    **{f"onednn.qconv{rank}d_pointwise": _onednn_quantised for rank in (1, 2, 3)},
    **{
        f"{namespace}.conv{form}{rank}d{fused}": _quantised
        for namespace in ("quantized", "_quantized")
        for form in ("", "_transpose")
        for rank in (1, 2, 3)
        for fused in ("", "_relu", "_add", "_add_relu", "_dynamic")
    },
}


# --- other multiplying operators ------------------------------------------------------------------------


def count_macs(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Count | None:
    """MACs of a multiplying operator that is no convolution; None if it is not one of them."""
    counter = MAC_COUNTERS.get(op_name(func).removesuffix("_"))  # in place or not
    return None if counter is None else counter(bind(func, args, kwargs))


def unknown_cost(op: str) -> str | None:
    """Why the cost of an operator outside the tables is unknown; None if it multiplies nothing.

    The operators of torch's own namespaces move, compare, sample and combine elementwise, but for those with
    a telling name.
    """
    namespace, _, name = op.partition(".")
    if namespace == "higher_order":
        return "what runs inside it is not seen"
    if namespace == "prim":
        return "TorchScript runs it by itself, unseen"
    if namespace not in _KNOWN_NAMESPACES:
        return "a custom operator"
    name = name.removesuffix("_")  # in place or not
    telling = _MULTIPLIES.search(name) and name not in _ELEMENTWISE and not _ARRANGES.search(name)
    return "no rule for this operator" if telling else None


def may_convolve(op: str) -> bool:
    """Whether an operator of unknown cost may run convolutions, going by its name."""
    namespace, _, name = op.partition(".")
    return name not in _ELEMENTWISE and (namespace not in _KNOWN_NAMESPACES or "conv" in name)


_COLLECTIVE = {"c10d", "_c10d_functional", "_c10d_functional_autograd", "_dtensor", "symm_mem"}
_KNOWN_NAMESPACES = _COLLECTIVE | {
    "aten",
    "debug_mode_ops",
    "debugprims",
    "export",
    "fsdp",
    "inductor",
    "inductor_prims",
    "mkl",
    "mkldnn",
    "mkldnn_prepacked",
    "onednn",
    "prepacked",
    "prims",
    "profiler",
    "quantization",
    "quantized",
    "_quantized",
    "quantized_decomposed",
    "rngprims",
    "sparse",
    "torchvision",
}
_MULTIPLIES = re.compile(
    r"conv(?!ert)|matmul|linear|attention|transformer|multi_head|rnn|lstm|gru|cdist|pdist|euclid|einsum|linalg|"
    r"fft|cholesky|svd|inverse|pinv|solve|lstsq|geqrf|ormqr|householder|triangular|gemm|"
    r"(^|_)(\w*\dmm|[a-z]*mm|[a-z]*mv|[a-z]*dot|lu|eig\w*|matrix_exp)(_|$)"
)
_ARRANGES = re.compile(r"^_?upsample_|_prepack(_|$)|_unpack(_fp16)?$|reorder")
"""Interpolates between neighbours, or stores a weight in another order."""
_ELEMENTWISE = {  # in spite of their names
    "linalg_vector_norm",
    "linalg__powsum",
    "linalg_cross",
    "linalg_diagonal",
    "_linalg_check_errors",
    "_thnn_fused_lstm_cell",  # the gates; their matrix products are operators of their own
    "_thnn_fused_gru_cell",
    "_thnn_fused_lstm_cell_backward_impl",
    "_thnn_fused_gru_cell_backward",
    "_cudnn_rnn_flatten_weight",
    "_cslt_sparse_mm_search",
    "fft_fftfreq",
    "fft_rfftfreq",
    "slice_inverse",
    "wrapped_fbgemm_pack_gemm_matrix_fp16",
    "flex_attention",  # what runs inside it changes scores
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


def _grouped_matrix_product(a: Arguments) -> Count:
    """Each group's rows meet its own matrix; of a two-dimensional operand the groups are parts."""
    left = shape(a["self"])
    groups_apart = len(left) == 3 and a["mat2"].dim() == 2
    return product(left[1:] if groups_apart else left) * size(a["mat2"].shape[-1]) * _numbers_each(a["self"])


def _scaled_matrix_product(a: Arguments) -> Count:
    return product(shape(a["self"])) * size(a["mat2"].shape[-1]) * _numbers_each(a["self"])


def _numbers_each(tensor: Tensor) -> int:
    """Numbers in an element: torch packs two of 4 bits into one."""
    return 2 if "_x2" in str(tensor.dtype) else 1


def _convolution_backward(a: Arguments) -> Count:
    """The gradients of input and weight each cost what the convolution did, that of the bias nothing."""
    kernel = product(shape(a["weight"])[1:])  # the other channels of the group, and the taps
    positions = shape(a["input"] if a["transposed"] else a["grad_output"])
    wanted = sum(bool(gradient) for gradient in a["output_mask"][:2])
    return product(positions) * kernel * wanted


def _affine_grid(a: Arguments) -> Count:
    """Every position of the grid, in homogeneous coordinates, meets the image's matrix."""
    images, _, *positions = a["size"]
    return product(shape(a["theta"])[1:]) * product([size(n) for n in (images, *positions)])


def _attention(a: Arguments) -> Count:
    """(…, L, E) queries against S keys, then (…, L, S) weights against (…, S, V) values.

    Nominal: a causal mask takes nothing off. Fewer key heads than query heads make no difference.
    """
    query, value = shape(a["query"]), shape(a["value"])
    return product(query[:-1]) * value[-2] * (query[-1] + value[-1])


def _packed_linear(a: Arguments) -> Count:
    return product(shape(a["X"])) * size(a["W_prepack"].unpack()[0].shape[0])


def _clamped_linear(a: Arguments) -> Count:
    (weight, *_), _ = a["W_prepack"].__getstate__()
    return product(shape(a["X"])) * size(weight.shape[0])


def _recurrent(*weights: str) -> Callable[[Arguments], Count]:
    """Every weight matrix meets every vector of the sequences; biases are vectors."""

    def count(a: Arguments) -> Count:
        tensors = [
            tensor for name in weights for tensor in (a[name] if isinstance(a[name], list) else [a[name]])
        ]
        matrices = [product(shape(tensor)) for tensor in tensors if tensor.dim() == 2]
        return product(shape(a["input"])[:-1]) * sum(matrices)

    return count


_PACKED_LINEAR_FORMS = (
    "",
    "_relu",
    "_leaky_relu",
    "_tanh",
    "_dynamic",
    "_relu_dynamic",
    "_dynamic_fp16",
    "_relu_dynamic_fp16",
    "_with_input_q_dq_qweight_dq_output_fp32",
    "_with_input_q_dq_qweight_dq_relu_output_fp32",
)
MAC_COUNTERS: dict[str, Callable[[Arguments], Count]] = {
    "aten.mm": _matrix_product("self", "mat2"),
    "aten.bmm": _matrix_product("self", "mat2"),
    "aten.addmm": _matrix_product("mat1", "mat2"),
    "aten._addmm_activation": _matrix_product("mat1", "mat2"),
    "aten.baddbmm": _matrix_product("batch1", "batch2"),
    "aten.addbmm": _matrix_product("batch1", "batch2"),
    "aten._scaled_mm": _scaled_matrix_product,
    "aten._scaled_mm_v2": _scaled_matrix_product,
    "aten._grouped_mm": _grouped_matrix_product,
    "aten._scaled_grouped_mm": _grouped_matrix_product,
    "aten._scaled_grouped_mm_v2": _grouped_matrix_product,
    "aten._weight_int8pack_mm": _linear("self", "mat2"),
    "aten.convolution_backward": _convolution_backward,
    "aten.convolution_backward_overrideable": _convolution_backward,
    "aten._weight_int4pack_mm_for_cpu": _linear("self", "mat2"),
    "aten._dyn_quant_matmul_4bit": lambda a: product(shape(a["inp"])) * a["out_features"],
    "aten.affine_grid_generator": _affine_grid,
    "quantized.matmul": _matrix_product("qa", "qb"),
    "aten._int_mm": _matrix_product("self", "mat2"),
    "aten.mv": _elements("self"),
    "aten.addmv": _elements("mat"),
    "aten.dot": _elements("self"),
    "aten.vdot": _elements("self"),
    "aten.linear": _linear("input", "weight"),
    "aten.mkldnn_linear": _linear("self", "weight"),
    "mkldnn._linear_pointwise": _linear("X", "W"),
    "mkl._mkl_linear": _linear("X", "ORI_W"),
    "prepacked.linear_clamp_run": _clamped_linear,
    **{f"quantized.linear{form}": _packed_linear for form in _PACKED_LINEAR_FORMS},
    **{f"_quantized.linear{form}": _packed_linear for form in ("", "_dynamic")},
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten._scaled_dot_product_flash_attention": _attention,
    "aten._scaled_dot_product_efficient_attention": _attention,
    "aten._scaled_dot_product_cudnn_attention": _attention,
    "aten._scaled_dot_product_fused_attention_overrideable": _attention,
    "aten._scaled_dot_product_attention_math_for_mps": _attention,
    "aten.mkldnn_rnn_layer": _recurrent("weight0", "weight1"),
    "aten._cudnn_rnn": _recurrent("weight"),
    "aten.miopen_rnn": _recurrent("weight"),
}
