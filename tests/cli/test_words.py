"""Words at the command line: where a command stands, what is near one, and options of every command."""

from __future__ import annotations

import pytest

import convaudit
from convaudit.cli.group import COMMANDS
from convaudit.records import KINDS
from tests.cli.conftest import save_model
from tests.networks import conv_layer

MISSPELT = [
    pytest.param("chek", "'chek' is neither a command nor a file; did you mean 'check'?", id="near"),
    pytest.param("chek m.onnx --max-macs 1G", "did you mean 'check'?", id="with-arguments"),
    pytest.param("CHECK m.onnx", "did you mean 'check'?", id="capitals"),
    pytest.param("Lnit m.onnx", "did you mean 'lint'?", id="near-with-a-capital"),
    pytest.param("--debug chek m.onnx", "did you mean 'check'?", id="behind-an-option"),
    pytest.param("verify m.onnx", "did you mean '--verify'?", id="option-as-a-command"),
    pytest.param("help", "did you mean '--help'?", id="help"),
    pytest.param("version", "did you mean '--version'?", id="version"),
    pytest.param("m.onnx check", "'check' is a command, and a command stands first", id="behind-a-model"),
    pytest.param("m.onnx --formt json", "did you mean '--format'?", id="option"),
    pytest.param("check m.onnx --max-mac 1", "did you mean '--max-macs'?", id="option-of-a-command"),
    pytest.param("m.onnx --baseline b.json", "it is an option of 'convaudit check'", id="elsewhere"),
    pytest.param("m.onnx -f jsn", "did you mean 'json'?", id="format"),
    pytest.param("m.onnx --verify --opt-level baisc", "did you mean 'basic'?", id="level"),
    pytest.param("m.onnx --columns name,kernl", "did you mean 'kernel'?", id="column"),
    pytest.param("m.onnx --sort mac", "did you mean 'macs'?", id="sort-key"),
    pytest.param("m.onnx --only groupd", "did you mean 'grouped'?", id="kind"),
    pytest.param("m.onnx --verify --provider cpuu", "did you mean 'cpu'?", id="provider"),
    pytest.param("sweep m.onnx --layer cnv", "did you mean 'conv'?", id="layer"),
    pytest.param("lint m.onnx --select zero-bordr", "did you mean 'zero-border'?", id="rule"),
]


@pytest.mark.parametrize(("line", "said"), MISSPELT)
def test_the_nearest_word_is_told(run, tmp_path, monkeypatch, line, said):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m.onnx")
    result = run(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_named_as_a_command_is_nearly_is_a_model(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "chek")
    save_model(tmp_path / "check")
    assert run("chek").stdout.startswith("chek (onnx)")
    assert run("./check", "check").exit_code == 0


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(run, flag):
    result = run(flag)
    assert (result.exit_code, result.stdout) == (0, f"convaudit {convaudit.__version__}\n")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(run, command):
    words = command.split()
    text = run(*words, "-h").stdout
    assert text == run(*words, "--help").stdout
    assert max(map(len, text.splitlines())) <= 80
    for line in ("  -q, --quiet ", "  --debug ", "  -h, --help "):
        assert text.count(line) == 1
    assert text.count("  -V, --version ") == (not command)


@pytest.mark.parametrize("line", ["-q check m.onnx", "check -q m.onnx", "check m.onnx --quiet"])
def test_notes_are_left_out_and_the_result_stays(run, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "m.onnx")
    how = ["--max-macs", "1G", "--baseline", "b.json", "--write-baseline"]
    loud = run(*line.replace("--quiet", "").replace("-q", "").split(), *how)
    quiet = run(*line.split(), *how)
    assert (loud.exit_code, quiet.exit_code) == (0, 0)
    assert loud.stderr == "wrote b.json\n"
    assert (quiet.stderr, quiet.stdout) == ("", loud.stdout)


def test_errors_are_never_quiet(run):
    assert run("-q", "missing.onnx").stderr.startswith("error: missing.onnx")


ONLY = [
    pytest.param(["--only", "grouped", "--only", "depthwise"], {"grouped", "depthwise"}, id="repeated"),
    pytest.param(["--only", "grouped,depthwise"], {"grouped", "depthwise"}, id="list"),
    pytest.param(["--only", "dense"], {"stem", "expand", "mix", "head"}, id="dense-is-groups-1"),
    pytest.param(["--only", "pointwise"], {"expand", "mix", "head"}, id="pointwise"),
    pytest.param(["--only", "dense", "--only", "pointwise"], {"stem", "expand", "mix", "head"}, id="once"),
]


@pytest.mark.parametrize(("options", "names"), ONLY)
def test_kinds_add_up(run, tmp_path, monkeypatch, options, names):
    monkeypatch.chdir(tmp_path)
    run("example")
    result = run("digits.onnx", *options, "-f", "csv", "--columns", "name")
    assert result.exit_code == 0
    assert result.stdout.split()[1:] == [
        name for name in ("stem", "expand", "grouped", "mix", "depthwise", "head") if name in names
    ]


@pytest.mark.parametrize("given", ["", "grouped,", "grouped,groupd"])
def test_a_list_with_a_word_that_is_no_kind_is_refused(run, tmp_path, given):
    result = run(str(save_model(tmp_path / "m.onnx")), "--only", given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "unknown kind" in result.stderr


def test_dense_is_groups_1():
    for groups in (1, 2, 4):
        for kernel in ((1, 1), (3, 3)):
            layer = conv_layer(groups=groups, kernel=kernel, in_channels=8, out_channels=8, size=(8, 8))
            assert ("dense" in layer.kinds) == (groups == 1)
            assert layer.kind in layer.kinds
            assert layer.kinds <= set(KINDS)
