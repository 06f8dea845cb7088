"""Operators that TorchScript's interpreter runs by itself, out of the dispatcher's sight.

``torch.jit.optimize_for_inference`` and the fusers put such operators into a graph. oneDNN's convolution has
a twin that the dispatcher sees, so a copy of the script runs that instead; what is left is unknown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import nn

from convaudit.frontends.torch import _private as private

_CONVOLUTION = "prim::mkldnn_convolution"  # (input, weight, bias, stride, padding, dilation, groups)
_TWIN = "aten::mkldnn_convolution"  # (input, weight, bias, padding, stride, dilation, groups)

_MULTIPLIES_NOTHING = frozenset(
    re.findall(
        r"\w+",
        """
        abs AddStatValue annotate AutogradAdd AutogradAllNonZero AutogradAllZero AutogradAnyNonZero
        AutogradZero awaitable awaitable_nowait awaitable_wait awaitableClosure BailOut
        BailoutTemplate BroadcastMKLDNNTensors BroadcastSizes CallFunction CallMethod ChunkSizes
        Closure Constant ConstantChunk ConstantMKLDNNTensor CreateObject data device DictConstruct
        DifferentiableGraph Drop dtype Enter EnumName EnumValue Exit FallbackGraph fork forkClosure
        Function FusedConcat GetAttr grad Guard HasAttr id If IfThenElse IgnoredPythonOp
        ImplicitTensorToNum index is_cpu is_cuda is_ipu is_maia is_meta is_mkldnn is_mps is_mtia
        is_nested is_quantized is_sparse is_sparse_csr is_vulkan is_xla is_xpu isinstance itemsize
        layout ListConstruct ListUnpack Load Loop max min MKLDNNClamp MKLDNNClamp_ MKLDNNHardSigmoid
        MKLDNNHardSigmoid_ MKLDNNHardSwish MKLDNNHardSwish_ MKLDNNHardTanh MKLDNNHardTanh_
        MKLDNNLayerNorm MKLDNNLayerNorm_ MKLDNNScalarMul MKLDNNScalarMul_ ModuleContainerIndex name
        nbytes NumToTensor Print profile profile_ivalue PythonOp RaiseException rangelist
        ReductionSizes requires_grad RequiresGradCheck SetAttr shape Store StringIndex TimePoint
        tolist TupleConstruct TupleIndex TupleSlice TupleUnpack type TypeCheck unchecked_cast
        unchecked_unwrap_optional Uninitialized unpack_list VarConcat VarStack
        """,
    )
)
"""Of the namespace ``prim``: control flow, attributes, lists, questions to a tensor, elementwise ones."""


def in_sight(module: nn.Module) -> nn.Module:
    """``module``, a private copy, with its scripts replaced in which a convolution runs out of sight.

    A copied script shares its code with the original, so that it is a clone's that changes.
    """
    replaced = {
        id(script): _with_twins(script) for script in _scripts(module) if _CONVOLUTION in _kinds(script)
    }
    if isinstance(module, torch.jit.ScriptModule) or not replaced:
        return replaced.get(id(module), module)
    for path, script in list(module.named_modules(remove_duplicate=False)):
        owner, _, name = path.rpartition(".")
        if id(script) in replaced and not isinstance(module.get_submodule(owner), torch.jit.ScriptModule):
            setattr(module.get_submodule(owner), name, replaced[id(script)])
    return module


def out_of_sight(module: nn.Module) -> Counter[str]:
    """Operators in the scripts of ``module`` that nobody sees run and that may multiply, by name."""
    found = Counter(kind for script in _scripts(module) for kind in _kinds(script) if not _seen(kind))
    return Counter({kind.replace("::", "."): number for kind, number in found.items()})


def _scripts(module: nn.Module) -> list[torch.jit.ScriptModule]:
    """The outermost scripts."""
    if isinstance(module, torch.jit.ScriptModule):
        return [module]
    found = {id(script): script for child in module.children() for script in _scripts(child)}
    return list(found.values())


def _kinds(script: torch.jit.ScriptModule) -> list[str]:
    """Kinds of all nodes that the script's methods can run."""
    return [kind for method in private.script_methods(script) for kind in _of_block(method.inlined_graph)]


def _of_block(block: Any) -> Iterator[str]:
    for node in block.nodes():
        yield node.kind()
        for inner in node.blocks():
            yield from _of_block(inner)
        if node.hasAttribute("Subgraph"):
            yield from _of_block(node.g("Subgraph"))


def _with_twins(script: torch.jit.ScriptModule) -> torch.jit.ScriptModule:
    twin: torch.jit.ScriptModule | None = private.cloned_script(script)
    if twin is None:
        return script
    for owner in twin.modules():
        for graph in [method.graph for method in private.script_methods(owner)]:
            for node in graph.findAllNodes(_CONVOLUTION):
                x, weight, bias, stride, padding, *rest = node.inputs()
                seen = graph.create(_TWIN, [x, weight, bias, padding, stride, *rest], 1)
                seen.insertBefore(node)
                node.output().replaceAllUsesWith(seen.output())
                node.destroy()
    return twin


def _seen(kind: str) -> bool:
    namespace, _, name = kind.partition("::")
    if namespace == "prim":
        return name in _MULTIPLIES_NOTHING
    return (
        namespace == "aten" or kind in _dispatched()
    )  # what else aten has is about lists, texts and numbers


@cache
def _dispatched() -> frozenset[str]:
    """Operators that go through the dispatcher."""
    return frozenset(name.partition(".")[0] for name in private.dispatched_operators())
