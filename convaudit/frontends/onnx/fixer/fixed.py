"""A smaller network: planned, rewritten, written aside, verified there, and only then put in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError, UsageError
from convaudit.frontends import FixRequest
from convaudit.frontends.onnx.fixer.rounds import Worked, work_off
from convaudit.frontends.onnx.loader.onnx_file import OnnxModel, load_onnx
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.variant.files import check_form, check_target, put_in_place, scratch_folder
from convaudit.frontends.onnx.variant.proof import DoesNotRunError, compared_outputs, refuse_failed
from convaudit.frontends.onnx.verifier import verify_in_situ
from convaudit.frontends.onnx.walker import Walked
from convaudit.records import ConvLayer, Verified
from convaudit.records.findings import Fixed
from convaudit.records.twins import OutputDifference

WHAT = "smaller network"
"""What error messages call it."""
_RUNS = 3
"""Random inputs on which both networks run."""


def fix_model(
    walked: Walked,
    target: str | None,
    *,
    settings: Settings,
    how: FixRequest,
    data: Mapping[str, Array] | None,
    walk: Callable[[OnnxModel], Walked],
) -> Fixed:
    """Take out of a model what it carries for nothing, and verify that it computes the same.

    Args:
        walked: The model.
        target: The file to write; None: the network is handed back in memory.
        settings: What to verify it on.
        how: What to take out, seed, bound on memory, progress.
        data: Arrays by input name to verify it on; None: random ones, from three seeds.
        walk: Walks the smaller network, with the same inputs fixed.

    Raises:
        UsageError: There is nothing to fix, or the target is part of the model.
        ExecutionError: It does not run, or is not the same function.
        LoadError: Weights are missing.
    """
    if target is not None:
        check_target(walked.model, target, WHAT)
    with scratch_folder(target, "smaller.onnx") as aside:
        worked = work_off(walked, how, aside)
        if not worked.written:
            raise UsageError(_why_nothing(walked, worked))
        written = worked.written
        after = walk(replace(load_onnx(written[0]), source=f"the {WHAT} of {walked.network.source}"))
        check_form(walked.model, written[0], WHAT)
        proof = _proof(walked, after, settings=settings, how=how, data=data)
        sizes = [path.stat().st_size for path in written]
        proto = onnx.load(written[0]) if target is None else None
        names = put_in_place(written, target)
    network = replace(after.network, source=target or after.network.source)
    before = walked.network.file_bytes
    return Fixed(
        before=walked.network,
        after=network,
        applied=worked.applied,
        left=worked.left,
        notes=(*worked.notes, *_new_biases(walked, after), *proof.notes),
        outputs=proof.outputs,
        runs=0 if proof.verified is None else 1 if data is not None else _RUNS,
        verified=proof.verified,
        files=tuple(zip(names, sizes, strict=True)),
        sizes={"after": sum(sizes)} | ({} if before is None else {"before": before}),
        proto=proto,
    )


@dataclass(frozen=True, slots=True)
class _Proof:
    outputs: tuple[OutputDifference, ...]
    verified: Verified | None
    notes: tuple[str, ...] = ()


def _proof(
    before: Walked, after: Walked, *, settings: Settings, how: FixRequest, data: Mapping[str, Array] | None
) -> _Proof:
    """Hold the outputs of both networks against each other, and verify each layer of the smaller one.

    Raises:
        ExecutionError: One differs, or a layer fails; or the original does not run, and that is not allowed.
    """
    first = how.seed or 0
    try:
        outputs = compared_outputs(
            before,
            after,
            _changed(before, after),
            what=WHAT,
            settings=settings,
            data=data,
            seeds=[first + run for run in range(_RUNS)],
        )
    except (DoesNotRunError, UsageError) as error:
        if how.unverified:
            return _Proof((), None)
        raise ExecutionError(
            f"{error}; nothing is written, as --unverified (unverified=True) is not given"
        ) from None
    chosen = {"settings": settings, "data": data, **how.given("seed", "memory_bytes")}
    verified = verify_in_situ(after, **chosen, **how.given("progress"))
    failed = _failed(after, verified)
    if failed:  # is it the runtime, with the original as well?
        known = _failed(before, verify_in_situ(before, **chosen))
        if not failed <= known:
            refuse_failed(before.network.source, after.network, verified, WHAT)
    notes = tuple(f"{name} fails its verification, as it does in the original" for name in sorted(failed))
    return _Proof(outputs, verified, notes)


def _failed(walked: Walked, verified: Verified) -> set[str]:
    pairs = zip(walked.network.layers, verified.verdicts, strict=True)
    return {layer.name for layer, verdict in pairs if verdict.failed}


def _changed(before: Walked, after: Walked) -> Sequence[ConvLayer]:
    """Layers of the original whose sums are others now; all, where that is none."""
    now = {layer.name: layer.weight_shape for layer in after.network.layers}
    layers = before.network.layers
    return [layer for layer in layers if now.get(layer.name) != layer.weight_shape] or layers


def _new_biases(before: Walked, after: Walked) -> list[str]:
    """What was added: parameters that the findings' savings do not know of."""
    had = {layer.name for layer in before.network.layers if layer.bias}
    return [
        f"{layer.name} has a bias now, {layer.out_channels} elements: what constant channels add to it"
        for layer in after.network.layers
        if layer.bias and layer.name not in had
    ]


def _why_nothing(walked: Walked, worked: Worked) -> str:
    source = walked.network.source
    if not worked.left:
        return f"{source}: it carries nothing for nothing, so nothing is written"
    one = worked.left[0]
    others = f" (and {len(worked.left) - 1} more)" if len(worked.left) > 1 else ""
    return (
        f"{source}: nothing that was found can be fixed, so nothing is written: "
        f"{one.rule} {one.layer}{others}: {one.reason or 'there is no fix'}"
    )
