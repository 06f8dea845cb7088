"""Lint of torch models: the rules of one layer on weights as operators get them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune, spectral_norm
from torch.nn.utils.parametrizations import weight_norm

import convaudit
from convaudit.errors import LoadError, UsageError
from convaudit.lints import linted

IMAGE = (1, 3, 9, 9)


@pytest.fixture(autouse=True)
def _without_the_exporter(monkeypatch):
    monkeypatch.setattr("convaudit.frontends.torch.linter.exported.NEEDED", "no_such_package_at_all")


def found(model, **keywords):
    findings = convaudit.lint(model, **{"input_shape": IMAGE, **keywords})
    return [(finding.rule, finding.layer, finding.channels) for finding in findings], findings.notes


def conv(inputs=3, outputs=4, size=3, **keywords):
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, size, **keywords)


def with_zeros(module, *channels):
    with torch.no_grad():
        module.weight[list(channels)] = 0
    return module


def test_a_module_is_left_as_it_was_and_its_zero_filters_are_found():
    module = nn.Sequential(with_zeros(conv(), 1, 3), nn.ReLU(), conv(4, 4)).train()
    before = copy.deepcopy(module.state_dict())
    claims, notes = found(module)
    assert claims[0] == ("CA101", "0", (1, 3))
    assert module.training
    assert all((before[name] == value).all() for name, value in module.state_dict().items())
    assert any("rules of the graph" in note for note in notes)


def pruned():
    module = conv()
    prune.ln_structured(module, "weight", amount=0.5, n=1, dim=0)
    zero = tuple((module.weight_mask.flatten(1).sum(1) == 0).nonzero().flatten().tolist())
    assert (module.weight_orig != 0).all()
    return module, zero


def test_a_pruned_weight_is_what_its_mask_leaves():
    module, zero = pruned()
    assert len(zero) == 2
    assert found(nn.Sequential(module))[0] == [("CA101", "0", zero)]


def test_a_computed_weight_is_what_the_operator_gets_not_what_the_module_kept():
    module = torch.nn.utils.weight_norm(conv())
    with torch.no_grad():
        module.weight_g[2] = 0  # ``module.weight`` is only computed again by the next forward
    assert (module.weight != 0).all()
    assert found(nn.Sequential(module))[0] == [("CA101", "0", (2,))]


def test_a_parametrised_weight_is_looked_at():
    module = weight_norm(conv())
    with torch.no_grad():
        module.parametrizations.weight.original0[1] = 0
    assert found(nn.Sequential(module))[0] == [("CA101", "0", (1,))]


class Dynamic(nn.Module):
    """A weight made of the input."""

    def forward(self, x):
        return nn.functional.conv2d(x, torch.zeros(4, 3, 1, 1) * x.mean())


def test_a_weight_made_of_the_input_is_not_looked_at():
    with pytest.raises(LoadError, match="Dynamic: its weight is computed at run time, so nothing is known"):
        found(Dynamic())


def test_a_weight_without_values_is_not_looked_at():
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(LoadError, match=r"0: its weight has no values \(device meta\), so nothing is known"):
        found(module)


def test_a_computed_weight_whose_forward_fails_is_said():
    class Picky(nn.Sequential):
        def forward(self, x):
            if not torch.compiler.is_compiling() and x.__class__ is torch.Tensor:
                raise RuntimeError("not on values")
            return super().forward(x)

    with pytest.raises(LoadError, match="the forward that would show it failed"):
        found(Picky(pruned()[0]))


def test_a_shared_module_counts_once():
    shared = with_zeros(conv(4, 4, 1), 2)
    findings = convaudit.lint(nn.Sequential(shared, nn.ReLU(), shared), input_shape=(1, 4, 5, 5))
    (finding,) = [finding for finding in findings if finding.rule == "CA101"]
    assert finding.removable_params == 5
    assert finding.removable_macs == 2 * 4 * 25


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_every_real_type_is_looked_at(dtype):
    module = nn.Sequential(with_zeros(conv(), 0)).to(dtype)
    assert found(module)[0] == [("CA101", "0", (0,))]


def test_an_exported_program_and_torchscript_are_looked_at():
    module = nn.Sequential(with_zeros(conv(), 1), nn.ReLU()).eval()
    x = torch.zeros(IMAGE)
    program = torch.export.export(module, (x,))
    assert found(program, input_shape=None)[0] == [("CA101", "0", (1,))]
    assert found(torch.jit.trace(module, x))[0] == [("CA101", "0", (1,))]


def test_columns_that_are_zero_are_said():
    module = conv(4, 4, 1)
    with torch.no_grad():
        module.weight[:, 2] = 0
    findings = convaudit.lint(nn.Sequential(module), input_shape=(1, 4, 5, 5))
    assert [(one.rule, one.message) for one in findings] == [
        ("CA105", "all weights for 1 of 4 input channels are zero: 2")
    ]
    assert "export the model" in findings[0].reason


def test_spectral_norm_in_training_mode_is_looked_at_as_in_eval_mode():
    module = nn.Sequential(spectral_norm(with_zeros(conv(), 3))).train()
    assert found(module)[0] == [("CA101", "0", (3,))]


def test_a_smaller_network_is_not_made_of_a_module():
    with pytest.raises(UsageError, match=r"Sequential: a smaller network is made of an ONNX one; export"):
        convaudit.fix(nn.Sequential(conv()), input_shape=IMAGE)


def test_inputs_say_the_sizes():
    module = nn.Sequential(with_zeros(conv(), 0))
    (finding,) = convaudit.lint(module, inputs=torch.zeros(IMAGE), select="CA101")
    assert finding.removable_macs == convaudit.lint(module, input_shape=IMAGE)[0].removable_macs


def test_times_are_taken_of_torch_too():
    report = linted(nn.Sequential(conv()), source_keywords={"input_shape": IMAGE}, time=1.0)
    assert "nothing is timed: no layer has groups" in report.notes
