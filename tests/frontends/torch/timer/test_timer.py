"""Convolutions of torch models timed in the model and alone; no test knows how long anything takes."""

from __future__ import annotations

import re
import threading
import warnings
from statistics import median
from typing import Any

import pytest
import torch
from torch import nn

import convaudit
from convaudit.errors import UsageError
from convaudit.frontends import Request, TimeRequest, open_model
from convaudit.frontends.torch import frontend
from convaudit.frontends.torch.timer import rounds, timer
from convaudit.records import Network
from convaudit.records.timing import Timed
from tests.frontends.torch import modules

INPUT = (1, 16, 20, 20)


class Block(nn.Module):
    """A layer called twice, a grouped, a transposed and a functional one, and a statistic that moves."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(16, 16, 3, padding="same")
        self.grouped = nn.Conv2d(16, 32, 3, groups=4, bias=False)
        self.norm = nn.BatchNorm2d(32, track_running_stats=True)
        self.up = nn.ConvTranspose2d(32, 8, 2, stride=2, groups=2)
        self.kernel = nn.Parameter(torch.randn(8, 1, 3, 3))
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        self.last = self.norm(self.grouped(self.twice(self.twice(x))).relu())
        self.kernel.data.mul_(2)
        return nn.functional.conv2d(self.up(self.last), self.kernel, groups=8)


def timed(model: Any, *, seconds: float = 60, shape: Any = INPUT, **how: Any) -> Timed:
    request = TimeRequest(budget_seconds=seconds, **how)
    return open_model(model, Request(input_shape=shape, time=request)).time(request)


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch):
    monkeypatch.setattr(rounds, "MOST_ROUNDS", 6)
    monkeypatch.setattr(timer, "measured_roofs", lambda *_: None)


@pytest.fixture(scope="module")
def block() -> tuple[Block, dict[str, Any], Timed]:
    model = Block().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return model, before, timed(model)


def test_every_layer_is_timed_in_the_model_and_alone(block):
    for layer in block[2].layers:
        assert layer.reason is None
        assert min(layer.in_model) > 0
        assert min(layer.alone) > 0
        assert len(layer.itself) == len(layer.alone)
        assert "conv" in layer.kernel
        assert layer.reorders is None


def test_layers_with_groups_have_a_twin_in_each_round(block):
    once, grouped, up, depthwise = block[2].layers
    assert once.dense == ()
    assert once.dense_kernel is None
    for layer in (grouped, up, depthwise):
        assert len(layer.dense) == len(layer.alone)
        assert layer.dense_kernel


def test_the_parts_add_up_to_the_run(block):
    found = block[2]
    assert {part.kind for part in found.parts} == {"other_op", "between"}
    assert {"batch_norm", "relu"} <= {part.name for part in found.parts}
    samples = [*(layer.in_model for layer in found.layers), *(part.seconds for part in found.parts)]
    for run, *parts in zip(found.runs, *samples, strict=True):
        assert sum(parts) == pytest.approx(run)
        assert min(parts) >= 0


def test_the_module_is_left_as_it_was(block):
    model, before, _ = block
    assert model.training
    assert not hasattr(model, "last")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_a_careless_forward_changes_is_a_copys():
    model = modules.Careless().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    timed(model, shape=(1, 4, 8, 8), alone=False, seconds=0.1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.seen == []
    assert model.conv.bias.requires_grad


def test_torch_is_left_as_it_was():
    model = nn.Conv2d(16, 16, 1)
    torch.manual_seed(3)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    found = timed(model, threads=2, alone=False, seconds=0.1)
    assert found.runtime.threads == 2
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_one_thread_is_the_default(block):
    assert block[2].runtime.threads == 1
    assert block[2].runtime.name == "torch"


def test_roofs_are_of_the_types_that_the_layers_have(block):
    assert set(block[2].roofs.macs_per_second) == {"float32"}
    assert block[2].roofs.bytes_per_second > 0


def test_equal_layers_are_timed_once_and_all_are_told():
    told = []
    model = nn.Sequential(*[nn.Conv2d(16, 16, 3, padding=1, groups=4) for _ in range(3)])
    first, *others = timed(model, progress=told.append).layers
    assert [layer.alone for layer in others] == [first.alone] * 2
    assert sum(told) == 3
    assert first.in_model != others[0].in_model


def test_dense_takes_longer_than_depthwise():
    """28 million multiply-adds against 0.9 million: no machine turns that round."""
    layer = timed(nn.Conv2d(64, 64, 3, groups=64), shape=(1, 64, 40, 40)).layers[0]
    assert median(layer.dense) > median(layer.alone)


def test_too_large_a_twin_is_refused_and_the_layer_timed():
    layer = timed(nn.Conv2d(16, 16, 3, groups=16), memory_bytes=1000).layers[0]
    assert layer.alone
    assert not layer.dense
    assert layer.dense_kernel is None
    assert re.search(r"at groups=1 its weight would take .* MiB.* --memory", layer.reason)


class InAThread(nn.Conv2d):
    """Where the profiler does not see it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = []
        thread = threading.Thread(target=lambda: found.append(super(InAThread, self).forward(x)))
        thread.start()
        thread.join()
        return found[0]


