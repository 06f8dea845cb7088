"""The front end for torch: modules, exported programs, files of them, and code that makes them.

What a file holds runs in a process of its own, within limits; so does the user's code, at the command line.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from convaudit.apart import call_apart, file_limits, user_code_runs_apart
from convaudit.arguments import GivenInput, given_inputs
from convaudit.errors import ConvauditError, ExecutionError, LoadError, UsageError, first_line
from convaudit.files import open_regular, regular_size
from convaudit.frontends import (
    FixRequest,
    LintRequest,
    OpenedModel,
    Request,
    RunRequest,
    TimeRequest,
    VerifyRequest,
)
from convaudit.frontends.torch.loader.source import (
    is_torch_source,
    load_torch_source,
    names_architecture,
    names_factory,
)
from convaudit.records import ConvLayer, Network, Verified
from convaudit.shapes import as_text

if TYPE_CHECKING:
    from convaudit.frontends.torch.loader import TorchModel
    from convaudit.records.findings import Fixed, Linted
    from convaudit.records.timing import Swept, Timed
    from convaudit.records.twins import Twinned

PREPARED = ("convaudit.frontends.torch.walker.forward", "convaudit.frontends.torch.verifier.in_situ")
"""What a process for torch imports before it forks."""
_NO_TWIN = (
    "a twin is made of an ONNX network; export the module with torch.onnx.export(module, args, 'm.onnx'), "
    "and give that"
)
_NO_FIX = (
    "a smaller network is made of an ONNX one; export the module with "
    "torch.onnx.export(module, args, 'm.onnx'), and fix that"
)


@dataclass(frozen=True, slots=True)
class OpenedTorch:
    """A torch model in this process, walked."""

    source: Any
    model: TorchModel
    network: Network
    called_with: Mapping[str, Any]  # ``input_shape`` and ``inputs`` of its forward
    data: Mapping[str, Any]  # the user's arrays by input name

    def verify(self, how: VerifyRequest) -> Verified:
        """Run the model, or each of its convolutions, in torch, and judge them."""
        from convaudit.frontends.torch.verifier.in_situ import verify_in_situ
        from convaudit.frontends.torch.verifier.isolated import verify_isolated

        chosen = how.given("seed", "progress")
        with _threads(how.threads), _foreign_code(self.source):
            if how.isolated:
                return verify_isolated(self.model, self.network, **chosen)
            return verify_in_situ(
                self.model, self.network, **self.called_with, data=self.data or None, **chosen
            )

    def time(self, how: TimeRequest) -> Timed:
        """Measure every convolution, in the model and alone beside its groups=1 twin."""
        _refuse_runtime_options(how)
        from convaudit.frontends.torch.timer.timer import time_torch

        with _threads(how.threads or 1), _foreign_code(self.source):
            return time_torch(self.model, self.network, how, **self.called_with, data=self.data or None)

    def sweep(self, layer: str, groups: Sequence[int], how: TimeRequest) -> Swept:
        """Measure one convolution alone at several numbers of groups."""
        from convaudit.frontends.torch.walker.walk import stored_tensors

        return _swept(self.network, layer, groups, how, stored_tensors(self.model))

    def twin(self, layers: Sequence[str] | None, target: str | None, how: RunRequest) -> Twinned:
        """Never: opening a model for it is refused."""
        raise UsageError(f"{self.network.source}: {_NO_TWIN}")

    def lint(self, how: LintRequest) -> Linted:
        """Find what the network carries for nothing."""
        from convaudit.frontends.torch.linter.linted import lint_torch

        _refuse_what_lint_cannot(how)
        with _threads(how.threads), _foreign_code(self.source):
            return lint_torch(self.model, self.network, how, self.called_with)

    def fix(self, target: str | None, how: FixRequest) -> Fixed:
        """Never: a smaller network is made of an ONNX one."""
        raise UsageError(f"{self.network.source}: {_NO_FIX}")


@dataclass(frozen=True, slots=True)
class OpenedApart:
    """A torch model that was walked, and will be verified, in a process of its own."""

    source: str
    request: Request
    network: Network

    def verify(self, how: VerifyRequest) -> Verified:
        """The verdicts of that process."""
        progress = how.progress or (lambda steps: None)
        how = replace(how, progress=None)
        verified: Verified = _call(verified_here, self.source, self.request, how, progress=progress)
        return verified

    def time(self, how: TimeRequest) -> Timed:
        """The times that process took."""
        _refuse_runtime_options(how)
        progress = how.progress or (lambda steps: None)
        how = replace(how, progress=None)
        timed: Timed = _call(
            timed_here, self.source, self.request, how, progress=progress, seconds=how.budget_seconds
        )
        return timed

    def sweep(self, layer: str, groups: Sequence[int], how: TimeRequest) -> Swept:
        """The same here: of the model it takes the layer's sizes only."""
        return _swept(self.network, layer, groups, how, {})

    def twin(self, layers: Sequence[str] | None, target: str | None, how: RunRequest) -> Twinned:
        """Never: opening a model for it is refused."""
        raise UsageError(f"{self.network.source}: {_NO_TWIN}")

    def lint(self, how: LintRequest) -> Linted:
        """What that process finds."""
        _refuse_what_lint_cannot(how)
        progress = how.progress or (lambda steps: None)
        how = replace(how, progress=None)
        linted, skipped = _call(linted_here, self.source, self.request, how, progress=progress)
        claims = (
            replace(claim, skipped=Fraction(*share))
            for claim, share in zip(linted.claims, skipped, strict=True)
        )
        found: Linted = replace(linted, claims=tuple(claims))
        return found

    def fix(self, target: str | None, how: FixRequest) -> Fixed:
        """Never: a smaller network is made of an ONNX one."""
        raise UsageError(f"{self.network.source}: {_NO_FIX}")


