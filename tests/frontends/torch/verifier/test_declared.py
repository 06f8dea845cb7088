"""What a convolution module declares is compared with what ran in it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional, utils
from torch.nn.utils import prune

from convaudit.frontends.torch.verifier.in_situ import verify_in_situ
from convaudit.frontends.torch.walker.walk import walk_torch
from convaudit.records import Verification

IMAGE = {"input_shape": (1, 4, 9, 9)}


def verdict_of(module: nn.Module, **given: Any) -> Verification:
    given = given or IMAGE
    (verdict,) = set(verify_in_situ(module, walk_torch(module, **given), **given).verdicts)
    return verdict


# --- modules that are not what they declare --------------------------------------------------------------


class IgnoresGroups(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(4, 8, 3, groups=2)
        self.weight = nn.Parameter(torch.randn(8, 4, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias)


class Ignores(nn.Conv2d):
    """A forward that leaves an attribute out."""

    def __init__(self, left_out: str, **options: Any) -> None:
        super().__init__(4, 8, 3, **options)
        self.left_out = left_out

    def forward(self, x: Tensor) -> Tensor:
        options = {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}
        del options[self.left_out]
        return functional.conv2d(x, self.weight, self.bias, **options)


class Stale(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(4, 8, 3)
        self.kept = torch.randn(8, 4, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.kept, self.bias)


class Kept(nn.Conv2d):
    """The stale weight is where nobody looks for tensors."""

    def __init__(self) -> None:
        super().__init__(4, 8, 3)
        weight = torch.randn(8, 4, 3, 3)
        self.kept = lambda: weight

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.kept(), self.bias)


class Permuted(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight.flip(0), self.bias)


class Replaced(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, torch.randn_like(self.weight), self.bias)


class TakesAnothers(nn.Module):
    """A sibling's weight of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(4, 8, 3)
        self.conv = nn.Conv2d(4, 8, 3)
        self.conv._conv_forward = lambda x, _, bias: functional.conv2d(x, self.other.weight, bias)  # type: ignore[method-assign]

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def hooked() -> nn.Module:
    module = nn.Conv2d(4, 8, 3)
    module.register_forward_hook(lambda _module, _args, output: 2 * output)
    return module


def hooked_in_place() -> nn.Module:
    module = nn.Conv2d(4, 8, 3)
    module.register_forward_hook(lambda _module, _args, output: output.mul_(2))
    return module


def hooked_before() -> nn.Module:
    module = nn.Conv2d(4, 8, 3)
    module.register_forward_pre_hook(lambda _module, args: (2 * args[0],))
    return module


def hooked_before_in_place() -> nn.Module:
    module = nn.Conv2d(4, 8, 3)
    module.register_forward_pre_hook(lambda _module, args: (args[0].mul_(2),))
    return module


def hooked_through_data() -> nn.Module:
    """What ``data`` and NumPy's views write, torch does not count."""
    module = nn.Conv2d(4, 8, 3)

    def write(_module: Any, _args: Any, output: Tensor) -> None:
        output.data.copy_(output.flip(1))

    module.register_forward_hook(write)
    return module


def hooked_before_through_data() -> nn.Module:
    module = nn.Conv2d(4, 8, 3)

    def write(_module: Any, args: Any) -> None:
        args[0].data.mul_(2)

    module.register_forward_pre_hook(write)
    return module


def hooked_with_another() -> nn.Module:
    """A hook that convolves again, and returns that."""
    module = nn.Conv2d(4, 8, 3)
    module.register_forward_hook(lambda m, args, _: functional.conv2d(args[0], 2 * m.weight, m.bias))
    return module


def with_forward_on_the_instance() -> nn.Module:
    module = nn.Conv2d(4, 8, 3)
    module.forward = lambda x: 2 * functional.conv2d(x, module.weight, module.bias)  # type: ignore[method-assign]
    return module


