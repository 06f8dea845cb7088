"""Which of torch's operators a file may name: those that compute, and none that touches the world.

Files are read and written, processes called, and libraries loaded only by operators that take a name or a
path. So in the namespaces that compute, an operator may take text only where the text chooses a mode; of the
rest, those listed here are harmless although they do not follow that rule.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from convaudit.frontends.torch import _private as private

_COMPUTING = frozenset(
    [
        "aten",
        "prims",
        "quantized",
        "_quantized",
        "mkldnn",
        "mkldnn_prepacked",
        "mkl",
        "onednn",
        "sparse",
        "quantization",
    ]
)
_HARMLESS = frozenset(["aten::warn", "aten::_assert_async", "aten::_linalg_check_errors"])
_REFUSED = frozenset(("aten::_print", "aten::dist_backward"))
_MODES = frozenset(
    re.findall(
        r"\S+",
        """
        a activation algorithm approximate assert_msg attr b binary_attr binary_post_op chars
        default_value device_type dict driver el equation fillchar idx indexing input inputs
        interpolation item key l mode new norm old ord p pad_mode padding padding_side
        post_op_algorithm post_op_name reduce rounding_mode s self separator side string substr t
        to_add type unary_algorithm unary_attr unary_post_op unary_post_op_algorithm UPLO values
        """,
    )
)
INTERPRETER = frozenset(
    re.findall(
        r"\S+",
        """
        AutogradAllNonZero BroadcastSizes ConstantChunk ConstantMKLDNNTensor BroadcastMKLDNNTensors
        EnumName EnumValue IfThenElse MKLDNNClamp MKLDNNClamp_ MKLDNNHardSigmoid MKLDNNHardSigmoid_
        MKLDNNHardSwish MKLDNNHardSwish_ MKLDNNHardTanh MKLDNNHardTanh_ MKLDNNLayerNorm
        MKLDNNLayerNorm_ MKLDNNScalarMul MKLDNNScalarMul_ ModuleContainerIndex NumToTensor
        RaiseException StringIndex TupleIndex TupleUnpack Uninitialized VarConcat VarStack abs
        awaitable_nowait awaitable_wait data device dtype grad id index is_cpu is_cuda is_ipu
        is_maia is_meta is_mkldnn is_mps is_mtia is_nested is_quantized is_sparse is_sparse_csr
        is_vulkan is_xla is_xpu itemsize layout max min mkldnn_convolution name nbytes rangelist
        requires_grad tolist type unchecked_cast unchecked_unwrap_optional isinstance TupleConstruct
        ListConstruct DictConstruct
        """,
    )
)
"""Names in ``prim``, by which TorchScript asks, picks, packs and combines elementwise."""
_TORCHVISION = frozenset(["nms", "deform_conv2d", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool"])
_HIGHER_ORDER = frozenset(
    re.findall(
        r"\S+",
        """
        associative_scan auto_functionalized auto_functionalized_v2 cond flex_attention
        hints_wrapper invoke_subgraph map map_impl out_dtype scan strict_mode
        tag_activation_checkpoint wrap wrap_activation_checkpoint wrap_with_autocast
        wrap_with_set_grad_enabled while_loop
        """,
    )
)
_NUMBERS = frozenset(
    re.findall(
        r"\S+",
        """
        _operator.add _operator.and_ _operator.eq _operator.floordiv _operator.ge _operator.getitem
        _operator.gt _operator.le _operator.lshift _operator.lt _operator.mod _operator.mul
        _operator.ne _operator.neg _operator.or_ _operator.pos _operator.pow _operator.rshift
        _operator.sub _operator.truediv math.trunc torch._sym_sqrt torch.sym_float torch.sym_int
        torch.sym_ite torch.sym_max torch.sym_min torch.sym_not
        """,
    )
)
PACKED_CLASSES = frozenset(("quantized", "sparse", "mkldnn", "rnn"))
"""Namespaces of torch's own compiled classes that hold weights; others hold processes, files, sockets."""


def is_target(target: str) -> bool:
    """Whether an exported program may call ``target``: ``torch.ops.aten.relu.default``, ``_operator.add``."""
    if target in _NUMBERS:
        return True
    match target.split("."):
        case ["torch", "ops", "higher_order", name]:
            return name in _HIGHER_ORDER
        case ["torch", "ops", namespace, name]:
            return is_operator(namespace, name)
        case ["torch", "ops", namespace, name, overload]:
            schemas = private.schemas_of(f"{namespace}::{name}")
            known = {schema.overload_name or "default" for schema in schemas}
            return is_operator(namespace, name) and overload in known
    return False


@cache
def is_operator(namespace: str, name: str) -> bool:
    """Whether code in a file may call ``namespace::name``: torch has it, and it does nothing but compute."""
    qualified = f"{namespace}::{name}"
    if namespace == "prim":
        return name in INTERPRETER
    if namespace == "torchvision":
        return name in _TORCHVISION
    if namespace not in _COMPUTING or qualified in _REFUSED:
        return False
    schemas = private.schemas_of(qualified)
    return bool(schemas) and (qualified in _HARMLESS or all(map(_only_computes, schemas)))


@cache
def refused_names() -> frozenset[str]:
    """Names that TorchScript resolves without a namespace, to something that does more than compute."""
    every = (schema.name.split("::") for schema in private.all_schemas())
    own = {name for namespace, name in every if namespace == "aten"}
    return frozenset({name for name in own if not is_operator("aten", name)} | {"print"})


def _only_computes(schema: Any) -> bool:
    return all("str" not in str(argument.type) or argument.name in _MODES for argument in schema.arguments)