class TorchFrontend:
    """Modules and programs, their files by suffix, and the names of code that makes them."""

    accepted = (
        "a torch.nn.Module",
        "'package.module:factory'",
        "'nets.py:factory'",
        "'torchvision:NAME'",
        "'timm:NAME'",
    )

    def accepts(self, source: object) -> bool:
        """Whether it is a torch module or program, or names one; without importing torch."""
        return is_torch_source(source)

    def names_code(self, source: str) -> bool:
        """Whether it is ``package.module:factory``, ``nets.py:factory`` or a library's architecture."""
        return names_factory(source)

    def providers(self) -> Sequence[str]:
        """None: torch runs its modules itself."""
        return ()

    def open(self, source: Any, request: Request) -> OpenedModel:
        """Load or build the model and walk it: a file's always in a process of its own."""
        named = isinstance(source, str | os.PathLike)
        if request.twin is not None:
            raise UsageError(f"{os.fspath(source) if named else type(source).__name__}: {_NO_TWIN}")
        if named and (user_code_runs_apart() or not names_factory(os.fspath(source))):
            return _open_apart(os.fspath(source), request)
        with _foreign_code(source):
            return _open_here(source, request)


FRONTEND = TorchFrontend()


def _refuse_runtime_options(how: TimeRequest) -> None:
    for option in how.given("optimization", "provider"):
        raise UsageError(f"{option} is for onnxruntime; it would do nothing for a torch model: leave it out")
    if how.timings is not None:
        raise UsageError(
            "profiles of onnxruntime and trtexec are joined to the layers of an ONNX model: export this one "
            "(torch.onnx.export) and give the .onnx file, or time it here (--time)"
        )


def _refuse_what_lint_cannot(how: LintRequest) -> None:
    for option in how.given("optimization", "provider"):
        raise UsageError(f"{option} is for ONNX models; it would do nothing for a torch one: leave it out")


def _open_here(source: Any, request: Request) -> OpenedTorch:
    weights = request.verify is not None or request.time is not None or not request.fake
    weights = weights or request.lint is not None
    for option in request.verify.given("optimization", "memory_bytes", "provider") if request.verify else ():
        raise UsageError(f"{option} is for onnxruntime; it would do nothing for a torch model: leave it out")
    model = load_torch_source(source, request.kwargs, weights=weights)  # fails well without torch
    from convaudit.frontends.torch.walker.walk import walk_torch

    name = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    input_shape, data = request.input_shape, request.arrays
    if data and input_shape is None and request.inputs is None:
        input_shape = _shaped_as(data)
    elif data and (request.verify is None or request.verify.isolated):
        raise UsageError("data would do nothing beside the inputs' shapes, unless it is run on: leave it out")
    notes: tuple[str, ...] = ()
    if input_shape is None and request.inputs is None:
        input_shape, notes = _own_size(source, model)
    input_shape, dims = _fixed(model, input_shape, request, weights)
    called_with = {"input_shape": input_shape, "inputs": request.inputs}
    how: dict[str, Any] = {"dims": dims, "source": name, "allow_run": request.allow_run, "fake": request.fake}
    try:
        network = walk_torch(model, **called_with, **how)
    except ExecutionError:
        if weights or not names_architecture(source):
            raise
        model = load_torch_source(source, request.kwargs)  # its forward may need values
        network = walk_torch(model, **called_with, **how)
    network = replace(network, warnings=(*notes, *network.warnings))
    if name is not None:
        network = replace(network, file_bytes=regular_size(Path(name)))
    return OpenedTorch(source, model, network, called_with, data)


def _own_size(source: Any, model: TorchModel) -> tuple[Any, tuple[str, ...]]:
    """The size of image that timm says an architecture takes, and a line that says so."""
    if not names_architecture(source):
        return None, ()
    from convaudit.frontends.torch.loader.architectures import own_input_size

    size = own_input_size(model)
    if size is None:
        return None, ()
    shape = (1, *size)
    return shape, (
        f"the input's size is timm's own for it, {as_text(shape)}; -i (input_shape=) gives another",
    )


