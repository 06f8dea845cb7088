"""Whether a variant gives what the network that it was made of gives: its outputs, within rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from onnx import ModelProto

from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError
from convaudit.feeds import given_feeds, open_sizes, random_feeds
from convaudit.frontends.onnx.graphs import Graphs
from convaudit.frontends.onnx.loader.mapped_weights import with_mapped_weights
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.shapes.runnable import make_runnable
from convaudit.frontends.onnx.variant.trial import crashes
from convaudit.frontends.onnx.verifier.operands import known_padding
from convaudit.frontends.onnx.walker import Walked
from convaudit.judge.rounding import accumulator, deviations, unit_roundoff
from convaudit.records import ConvLayer, Network, Optimization, Verified
from convaudit.records.twins import OutputDifference


class DoesNotRunError(ExecutionError):
    """The original does not run, so that nothing can be held against it."""


LEVELS: tuple[Optimization, ...] = ("all", "extended", "basic", "disabled")


def compared_outputs(
    before: Walked,
    after: Walked,
    layers: Sequence[ConvLayer],
    *,
    what: str,
    settings: Settings,
    data: Mapping[str, Array] | None,
    seeds: Sequence[int],
) -> tuple[OutputDifference, ...]:
    """Run both networks on the same inputs, and hold their outputs against each other.

    What one sums is what the other sums, and zeros: the two differ in the order of additions alone. How much
    that may do to the outputs is not known beforehand, so four estimates of it are made, and the largest of
    them is the limit: the original's own distance between optimisation levels, which reorder sums too; what
    becomes of its outputs when its input is perturbed by ``lambda*u*sqrt(sum of n)``, the bound on the
    rounding errors of the changed layers, taken as independent (Higham & Mary 2019); that number itself; and
    the same of one rounding of the output. Where all changed layers sum integers, only the last. Both run at
    each optimisation level at which the original does, and the largest distance counts.

    Args:
        before: The original.
        after: The variant.
        layers: Those of the original that were changed.
        what: What error messages call the variant.
        settings: What both run in.
        data: Arrays by input name; None: random ones.
        seeds: Of random inputs, one run each.

    Raises:
        DoesNotRunError: The original does not run.
        ExecutionError: The variant does not run, an output is further off than the limit, or nothing was
            compared.
    """
    inputs = _feeds(before, data, seeds)
    rounding = _rounding(layers)
    names = [output.name for output in before.model.proto.graph.output]
    crashing = _crashes(before, after, settings, inputs[0])
    theirs = _at_levels(before, settings, inputs, names, what, crashing[0])
    ours = {
        level: _run(
            *(after, replace(settings, optimization=level), inputs, names, what),
            crash=crashing[1].get(level),
            original=False,
        )
        for level in theirs
    }
    reference = theirs[settings.optimization]
    jittered = [_jittered(feeds, rounding, seed) for seed, feeds in enumerate(inputs)]
    moved = _run(before, settings, jittered, names, what)
    found = []
    for name in names:
        noise = max(_distance(reference, other, name) for other in theirs.values())
        own = max(_distance(reference, moved, name), rounding, noise) if rounding else 0.0
        found.append(
            OutputDifference(
                name=name,
                largest=max(_largest(theirs[level], ours[level], name) for level in theirs),
                distance=max(_distance(theirs[level], ours[level], name) for level in theirs),
                noise=noise,
                limit=max(own, _last_rounding(reference, name)),
            )
        )
    _refuse(before.network.source, found, reference, what)
    return tuple(found)


def _crashes(
    before: Walked, after: Walked, settings: Settings, feeds: Mapping[str, Array]
) -> list[dict[Optimization, str]]:
    """How each of the two ends the runtime's process, by the optimisation level."""
    try:
        models = [_bytes(before), _bytes(after)]
    except ExecutionError:  # which the run will say
        return [{}, {}]
    return crashes(settings, models, feeds, _levels(settings))


def _levels(settings: Settings) -> list[Optimization]:
    """All optimisation levels, the chosen one first."""
    return sorted(LEVELS, key=lambda level: level != settings.optimization)


def _at_levels(
    walked: Walked,
    settings: Settings,
    inputs: Sequence[Mapping[str, Array]],
    names: Sequence[str],
    what: str,
    crashing: Mapping[Optimization, str],
) -> dict[Optimization, list[dict[str, Array]]]:
    """What the original gives at each optimisation level at which it runs.

    Raises:
        DoesNotRunError: It does not at the chosen one.
    """
    found: dict[Optimization, list[dict[str, Array]]] = {}
    failure = None
    for level in _levels(settings):
        try:
            at_level = replace(settings, optimization=level)
            found[level] = _run(walked, at_level, inputs, names, what, crash=crashing.get(level))
        except DoesNotRunError as error:
            failure = failure or error
    if settings.optimization in found or failure is None:
        return found
    if found:
        raise DoesNotRunError(f"{failure}; it runs with --opt-level {next(iter(found))}")
    raise failure


def refuse_failed(source: str, network: Network, verified: Verified, what: str) -> None:
    """Refuse a variant of which a convolution fails its verification.

    Raises:
        ExecutionError: Naming the first one.
    """
    for layer, verdict in zip(network.layers, verified.verdicts, strict=True):
        if verdict.failed:
            raise ExecutionError(
                f"{source}: {layer.name} of the {what}: {verdict.words}, {verdict.reason}; nothing is written"
            )


