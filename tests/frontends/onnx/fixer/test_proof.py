"""What is written, and that nothing is where the proof fails."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import convaudit
from convaudit.errors import ExecutionError, UsageError
from convaudit.frontends.onnx.fixer import convolution, kernels, rewriting, rounds
from convaudit.frontends.onnx.fixer.edit import CannotRewriteError
from convaudit.frontends.onnx.variant import writing
from convaudit.lints import made_smaller
from convaudit.records.findings import Fixed
from tests.frontends.onnx.fixer.test_fixed import CONV, END, after, graph, idle, run
from tests.frontends.onnx.models import model, values

TEXT = after("r = Sigmoid (t)")


def fixed(source: str | Path | ModelProto, target: Path | None = None, **how: object) -> Fixed:
    path = source if isinstance(source, ModelProto) else str(source)
    return made_smaller(path, target and str(target), source_keywords={}, how=how)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(idle(TEXT), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_the_file_and_what_it_became(path: Path) -> None:
    made = fixed(path, path.with_name("s.onnx"))
    smaller = onnx.load(path.with_name("s.onnx"))
    assert [claim.rule for claim in made.applied] == ["CA101"]
    assert made.sizes == {"before": path.stat().st_size, "after": path.with_name("s.onnx").stat().st_size}
    assert made.files == ((str(path.with_name("s.onnx")), made.sizes["after"]),)
    assert (made.runs, made.outputs[0].distance <= made.outputs[0].limit < 1e-4) == (3, True)
    assert [tuple(item.dims) for item in smaller.graph.initializer[:2]] == [(6, 3, 3, 3), (6,)]
    assert sorted(one.name for one in path.parent.iterdir()) == ["m.onnx", "s.onnx"]


def test_names_and_all_else_stay() -> None:
    source = idle(TEXT)
    source.metadata_props.add(key="author", value="somebody")
    source.producer_name, source.domain, source.model_version = "tests", "here", 7
    source.graph.node[0].doc_string = "a node"
    source.graph.initializer[0].doc_string = "a weight"
    source.graph.value_info.append(helper.make_tensor_value_info("t", 1, [1, 8, 6, 6]))
    smaller = convaudit.fix(source)
    declared = smaller.graph.value_info[0].type.tensor_type.shape
    assert [dim.dim_value for dim in declared.dim] == [1, 6, 6, 6]
    names = [item.name for item in source.graph.initializer]
    assert [item.name for item in smaller.graph.initializer][: len(names)] == names
    assert smaller.graph.initializer[0].doc_string == "a weight"
    for proto in (source, smaller):
        del proto.graph.initializer[:], proto.graph.value_info[:]
        del proto.graph.node[1:]
    assert smaller == source


def test_unnamed_nodes_stay_unnamed() -> None:
    smaller = convaudit.fix(idle(TEXT.replace("[c]", "").replace("[d]", "")))
    assert [node.name for node in smaller.graph.node] == ["", "", ""]


WRONG = [
    pytest.param(
        convolution, "add_to_bias", lambda honest: lambda *args: None, r"off by .* of its size", id="no-fold"
    ),
    pytest.param(
        rounds,
        "rewritten",
        lambda honest: lambda *args: _with_pads(honest(*args)),
        r"output 'y' of the smaller network is off",
        id="shapes",
    ),
]


def _with_pads(made: object) -> object:
    next(item for item in made.proto.graph.node[0].attribute if item.name == "pads").ints[:] = [0, 0, 2, 2]
    return made


@pytest.mark.parametrize(("module", "name", "wrong", "message"), WRONG)
def test_a_wrong_network_is_not_written(
    module: object, name: str, wrong: object, message: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, wrong(getattr(module, name)))
    target = path.with_name("s.onnx")
    target.write_bytes(b"old")
    with pytest.raises(ExecutionError, match=message):
        fixed(path, target)
    assert target.read_bytes() == b"old"
    assert sorted(one.name for one in path.parent.iterdir()) == ["m.onnx", "s.onnx"]


def test_what_cannot_be_rewritten_is_left_and_the_rest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = after("r = Relu (t)").replace("[d]", "[e] z = Conv (r, k) [f] q = Conv (z, l) [d]")
    source = idle(
        text.replace("> {", f", {values('k', 8, 8, 1, 1)}, {values('l', 8, 8, 1, 1)}> {{").replace(
            "Conv (r, v)", "Conv (q, v)"
        )
    )
    weight = numpy_helper.to_array(next(t for t in source.graph.initializer if t.name == "k")).copy()
    weight[3] = 0
    next(t for t in source.graph.initializer if t.name == "k").CopyFrom(numpy_helper.from_array(weight, "k"))
    honest = convolution.fix_convolution

    def picky(edit: object, site: object) -> None:
        if site.node.name == "f" and edit.kept(site.scope, site.node.input[0]):
            raise CannotRewriteError("no")
        honest(edit, site)

    monkeypatch.setitem(rewriting.NODES, "Conv", (picky, kernels.fix_kernel))
    made = fixed(source)
    assert [(claim.layer, claim.reason) for claim in made.left] == [("e", "f: no")]
    assert [claim.layer for claim in made.applied] == ["c"]


REFUSED = [
    pytest.param("m.onnx", "is part of the model that is read", id="in-place"),
    pytest.param("link.onnx", "is part of the model that is read", id="link"),
    pytest.param(".", "a smaller network is a file", id="folder"),
    pytest.param("-", "a smaller network is a file", id="stdout"),
    pytest.param("s.json", "would be read as", id="text"),
    pytest.param("missing/s.onnx", "cannot write", id="no-folder"),
]


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_where_nothing_is_written(name: str, message: str, path: Path) -> None:
    path.with_name("link.onnx").symlink_to(path)
    before = path.read_bytes()
    target = name if name == "-" else str(path.parent / name)
    with pytest.raises(UsageError, match=message):
        made_smaller(str(path), target, source_keywords={}, how={})
    assert path.read_bytes() == before


@pytest.mark.parametrize("names", [["m.data"], ["w", "v", "b"]], ids=["one-file", "several"])
def test_external_data_are_read_and_stay(names: list[str], tmp_path: Path) -> None:
    source = idle(TEXT)
    rng = np.random.default_rng(0)
    large = rng.standard_normal((4, 8, 1, 1)).astype(np.float32)
    wide = rng.standard_normal((512, 3, 3, 3)).astype(np.float32)
    wide[[7, 300]] = 0
    for tensor in source.graph.initializer:
        if tensor.name == "w":
            tensor.CopyFrom(numpy_helper.from_array(wide, "w"))
        if tensor.name == "b":
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(512, np.float32), "b"))
        if tensor.name == "v":
            tensor.CopyFrom(numpy_helper.from_array(np.tile(large, (1, 64, 1, 1)), "v"))
    onnx.save(
        *(source, tmp_path / "m.onnx"),
        save_as_external_data=True,
        all_tensors_to_one_file=len(names) == 1,
        location=names[0] if len(names) == 1 else None,
        size_threshold=0,
    )
    data = [(tmp_path / name).read_bytes() for name in names]
    fixed(tmp_path / "m.onnx", tmp_path / "s.onnx")
    smaller = onnx.load(tmp_path / "s.onnx")
    kept = {item.name: numpy_helper.to_array(item) for item in smaller.graph.initializer}
    np.testing.assert_array_equal(kept["w"], np.delete(wide, [7, 300], 0))
    assert kept["v"].shape == (4, 510, 1, 1)
    assert [(tmp_path / name).read_bytes() for name in names] == data
    with pytest.raises(UsageError, match="is part of the model that is read"):
        fixed(tmp_path / "m.onnx", tmp_path / names[-1])


def test_what_no_file_holds_goes_beside_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = idle(graph(f"{CONV} r = Relu (t) [e] z = Conv (r, k) y = Relu (z)", values("k", 512, 8, 1, 1)))
    onnx.save(source, path)
    monkeypatch.setattr(writing, "MOST_BYTES", 5000)
    made = fixed(path, path.with_name("s.onnx"))
    assert [Path(name).name for name, _ in made.files] == ["s.onnx", "s.onnx.data"]
    onnx.checker.check_model(str(path.with_name("s.onnx")))


UNKNOWN = graph("[c] t = Conv <pads=[1,1,1,1]> (x, w, b) r = Relu (t) [d] z = Conv (r, v) y = custom.Op (z)")


def test_what_does_not_run_is_written_only_if_that_is_wanted() -> None:
    with pytest.raises(
        ExecutionError, match=r"does not run, .*nothing is written, as --unverified"
    ) as caught:
        fixed(idle(UNKNOWN))
    assert "\n" not in str(caught.value)
    made = fixed(idle(UNKNOWN), unverified=True)
    assert (made.verified, made.outputs, made.runs) == (None, (), 0)
    assert [item.dims[0] for item in made.proto.graph.initializer[:2]] == [6, 6]


def test_a_network_that_differs_is_not_written_even_unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "add_to_bias", lambda *args: None)
    with pytest.raises(ExecutionError, match=r"of the smaller network is off by"):
        fixed(idle(TEXT), unverified=True)


def test_only_what_is_selected_goes() -> None:
    text = graph(
        f"{CONV} r = Relu (t) [e] z = Conv (r, k) q = Relu (z) [d] y = Conv (q, v)", values("k", 8, 8, 1, 1)
    )
    source = idle(text)
    tensor = next(item for item in source.graph.initializer if item.name == "k")
    weight = numpy_helper.to_array(tensor).copy()
    weight[[0, 5]] = 0
    tensor.CopyFrom(numpy_helper.from_array(weight, "k"))
    findings = convaudit.lint(source)
    assert {one.layer for one in findings} == {"c", "e"}
    smaller = convaudit.fix(source, [one for one in findings if one.layer == "e"])
    assert {item.name: item.dims[0] for item in smaller.graph.initializer}["w"] == 8
    assert {item.name: item.dims[0] for item in smaller.graph.initializer}["k"] == 6


def test_nothing_to_fix_is_said() -> None:
    sound = model(
        f"g (float[1,3,6,6] x) => (float[1,8,4,4] y) <{values('w', 8, 3, 3, 3)}> {{ y = Conv (x, w) }}"
    )
    with pytest.raises(UsageError, match="it carries nothing for nothing, so nothing is written"):
        fixed(sound)


def test_taps_that_meet_padding_at_the_given_size_alone_stay() -> None:
    text = "g (float[1,1,h,8] x) => (float[1,2,p,q] y) <{}> {{ [c] y = Conv <pads=[2,2,2,2]> (x, k) }}"
    source = model(text.format(values("k", 2, 1, 5, 5, scale=0.37)))
    given = {"input_shape": {"x": (1, 1, 2, 8)}}
    (finding,) = convaudit.lint(source, **given)
    assert (finding.rule, finding.fixable, finding.reason) == (
        "CA202",
        False,
        "it holds only for the sizes given",
    )
    with pytest.raises(UsageError, match="CA202 c: it holds only for the sizes given"):
        made_smaller(source, None, source_keywords=given, how={})
    still = model(text.format(values("k", 2, 1, 5, 5, scale=0.37)).replace("1,1,h,8", "1,1,2,8"))
    weights = convaudit.fix(still).graph.initializer
    assert [tuple(item.dims) for item in weights] == [(2, 1, 3, 5)]


def latent(permuted: bool) -> ModelProto:
    """A dense layer of two blocks, beside each other or mixed."""
    rng = np.random.default_rng(0)
    weight = np.zeros((6, 8, 3, 3), np.float32)
    weight[:3, :4], weight[3:, 4:] = rng.standard_normal((2, 3, 4, 3, 3))
    if permuted:
        weight = weight[rng.permutation(6)][:, rng.permutation(8)]
    x = helper.make_tensor_value_info("x", 1, [1, 8, 6, 6])
    y = helper.make_tensor_value_info("y", 1, [1, 6, 4, 4])
    bias = numpy_helper.from_array(rng.standard_normal(6).astype(np.float32), "b")
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], "c")
    whole = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weight, "w"), bias])
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("permuted", [False, True])
def test_hidden_groups_are_written(permuted: bool) -> None:
    smaller = convaudit.fix(latent(permuted))
    (layer,) = convaudit.audit(smaller).layers
    assert (layer.groups, layer.weight_shape) == (2, (6, 4, 3, 3))
    assert [node.op_type for node in smaller.graph.node] == (
        ["Gather", "Conv", "Gather"] if permuted else ["Conv"]
    )


def test_a_zero_border_is_cropped() -> None:
    source = model(
        "g (float[1,1,8,8] x) => (float[1,2,p,q] y) <{}>"
        "{{ [c] y = Conv <pads=[2,2,2,2], kernel_shape=[5,5]> (x, k) }}".format(
            values("k", 2, 1, 5, 5, scale=0.37)
        )
    )
    weight = numpy_helper.to_array(source.graph.initializer[0]).copy()
    for place in itertools.product((0, 4), range(5)):
        weight[(slice(None), slice(None), *place)] = weight[(slice(None), slice(None), *place[::-1])] = 0
    source.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "k"))
    (layer,) = convaudit.audit(convaudit.fix(source)).layers
    assert (layer.kernel_size, layer.padding) == ((3, 3), ((1, 1), (1, 1)))


def test_shared_weights_shrink_once() -> None:
    text = graph(
        f"{CONV} r = Relu (t) [d] p = Conv (r, v) [e] q = Conv (r, v, h) y = Add (p, q)", values("h", 4)
    )
    smaller = convaudit.fix(idle(text))
    assert {item.name: tuple(item.dims) for item in smaller.graph.initializer}["v"] == (4, 6, 1, 1)


@pytest.mark.parametrize(
    "stored",
    ["v = Constant <value = float[4,8,1,1] {}> ()", "d0 = Identity (v0) v = Identity (d0)"],
    ids=["node", "chain"],
)
def test_weights_however_they_are_stored(stored: str) -> None:
    held = values("v0", 4, 8, 1, 1)
    numbers = held.partition("=")[2]
    source = idle(graph(f"{stored.format(numbers)} {CONV} r = Relu (t) {END}", held, v=""))
    smaller = convaudit.fix(source)
    assert [layer.weight_shape for layer in convaudit.audit(smaller).layers] == [(6, 3, 3, 3), (4, 6, 1, 1)]


def test_sparse_weights_stay_sparse() -> None:
    source = idle(TEXT)
    tensor = next(item for item in source.graph.initializer if item.name == "w")
    whole = numpy_helper.to_array(tensor)
    places = np.flatnonzero(whole)
    source.graph.initializer.remove(tensor)
    source.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            numpy_helper.from_array(whole.ravel()[places], "w"), numpy_helper.from_array(places), whole.shape
        )
    )
    made = fixed(source)
    assert [layer.weight_shape for layer in made.after.layers] == [(6, 3, 3, 3), (4, 6, 1, 1)]
    assert [item.values.name for item in made.proto.graph.sparse_initializer] == ["w"]
    assert [layer.params for layer in convaudit.audit(made.proto).layers] == [6 * 27 + 6, 4 * 6 + 4]


def test_what_holds_within_rounding_goes_if_that_is_wanted() -> None:
    source = model(graph(f"{CONV} r = Sigmoid (t) [d] y = Conv (r, v, h)", values("h", 4, scale=0.37)))
    tensor = next(item for item in source.graph.initializer if item.name == "v")
    weight = np.abs(numpy_helper.to_array(tensor)) + np.float32(1)
    weight[:, 3] = 1e-30
    tensor.CopyFrom(numpy_helper.from_array(weight, "v"))
    with pytest.raises(UsageError, match="CA103 c: it holds within rounding: --within-rounding takes it"):
        fixed(source)
    made = fixed(source, within_rounding=True)
    assert [(claim.rule, claim.channels, claim.certainty) for claim in made.applied] == [
        ("CA103", (3,), "within_rounding")
    ]
    assert [tuple(item.dims) for item in made.proto.graph.initializer[:2]] == [(7, 3, 3, 3), (7,)]
    smaller = convaudit.fix(source, convaudit.lint(source), within_rounding=True)
    assert smaller == made.proto


FORMS = [
    pytest.param(
        graph(f"{CONV} r = Relu (t) [d] z = Conv (r, v) y = local.F (z)")
        + '<domain: "local", opset_import: ["" : 21]> F (a) => (o) { o = Neg (a) }',
        ["Conv", "Relu", "Conv", "F"],
        (),
        id="function-beside",
    ),
    pytest.param(
        graph(f"{CONV} r = local.F (t) [d] y = Conv (r, v)")
        + '<domain: "local", opset_import: ["" : 21]> F (a) => (o) { o = Relu (a) }',
        ["Conv", "Relu", "Conv"],
        ("its local functions are expanded",),
        id="function-between",
    ),
    pytest.param(
        graph(
            f"{CONV} r = Relu (t) y = If (k) <"
            "then_branch = h () => (float[1,4,6,6] p) { [d] p = Conv (r, v) },"
            "else_branch = e () => (float[1,4,6,6] q) { s = Sigmoid (r) [e] q = Conv (s, v) }>",
            x="float[1,3,6,6] x, bool k",
        ),
        ["Conv", "Relu", "If"],
        ("e has a bias now, 4 elements: what constant channels add to it",),
        id="branches",
    ),
]


@pytest.mark.parametrize(("text", "ops", "notes"), FORMS)
def test_functions_and_branches(text: str, ops: list[str], notes: tuple[str, ...]) -> None:
    made = fixed(idle(text))
    assert [node.op_type for node in made.proto.graph.node] == ops
    assert made.notes == notes
    assert {item.name: item.dims[0] for item in made.proto.graph.initializer}["w"] == 6


def test_initializers_that_are_declared_as_inputs_stay_so() -> None:
    source = idle(TEXT, opset=9)
    source.ir_version = 3
    for tensor in source.graph.initializer:
        source.graph.input.append(helper.make_tensor_value_info(tensor.name, 1, tensor.dims))
    made = fixed(source)
    sizes = {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in made.proto.graph.input
    }
    assert {item.name: list(item.dims) for item in made.proto.graph.initializer}.items() <= sizes.items()
    assert "input 'y.bias', which has a default, takes [4]" in made.notes


def quantised(padded: bool) -> ModelProto:
    """Two layers of integers, with scales of their own for each filter; two filters are their zero point."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-100, 100, (8, 3, 3, 3)).astype(np.int8)
    weight[[1, 4]] = 0
    stored = {
        "w": weight,
        "v": rng.integers(-100, 100, (4, 8, 1, 1)).astype(np.int8),
        "xs": np.float32(0.02),
        "xz": np.uint8(120),
        "ts": np.float32(0.1),
        "tz": np.uint8(128),
        "ws": rng.random(8, np.float32) * np.float32(0.01),
        "wz": np.zeros(8, np.int8),
        "vs": np.float32(0.01),
        "vz": np.int8(0),
        "ys": np.float32(0.2),
        "yz": np.uint8(100),
        "b": rng.integers(-3000, 3000, 8, np.int32),
        "c": rng.integers(-300, 300, 4, np.int32),
    }
    own = {"w": "x xs xz w ws wz ts tz b", "v": "t ts tz v vs vz ys yz c"}
    nodes = [
        helper.make_node("QLinearConv", own["w"].split(), ["t"], "c", pads=[1] * 4),
        helper.make_node("QLinearConv", own["v"].split(), ["y"], "d", pads=[int(padded)] * 4),
    ]
    size = 8 if padded else 6
    x, y = (
        helper.make_tensor_value_info(name, 2, shape)
        for name, shape in (("x", [1, 3, 6, 6]), ("y", [1, 4, size, size]))
    )
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()]
    return helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], tensors),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def test_integers_stay_bit_for_bit() -> None:
    source = quantised(padded=False)
    made = fixed(source)
    (output,) = made.outputs
    assert (output.largest, output.limit) == (0, 0)
    shapes = {item.name: tuple(item.dims) for item in made.proto.graph.initializer}
    assert [shapes[name] for name in ("w", "ws", "wz", "b", "v", "vs")] == [
        *[(6, 3, 3, 3), (6,), (6,), (6,), (4, 6, 1, 1), ()]
    ]
    assert {item.name: item.data_type for item in made.proto.graph.initializer}["c"] == TensorProto.INT32
    feeds = {"x": np.random.default_rng(1).integers(0, 256, (1, 3, 6, 6)).astype(np.uint8)}
    np.testing.assert_array_equal(
        run(made.proto, feeds, optimised=True)[0], run(source, feeds, optimised=True)[0]
    )


