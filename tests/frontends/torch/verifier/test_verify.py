"""Verifying torch models: what torch computed, judged by the engine."""

from __future__ import annotations

import re
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.ao.nn import quantized

import convaudit
from convaudit.errors import UsageError
from convaudit.frontends.torch.verifier.in_situ import verify_in_situ
from convaudit.frontends.torch.verifier.isolated import verify_isolated
from convaudit.frontends.torch.walker.walk import walk_torch
from convaudit.records import Verification
from tests.frontends.torch import modules

PASSES = {"exact", "within_rounding"}

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel


def in_situ(model: TorchModel, given: dict[str, Any], **options: Any) -> tuple[Verification, ...]:
    return verify_in_situ(model, walk_torch(model, **given), **given, **options).verdicts


def isolated(model: TorchModel, given: dict[str, Any], **options: Any) -> tuple[Verification, ...]:
    return verify_isolated(model, walk_torch(model, **given), **options).verdicts


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(modules.Nested())


def traced() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(modules.Borrows().eval(), torch.zeros(1, 4, 16, 16))


def program() -> TorchModel:
    dynamic = ({0: torch.export.Dim("batch")},)
    return torch.export.export(modules.Nested(), (torch.zeros(2, 4, 16, 16),), dynamic_shapes=dynamic)


IMAGE = {"input_shape": (1, 4, 16, 16)}
HONEST: list[Any] = [
    pytest.param(modules.Nested, IMAGE, id="functional"),
    pytest.param(scripted, IMAGE, id="scripted"),
    pytest.param(traced, IMAGE, id="traced-without-a-childs-forward"),
    pytest.param(program, IMAGE, id="program"),
    pytest.param(modules.TwoShapes, IMAGE, id="two-shapes"),
    pytest.param(lambda: nn.Conv2d(4, 8, 4, padding="same", dilation=3), IMAGE, id="same-even-kernel"),
    pytest.param(lambda: nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"), IMAGE, id="reflect"),
    pytest.param(lambda: nn.Conv2d(4, 8, 3, groups=2).double(), IMAGE, id="double"),
    pytest.param(lambda: nn.Conv2d(4, 8, 3).half(), IMAGE, id="half"),
    pytest.param(lambda: nn.Conv2d(4, 8, 3).bfloat16(), IMAGE, id="bfloat16"),
    pytest.param(lambda: nn.Conv2d(4, 8, 3, dtype=torch.complex64), IMAGE, id="complex"),
    pytest.param(lambda: nn.Conv1d(6, 6, 3, groups=6), {"input_shape": (3, 6, 20)}, id="depthwise-1d"),
    pytest.param(lambda: nn.Conv3d(4, 4, 3, groups=2), {"input_shape": (1, 4, 5, 6, 7)}, id="3d"),
    pytest.param(
        lambda: nn.ConvTranspose2d(8, 4, 3, 2, padding=1, output_padding=1, groups=2),
        {"input_shape": (1, 8, 5, 5)},
        id="transposed",
    ),
    pytest.param(lambda: torch.compile(nn.Conv2d(4, 8, 3), backend="eager"), IMAGE, id="compiled"),
    pytest.param(lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 8, 3)), IMAGE, id="weight-norm"),
    pytest.param(modules.Vmapped, IMAGE, id="vmap"),
    pytest.param(modules.InferenceMode, IMAGE, id="inference-mode"),
]


@pytest.mark.parametrize(("build", "given"), HONEST)
def test_honest_layers_pass_in_situ(build: Callable[[], TorchModel], given: dict[str, Any]) -> None:
    verdicts = in_situ(build(), given)
    assert verdicts
    assert {verdict.status for verdict in verdicts} <= PASSES, verdicts


def test_layers_under_autocast_pass() -> None:
    with torch.autocast("cpu"):
        (verdict,) = in_situ(nn.Conv2d(16, 8, 3), {"input_shape": (1, 16, 16, 16)})
    assert verdict.status in PASSES


@pytest.mark.parametrize(
    ("engine", "fused"), [("fbgemm", False), ("fbgemm", True), ("qnnpack", False)], ids=str
)
def test_quantised_layers_pass_in_situ(engine: str, fused: bool) -> None:
    if engine not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this torch has no {engine}")
    with quantised_engine(engine):
        conv = quantised_conv(fused)
        x = torch.quantize_per_tensor(torch.randn(2, 4, 9, 9), 0.05, 64, torch.quint8)
        network = walk_torch(conv, inputs=x)
        (layer,) = network.layers
        (verdict,) = verify_in_situ(conv, network, inputs=x).verdicts
    assert (layer.weight_name, layer.weight_dtype, layer.groups) == ("weight", "int8", 2)
    assert network.model_params == 8 * 2 * 9 + 8
    assert verdict.status in PASSES, verdict


