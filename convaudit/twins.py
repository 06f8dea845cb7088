"""``twin``: the same network with groups=1 throughout, verified before anybody gets it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convaudit.arguments import given_dims, given_inputs
from convaudit.errors import UsageError
from convaudit.frontends import Request, RunRequest, open_model
from convaudit.records import Optimization
from convaudit.records.twins import Twinned
from convaudit.requests import run_settings

if TYPE_CHECKING:
    from onnx import ModelProto


def twin(
    source: str | os.PathLike[str] | ModelProto,
    *,
    layers: Sequence[str] | None = None,
    input_shape: Any = None,
    dims: Mapping[str, int] | None = None,
    data: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    seed: int | None = None,
    memory_bytes: int | None = None,
    provider: str | None = None,
    threads: int | None = None,
    optimization: Optimization | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ModelProto:
    """The same network with ``groups=1``: the weights of its convolutions are block-diagonal.

    It computes the same function, which is verified: each new weight bit for bit, each convolution in situ,
    and its outputs beside the original's on the same input, within what rounding explains.

    Args:
        source: A path to an ONNX model, or a ModelProto.
        layers: Names, as an audit has them, of the convolutions to change; None: all that have groups. One
            that has no twin is then left as it is.
        input_shape: As in ``audit``.
        dims: As in ``audit``.
        data: Arrays by input name, or an .npz file of them, to verify on; None: random ones.
        seed: Seed of random input, by default 0; three runs are made, with it and the two that follow.
        memory_bytes: The most that the new weights may take together, by default 1 GiB; and what verifying
            may hold, as in ``audit``.
        provider: As in ``audit``.
        threads: As in ``audit``.
        optimization: As in ``audit``.
        progress: Is called with how many convolutions are verified so far, and of how many.

    Returns:
        The network, with all of its weights.

    Raises:
        UsageError: The source is not an ONNX model; a layer does not exist, has ``groups=1`` or has no twin;
            none has groups; the weights would be too large.
        ExecutionError: It does not run, or its twin is not the same function.
        LoadError: The source is not a readable and safe model, or weights are missing.
    """
    how = {"seed": seed, "memory_bytes": memory_bytes, "provider": provider, "threads": threads}
    made = made_twin(
        source,
        None,
        layers=layers,
        source_keywords={"input_shape": input_shape, "dims": dims, "data": data},
        how={**how, "optimization": optimization},
        progress=progress,
    )
    proto: ModelProto = made.proto
    return proto


def made_twin(
    source: Any,
    target: str | None,
    *,
    layers: Sequence[str] | None,
    source_keywords: Mapping[str, Any],
    how: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> Twinned:
    """The twin, and what proves it.

    Args:
        source: As in ``twin``.
        target: The file to write; None: the network is handed back in memory.
        layers: As in ``twin``.
        source_keywords: What of the keywords says how the model is read.
        how: What of them says how it is run.
        progress: As in ``twin``.
    """
    names = None if layers is None else _names(layers)
    if names is not None and not names:
        raise UsageError("layers is empty: name the convolutions to change, or leave it out to change all")
    if progress is not None and not callable(progress):
        raise UsageError(f"progress must be a function of two numbers, got {progress!r:.100}")
    run = RunRequest(**run_settings(dict(how)))
    keywords = dict(source_keywords)
    request = Request(
        input_shape=given_inputs(keywords.pop("input_shape", None)),
        dims=given_dims(keywords.pop("dims", None)),
        twin=run,
        **keywords,
    )
    model = open_model(source, request)
    if progress is not None:
        run = replace(run, progress=_counting(progress, len(model.network.layers)))
    return model.twin(names, target, run)


def _names(layers: Any) -> list[str]:
    names = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise UsageError(f"layers must be a list of names, got {layers!r:.100}")
    return names


def _counting(progress: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        progress(done, total)

    return advance
