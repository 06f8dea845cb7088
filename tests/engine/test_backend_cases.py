"""ONNX's own conformance cases through the engine, against their stored outputs: no runtime is involved."""

from __future__ import annotations

import pkgutil
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case import node as node_cases
from onnx.backend.test.loader import load_model_tests

from convaudit import engine
from convaudit.shapes import conv_transpose_padding, same_padding, split_padding


def padding(node, options, x_shape, kernel):
    """(before, after) pairs from ``pads``, ``auto_pad`` or ``output_shape``, as ONNX's text has them."""
    rank = len(kernel)
    stride, dilation = options.get("strides", [1] * rank), options.get("dilations", [1] * rank)
    axes = list(zip(x_shape[2:], kernel, stride, dilation, strict=True))
    auto_pad = options.get("auto_pad", b"NOTSET").decode()
    if node.op_type == "ConvTranspose" and ("output_shape" in options or auto_pad.startswith("SAME")):
        sizes = options.get("output_shape", [size * s for size, _, s, _ in axes])
        extra = options.get("output_padding", [0] * rank)
        totals = [
            conv_transpose_padding(size, out, k, s, d, more)
            for (size, k, s, d), out, more in zip(axes, sizes, extra, strict=True)
        ]
        return [split_padding(total, upper=auto_pad == "SAME_UPPER") for total in totals]
    if auto_pad.startswith("SAME"):
        return [same_padding(*axis, upper=auto_pad == "SAME_UPPER") for axis in axes]
    pads = options.get("pads", [0] * 2 * rank)
    return list(zip(pads[:rank], pads[rank:], strict=True))


def run(node, inputs):
    """The outputs of a convolution node, computed by the engine."""
    options = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    given = iter(inputs)
    operands = [next(given) if name else None for name in node.input]
    if node.op_type == "CausalConvWithState":
        y, state = engine.causal_conv(*operands)
        if options.get("activation", b"none") != b"none":
            exact = y.astype(np.float32)
            y = (exact / (1 + np.exp(-exact))).astype(y.dtype)
        return [y, state]
    weight = operands[3 if node.op_type == "QLinearConv" else 1]
    settings = {"padding": padding(node, options, operands[0].shape, weight.shape[2:])}
    settings |= {ours: options[theirs] for theirs, ours in ATTRIBUTES.items() if theirs in options}
    return [OPERATORS[node.op_type](*operands, **settings)]


def qlinear(x, x_scale, x_zero, weight, w_scale, w_zero, y_scale, y_zero, bias=None, **settings):
    quantisation = {"x_scale": x_scale, "w_scale": w_scale, "y_scale": y_scale}
    zero_points = {"x_zero_point": x_zero, "w_zero_point": w_zero, "y_zero_point": y_zero}
    return engine.conv_qlinear(x, weight, bias, **quantisation, **zero_points, **settings)


OPERATORS = {
    "Conv": engine.conv,
    "ConvTranspose": engine.conv_transpose,
    "DeformConv": engine.deform_conv,
    "ConvInteger": lambda x, weight, x_zero=0, w_zero=0, **settings: engine.conv_integer(
        x, weight, x_zero_point=x_zero, w_zero_point=w_zero, **settings
    ),
    "QLinearConv": qlinear,
}
ATTRIBUTES = {
    "strides": "stride",
    "dilations": "dilation",
    "group": "groups",
    "output_padding": "output_padding",
    "offset_group": "offset_groups",
}


def is_convolution(model):
    return len(model.graph.node) == 1 and "Conv" in model.graph.node[0].op_type


def compare(outputs, expected):
    assert len(outputs) == len(expected)
    for output, stored in zip(outputs, expected, strict=True):
        assert output.dtype == stored.dtype
        assert output.shape == stored.shape
        precision = np.finfo(stored.dtype).eps if stored.dtype.kind == "f" else 0
        np.testing.assert_allclose(output, stored, rtol=8 * precision, atol=32 * precision)


FOLDERS = [
    Path(case.model_dir)
    for kind in ("pytorch-converted", "pytorch-operator")
    for case in load_model_tests(kind=kind)
    if is_convolution(onnx.load(Path(case.model_dir) / "model.onnx"))
]


def test_no_case_is_missed():
    assert len(FOLDERS) == 30, "onnx has other cases than before: look at them, then change the number"


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_exported_case(folder):
    graph = onnx.load(folder / "model.onnx").graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    fed = [value.name for value in graph.input if value.name not in tensors]
    tensors |= {name: stored(folder, f"input_{index}") for index, name in enumerate(fed)}
    (node,) = graph.node
    compare(run(node, [tensors[name] for name in node.input]), [stored(folder, "output_0")])


def stored(folder, name):
    data = (folder / "test_data_set_0" / f"{name}.pb").read_bytes()
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def test_node_cases():
    # onnx makes its cases where a module of them is imported: all modules take seconds
    names = [found.name for found in pkgutil.iter_modules(node_cases.__path__) if "conv" in found.name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of those overflow on purpose
        for name in names:
            import_module(f"{node_cases.__name__}.{name}")
    cases = [case for case in node_cases._NodeTestCases if is_convolution(case.model)]
    assert len(cases) == 37, "onnx has other cases than before: look at them, then change the number"
    for case in cases:
        (inputs, expected), node = case.data_sets[0], case.model.graph.node[0]
        try:
            compare(run(node, inputs), expected)
        except AssertionError as error:
            raise AssertionError(f"{case.name}: {error}") from None
