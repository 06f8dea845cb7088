from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path

import pytest

import convaudit.api
from convaudit.cli.values import read_dim
from convaudit.errors import UsageError
from tests.cli.conftest import save_model

MACS = 36 * 8 * 2 * 9  # 6x6 outputs, 8 channels of 2 inputs and 9 taps


def test_a_model_alone_gives_the_table(run, model):
    result = run(model)
    assert result.exit_code == 0
    assert "grouped" in result.stdout
    assert "total of 1" in result.stdout
    assert result.stderr == ""


def test_audit_is_the_default_command(run, model):
    assert run("audit", model).stdout == run(model).stdout


def test_formats(run, model):
    assert run(model, "-f", "csv").stdout.startswith("name,op,kind,")
    assert run(model, "--format", "markdown").stdout.startswith("### ")
    (layer,) = json.loads(run(model, "-f", "json").stdout)["layers"]
    assert layer["macs"] == MACS


def test_options_may_come_before_the_model(run, model):
    assert run("-f", "json", model).stdout == run(model, "-f", "json").stdout


def test_dims_and_inputs_fix_sizes(run, tmp_path):
    path = str(save_model(tmp_path / "dynamic.onnx", batch="N"))
    symbolic = json.loads(run(path, "-f", "json").stdout)["layers"][0]
    assert (symbolic["macs"], symbolic["formula"]["macs"]) == (None, f"{MACS}*N")
    for fixed in (["--dim", "N=3"], ["-i", "3x4x8x8"], ["-i", "x=3,4,8,8"]):
        assert json.loads(run(path, "-f", "json", *fixed).stdout)["totals"]["macs"] == 3 * MACS


def test_several_models_give_one_row_each(run, model, tmp_path):
    other = str(save_model(tmp_path / "other.onnx", groups=1))
    result = run(model, other)
    assert result.exit_code == 0
    rows = [line for line in result.stdout.splitlines() if ".onnx" in line]
    assert len(rows) == 2
    assert [report["totals"]["layers"] for report in json.loads(run(model, other, "-f", "json").stdout)] == [
        1,
        1,
    ]
    assert len(run(model, other, "-f", "csv").stdout.splitlines()) == 3
    kept = json.loads(run(model, other, "-f", "json", "--only", "dense").stdout)
    assert [len(report["layers"]) for report in kept] == [0, 1]
    assert run(model, other, "-f", "markdown").stdout.startswith("| model")


def test_a_failing_model_does_not_stop_the_others(run, model):
    result = run("missing.onnx", model, "-f", "json")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "missing.onnx" in result.stderr
    assert [report["source"] for report in json.loads(result.stdout)] == [model]


def test_when_nothing_could_be_audited_nothing_is_written(run, tmp_path):
    output = tmp_path / "out.json"
    result = run("a.onnx", "b.onnx", "-f", "json", "-o", str(output))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 2
    assert not output.exists()


def test_selection_and_columns(run, tmp_path):
    path = str(save_model(tmp_path / "m.onnx"))
    assert run(path, "--only", "depthwise", "-f", "csv").stdout.count("\n") == 1
    assert run(path, "--columns", "name,groups", "-f", "csv").stdout == "name,groups\nconv,2\n"
    assert run(path, "--columns", "groups, name").stdout.split("\n\n")[1].split()[:2] == ["groups", "layer"]
    assert run(path, "--table-style", "grid").stdout.count("+--") > 3
    assert run(path, "--top", "1", "--sort", "name").exit_code == 0


def test_strict_finds_what_is_unknown(run, tmp_path, model):
    unknown = str(save_model(tmp_path / "unknown.onnx", extra="Mystery"))
    assert run(unknown).exit_code == 0
    result = run(unknown, "--strict")
    assert result.exit_code == 1
    assert "custom.Mystery: macs unknown" in result.stderr
    assert run(model, "--strict").exit_code == 0


