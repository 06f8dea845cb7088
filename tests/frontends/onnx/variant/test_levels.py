"""A variant holds at every optimisation level; a runtime that crashes is said, and survived."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest

from convaudit.errors import ExecutionError
from convaudit.frontends.onnx.loader.onnx_file import load_onnx
from convaudit.frontends.onnx.onnxruntime import OnnxRuntime, OnnxSession
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.variant import proof
from convaudit.frontends.onnx.variant.trial import crashes
from convaudit.frontends.onnx.walker import walk_onnx
from tests.frontends.onnx.models import model, values

TEXT = f"g (float[1,3,6,6] x) => (float[1,2,6,6] y) <{values('w', 2, 3, 1, 1)}> {{ [c] y = Conv (x, w) }}"


@dataclass(frozen=True)
class Aborting(OnnxRuntime):
    """An optimiser that takes the process with it, of some models."""

    level: str = "all"
    of: bytes = b"w"

    def load(self, model: bytes, settings: Settings) -> OnnxSession:
        if settings.optimization == self.level and self.of in model:
            os.abort()
        return super().load(model, settings)


def compared(**settings: Any) -> object:
    before, after = walk_onnx(load_onnx(model(TEXT))), walk_onnx(load_onnx(model(TEXT)))
    return proof.compared_outputs(
        *(before, after, before.network.layers),
        what="twin",
        settings=Settings(**settings),
        data=None,
        seeds=[0],
    )


@pytest.mark.parametrize("level", ["disabled", "basic"])
def test_what_differs_at_one_level_alone_is_refused(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = proof._run

    def off(walked: Any, settings: Any, *args: Any, original: bool = True, **how: Any) -> Any:
        outputs = honest(walked, settings, *args, original=original, **how)
        shift = 0.01 * (not original and settings.optimization == level)
        return [{name: array + shift for name, array in run.items()} for run in outputs]

    assert compared()
    monkeypatch.setattr(proof, "_run", off)
    with pytest.raises(ExecutionError, match="output 'y' of the twin is off by"):
        compared()


def test_a_crash_is_said_and_survived() -> None:
    proto = model(TEXT).SerializeToString()
    runtime = Aborting(level="extended", of=b"w")
    found = crashes(Settings(runtime=runtime), [proto, b"none"], {}, proof.LEVELS)
    assert [list(one) for one in found] == [["extended"], []]
    with pytest.raises(
        proof.DoesNotRunError, match=r"was ended by signal 6 .*; it runs with --opt-level all"
    ):
        compared(runtime=runtime, optimization="extended")
    assert compared(runtime=runtime)
