"""Integers, inputs and dimensions as callers write them: one reader, and every public function uses it."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest

import convaudit
from convaudit.arguments import GivenInput, given_dims, given_inputs, read_input, whole
from convaudit.engine import conv, conv_transpose, deform_conv, dense_weight
from tests.cli.conftest import save_model

MACS = 36 * 8 * 2 * 9
INTEGERS = [pytest.param(kind, id=kind.__name__) for kind in (int, np.int8, np.int32, np.int64, np.uint64)]
NO_INTEGERS = [2.5, 3.0, np.float32(2), True, np.bool_(True), "3", None, [3], b"3", 3j, np.array([1, 2])]
MEASURES = ["macs", "dense_macs", "peak_activation_bytes", "model_macs"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("arguments") / "model.onnx", batch="N")


@pytest.mark.parametrize("kind", INTEGERS)
def test_integers_of_any_library_become_pythons(kind):
    value = whole(kind(7), "seed")
    assert value == 7
    assert type(value) is int


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_what_is_not_an_integer_is_refused(value):
    with pytest.raises(convaudit.UsageError, match=r"^seed must be a non-negative integer, got "):
        whole(value, "seed")


@pytest.mark.parametrize(
    ("value", "limits", "message"),
    [
        pytest.param(-1, {}, "must be a non-negative integer, got -1", id="negative"),
        pytest.param(0, {"least": 1}, "must be a positive integer, got 0", id="zero"),
        pytest.param(1, {"least": 2}, "must be an integer of at least 2, got 1", id="less"),
        pytest.param(9, {"most": 8}, "must be at most 8, got 9", id="more"),
    ],
)
def test_limits(value, limits, message):
    with pytest.raises(convaudit.UsageError, match=message):
        whole(value, "seed", **limits)


# --- an ONNX model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", INTEGERS)
def test_sizes_of_any_integer_type_count_alike(path, kind):
    size = kind(2**6 - 1)
    expected = convaudit.audit(path, dims={"N": 63}).to_json()
    assert convaudit.audit(path, dims={"N": size}).to_json() == expected
    assert convaudit.audit(path, input_shape=(size, 4, 8, kind(8))).to_json() == expected
    assert convaudit.audit(path, input_shape=np.array([63, 4, 8, 8], dtype=kind)).to_json() == expected


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint32], ids=lambda kind: kind.__name__)
def test_a_narrow_integer_does_not_overflow(path, kind):
    totals = convaudit.audit(path, dims={"N": kind(2**30)}).totals
    assert [totals.macs, totals.dense_macs] == [MACS * 2**30, 2 * MACS * 2**30]


SIZES = [
    pytest.param({"dims": {"N": 2.5}}, r"dims\['N'\] must be a non-negative integer, got 2.5", id="float"),
    pytest.param({"dims": {"N": -1}}, r"dims\['N'\] must be a non-negative integer, got -1", id="negative"),
    pytest.param({"dims": {"N": True}}, r"dims\['N'\] must be .* got True", id="bool"),
    pytest.param({"dims": {"N": "3"}}, r"dims\['N'\] must be .* got '3'", id="text"),
    pytest.param({"dims": {3: 3}}, r"dims: 3 is not a name", id="name"),
    pytest.param({"dims": [("N", 3)]}, r"dims must be sizes by name", id="list"),
    pytest.param({"dims": {"N": 10**30}}, r"no memory holds a tensor|no size of its inputs", id="absurd"),
    pytest.param({"input_shape": (1, 4, 8.0, 8)}, r"each size in input_shape must be .* got 8.0", id="shape"),
    pytest.param(
        {"input_shape": {"x": (1, 4, True, 8)}}, r"input_shape\['x'\] must be .* got True", id="named"
    ),
    pytest.param({"input_shape": (1, 4, -8, 8)}, r"must be a non-negative integer, got -8", id="minus"),
    pytest.param({"input_shape": (1, 4, 2**60, 8)}, r"no memory holds a tensor of", id="huge"),
    pytest.param({"input_shape": {4: (1, 4, 8, 8)}}, r"4 is not a name", id="input-name"),
    pytest.param(
        {"input_shape": (1, (4, 8), 8)}, r"each size in input_shape must be .* got \(4, 8\)", id="nest"
    ),
    pytest.param({"input_shape": object()}, r"input_shape must be", id="object"),
    pytest.param({"seed": -1, "verify": True}, r"seed must be a non-negative integer, got -1", id="seed"),
    pytest.param({"seed": 2**64, "verify": True}, r"seed must be at most", id="seed-too-large"),
    pytest.param({"seed": 1.0, "verify": True}, r"seed must be .* got 1.0", id="seed-float"),
    pytest.param({"memory_bytes": "1GiB", "verify": True}, r"memory_bytes must be a positive", id="memory"),
    pytest.param({"memory_bytes": 0, "verify": True}, r"memory_bytes must be a positive", id="no-memory"),
    pytest.param(
        {"optimization": "fast", "verify": True}, r"optimization must be one of all, .*'fast'", id="opt"
    ),
    pytest.param({"provider": 3, "verify": True}, r"provider must be a name .* got 3", id="provider"),
    pytest.param({"threads": 0, "verify": True}, r"threads must be a positive integer, got 0", id="threads"),
    pytest.param({"threads": 10**6, "verify": True}, r"threads must be at most 1024", id="many-threads"),
    pytest.param({"kwargs": ["width"]}, r"kwargs must be arguments by name", id="kwargs"),
    pytest.param({"progress": 3, "verify": True}, r"progress must be a function", id="progress"),
    pytest.param({"verify": np.array([1, 2])}, r"verify must be True, False", id="verify"),
    pytest.param({"data": 5, "verify": True}, r"data must be", id="data"),
    pytest.param({"data": {3: np.ones(3)}, "verify": True}, r"data: 3 is not a name", id="data-name"),
    pytest.param({"data": {"x": object()}, "verify": True}, r"data\['x'\] must be an array", id="data-array"),
    pytest.param({"allow_run": "False"}, r"allow_run must be True or False, got 'False'", id="allow-run"),
    pytest.param({"fake": np.ones(3)}, r"fake must be True or False, got array", id="fake"),
    pytest.param({"fake": None}, r"fake must be True or False, got None", id="fake-none"),
    pytest.param({"input_shape": float("nan")}, r"input_shape: nan is not finite", id="nan"),
    pytest.param({"input_shape": "1e400"}, r"'1e400': inf is not finite", id="infinite"),
]


@pytest.mark.parametrize("front_end", ["onnx", "torch"])
@pytest.mark.parametrize(("keywords", "message"), SIZES)
def test_unusable_arguments_are_refused_by_name(path, front_end, keywords, message):
    source = path
    if front_end == "torch":
        torch = pytest.importorskip("torch")
        source = torch.nn.Conv2d(4, 8, 3, groups=2)
        if "input_shape" not in keywords:
            keywords = {"input_shape": (1, 4, 8, 8), **keywords}
    with pytest.raises(convaudit.ConvauditError, match=message):
        convaudit.audit(source, **keywords)


@pytest.mark.parametrize("kind", INTEGERS)
def test_a_module_takes_integers_of_any_type(kind):
    torch = pytest.importorskip("torch")
    module = torch.nn.Conv2d(4, 8, 3, groups=2, bias=False)
    for shape in [(kind(2), 4, kind(8), 8), np.array([2, 4, 8, 8], dtype=kind), torch.Size([2, 4, 8, 8])]:
        assert convaudit.audit(module, input_shape=shape).totals.macs == 2 * MACS


def test_numbers_of_numpy_reach_a_module_as_pythons():
    torch = pytest.importorskip("torch")

    class Upscaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 8, 3, groups=2)

        def forward(self, x, size, scale, flag):
            assert [type(size), type(scale), type(flag)] == [int, float, bool]
            return self.conv(torch.nn.functional.interpolate(x, size=(size, size)) * scale)

    inputs = (torch.ones(1, 4, 2, 2), np.int64(8), np.float32(0.5), np.bool_(True))
    assert convaudit.audit(Upscaled(), inputs=inputs).totals.macs == MACS


class Tokens:
    """A module that looks its input up, and repeats what it found ``times``."""

    def __new__(cls):
        torch = pytest.importorskip("torch")

        class Module(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.table = torch.nn.Embedding(16, 4)
                self.conv = torch.nn.Conv1d(4, 8, 3, groups=2, bias=False)

            def forward(self, ids, times=1):
                assert ids.dtype is torch.int64
                return self.conv(self.table(ids).repeat(1, int(times), 1).transpose(1, 2))

        return Module()


@pytest.mark.parametrize(
    ("given", "repeated"),
    [
        pytest.param("1x20:int64", 1, id="dtype"),
        pytest.param({"ids": "1x20:int64"}, 1, id="by-name"),
        pytest.param(["1x20:int64", "value:3"], 3, id="number"),
        pytest.param({"ids": "1x20:int64", "times": "value:3"}, 3, id="number-by-name"),
        pytest.param({"ids": "1x20:int64", "times": "value:3:int32"}, 3, id="tensor"),
    ],
)
@pytest.mark.parametrize("verify", [False, True])
def test_a_module_takes_element_types_and_values(given, repeated, verify):
    report = convaudit.audit(Tokens(), input_shape=given, verify=verify)
    assert report.totals.macs == (20 * repeated - 2) * 8 * 2 * 3
    assert (report.inputs[0].dtype, report.inputs[0].shape) == ("int64", (1, 20))
    if verify:
        assert report.layers[0].verification.status == "within_rounding"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"ids": "20"}, "write ids=shape:20 or ids=value:20", id="either"),
        pytest.param(["1x20:int64", "3"], "write shape:3 or value:3", id="either-in-order"),
        pytest.param("1x20:str", "torch has no tensors of texts", id="texts"),
        pytest.param({"ids": "1x20", "n": "2x2"}, "forward takes ids, times, not 'ids', 'n'", id="name"),
        pytest.param(["ids=1x20", "2x2"], "name every input, or none", id="some-names"),
    ],
)
def test_inputs_that_a_module_cannot_take(given, message):
    with pytest.raises(convaudit.UsageError, match=message):
        convaudit.audit(Tokens(), input_shape=given)


def test_a_program_takes_the_value_of_a_scalar():
    torch = pytest.importorskip("torch")

    class Scaled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(4, 8, 3, groups=2, bias=False)

        def forward(self, x, scale):
            return self.conv(x * scale)

    program = torch.export.export(Scaled(), (torch.ones(1, 4, 8, 8), torch.tensor(2.0)))
    for verify in (False, True):
        report = convaudit.audit(program, input_shape={"scale": "5"}, verify=verify)
        assert [(tensor.name, tensor.value) for tensor in report.inputs] == [("x", None), ("scale", 5.0)]
    for given, message in (("true", "scale is float32, which cannot be true"), ("5:int64", "it is float32")):
        with pytest.raises(convaudit.UsageError, match=message):
            convaudit.audit(program, input_shape={"scale": given})


# --- the engine ------------------------------------------------------------------------------------------

X, W = np.ones((1, 4, 8, 8), np.float32), np.ones((8, 2, 3, 3), np.float32)
OFFSET = np.zeros((1, 18, 6, 6), np.float32)


@pytest.mark.parametrize("call", [conv, conv_transpose], ids=lambda call: call.__name__)
@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        pytest.param({"stride": 1.5}, r"stride", id="stride"),
        pytest.param({"stride": (1.5, 2)}, r"stride", id="strides"),
        pytest.param({"stride": True}, r"stride", id="bool"),
        pytest.param({"dilation": "2"}, r"dilation", id="text"),
        pytest.param({"padding": 0.5}, r"padding", id="padding"),
        pytest.param({"padding": (0.5, 1)}, r"padding", id="paddings"),
        pytest.param({"padding": ((0.5, 1), (1, 1))}, r"padding", id="pairs"),
        pytest.param({"padding": None}, r"padding", id="none"),
        pytest.param({"groups": 2.0}, r"groups must be an integer, got 2.0", id="groups"),
        pytest.param({"groups": "2"}, r"groups must be an integer, got", id="groups-text"),
        pytest.param({"threads": 1.5}, r"threads must be a positive integer, got 1.5", id="threads"),
        pytest.param({"workspace_bytes": "1GiB"}, r"workspace_bytes must be", id="workspace"),
        pytest.param({"counter": 3}, r"counter must be a MacCounter, got a int", id="counter"),
        pytest.param({"stride": 10**30}, r"stride must be at most", id="huge-stride"),
        pytest.param({"dilation": 10**30}, r"dilation must be at most", id="huge-dilation"),
        pytest.param({"padding": 10**30}, r"padding must be at most", id="huge-padding"),
        pytest.param({"padding": ((0, 10**30), (0, 0))}, r"padding must be at most", id="huge-pairs"),
    ],
)
def test_the_engine_refuses_what_is_not_an_integer(call, keywords, message):
    weight = W if call is conv else np.ones((4, 4, 3, 3), np.float32)
    with pytest.raises(convaudit.ConvauditError, match=message):
        call(X, weight, **{"groups": 2, **keywords})


@pytest.mark.parametrize("kind", INTEGERS)
def test_the_engine_takes_integers_of_any_type(kind):
    expected = conv(X, W, groups=2, stride=2, padding=1)
    given = conv(X, W, groups=kind(2), stride=kind(2), padding=((kind(1), 1), (1, kind(1))), threads=kind(1))
    np.testing.assert_array_equal(given, expected)
    scalar = np.array(2, dtype=kind)
    np.testing.assert_array_equal(conv(X, W, groups=scalar, stride=scalar, padding=scalar - 1), expected)
    assert dense_weight(W, kind(2)).shape == (8, 4, 3, 3)
    assert deform_conv(X, W, OFFSET, groups=kind(2), offset_groups=kind(1)).shape == (1, 8, 6, 6)


def test_the_engine_refuses_an_output_that_no_memory_holds():
    with pytest.raises(convaudit.ShapeError, match="conv: no memory holds an output of"):
        conv(X, W, groups=2, padding=2**40)
    with pytest.raises(convaudit.ShapeError, match="conv_transpose: no memory holds an output of"):
        conv_transpose(X, np.ones((4, 4, 3, 3), np.float32), groups=2, stride=2**40)


@pytest.mark.parametrize(
    ("x", "weight"),
    [
        pytest.param([[[1.0]]], W, id="list"),
        pytest.param(X, [[[1.0]]], id="weight-list"),
        pytest.param(None, W, id="none"),
        pytest.param(X, 3, id="number"),
    ],
)
def test_the_engine_refuses_what_is_not_an_array(x, weight):
    for call in (conv, conv_transpose):
        with pytest.raises(convaudit.UsageError, match=r"(x|weight) must be a NumPy array, got a \w+"):
            call(x, weight)


# --- inputs as text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "given"),
    [
        pytest.param("1x3x8x8", "", GivenInput((1, 3, 8, 8)), id="shape"),
        pytest.param("a=b=1,2", "a=b", GivenInput((1, 2)), id="commas"),
        pytest.param("input:0=1x2", "input:0", GivenInput((1, 2)), id="name-with-a-colon"),
        pytest.param("ids=1x20:int64", "ids", GivenInput((1, 20), "int64"), id="dtype"),
        pytest.param("1x20:bfloat16", "", GivenInput((1, 20), "bfloat16"), id="dtype-alone"),
        pytest.param("x=scalar", "x", GivenInput(()), id="scalar"),
        pytest.param("sr=16000", "sr", GivenInput((16000,), value=16000), id="either"),
        pytest.param("sr=16000:int32", "sr", GivenInput((16000,), "int32", 16000), id="either-typed"),
        pytest.param("sr=shape:16000", "sr", GivenInput((16000,)), id="a-size"),
        pytest.param("sr=value:16000", "sr", GivenInput(None, value=16000), id="a-value"),
        pytest.param("sr=value:16000:int64", "sr", GivenInput(None, "int64", 16000), id="a-typed-value"),
        pytest.param("x=-1", "x", GivenInput(None, value=-1), id="negative"),
        pytest.param("x=0.25", "x", GivenInput(None, value=0.25), id="real"),
        pytest.param("x=1e-3", "x", GivenInput(None, value=1e-3), id="exponent"),
        pytest.param("x=true", "x", GivenInput(None, value=True), id="true"),
    ],
)
def test_read_input(text, name, given):
    assert read_input(text) == (name, given)
    assert given_inputs(text) == ({name: given} if name else (given,))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x=",
        "1x-3",
        "1xx3",
        "1x3x",
        "9" * 19,
        "1x³",
        "x=shape:0.5",
        "x=value:1x3",
        "nan",
        "1x3:",
        ":int8",
    ],
)
def test_texts_that_are_no_input(text):
    with pytest.raises(convaudit.UsageError, match="write it as 1x3x224x224 or NAME=1x3x224x224"):
        read_input(text)


def test_an_unknown_element_type_lists_the_known():
    with pytest.raises(convaudit.UsageError, match=r"unknown element type 'int63'; write one of .*int64"):
        read_input("ids=1x20:int63")


def test_every_element_type_is_known_to_numpy_or_ml_dtypes():
    from convaudit.arguments import DTYPES

    assert [np.dtype(getattr(ml_dtypes, name, name)).name for name in DTYPES if name != "str"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param((1, 3), (GivenInput((1, 3)),), id="shape"),
        pytest.param([(1, 3), (1, 4)], (GivenInput((1, 3)), GivenInput((1, 4))), id="shapes"),
        pytest.param(["1x3", (1, 4)], (GivenInput((1, 3)), GivenInput((1, 4))), id="texts"),
        pytest.param(
            ["x=1x3", "y=1x4"], {"x": GivenInput((1, 3)), "y": GivenInput((1, 4))}, id="named-texts"
        ),
        pytest.param({"x": "1x3:int64"}, {"x": GivenInput((1, 3), "int64")}, id="text-by-name"),
        pytest.param({"sr": 16000}, {"sr": GivenInput((16000,), value=16000)}, id="number"),
        pytest.param({"sr": -0.5}, {"sr": GivenInput(None, value=-0.5)}, id="real"),
        pytest.param((), (GivenInput(()),), id="scalar"),
    ],
)
def test_given_inputs(given, expected):
    read = given_inputs(given)
    assert read == expected
    assert given_inputs(read) == expected


def test_one_name_twice():
    with pytest.raises(convaudit.UsageError, match="input_shape is given twice for 'x'"):
        given_inputs(["x=1x3", "x=1x4"])
    with pytest.raises(convaudit.UsageError, match="names an input itself"):
        given_inputs({"x": "y=1x4"})


@pytest.mark.parametrize("rank", [0, 1, None])
def test_the_number_of_axes_tells_a_size_from_a_value(rank):
    (either,) = given_inputs("16000:int64")
    if rank is None:
        said = "write sr=shape:16000:int64 or sr=value:16000:int64"
        with pytest.raises(convaudit.UsageError, match=re.escape(said)):
            either.resolved(rank, "sr")
    else:
        expected = GivenInput((16000,), "int64") if rank else GivenInput((), "int64", 16000)
        assert either.resolved(rank, "sr") == expected


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (16000, "int64", 16000),
        (1, "bool", True),
        (True, "bool", True),
        (2, "float32", 2.0),
        (0.5, "bfloat16", 0.5),
        (255, "uint8", 255),
    ],
)
def test_a_value_takes_the_inputs_type(value, dtype, expected):
    checked = GivenInput(None, value=value).checked(dtype, "x")
    assert (checked, type(checked)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(0.5, "int64"), (True, "int8"), (2, "bool"), (1, "str"), (True, "float32"), (1, "unknown")],
)
def test_a_value_that_the_type_does_not_have(value, dtype):
    with pytest.raises(convaudit.UsageError, match=f"x is {dtype}, which cannot be"):
        GivenInput(None, value=value).checked(dtype, "x")


@pytest.mark.parametrize(("value", "dtype"), [(256, "uint8"), (128, "int8"), (-1, "uint64")])
def test_a_value_out_of_the_types_range(value, dtype):
    with pytest.raises(convaudit.UsageError, match="x must be"):
        GivenInput(None, value=value).checked(dtype, "x")


def test_dims_are_sizes_by_name():
    assert given_dims(None) == {}
    assert given_dims({"N": np.int16(3)}) == {"N": 3}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("", "the model's name is empty", id="empty"),
        pytest.param(np.ones(3), "cannot audit an object of type ndarray", id="array"),
        pytest.param(None, "cannot audit an object of type NoneType", id="none"),
    ],
)
def test_what_is_not_a_source(source, message):
    with pytest.raises(convaudit.UsageError, match=message):
        convaudit.audit(source)
