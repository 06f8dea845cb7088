"""The skeleton reader: what it keeps, what it replaces, what it refuses."""

from __future__ import annotations

import io

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from convaudit.errors import LoadError
from convaudit.frontends.onnx.loader import wire
from convaudit.frontends.onnx.loader.wire import (
    CHILDREN,
    DATA_FIELDS,
    MAX_EMBEDDED_BYTES,
    Hole,
    filled,
    length_delimited,
    read_skeleton,
)

LARGE = np.arange(2000, dtype=np.float32)
SMALL = np.arange(10, dtype=np.float32)


def skeleton(data: bytes) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(read_skeleton(io.BytesIO(data), len(data), "m.onnx", "m.onnx"))


def entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def graph(name: str, *tensors: TensorProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), name, [], [], list(tensors))


def tensor(name: str, array: np.ndarray = LARGE) -> TensorProto:
    return numpy_helper.from_array(array, name)


def leading_to_tensors() -> dict[str, dict[int, str]]:
    """What CHILDREN must say, worked out from the descriptors of the installed onnx."""
    found: dict[str, dict[int, str]] = {}
    messages = onnx.ModelProto.DESCRIPTOR.file.message_types_by_name
    while True:
        reached = {"TensorProto", *found}
        more = {
            name: fields
            for name, message in messages.items()
            if (
                fields := {
                    field.number: field.message_type.name
                    for field in message.fields
                    if field.message_type is not None and field.message_type.name in reached
                }
            )
        }
        if more == found:
            return found
        found = more


def test_tables_are_those_of_the_installed_onnx() -> None:
    assert leading_to_tensors() == CHILDREN
    stored = {
        field.number: field.name
        for field in TensorProto.DESCRIPTOR.fields
        if field.name.endswith("_data") and field.name not in ("external_data", "string_data")
    }
    assert stored == DATA_FIELDS


def everywhere() -> onnx.ModelProto:
    """A model with a large tensor in every place that ONNX allows."""
    sparse = helper.make_sparse_tensor(
        tensor("sparse_values"), tensor("sparse_indices", np.arange(2000)), [5000]
    )
    inner = graph("inner", tensor("in_branch"))
    nodes = (
        helper.make_node("Constant", [], ["a"], value=tensor("in_constant")),
        helper.make_node("Constant", [], ["s"], sparse_value=sparse),
        helper.make_node("If", ["c"], ["b"], then_branch=inner, else_branch=graph("e", tensor("in_else"))),
        helper.make_node("Custom", [], [], domain="x", graphs=[inner, inner], tensors=[tensor("in_list")]),
    )
    main = graph("main", tensor("initializer"), tensor("small", SMALL), nodes=nodes)
    main.sparse_initializer.append(sparse)
    constant = helper.make_node("Constant", [], ["y"], value=tensor("in_function"))
    function = helper.make_function("x", "F", [], ["y"], [constant], [helper.make_opsetid("", 20)])
    default = helper.make_attribute("w", tensor("in_default"))
    function.attribute_proto.append(default)
    model = helper.make_model(main, functions=[function], doc_string="kept")
    model.training_info.add().algorithm.CopyFrom(graph("train", tensor("in_training")))
    return model


def walk(message: object, found: list[TensorProto]) -> list[TensorProto]:
    for field, value in message.ListFields():  # type: ignore[attr-defined]
        if field.message_type is None:
            continue
        for item in [value] if hasattr(value, "ListFields") else value:
            if isinstance(item, TensorProto):
                found.append(item)
            else:
                walk(item, found)
    return found


def test_every_large_tensor_becomes_a_reference_to_its_bytes() -> None:
    model = everywhere()
    data = model.SerializeToString()
    before, after = walk(model, []), walk(skeleton(data), [])
    assert [t.name for t in before] == [t.name for t in after]
    assert len(before) == 15
    for original, kept in zip(before, after, strict=True):
        if original.name == "small":
            assert kept == original
            continue
        where = entries(kept)
        assert kept.data_location == TensorProto.EXTERNAL
        assert where["location"] == "m.onnx"
        start = int(where["offset"])
        assert data[start : start + int(where["length"])] == original.raw_data
        assert not kept.HasField("raw_data")
        assert (kept.dims, kept.data_type) == (original.dims, original.data_type)


def test_all_else_is_kept() -> None:
    model = everywhere()
    rest = skeleton(model.SerializeToString())
    for part in (model, rest):
        for stored in walk(part, []):
            stored.Clear()
    assert rest == model


