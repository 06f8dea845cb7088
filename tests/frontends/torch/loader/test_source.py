"""Naming torch models: factories, torchvision, and what is not a torch source."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from convaudit.errors import DependencyError, LoadError, UsageError
from convaudit.frontends.torch.loader.source import is_torch_source, load_torch_source

FACTORIES = """
import torch
from torch import nn

print("this belongs to the user, not to the report")
ready = nn.Conv2d(1, 2, 3)
number = 5

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 1)

class Family:
    @staticmethod
    def small(width=2):
        return Net(width)

def broken():
    raise ValueError("no\\nluck")

def number_instead():
    return 5
"""


@pytest.fixture
def _factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "factories.py").write_text(FACTORIES)
    (tmp_path / "unimportable.py").write_text("import surely_not_installed")
    (tmp_path / "raising.py").write_text("1 / 0")
    beside = "from torch import nn\nfrom {} import WIDTH\ndef make(): return Net()\n" + (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.conv = nn.Conv2d(3, WIDTH, 1)\n"
    )
    for folder in ("sub-folder", "package/inner"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "sub-folder" / "settings_beside.py").write_text("WIDTH = 6")
    (tmp_path / "sub-folder" / "nets.py").write_text(beside.format("settings_beside"))
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "inner" / "__init__.py").write_text("")
    (tmp_path / "package" / "settings.py").write_text("WIDTH = 7")
    (tmp_path / "package" / "inner" / "nets.py").write_text(beside.format("..settings"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    sys.modules.pop("factories", None)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("torchvision:resnet50", True, id="torchvision"),
        pytest.param("timm:resnet50.a1_in1k", True, id="timm"),
        pytest.param("package.module:factory", True, id="factory"),
        pytest.param("folder/my-nets.py:factory", True, id="factory-in-a-file"),
        pytest.param("folder/nets.py", True, id="code"),
        pytest.param("package.module:Class.method", True, id="method"),
        pytest.param("model.pt2", True, id="program"),
        pytest.param(Path("model.PT"), True, id="torchscript-path"),
        pytest.param("weights.safetensors", True, id="weights-alone"),
        pytest.param("model.onnx", False, id="onnx"),
        pytest.param("C:\\models\\net.onnx", False, id="windows-path"),
        pytest.param("a:b.onnx/c", False, id="no-factory"),
        pytest.param(b"bytes", False, id="bytes"),
    ],
)
def test_tells_torch_sources(source: object, expected: bool) -> None:
    assert is_torch_source(source) is expected


def test_modules_and_programs_are_torch_sources() -> None:
    module = nn.Conv2d(1, 1, 1)
    assert is_torch_source(module)
    assert is_torch_source(torch.export.export(module, (torch.zeros(1, 1, 1, 1),)))
    assert load_torch_source(module) is module


def test_a_file_is_never_taken_for_a_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net:v2").write_bytes(b"")
    assert not is_torch_source("net:v2")


@pytest.mark.usefixtures("_factories")
@pytest.mark.parametrize(
    ("source", "kwargs", "width"),
    [
        pytest.param("factories:Net", {}, 4, id="class"),
        pytest.param("factories:Net", {"width": 7}, 7, id="kwargs"),
        pytest.param("factories:Family.small", {}, 2, id="static-method"),
        pytest.param("factories.py:Net", {"width": 3}, 3, id="file"),
        pytest.param("./factories.py:Family.small", {}, 2, id="path"),
        pytest.param("sub-folder/nets.py:make", {}, 6, id="with-what-stands-beside-it"),
        pytest.param("package/inner/nets.py:make", {}, 7, id="in-a-package"),
    ],
)
def test_builds_from_a_factory(
    source: str, kwargs: dict[str, int], width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load_torch_source(source, kwargs)
    assert isinstance(module, nn.Module)
    assert module.conv.out_channels == width
    assert capsys.readouterr().out == ""  # results alone go to stdout
    assert str(Path.cwd()) not in sys.path


@pytest.mark.usefixtures("_factories")
def test_a_module_made_beforehand_is_taken_as_it_is() -> None:
    module = load_torch_source("factories:ready")
    assert isinstance(module, nn.Conv2d)


BAD = [
    pytest.param("nowhere.py:net", {}, LoadError, r"nowhere.py:net: .*No such file", id="no-file"),
    pytest.param(
        "raising.py:net", {}, LoadError, r"running raising.py raised ZeroDivision", id="file-raises"
    ),
    pytest.param("factories.py:nett", {}, LoadError, r"factories.py has no 'nett'", id="file-attribute"),
    pytest.param("factories.py", {}, UsageError, r"say what in it makes.*factories.py:NAME", id="code-alone"),
    pytest.param("timm:resnet5", {}, LoadError, r"timm has no such model; did you mean", id="timm"),
    pytest.param("timm:resnet18", {"pretrained": True}, UsageError, r"never loads", id="timm-weights"),
    pytest.param("timm:resnet18", {"checkpoint_path": "x.pth"}, UsageError, r"never loads", id="timm-file"),
    pytest.param("factories:nett", {}, LoadError, r"factories has no 'nett'", id="attribute"),
    pytest.param("factories:Nett", {}, LoadError, r"did you mean 'Net'\?", id="suggestion"),
    pytest.param("nowhere:net", {}, LoadError, r"no module named 'nowhere'.*current directory", id="module"),
    pytest.param("unimportable:net", {}, LoadError, r"no module named 'surely_not", id="import-error"),
    pytest.param("raising:net", {}, LoadError, r"importing raising raised ZeroDivisionError", id="raises"),
    pytest.param("factories:number", {}, LoadError, r"it is a int, neither a module nor", id="number"),
    pytest.param(
        "factories:number_instead", {}, LoadError, r"returned a int, not a torch.nn.Module", id="int"
    ),
    pytest.param("factories:broken", {}, LoadError, r"the factory raised ValueError: no luck", id="broken"),
    pytest.param(
        "factories:Net", {"depth": 1}, LoadError, r"unexpected keyword argument 'depth'", id="kwargs"
    ),
    pytest.param(
        "torchvision:resnet5", {}, LoadError, r"no such model; did you mean 'resnet50'\?", id="torchvision"
    ),
    pytest.param(
        "torchvision:alexnet", {"weights": "DEFAULT"}, UsageError, r"convaudit never does", id="download"
    ),
    pytest.param("model.pt", {"a": 1}, UsageError, r"model.pt: only a factory", id="kwargs-for-a-file"),
    pytest.param(torch.zeros(1), {}, UsageError, r"is needed, got Tensor", id="tensor"),
]


@pytest.mark.usefixtures("_factories")
@pytest.mark.parametrize(("source", "kwargs", "error", "message"), BAD)
def test_refuses_in_one_line(
    source: object, kwargs: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        load_torch_source(source, kwargs)
    assert "\n" not in str(raised.value)


def test_torchvision_models_come_without_memory_unless_weights_are_needed() -> None:
    light = load_torch_source("torchvision:squeezenet1_1", weights=False)
    assert isinstance(light, nn.Module)
    assert all(parameter.is_meta for parameter in light.parameters())
    torch.manual_seed(5)
    state = torch.get_rng_state()
    heavy = load_torch_source("torchvision:squeezenet1_1", {"num_classes": 7})
    assert isinstance(heavy, nn.Module)
    assert heavy.classifier[1].out_channels == 7
    assert torch.equal(torch.get_rng_state(), state)


def test_detection_models_load_no_backbone_weights() -> None:
    model = load_torch_source("torchvision:fcos_resnet50_fpn", weights=False)
    assert isinstance(model, nn.Module)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DependencyError, match=r"torch is not installed; pip install 'convaudit\[torch\]'"):
        load_torch_source("torchvision:resnet18")
