"""The front end for ONNX models: files, and ``ModelProto`` objects."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from convaudit.arguments import Given, GivenInput, refuse_names
from convaudit.errors import UsageError
from convaudit.frontends import (
    REAL_RUN,
    FixRequest,
    LintRequest,
    Request,
    RunRequest,
    TimeRequest,
    VerifyRequest,
)
from convaudit.records import Network, TensorInfo, Verified
from convaudit.shapes import as_text

if TYPE_CHECKING:
    from convaudit.frontends.onnx.loader.onnx_file import OnnxModel
    from convaudit.frontends.onnx.runtime import Settings
    from convaudit.frontends.onnx.walker import Walked
    from convaudit.records.findings import Fixed, Linted
    from convaudit.records.timing import Swept, Timed
    from convaudit.records.twins import Twinned


@dataclass(frozen=True, slots=True)
class OpenedOnnx:
    """An ONNX model, walked."""

    walked: Walked
    data: Mapping[str, Any]  # the user's arrays by input name
    walk: Callable[[OnnxModel], Walked]  # another model as this one was, with the same inputs fixed

    @property
    def network(self) -> Network:
        """What the walker found."""
        return self.walked.network

    def verify(self, how: VerifyRequest) -> Verified:
        """Run the model, or each of its convolutions, in onnxruntime, and judge them."""
        from convaudit.frontends.onnx.verifier import verify_in_situ, verify_isolated

        chosen = {"settings": _settings(how), **how.given("seed", "progress")}
        if how.isolated:
            return verify_isolated(self.walked, **chosen)
        chosen |= how.given("memory_bytes")
        return verify_in_situ(self.walked, data=self.data or None, **chosen)

    def time(self, how: TimeRequest) -> Timed:
        """Measure every convolution, in the model and alone beside its groups=1 twin."""
        from convaudit.frontends.onnx.timer import time_model, times_from_files

        if how.timings is not None:
            return times_from_files(self.walked, how.timings, how.twin_timings)
        return time_model(self.walked, self.data, _timing_settings(how), how)

    def sweep(self, layer: str, groups: Sequence[int], how: TimeRequest) -> Swept:
        """Measure one convolution alone at several numbers of groups."""
        from convaudit.frontends.onnx.timer.sweep import sweep_layer

        return sweep_layer(self.walked, layer, groups, _timing_settings(how), how)

    def twin(self, layers: Sequence[str] | None, target: str | None, how: RunRequest) -> Twinned:
        """Make the same network with groups=1, and verify it before it is written."""
        from convaudit.frontends.onnx.twin.made import make_twin

        settings, data = _settings(how), self.data or None
        return make_twin(self.walked, layers, target, settings=settings, how=how, data=data, walk=self.walk)

    def lint(self, how: LintRequest) -> Linted:
        """Find what the network carries for nothing."""
        from convaudit.frontends.onnx.channels.linted import lint_model

        return lint_model(self.walked, how, _settings(how), self.data or None)

    def fix(self, target: str | None, how: FixRequest) -> Fixed:
        """Take that out, and verify the smaller network before it is written."""
        from convaudit.frontends.onnx.fixer.fixed import fix_model

        settings, data = _settings(how), self.data or None
        return fix_model(self.walked, target, settings=settings, how=how, data=data, walk=self.walk)


class OnnxFrontend:
    """Every path that no other front end claims, and models in memory."""

    accepted = ("a path", "an onnx.ModelProto")

    def accepts(self, source: object) -> bool:
        """Whether it is a path or a protobuf message; without importing onnx."""
        messages = any(base.__module__.startswith("google.protobuf") for base in type(source).__mro__)
        return isinstance(source, str | os.PathLike) or messages

    def names_code(self, source: str) -> bool:
        """Never: an ONNX model is data."""
        return False

    def providers(self) -> Sequence[str]:
        """The execution providers of the runtimes that are installed."""
        from convaudit.frontends.onnx.runtime import providers_here

        return providers_here()

    def open(self, source: Any, request: Request) -> OpenedOnnx:
        """Load the model's structure and walk it."""
        from convaudit.frontends.onnx.loader.onnx_file import load_onnx
        from convaudit.frontends.onnx.walker import walk_onnx

        who = os.fspath(source) if isinstance(source, str | os.PathLike) else type(source).__name__
        refuse_names(request.input_shape, who, "what an ONNX model leaves open has a name: leave it open")

        if not request.fake:
            raise UsageError(
                f"{REAL_RUN} is for torch modules; an ONNX model's structure is read: leave it out"
            )
        if request.inputs is not None or request.kwargs:
            raise UsageError("an ONNX model takes input_shape= and dims=; inputs= and kwargs= are torch's")
        for how in (request.verify, request.time, request.twin, request.lint):
            if how is not None:
                _settings(how)  # refuses a provider before the model is read
        model = load_onnx(source)
        data = request.arrays

        def feeds(inputs: Sequence[TensorInfo]) -> Mapping[str, Any]:
            from convaudit.feeds import given_feeds

            return given_feeds(inputs, data)

        walk = partial(
            walk_onnx,
            input_shapes=_with_data(_by_name(request.input_shape), data),
            dims=request.dims,
            allow_run=request.allow_run,
            feeds=feeds if data else None,
        )
        return OpenedOnnx(walk(model), data, walk)


FRONTEND = OnnxFrontend()


def _timing_settings(how: TimeRequest) -> Settings:
    """As ``_settings``, on one thread by default."""
    return _settings(replace(how, threads=1 if how.threads is None else how.threads))


def _settings(how: RunRequest) -> Settings:
    """What the runtime is started with.

    Raises:
        UsageError: No runtime has the provider here.
    """
    from convaudit.frontends.onnx.runtime import Settings, find_provider

    chosen = how.given("threads", "optimization")
    if how.provider is not None:
        chosen["runtime"], chosen["provider"] = find_provider(how.provider)
    return Settings(**chosen)


def _with_data(given: dict[str, GivenInput], data: Mapping[str, Any]) -> dict[str, GivenInput]:
    """What is said of the inputs, by their names and by the arrays for them."""
    for name, one in given.items():
        arrays = [data[name]] if name in data else list(data.values()) if not name else []
        for array in arrays:
            if one.shape != array.shape:
                raise UsageError(f"input {name!r} is to be {one}, its data are {as_text(array.shape)}")
    sized = {name: GivenInput(array.shape) for name, array in data.items()}
    return {**sized, **{name: one for name, one in given.items() if name or not data}}


def _by_name(given: Given | None) -> dict[str, GivenInput]:
    """Inputs by name, as the walker wants them; the name "" is the only input."""
    if isinstance(given, dict):
        return given
    if given and len(given) > 1:
        raise UsageError("an ONNX model's inputs are named: give a shape by name for each")
    return {"": given[0]} if given else {}
