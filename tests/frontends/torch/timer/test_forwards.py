"""Forwards that do something else at every run, or on other values than the audit had."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from convaudit.errors import UsageError
from convaudit.frontends import Request, TimeRequest, open_model
from convaudit.frontends.torch.timer import timer
from convaudit.records.timing import Timed


def timed(model: nn.Module, shape: tuple[int, ...] = (1, 16, 20, 20)) -> Timed:
    request = TimeRequest(budget_seconds=1, alone=False)
    return open_model(model, Request(input_shape=shape, time=request)).time(request)


class Alternating(nn.Module):
    """A layer of 29 million multiply-adds and one of 37 thousand, in an order that ``swap`` decides."""

    def __init__(self, swap: Callable[[int], bool]) -> None:
        super().__init__()
        self.large, self.small = nn.Conv2d(16, 64, 7, padding=3), nn.Conv2d(16, 64, 1, groups=16)
        self.swap, self.runs = swap, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        first, second = (self.small, self.large) if self.swap(self.runs) else (self.large, self.small)
        return first(x).sum() + second(x).sum()


def test_a_forward_that_calls_its_layers_in_turn_gives_no_layer_the_time_of_another():
    found = timed(Alternating(lambda run: run % 2 == 0), shape=(1, 16, 24, 24))
    assert {layer.in_model for layer in found.layers} == {()}
    assert all("in another order" in layer.reason for layer in found.layers)


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(random.random, id="python"),
        pytest.param(np.random.random, id="numpy"),
        pytest.param(lambda: float(torch.rand(())), id="torch"),
    ],
)
def test_each_run_draws_what_the_observed_one_drew(draw):
    request = TimeRequest(budget_seconds=1, alone=False)
    opened = open_model(
        Alternating(lambda _: draw() < 0.5), Request(input_shape=(1, 16, 24, 24), time=request)
    )
    found = dict(
        zip((layer.name for layer in opened.network.layers), opened.time(request).layers, strict=True)
    )
    assert {layer.reason for layer in found.values()} == {None}
    assert min(found["large"].in_model) > min(found["small"].in_model)


class AsItsValuesSay(nn.Conv2d):
    """Called as often as its input's first value says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(int(x[0, 0, 0, 0])):
            x = super().forward(x)
        return x


def test_a_layer_that_runs_more_often_than_the_audit_counts_has_no_time_of_one_call():
    model = AsItsValuesSay(2, 2, 1)
    once = open_model(model, Request(inputs=torch.ones(1, 2, 4, 4)))
    data = {"x": np.full((1, 2, 4, 4), 3.0, np.float32)}
    how = TimeRequest(alone=False, budget_seconds=0.2)
    found = timer.time_torch(model, once.network, how, input_shape=(1, 2, 4, 4), data=data)
    assert found.layers[0].in_model == ()
    assert re.search(r"called it 3 times, the audit counts 1", found.layers[0].reason)
    assert "unattributed" in {part.kind for part in found.parts}


class SetsThreads(nn.Conv2d):
    """Computes on as many threads as it likes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.set_num_threads(2)
        return super().forward(x)


def test_threads_that_a_forward_sets_are_told():
    before = torch.get_num_threads()
    found = timed(SetsThreads(16, 16, 1))
    assert re.search("times are of 2 threads", found.warnings[-1])
    assert torch.get_num_threads() == before
    assert timed(nn.Conv2d(16, 16, 1)).warnings == ()


def test_a_device_whose_kernels_are_not_waited_for_is_refused(monkeypatch):
    monkeypatch.setattr(timer, "TIMED_DEVICES", ("cuda",))
    with pytest.raises(UsageError, match="times are told of CPUs and CUDA devices, it computes on cpu"):
        timed(nn.Conv2d(16, 16, 1))


def test_a_model_on_several_devices_is_refused(monkeypatch):
    devices = {torch.device("cpu"), torch.device("cuda", 0)}
    monkeypatch.setattr(timer, "observe", lambda *_: timer.Observed(devices=devices))
    with pytest.raises(UsageError, match="times are told of one device, it computes on cpu, cuda:0"):
        timed(nn.Conv2d(16, 16, 1))


def test_a_profiler_that_runs_is_not_ended():
    with torch.profiler.profile() as profiler:
        with pytest.raises(UsageError, match="profiler is running"):
            timed(nn.Conv2d(16, 16, 1))
        torch.relu(torch.zeros(1))
    assert "aten::relu" in {event.name for event in profiler.events()}
