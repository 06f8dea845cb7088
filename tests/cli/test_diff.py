"""``convaudit diff``: the exit codes of diff(1), the formats, and sizes that only one model leaves open."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.conftest import save_model

Run = Callable[..., Result]


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    """The same model, renamed, changed, and with two names for an open batch."""
    return {
        "net": str(save_model(tmp_path / "net.onnx")),
        "renamed": str(save_model(tmp_path / "renamed.onnx", name="other")),
        "dense": str(save_model(tmp_path / "dense.onnx", groups=1)),
        "batch": str(save_model(tmp_path / "batch.onnx", batch="batch")),
        "n": str(save_model(tmp_path / "n.onnx", batch="N")),
    }


@pytest.mark.parametrize(
    ("before", "after", "options", "code", "said"),
    [
        pytest.param("net", "net", [], 0, "equal", id="equal"),
        pytest.param("net", "renamed", [], 0, "1 matched by what they compute", id="renamed"),
        pytest.param("net", "dense", [], 1, "~ conv: groups 2 -> 1, params 144 -> 288", id="changed"),
        pytest.param("net", "batch", [], 1, "only one of the models leaves batch open", id="open-size"),
        pytest.param("net", "batch", ["--dim", "batch=1"], 0, "equal", id="size-fixed-in-one"),
        pytest.param("batch", "n", ["--dim", "batch=3", "--dim", "N=3"], 0, "equal", id="size-fixed-in-each"),
        pytest.param("batch", "n", ["-i", "3x4x8x8"], 0, "equal", id="input-fixed-in-both"),
    ],
)
def test_exit_codes(
    run: Run, models: dict[str, str], before: str, after: str, options: list[str], code: int, said: str
) -> None:
    result = run("diff", models[before], models[after], *options)
    assert (result.exit_code, result.stderr) == (code, "")
    assert said in result.stdout


def test_trouble(run: Run, models: dict[str, str]) -> None:
    missing = run("diff", models["net"], "gone.onnx")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert "gone.onnx" in missing.stderr
    stray = run("diff", models["net"], models["batch"], "--dim", "M=1")
    assert (stray.exit_code, stray.stdout) == (2, "")
    assert "has an open dimension 'M'" in stray.stderr
    assert run("diff", models["net"]).exit_code == 2


def test_arguments_of_a_factory_do_not_reach_the_file_beside_it(
    run: Run, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "nets.py").write_text(
        "import torch\n\n\ndef net(groups):\n    return torch.nn.Conv2d(4, 8, 3, groups=groups, bias=False)\n"
    )
    monkeypatch.chdir(tmp_path)
    for groups, code in ((2, 0), (1, 1)):
        factory = ("nets:net", "--kwargs", f'{{"groups": {groups}}}', "-i", "1x4x8x8")
        result = run("diff", models["net"], *factory)
        assert (result.exit_code, result.stdout.count("groups 2 -> 1")) == (code, code)
    assert run("diff", models["net"], models["net"], "--kwargs", "{}").exit_code == 0
    assert run("diff", models["net"], models["net"], "--kwargs", '{"groups": 1}').exit_code == 2


EXPORTED = """
import torch


def net():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(8)
    torch.nn.init.uniform_(norm.running_mean)
    convs = torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.Conv2d(8, 8, 3, groups=8)
    return torch.nn.Sequential(convs[0], norm, convs[1]).eval()
"""


def test_a_module_and_its_export(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "exported_nets.py").write_text(EXPORTED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = import_module("exported_nets").net()
    torch.onnx.export(module, (torch.zeros(1, 3, 8, 8),), "net.onnx", verbose=False)
    result = run("diff", "exported_nets:net", "net.onnx", "-i", "1x3x8x8")
    assert result.exit_code == 1
    assert "bias no -> yes, params 216 -> 224" in result.stdout
    assert "1 changed, 0 removed, 0 added of 2 and 2 convolutions" in result.stdout
    assert "biases gained: 1; exporters fold a BatchNorm" in result.stdout
    assert "parameters outside of convolutions: 16 -> 0; " in result.stdout


def test_formats(run: Run, models: dict[str, str], tmp_path: Path) -> None:
    pair = (models["net"], models["dense"])
    assert run("diff", *pair, "-f", "markdown").stdout.startswith("### convaudit diff")
    document = json.loads(run("diff", *pair, "-f", "json").stdout)
    assert document["changed"][0]["fields"]["groups"] == {"before": 2, "after": 1}
    output = tmp_path / "diff.txt"
    assert run("diff", *pair, "-o", str(output)).exit_code == 1
    assert output.read_text() == run("diff", *pair).stdout
