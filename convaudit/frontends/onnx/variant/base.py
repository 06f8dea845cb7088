"""What is changed: the file's own structure, or the expanded one where a function's node changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from onnx import ModelProto

from convaudit.frontends.onnx.functions import Origin
from convaudit.frontends.onnx.graphs import Address, Graphs, free_name, graphs
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer


def changeable(
    walked: Walked, layers: Sequence[ConvLayer]
) -> tuple[ModelProto, Mapping[str, Address], tuple[str, ...]]:
    """A copy of the structure, where in it each layer stands, and what is no longer as it was."""
    inside = {layer.name: walked.addresses[layer.name] for layer in layers if layer.name in walked.addresses}
    proto, places, notes = structure(walked, inside.values())
    if notes:
        why = "as their convolutions get weights of their own for each call"
        return proto, walked.addresses, (f"{notes[0]}, {why}",)
    return proto, {name: places.get(address, address) for name, address in inside.items()}, ()


def structure(
    walked: Walked, changed: Iterable[Address]
) -> tuple[ModelProto, Mapping[Address, Address], tuple[str, ...]]:
    """A copy of what is changed: the file's own structure, or the expanded one.

    Args:
        walked: The model.
        changed: Where the nodes stand, in the expanded structure, that are to change.

    Returns:
        The copy, with a name for each node; where the nodes of the expanded structure stand in it, of those
        that stand elsewhere; and what is no longer as it was.
    """
    origins = walked.expanded.origins
    proto = ModelProto()
    if not any("function" in origins[address].address for address in changed if address in origins):
        proto.CopyFrom(walked.model.proto)
        _name_by_position(proto, {})
        return proto, {address: origin.address for address, origin in origins.items()}, ()
    proto.CopyFrom(walked.expanded.model)
    _name_apart(proto, walked)
    return proto, {}, ("its local functions are expanded",)


def _name_by_position(proto: ModelProto, origins: Mapping[Address, Origin]) -> None:
    """Give nodes without a name what the audit calls them: it tells their position, which may change.

    Args:
        proto: It is changed in place.
        origins: Where its nodes stand in the file; of those that are left out, the position is their own.
    """
    for place, graph in graphs(proto.graph):
        taken = {node.name for node in graph.node}
        for index, node in enumerate(graph.node):
            origin = origins.get((*place, index))
            name = origin.label if origin else f"{node.op_type}_{index}"
            if not node.name and name not in taken:
                node.name = name


def without_names_by_position(proto: ModelProto, before: ModelProto) -> None:
    """Take these names away again where they tell nothing: the node stands where it stood.

    Args:
        proto: It is changed in place.
        before: The model before it had such names.
    """
    then = dict(graphs(before.graph))
    for place, graph in graphs(proto.graph):
        given = {node.name for node in then[place].node} if place in then else None
        for index, node in enumerate(graph.node):
            if given is not None and node.name not in given and node.name == f"{node.op_type}_{index}":
                node.ClearField("name")


def _name_apart(proto: ModelProto, walked: Walked) -> None:
    """Give nodes that came out of a function a name for each call, by which the audit calls them."""
    index = Graphs(proto)
    taken = {node.name for _, graph in graphs(proto.graph) for node in graph.node}
    for address, origin in walked.expanded.origins.items():
        if "function" in origin.address:
            index.node(address).name = free_name(origin.path, taken)
    for name, address in walked.addresses.items():
        if "function" in walked.expanded.origins[address].address:
            index.node(address).name = name
    _name_by_position(proto, walked.expanded.origins)
