"""What torch's other operators cost: some multiply, some cost nobody knows what, most neither."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from convaudit.formulas import Count, product
from convaudit.frontends.torch.calls import Arguments, bind, op_name, shape
from convaudit.frontends.torch.sizes import count_of


def count_macs(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Count | None:
    """MACs of a multiplying operator that is not a convolution; None if it is not one of them."""
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
    return lambda a: product(shape(a[left])) * count_of(a[right].shape[-1])


def _linear(x: str, weight: str) -> Callable[[Arguments], Count]:
    """(…, k) times a stored (n, k)."""
    return lambda a: product(shape(a[x])) * count_of(a[weight].shape[0])


def _elements(x: str) -> Callable[[Arguments], Count]:
    """Every element is multiplied once: a matrix or vector times a vector."""
    return lambda a: product(shape(a[x]))


def _grouped_matrix_product(a: Arguments) -> Count:
    """Each group's rows meet its own matrix; of a two-dimensional operand the groups are parts."""
    left = shape(a["self"])
    groups_apart = len(left) == 3 and a["mat2"].dim() == 2
    return (
        product(left[1:] if groups_apart else left) * count_of(a["mat2"].shape[-1]) * _numbers_each(a["self"])
    )


def _scaled_matrix_product(a: Arguments) -> Count:
    return product(shape(a["self"])) * count_of(a["mat2"].shape[-1]) * _numbers_each(a["self"])


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
    return product(shape(a["theta"])[1:]) * product([count_of(n) for n in (images, *positions)])


def _attention(a: Arguments) -> Count:
    """(…, L, E) queries against S keys, then (…, L, S) weights against (…, S, V) values.

    Nominal: a causal mask takes nothing off. Fewer key heads than query heads make no difference.
    """
    query, value = shape(a["query"]), shape(a["value"])
    return product(query[:-1]) * value[-2] * (query[-1] + value[-1])


def _packed_linear(a: Arguments) -> Count:
    return product(shape(a["X"])) * count_of(a["W_prepack"].unpack()[0].shape[0])


def _clamped_linear(a: Arguments) -> Count:
    (weight, *_), _ = a["W_prepack"].__getstate__()
    return product(shape(a["X"])) * count_of(weight.shape[0])


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
