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
from convaudit.frontends.torch.loader.operators import INTERPRETER
from convaudit.frontends.torch.ops import CONV_OPS

_TWINS = {row.unseen[0]: (op.replace(".", "::"), row.unseen[1]) for op, row in CONV_OPS.items() if row.unseen}
"""What the dispatcher sees of the same meaning, and the order of its inputs."""
_CONTROLS = frozenset(
    re.findall(
        r"\w+",
        """
        AddStatValue annotate AutogradAdd AutogradAllZero AutogradAnyNonZero AutogradZero awaitable
        awaitableClosure BailOut BailoutTemplate CallFunction CallMethod ChunkSizes Closure Constant
        CreateObject DifferentiableGraph Drop Enter Exit FallbackGraph fork forkClosure Function
        FusedConcat GetAttr Guard HasAttr If IgnoredPythonOp ImplicitTensorToNum ListUnpack Load Loop
        Print profile profile_ivalue PythonOp ReductionSizes RequiresGradCheck SetAttr shape Store
        TimePoint TupleSlice TypeCheck unpack_list
        """,
    )
)
"""Names in ``prim``: control flow, attributes, lists. No code names them, so that no file can."""
_MULTIPLIES_NOTHING = _CONTROLS | INTERPRETER - {kind.removeprefix("prim::") for kind in _TWINS}


def in_sight(module: nn.Module) -> nn.Module:
    """``module``, a private copy, with its scripts replaced in which a convolution runs out of sight.

    A copied script shares its code with the original, so that it is a clone's that changes.
    """
    replaced = {
        id(script): _with_twins(script)
        for script in _scripts(module)
        if not _TWINS.keys().isdisjoint(_kinds(script))
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
            for kind, (seen, order) in _TWINS.items():
                for node in graph.findAllNodes(kind):
                    inputs = list(node.inputs())
                    twin_node = graph.create(seen, [inputs[place] for place in order], 1)
                    twin_node.insertBefore(node)
                    node.output().replaceAllUsesWith(twin_node.output())
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
