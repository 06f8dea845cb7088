"""torch models at the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from convaudit.cli.group import cli

NETS = """
from torch import nn

def small(width=8):
    print("the user's own words")
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3, groups=width))
"""


@pytest.fixture(autouse=True)
def _nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "nets_of_mine.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("nets_of_mine", None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments))


def report(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    document: dict[str, object] = json.loads(result.stdout)
    return document


def test_torchvision() -> None:
    result = run("torchvision:squeezenet1_1", "-i", "1x3x224x224", "--top", "1")
    assert result.exit_code == 0
    assert "total of 26" in result.stdout


def test_a_factory_and_its_arguments() -> None:
    document = report("nets_of_mine:small", "--kwargs", '{"width": 4}', "-i", "input=2x3x8x8")
    assert document["source"] == "nets_of_mine:small"
    assert [layer["groups"] for layer in document["layers"]] == [1, 4]  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["--verify", "--verify-isolated"])
@pytest.mark.parametrize("form", ["program", "torchscript"])
def test_files_are_verified(form: str, how: str, tmp_path: Path) -> None:
    module, path = nn.Conv2d(2, 4, 3, groups=2), str(tmp_path / "model.pt2")
    if form == "program":
        torch.export.save(torch.export.export(module, (torch.zeros(1, 2, 8, 8),)), path)
    else:
        path = str(tmp_path / "model.pt")
        torch.jit.save(torch.jit.trace(module, torch.zeros(1, 2, 8, 8)), path)
    shape = [] if form == "program" else ["-i", "1x2x8x8"]
    (layer,) = report(path, how, *shape)["layers"]  # type: ignore[misc]
    assert layer["verification"]["status"] in {"exact", "within_rounding"}


def test_a_programs_dimension_is_fixed_by_name(tmp_path: Path) -> None:
    dynamic = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(nn.Conv2d(2, 4, 3), (torch.zeros(2, 2, 8, 8),), dynamic_shapes=dynamic)
    torch.export.save(program, tmp_path / "model.pt2")
    symbolic = report("model.pt2")
    (layer,) = symbolic["layers"]  # type: ignore[misc]
    assert layer["macs"] is None
    (name,) = layer["formula"]["macs"].split("*")[1:]
    (layer,) = report("model.pt2", "--dim", f"{name}=3")["layers"]  # type: ignore[misc]
    assert layer["macs"] == 3 * 4 * 36 * 2 * 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["torchvision:resnet18"], "-i 1x3x224x224", id="no-shape"),
        pytest.param(["torchvision:resnet18", "-i", "1x4x64x64"], "to have 3 channels", id="wrong-channels"),
        pytest.param(["torchvision:resnet18", "-i", "3x64"], "failed on 3x64", id="wrong-rank"),
        pytest.param(["nets_of_mine:smal", "-i", "1x3x8x8"], "did you mean 'small'?", id="wrong-name"),
        pytest.param(["nets_of_mine:small", "--kwargs", "4"], "is not a JSON object", id="wrong-kwargs"),
        pytest.param(["missing.pt2"], "No such file", id="missing"),
        pytest.param(
            ["nets_of_mine:small", "-i", "1x3x8x8", "--dim", "b=1"],
            "no size of its inputs is called 'b'",
            id="dim",
        ),
    ],
)
def test_trouble_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_state_dict_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(1, 1, 1).state_dict(), tmp_path / "weights.pth")
    result = run("weights.pth")
    assert result.exit_code == 2
    assert "a state dict" in result.stderr
    assert "package.module:factory" in result.stderr


def test_a_real_run_is_asked_for_and_refused_where_nothing_runs(tmp_path: Path) -> None:
    document = report("nets_of_mine:small", "-i", "1x3x8x8", "--real-run")
    assert any("run for real" in warning for warning in document["warnings"])  # type: ignore[attr-defined]
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(nn.Conv2d(2, 4, 3), (torch.zeros(1, 2, 5, 5),)), path)
    refused = run(str(path), "--real-run")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--real-run (fake=False) is for modules" in refused.stderr


def test_what_a_forward_and_its_children_print_leaves_the_report_alone(tmp_path: Path) -> None:
    (tmp_path / "nets_of_mine.py").write_text(
        "import os\nfrom torch import nn\nprint('imported')\n"
        "class Talks(nn.Conv2d):\n"
        "    def forward(self, x):\n"
        "        print('forward')\n"
        "        os.system('echo a child')\n"
        "        return super().forward(x)\n"
        "def talks():\n    return Talks(3, 4, 3)\n"
    )
    assert report("nets_of_mine:talks", "-i", "1x3x8x8")["format"] == "torch"
