"""Where models come from: the ``Frontend`` protocol, and the table of front ends.

A front end is one system that models come from, in a room of its own that no other one imports. Given a
source that it accepts, it loads and walks the model, and hands back what can be asked of it. A new one is one
module with a ``FRONTEND``, and one row in ``FRONTENDS``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from convaudit.arguments import Given
from convaudit.errors import UsageError
from convaudit.records import Network, Optimization, Verified

if TYPE_CHECKING:
    from convaudit.records.findings import ClaimKey, Fixed, Linted
    from convaudit.records.timing import Swept, Timed
    from convaudit.records.twins import Twinned

FRONTENDS = ("convaudit.frontends.torch.frontend", "convaudit.frontends.onnx.frontend")
"""The first one that accepts a source opens it. ONNX takes every path that no other one claims."""
REAL_RUN = "--real-run (fake=False)"
TIME_BUDGET = 30.0
"""Seconds that timing may take, where nobody said how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """How an opened model is to be run; None is the front end's own choice."""

    seed: int | None = None
    memory_bytes: int | None = None
    provider: str | None = None  # as the user says it: "openvino"
    threads: int | None = None
    optimization: Optimization | None = None
    progress: Callable[[int], None] | None = None

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the fields that a caller chose, as keyword arguments."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest(RunRequest):
    """How it is to be verified."""

    isolated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeRequest(RunRequest):
    """How it is to be timed; ``progress`` is told of each layer that is done."""

    budget_seconds: float | None = None  # for all of it
    alone: bool = True  # whether each layer and its twin are also timed outside of the model
    timings: str | None = None  # a profile that another machine wrote: nothing is run
    twin_timings: str | None = None  # the same of the network with groups=1 throughout

    @property
    def seconds(self) -> float:
        """The budget that was given, or the usual one."""
        return TIME_BUDGET if self.budget_seconds is None else self.budget_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class LintRequest(RunRequest):
    """How it is to be looked at for what it carries for nothing.

    Attributes:
        run: Whether it may be run, on the user's data, to find what drowns in rounding on these.
        time: Seconds for finding groups that the runtime's kernels punish; None: nothing is timed.
    """

    run: bool = False
    time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FixRequest(LintRequest):
    """What is to be taken out of it.

    Attributes:
        within_rounding: Whether also what is only certified within rounding.
        selected: Rule, layer and channels of what alone is to go; None: all that can.
        unverified: Whether it is wanted even if it does not run.
    """

    within_rounding: bool = False
    selected: frozenset[ClaimKey] | None = None
    unverified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a source, whatever front end it belongs to."""

    input_shape: Given | None = None
    inputs: Any = None  # tensors themselves, for a torch module
    dims: Mapping[str, int] = field(default_factory=dict)
    data: str | os.PathLike[str] | Mapping[str, Any] | None = None  # arrays by input name, or an .npz of them
    kwargs: Mapping[str, Any] | None = None  # arguments of a factory
    allow_run: bool = True
    fake: bool = True  # whether a module's forward may do without values
    verify: VerifyRequest | None = None  # None: not at all
    time: TimeRequest | None = None  # None: not at all
    twin: RunRequest | None = None  # how its twin is to be verified; None: it is to have none
    lint: LintRequest | None = None  # None: nobody asks what it carries for nothing

    @property
    def arrays(self) -> dict[str, Any]:
        """The user's arrays by the input's name; none if there are none."""
        if self.data is None:
            return {}
        from convaudit.feeds import read_arrays

        return read_arrays(self.data)


class OpenedModel(Protocol):
    """A model that was loaded and walked."""

    @property
    def network(self) -> Network:
        """What the walker found."""

    def verify(self, how: VerifyRequest, /) -> Verified:
        """Execute every convolution, and judge what its runtime computed."""

    def time(self, how: TimeRequest, /) -> Timed:
        """Measure every convolution, in the model and alone beside its groups=1 twin.

        Raises:
            ExecutionError: The model does not run.
            UsageError: What is asked for does not exist here, or would do nothing.
        """

    def sweep(self, layer: str, groups: Sequence[int], how: TimeRequest, /) -> Swept:
        """Measure one convolution alone at several numbers of groups, in turn, with random weights.

        Args:
            layer: Its name in the network.
            groups: Divisors of its input and output channels.
            how: The budget is for this layer.
        """

    def twin(self, layers: Sequence[str] | None, target: str | None, how: RunRequest, /) -> Twinned:
        """Make the same network with groups=1, and verify it before it is written.

        Args:
            layers: Names of those to change; None: all that have groups.
            target: The file to write; None: the network is handed back in memory.
            how: How it is to be run beside the original.

        Raises:
            UsageError: A layer cannot be changed, or there is none.
            ExecutionError: It does not run, or computes something else.
        """

    def lint(self, how: LintRequest, /) -> Linted:
        """Find what the network carries for nothing.

        Raises:
            LoadError: Weights are missing.
        """

    def fix(self, target: str | None, how: FixRequest, /) -> Fixed:
        """Take that out, and verify the smaller network before it is written.

        Args:
            target: The file to write; None: the network is handed back in memory.
            how: What is to go, and how it is run beside the original.

        Raises:
            UsageError: There is nothing to fix.
            ExecutionError: It does not run, or computes something else.
        """


class Frontend(Protocol):
    """One system that models come from. Asking it costs nothing: it imports its system when it opens."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """What it accepts, in words, for whoever passes something else."""

    def accepts(self, source: object, /) -> bool:
        """Whether ``source`` is one of its models, or names one."""

    def names_code(self, source: str, /) -> bool:
        """Whether ``source`` names code that makes a model, and so is not a file or a pattern of files."""

    def providers(self) -> Sequence[str]:
        """What can run its models here, as ``--provider`` takes it; none where there is no choice."""

    def open(self, source: Any, request: Request, /) -> OpenedModel:
        """Load and walk a source that it accepts.

        Raises:
            LoadError: The source is not a readable and safe model.
            UsageError: The request asks for what the model does not have, or what would do nothing.
            ModelError: A convolution breaks a rule.
        """


def front_ends() -> Iterator[Frontend]:
    """Every front end, in the order in which they are asked."""
    for module in FRONTENDS:
        yield import_module(module).FRONTEND


def open_model(source: Any, request: Request) -> OpenedModel:
    """Load and walk ``source`` in the front end that accepts it.

    Raises:
        LoadError: The source is not a readable and safe model.
        UsageError: No front end accepts it; else as ``Frontend.open``.
        ModelError: A convolution breaks a rule.
    """
    if isinstance(source, str) and not source:
        raise UsageError(
            "the model's name is empty; give a file, package.module:factory, torchvision:NAME or timm:NAME"
        )
    for frontend in front_ends():
        if frontend.accepts(source):
            return frontend.open(source, request)
    *accepted, last = (words for frontend in reversed(list(front_ends())) for words in frontend.accepted)
    raise UsageError(
        f"cannot audit an object of type {type(source).__name__}; pass {', '.join(accepted)} or {last}"
    )


def names_code(source: str) -> bool:
    """Whether ``source`` names code that makes a model, and so is not a file or a pattern of files."""
    return any(frontend.names_code(source) for frontend in front_ends())


def providers() -> list[str]:
    """What models can be run on here, as ``--provider`` takes it."""
    return [name for frontend in front_ends() for name in frontend.providers()]
