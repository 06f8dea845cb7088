"""Whatever a forward writes to, fills or keeps outside the module is as before afterwards."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from convaudit.errors import ConvauditError, UsageError
from convaudit.frontends.torch.inputs import Values, make_inputs
from convaudit.frontends.torch.walker.forward import real_forward
from convaudit.frontends.torch.walker.walk import walk_torch

SHAPE = (2, 4, 5, 5)


@dataclass
class Statistics:
    """State that no module knows of."""

    mean: Tensor = field(default_factory=lambda: torch.zeros(4))
    steps: int = 0


class Hoarder(nn.Module):
    """Keeps tensors wherever modules are not looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.listed = [torch.zeros(4), nn.BatchNorm2d(4)]
        self.mapped = {"counter": torch.zeros(3), "nested": [torch.ones(2)]}
        self.statistics = Statistics()
        self.view = torch.arange(6.0)[2:4]

    def forward(self, x: Tensor) -> Tensor:
        x = self.listed[1].train()(self.conv(x))
        self.listed[0] += x.mean((0, 2, 3)).detach()
        self.mapped["counter"][1] += 1
        self.mapped["nested"].append(x)
        self.mapped["nested"][0].mul_(3)
        self.statistics.mean.add_(1)
        self.statistics.steps += 1
        self.view.zero_()
        return x