def _refuse(
    source: str, found: Sequence[OutputDifference], outputs: Sequence[Mapping[str, Array]], what: str
) -> None:
    if not any(np.isfinite(_numbers(array)).any() for run in outputs for array in run.values()):
        raise ExecutionError(f"{source}: no output is a finite number on this input; try --data or --seed")
    for output in found:
        if not output.distance <= output.limit:
            raise ExecutionError(
                f"{source}: output {output.name!r} of the {what} is off by {output.distance:.2g} of its "
                f"size, and rounding explains {output.limit:.2g}; nothing is written"
            )


def _rounding(layers: Sequence[ConvLayer]) -> float:
    """Relative error that rounding may leave in the outputs of these layers together."""
    variance, elements, longest = 0.0, 1, 1
    for layer in layers:
        try:
            dtype = np.dtype(layer.output_dtype)
            unit, out = unit_roundoff(accumulator(dtype)), unit_roundoff(dtype)
        except (TypeError, ValueError):
            continue  # sums of integers are exact
        terms = prod(size for size in (layer.weight_shape or (1,))[1:] if isinstance(size, int))
        variance += (terms * unit**2 if terms else 0.0) + out**2
        longest = max(longest, terms)
        elements = max(elements, prod(size for size in layer.output_shape or () if isinstance(size, int)))
    return deviations(longest, elements) * math.sqrt(variance)


def _last_rounding(outputs: Sequence[Mapping[str, Array]], name: str) -> float:
    """Relative error that rounding may leave in an output itself, be the layers before it of integers."""
    array = outputs[0][name]
    floating = array.dtype.kind in "fV" and array.size > 0
    return deviations(1, array.size) * unit_roundoff(array.dtype) if floating else 0.0


def _feeds(walked: Walked, data: Mapping[str, Array] | None, seeds: Sequence[int]) -> list[dict[str, Array]]:
    if data is not None:
        return [given_feeds(walked.network.inputs, data)]
    sizes = open_sizes(walked.network)
    return [random_feeds(walked.network, sizes, seed) for seed in seeds]


def _jittered(feeds: Mapping[str, Array], relative: float, seed: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    return {
        name: (array * (1 + relative * generator.choice((-1.0, 1.0), array.shape))).astype(array.dtype)
        if array.dtype.kind in "fV"
        else array
        for name, array in feeds.items()
    }


def _run(
    walked: Walked,
    settings: Settings,
    inputs: Sequence[Mapping[str, Array]],
    names: Sequence[str],
    what: str,
    *,
    original: bool = True,
    crash: str | None = None,
) -> list[dict[str, Array]]:
    model = walked.model
    try:
        if crash is not None:
            raise ExecutionError(crash)
        session = settings.runtime.load(_bytes(walked), settings)
        return [session.run(feeds, names) for feeds in inputs]
    except ExecutionError as error:
        failure = DoesNotRunError if original else ExecutionError
        hint = "" if crash is not None else "; give input that it accepts with --input or --data"
        raise failure(
            f"{model.source}: the model does not run, so the {what} cannot be verified: {error}{hint}"
        ) from None


def _bytes(walked: Walked) -> bytes:
    """The model as a runtime takes it."""
    return with_mapped_weights(walked.model, _runnable(walked))


def _runnable(walked: Walked) -> ModelProto:
    """A copy of a model's structure, in which convolutions are written as onnxruntime takes them."""
    proto = ModelProto()
    if walked.model.proto.functions:  # which it expands itself
        proto.CopyFrom(walked.model.proto)
        return proto
    proto.CopyFrom(walked.expanded.model)
    index, sizes = Graphs(proto), open_sizes(walked.network)
    for layer in walked.network.layers:
        node = index.node(walked.addresses[layer.name])
        make_runnable(node, known_padding(layer, node, sizes))
    return proto


def _pairs(
    one: Sequence[Mapping[str, Array]], other: Sequence[Mapping[str, Array]], name: str
) -> Iterator[tuple[Array, Array]]:
    """Values of one output in both, in numbers; what is not finite in both in the same way counts for 0."""
    for left, right in zip(one, other, strict=True):
        first, second = _numbers(left[name]), _numbers(right[name])
        if first.shape != second.shape:
            yield np.ones(1), np.full(1, np.inf)
            continue
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        yield (
            np.where(same & ~np.isfinite(first), 0.0, first),
            np.where(same & ~np.isfinite(first), 0.0, second),
        )


def _numbers(array: Array) -> Array:
    if isinstance(array, np.ndarray) and array.dtype.kind in "fiubV":
        return array.astype(np.float64)
    return np.zeros(0)


def _distance(one: Sequence[Mapping[str, Array]], other: Sequence[Mapping[str, Array]], name: str) -> float:
    """The largest, over the runs, of the difference's norm over the output's."""
    largest = 0.0
    for first, second in _pairs(one, other, name):
        difference, size = float(np.linalg.norm(first - second)), float(np.linalg.norm(first))
        if not math.isfinite(difference):  # max() would pass over NaN
            return math.inf
        largest = max(largest, difference / size if size else math.inf if difference else 0.0)
    return largest


def _largest(one: Sequence[Mapping[str, Array]], other: Sequence[Mapping[str, Array]], name: str) -> float:
    differences = (np.nan_to_num(np.abs(a - b), nan=np.inf) for a, b in _pairs(one, other, name))
    return max((float(difference.max(initial=0.0)) for difference in differences), default=0.0)