def _fixed(
    model: TorchModel, input_shape: Any, request: Request, runs: bool
) -> tuple[Any, Mapping[str, int]]:
    """A module's input shapes with the sizes that ``dims`` fixes, and what of ``dims`` a program is to fix.

    Raises:
        UsageError: There is no such name, or the module is to be run and sizes have no number.
    """
    from torch import nn

    if not isinstance(model, nn.Module):
        return input_shape, request.dims
    from convaudit.frontends.torch.inputs import fixed_sizes, named_sizes

    fixed = fixed_sizes(given_inputs(input_shape), request.dims, type(model).__name__)
    names = named_sizes(fixed)
    if names and runs:
        raise UsageError(
            f"{type(model).__name__}: it is to be run on values, and {', '.join(names)} "
            f"{'have no numbers' if len(names) > 1 else 'has no number'}; give them: --dim {names[0]}=1 "
            f"(dims={{{names[0]!r}: 1}})"
        )
    return fixed, {}


def _swept(
    network: Network, layer: str, groups: Sequence[int], how: TimeRequest, stored: Mapping[str, Any]
) -> Swept:
    _refuse_runtime_options(how)
    from convaudit.frontends.torch.timer.sweep import sweep_torch

    with _threads(how.threads or 1):
        return sweep_torch(network, layer, groups, how, stored)


def _shaped_as(data: Mapping[str, Any]) -> dict[str, GivenInput]:
    """What the user's arrays say of a module's inputs; real numbers take the module's own type."""

    def given(array: Any) -> GivenInput:
        real = array.dtype.kind in "fV"  # V: what NumPy borrows from ml_dtypes
        return GivenInput(array.shape, None if real else array.dtype.name)

    return {name: given(array) for name, array in data.items()}


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let torch compute with so many threads; None: with as many as it does anyway."""
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _foreign_code(source: Any) -> Iterator[None]:
    """Nothing that a model's own code raises ends the program, but for what the keyboard raises."""
    try:
        yield
    except (Exception, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        name = source if isinstance(source, str) else type(source).__name__
        raise ExecutionError(f"{name}: its code raised {type(error).__name__}: {error}") from error


# --- in a process of its own ---------------------------------------------------------------------------


def _open_apart(source: str, request: Request) -> OpenedApart:
    if not names_factory(source):
        open_regular(Path(source), source).close()  # what is not there needs no process to say so
    return OpenedApart(source, request, _call(walked_here, source, request))


def _call(
    function: Callable[..., Any],
    source: str,
    *arguments: Any,
    progress: Callable[[int], None] | None = None,
    seconds: float | None = None,
) -> Any:
    """Call one of the functions below apart: a file's code within limits, the user's own without.

    Args:
        function: To be called.
        source: Its first argument.
        arguments: The others.
        progress: Is told of what it has computed.
        seconds: That it may take beyond what any file's code may.
    """
    is_file = not names_factory(source)
    limits = file_limits(os.path.getsize(source), computes=progress is not None) if is_file else None
    if limits is not None and seconds is not None:
        limits = replace(limits, seconds=limits.seconds + math.ceil(seconds))
    return call_apart(
        f"{__name__}:{function.__name__}",
        source,
        *arguments,
        who=source,
        limits=limits,
        progress=progress,
        prepared=PREPARED,
    )


def walked_here(source: str, request: Request, _progress: Callable[[int], None]) -> Network:
    """The network of a source whose code may run in this process."""
    network = _opened_here(source, request).network
    # the walker's own records stay here: an answer holds only those that everybody knows
    return replace(network, layers=tuple(map(_plain, network.layers)))


def _plain(layer: ConvLayer) -> ConvLayer:
    return ConvLayer(**{field.name: getattr(layer, field.name) for field in fields(ConvLayer)})


def verified_here(
    source: str, request: Request, how: VerifyRequest, progress: Callable[[int], None]
) -> Verified:
    """Its verdicts."""
    return _opened_here(source, request).verify(replace(how, progress=progress))


def timed_here(source: str, request: Request, how: TimeRequest, progress: Callable[[int], None]) -> Timed:
    """Its times."""
    return _opened_here(source, request).time(replace(how, progress=progress))


def linted_here(
    source: str, request: Request, how: LintRequest, progress: Callable[[int], None]
) -> tuple[Linted, list[tuple[int, int]]]:
    """Its claims, and of each the share of positions that nothing reads: an answer holds no fractions."""
    linted = _opened_here(source, request).lint(replace(how, progress=progress))
    shares = [claim.skipped.as_integer_ratio() for claim in linted.claims]
    claims = (replace(claim, skipped=cast("Fraction", 0)) for claim in linted.claims)
    return replace(linted, claims=tuple(claims)), shares


def _opened_here(source: str, request: Request) -> OpenedTorch:
    try:
        return _open_here(source, request)
    except (ConvauditError, MemoryError):
        raise
    except Exception as error:
        if names_factory(source):
            raise
        words = f"{type(error).__name__}: {first_line(error)}"
        raise LoadError(f"{source}: cannot be followed; damaged, or of another torch? {words}") from error