CONV2D = functional.conv2d
WRONG = [
    pytest.param(IgnoresGroups, "miscounted", r"^groups=2 is declared, but groups=1 ran", id="groups"),
    pytest.param(
        lambda: Ignores("stride", stride=2),
        "miscounted",
        r"^stride=\(2, 2\) .* stride=\(1, 1\) ran",
        id="stride",
    ),
    pytest.param(
        lambda: Ignores("padding", padding=1),
        "miscounted",
        r"^padding=\(1, 1\) is declared \(2x2 in all\), but 0x0 ran",
        id="padding",
    ),
    pytest.param(
        lambda: Ignores("padding", padding="same"),
        "miscounted",
        r"^padding='same' is declared \(2x2 in all\), but 0x0 ran",
        id="padding-same",
    ),
    pytest.param(
        lambda: Ignores("padding", padding=1, padding_mode="reflect"),
        "miscounted",
        r"^padding=\(1, 1\) is declared \(2x2 in all\), but 0x0 ran",
        id="padding-reflect",
    ),
    pytest.param(
        lambda: Ignores("dilation", dilation=2),
        "miscounted",
        r"^dilation=\(2, 2\) .* dilation=\(1, 1\) ran",
        id="dilation",
    ),
    pytest.param(Stale, "mismatch", "^the weight that ran is not the module's, nor computed", id="stale"),
    pytest.param(Kept, "mismatch", "^the weight that ran is not the module's, nor computed", id="kept"),
    pytest.param(
        lambda: Permuted(4, 8, 3), "mismatch", "^the weight that ran holds .* in another order", id="permuted"
    ),
    pytest.param(
        lambda: Replaced(4, 8, 3), "mismatch", "^the weight that ran is not the module's", id="replaced"
    ),
    pytest.param(TakesAnothers, "mismatch", "^the weight that ran is not the module's", id="another's"),
    pytest.param(hooked, "mismatch", "^a hook or a patched function changes the .* output", id="hook"),
    pytest.param(hooked_in_place, "mismatch", "changes the convolution's output", id="hook-in-place"),
    pytest.param(hooked_before, "mismatch", "changes the input before the", id="pre-hook"),
    pytest.param(hooked_before_in_place, "mismatch", "writes to the input before", id="pre-hook-in-place"),
    pytest.param(hooked_through_data, "mismatch", "changes the convolution's output", id="hook-data"),
    pytest.param(hooked_before_through_data, "mismatch", "writes to the input before", id="pre-hook-data"),
    pytest.param(
        with_forward_on_the_instance, "mismatch", "changes the convolution's output", id="instance-forward"
    ),
]


@pytest.mark.parametrize(("build", "status", "reason"), WRONG)
def test_a_module_that_is_not_what_it_declares_is_accused(
    build: Callable[[], nn.Module], status: str, reason: str
) -> None:
    verdict = verdict_of(build())
    assert verdict.status == status, verdict
    assert re.search(reason, verdict.reason), verdict.reason
    assert "what ran is by itself within rounding" in verdict.reason


class Called(nn.Conv2d):
    """Its class changes the result behind everything that torch lets one watch."""

    def __call__(self, x: Tensor) -> Tensor:
        result: Tensor = super().__call__(x)
        return 2 * result


def test_a_call_of_the_class_s_own_is_told() -> None:
    assert re.search("its class's own __call__ may change", verdict_of(Called(4, 8, 3)).reason)


def test_a_hook_that_convolves_again_is_not_passed() -> None:
    module: Any = hooked_with_another()
    given: Any = IMAGE
    for verdict in verify_in_situ(module, walk_torch(module, **given), **given).verdicts:
        assert verdict.status == "not_supported"
        assert verdict.reason.startswith("2 convolutions ran in it, so what it declares is compared with")


PATCHES = [
    pytest.param(
        lambda x, w, b, *rest: 2 * CONV2D(x, w, b, *rest),
        {},
        "changes the convolution's output",
        id="doubled",
    ),
    pytest.param(lambda x, w, b, *rest: CONV2D(2 * x, w, b, *rest), {}, "changes the input", id="input"),
    pytest.param(
        lambda x, w, b, s, p, d, g: CONV2D(x, w, b, s, 0, d, g),
        {"padding": 1},
        "is declared .2x2 in all., but 0x0 ran",
        id="padding",
    ),
    pytest.param(
        lambda x, w, b, *rest: CONV2D(x, w, None, *rest), {}, "a bias is declared, but none ran", id="bias"
    ),
    pytest.param(
        lambda x, w, b, *rest: CONV2D(x, w + 1, b, *rest),
        {},
        "patched function changes the weight",
        id="weight",
    ),
]


