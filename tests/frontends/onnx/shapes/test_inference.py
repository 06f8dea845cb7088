"""Shapes that onnx's own inference does not know: folded, symbolic, or read from a run."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from onnx import TensorProto, helper

import convaudit
from convaudit.errors import ModelError, UsageError
from convaudit.formulas import symbol
from convaudit.frontends.onnx.loader.onnx_file import load_onnx
from convaudit.frontends.onnx.walker import walk_onnx
from convaudit.shapes import as_text
from tests.frontends.onnx.models import model, only_layer, walk

W = "float[4,2,3] w = {" + ",".join(["0"] * 24) + "}"

# what torch's first exporter writes for a padding of (1, 1)
PADDED = f"""
g (float[N,2,9] x) => (float[n,c,l] y) <{W},
        int64[1] four = {{4}}, int64[2] ones = {{1, 1}}, int64[2] pairs = {{-1, 2}}, int64[1] zero = {{0}},
        int64[1] last = {{-1}}, int64[1] far = {{-9223372036854775807}}, int64[1] back = {{-1}},
        int64[1] flat = {{-1}}> {{
    zeros = ConstantOfShape<value = int64[1] {{0}}>(four)
    all = Concat<axis = 0>(ones, zeros)
    table = Reshape(all, pairs)
    reversed = Slice(table, last, far, zero, back)
    turned = Transpose<perm = [1, 0]>(reversed)
    line = Reshape(turned, flat)
    pads = Cast<to = 7>(line)
    padded = Pad(x, pads)
    y = Conv(padded, w)
}}"""


def test_constant_shape_arithmetic_is_folded() -> None:
    layer = only_layer(PADDED, allow_run=False)
    assert layer.input_shape == (symbol("N"), 2, 11)
    assert layer.output_shape == (symbol("N"), 4, 9)


def test_folding_does_not_touch_what_is_reported() -> None:
    network = walk(PADDED, allow_run=False)
    assert ("Transpose", 1) in network.uncounted_ops
    assert network.model_params == 24


def test_resize_of_open_sizes() -> None:
    layer = only_layer(
        f"g (float[N,2,L] x) => (float[n,c,l] y) <{W}, float[3] s = {{1,1,2}}>"
        ' { r = Resize<mode = "nearest">(x, "", s) y = Conv(r, w) }',
        allow_run=False,
    )
    assert as_text(layer.input_shape) == "Nx2x(2*L)"
    assert as_text(layer.output_shape) == "Nx4x(2*L - 2)"


DATA_DEPENDENT = f"""
g (float[1,2,9] x) => (float[n,c,l] y) <{W}, float zero = {{0}}, int64[1] axis = {{0}}> {{
    column = Squeeze(x, axis)
    found = NonZero(column)
    rows = Shape(found)
    some = Cast<to = 1>(found)
    image = Unsqueeze(some, axis)
    y = Conv<pads = [1, 1]>(image, w)
}}"""


def test_sizes_that_depend_on_data_are_read_from_a_run() -> None:
    network = walk(DATA_DEPENDENT)
    # NonZero of a 2x9 table of random numbers: 2 indices of each of the 18
    assert network.layers[0].input_shape == (1, 2, 18)
    assert network.layers[0].output_shape == (1, 4, 18)
    assert any("depend on data" in warning for warning in network.warnings)


@pytest.mark.parametrize(
    "attributes",
    ['auto_pad="SAME_UPPER", dilations=[2,2], strides=[2,2]', 'auto_pad="VALID", pads=[0,0,0,0]'],
    ids=["dilated-same", "pads-beside-auto-pad"],
)
def test_a_run_for_sizes_takes_what_onnxruntime_refuses(attributes: str) -> None:
    """Behind it is a size that only a run tells."""
    network = walk(
        "g (float[1,1,9,9] x, float[1,1,3,3] w) => (float[n,c,l] y) <float[1,1,2] k = {1, 1}> {"
        f" a = Conv <{attributes}> (x, w) found = NonZero(a) some = Cast <to = 1> (found)"
        " axis = Constant <value_ints = [1]> () image = Unsqueeze(some, axis) y = Conv(image, k) }"
    )
    before, behind = network.layers
    positions = 25 if "SAME" in attributes else 49
    assert before.output_shape == (1, 1, *[int(positions**0.5)] * 2)
    assert behind.input_shape is not None
    assert isinstance(behind.input_shape[2], int)
    assert 0 < behind.input_shape[2] <= positions


def test_run_can_be_forbidden() -> None:
    network = walk(DATA_DEPENDENT, allow_run=False)
    assert network.layers[0].input_shape == (1, 2, None)
    assert network.layers[0].output_shape == (1, 4, None)
    assert any("'image' is unknown" in note for note in network.layers[0].notes)


def test_run_needs_sizes() -> None:
    network = walk(DATA_DEPENDENT.replace("1,2,9", "1,2,L"))
    assert network.layers[0].output_shape == (1, 4, None)
    assert any("fix them with --input or --dim" in warning for warning in network.warnings)


def test_size_from_data_is_unknown_and_no_invented_name() -> None:
    # the exporter's name for it is tied to no input
    source = model(DATA_DEPENDENT.replace("1,2,9", "1,2,L"))
    source.graph.value_info.append(helper.make_tensor_value_info("image", 1, [1, 2, "u0"]))
    assert only_layer(source, allow_run=False).output_shape == (1, 4, None)


def test_run_of_a_loop_reads_the_bodys_shapes() -> None:
    network = walk(f"""
    g (float[1,2,9] x, int64 m) => (float[i,n,k,l] y) <{W}, int64[1] axis = {{0}}> {{
        y = Loop (m, "") <
            body = b (int64 i, bool go) => (bool again, float[n,k,l] p) {{
                again = Identity(go)
                row = Squeeze(x, axis)
                found = NonZero(row)
                some = Cast<to = 1>(found)
                image = Unsqueeze(some, axis)
                p = Conv<pads = [1, 1]>(image, w)
            }}
        >
    }}""")
    (layer,) = network.layers
    assert layer.output_shape == (1, 4, 18)
    assert layer.calls is None


def test_run_on_huge_inputs_is_refused() -> None:
    network = walk(DATA_DEPENDENT.replace("1,2,9", "1,2,1099511627776"))
    assert network.layers[0].output_shape == (1, 4, None)
    assert any("inputs are too large" in warning for warning in network.warnings)


ENDLESS = """
    again = Loop (many, on) <
        body = b (int64 i, bool go) => (bool keep, int64 p) { keep = Identity(go) p = Identity(i) }
    >
    z = Relu(y)"""
GROWING = """
    grown = Loop (many, on, y) <
        body = b (int64 i, bool go, float[n] a) => (bool keep, float[m] p) {
            keep = Identity(go)
            p = Concat<axis = 0>(a, a)
        }
    >
    z = Relu(grown)"""


@pytest.mark.parametrize(
    ("last", "limits", "message"),
    [
        pytest.param(ENDLESS, {"SECONDS": "6"}, "failed half-way: onnxruntime", id="no-end"),
        pytest.param(GROWING, {"MEMORY": "64MiB"}, "failed half-way: onnxruntime", id="no-bound"),
        pytest.param(
            "k = ConstantOfShape(long) l = ConstantOfShape(gates) all, z = LSTM<hidden_size = 1>(k, l, l)",
            {"SECONDS": "2"},
            "ran for more than 2 s and was stopped; CONVAUDIT_FILE_SECONDS",
            id="not-to-be-asked-to-end",
        ),
    ],
)
def test_a_run_is_bounded(
    last: str, limits: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in limits.items():
        monkeypatch.setenv(f"CONVAUDIT_FILE_{name}", value)
    numbers = f"int64 many = {{{2**62}}}, bool on = {{1}}, int64[3] gates = {{1, 4, 1}}"
    numbers += f", int64[3] long = {{{2**24}, 1, 1}}"
    network = walk(
        f"""
    g (float[1,2,9] x) => (float[k] z) <{W}, int64[1] axis = {{0}}, {numbers}> {{
        row = Squeeze(x, axis)
        found = NonZero(row)
        some = Cast<to = 1>(found)
        image = Unsqueeze(some, axis)
        y = Conv<pads = [1, 1]>(image, w)
        {last}
    }}"""
    )
    assert message in "\n".join(network.warnings)
    known = "half-way" in message  # what ran before the end
    assert network.layers[0].output_shape == ((1, 4, 18) if known else (1, 4, None))


def test_a_runtime_that_cannot_even_be_loaded_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVAUDIT_FILE_MEMORY", "1")  # not even enough to load it
    network = walk(DATA_DEPENDENT)
    assert any("some shapes stay unknown" in warning for warning in network.warnings)


def test_failing_run_is_a_warning() -> None:
    network = walk(DATA_DEPENDENT.replace("Squeeze(x, axis)", "custom.Unknown(x)"))
    assert network.layers[0].output_shape is None or None in network.layers[0].output_shape
    assert any("onnxruntime" in warning for warning in network.warnings)
    assert all("\n" not in warning for warning in network.warnings)
    (other,) = network.other_ops
    assert (other.op, other.macs, other.reason) == ("custom.Unknown", None, "convaudit does not know this op")


def test_run_that_fails_half_way_tells_the_shapes_before() -> None:
    network = walk(f"""
    g (float[1,2,9] x) => (float[k] z) <{W}, int64[1] axis = {{0}}, int64 far = {{99}}> {{
        row = Squeeze(x, axis)
        found = NonZero(row)
        some = Cast<to = 1>(found)
        image = Unsqueeze(some, axis)
        y = Conv<pads = [1, 1]>(image, w)
        bad = Gather(y, far)
        z = Relu(bad)
    }}""")
    assert network.layers[0].output_shape == (1, 4, 18)
    assert any("failed half-way" in warning for warning in network.warnings)


def test_absent_weights_are_no_obstacle_to_accounting() -> None:
    source = model(DATA_DEPENDENT)
    (weight,) = [tensor for tensor in source.graph.initializer if tensor.name == "w"]
    weight.ClearField("float_data")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="absent.bin")
    network = walk(source)
    assert network.layers[0].weight_shape == (4, 2, 3)
    assert any("stay unknown" in warning for warning in network.warnings)


def test_model_that_onnx_refuses_is_a_warning() -> None:
    source = model(f"g (float[1,2,9] x) => (float[n,c,l] y) <{W}> {{ r = Relu(x) y = Conv(r, w) }}")
    source.ClearField("opset_import")
    network = walk(source, allow_run=False)
    assert network.layers[0].output_shape == (1, 4, 7)
    (warning,) = network.warnings
    assert warning.startswith("onnx's shape inference refuses the model: ")
    assert "\n" not in warning


def test_broken_graph_is_quiet(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ModelError, match=r"Conv_0 .*: nothing defines its input 'nowhere'"):
        walk(f"g (float[1,2,9] x) => (float[n,c,l] y) <{W}> {{ y = Conv(nowhere, w) }}", allow_run=False)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_the_users_model_is_not_changed() -> None:
    source = model(DATA_DEPENDENT)
    before = source.SerializeToString(deterministic=True)
    walk(source)
    assert source.SerializeToString(deterministic=True) == before
    loaded = load_onnx(source)
    skeleton = loaded.proto.SerializeToString(deterministic=True)
    walk_onnx(loaded)
    assert loaded.proto.SerializeToString(deterministic=True) == skeleton


HEAVY = ("torch", "sympy", "onnxruntime", "onnx_ir", "onnx.reference")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"g (float[N,2,9] x) => (float[n,c,l] y) <{W}> {{ y = Conv(x, w) }}", set(), id="static"
        ),
        pytest.param(PADDED, set(), id="symbolic"),
    ],
)
def test_only_what_is_needed_is_imported(text: str, expected: set[str]) -> None:
    script = f"""
    import sys
    from tests.frontends.onnx.models import walk
    walk({text!r})
    print(*[name for name in {HEAVY} if name in sys.modules])
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert set(result.stdout.split()) == expected


