"""Private names of torch: all in one file, and none whose loss is the loss of all of torch."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import convaudit
from convaudit.errors import DependencyError
from convaudit.frontends.torch import _private as private

FOLDER = Path(private.__file__).parent
SOURCES = sorted(FOLDER.rglob("*.py"))
OTHERS = {
    "_lru_cache_wrapper": "functools'",
    "_map_async": "multiprocessing's",
    "_target": "threading's",
    "_mask": "the end of a buffer's name, as torch.nn.utils.prune documents it",
    "_mkldnn": "the end of a constant's name in TorchScript",
    "_packed_params.": "a segment of a module's path",
    "torch._utils": "in files: it is compared with their text, and never looked up",
    "torch._sym_sqrt": "in files: it is compared with their text, and never looked up",
}
"""What looks like a private name of torch, and is not."""
TABLES = ("ops.py", "other_ops.py", "loader/operators.py")
"""Where operators' names are spelt, many of which begin like private ones."""
ESSENTIAL = {"TorchDispatchMode", "_schema"}
"""Names without which no module can be audited."""


def private_names(source: str, *, spelt: bool = True) -> Iterator[str]:
    """Names with a leading underscore that a module imports, reaches for on another object, or spells."""
    tree = ast.parse(source)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        found: list[str] = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
            found = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name.startswith("torch")]
        elif isinstance(node, ast.Attribute) and not ast.unparse(node).startswith(
            ("self.", "cls.", "torch.ops.")
        ):
            found = [node.attr]
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and spelt
            and id(node) not in documentation
        ):
            found = re.findall(r"torch(?:\.\w+)*\._\w+|^_[a-z]\w*\.?$", node.value, re.M)
        yield from (name for name in found if re.search(r"(^|\.)_(?!_)", name) and name not in OTHERS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_private_names_are_in_one_file(path: Path) -> None:
    spelt = str(path.relative_to(FOLDER)) not in TABLES
    names = list(private_names(path.read_text(encoding="utf-8"), spelt=spelt))
    assert bool(names) == (path.name == "_private.py"), names


@pytest.mark.parametrize(
    "source",
    [
        "from torch._ops import OpOverload",
        "from torch.nn.modules.conv import _ConvNd",
        "import torch._dynamo.eval_frame",
        "def f(func):\n    return func._schema",
        "import torch\ntorch._C.thing()",
        "getattr(module, '_orig_mod')",
        "importlib.import_module('torch._dynamo')",
    ],
)
def test_the_scan_can_fail(source: str) -> None:
    assert len(set(private_names(source))) == 1


def test_every_row_is_there_and_used() -> None:
    text = (FOLDER / "_private.py").read_text(encoding="utf-8")
    for name, row in private.NAMES.items():
        if ":" in row.path:
            assert private.find(name) is not None
        everywhere = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
        used = re.findall(rf'"{name}"|private\.{name}\b', everywhere)
        assert used, f"{name} is in the table, and nobody uses it"
        assert text.count(f'"{name}"') + text.count(name) > 1


Lose = Callable[[str], None]


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lose]:
    """Have this torch lack a name."""

    def forget() -> None:
        private.find.cache_clear()
        private._attribute_name.cache_clear()

    def lost(name: str) -> None:
        row = private.NAMES[name]
        monkeypatch.setitem(private.NAMES, name, replace(row, path=f"{row.path}_that_is_gone"))
        monkeypatch.setattr(private, "_lost", set())
        forget()

    yield lost
    forget()


MODEL = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU())


@pytest.mark.parametrize("name", sorted(private.NAMES.keys() - ESSENTIAL))
def test_a_name_that_is_gone_costs_one_feature(name: str, lose: Lose) -> None:
    lose(name)
    (layer,) = convaudit.audit(MODEL, input_shape=(1, 4, 8, 8), verify=True).layers
    assert layer.macs == 6 * 6 * 8 * 2 * 9
    assert layer.verification is not None
    assert layer.verification.status in ("exact", "within_rounding")


def test_what_cannot_be_done_without_is_one_clear_line(lose: Lose) -> None:
    lose("_schema")
    with pytest.raises(
        DependencyError, match=line("OpOverload._schema", "tells an operator's arguments apart")
    ):
        convaudit.audit(MODEL, input_shape=(1, 4, 8, 8))


def test_a_class_to_derive_from_too(lose: Lose, monkeypatch: pytest.MonkeyPatch) -> None:
    lose("TorchDispatchMode")
    recorder = "convaudit.frontends.torch.walker.recorder"
    monkeypatch.delitem(sys.modules, recorder)
    name = "torch.utils._python_dispatch.TorchDispatchMode"
    with pytest.raises(DependencyError, match=line(name, "sees the operators of a forward")):
        importlib.import_module(recorder)