def quantised_conv(fused: bool) -> nn.Module:
    kind = torch.ao.nn.intrinsic.quantized.ConvReLU2d if fused else quantized.Conv2d
    conv: nn.Module = kind(4, 8, 3, groups=2, padding=1)
    weight = torch.quantize_per_tensor(torch.randn(8, 2, 3, 3), 0.03, 0, torch.qint8)
    conv.set_weight_bias(weight, torch.randn(8))
    conv.scale, conv.zero_point = 0.1, 50
    return conv


class quantised_engine:  # noqa: N801  # reads as the context that it is
    def __init__(self, engine: str) -> None:
        self.engine = engine

    def __enter__(self) -> None:
        self.before = torch.backends.quantized.engine
        torch.backends.quantized.engine = self.engine

    def __exit__(self, *_: object) -> None:
        torch.backends.quantized.engine = self.before


# --- faults planted in torch ----------------------------------------------------------------------------


@pytest.fixture
def _wrong_weight() -> Iterator[None]:
    """torch's own convolution multiplies by a weight of which one element is a little off."""

    def convolution(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
        weight = weight.clone()
        weight[1] *= 1.01
        return torch.ops.aten._convolution(x, weight, *rest, False, False, True, True)

    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        library.impl("convolution", convolution, "CPU")
    yield
    library._destroy()


@pytest.mark.usefixtures("_wrong_weight")
@pytest.mark.parametrize("verify", [in_situ, isolated])
def test_a_fault_in_torch_is_found_and_located(verify: Callable[..., tuple[Verification, ...]]) -> None:
    (verdict,) = verify(nn.Conv2d(4, 8, 3), IMAGE)
    assert verdict.status == "mismatch"
    assert "channel 1" in (verdict.location or ""), verdict


def test_of_several_calls_the_worst_verdict_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = iter(["within_rounding", "mismatch", "exact"])

    def judge(*_: object, **__: object) -> Verification:
        return Verification(status=next(statuses), reason="told")  # type: ignore[arg-type]

    monkeypatch.setattr("convaudit.frontends.torch.verifier.evidence.judge", judge)
    (verdict,) = in_situ(nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1)] * 3), IMAGE)
    assert verdict.status == "mismatch"


def test_only_one_convolution_is_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[weakref.ref[Any]] = []

    def judge(execution: Any, **_: object) -> Verification:
        assert not any(reference() is not None for reference in alive)
        alive.append(weakref.ref(execution.x))
        return Verification(status="exact", reason="")

    monkeypatch.setattr("convaudit.frontends.torch.verifier.evidence.judge", judge)
    in_situ(modules.Nested(), IMAGE)
    assert len(alive) == 5


# --- inputs ---------------------------------------------------------------------------------------------