BAD = [
    pytest.param(["missing.onnx"], r"missing\.onnx", id="missing-file"),
    pytest.param(["MODEL", "--only", "big"], r"unknown kind 'big'.*depthwise", id="only"),
    pytest.param(["MODEL", "--sort", "mac"], r"did you mean 'macs'", id="sort"),
    pytest.param(["MODEL", "--columns", "layr"], r"unknown column 'layr'", id="columns"),
    pytest.param(["MODEL", "--table-style", "pretti"], r"did you mean 'pretty'", id="style"),
    pytest.param(
        ["MODEL", "-i", "1x3xAx4"], r"'1x3xAx4' is not an input; write it as 1x3x224x224", id="shape"
    ),
    pytest.param(["MODEL", "--dim", "batch"], r"write it as NAME=VALUE, for instance batch=1", id="dim"),
    pytest.param(
        ["MODEL", "-i", "1x4x8x8", "-i", "1x4x9x9"], r"give a shape by name for each", id="two-inputs"
    ),
    pytest.param(["MODEL", "-i", "z=1x4x8x8"], r"'z'", id="no-such-input"),
    pytest.param(
        ["MODEL", "-o", "/no/such/dir/x"], r"cannot write '/no/such/dir/x': No such file", id="output"
    ),
    pytest.param(["MODEL", "--top", "0"], r"--top", id="top"),
    pytest.param(["MODEL", "MODEL", "--depth", "3"], r"of several models there is one row each", id="rows"),
    pytest.param(
        ["MODEL", "MODEL", "--columns", "kernel"], r"unknown column of several models 'kernel'", id="many"
    ),
    pytest.param(
        ["MODEL", "-f", "json", "--columns", "name"],
        r"for --format table\|markdown\|csv.*, not for json",
        id="json-columns",
    ),
    pytest.param(
        ["MODEL", "-f", "csv", "--table-style", "grid"],
        r"is for --format table, not for csv",
        id="csv-style",
    ),
    pytest.param(["MODEL", "-i", "1x4x8x8", "-i", "y=1"], r"--input: name every input, or none", id="names"),
    pytest.param(["MODEL", "-i", "x=1x4", "-i", "x=1x4"], r"--input is given twice for 'x'", id="twice"),
    pytest.param(["MODEL", "--dim", "N=1", "--dim", "N=2"], r"--dim is given twice for 'N'", id="dim-twice"),
    pytest.param(
        ["MODEL", "--xyzzy"], r"there is no option '--xyzzy'; see 'convaudit audit --help'", id="option"
    ),
    pytest.param(["MODEL", "--verfy"], r"'--verfy'; did you mean '--verify'\? see", id="near-an-option"),
    pytest.param(["chek"], r"neither a command nor a file; did you mean 'check'\?", id="near-a-command"),
    pytest.param(["chek.onnx"], r"chek\.onnx: cannot be opened: No such file", id="near-only-a-file"),
    pytest.param(["MODEL", "-f", "jsn"], r"'jsn' is none of .*; did you mean 'json'\? see", id="format"),
]


@pytest.mark.parametrize(("args", "message"), BAD)
def test_bad_usage_exits_with_2_and_says_why(run, model, args, message):
    result = run(*[model if arg == "MODEL" else arg for arg in args])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.search(message, result.stderr)
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_nothing_to_audit_shows_the_usage(run):
    result = run()
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: convaudit MODEL...")


def test_output_is_written_whole_with_the_usual_permissions(run, model, tmp_path):
    output = tmp_path / "audit.json"
    output.write_text("old")
    os.chmod(output, 0o600)
    plain = tmp_path / "plain"
    plain.write_text("")
    result = run(model, "-f", "json", "-o", str(output))
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(output.read_text())["totals"]["macs"] == MACS
    assert stat.S_IMODE(output.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.json", "model.onnx", "plain"]


def test_output_follows_a_link_and_leaves_devices_alone(run, model, tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    assert run(model, "-o", str(link)).exit_code == 0
    assert link.is_symlink()
    assert "total of 1" in target.read_text()
    assert run(model, "-o", os.devnull).exit_code == 0
    assert not Path(os.devnull).is_file()
    assert "total of 1" in run(model, "-o", "-").stdout


def test_a_failed_write_leaves_the_old_file_and_no_scraps(run, model, tmp_path, monkeypatch):
    output = tmp_path / "audit.txt"
    output.write_text("old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    result = run(model, "-o", str(output))
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.txt", "model.onnx"]


def test_hostile_names_cannot_write_to_the_terminal(run, tmp_path):
    path = str(save_model(tmp_path / "m.onnx", name="\x1b]0;pwned\x07"))
    for result in (run(path), run(path, "-f", "json"), run(path, "-f", "csv"), run(path, "-f", "markdown")):
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
    assert "\x1b" not in run("missing\x1b[31m.onnx").stderr


def test_an_unexpected_exception_is_one_line(run, model, monkeypatch):
    def explode(*args: object, **keywords: object) -> None:
        raise ZeroDivisionError("first\nsecond")

    monkeypatch.setattr(convaudit.api, "audit", explode)
    result = run(model)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    said = f"error: {model}: internal error: ZeroDivisionError: first\\nsecond; please report"
    assert result.stderr.startswith(said)
    monkeypatch.setenv("CONVAUDIT_DEBUG", "1")
    assert "Traceback" in run(model).stderr


def test_debug_shows_the_traceback(run, monkeypatch):
    monkeypatch.setenv("CONVAUDIT_DEBUG", "")  # restored afterwards: --debug sets it
    result = run("missing.onnx", "--debug")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: missing.onnx")


def test_ctrl_c_exits_with_130_and_leaves_no_file(run, model, tmp_path, monkeypatch):
    def interrupted(*args: object, **keywords: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(convaudit.api, "audit", interrupted)
    result = run(model, "-o", str(tmp_path / "out.txt"))
    assert result.exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_dimensions_name_may_hold_anything():
    assert read_dim("height in = pixels=3") == ("height in = pixels", 3)


@pytest.mark.parametrize("text", ["=1", "batch=", "batch=-1", "batch=N"])
def test_dims_that_are_none(text):
    with pytest.raises(UsageError, match="NAME=VALUE"):
        read_dim(text)


def test_a_model_may_be_called_almost_like_a_command(run, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.rename(model, "chek")
    assert "did you mean" not in run("chek").stderr
