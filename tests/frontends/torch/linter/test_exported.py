"""The rules of the graph on torch models: found through an export that is the same network, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import convaudit
from convaudit.frontends import LintRequest
from convaudit.frontends.torch.linter import exported
from convaudit.frontends.torch.linter.exported import NotExportedError, lint_exported
from convaudit.frontends.torch.walker.walk import walk_torch

IMAGE = (1, 3, 8, 8)


class Net(nn.Module):
    """A weight that is computed, a module that runs twice, and channels that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 4, 1)
        self.computed = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1))
        self.twice = nn.Conv2d(4, 4, 1)
        with torch.no_grad():
            self.first.weight[2] = 0
            self.second.weight[:, 5] = 0
            self.computed.parametrizations.weight.original0[1] = 0
            self.twice.weight[2] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(torch.relu(self.norm(self.first(x))))
        return self.twice(self.twice(self.computed(x)))


@pytest.fixture(scope="module")
def net() -> Net:
    return Net().train()


def lint(module, network=None):
    called_with = {"input_shape": IMAGE, "inputs": None}
    network = network or walk_torch(module, **called_with)
    return lint_exported(module, network, LintRequest(), called_with)


@pytest.fixture(scope="module")
def proto(net):
    called_with = {"input_shape": IMAGE, "inputs": None}
    network = walk_torch(net, **called_with)
    return network, exported._exported(net, network, called_with)


def test_channels_that_nothing_reads_are_found_by_their_modules_names(net, proto, monkeypatch):
    monkeypatch.setattr(exported, "_exported", lambda *_: proto[1])
    findings = convaudit.lint(net, input_shape=IMAGE)
    assert net.training
    found = {(one.rule, one.layer, one.channels) for one in findings}
    assert {
        ("CA101", "first", (2,)),  # which has no bias; its export has a computed one of zeros
        ("CA102", "first", (5,)),
        ("CA101", "computed", (1,)),
        ("CA101", "twice", (2,)),
    } <= found
    assert not any(one.fixable for one in findings)
    assert findings.notes == (
        "the rules of the graph were looked at in the model as torch exports it; they hold for x 1x3x8x8",
    )


def test_without_the_exporter_only_weights_are_looked_at(net, monkeypatch):
    monkeypatch.setattr(exported, "NEEDED", "no_such_package_at_all")
    findings = convaudit.lint(net, input_shape=IMAGE)
    assert {one.rule for one in findings} == {"CA101", "CA105"}
    assert "torch exports with no_such_package_at_all, which is not installed" in findings.notes[0]


OTHER = [
    pytest.param({"groups": 2}, "is none of the model's", id="groups"),
    pytest.param({"stride": (2, 2)}, "is none of the model's", id="stride"),
    pytest.param({"weight_name": "second.weight"}, "is none of the model's", id="weight"),
    pytest.param({"input_shape": (1, 3, 9, 9)}, "is none of the model's", id="size"),
    pytest.param({"calls": 2}, "first is not among the exported", id="calls"),
    pytest.param({"calls": None}, "how often its convolutions run is unknown", id="calls-unknown"),
]


@pytest.mark.parametrize(("changed", "message"), OTHER)
def test_an_export_that_is_another_network_is_not_trusted(net, proto, changed, message, monkeypatch):
    network, made = proto
    monkeypatch.setattr(exported, "_exported", lambda *_: made)
    first, *others = network.layers
    with pytest.raises(NotExportedError, match=message):
        lint(net, replace(network, layers=(replace(first, **changed), *others)))


def test_an_export_with_other_weights_is_not_trusted(net, proto, monkeypatch):
    network, made = proto
    copied = type(made)()
    copied.CopyFrom(made)
    tensor = next(one for one in copied.graph.initializer if one.name == "first.weight")
    tensor.raw_data = tensor.raw_data[:-4] + bytes(4)
    monkeypatch.setattr(exported, "_exported", lambda *_: copied)
    with pytest.raises(NotExportedError, match=r"first: the exported weight is another one"):
        lint(net, network)


class ByValue(nn.Module):
    """Which convolution runs is a question of values: a trace would freeze the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x) if x.sum() > 0 else self.one(-x)


def test_control_flow_by_values_is_not_frozen(capfd):
    network = walk_torch(ByValue(), input_shape=IMAGE, fake=False)
    capfd.readouterr()
    with pytest.raises(NotExportedError, match=r"torch does not export it: (?!Failed to export)[^\x1b]+$"):
        lint(ByValue(), network)
    assert capfd.readouterr() == ("", "")
