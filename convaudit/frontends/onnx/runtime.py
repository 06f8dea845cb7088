"""What ONNX models run in: the ``Runtime`` protocol, the table of runtimes, and the settings of a run.

A new runtime is one module with a ``RUNTIME``, and one row in ``RUNTIMES``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from convaudit.errors import UsageError, did_you_mean
from convaudit.records import Network, Optimization, RuntimeInfo, Shape

RUNTIMES = ("convaudit.frontends.onnx.onnxruntime",)
"""The first one is the default; a provider's name means that of the first one that has it."""
CPU = "CPUExecutionProvider"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a runtime put a node.

    Attributes:
        provider: What runs it, as the runtime says it: ``CPUExecutionProvider``.
        compiled_nodes: How many nodes, itself included, the provider compiled into one; 1: it runs alone.
    """

    provider: str
    compiled_nodes: int = 1


class Session(Protocol):
    """A model that a runtime has loaded."""

    def run(self, feeds: Arrays, outputs: Sequence[str] | None) -> dict[str, NDArray[Any]]:
        """Values of the outputs by name; feeds that the model does not have are ignored.

        Of None all outputs are computed, and none returned.

        Raises:
            ExecutionError: The run fails.
        """

    def bound(self, feeds: Arrays) -> Callable[[], None]:
        """What runs it on these arrays again and again, and leaves its outputs where they are.

        Raises:
            ExecutionError: It does not take them; what is returned raises it where a run fails.
        """

    def placement(self, node: str) -> Placement | None:
        """Where the node of that name runs; None if the runtime does not tell, or several have the name."""

    def end_profiling(self) -> Path:
        """The file with the profile of all runs so far, in the form of onnxruntime's, one event a line.

        It is asked of a runtime that profiles, of a session whose settings have a folder for it.
        """


class Runtime(Protocol):
    """A system that runs ONNX models."""

    @property
    def name(self) -> str:
        """As its users call it."""

    @property
    def version(self) -> str:
        """Version of the one that is installed."""

    def providers(self) -> Sequence[str]:
        """What it can run a model on, as it is installed here: ``CPUExecutionProvider``."""

    @property
    def profiles(self) -> bool:
        """Whether its sessions tell how long each kernel took."""

    def device(self, provider: str) -> str:
        """What a provider computes on: ``cpu``, ``cuda:0``."""

    def load(self, model: bytes, settings: Settings) -> Session:
        """Load a model.

        Args:
            model: A ``ModelProto``, its external data relative to the file system's root.
            settings: Its provider is one of this runtime's.

        Raises:
            ExecutionError: It refuses the model.
            DependencyError: The provider does not start on this machine.
        """


def runtimes() -> Iterator[Runtime]:
    """Every runtime, in the order of the table."""
    for module in RUNTIMES:
        yield import_module(module).RUNTIME


def usable_threads() -> int:
    """As many as this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a model is to be run.

    Attributes:
        runtime: What runs it.
        provider: What the runtime runs it on, as the runtime says it.
        threads: Threads of the runtime on the host.
        optimization: Optimisation of the graph.
        copy_weights: Whether the runtime may keep weights in a layout of its own, beside the mapped ones.
        profile: A folder for the profile that onnxruntime writes; None: it writes none.
        optimized_model: A file for the graph that it runs, without its weights, which is not written where
            these would have to be; None: it is not written.
        spinning: Whether threads wait busily for work; None: where each has a processor.
        arena: Whether memory that is free again is kept for the next run.
    """

    runtime: Runtime = field(default_factory=lambda: next(runtimes()))
    provider: str = CPU
    threads: int = field(default_factory=usable_threads)
    optimization: Optimization = "all"
    copy_weights: bool = True
    profile: Path | None = None
    optimized_model: Path | None = None
    spinning: bool | None = None
    arena: bool = False

    def runtime_info(
        self, network: Network, *, seed: int | None, input_shapes: Mapping[str, Shape | None]
    ) -> RuntimeInfo:
        """What a model was run on.

        Args:
            network: The model's.
            seed: Seed of random inputs; None: they were given.
            input_shapes: By input name.
        """
        return RuntimeInfo(
            name=self.runtime.name,
            version=self.runtime.version,
            provider=self.provider,
            threads=self.threads,
            optimization=self.optimization,
            device=self.runtime.device(self.provider),
            seed=seed,
            input_shapes=input_shapes,
            input_values=network.input_values,
        )


def find_provider(name: str) -> tuple[Runtime, str]:
    """The provider that a user names, ``openvino`` or ``OpenVINOExecutionProvider``, and its runtime.

    Raises:
        UsageError: No runtime has it here.
    """
    for runtime in runtimes():
        for provider in runtime.providers():
            if short_name(provider) == short_name(name):
                return runtime, provider
    here = "; ".join(
        f"{runtime.name} {runtime.version} has {', '.join(map(short_name, runtime.providers()))}"
        for runtime in runtimes()
    )
    near = did_you_mean(name.lower(), providers_here())
    raise UsageError(f"provider {name!r:.100} is not available; as installed here, {here}{near}")


def providers_here() -> list[str]:
    """The providers of all runtimes that are installed, as users name them."""
    return [short_name(provider) for runtime in runtimes() for provider in runtime.providers()]


def short_name(provider: str) -> str:
    """``openvino`` for OpenVINOExecutionProvider."""
    return provider.lower().removesuffix("executionprovider")
