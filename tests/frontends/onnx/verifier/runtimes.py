"""Runtimes for tests: ONNX Runtime, watched, and one whose other provider takes only some nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from convaudit.errors import ExecutionError
from convaudit.frontends.onnx.onnxruntime import OnnxRuntime, OnnxSession
from convaudit.frontends.onnx.runtime import CPU, Placement, Settings


class Watched(OnnxRuntime):
    """Remembers what it was asked to load, and refuses some levels of optimisation."""

    def __init__(self, *, refused: tuple[str, ...] = ()) -> None:
        self.loaded: list[tuple[ModelProto, Settings]] = []
        self._refused = refused

    @property
    def optimizations(self) -> list[str]:
        """The levels that it was asked for."""
        return [settings.optimization for _, settings in self.loaded]

    def load(self, model: bytes, settings: Settings) -> OnnxSession:
        """As onnxruntime does."""
        self.loaded.append((ModelProto.FromString(model), settings))
        if settings.optimization in self._refused:
            raise ExecutionError("no such fusion")
        return super().load(model, settings)


NPU = "NpuExecutionProvider"


class WithNpu(OnnxRuntime):
    """Has a provider of which it says where it put each node, though the CPU computes them all."""

    name, version = "simulated", "1.0"

    def __init__(self, placements: Mapping[str, Placement]) -> None:
        self._placements = placements

    def providers(self) -> Sequence[str]:
        """The CPU's, and the other one."""
        return (NPU, CPU)

    def load(self, model: bytes, settings: Settings) -> OnnxSession:
        """A session that tells what the test wants."""
        session = OnnxSession(model, replace(settings, provider=CPU))
        session.placement = self._placements.get  # type: ignore[method-assign]
        return session


class Folding(WithNpu):
    """Hands out memory that it never wrote for what it could fold into a constant, as OpenVINO does."""

    def __init__(self, folded: str) -> None:
        super().__init__({})
        self._folded = folded

    def load(self, model: bytes, settings: Settings) -> OnnxSession:
        """A session that gives garbage for one value, but not on the CPU."""
        session = super().load(model, settings)
        run = session.run

        def garbled(feeds: Any, outputs: Any) -> dict[str, NDArray[Any]]:
            values = run(feeds, outputs)
            if self._folded in values:
                values[self._folded] = np.full_like(values[self._folded], 1e30)
            return values

        if settings.provider == NPU:
            session.run = garbled  # type: ignore[method-assign, assignment]
        return session