def line(name: str, purpose: str) -> str:
    return rf"^torch \S+ has no {name}_that_is_gone, by which convaudit {purpose}: use torch [\d.]+$"


class OnlyItsBase(nn.modules.conv._ConvNd):
    """A subclass of no public class, which pads more than it declares."""

    def __init__(self) -> None:
        super().__init__(4, 8, (3, 3), (1, 1), (0, 0), (1, 1), False, (0, 0), 1, True, "zeros")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.conv2d(x, self.weight, self.bias, padding=1)


class InnerProducts(nn.Module):
    """Inference mode hands composite operators over, whose names tell nothing of products."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)

    @torch.inference_mode()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.inner(x, x).sum() + self.conv(x).sum()


class Derived(nn.Module):
    """A convolution of tensors whose memory has no address."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.func.jvp(self.conv, (x,), (x,))[0]


@pytest.mark.parametrize(
    ("name", "make", "verify"),
    [
        pytest.param("FakeTensorMode", lambda: MODEL, False, id="at-the-walk"),
        pytest.param("OPDEFS", lambda: MODEL, False, id="of-an-operator"),
        pytest.param("_ConvNd", OnlyItsBase, True, id="at-the-verification"),
        pytest.param("peek_interpreter_stack", lambda: MODEL, True, id="inside-of-its-forward"),
        pytest.param("_compiled_call_impl", lambda: MODEL, True, id="an-attribute"),
        pytest.param("_orig_mod", lambda: torch.compile(MODEL, backend="eager"), True, id="of-a-wrapper"),
    ],
)
def test_a_fallback_is_told_of(name: str, make: Callable[[], nn.Module], verify: bool, lose: Lose) -> None:
    lose(name)
    model, row = make(), private.NAMES[name]
    told = f"by which convaudit {row.purpose}: {row.without}"
    for _ in range(2):  # each audit tells of its own
        report = convaudit.audit(model, input_shape=(1, 4, 8, 8), verify=verify)
        assert [warning for warning in report.warnings if told in warning] == [
            f"torch {torch.__version__} has no {row.path.replace(':', '.')}, {told}"
        ]


def test_another_audit_does_not_tell_of_it(lose: Lose, monkeypatch: pytest.MonkeyPatch) -> None:
    lose("FakeTensorMode")
    assert convaudit.audit(MODEL, input_shape=(1, 4, 8, 8)).warnings
    monkeypatch.undo()
    private.find.cache_clear()
    assert convaudit.audit(MODEL, input_shape=(1, 4, 8, 8)).warnings == ()


def test_an_operator_made_of_others_is_not_missed() -> None:
    totals = convaudit.audit(InnerProducts(), input_shape=(1, 4, 8, 8)).totals
    assert (totals.macs, totals.model_macs) == (36 * 8 * 36, 36 * 8 * 36 + 32 * 32 * 8)


def quantised() -> nn.Module:
    from torch.ao.nn import quantized

    return nn.Sequential(quantized.Quantize(0.1, 0, torch.quint8), quantized.Conv2d(4, 8, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weights_that_torchscript_packs_are_told_of(lose: Lose) -> None:
    def told() -> bool:
        report = convaudit.audit(torch.jit.script(quantised()), input_shape=(1, 4, 8, 8))
        return any("has no Conv2d._packed_params_that_is_gone" in warning for warning in report.warnings)

    assert not told()
    lose("_packed_params")
    assert told()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("_cdata", Derived, id="handle-of-a-storage"),
        pytest.param("_packed_params", quantised, id="packed-weights"),
    ],
)
def test_what_does_as_well_finds_the_same(name: str, make: Callable[[], nn.Module], lose: Lose) -> None:
    model = make()
    before = convaudit.audit(model, input_shape=(1, 4, 8, 8), verify=True).to_dict()
    lose(name)
    assert convaudit.audit(model, input_shape=(1, 4, 8, 8), verify=True).to_dict() == before


@pytest.mark.parametrize("given", [{"allow_run": False}, {}], ids=["no-run", "meta"])
def test_what_may_not_be_run_for_real_is_refused(given: dict[str, bool], lose: Lose) -> None:
    lose("FakeTensorMode")
    with torch.device("cpu" if given else "meta"):
        model = nn.Conv2d(4, 8, 3)
    name = "torch._subclasses.fake_tensor.FakeTensorMode"
    with pytest.raises(DependencyError, match=line(name, "runs a forward without values")):
        convaudit.audit(model, input_shape=(1, 4, 8, 8), **given)
