"""What ``torch.compile`` made of a module is run and compared with the module run eagerly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convaudit.frontends.torch.verifier.compiled import compiled_parts
from convaudit.frontends.torch.verifier.in_situ import verify_in_situ
from convaudit.frontends.torch.walker.walk import walk_torch
from convaudit.records import Verification

IMAGE = {"input_shape": (1, 4, 8, 8)}


def backend(change: Callable[[Tensor], Tensor]) -> Any:
    """A compiler that changes what a graph returns."""
    return lambda graph, _: lambda *args: tuple(change(output) for output in graph(*args))


doubling = backend(lambda output: 2 * output)


def refusing(*_: object) -> None:
    raise RuntimeError("no compiler is installed")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3)
        self.second = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Any:
        return self.second(self.first(x).relu())


@torch.compile(backend=doubling)
def helper(x: Tensor) -> Tensor:
    return x + 1


class CallsCompiled(Net):
    def forward(self, x: Tensor) -> Tensor:
        return helper(self.second(self.first(x)))


class CompiledForward(Net):
    @torch.compile(backend=doubling)  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


def wrapper(x: Tensor) -> Tensor:
    return helper(x)


def compiles(x: Tensor) -> Tensor:
    compiled: Callable[[Tensor], Tensor] = torch.compile(torch.relu, backend=doubling)
    return compiled(x)


class CallsIndirectly(Net):
    """Nothing in its forward names compiled code."""

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.calls = [call]

    def forward(self, x: Tensor) -> Tensor:
        return self.calls[0](self.second(self.first(x)))


class Classifier(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).argmax(dim=1)


def in_place(made_by: Any) -> nn.Module:
    module = Net()
    module.compile(backend=made_by)
    return module


def on_the_instance() -> nn.Module:
    module = Net()
    module.forward = torch.compile(module.forward, backend=doubling)  # type: ignore[method-assign]
    return module


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> Iterator[None]:
    yield
    torch._dynamo.reset()


def verdicts(module: nn.Module) -> tuple[Verification, ...]:
    torch.manual_seed(0)
    return verify_in_situ(module, walk_torch(module, **IMAGE), **IMAGE).verdicts  # type: ignore[arg-type]


WRONG = r"within rounding when run eagerly, but the compiled code differs: output 0: "
UNKNOWN = r"within rounding when run eagerly, but not known to be as compiled: "


@pytest.mark.parametrize(
    ("build", "statuses", "reason"),
    [
        pytest.param(
            lambda: torch.compile(Net(), backend="eager"),
            ["within_rounding"] * 2,
            r"; the compiled code returns the same$",
            id="honest",
        ),
        pytest.param(
            lambda: torch.compile(Net(), backend=backend(lambda y: (y.double() / 3 * 3).float())),
            ["within_rounding"] * 2,
            r"; the compiled code returns the same$",
            id="rounded-another-way",
        ),
        pytest.param(
            lambda: in_place("eager"),
            ["within_rounding"] * 2,
            r"; the compiled code returns the same$",
            id="honest-in-place",
        ),
        pytest.param(
            lambda: torch.compile(Net(), backend=doubling),
            ["mismatch"] * 2,
            WRONG + r"it differs by 1 of its RMS, rounding changes it by \de-0[78]|\de-07",
            id="doubled",
        ),
        pytest.param(
            lambda: torch.compile(Net(), backend=backend(lambda y: y * (1 + 1e-5))),
            ["mismatch"] * 2,
            WRONG + r"it differs by 1(.0)?e-05",
            id="a-little-off",
        ),
        pytest.param(
            lambda: torch.compile(Net(), backend=backend(lambda y: y[..., :-1])),
            ["mismatch"] * 2,
            WRONG + r"it is \(1, 8, 6, 5\) float32, not \(1, 8, 6, 6\) float32",
            id="shape",
        ),
        pytest.param(
            lambda: torch.compile(Net(), backend=backend(lambda y: y * float("nan"))),
            ["mismatch"] * 2,
            WRONG + "it differs without bound",
            id="nan",
        ),
        pytest.param(
            lambda: torch.compile(Classifier(), backend=backend(lambda y: 7 - y)),
            ["mismatch"] * 2,
            WRONG + "its values differ",
            id="integers",
        ),
        pytest.param(lambda: in_place(doubling), ["mismatch"] * 2, WRONG, id="in-place"),
        pytest.param(CallsCompiled, ["mismatch"] * 2, WRONG, id="function"),
        pytest.param(CompiledForward, ["mismatch"] * 2, WRONG, id="decorated"),
        pytest.param(on_the_instance, ["mismatch"] * 2, WRONG, id="instance"),
        pytest.param(lambda: CallsIndirectly(helper), ["mismatch"] * 2, WRONG, id="in-a-list"),
        pytest.param(lambda: CallsIndirectly(wrapper), ["mismatch"] * 2, WRONG, id="inside"),
        pytest.param(lambda: CallsIndirectly(compiles), ["mismatch"] * 2, WRONG, id="compiles-itself"),
        pytest.param(
            lambda: torch.compile(Net(), backend=refusing),
            ["not_executed"] * 2,
            UNKNOWN + r"the compiled code cannot be run: .*no compiler is installed",
            id="no-compiler",
        ),
    ],
)
def test_compiled_code_is_judged(build: Callable[[], nn.Module], statuses: list[str], reason: str) -> None:
    found = verdicts(build())
    assert [verdict.status for verdict in found] == statuses, found
    for verdict in found:
        assert re.search(reason, verdict.reason), verdict.reason


def test_only_layers_of_the_compiled_part_are_accused() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), torch.compile(Net(), backend=doubling))
    assert compiled_parts(module) == {"1"}
    assert [verdict.status for verdict in verdicts(module)] == ["within_rounding", "mismatch", "mismatch"]


def test_only_layers_of_the_module_that_calls_compiled_code_are_accused() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), CallsIndirectly(helper))
    assert [verdict.status for verdict in verdicts(module)] == ["within_rounding", "mismatch", "mismatch"]


def test_the_module_stays_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    module = torch.compile(net, backend="eager")
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.get_rng_state()
    verify_in_situ(module, walk_torch(module, **IMAGE), **IMAGE)  # type: ignore[arg-type]
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(state, torch.get_rng_state())
    assert net.training
    assert module._orig_mod is net


def test_a_module_that_is_not_compiled_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled_parts(Net()) == set()
    monkeypatch.setattr(
        "convaudit.frontends.torch.verifier.in_situ.compare_compiled", None
    )  # would fail if called
    assert {verdict.status for verdict in verdicts(Net())} == {"within_rounding"}
