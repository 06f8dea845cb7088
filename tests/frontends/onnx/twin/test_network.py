"""The twin of a whole network: the same function and names, groups=1, wherever a convolution stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import convaudit
from convaudit.errors import ConvauditError, ExecutionError, UsageError
from convaudit.feeds import random_feeds
from convaudit.frontends.onnx.twin import made, network
from convaudit.frontends.onnx.variant import writing as written
from convaudit.twins import made_twin
from tests.frontends.onnx.models import model, values, walk
from tests.fuzz.quantised import made as fuzzed

pytestmark = pytest.mark.usefixtures("trusted_runtime")

HOW = {"seed": None, "memory_bytes": None, "provider": None, "threads": None, "optimization": None}
CONV = "<float[1,8,6,6] x> => <float[1,8,6,6] y>"


W = values("w", 8, 2, 3, 3)
X, Y = "float[1,8,6,6] x", "float[1,8,a,b] y"
SAME = "group=4, pads=[1,1,1,1]"
GRAPHS = [
    pytest.param(f"g ({X}) => ({Y}) <{W}> {{ [c] y = Conv <group=4> (x, w) }}", id="initializer"),
    pytest.param(
        f"g ({X}) => ({Y}) <{W}> {{ [c] t = Conv <{SAME}> (x, w) [d] y = Conv <{SAME}> (t, w) }}",
        id="shared",
    ),
    pytest.param(
        f"g ({X}) => (float[1,8,a,b] y, float[1,8,a,b] z) <{W}>"
        "{ [c] y = Conv <group=4> (x, w) s = Split <axis=1, num_outputs=2> (x) }".replace(
            "s = Split <axis=1, num_outputs=2> (x)",
            "s, r = Split <axis=1, num_outputs=2> (x) [d] z = Conv <group=2> (s, w)",
        ),
        id="shared-by-other-groups",
    ),
    pytest.param(
        f"g ({X}) => ({Y}, float[8,2,3,3] z) <{W}> {{ [c] y = Conv <group=4> (x, w) z = Neg (w) }}",
        id="read-by-another-op",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{W}> {{ v = Identity (w) [c] y = Conv <group=4> (x, v) }}", id="identity"
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{values('w', 2, 3, 8, 3)}>"
        "{ v = Transpose <perm=[2,0,1,3]> (w) [c] y = Conv <group=4> (x, v) }",
        id="transposed-weight",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{values('w', 8, 2, 3, 3)}, {values('s', 8, 1, 1, 1)}>"
        "{ v = Mul (w, s) [c] y = Conv <group=4> (x, v) }",
        id="calculated-from-constants",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{values('q', 8, 2, 3, 3, dtype='int8', scale=3)},"
        "float[8] s = {0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8}, int8[8] z = {0,1,2,3,-4,5,6,7}>"
        "{ [dq] v = DequantizeLinear <axis=0> (q, s, z) [c] y = Conv <group=4> (x, v) }",
        id="dequantised",
    ),
    pytest.param(
        f"g (uint8[1,8,6,6] x) => (uint8[1,8,a,b] y) <{values('w', 8, 2, 3, 3, dtype='uint8', scale=1)},"
        "float a = {0.1}, uint8 b = {3}, float c = {0.1}, uint8 d = {4}, float e = {1.0},"
        "uint8 f = {5}>".replace("{-", "{").replace(" -", " ")
        + "{ [c] y = QLinearConv <group=4> (x, a, b, w, c, d, e, f) }",
        id="qlinear",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{values('w', 8, 2, 3, 3)}> {{ [c] y = ConvTranspose <group=4> (x, w) }}",
        id="transposed",
    ),
    pytest.param(
        f"g ({X}, bool b) => ({Y}) <{W}> {{ y = If (b) <then_branch = t () => (float[1,8,a,b] u)"
        "{ [c] u = Conv <group=4> (x, w) }, else_branch = e () => (float[1,8,a,b] v)"
        f"<{values('k', 8, 2, 3, 3, scale=0.2)}> {{ [d] v = Conv <group=4> (x, k) }}> }}",
        id="branches",
    ),
    pytest.param(
        f"g ({X}) => (float[1,8,6,6] y) <{W}, int64 n = {{3}}, bool t = {{1}}>"
        "{ y = Loop (n, t, x) <body = b (int64 i, bool go, float[1,8,6,6] s) => (bool on, float[1,8,6,6] r)"
        f"{{ on = Identity (go) [c] r = Conv <{SAME}> (s, w) }}> }}",
        id="loop",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{W}, {values('k', 8, 2, 3, 3, scale=0.3)}>"
        "{ [one] t = local.Block (x, w) [two] y = local.Block (t, k) }"
        '<domain: "local", opset_import: ["" : 21]>'
        "Block (a, v) => (r) { [c] r = Conv <group=4> (a, v) }",
        id="function",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{W}, {values('k', 8, 2, 3, 3, scale=0.3)}>"
        "{ [one] t = local.Outer (x, w) [two] y = local.Outer (t, k) }"
        '<domain: "local", opset_import: ["" : 21, "local" : 1]>'
        "Outer (a, v) => (r) { [i] r = local.Block (a, v) }"
        '<domain: "local", opset_import: ["" : 21]>'
        "Block (a, v) => (r) { [c] r = Conv <group=4> (a, v) }",
        id="nested-function",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{W}> {{ [one] t = local.Block <n=4> (x, w) [two] y = local.Block <n=4> (t, w) }}"
        '<domain: "local", opset_import: ["" : 21]>'
        "Block <n> (a, v) => (r) { [c] r = Conv <group: int = @n> (a, v) }",
        id="groups-of-a-call",
    ),
    pytest.param(
        f"g (float[3,1,8,6,6] x) => (float[3,1,8,6,6] y) <{W}>"
        "{ y = Scan <num_scan_inputs = 1, body = b (float[1,8,6,6] s) => (float[1,8,6,6] r)"
        f"{{ [c] r = Conv <{SAME}> (s, w) }}> (x) }}",
        id="scan",
    ),
    pytest.param(
        f"g ({X}, bool b) => ({Y}) <{values('q', 8, 2, 3, 3, dtype='int8', scale=3)},"
        f"{values('k', 8, 2, 3, 3, dtype='int8', scale=2)}, float s = {{0.1}}>"
        f"{{ v = DequantizeLinear (q, s) [c] t = Conv <{SAME}> (x, v)"
        "y = If (b) <then_branch = o () => (float[1,8,a,b] u) { w = DequantizeLinear (k, s)"
        "[d] u = Conv <group=4> (t, w) }, else_branch = e () => (float[1,8,a,b] z)"
        "{ [e] z = Conv <group=4> (t, v) }> }",
        id="dequantised-in-a-branch",
    ),
    pytest.param(
        f"g ({X}) => ({Y}, float[8,2,3,3] w) <{W}> {{ [c] y = Conv <group=4> (x, w) }}", id="handed-out"
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{W}> {{ v = Identity (w) y = Conv <group=4> (x, v) }}", id="without-names"
    ),
    pytest.param(
        f"g ({X}, bool b) => ({Y}) <{W}> {{ u = Identity (w) t = Conv <{SAME}> (x, u)"
        "y = If (b) <then_branch = h () => (float[1,8,a,b] p) { v = Identity (u) p = Conv <group=4> (t, v) },"
        "else_branch = e () => (float[1,8,a,b] q) { q = Conv <group=4> (t, u) }> }",
        id="without-names-in-branches",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{W}> {{ v = Identity (w) t = local.Block (x, v) y = Conv <group=4> (t, v) }}"
        '<domain: "local", opset_import: ["" : 21]>'
        f"Block (a, v) => (r) {{ n = Neg (a) r = Conv <{SAME}> (n, v) }}",
        id="without-names-beside-a-function",
    ),
]


def convolutions(proto: ModelProto) -> Iterator[tuple[str, int]]:
    for layer in walk(proto).layers:
        yield layer.name, layer.groups


def outputs(proto: ModelProto, seed: int) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, random_feeds(walk(proto), {}, seed))


@pytest.mark.parametrize("text", GRAPHS)
def test_the_same_function_with_the_same_names(text: str) -> None:
    source = model(text)
    before = source.SerializeToString()
    twin = convaudit.twin(source)
    assert source.SerializeToString() == before
    onnx.checker.check_model(twin)
    assert [name for name, _ in convolutions(twin)] == [name for name, _ in convolutions(source)]
    assert {groups for _, groups in convolutions(twin)} == {1}
    assert (twin.graph.input, twin.graph.output) == (source.graph.input, source.graph.output)
    for ours, theirs in zip(outputs(twin, 5), outputs(source, 5), strict=True):
        np.testing.assert_allclose(ours.astype(float), theirs.astype(float), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "text", [param for param in GRAPHS if param.id in ("initializer", "shared", "dequantised")]
)
def test_names_of_weights_and_nodes_stay(text: str) -> None:
    source, twin = model(text), convaudit.twin(model(text))
    assert [node.output for node in twin.graph.node] == [node.output for node in source.graph.node]
    assert [node.name for node in twin.graph.node] == [node.name for node in source.graph.node]
    assert {item.name for item in twin.graph.initializer} == {item.name for item in source.graph.initializer}


def test_all_else_is_kept() -> None:
    source = model(GRAPHS[0].values[0])
    source.metadata_props.add(key="author", value="somebody")
    source.graph.metadata_props.add(key="k", value="v")
    source.graph.node[0].doc_string = "a node"
    source.producer_name, source.domain, source.model_version = "tests", "here", 7
    twin = convaudit.twin(source)
    for proto in (source, twin):
        del proto.graph.initializer[:]
        del proto.graph.node[0].attribute[:]
    assert twin == source


def test_a_weight_that_others_read_stays_beside_the_new_one() -> None:
    twin = convaudit.twin(model(GRAPHS[3].values[0]))
    assert {item.name: tuple(item.dims) for item in twin.graph.initializer} == {
        "w": (8, 2, 3, 3),
        "w.dense": (8, 8, 3, 3),
    }


def constant(kind: str) -> ModelProto:
    """A convolution whose weight is no plain initializer."""
    array = np.random.default_rng(0).standard_normal((8, 2, 3, 3)).astype(np.float32)
    array[::2] = 0
    tensor = numpy_helper.from_array(array, "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], "c", group=4)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 6, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 4, 4])
    w = helper.make_tensor_value_info("w", TensorProto.FLOAT, array.shape)
    indices = np.flatnonzero(array)
    held = numpy_helper.from_array(array.ravel()[indices], "w")
    places = numpy_helper.from_array(indices.astype(np.int64), "")
    sparse = helper.make_sparse_tensor(held, places, array.shape)
    graph = helper.make_graph([node], "g", [x], [y])
    if kind == "constant":
        graph.node.insert(0, helper.make_node("Constant", [], ["w"], "k", value=tensor))
    elif kind == "sparse":
        graph.sparse_initializer.append(sparse)
    else:
        graph.initializer.append(tensor)
        graph.input.append(w)
    ir_version = 3 if kind == "declared" else 8
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=ir_version)


@pytest.mark.parametrize("kind", ["constant", "sparse", "default", "declared"])
def test_weights_however_they_are_stored(kind: str) -> None:
    source = constant(kind)
    twin = convaudit.twin(source)
    onnx.checker.check_model(twin)
    assert {groups for _, groups in convolutions(twin)} == {1}
    assert [tuple(item.dims) for item in twin.graph.initializer] == [(8, 8, 3, 3)]
    assert not twin.graph.sparse_initializer
    np.testing.assert_allclose(outputs(twin, 5)[0], outputs(source, 5)[0], rtol=1e-5, atol=1e-5)
    if kind in ("default", "declared"):
        declared = {value.name: value.type.tensor_type.shape for value in twin.graph.input}
        assert [size.dim_value for size in declared["w"].dim] == [8, 8, 3, 3]


LEFT = (
    f"g ({X}, float[8,2,3,3] v) => ({Y}) <{W}>{{ [c] t = Conv <{SAME}> (x, w) [d] y = Conv <{SAME}> (t, v) }}"
)


def test_what_cannot_be_changed_stays_and_says_why() -> None:
    result = made_twin(model(LEFT), None, layers=None, source_keywords={}, how=HOW)
    assert result.changed == ("c",)
    assert result.left == {"d": "its weight is computed at run time"}
    assert dict(convolutions(result.proto)) == {"c": 1, "d": 4}


REFUSED = [
    pytest.param(LEFT, {"layers": ["d"]}, "d keeps its groups: its weight is comp", id="run-time"),
    pytest.param(LEFT, {"layers": ["e"]}, "no layer is called 'e'", id="unknown"),
    pytest.param(GRAPHS[12].values[0], {"layers": ["one/d"]}, "did you mean 'one/c'", id="near"),
    pytest.param(LEFT, {"layers": []}, "layers is empty", id="none-named"),
    pytest.param(LEFT, {"layers": "c"}, "layers must be a list of names", id="text"),
    pytest.param(LEFT, {"layers": 1}, "layers must be a list of names, got 1", id="number"),
    pytest.param(LEFT, {"memory_bytes": 100}, r"take 2.30 kB, c alone .* --memory allows 100 B", id="memory"),
    pytest.param(
        f"g ({X}) => ({Y}) <{values('w', 8, 8, 3, 3)}> {{ [c] y = Conv (x, w) }}",
        {},
        "no convolution has groups",
        id="dense",
    ),
    pytest.param(
        f"g ({X}) => ({Y}) <{values('w', 8, 8, 3, 3)}> {{ [c] y = Conv (x, w) }}",
        {"layers": ["c"]},
        "c has groups=1 already",
        id="dense-by-name",
    ),
]


@pytest.mark.parametrize(("text", "keywords", "message"), REFUSED)
def test_what_is_refused(text: str, keywords: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        convaudit.twin(model(text), **keywords)


def test_a_twin_that_is_not_finite_where_the_original_is_is_refused() -> None:
    x = np.ones((1, 8, 6, 6), np.float32)
    x[0, 0, 2, 2] = np.inf  # times a zero of the dense weight
    with pytest.raises(ExecutionError, match=r"output 'y' of the twin is off by inf of its size"):
        convaudit.twin(model(GRAPHS[0].values[0]), data={"x": x})


def test_layers_are_chosen_by_name() -> None:
    text = f"g ({X}) => ({Y}) <{W}> {{ [c,1] t = Conv <{SAME}> (x, w) [d] y = Conv <{SAME}> (t, w) }}"
    source = model(text.replace("[c,1]", "[c]"))
    source.graph.node[0].name = "c,1"
    assert dict(convolutions(convaudit.twin(source, layers=["c,1"]))) == {"c,1": 1, "d": 4}
    assert dict(convolutions(convaudit.twin(source, layers=["d"]))) == {"c,1": 4, "d": 1}


def test_one_call_of_a_function_alone() -> None:
    assert dict(convolutions(convaudit.twin(model(GRAPHS[12].values[0]), layers=["two/c"]))) == {
        "one/c": 4,
        "two/c": 1,
    }


@pytest.mark.parametrize("tap", [(0, 0, 1, 1), (0, 5, 1, 1)], ids=["on-the-diagonal", "off-it"])
def test_a_wrong_twin_is_refused(
    tap: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    honest = network.dense_node

    def wrong(*args, **keywords):
        node = honest(*args, **keywords)
        array = numpy_helper.to_array(node.tensors[0]).copy()
        array[tap] += np.float32(1e-6)
        node.tensors[0].CopyFrom(numpy_helper.from_array(array, node.tensors[0].name))
        return node

    monkeypatch.setattr(network, "dense_node", wrong)
    onnx.save(model(GRAPHS[0].values[0]), tmp_path / "m.onnx")
    with pytest.raises(ExecutionError, match=r"weight of c is wrong at \[0, ., 1, 1\]"):
        made_twin(
            str(tmp_path / "m.onnx"), str(tmp_path / "d.onnx"), layers=None, source_keywords={}, how=HOW
        )
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(("field", "what"), [("b", "bias"), ("pads", "pads")])
def test_all_else_that_a_convolution_reads_is_the_originals(
    field: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = made.dense_network

    def wrong(*args, **keywords):
        network = honest(*args, **keywords)
        for tensor in network.proto.graph.initializer:
            if tensor.name == field:
                tensor.CopyFrom(numpy_helper.from_array(np.full(8, 1e-9, np.float32), field))
        for attribute in network.proto.graph.node[0].attribute:
            if attribute.name == field:
                attribute.ints[0] = 2
        return network

    monkeypatch.setattr(made, "dense_network", wrong)
    text = f"g ({X}) => ({Y}) <{W}, {values('b', 8, scale=0.1)}> {{ [c] y = Conv <{SAME}> (x, w, b) }}"
    with pytest.raises(ExecutionError, match=rf"the twin's {what} of c is not the original's; nothing is"):
        convaudit.twin(model(text))


def test_outputs_that_rounding_does_not_explain_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "check_same_operands", lambda *args: None)
    honest = network.dense_node

    def wrong(*args, **keywords):
        node = honest(*args, **keywords)
        array = numpy_helper.to_array(node.tensors[0]) * np.float32(1.001)
        node.tensors[0].CopyFrom(numpy_helper.from_array(array, node.tensors[0].name))
        return node

    monkeypatch.setattr(network, "dense_node", wrong)
    with pytest.raises(ExecutionError, match=r"output 'y' of the twin is off by 0.001 of its size, and"):
        convaudit.twin(model(GRAPHS[0].values[0]))


def test_what_no_file_holds_goes_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(written, "MOST_BYTES", 5000)
    source = model(f"g ({X}) => ({Y}) <{values('w', 256, 2, 3, 3)}> {{ [c] y = Conv <group=4> (x, w) }}")
    onnx.save(source, tmp_path / "m.onnx")
    result = made_twin(
        str(tmp_path / "m.onnx"), str(tmp_path / "d.onnx"), layers=None, source_keywords={}, how=HOW
    )
    assert [Path(name).name for name, _ in result.files] == ["d.onnx", "d.onnx.data"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.onnx", "d.onnx.data", "m.onnx"]
    np.testing.assert_allclose(
        outputs(onnx.load(tmp_path / "d.onnx"), 5)[0], outputs(source, 5)[0], atol=1e-4
    )


def test_external_data_are_read_and_never_written_over(tmp_path: Path) -> None:
    source = model(f"g ({X}) => ({Y}) <{values('w', 256, 2, 3, 3)}> {{ [c] y = Conv <group=4> (x, w) }}")
    weight = source.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight), weight.name))
    outside = ModelProto.FromString(source.SerializeToString())  # saving it changes it
    onnx.save(outside, tmp_path / "m.onnx", save_as_external_data=True, location="d.onnx.data")
    for target in ("m.onnx", "d.onnx", "d.onnx.data"):
        with pytest.raises(UsageError, match="is part of the model that is read"):
            made_twin(
                str(tmp_path / "m.onnx"), str(tmp_path / target), layers=None, source_keywords={}, how=HOW
            )
    made_twin(str(tmp_path / "m.onnx"), str(tmp_path / "e.onnx"), layers=None, source_keywords={}, how=HOW)
    np.testing.assert_allclose(
        outputs(onnx.load(tmp_path / "e.onnx"), 5)[0], outputs(source, 5)[0], atol=1e-4
    )


CHAINS = [
    pytest.param("[dq] v = DequantizeLinear (q, s)", ["dq", "c"], False, id="directly"),
    pytest.param("[dq] d = DequantizeLinear (q, s) v = Identity (d)", ["dq", "c"], False, id="identity"),
    pytest.param(
        "[dq] d = DequantizeLinear (q, s)"
        "u = Transpose <perm=[1,0,2,3]> (d) v = Transpose <perm=[1,0,2,3]> (u)",
        ["c"],
        True,
        id="transposed",
    ),
]


@pytest.mark.parametrize(("chain", "nodes", "told"), CHAINS)
def test_integers_stay_integers_or_it_is_told(chain: str, nodes: list[str], told: bool) -> None:
    weight = values("q", 8, 2, 3, 3, dtype="int8", scale=3)
    text = f"g ({X}) => ({Y}) <{weight}, float s = {{0.1}}> {{ {chain} [c] y = Conv <group=4> (x, v) }}"
    result = made_twin(model(text), None, layers=None, source_keywords={}, how=HOW)
    assert [node.name for node in result.proto.graph.node] == nodes
    assert (result.notes == ("the weight of c is no longer dequantised when the model runs",)) == told


UNDECIDED = "no convolution has groups|keeps its groups|does not run|no output is a finite number"


def test_random_layers_have_twins_or_a_reason() -> None:
    """Quantised, deformable, fused, half and transposed layers, in every geometry."""
    done, said = 0, []
    for number in range(40):
        try:
            twin = convaudit.twin(fuzzed(11, number).model)
        except ConvauditError as error:
            said.append(str(error))
        else:
            assert {groups for _, groups in convolutions(twin)} == {1}, number
            done += 1
    assert [text for text in said if not re.search(UNDECIDED, text)] == []
    assert done > 10
