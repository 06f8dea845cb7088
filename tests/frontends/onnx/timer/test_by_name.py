"""Names of events lead to the same convolutions as the graph that the runtime made."""

from __future__ import annotations

from typing import Any

import pytest

from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.timer import in_model
from convaudit.frontends.onnx.timer.by_name import onnxruntime_kernels
from convaudit.frontends.onnx.timer.kernels import Kernel
from tests.frontends.onnx.models import walked
from tests.frontends.onnx.timer.test_kernels import EVERY_ONE_RUNS, QUICK


@pytest.mark.parametrize("level", ["all", "extended"])
@pytest.mark.parametrize("model", EVERY_ONE_RUNS)
def test_names_alone_tell_what_the_graph_tells(
    model: Any, level: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    by_graph, summed = in_model.kernels_of, in_model.summed

    def watch(original: Any, optimized: Any) -> dict[str, Kernel]:
        seen.update(original=original, kernels=by_graph(original, optimized))
        return seen["kernels"]

    def keep(runs: Any, *rest: Any) -> Any:
        seen.update(runs=runs)
        return summed(runs, *rest)

    monkeypatch.setattr(in_model, "kernels_of", watch)
    monkeypatch.setattr(in_model, "summed", keep)
    in_model.time_model(walked(model), {}, Settings(threads=1, optimization=level), QUICK)
    by_name = onnxruntime_kernels(seen["original"], seen["runs"], seen["original"].given_names)
    for event in seen["runs"][0].events:
        told = seen["kernels"].get(event.name)
        named = by_name[event.name]
        if told is not None and not named.unknown:
            assert (named.layers, named.reorders_for) == (told.layers, told.reorders_for), event.name
