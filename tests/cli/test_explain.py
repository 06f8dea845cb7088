"""``convaudit explain``: which layer, in which format, and how it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from onnx import helper, numpy_helper

import convaudit
from convaudit.cli.group import cli
from tests.cli.conftest import save_model

Run = Callable[..., Result]


@pytest.fixture
def digits() -> str:
    return str(Path(convaudit.__file__).parent / "cli" / "digits.onnx")


def test_a_layer_is_explained_at_eighty_columns(run: Run, digits: str):
    result = run("explain", digits, "--layer", "grouped", env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "floor((8 + 1 + 1 - 1*(3 - 1) - 1)/2) + 1 = 4" in result.stdout
    assert "8 times as many" in result.stdout
    assert "█ 8 blocks of" in result.stdout
    assert result.stderr == ""


def test_without_a_name_the_costliest_is_explained_and_says_so(run: Run, digits: str):
    result = run("explain", digits)
    report = convaudit.audit(digits)
    costliest = max(report.layers, key=lambda layer: layer.macs * layer.calls)
    assert result.stdout.startswith(f"{costliest.name} of ")
    assert f"the costliest of {len(report.layers)} layers; --layer NAME" in result.stderr
    assert run("explain", digits, "-q").stderr == ""


def test_several_layers_are_explained_once_each(run: Run, digits: str):
    chosen = ("--layer", "stem", "--layer", "grouped", "--layer", "stem")
    documents = json.loads(run("explain", digits, *chosen, "-f", "json").stdout)
    assert [one["layer"] for one in documents] == ["stem", "grouped"]
    assert json.loads(run("explain", digits, "--layer", "stem", "-f", "json").stdout)["layer"] == "stem"


def test_a_terminal_without_unicode_gets_ascii(digits: str):
    arguments = ["explain", digits, "--layer", "grouped"]
    result = CliRunner(charset="ascii").invoke(cli, arguments, prog_name="convaudit")
    assert result.exit_code == 0
    assert result.stdout.isascii()
    assert "-+--------+-" in result.stdout


def test_a_files_suffix_tells_the_format(run: Run, digits: str, tmp_path: Path):
    target = tmp_path / "grouped.md"
    assert run("explain", digits, "--layer", "grouped", "-o", str(target)).exit_code == 0
    text = target.read_text(encoding="utf-8")
    assert text.startswith("### grouped of")
    assert "```text\n" in text


REFUSED = [
    pytest.param(("--layer", "groupd"), "no layer is called 'groupd'; did you mean 'grouped'?", id="near"),
    pytest.param(("--layer", "xyz"), "no layer is called 'xyz'; an audit lists them", id="far"),
    pytest.param(
        ("--layer", "node_linear"),
        "'node_linear' is a Gemm, not a convolution; only these are explained",
        id="gemm",
    ),
    pytest.param(("-o", "x.csv"), "'x.csv' is named as csv, which is not written here", id="format"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_refusals_are_one_line(run: Run, digits: str, options: tuple[str, ...], message: str):
    result = run("explain", digits, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_model_without_convolutions_has_nothing_to_explain(run: Run, tmp_path: Path):
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(graph), path)
    result = run("explain", str(path))
    assert result.exit_code == 2
    assert "nothing to explain" in result.stderr


def test_open_sizes_are_explained_by_formulas(run: Run, tmp_path: Path):
    path = save_model(tmp_path / "model.onnx", batch="N")
    result = run("explain", str(path))
    assert result.exit_code == 0
    assert "N batch     N, the input's" in result.stdout


def test_the_shell_completes_the_names_of_layers(digits: str):
    complete = ShellComplete(cli, {}, "convaudit", "_CONVAUDIT_COMPLETE")
    words = complete.get_completions(["explain", digits, "--layer"], "g")
    assert [word.value for word in words] == ["grouped"]
    assert complete.get_completions(["explain", "absent.onnx", "--layer"], "g") == []


@pytest.mark.parametrize("permuted", [False, True], ids=["in-order", "permuted"])
def test_hidden_groups_are_found_in_the_weight(run: Run, tmp_path: Path, permuted: bool):
    """A dense layer of 8 channels whose kernels join only 4 pairs of them."""
    order = np.array([3, 0, 6, 1, 7, 4, 2, 5]) if permuted else np.arange(8)
    weight = np.zeros((8, 8, 3, 3), np.float32)
    pairs = order.reshape(4, 2)
    for pair in pairs:
        weight[np.ix_(pair, pair)] = 1.0
    path = tmp_path / "model.onnx"
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8, 6, 6]) for name in "xy")
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph([conv], "g", [x], [y], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    found = json.loads(run("explain", str(path), "--lint", "-f", "json").stdout)["wiring"]["hidden_groups"]
    expected = [{"inputs": sorted(pair), "outputs": sorted(pair)} for pair in pairs.tolist()]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert "CA204" not in run("explain", str(path)).stdout


def test_a_report_is_explained_without_another_audit(digits: str):
    report = convaudit.audit(digits)
    told = convaudit.explain(report, layer="grouped")
    assert told.macs.total == 73_728
    assert str(told).startswith("grouped of ")
    assert told.to_dict()["layer"] == json.loads(told.to_json())["layer"] == "grouped"
    with pytest.raises(convaudit.UsageError, match="dims is for a model; a report was audited already"):
        convaudit.explain(report, dims={"N": 1})
    with pytest.raises(convaudit.UsageError, match="layer must be a layer's name, got 3"):
        convaudit.explain(report, layer=3)


def test_a_page_has_the_pictures(run: Run, digits: str, tmp_path: Path):
    target = tmp_path / "layers.html"
    layers = ("--layer", "grouped", "--layer", "stem")
    assert run("explain", digits, *layers, "-o", str(target)).exit_code == 0
    text = target.read_text(encoding="utf-8")
    assert text.count("<svg ") == 2 * 3  # wiring, wide and for a narrow screen, and the window
    assert "style=" not in text.partition("<main")[2]
    assert "floor((8 + 1 + 1 - 1*(3 - 1) - 1)/2) + 1 = 4" in text
