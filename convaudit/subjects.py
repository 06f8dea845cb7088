"""The one place that decides which front end a source belongs to, and what that front end does with it.

A *subject* is a source that was loaded and walked: its network, and the way to verify it. Front ends are
imported when a source needs them, so that an ONNX model never waits for torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from convaudit.arguments import Given, GivenInput
from convaudit.errors import ConvauditError, ExecutionError, LoadError, UsageError, first_line
from convaudit.frontends.torch.loader.source import is_torch_source, names_factory
from convaudit.records import Network, Optimization, TensorInfo, Verified
from convaudit.shapes import as_text


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """How a subject is to be verified; None is the front end's own choice."""

    isolated: bool = False
    seed: int | None = None
    memory_bytes: int | None = None
    optimization: Optimization | None = None
    progress: Callable[[int], None] | None = None

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the fields that a caller chose, as keyword arguments."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


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


@dataclass(frozen=True, slots=True)
class Subject:
    """A loaded and walked source."""

    network: Network
    verify: Callable[[VerifyRequest], Verified]


REAL_RUN = "--real-run (fake=False)"


def open_subject(source: Any, request: Request) -> Subject:
    """Load and walk ``source``.

    Raises  LoadError, UsageError, ModelError
    """
    if isinstance(source, str) and not source:
        raise UsageError("the model's name is empty; give a file, package.module:factory or torchvision:NAME")
    if is_torch_source(source):
        if isinstance(source, str | os.PathLike) and _runs_apart(os.fspath(source)):
            return _subject_apart(os.fspath(source), request)
        with _foreign_code(source):
            return _torch_subject(source, request)
    if isinstance(source, str | os.PathLike) or _is_protobuf(source):
        return _onnx_subject(source, request)
    raise UsageError(
        f"cannot audit a {type(source).__name__}; pass a path, an onnx.ModelProto, a torch.nn.Module, "
        "'package.module:factory' or 'torchvision:NAME'"
    )


def _is_protobuf(source: Any) -> bool:
    return any(base.__module__.startswith("google.protobuf") for base in type(source).__mro__)


def _onnx_subject(source: Any, request: Request) -> Subject:
    from convaudit.frontends.onnx.loader.onnx_file import load_onnx
    from convaudit.frontends.onnx.walker import walk_onnx

    if not request.fake:
        raise UsageError(f"{REAL_RUN} is for torch modules; an ONNX model's structure is read: leave it out")
    if request.inputs is not None or request.kwargs:
        raise UsageError("an ONNX model takes input_shape= and dims=; inputs= and kwargs= are torch's")
    model = load_onnx(source)
    data = _arrays(request.data)

    def feeds(inputs: Sequence[TensorInfo]) -> Mapping[str, Any]:
        from convaudit.feeds import given_feeds

        return given_feeds(inputs, data)

    network = walk_onnx(
        model,
        input_shapes=_with_data(_by_name(request.input_shape), data),
        dims=request.dims,
        allow_run=request.allow_run,
        feeds=feeds if data else None,
    )

    def verify(how: VerifyRequest) -> Verified:
        from convaudit.frontends.onnx.verifier import verify_in_situ, verify_isolated

        if how.isolated:
            return verify_isolated(model, network, **how.given("seed", "optimization", "progress"))
        chosen = how.given("seed", "memory_bytes", "optimization", "progress")
        return verify_in_situ(model, network, data=data or None, **chosen)

    return Subject(network, verify)


def _torch_subject(source: Any, request: Request) -> Subject:
    from convaudit.files import regular_size
    from convaudit.frontends.torch.loader.source import load_torch_source

    weights = request.verify is not None or not request.fake
    for option in request.verify.given("optimization", "memory_bytes") if request.verify else ():
        raise UsageError(f"{option} is for onnxruntime; it would do nothing for a torch model: leave it out")
    model = load_torch_source(source, request.kwargs, weights=weights)  # fails well without torch
    from convaudit.frontends.torch.walker.walk import walk_torch

    name = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    input_shape, data = request.input_shape, _arrays(request.data)
    if data and input_shape is None and request.inputs is None:
        input_shape = _shaped_as(data)
    elif data and (request.verify is None or request.verify.isolated):
        raise UsageError("data would do nothing beside the inputs' shapes, unless it is run on: leave it out")
    network = walk_torch(
        model,
        input_shape=input_shape,
        inputs=request.inputs,
        dims=request.dims,
        source=name,
        allow_run=request.allow_run,
        fake=request.fake,
    )
    if name is not None:
        network = replace(network, file_bytes=regular_size(Path(name)))

    def verify(how: VerifyRequest) -> Verified:
        from convaudit.frontends.torch.verifier.verify import verify_in_situ, verify_isolated

        if how.isolated:
            return verify_isolated(model, network, **how.given("seed", "progress"))
        with _foreign_code(source):
            return verify_in_situ(
                model,
                network,
                input_shape=input_shape,
                inputs=request.inputs,
                data=data or None,
                **how.given("seed", "progress"),
            )

    return Subject(network, verify)