def zero() -> nn.Module:
    conv = nn.Conv2d(16, 16, 3, groups=2)
    nn.init.zeros_(conv.weight)
    return conv


class OfSequences(nn.Module):
    """An operator that ``torch.convolution`` does not stand for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 20, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.conv_tbc(x[0], self.weight, torch.zeros(8))


@pytest.mark.parametrize(
    ("model", "measured", "reason"),
    [
        pytest.param(
            InAThread(16, 16, 3), {"alone"}, r"profiler saw 0 convolutions in it, the audit 1", id="thread"
        ),
        pytest.param(
            zero(), {"in_model", "alone"}, r"twin is not verified.*the weight is all zero", id="zero"
        ),
        pytest.param(OfSequences(), {"in_model"}, r"aten.conv_tbc is only timed in the model", id="operator"),
    ],
)
def test_what_is_not_timed_says_why(model, measured, reason):
    layer = timed(model).layers[0]
    assert {name for name in ("in_model", "alone", "dense") if getattr(layer, name)} == measured
    assert re.search(reason, layer.reason)


def test_a_module_without_values_is_refused():
    with pytest.raises(UsageError, match="meta device"):
        timed(nn.Conv2d(16, 16, 3, device="meta"))


def program() -> Any:
    layers = nn.Sequential(nn.Conv2d(16, 16, 3, groups=4), nn.BatchNorm2d(16))
    return torch.export.export(layers.eval(), (torch.zeros(INPUT),))


def traced() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(nn.Conv2d(16, 16, 3, groups=4), torch.zeros(INPUT))


def half() -> Any:
    return nn.Conv2d(16, 16, 3, groups=4).bfloat16().to(memory_format=torch.channels_last)


@pytest.mark.parametrize("build", [program, traced, half])
def test_whatever_form_a_model_has(build):
    model = build()
    found = timed(model, shape=None if build is program else INPUT)
    assert all(layer.in_model and layer.alone and layer.reason is None for layer in found.layers)


def test_compiled_modules_are_timed_as_they_are_written():
    found = timed(torch.compile(nn.Conv2d(16, 16, 3), backend="eager"), alone=False, seconds=0.1)
    assert found.layers[0].in_model
    assert "what torch.compile makes of it is not timed" in found.warnings[-1]


def test_without_time_left_every_layer_says_so():
    found = timed(nn.Sequential(nn.Conv2d(16, 16, 3), nn.Conv2d(16, 8, 1)), seconds=1e-6)
    assert all("time-budget" in layer.reason and layer.in_model for layer in found.layers)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        pytest.param({"provider": "cpu"}, "provider is for onnxruntime", id="provider"),
        pytest.param({"optimization": "all"}, "optimization is for onnxruntime", id="level"),
        pytest.param({"timings": "profile.json"}, "onnx", id="profile"),
    ],
)
def test_what_is_onnxruntimes_is_refused(keywords, message):
    with pytest.raises(UsageError, match=message):
        convaudit.audit(nn.Conv2d(16, 16, 3), input_shape=INPUT, time="timings" not in keywords, **keywords)


def test_files_are_timed_in_a_process_of_their_own(tmp_path):
    path = tmp_path / "scripted.pt"
    torch.jit.script(nn.Sequential(nn.Conv2d(16, 16, 3, groups=4), nn.ReLU())).save(path)
    told = []
    found = timed(str(path), progress=told.append)
    assert found.layers[0].reason is None
    assert found.layers[0].in_model
    assert found.layers[0].dense
    assert sum(told) == 1


def test_a_files_code_may_take_the_budget_beyond_its_own_limit(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    path.touch()
    asked = {}
    monkeypatch.setattr(frontend, "call_apart", lambda *_, **keywords: asked.update(keywords))
    opened = frontend.OpenedApart(str(path), Request(), Network(source="", format="", inputs=(), layers=()))
    opened.time(TimeRequest(budget_seconds=7200.5))
    limits = frontend.file_limits(0, computes=True)
    assert asked["limits"].seconds == limits.seconds + 7201