ROWS = "column = Squeeze(x, axis) found = NonZero(column) some = Cast<to = 1>(found) rows = Transpose(some)"
MATRIX = "float[2,2] m = {0,0,0,0}, int64[1] axis = {0}"
RUN_TELLS = [
    pytest.param(
        f"g (float[1,2,9] x) => (float[a,b] y) <{MATRIX}> {{ {ROWS} y = Gemm(rows, m) }}",
        18 * 2 * 2,
        id="output-of-the-graph",
    ),
    pytest.param(
        f"g (bool[1] c, float[1,2,9] x) => (float[a,b] y) <{MATRIX}> {{ y = If (c) <"
        f"  then_branch = a () => (float[d,e] p) {{ {ROWS} p = Gemm(rows, m) }},"
        "  else_branch = b () => (float[d,e] q) { q = Identity(m) } > }",
        18 * 2 * 2,
        id="output-of-a-body",
    ),
    pytest.param(
        f"g (float[1,2,9] x) => (float[a,b] y) <{MATRIX}, int64 three = {{3}}, bool yes = {{1}}> {{ {ROWS}"
        "  y = Loop (three, yes, rows) <"
        "    body = b (int64 i, bool go, float[h,k] s) => (bool again, float[h,k] t) {"
        "      again = Identity(go) t = Gemm(s, m) } > }",
        3 * 18 * 2 * 2,
        id="state-of-a-body",
    ),
]


