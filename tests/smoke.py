"""The ONNX part from end to end, with what convaudit itself depends on: ``python -m tests.smoke``.

Run with the lowest versions that pyproject.toml declares; the suite runs with the newest.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper, parser

import convaudit
from convaudit.cli.group import cli

DIGITS = str(Path(convaudit.__file__).parent / "cli" / "digits.onnx")
HEADER = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>\n'
PROVEN = {"exact", "within_rounding"}


def program(*args: str, code: int = 0) -> str:
    """What a command prints, after its exit code was compared."""
    result = CliRunner().invoke(cli, list(args), prog_name="convaudit")
    assert result.exit_code == code, (args, result.exit_code, result.output, result.exception)
    return result.output


def parsed(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    """A model of onnx's own text, with its weights."""
    model = parser.parse_model(HEADER + text)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return model


def statuses(report: convaudit.Report) -> set[str]:
    return {layer.verification.status for layer in report.layers if layer.verification}


def the_example() -> None:
    assert "total of 6" in program(DIGITS)
    for format_ in ("json", "csv", "markdown"):
        assert "depthwise" in program(DIGITS, "-f", format_)
    assert "6 within rounding" in program(DIGITS, "--verify")
    assert "6 within rounding" in program(DIGITS, "--verify-isolated")
    assert "equal" in program("diff", DIGITS, DIGITS)
    assert "all passed" in program("check", DIGITS, "--max-macs", "500k", "--require-verified")
    assert "over" in program("check", DIGITS, "--max-macs", "1k", code=1)
    program("missing.onnx", code=2)


def a_baseline() -> None:
    with tempfile.TemporaryDirectory() as folder:
        baseline = str(Path(folder) / "baseline.json")
        program("check", DIGITS, "--baseline", baseline, "--write-baseline")
        assert "5 of 5" in program("check", DIGITS, "--baseline", baseline)
        Path(folder, "convaudit.toml").write_text('max-macs = "1G"\n')
        assert "1 of 1" in program("check", DIGITS, "--config", str(Path(folder, "convaudit.toml")))


def open_sizes() -> None:
    """Formulas, through the symbolic inference."""
    model = parsed(
        """g (float[N,4,H,W] x) => (float[n,c,h,l] y) {
            t = Conv<pads=[1,1,1,1], strides=[2,2], group=2>(x, w)
            s = Shape(t)
            u = Reshape(t, s)
            y = Conv(u, w2)
        }""",
        w=np.ones((8, 2, 3, 3), np.float32),
        w2=np.ones((4, 8, 1, 1), np.float32),
    )
    report = convaudit.audit(model)
    assert report.symbols == ("H", "N", "W")
    fixed = convaudit.audit(model, dims={"N": 1, "H": 8, "W": 8}, verify=True)
    assert report.totals.macs.substitute({"N": 1, "H": 8, "W": 8}) == fixed.totals.macs == 4 * 4 * (144 + 32)
    assert statuses(fixed) <= PROVEN


def quantised() -> None:
    """QLinearConv, and the half precisions."""
    integers = parsed(
        """g (uint8[1,4,8,8] x) => (uint8[n,c,h,l] y) {
            y = QLinearConv<group=2>(x, s, z, w, s, zw, s, z)
        }""",
        w=np.arange(144, dtype=np.int8).reshape(8, 2, 3, 3),
        s=np.array(0.05, np.float32),
        z=np.array(128, np.uint8),
        zw=np.array(0, np.int8),
    )
    half = parsed(
        "g (float16[1,4,8,8] x) => (float16[n,c,h,l] y) { y = Conv<group=2>(x, w) }",
        w=np.ones((8, 2, 3, 3), np.float16),
    )
    for model in (integers, half):
        for how in (True, "isolated"):
            report = convaudit.audit(model, verify=how)
            assert report.totals.macs == 36 * 144
            assert statuses(report) <= PROVEN, [layer.verification for layer in report.layers]


def a_run_for_shapes() -> None:
    """Sizes that depend on data, and a scalar's value."""
    model = parsed(
        """g (float[1,3,8,8] x, int64 n) => (float[n,c,h,l] y) {
            zero = Constant<value_ints = [0]>()
            front = Constant<value_ints = [1, 1]>()
            back = Constant<value_ints = [1]>()
            axis = Unsqueeze(n, zero)
            repeats = Concat<axis=0>(front, axis, back)
            t = Tile(x, repeats)
            y = Conv<pads=[1,1,1,1]>(t, w)
        }""",
        w=np.ones((4, 3, 3, 3), np.float32),
    )
    report = convaudit.audit(model, input_shape={"n": "3"}, verify=True)
    assert report.totals.macs == 24 * 8 * 108
    assert statuses(report) <= PROVEN


def a_transposed_and_a_sparse_model() -> None:
    transposed = parsed(
        "g (float[1,4,8,8] x) => (float[n,c,h,l] y) { y = ConvTranspose<strides=[2,2], group=2>(x, w) }",
        w=np.ones((4, 3, 2, 2), np.float32),
    )
    assert statuses(convaudit.audit(transposed, verify=True)) <= PROVEN
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("w_indices", TensorProto.INT64, [2], [0, 5])
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        sparse_initializer=[helper.make_sparse_tensor(values, indices, [2, 4, 1, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert convaudit.audit(model).totals.macs == 16 * 8


Check: TypeAlias = Callable[[], None]
CHECKS: list[Check] = [
    *(the_example, a_baseline, open_sizes, quantised, a_run_for_shapes, a_transposed_and_a_sparse_model),
]

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print(f"ok: {check.__name__.replace('_', ' ')}")