@pytest.mark.parametrize(("patch", "options", "reason"), PATCHES)
def test_a_patched_function_is_noticed(
    patch: Any, options: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functional, "conv2d", patch)
    verdict = verdict_of(nn.Conv2d(4, 8, 3, **options))
    assert verdict.failed
    assert re.search(reason, verdict.reason), verdict.reason


# --- modules that are ----------------------------------------------------------------------------------


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight / weight.std(), self.bias)


class PadsItself(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


class CutsItself(nn.Conv1d):
    """Causal: pads both ends and drops what looks ahead."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., :-2]


class AndActs(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


class ByInput(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * x.mean(), self.bias)


class Sliced(nn.Conv2d):
    """A supernet's, of which half the outputs are wanted."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight[:4], None if self.bias is None else self.bias[:4])


class InTwoHalves(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        halves = zip(self.weight.chunk(2), self.bias.chunk(2), strict=True)  # type: ignore[union-attr]
        return torch.cat([self._conv_forward(x, weight, bias) for weight, bias in halves], dim=1)


class Opaque(nn.Module):
    """Hands over oneDNN's own layout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.to_mkldnn()).to_dense()  # type: ignore[no-any-return]


class ToSize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 8, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x, output_size=[20, 20])


class Ensemble(nn.Module):
    """vmap runs three convolutions as one of more groups."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, groups=2, bias=False)
        self.weights = nn.Parameter(torch.randn(3, 8, 2, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda weight: torch.func.functional_call(self.conv, {"weight": weight}, (x,)))(
            self.weights
        )


class Gradient(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: self.conv(x).sum())(x)  # type: ignore[no-any-return]


class WithAnothersWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)

    def forward(self, x: Tensor) -> Any:
        return torch.func.functional_call(self.conv, {"weight": 2 * self.conv.weight}, (x,))


def weight_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return utils.weight_norm(module)


def qat(kind: Any) -> nn.Module:
    config = torch.ao.quantization.get_default_qat_qconfig("x86")
    module: nn.Module = kind(4, 8, 3, qconfig=config)
    return module


def tied() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    module[1].weight = module[0].weight
    return module


HONEST = [
    pytest.param(lambda: nn.Conv2d(4, 8, 3, 2, 1, 2, 2), IMAGE, "", id="all-options"),
    pytest.param(lambda: nn.Conv2d(4, 8, (3, 4), padding="same"), IMAGE, "", id="same"),
    pytest.param(lambda: nn.Conv2d(4, 8, 4, padding="same", dilation=3), IMAGE, "", id="same-dilated"),
    pytest.param(lambda: nn.Conv2d(4, 8, 3, padding="valid"), IMAGE, "", id="valid"),
    *[
        pytest.param(lambda m=mode: nn.Conv2d(4, 8, 3, padding=(1, 2), padding_mode=m), IMAGE, "", id=mode)
        for mode in ("reflect", "replicate", "circular")
    ],
    pytest.param(
        lambda: nn.Conv2d(4, 8, 4, padding="same", padding_mode="circular"), IMAGE, "", id="same-circular"
    ),
    pytest.param(lambda: nn.Conv2d(4, 8, 3, bias=False), {"input_shape": (4, 9, 9)}, "", id="unbatched"),
    pytest.param(lambda: nn.Conv1d(4, 8, 3, padding=2), {"input_shape": (4, 9)}, "", id="unbatched-1d"),
    pytest.param(
        lambda: nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"),
        {"input_shape": (4, 9, 9)},
        "",
        id="unbatched-reflect",
    ),
    pytest.param(
        lambda: nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last), IMAGE, "", id="channels-last"
    ),
    pytest.param(lambda: nn.ConvTranspose2d(4, 8, 3, 2, 1, 1, 2, dilation=2), IMAGE, "", id="transposed"),
    pytest.param(ToSize, IMAGE, "", id="transposed-to-size"),
    pytest.param(lambda: nn.LazyConv2d(8, 3, padding=1), IMAGE, "", id="lazy"),
    pytest.param(lambda: nn.Conv2d(4, 8, 3).bfloat16(), IMAGE, "", id="bfloat16"),
    pytest.param(tied, IMAGE, "", id="tied"),
    pytest.param(Opaque, IMAGE, "", id="opaque-layout"),
    pytest.param(lambda: InTwoHalves(4, 8, 3), IMAGE, "2 convolutions ran in it", id="two-halves"),
    pytest.param(Ensemble, IMAGE, "", id="vmap"),
    pytest.param(Gradient, IMAGE, "", id="grad"),
    pytest.param(WithAnothersWeight, IMAGE, "", id="functional-call"),
    pytest.param(lambda: weight_norm(nn.Conv2d(4, 8, 3)), IMAGE, "", id="weight-norm"),
    pytest.param(
        lambda: utils.parametrizations.weight_norm(nn.Conv2d(4, 8, 3)), IMAGE, "", id="parametrised"
    ),
    pytest.param(lambda: utils.parametrizations.spectral_norm(nn.Conv2d(4, 8, 3)), IMAGE, "", id="spectral"),
    pytest.param(lambda: prune.l1_unstructured(nn.Conv2d(4, 8, 3), "weight", 0.3), IMAGE, "", id="pruned"),
    pytest.param(
        lambda: qat(torch.ao.nn.qat.Conv2d),
        IMAGE,
        "the weight that ran is computed from",
        id="fake-quantised",
    ),
    pytest.param(
        lambda: qat(torch.ao.nn.intrinsic.qat.ConvBn2d),
        IMAGE,
        "goes on with the convolution's result",
        id="fused",
    ),
    pytest.param(
        lambda: torch.ao.nn.intrinsic.ConvReLU2d(nn.Conv2d(4, 8, 3), nn.ReLU()), IMAGE, "", id="intrinsic"
    ),
    pytest.param(
        lambda: Standardised(4, 8, 3),
        IMAGE,
        "the weight that ran is computed from the declared",
        id="standardised",
    ),
    pytest.param(
        lambda: PadsItself(4, 8, 3, 2), IMAGE, "its forward changes its input's size", id="pads-itself"
    ),
    pytest.param(
        lambda: CutsItself(4, 8, 3, padding=2),
        {"input_shape": (1, 4, 9)},
        "goes on with the convolution's result",
        id="causal",
    ),
    pytest.param(lambda: AndActs(4, 8, 3), IMAGE, "goes on with the convolution's result", id="activation"),
    pytest.param(lambda: ByInput(4, 8, 3), IMAGE, "is computed from the forward's input", id="dynamic"),
    pytest.param(lambda: Sliced(4, 8, 3), IMAGE, "a weight 8x4x3x3 is declared, but 4x4x3x3 ran", id="slice"),
]


@pytest.mark.parametrize(("build", "given", "note"), HONEST)
def test_an_honest_module_is_not_accused(build: Callable[[], nn.Module], given: Any, note: str) -> None:
    module = build()
    for verdict in verify_in_situ(module, walk_torch(module, **given), **given).verdicts:
        assert verdict.verified, verdict
        assert note in verdict.reason
        assert note or ";" not in verdict.reason, verdict.reason


@pytest.mark.parametrize(
    "surroundings", [torch.inference_mode, lambda: torch.autocast("cpu")], ids=["inference", "autocast"]
)
def test_an_honest_module_is_not_accused_in_any_mode(surroundings: Any) -> None:
    with surroundings():
        assert verdict_of(nn.Conv2d(16, 8, 3, padding=1), input_shape=(1, 16, 9, 9)).verified


def test_complex_convolutions_are_not_accused() -> None:
    module = nn.Conv2d(4, 8, 3, dtype=torch.complex64)
    given: Any = IMAGE
    assert all(v.verified for v in verify_in_situ(module, walk_torch(module, **given), **given).verdicts)


def test_a_layer_called_right_and_then_wrong_is_accused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1)
            self.calls = 0
            self.conv.register_forward_hook(self.second)

        def second(self, _module: nn.Module, _args: Any, output: Tensor) -> Tensor:
            self.calls += 1
            return output if self.calls == 1 else -output

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.conv(x))

    assert verdict_of(Twice()).status == "mismatch"