@pytest.mark.parametrize(("text", "macs"), RUN_TELLS)
def test_a_run_tells_inputs_and_outputs_of_every_graph(text: str, macs: int) -> None:
    network = walk(text)
    assert [other.macs for other in network.other_ops] == [macs]
    assert not any("declares" in warning for warning in network.warnings)


def test_a_run_takes_the_given_data() -> None:
    """NonZero finds 2 elements, not the 18 of random numbers."""
    x = np.zeros((1, 2, 9), np.float32)
    x[0, 0, :2] = 1
    network = walk(DATA_DEPENDENT, feeds=lambda inputs: {tensor.name: x for tensor in inputs})
    assert network.layers[0].output_shape == (1, 4, 2)
    assert any("one run on the given input" in warning for warning in network.warnings)


def test_data_serve_the_run_for_shapes_and_the_verification() -> None:
    x = np.zeros((1, 2, 9), np.float32)
    x[0, 0, 3:8] = 1
    source = model(DATA_DEPENDENT.replace(",".join(["0"] * 24), ",".join(map(str, range(24)))))
    report = convaudit.audit(source, verify=True, data={"x": x})
    (layer,) = report.layers
    assert layer.output_shape == (1, 4, 5)
    assert layer.verification is not None
    assert layer.verification.verified


def test_wrong_data_are_refused() -> None:
    with pytest.raises(UsageError, match="'x': dimension 2 is fixed at 9 in the model, so 1x2x8"):
        convaudit.audit(model(DATA_DEPENDENT), verify=True, data={"x": np.ones((1, 2, 8), np.float32)})