def test_random_input_depends_on_the_seed_alone() -> None:
    module = nn.Conv2d(4, 8, 3)
    first, again, other = (in_situ(module, IMAGE, seed=seed)[0].max_abs_error for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("as_file", [False, True], ids=["arrays", "npz"])
@pytest.mark.parametrize(
    "build", [modules.Dynamic, modules.TwoShapes, program], ids=["two", "one", "program"]
)
def test_the_users_arrays_are_run(build: Callable[[], TorchModel], as_file: bool, tmp_path: Path) -> None:
    model = build()
    shapes = {"x": (1, 4, 16, 16)} | ({"weight": (2, 2, 3, 3)} if isinstance(model, modules.Dynamic) else {})
    zeros: Any = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    if as_file:
        np.savez(tmp_path / "data.npz", **zeros)
        zeros = tmp_path / "data.npz"
    verdicts = in_situ(model, {"input_shape": shapes}, data=zeros)
    assert verdicts[0].status == "vacuous"  # which random input is not


class Embedded(nn.Module):
    """Takes indices and a scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 4)
        self.conv = nn.Conv1d(4, 8, 3)

    def forward(self, ids: Tensor, scale: Tensor) -> Tensor:
        return self.conv(self.table(ids).transpose(1, 2) * scale)


def test_the_users_arrays_say_what_a_module_takes() -> None:
    data = {"ids": np.arange(9).reshape(1, 9), "scale": np.array(2.0)}
    report = convaudit.audit(Embedded(), verify=True, data=data)
    assert report.layers[0].verification is not None
    assert report.layers[0].verification.verified
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in report.inputs] == [
        ("ids", "int64", (1, 9)),
        ("scale", "float32", ()),
    ]


def test_arrays_that_a_module_does_not_take_are_refused() -> None:
    with pytest.raises(UsageError, match=r"its forward takes ids, scale, not 'image'"):
        convaudit.audit(Embedded(), verify=True, data={"image": np.zeros((1, 4, 9))})


def test_unknown_input_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r"needed for the inputs x, got image"):
        in_situ(modules.TwoShapes(), IMAGE, data={"image": np.zeros((1, 4, 16, 16))})


def test_progress_counts_convolutions() -> None:
    steps: list[int] = []
    in_situ(modules.Nested(), IMAGE, progress=steps.append)
    assert sum(steps) == 5


# --- each layer alone -----------------------------------------------------------------------------------

ALONE = [case for case in HONEST if case.id not in {"weight-norm", "vmap", "complex"}]


@pytest.mark.parametrize(("build", "given"), ALONE)
def test_honest_layers_pass_isolated(build: Callable[[], TorchModel], given: dict[str, Any]) -> None:
    verdicts = isolated(build(), given)
    assert verdicts
    assert {verdict.status for verdict in verdicts} <= PASSES, verdicts


@pytest.mark.parametrize(
    ("build", "given", "reason"),
    [
        pytest.param(
            lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 8, 3)),
            IMAGE,
            "computed during the forward",
            id="computed",
        ),
        pytest.param(lambda: nn.Conv2d(4, 8, 3, device="meta"), IMAGE, "on the meta device", id="meta"),
        pytest.param(program, {}, "shape is symbolic", id="symbolic"),
    ],
)
def test_layers_that_cannot_run_alone_say_why(
    build: Callable[[], TorchModel], given: dict[str, Any], reason: str
) -> None:
    verdicts = isolated(build(), given)
    assert {verdict.status for verdict in verdicts} == {"not_executed"}
    assert all(reason in verdict.reason for verdict in verdicts)


@pytest.mark.parametrize("verify", [verify_in_situ, verify_isolated])
@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8], ids=str)
def test_a_convolution_of_integers_is_said_not_to_be_judged(verify: Any, dtype: torch.dtype) -> None:
    module = nn.Conv2d(4, 4, 3, bias=False).requires_grad_(False)
    module.weight.data = torch.ones_like(module.weight, dtype=dtype)
    given = {} if verify is verify_isolated else {"inputs": torch.ones(1, 4, 9, 9, dtype=dtype)}
    network = walk_torch(module, inputs=torch.ones(1, 4, 9, 9, dtype=dtype))
    (verdict,) = verify(module, network, **given).verdicts
    assert verdict.status in ("not_supported", "not_executed")
    assert verdict.reason.startswith("it sums integers")


def test_a_module_without_values_is_not_executed() -> None:
    (verdict,) = in_situ(nn.Conv2d(4, 8, 3, device="meta"), IMAGE)
    assert (verdict.status, verdict.reason) == ("not_executed", "it is on the meta device and has no values")


@pytest.mark.parametrize("exported", [False, True], ids=["module", "program"])
def test_a_layer_that_the_values_leave_out_is_not_executed(exported: bool) -> None:
    model: Any = Choice()
    if exported:
        model = torch.export.export(model, (torch.ones(1, 4, 8, 8),))
    given = {"input_shape": (1, 4, 8, 8)}
    network = walk_torch(model, **given)
    data = {"x": np.ones((1, 4, 8, 8), np.float32)}
    verdicts = verify_in_situ(model, network, **given, data=data).verdicts
    statuses = {layer.name: verdict.status for layer, verdict in zip(network.layers, verdicts, strict=True)}
    assert statuses["positive"] in PASSES
    assert statuses["negative"] == "not_executed"


class OnlyPositive(nn.Module):
    """Two convolutions on as many positions as are positive."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 4, 3)
        self.second = nn.Conv1d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x[x > 0].reshape(1, 1, -1)))


@pytest.mark.parametrize("exported", [False, True], ids=["module", "program"])
def test_layers_at_sizes_that_values_decide_are_judged_at_the_size_that_ran(exported: bool) -> None:
    model: Any = OnlyPositive()
    given: Any = {"input_shape": (1, 1, 40)}
    if exported:
        model, given = torch.export.export(model, (torch.randn(1, 1, 40),)), {}
    x = np.linspace(-1, 2, 40, dtype=np.float32).reshape(1, 1, 40)
    verdicts = verify_in_situ(model, walk_torch(model, **given), **given, data={"x": x}).verdicts
    assert [verdict.status for verdict in verdicts] == ["within_rounding"] * 2, verdicts
    assert [re.search(r"run at (\S+), not at the audit's ", v.reason)[1] for v in verdicts] == [  # type: ignore[index]
        "1x1x26",
        "1x4x24",
    ]


def test_a_shared_layer_at_another_size_keeps_its_row() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Conv1d(1, 1, 3)

        def forward(self, x: Tensor) -> Any:
            return self.head(x), self.head(x[x > 0].reshape(1, 1, -1))

    given: Any = {"input_shape": (1, 1, 40)}
    data = {"x": np.linspace(-1, 2, 40, dtype=np.float32).reshape(1, 1, 40)}
    whole, part = verify_in_situ(Shared(), walk_torch(Shared(), **given), **given, data=data).verdicts
    assert "not at the audit's" not in whole.reason
    assert "the values had it run at 1x1x26" in part.reason


class Choice(nn.Module):
    """One of two convolutions, by the input's sign."""

    def __init__(self) -> None:
        super().__init__()
        self.positive = nn.Conv2d(4, 8, 3)
        self.negative = nn.Conv2d(4, 8, 3, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        arms = (lambda x: self.positive(x).sum(), lambda x: self.negative(x).sum())
        return torch.cond(x.sum() > 0, *arms, (x,))
