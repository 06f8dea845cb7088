"""convaudit twin: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from convaudit import audit
from tests.cli.conftest import save_model

Run = Callable[..., Result]


def test_it_writes_a_verified_twin_and_says_so(run: Run, model: str, tmp_path: Path) -> None:
    target = tmp_path / "dense.onnx"
    done = run("twin", model, "-o", str(target))
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{target} (1.28 kB): 1 of 1 convolutions changed to groups=1" in done.stdout
    assert "parameters 144 -> 288 (2.00x), MACs 5.18 k -> 10.4 k (2.00x)" in done.stdout
    assert "each new weight bit for bit; convolutions of the twin: 1 " in done.stdout
    assert "on 3 random inputs (seeds 0 to 2)" in done.stdout
    assert [layer.groups for layer in audit(target).layers] == [1]


REFUSED = [
    pytest.param(
        ["-o", "{folder}/d.onnx", "--layers", "cnov"],
        "no layer is called 'cnov'; did you mean 'conv'?",
        id="layer",
    ),
    pytest.param(
        ["-o", "{model}"], "is part of the model that is read; name another file with --output", id="itself"
    ),
    pytest.param(["-o", "{folder}/no/d.onnx"], "No such file or directory", id="folder"),
    pytest.param(
        ["-o", "{folder}/d.onnx", "--memory", "1kB"],
        "--memory allows 1.00 kB; allow more, or choose --layers",
        id="memory",
    ),
    pytest.param(
        ["-o", "{folder}/d.onnx", "--provider", "abacus"], "provider 'abacus' is not available", id="provider"
    ),
    pytest.param([], "Missing option '-o'", id="no-target"),
    pytest.param(["-o", ""], "a twin is a file; name one with --output", id="empty"),
    pytest.param(["-o", "d.json"], "'d.json' would be read as json; name it .onnx", id="text"),
    pytest.param(["-o", "-"], "a twin is a file; name one with --output", id="stdout"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_is_refused(run: Run, model: str, tmp_path: Path, options: list[str], message: str) -> None:
    before = Path(model).read_bytes()
    done = run("twin", model, *(option.format(folder=tmp_path, model=model) for option in options))
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert Path(model).read_bytes() == before


def test_nothing_grouped_is_said(run: Run, tmp_path: Path) -> None:
    dense = save_model(tmp_path / "m.onnx", groups=1)
    done = run("twin", str(dense), "-o", str(tmp_path / "d.onnx"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no convolution has groups, so its twin is the model itself" in done.stderr


@pytest.mark.parametrize("source", ["torchvision:resnet18", "some.module:factory", "model.pt2"])
def test_torch_sources_are_told_to_export(run: Run, tmp_path: Path, source: str) -> None:
    done = run("twin", source, "-o", str(tmp_path / "d.onnx"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert (
        f"{source}: a twin is made of an ONNX network; export the module with torch.onnx.export"
        in done.stderr
    )


def test_a_file_that_is_there_is_replaced_whole(run: Run, model: str, tmp_path: Path) -> None:
    (tmp_path / "d.onnx").write_text("old")
    assert run("twin", model, "-o", str(tmp_path / "d.onnx")).exit_code == 0
    assert [layer.groups for layer in audit(tmp_path / "d.onnx").layers] == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.onnx", "model.onnx"]


SLOW = """
import sys, tempfile, time
import convaudit.twins
from convaudit.cli import main

def slow(*args, **keywords):
    with tempfile.TemporaryDirectory(dir="."):
        print("at work", flush=True)
        time.sleep(20)

convaudit.twins.made_twin = slow
sys.argv = ["convaudit", "twin", "m.onnx", "-o", "d.onnx"]
main()
"""


def test_a_program_that_is_terminated_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "at work\n"
        process.terminate()
        assert process.wait(20) == 143
    assert list(tmp_path.iterdir()) == []
