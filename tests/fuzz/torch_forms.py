"""Random small torch modules in many forms, of which parameters and MACs are known by construction.

``python -m tests.fuzz.torch_forms SEED N`` makes N of them. An audit must give these numbers or say that they
are unknown, and leave the module, its outputs and torch's state bit for bit as they were.
"""

from __future__ import annotations

import copy
import functools
import io
import math
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._higher_order_ops.map import map as torch_map
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch._subclasses.fake_tensor import FakeTensor
from torch.export import Dim
from torch.nn import functional
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from convaudit.analyzer import analyze
from convaudit.formulas import Formula
from convaudit.frontends.torch.walker.walk import walk_torch
from convaudit.records import AuditReport
from tests.fuzz.children import Child

CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@dataclass
class Expected:
    """What an audit must find. The formulas are written out here, without anything of convaudit.

    Attributes:
        params: Stored elements that convolutions use, each tensor once.
        macs: Multiply-accumulates of the convolutions for one image.
        other_macs: Those of other operators.
        unknown: Whether the numbers cannot be known without values.
    """

    params: int = 0
    macs: int = 0
    other_macs: int = 0
    unknown: bool = False


@dataclass
class Plan:
    """One convolution's attributes, drawn at random."""

    rank: int
    channels: int
    out: int
    groups: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    bias: bool
    sizes: tuple[int, ...]

    @classmethod
    def draw(cls, rng: random.Random, channels: int, sizes: tuple[int, ...], *, keeps: bool = False) -> Plan:
        """One that fits an input; ``keeps``: with an output of the input's shape."""
        rank = len(sizes)
        kernel = tuple(rng.choice([1, 3] if keeps else [1, 2, 3]) for _ in sizes)
        dilation = tuple(1 if keeps else rng.choice([1, 1, 2]) for _ in sizes)
        padding = tuple(k // 2 if keeps else rng.randint(0, k // 2) for k in kernel)
        kernel = tuple(
            k if n + 2 * p > d * (k - 1) + 1 else 1
            for k, n, p, d in zip(kernel, sizes, padding, dilation, strict=True)
        )
        padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
        stride = tuple(1 if keeps else rng.choice([1, 1, 2]) for _ in sizes)
        out = channels if keeps else rng.choice([4, 8])
        groups = rng.choice([g for g in (1, 2, 4, 8) if channels % g == 0 and out % g == 0])
        return cls(rank, channels, out, groups, kernel, stride, padding, dilation, rng.random() < 0.7, sizes)

    @property
    def attributes(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    def module(self, **changes: Any) -> nn.Module:
        options = {**self.attributes, "bias": self.bias} | changes
        return CONV[self.rank](self.channels, self.out, self.kernel, **options)

    def output_sizes(self, padding: tuple[int, ...] | None = None) -> tuple[int, ...]:
        axes = zip(self.sizes, self.kernel, self.stride, padding or self.padding, self.dilation, strict=True)
        return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)

    @property
    def weight(self) -> int:
        return self.out * (self.channels // self.groups) * math.prod(self.kernel)

    @property
    def params(self) -> int:
        return self.weight + (self.out if self.bias else 0)

    @property
    def macs(self) -> int:
        return self.weight * math.prod(self.output_sizes())


class Piece(nn.Module):
    """Modules and a function of them and the input."""

    def __init__(self, run: Callable[..., Tensor], **members: Any) -> None:
        super().__init__()
        self.run = run
        for name, member in members.items():
            setattr(self, name, member)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


Made = tuple[nn.Module, Expected, int, tuple[int, ...]]
"""A piece, what it costs, and the channels and sizes that it hands on."""


def whole(plan: Plan, module: nn.Module, calls: int = 1, **more: Any) -> Made:
    expected = Expected(params=plan.params, macs=calls * plan.macs, **more)
    return module, expected, plan.out, plan.output_sizes()


def plain(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    return whole(plan, plan.module())


def with_relu(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    plan.bias = True  # freezing folds the normalisation into the convolution, which then has one
    return whole(
        plan, nn.Sequential(plan.module(), nn.BatchNorm2d(plan.out) if plan.rank == 2 else nn.ReLU())
    )


def same(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    plan.stride = (1,) * plan.rank
    module = plan.module(padding="same")
    expected = Expected(params=plan.params, macs=plan.weight * math.prod(sizes))
    return module, expected, plan.out, sizes


def padded(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    mode = rng.choice(["reflect", "replicate", "circular"])
    return whole(plan, plan.module(padding_mode=mode))


def shared(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan, times = Plan.draw(rng, channels, sizes, keeps=True), rng.randint(2, 3)
    return whole(plan, nn.Sequential(*[plan.module()] * times), times)


def transposed(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    module = TRANSPOSED[plan.rank](
        channels, plan.out, plan.kernel, plan.stride, groups=plan.groups, bias=plan.bias
    )
    elements = channels * (plan.out // plan.groups) * math.prod(plan.kernel)
    expected = Expected(params=elements + (plan.out if plan.bias else 0), macs=elements * math.prod(sizes))
    after = tuple((n - 1) * s + k for n, s, k in zip(sizes, plan.stride, plan.kernel, strict=True))
    return module, expected, plan.out, after


def written_as_a_function(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)

    def run(self: Any, x: Tensor) -> Tensor:
        bias = getattr(self, "bias", None)
        return CONVOLVE[plan.rank](x, self.weight, bias, **plan.attributes)

    weight = nn.Parameter(torch.randn(plan.out, channels // plan.groups, *plan.kernel))
    members = {"bias": nn.Parameter(torch.randn(plan.out))} if plan.bias else {}
    return whole(plan, Piece(run, weight=weight, **members))


def from_data(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)

    def run(self: Any, x: Tensor) -> Tensor:
        bias = self.conv.bias.data if plan.bias else None
        return CONVOLVE[plan.rank](x, self.conv.weight.data, bias, **plan.attributes)

    return whole(plan, Piece(run, conv=plan.module()))


def sliced(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    part = plan.out // 2 if plan.groups <= 2 else plan.out
    part -= part % plan.groups
    whole_first = rng.random() < 0.5

    def run(self: Any, x: Tensor) -> Tensor:
        y = self.conv(x) if whole_first else None
        bias = self.conv.bias[:part] if plan.bias else None
        z = CONVOLVE[plan.rank](x, self.conv.weight[:part], bias, **plan.attributes)
        return (self.conv(x) if y is None else y) + z.mean()

    module, expected, *rest = whole(plan, Piece(run, conv=plan.module()))
    expected.macs += plan.macs * part // plan.out
    return module, expected, *rest


def summed(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)

    def run(self: Any, x: Tensor) -> Tensor:
        y = CONVOLVE[plan.rank](x, self.a.weight + self.b.weight, **plan.attributes)
        return y + self.a(x)

    module, expected, *rest = whole(plan, Piece(run, a=plan.module(), b=plan.module()), 2)
    expected.params += plan.weight
    return module, expected, *rest


def blurred(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes, keeps=True)
    plan.groups, plan.bias = channels, False

    def run(self: Any, x: Tensor) -> Tensor:
        return CONVOLVE[plan.rank](x, self.kernel, **plan.attributes)

    module = Piece(run)
    module.register_buffer("kernel", torch.randn(channels, 1, *plan.kernel))
    return whole(plan, module)


def weight_normalised(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    module, expected, *rest = whole(plan, parametrizations.weight_norm(plan.module()))
    expected.params += plan.out
    return module, expected, *rest


def spectral(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    return whole(plan, parametrizations.spectral_norm(plan.module()))


def pruned(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    return whole(plan, prune.l1_unstructured(plan.module(), "weight", 0.25))


def lazy(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    kind = {1: nn.LazyConv1d, 2: nn.LazyConv2d, 3: nn.LazyConv3d}[plan.rank]
    return whole(plan, kind(plan.out, plan.kernel, bias=plan.bias, **plan.attributes))


def threaded(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan, times = Plan.draw(rng, channels, sizes), rng.randint(1, 3)

    def run(self: Any, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(2) as pool:
            return torch.stack(list(pool.map(self.conv, [x] * times))).sum(0)

    return whole(plan, Piece(run, conv=plan.module()), times)


def replicated(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)

    def run(self: Any, x: Tensor) -> Tensor:
        copies = [self.conv.__class__.__new__(self.conv.__class__) for _ in range(2)]
        for replica in copies:
            replica.__dict__ = {**self.conv.__dict__}
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda replica: replica(x), copies)
        return first + second

    return whole(plan, Piece(run, conv=plan.module()), 2)


def conditional(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes, keeps=True)
    other = Plan.draw(rng, channels, sizes, keeps=True)

    def run(self: Any, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, self.a, self.b, (x,))

    module, expected, *rest = whole(plan, Piece(run, a=plan.module(), b=other.module()))
    expected.params += other.params
    expected.macs = max(plan.macs, other.macs)
    return module, expected, *rest


def looped(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes, keeps=True)

    def run(self: Any, x: Tensor) -> Tensor:
        start = torch.zeros((), dtype=torch.int64), x
        return while_loop(lambda i, _: i < 2, lambda i, x: (i + 1, self.conv(x)), start)[1]

    return whole(plan, Piece(run, conv=plan.module()), unknown=True)


def mapped(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    return whole(
        plan,
        Piece(lambda self, x: torch_map(self.conv, x.unsqueeze(1)).squeeze(1), conv=plan.module()),
    )


def scanned(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes, keeps=True)

    def run(self: Any, x: Tensor) -> Tensor:
        def step(total: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
            y = self.conv(image)
            return total + y, y.clone()

        return scan(step, torch.zeros_like(x[:1]), x.unsqueeze(1))[1].squeeze(1)

    return whole(plan, Piece(run, conv=plan.module()))


@torch.library.custom_op("convaudit_fuzz::convolve", mutates_args=())
def in_python(x: Tensor, weight: Tensor, padding: list[int], groups: int) -> Tensor:
    return CONVOLVE[x.dim() - 2](x, weight, padding=padding, groups=groups)


@in_python.register_fake
def _(x: Tensor, weight: Tensor, padding: list[int], groups: int) -> Tensor:
    sizes = [n + 2 * p - k + 1 for n, p, k in zip(x.shape[2:], padding, weight.shape[2:], strict=True)]
    return x.new_empty(x.shape[0], weight.shape[0], *sizes)


LIBRARY = torch.library.Library("convaudit_fuzz", "FRAGMENT")
LIBRARY.define("hidden(Tensor x, Tensor weight, int[] padding, int groups) -> Tensor")
LIBRARY.impl("hidden", in_python._init_fn, "CPU")
LIBRARY.impl("hidden", in_python._init_fn, "Meta")


def custom(rng: random.Random, channels: int, sizes: tuple[int, ...], *, hidden: bool = False) -> Made:
    plan = Plan.draw(rng, channels, sizes, keeps=True)
    plan.bias = False
    name = "hidden" if hidden else "convolve"

    def run(self: Any, x: Tensor) -> Tensor:
        operator = getattr(torch.ops.convaudit_fuzz, name)
        return operator(x, self.conv.weight, list(plan.padding), plan.groups)

    return whole(plan, Piece(run, conv=plan.module()), unknown=hidden)


def vmapped(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    plan.groups, plan.bias = 1, False
    kernels = nn.Parameter(torch.randn(2, plan.out, channels, *plan.kernel))
    options = plan.attributes

    def run(self: Any, x: Tensor) -> Tensor:
        outputs = torch.vmap(lambda kernel: CONVOLVE[plan.rank](x, kernel, **options))(self.kernels)
        return outputs.sum(0)

    expected = Expected(params=2 * plan.weight, macs=2 * plan.macs)
    return Piece(run, kernels=kernels), expected, plan.out, plan.output_sizes()


def differentiated(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)

    def run(self: Any, x: Tensor) -> Tensor:
        return x + torch.func.grad(lambda x: self.conv(x).square().sum())(x)

    expected = Expected(params=plan.params, macs=plan.macs, other_macs=plan.macs)
    return Piece(run, conv=plan.module()), expected, channels, sizes


def trained(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)

    def run(self: Any, x: Tensor) -> Tensor:
        with torch.enable_grad():
            y = self.conv(x.detach())
            y.square().sum().backward()
        return y.detach()

    return whole(plan, Piece(run, conv=plan.module()), other_macs=plan.macs)


def checkpointed(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    run = lambda self, x: checkpoint(self.conv, x, use_reentrant=False)  # noqa: E731
    return whole(plan, Piece(run, conv=plan.module()))


@functools.lru_cache
def grid(*sizes: int) -> Tensor:
    return torch.linspace(0, 1, math.prod(sizes)).reshape(sizes)


@dataclass
class Statistics:
    mean: Tensor = field(default_factory=lambda: torch.zeros(()))
    calls: list[Any] = field(default_factory=list)


def hoarding(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    seen: list[Any] = []

    def run(self: Any, x: Tensor) -> Tensor:
        y = self.conv(x)
        self.statistics.mean += y.detach().mean()
        self.statistics.calls.append(y)
        self.history[0][0].add_(1)
        random.random(), np.random.rand()
        return y * grid(*y.shape[2:]).to(y.dtype) + torch.rand(1).to(y.dtype)

    piece = Piece(run, conv=plan.module(), statistics=Statistics(), history=[[torch.zeros(2)]])
    piece.conv.register_forward_hook(lambda _module, _args, output: seen.append(output))
    piece.__dict__["seen"] = lambda: list(seen)
    return whole(plan, piece)


def inferring(rng: random.Random, channels: int, sizes: tuple[int, ...]) -> Made:
    plan = Plan.draw(rng, channels, sizes)
    return whole(plan, Piece(torch.inference_mode()(lambda self, x: self.conv(x)), conv=plan.module()))


SCRIPTABLE = (plain, with_relu, same, padded, shared, transposed)
TRACEABLE = (*SCRIPTABLE, written_as_a_function, blurred, pruned, spectral, weight_normalised, sliced, summed)
EXPORTABLE = (*TRACEABLE, conditional, mapped, scanned, custom, checkpointed)
ANY = (
    *(*EXPORTABLE, from_data, lazy, threaded, replicated, looped, vmapped, differentiated, trained, hoarding),
    *(inferring, functools.partial(custom, hidden=True)),
)
PLAIN = (*TRACEABLE, from_data, threaded, hoarding, conditional)
FORMS: dict[str, tuple[Any, ...]] = {
    "eager": ANY,
    "training": ANY,
    "real-run": tuple(make for make in ANY if make not in (conditional, looped)),
    "deep-copied": tuple(make for make in ANY if make not in (lazy, pruned)),
    "object-input": PLAIN,
    "keywords": PLAIN,
    "scripted": SCRIPTABLE,
    "frozen": SCRIPTABLE,
    "traced": TRACEABLE,
    "exported": EXPORTABLE,
    "dynamic": tuple(make for make in EXPORTABLE if make not in (scanned,)),
    "saved": tuple(make for make in EXPORTABLE if make not in (custom,)),
    "compiled": TRACEABLE,
    "autocast": tuple(make for make in PLAIN if make is not threaded),  # which no other thread inherits
    "half": PLAIN,
    "bfloat16": PLAIN,
    "double": PLAIN,
    "complex": (plain, written_as_a_function, sliced),
    "channels-last": PLAIN,
    "unbatched": (plain, same, shared, transposed, written_as_a_function, sliced, threaded),
    "inference-tensors": (*SCRIPTABLE, written_as_a_function, sliced),
}


@dataclass
class Batch:
    """An input that torch does not look into."""

    image: Tensor
    scale: float = 1.0


class Net(nn.Module):
    """Pieces in a row, called in one of several ways."""

    def __init__(self, pieces: Iterable[nn.Module], form: str) -> None:
        super().__init__()
        self.pieces = nn.Sequential(*pieces)
        self.form = form

    def forward(self, x: Any) -> Tensor:
        if self.form == "object-input":
            x = x.image.mul_(2)
        if self.form == "autocast":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.pieces(x)
        return self.pieces(x)


@dataclass
class Case:
    """One model: how to audit it, and what must come out."""

    form: str
    names: tuple[str, ...]
    module: nn.Module
    model: Any  # the module, or what was made of it
    inputs: Any
    batch: int
    expected: Expected


def made(seed: int, index: int) -> Case:
    """The same case whenever it is made."""
    rng = random.Random(f"{seed} {index}")
    torch.manual_seed(rng.randrange(2**31))
    form = list(FORMS)[index % len(FORMS)]
    rank = 2 if form in ("channels-last",) or rng.random() < 0.7 else rng.choice([1, 3])
    batch = 1 if form == "unbatched" else rng.randint(2, 3)
    channels, sizes = rng.choice([4, 8]), tuple(rng.randint(5, 9) for _ in range(rank))
    shape = (channels, *sizes) if form == "unbatched" else (batch, channels, *sizes)
    pieces, names, total = [], [], Expected()
    number = rng.randint(1, 3)
    for position in range(number):
        unfit = {lazy} if position else set()
        unfit |= {inferring} if position + 1 < number else set()  # nothing else takes what it returns
        make = rng.choice([make for make in FORMS[form] if make not in unfit])
        piece, expected, channels, sizes = make(rng, channels, sizes)
        pieces.append(piece)
        names.append(getattr(make, "__name__", "hidden"))
        total.params += expected.params
        total.macs += expected.macs
        total.other_macs += expected.other_macs
        total.unknown |= expected.unknown
    module = Net(pieces, form).train(form == "training")
    return _formed(Case(form, tuple(names), module, module, torch.randn(shape), batch, total))


DTYPES = {"half": torch.half, "bfloat16": torch.bfloat16, "double": torch.double, "complex": torch.complex64}


def _formed(case: Case) -> Case:
    """The case with its module converted, and with what is made of the module."""
    module, form = case.module, case.form
    if form in DTYPES:
        module.to(DTYPES[form])
        case.inputs = case.inputs.to(DTYPES[form])
    if form == "complex":
        case.expected.macs *= 3  # three real convolutions, as Gauss multiplied
    if form == "channels-last":
        module.to(memory_format=torch.channels_last)
        case.inputs = case.inputs.to(memory_format=torch.channels_last)
    if form == "inference-tensors":
        with torch.inference_mode():
            module.double()
        case.inputs = case.inputs.double()
    case.model = MODELS.get(form, lambda module, _: module)(module, case.inputs)
    if form == "deep-copied":
        case.module = case.model
    if form == "object-input":
        case.inputs = (Batch(case.inputs),)
    if form == "keywords":
        case.inputs = {"x": case.inputs}
    return case


def _exported(module: nn.Module, x: Tensor, shapes: Any = None) -> Any:
    return torch.export.export(module.eval(), (x,), dynamic_shapes=shapes)


def _saved(module: nn.Module, x: Tensor) -> Any:
    file = io.BytesIO()
    torch.export.save(_exported(module, x), file)
    file.seek(0)
    return torch.export.load(file)


MODELS: dict[str, Callable[[Any, Tensor], Any]] = {
    "deep-copied": lambda module, x: copy.deepcopy(module),
    "compiled": lambda module, x: torch.compile(module, backend="eager"),
    "scripted": lambda module, x: torch.jit.script(module.pieces.eval()),
    "frozen": lambda module, x: torch.jit.freeze(torch.jit.script(module.pieces.eval())),
    "traced": lambda module, x: torch.jit.trace(module.eval(), x, check_trace=False),
    "exported": _exported,
    "dynamic": lambda module, x: _exported(module, x, ({0: Dim("batch", min=2)},)),
    "saved": _saved,
}


# --- what is found --------------------------------------------------------------------------------------


def examine(seed: int, index: int) -> tuple[str, str, list[str]]:
    """The form, "exact" or "unknown", and what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        case = made(seed, index)
        label = f"{index} {case.form}: {', '.join(case.names)}"
        grid.cache_clear()
        before = state(case)
        options = {"fake": False} if case.form == "real-run" else {}
        given = {} if isinstance(case.model, torch.export.ExportedProgram) else {"inputs": case.inputs}
        report = analyze(walk_torch(case.model, **given, **options))
        faults = [f"{label}: {fault}" for fault in miscounts(case, report)]
        after = state(case)
        faults += [f"{label}: {name} changed" for name in before if before[name] != after[name]]
        if not faults and not same_outputs(case, made(seed, index).module):
            faults.append(f"{label}: its outputs changed")
    return case.form, "unknown" if report.totals.macs is None else "exact", faults


def miscounts(case: Case, report: AuditReport) -> list[str]:
    """Numbers that are wrong, and unknown ones that need not be."""
    expected = case.expected
    numbers = {
        "params": (report.totals.params, expected.params),
        "macs": (report.totals.macs, expected.macs * case.batch),
        "other_macs": (_other_macs(report), expected.other_macs * case.batch),
    }
    if case.form == "complex":
        del numbers["params"]
    faults = []
    for name, (count, right) in numbers.items():
        found = count.substitute({"batch": case.batch}) if isinstance(count, Formula) else count
        if found != right and not (expected.unknown and found is None):
            faults.append(f"{name} {found}, right is {right}; {report.warnings}")
    return faults


def _other_macs(report: AuditReport) -> Any:
    found = [other.macs for other in report.other_ops if other.op == "convolution_backward" or other.opaque]
    return None if None in found else sum(found)


def state(case: Case) -> dict[str, Any]:
    """All that an audit could leave behind, in a form that compares."""
    seen = [frozen(piece.seen()) for piece in case.module.pieces if "seen" in vars(piece)]
    state_dict = case.model.state_dict
    state_dict = state_dict() if callable(state_dict) else state_dict
    return {
        "the module": frozen(case.module),
        "the model's state": {name: frozen(value) for name, value in state_dict.items()},
        "the input": frozen(case.inputs),
        "a closure": seen,
        "a cache": grid.cache_info().currsize,
        "random numbers": (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()),
        "torch's state": (
            *(torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_cache_enabled()),
            *(
                torch.is_autocast_enabled("cpu"),
                len(torch.utils._python_dispatch._get_current_dispatch_mode_stack()),
            ),
        ),
    }


def frozen(value: Any) -> Any:
    """Tensors by bits and all that belongs to them, containers by what they hold, the rest by identity."""
    if isinstance(value, Tensor) and not isinstance(value, nn.parameter.UninitializedTensorMixin):
        bits = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        grad = frozen(value.grad) if value.is_leaf else None
        return type(value), tuple(value.shape), value.dtype, value.requires_grad, value.stride(), bits, grad
    if isinstance(value, nn.Module | Statistics | Batch) and not isinstance(value, torch.jit.ScriptModule):
        return type(value), frozen(vars(value))
    if isinstance(value, dict):
        return [(key, frozen(item)) for key, item in value.items()]
    if isinstance(value, list | tuple | set):
        return [frozen(item) for item in value]
    return value if isinstance(value, bool | int | float | str | None) else id(value)


def same_outputs(case: Case, reference: nn.Module) -> bool:
    """Whether the user's own forward gives what that of a module like it gives, bit for bit."""
    args, kwargs = ((), case.inputs) if isinstance(case.inputs, dict) else (case.inputs, {})
    args = args if isinstance(args, tuple) else (args,)
    outputs = []
    for module in (reference, case.module):
        torch.manual_seed(0)
        given = copy.deepcopy((args, kwargs))
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # torch.cond would be compiled
            outputs.append(module(*given[0], **given[1]))
    first, second = outputs
    return type(first) is type(second) and not isinstance(second, FakeTensor) and torch.equal(first, second)


def fuzz(seed: int, models: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """How many models of each form came out how, and what is wrong; each in a child process."""
    counts: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    with Child(examine, seconds=120, calls=400) as child:
        for index in range(models):
            outcome = child(seed, index)
            if outcome.value is None:
                faults.append(f"{index} {list(FORMS)[index % len(FORMS)]}: {outcome.error or outcome.crash}")
                continue
            form, how, found = outcome.value
            counts[form, how] += 1
            faults += found
    return counts, faults


def main(seed: int, models: int) -> int:
    counts, faults = fuzz(seed, models)
    for (form, how), number in sorted(counts.items()):
        print(f"{form:20} {how:10} {number}")
    for fault in faults:
        print(fault)
    print(f"{models} models, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