class Trains(nn.Module):
    """Computes gradients of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)
        self.fast = nn.Parameter(torch.ones(4))
        self.fast.grad = torch.full((4,), 7.0)
        self.extra = [torch.ones(1, requires_grad=True)]

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            y = self.conv(x) * self.fast.view(1, 4, 1, 1) * self.extra[0]
            y.sum().backward()
        return y


@lru_cache
def grid(height: int, width: int) -> Tensor:
    return torch.ones(1, 1, height, width)


@cache
def unbounded(height: int) -> dict[str, list[Tensor]]:
    return {"rows": [torch.ones(height)]}


CACHE: dict[Any, Any] = {"old": torch.ones(1)}


class Caches(nn.Module):
    """Fills caches of functions, of its class, of its module."""

    shapes: ClassVar[dict[Any, Tensor]] = {}
    last: ClassVar[Any] = None

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    @lru_cache(maxsize=4)  # noqa: B019
    def scaled(self, factor: int) -> Tensor:
        return torch.ones(1) * factor

    def forward(self, x: Tensor) -> Tensor:
        shape = tuple(x.shape[2:])
        if shape not in self.shapes:
            self.shapes[shape] = torch.ones(shape)
        CACHE["old"] = CACHE["new"] = x.new_zeros(1)
        type(self).last = x
        x = self.conv(x) * grid(*shape) + self.shapes[shape] + self.scaled(3)
        return x + unbounded(shape[0])["rows"][0]


def hooked() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(4, 4, 3))
    seen: list[Any] = [1]
    state = {"last": None}

    def hook(_module: nn.Module, _args: Any, output: Tensor) -> None:
        seen.append(output)
        state["last"] = output
        hook.calls = output  # type: ignore[attr-defined]

    module.seen = lambda: (list(seen), dict(state))
    module[0].register_forward_hook(hook)
    return module


def fake(module: nn.Module) -> None:
    assert walk_torch(module, input_shape=SHAPE).warnings == ()


def real(module: nn.Module) -> None:
    real_forward(module, make_inputs(module, SHAPE), Values())


def frozen(value: Any) -> Any:
    """Tensors by identity and value, containers by what they hold."""
    if isinstance(value, Tensor):
        return id(value), type(value), value.requires_grad, value.tolist(), frozen(value.grad)
    if isinstance(value, nn.Module | Statistics):
        return type(value), frozen(vars(value))
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [frozen(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else id(value)


def live_fakes() -> int:
    gc.collect()
    return sum(type(item) is FakeTensor for item in gc.get_referrers(FakeTensor))


@pytest.mark.parametrize("forward", [fake, real])
@pytest.mark.parametrize("build", [Hoarder, Trains], ids=["hoarder", "trains"])
def test_tensors_that_no_module_knows_of_are_as_before(
    build: Callable[[], nn.Module], forward: Callable[[nn.Module], None]
) -> None:
    module = build()
    before = frozen(module)
    forward(module)
    assert frozen(module) == before


@pytest.mark.parametrize("forward", [fake, real])
@pytest.mark.parametrize("build", [Caches, hooked], ids=["caches", "hooked"])
def test_no_tensor_stays_behind(build: Callable[[], nn.Module], forward: Callable[[nn.Module], None]) -> None:
    module = build().eval()
    grid.cache_clear()
    Caches.scaled.cache_clear()
    before = live_fakes(), frozen([CACHE, Caches.shapes, Caches.last])
    closed_over = frozen(module.seen()) if build is hooked else None
    forward(module)
    assert grid.cache_info().currsize == Caches.scaled.cache_info().currsize == 0
    assert (live_fakes(), frozen([CACHE, Caches.shapes, Caches.last])) == before
    assert (frozen(module.seen()) if build is hooked else None) == closed_over
    assert type(module(torch.ones(SHAPE))) is Tensor  # the user's own forward, with real values in its caches


def test_what_cannot_be_undone_is_named() -> None:
    class Box:
        __slots__ = ("content",)

    box = Box()

    def forward(x: Tensor) -> Tensor:
        box.content = x
        return x

    module = nn.Sequential(nn.Conv2d(4, 4, 3))
    module.register_forward_hook(lambda _module, _args, output: forward(output))
    (warning,) = walk_torch(module, input_shape=SHAPE).warnings
    assert "1 tensor without values stays behind" in warning
    assert "Box.content" in warning
    assert "--real-run" in warning


class Batch:
    """An input that torch knows nothing of."""

    def __init__(self, image: Tensor) -> None:
        self.image = image
        self.sizes = [3]


@dataclass
class Sample:
    """Another one."""

    image: Tensor
    scale: float = 1.0


@pytest.mark.parametrize("kind", [Batch, Sample])
@pytest.mark.parametrize("count", [fake, real])
def test_inputs_inside_of_objects_are_not_written_to(kind: type[Any], count: Any) -> None:
    class Doubles(nn.Conv2d):
        def forward(self, batch: Any) -> Tensor:
            batch.image.mul_(2)
            batch.seen = batch.image
            return super().forward(batch.image)

    batch = kind(torch.ones(SHAPE))
    module = Doubles(4, 4, 3)
    before = frozen(vars(batch))
    if count is fake:
        network = walk_torch(module, inputs=(batch,))
        assert [(info.name, info.shape) for info in network.inputs] == [("batch.image", SHAPE)]
        assert network.layers[0].input_shape == SHAPE
    else:
        real_forward(module, make_inputs(module, inputs=(batch,)), Values())
    assert frozen(vars(batch)) == before


def test_tensors_of_inference_mode_are_audited_and_left_alone() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    with torch.inference_mode():
        module.half()
    states = (
        frozen(module),
        torch.get_rng_state().tolist(),
        random.getstate(),
        torch.is_autocast_cache_enabled(),
    )
    fake(module)
    real(module)
    assert states == (
        *(frozen(module), torch.get_rng_state().tolist()),
        *(random.getstate(), torch.is_autocast_cache_enabled()),
    )


def test_each_step_of_the_clean_up_runs_whatever_another_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any) -> None:
        raise RuntimeError("the clean-up failed")

    monkeypatch.setattr("convaudit.frontends.torch.guard._UndoWrites.restore", failing)
    monkeypatch.setattr("torch.clear_autocast_cache", failing)

    class Draws(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            random.random(), np.random.rand(), torch.rand(3)
            return super().forward(x)

    module = Draws(4, 4, 3)
    before = torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())
    grad, caching = torch.is_grad_enabled(), torch.is_autocast_cache_enabled()
    with pytest.raises((RuntimeError, ConvauditError), match="the clean-up failed"):
        walk_torch(module, input_shape=SHAPE)
    assert before == (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()))
    assert (grad, caching) == (torch.is_grad_enabled(), torch.is_autocast_cache_enabled())


@pytest.mark.parametrize("forward", [fake, real])
def test_what_a_forward_prints_does_not_go_to_stdout(
    forward: Callable[[nn.Module], None], capfd: pytest.CaptureFixture[str]
) -> None:
    class Talks(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            print("shape", tuple(x.shape))
            return super().forward(x)

    forward(Talks(4, 4, 3))
    assert capfd.readouterr() == ("", "shape (2, 4, 5, 5)\n")


def test_a_forward_for_real_is_asked_for_where_fake_tensors_cannot_do() -> None:
    class AsksForValues(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x[:, :, : 3 + int(x.abs().sum() > 0)])

    def network(**options: Any) -> Any:
        return walk_torch(AsksForValues(4, 4, 3), inputs=torch.ones(SHAPE), **options)

    asked, fallen_back = network(fake=False), network()
    assert asked.layers == fallen_back.layers
    assert asked.layers[0].input_shape == (2, 4, 4, 5)
    assert asked.warnings == (
        "the forward was run for real, as was asked for: counts are those of its inputs' values",
    )


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        pytest.param(
            lambda: torch.export.export(nn.Conv2d(4, 4, 3), (torch.ones(SHAPE),)),
            {},
            "for modules",
            id="program",
        ),
        pytest.param(lambda: nn.Conv2d(4, 4, 3), {"allow_run": False}, "exclude each other", id="no-run"),
        pytest.param(lambda: nn.Conv2d(4, 4, 3, device="meta"), {}, "on the meta device", id="meta"),
    ],
)
def test_a_real_run_that_makes_no_sense_is_refused(
    model: Callable[[], Any], options: dict[str, Any], message: str
) -> None:
    built = model()
    given = {"input_shape": SHAPE} if isinstance(built, nn.Module) else {}
    with pytest.raises(UsageError, match=message):
        walk_torch(built, fake=False, **given, **options)


KEPT: list[Any] = []


class KeepsItsInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        KEPT.append((object(), [[[[[x]]]]]))
        return self.conv(x)


def test_an_input_that_is_kept_out_of_reach_is_told_of() -> None:
    network = walk_torch(KeepsItsInput(), inputs=torch.ones(1, 4, 8, 8))
    KEPT.clear()
    assert any("1 tensor without values stays behind" in warning for warning in network.warnings)


def settings() -> tuple[object, ...]:
    return (
        torch.is_autocast_enabled("cpu"),
        torch.get_autocast_dtype("cpu"),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.mkldnn.enabled,
        torch.get_num_threads(),
    )


class ChangesSettings(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        torch.set_autocast_enabled("cpu", True)
        torch.set_autocast_dtype("cpu", torch.float16)
        torch.set_default_dtype(torch.float64)
        torch.use_deterministic_algorithms(True)
        torch.backends.mkldnn.enabled = False
        torch.set_num_threads(torch.get_num_threads() + 1)
        return y


@pytest.mark.parametrize("fake", [True, False], ids=["fake", "real"])
def test_settings_of_torch_are_as_before(fake: bool) -> None:
    before = settings()
    walk_torch(ChangesSettings(), input_shape=(1, 4, 8, 8), fake=fake)
    assert settings() == before


class Registry:
    """Another class of the same Python module."""

    only: ClassVar[Any] = None


def remembered(size: int, memory: dict[int, Tensor] = {}) -> Tensor:  # noqa: B006
    return memory.setdefault(size, torch.ones(size))


class AsksOthers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if Registry.only is None:
            Registry.only = torch.ones(6)
        return self.conv(x) * Registry.only + remembered(6)


def test_what_other_classes_and_defaults_keep_is_undone() -> None:
    module, x = AsksOthers(), torch.ones(1, 4, 8, 8)
    assert walk_torch(module, inputs=x).warnings == ()
    assert not isinstance(module(x), FakeTensor)
