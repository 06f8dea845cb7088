"""What a factory's or a file's code does decides neither the exit code nor the fate of other models."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn

import convaudit
from convaudit.cli.group import cli
from convaudit.errors import ConvauditError
from tests.cli.conftest import save_model

FACTORIES = """
import atexit, os, sys, threading, time
from torch import nn

class Net(nn.Module):
    def __init__(self, what=lambda: None):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.what = [what]
    def forward(self, x):
        self.what[0]()
        return self.conv(x)

def good():
    print("the user's own words")
    return Net()

def leaves():
    sys.exit(0)

def interrupts():
    raise KeyboardInterrupt

def raises_base():
    raise BaseException("of my own")

def vanishes():
    os._exit(0)

def leaves_in_forward():
    return Net(lambda: sys.exit(0))

def vanishes_in_forward():
    return Net(lambda: os._exit(0))

def leaves_things_behind():
    atexit.register(os._exit, 7)
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return Net()

class Deleted(Net):
    def __del__(self):
        os._exit(0)

def sleeps():
    print("asleep", flush=True)
    time.sleep(1000)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "theirs.py").write_text(FACTORIES)
    (tmp_path / "leaving.py").write_text("import sys; sys.exit(0)")
    save_model(tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


@pytest.mark.usefixtures("folder")
def test_every_bad_end_is_exit_code_2_and_hides_no_other_model() -> None:
    sources = {
        "theirs:leaves": "SystemExit: 0",
        "leaving:net": "SystemExit: 0",
        "theirs:interrupts": "KeyboardInterrupt",
        "theirs:raises_base": "BaseException: of my own",
        "theirs:vanishes": "its code left with exit code 0 before the audit was done",
        "theirs:leaves_in_forward": "SystemExit: 0",
        "theirs:Deleted": "its code left with exit code 0 before the audit was done",
        "theirs:vanishes_in_forward": "its code left with exit code 0 before the audit was done",
    }
    done = run("check", *sources, "model.onnx", "-i", "1x4x8x8", "--max-macs", "1")
    assert done.exit_code == 2
    for source, message in sources.items():
        (line,) = (line for line in done.stderr.splitlines() if line.startswith(f"error: {source}: "))
        assert message in line
    assert "model.onnx: 1 of 1 checks failed" in done.stdout
    assert "9 models checked" in done.stdout


@pytest.mark.parametrize("factory", ["good", "leaves_things_behind"])
@pytest.mark.usefixtures("folder")
def test_what_is_left_behind_changes_no_exit_code(factory: str) -> None:
    done = run(f"theirs:{factory}", "-i", "1x4x8x8", "-f", "csv", "--verify")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("name,")
    assert "within_rounding" in done.stdout or "exact" in done.stdout


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let children be interrupted, even where the tests run in the background, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_still_130(folder: Path) -> None:
    command = [sys.executable, "-m", "convaudit", "theirs:sleeps", "-i", "1x4x8x8"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "asleep\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


class Endless(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        i = 0
        while i >= 0:
            i = 0
        return x + i


class Greedy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        numbers = [0]
        while len(numbers) > 0:
            numbers = numbers + numbers
        return x


@pytest.mark.parametrize(
    ("module", "variables", "message"),
    [
        pytest.param(Endless, {"CONVAUDIT_FILE_SECONDS": "1"}, "ran for more than 1 s", id="endless"),
        pytest.param(Greedy, {"CONVAUDIT_FILE_MEMORY": "200MiB"}, "more than the 200 MiB", id="greedy"),
    ],
)
def test_a_files_code_is_bounded(
    module: type[nn.Module],
    variables: dict[str, str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.jit.save(torch.jit.script(module()), folder / "model.pt")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = run("model.pt", "model.onnx", "-i", "1x4x8x8", "--no-run")
    assert done.exit_code == 2
    assert message in done.stderr
    assert "model.onnx" in done.stdout


def test_a_module_in_the_current_folder_takes_no_ones_place(folder: Path) -> None:
    (folder / "torch.py").write_text("raise SystemExit('this is not torch')")
    torch.export.save(torch.export.export(nn.Conv2d(4, 4, 1), (torch.zeros(1, 4, 8, 8),)), folder / "m.pt2")
    program = "import sys; sys.path = [p for p in sys.path if p]; from convaudit.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}", "m.pt2"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


class Leaves(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        raise SystemExit(0)


class OfItsOwn(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        raise BaseException("of its own")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param(Leaves, "Leaves: its code raised SystemExit: 0", id="SystemExit"),
        pytest.param(OfItsOwn, "OfItsOwn: its code raised BaseException: of its own", id="BaseException"),
    ],
)
def test_in_python_it_is_an_error_of_ours(kind: type[nn.Conv2d], message: str) -> None:
    with pytest.raises(ConvauditError, match=message):
        convaudit.audit(kind(1, 1, 1), input_shape=(1, 1, 2, 2))


@pytest.mark.usefixtures("folder")
def test_a_factory_in_python_too() -> None:
    with pytest.raises(ConvauditError, match="theirs:leaves: its code raised SystemExit: 0"):
        convaudit.audit("theirs:leaves", input_shape=(1, 4, 8, 8))