def _with_data(given: dict[str, GivenInput], data: Mapping[str, Any]) -> dict[str, GivenInput]:
    """What is said of an ONNX model's inputs, by their names and by the arrays for them."""
    for name, one in given.items():
        arrays = [data[name]] if name in data else list(data.values()) if not name else []
        for array in arrays:
            if one.shape != array.shape:
                raise UsageError(f"input {name!r} is to be {one}, its data are {as_text(array.shape)}")
    sized = {name: GivenInput(array.shape) for name, array in data.items()}
    return {**sized, **{name: one for name, one in given.items() if name or not data}}


def _arrays(data: str | os.PathLike[str] | Mapping[str, Any] | None) -> dict[str, Any]:
    """The user's arrays by the input's name; none if there are none."""
    if data is None:
        return {}
    from convaudit.feeds import read_arrays

    return read_arrays(data)


def _shaped_as(data: Mapping[str, Any]) -> dict[str, GivenInput]:
    """What the user's arrays say of a module's inputs; real numbers take the module's own type."""

    def given(array: Any) -> GivenInput:
        real = array.dtype.kind in "fV"  # V: what NumPy borrows from ml_dtypes
        return GivenInput(array.shape, None if real else array.dtype.name)

    return {name: given(array) for name, array in data.items()}


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


# --- a named torch source, in a process of its own ------------------------------------------------------


_FACTORIES_APART: ContextVar[bool] = ContextVar("factories_apart", default=False)


@contextmanager
def factories_apart() -> Iterator[None]:
    """Run what factories name in a process of its own: its ``sys.exit`` must not become the program's."""
    token = _FACTORIES_APART.set(True)
    try:
        yield
    finally:
        _FACTORIES_APART.reset(token)


def _runs_apart(source: str) -> bool:
    return _FACTORIES_APART.get() or not names_factory(source)


def _subject_apart(source: str, request: Request) -> Subject:
    """A file's code runs within limits; the user's own, which a factory names, without."""
    from convaudit.apart import call_apart, file_limits
    from convaudit.files import open_regular

    is_file = not names_factory(source)
    if is_file:
        open_regular(Path(source), source).close()  # what is not there needs no process to say so

    def call(function: str, *arguments: Any, progress: Callable[[int], None] | None = None) -> Any:
        limits = file_limits(os.path.getsize(source), computes=progress is not None) if is_file else None
        function = f"{__name__}:{function}"
        return call_apart(function, source, *arguments, who=source, limits=limits, progress=progress)

    def verify(how: VerifyRequest) -> Verified:
        progress = how.progress or (lambda steps: None)
        verified: Verified = call("verified_here", request, replace(how, progress=None), progress=progress)
        return verified

    return Subject(call("walked_here", request), verify)


def walked_here(source: str, request: Request, _progress: Callable[[int], None]) -> Network:
    """The network of a source whose code may run in this process."""
    return _opened_here(source, request).network


def verified_here(
    source: str, request: Request, how: VerifyRequest, progress: Callable[[int], None]
) -> Verified:
    """Its verdicts."""
    return _opened_here(source, request).verify(replace(how, progress=progress))


def _opened_here(source: str, request: Request) -> Subject:
    try:
        return _torch_subject(source, request)
    except (ConvauditError, MemoryError):
        raise
    except Exception as error:
        if names_factory(source):
            raise
        words = f"{type(error).__name__}: {first_line(error)}"
        raise LoadError(f"{source}: cannot be followed; damaged, or of another torch? {words}") from error


def _by_name(given: Given | None) -> dict[str, GivenInput]:
    """Inputs by name, as the ONNX walker wants them; the name "" is the only input."""
    if isinstance(given, dict):
        return given
    if given and len(given) > 1:
        raise UsageError("an ONNX model's inputs are named: give a shape by name for each")
    return {"": given[0]} if given else {}