@pytest.mark.parametrize(
    ("elements", "large"),
    [
        pytest.param(MAX_EMBEDDED_BYTES // 4, False, id="at the limit"),
        pytest.param(MAX_EMBEDDED_BYTES // 4 + 1, True, id="above"),
    ],
)
def test_threshold(elements: int, *, large: bool) -> None:
    model = helper.make_model(graph("g", tensor("w", np.ones(elements, np.float32)), tensor("pad")))
    kept = skeleton(model.SerializeToString()).graph.initializer[0]
    assert (kept.data_location == TensorProto.EXTERNAL) is large


def test_a_skeleton_is_filled_again() -> None:
    model = everywhere()
    data = model.SerializeToString()
    held = read_skeleton(io.BytesIO(data), len(data), "m.onnx", "m.onnx")

    def stored(tensor: TensorProto) -> bytes:
        where = entries(tensor)
        return data[int(where["offset"]) :][: int(where["length"])]

    parts = filled(io.BytesIO(held), len(held), lambda tensor: len(stored(tensor)))
    assert sum(isinstance(part, Hole) for part in parts) > 5
    whole = b"".join(stored(part.tensor) if isinstance(part, Hole) else part for part in parts)
    assert onnx.ModelProto.FromString(whole) == model


@pytest.mark.parametrize(
    ("data_type", "field"),
    [
        pytest.param(TensorProto.FLOAT, "float_data", id="float_data"),
        pytest.param(TensorProto.INT8, "int32_data", id="int32_data"),
        pytest.param(TensorProto.INT64, "int64_data", id="int64_data"),
        pytest.param(TensorProto.DOUBLE, "double_data", id="double_data"),
        pytest.param(TensorProto.UINT64, "uint64_data", id="uint64_data"),
    ],
)
def test_packed_fields_are_named_in_the_reference(data_type: int, field: str) -> None:
    stored = helper.make_tensor("w", data_type, [9000], [1] * 9000)
    data = helper.make_model(graph("g", stored)).SerializeToString()
    where = entries(skeleton(data).graph.initializer[0])
    assert where["field"] == field
    start = int(where["offset"])
    piece = data[start : start + int(where["length"])]
    number = TensorProto.DESCRIPTOR.fields_by_name[field].number
    assert list(getattr(TensorProto.FromString(length_delimited(number, piece)), field)) == [1] * 9000


def test_data_in_several_pieces_stay_where_they_are() -> None:
    stored = tensor("w")
    pieces = stored.SerializeToString() + length_delimited(4, SMALL.tobytes())
    data = length_delimited(7, length_delimited(5, pieces))
    assert skeleton(data).graph.initializer[0] == TensorProto.FromString(pieces)


def test_stale_bytes_of_an_external_tensor_are_dropped() -> None:
    stored = tensor("w")
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value="w.bin")
    kept = skeleton(helper.make_model(graph("g", stored)).SerializeToString()).graph.initializer[0]
    assert entries(kept) == {"location": "w.bin"}
    assert not kept.HasField("raw_data")


def nested(depth: int) -> bytes:
    data = length_delimited(5, tensor("w").SerializeToString())
    for _ in range(depth):  # graph in attribute in node
        data = length_delimited(1, length_delimited(5, length_delimited(6, data)))
    return length_delimited(7, data)


BAD = [
    pytest.param(b"\xff" * 40, r"no valid integer in the field at byte 0", id="endless-varint"),
    pytest.param(b"\x08", r"no valid integer.*byte 0; truncated", id="tag-alone"),
    pytest.param(b"\x3a\x7f\x01", r"byte 0 ends 126 bytes too late; truncated", id="length-beyond-file"),
    pytest.param(b"\x3a" + b"\xff" * 9 + b"\x01", r"byte 0 ends \d+ bytes too late", id="length-2^64"),
    pytest.param(b"\x0b\x0c", r"no valid field at byte 0", id="group"),
    pytest.param(bytes(6000), r"no valid field at byte 0", id="hole"),
    pytest.param(b"\x0d\x01", r"byte 0 ends 3 bytes too late", id="fixed32-cut"),
    pytest.param(nested(40), r"nested more than \d+ messages deep", id="deep"),
    pytest.param(nested(5000), r"nested more than \d+ messages deep", id="very-deep"),
]


@pytest.mark.parametrize(("data", "message"), BAD)
def test_refused(data: bytes, message: str) -> None:
    with pytest.raises(LoadError, match=message) as caught:
        skeleton(data)
    assert str(caught.value).startswith("m.onnx: not an ONNX model, or a damaged one: ")
    assert "\n" not in str(caught.value)


def test_nesting_that_protobuf_still_parses_is_read() -> None:
    assert skeleton(nested(20)).HasField("graph")


def test_limits_on_fields_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_MAX_FIELDS", 100)
    with pytest.raises(LoadError, match="more than 100 fields"):
        skeleton(b"\x08\x01" * 100)
    monkeypatch.setattr(wire, "_MAX_SKELETON_BYTES", 1000)
    with pytest.raises(LoadError, match="more than 1000 bytes besides the tensors"):
        skeleton(length_delimited(6, b"x" * 2000))


def test_file_that_shrinks_while_it_is_read() -> None:
    data = helper.make_model(graph("g", tensor("w"))).SerializeToString()
    with pytest.raises(LoadError, match=r"shorter while it was read|truncated"):
        read_skeleton(io.BytesIO(data[:-20]), len(data), "m.onnx", "m.onnx")