def test_integers_that_meet_padding_stay() -> None:
    with pytest.raises(UsageError, match="CA101 c: d pads with zeros"):
        fixed(quantised(padded=True))


def dequantised(bias: int) -> ModelProto:
    """The second layer alone, of dequantised integers; channels 1 and 4 are constant, 0 and ``bias``."""
    rng = np.random.default_rng(0)
    stored = {
        "w": np.delete(rng.integers(-100, 100, (9, 3, 3, 3)), 8, 0).astype(np.int8),
        "v": rng.integers(-100, 100, (4, 8, 1, 1)).astype(np.int8),
        "b": np.asarray([0, 0, 0, 0, bias, 0, 0, 0], np.int32),
        **{name: np.float32(scale) for name, scale in [("xs", 0.02), ("ws", 0.01), ("bs", 0.0002)]},
        **{name: np.float32(scale) for name, scale in [("ts", 0.1), ("ys", 0.2)]},
        **{name: np.uint8(zero) for name, zero in [("xz", 120), ("tz", 128), ("yz", 100)]},
        "wz": np.int8(0),
    }
    stored["w"][[1, 4]] = 0
    text = (
        "[a] xd = DequantizeLinear (x, xs, xz) [e] wd = DequantizeLinear (w, ws, wz)"
        "[f] bd = DequantizeLinear (b, bs) [c] t = Conv (xd, wd, bd) [g] tq = QuantizeLinear (t, ts, tz)"
        "[h] td = DequantizeLinear (tq, ts, tz) [i] vd = DequantizeLinear (v, ws, wz) [d] u = Conv (td, vd)"
        "[j] y = QuantizeLinear (u, ys, yz)"
    )
    proto = model(f"g (uint8[1,3,6,6] x) => (uint8[1,4,4,4] y) {{ {text} }}", opset=17)
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in stored.items()
    )
    return proto


def test_a_constant_moves_no_rounding_of_dequantised_integers() -> None:
    (left,) = fixed(dequantised(3000)).left
    assert (left.channels, left.reason) == (
        (4,),
        "d is quantised, so folding a constant of 'td' would move its roundings",
    )
    assert not fixed(dequantised(0)).left
