"""Runtimes for tests: the real one, watched, or told to behave like others."""

from __future__ import annotations

from onnx import ModelProto

from convaudit.errors import ExecutionError
from convaudit.frontends.onnx.onnxruntime import OnnxRuntime, OnnxSession
from convaudit.frontends.onnx.runtime import Settings


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
