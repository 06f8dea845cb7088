"""What a person sees first: rows, blocks, notes, folders, several models."""

from __future__ import annotations

import csv
import io
import os
import re

import onnx
import pytest
from onnx import TensorProto, helper

from convaudit.reporters.columns import ALIASES, COLUMNS
from convaudit.reporters.csv import CSV_COLUMNS
from convaudit.reporters.time_cells import TIME_COLUMNS
from tests.cli.conftest import save_model


def save_blocks(path, number=70, size=("N", 4, "H", "W")):
    """A chain of convolutions in blocks of ten, and a MatMul."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 4, 1, 1], [0.0] * 16)
    square = helper.make_tensor("m", TensorProto.FLOAT, [8, 8], [0.0] * 64)
    nodes, last = [], "x"
    for index in range(number):
        name = f"/body/body.{index // 10}/conv{index % 10}/Conv"
        nodes.append(helper.make_node("Conv", [last, "w"], [f"y{index}"], name=name))
        last = f"y{index}"
    nodes.append(helper.make_node("MatMul", ["z", "m"], ["out"], name="/head/MatMul"))
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, size),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, [8, 8]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (last, "out")]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight, square])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return str(path)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    return save_blocks(tmp_path_factory.mktemp("blocks") / "blocks.onnx")


def test_of_many_layers_the_costliest_and_the_blocks_are_shown(run, blocks):
    text = run(blocks).stdout
    assert "The 10 costliest of 70 are listed, and the blocks: --all lists all" in text
    assert "10 listed" in text
    assert [
        line.split()[0] for line in text.splitlines() if line.startswith(("body", "  0 ", "  6 ", "head"))
    ] == [
        *("body", "0", "6", "head"),
    ]
    assert "at N=1, H=224, W=224 (an example: give -i x=1x4x224x224 or --dim" in text


def test_all_lists_all(run, blocks):
    text = run(blocks, "--all").stdout
    assert sum("/body/" in line or "/..body" in line for line in text.splitlines()) == 70
    assert "costliest" not in text


def test_a_depth_alone_shows_the_blocks_only(run, blocks):
    text = run(blocks, "--depth", "1").stdout
    assert "channels" not in text
    assert [line.split()[:2] for line in text.split("\n\n")[1].splitlines()[2:4]] == [
        ["body", "70"],
        ["head", "0"],
    ]
    assert "conv9" in run(blocks, "--depth", "3").stdout


def test_other_ops_stand_in_the_ranking(run, blocks):
    fixed = ["-i", "x=1x4x2x2", "-i", "z=8x8"]
    rows = run(blocks, *fixed, "--all-ops", "--top", "2", "--columns", "name,kind,macs,share").stdout.split(
        "\n\n"
    )[1]
    lines = [line.split() for line in rows.splitlines()]
    assert lines[2] == ["/head/MatMul", "MatMul", "512", "10.3%"]
    assert lines[3][1:] == ["pointwise", "64", "1.3%"]
    assert lines[5] == ["2", "listed", "576", "11.5%"]
    assert lines[6] == ["total", "of", "71", "4.99", "k", "100.0%"]


def test_shares_are_of_the_model_and_of_the_convolutions(run, blocks):
    text = run(
        blocks, "-i", "x=1x4x2x2", "-i", "z=8x8", "--top", "1", "-f", "csv", "--columns", "share,share_conv"
    ).stdout
    share, share_conv = text.splitlines()[1].split(",")
    assert float(share) == 64 / (70 * 64 + 512)
    assert float(share_conv) == 1 / 70


def test_notes_go_to_standard_error_summed_up(run, tmp_path):
    unknown = str(save_model(tmp_path / "unknown.onnx", extra="Mystery"))
    result = run(unknown)
    assert "warning: 1 custom.Mystery: convolutions may run" in result.stderr
    assert "warning" not in result.stdout
    assert run(unknown, "-f", "csv").stderr == result.stderr
    markdown = run(unknown, "-f", "markdown")
    assert (markdown.stderr, "warning: 1 custom" in markdown.stdout) == ("", True)


def test_a_folder_is_all_models_in_it(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("nets/deep/er")
    for name in ("nets/b.onnx", "nets/deep/er/a.ONNX", "nets/deep/c.onnx"):
        save_model(tmp_path / name)
    (tmp_path / "nets" / "readme.txt").write_text("no model")
    os.makedirs("nets/.venv")
    for name in ("nets/.venv/x.onnx", "nets/._b.onnx"):
        save_model(tmp_path / name)
    os.symlink("..", "nets/deep/up")
    result = run("nets", "-f", "csv", "--columns", "source")
    assert result.stdout.split() == ["source", "nets/b.onnx", "nets/deep/c.onnx", "nets/deep/er/a.ONNX"]
    assert run("nets/deep/er").stdout.startswith("nets/deep/er/a.ONNX (onnx)")
    assert run("check", "nets", "--max-params", "5M").stdout.count("1 of 1 checks passed") == 3
    assert run("lint", "nets", "--select", "CA204").stdout.count("nothing found by 1 rule") == 3


def test_a_folder_inside_that_cannot_be_read_is_told(run, tmp_path, monkeypatch):
    save_model(tmp_path / "a.onnx")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def locked(path):
        if os.path.basename(path) == "locked":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    result = run("check", str(tmp_path), "--max-macs", "1G")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "locked: cannot be looked into: Permission denied" in result.stderr


@pytest.mark.parametrize("command", [[], ["check"], ["lint"]])
def test_a_folder_without_models_is_refused(run, tmp_path, command):
    (tmp_path / "x.txt").write_text("no model")
    result = run(*command, str(tmp_path))
    assert result.exit_code == 2
    assert "is a folder without models: no file in it ends in .onnx" in result.stderr


def test_several_models_are_sorted_and_cut(run, tmp_path, blocks):
    small = str(save_model(tmp_path / "small.onnx"))
    names = run(small, blocks, "--sort", "layers", "--columns", "name,layers,at").stdout.splitlines()
    assert [line.split()[1] for line in names[2:4]] == ["70", "1"]
    assert "N=1, H=224, W=224" in names[2]
    assert f"{blocks}: at N=1, H=224, W=224 (an example" in run(small, blocks).stdout
    top = run(small, blocks, "--top", "1", "-f", "csv", "--columns", "name,layers").stdout
    assert top.splitlines() == ["name,layers", f"{blocks},70"]
    assert "did you mean 'layers'" in run(small, blocks, "--sort", "layer").stderr


WORDS = [
    word
    for word in (*COLUMNS, *CSV_COLUMNS)
    if not ALIASES.get(word, word).startswith("timing")  # without --time these are refused
]


@pytest.mark.parametrize("word", WORDS)
def test_tables_and_csv_have_one_vocabulary(run, model, word):
    for name in ("table", "csv", "markdown"):
        assert run(model, "--columns", word, "-f", name).exit_code == 0, name
    assert run(model, "--columns", word, "-f", "csv").stdout.splitlines()[0] == word


def test_csv_takes_the_words_of_the_tables(run, model):
    text = run(model, "--columns", "name,kernel,channels,input,input_shape,intensity", "-f", "csv").stdout
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["input"] == row["input_shape"]
    assert "x" in row["kernel"]
    assert "->" in row["channels"]
    assert float(row["intensity"]) > 0


def test_csv_of_all_ops_has_rows_of_other_ops(run, blocks):
    text = run(blocks, "--all-ops", "-f", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [*rows[0]] == [*CSV_COLUMNS]
    assert (rows[-1]["name"], rows[-1]["macs"], rows[-1]["groups"]) == ("/head/MatMul", "512", "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--only", "grouped", "--all-ops"], "choose one"),
        (["--depth", "2", "-f", "json"], "--depth is for --format table"),
        (["--all", "-f", "csv"], "--all is for --format table"),
        (["--depth", "0"], "--depth"),
    ],
)
def test_what_would_do_nothing_is_refused(run, model, args, message):
    result = run(model, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_help_names_every_column(run):
    text = " ".join(run("audit", "--help").stdout.split())
    described = text.partition("--columns LIST")[2].partition("--format")[0]
    assert [
        word for word in COLUMNS if word not in TIME_COLUMNS and word not in re.split(r"[ ,.]+", described)
    ] == []
