"""Hand-made layers and networks for the tests of analyzer, reporters and checks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from convaudit.formulas import product, symbol
from convaudit.records import (
    AuditReport,
    Branch,
    ConvLayer,
    Network,
    OtherLayer,
    OtherOp,
    RuntimeInfo,
    TensorInfo,
    Verification,
)
from convaudit.records.timing import ModelTiming, Roofs, TimePart, Timing
from convaudit.shapes import conv_output_size, conv_transpose_output_size


def conv_layer(
    name: str = "conv",
    in_channels: Any = 6,
    out_channels: Any = 6,
    kernel: tuple[int, ...] = (1, 1),
    size: tuple[Any, ...] = (1, 1),
    batch: Any = 1,
    **changes: Any,
) -> ConvLayer:
    """A consistent layer: shapes follow from channels, kernel, stride, padding, dilation and groups."""
    rank = len(kernel)
    fields: dict[str, Any] = {
        "stride": (1,) * rank,
        "padding": ((0, 0),) * rank,
        "dilation": (1,) * rank,
        "groups": 1,
        "transposed": False,
    } | changes
    groups = fields["groups"]
    output_size = conv_transpose_output_size if fields["transposed"] else conv_output_size
    spatial = tuple(
        output_size(i, k, s, d, *p)
        for i, k, s, d, p in zip(
            size, kernel, fields["stride"], fields["dilation"], fields["padding"], strict=True
        )
    )
    weight = (
        (in_channels, out_channels // groups, *kernel)
        if fields["transposed"]
        else (out_channels, in_channels // groups, *kernel)
    )
    shapes: dict[str, Any] = {
        "input_shape": (batch, in_channels, *size),
        "output_shape": (batch, out_channels, *spatial),
        "weight_shape": weight,
    }
    types: dict[str, Any] = {
        "op": "ConvTranspose" if fields["transposed"] else "Conv",
        "dtype": "float32",
        "weight_dtype": "float32",
        "output_dtype": "float32",
        "weight_name": f"{name}.weight",
    }
    if fields.get("bias"):
        types |= {"bias_name": f"{name}.bias", "bias_dtype": "float32"}
    return ConvLayer(
        name=name,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=kernel,
        **(shapes | types | fields),
    )


def network(*layers: ConvLayer, **changes: Any) -> Network:
    """A network of the given layers; its stored parameters are those of the layers unless said otherwise."""
    inputs = (TensorInfo(name="x", shape=layers[0].input_shape if layers else (1, 3), dtype="float32"),)
    stored = {layer.weight_name: product(layer.weight_shape or ()) for layer in layers if layer.weight_name}
    fields = {
        "source": "demo.onnx",
        "format": "onnx",
        "inputs": inputs,
        "layers": layers,
        "model_params": sum(stored.values()) if all(isinstance(n, int) for n in stored.values()) else None,
    }
    return Network(**(fields | changes))


def mixed_network() -> Network:
    """Every kind of layer and of unknown once, for golden outputs."""
    then, other = Branch(choice="If_0", arm="then_branch"), Branch(choice="If_0", arm="else_branch")
    padded = {"padding": ((1, 1), (1, 1))}
    return network(
        conv_layer("stem", 3, 32, (3, 3), (224, 224), stride=(2, 2), bias=True, **padded),
        conv_layer("block/depthwise", 32, 32, (3, 3), (112, 112), groups=32, **padded),
        conv_layer("block/project", 32, 16, (1, 1), (112, 112)),
        conv_layer("grouped", 16, 32, (3, 3), (112, 112), groups=4, stride=(2, 1), **padded),
        conv_layer("asymmetric", 32, 32, (3, 3), (56, 112), padding=((0, 1), (2, 0)), dilation=(2, 1)),
        conv_layer("then", 32, 32, (1, 1), (55, 112), branches=(then,), scope="If_0/then_branch"),
        conv_layer("else", 32, 8, (1, 1), (55, 112), branches=(other,), scope="If_0/else_branch"),
        conv_layer("up", 32, 16, (2, 2), (55, 112), transposed=True, stride=(2, 2), groups=2),
        conv_layer("looped", 16, 16, (1, 1), (8, 8), calls=None, notes=("the loop's length is unknown",)),
        conv_layer("dynamic", 16, 4, (1, 1), (8, 8), weight_name=None),
        other_layers=(
            OtherLayer(
                name="head",
                op="Gemm",
                params=81_000,
                macs=1_280_000,
                input_shape=(16, 80),
                output_shape=(16, 1000),
                weight_shape=(1000, 80),
                weight_name="head.weight",
                dtype="float32",
                stored=(
                    TensorInfo(name="head.weight", shape=(1000, 80), dtype="float32"),
                    TensorInfo(name="head.bias", shape=(1000,), dtype="float32"),
                ),
            ),
        ),
        other_ops=(
            OtherOp(op="Gemm", count=1, macs=1_280_000),
            OtherOp(op="custom.Thing", count=2, macs=None, reason="unknown op"),
        ),
        uncounted_ops=(("Relu", 12), ("Add", 3)),
        model_params=1_300_000,
        warnings=("a walker's warning",),
    )


def symbolic_network() -> Network:
    """Batch, height and width are open, strided."""
    size = (symbol("H"), symbol("W"))
    half = tuple((axis - 1) // 2 + 1 for axis in size)
    padded = {"padding": ((1, 1), (1, 1)), "batch": symbol("N")}
    return network(
        conv_layer("stem", 3, 32, (3, 3), size, stride=(2, 2), **padded),
        conv_layer("depthwise", 32, 32, (3, 3), half, groups=32, **padded),
    )


MISCOUNTED = Verification(
    status="miscounted",
    reason="the accounting claims 8 MACs, but 4 MACs ran; the values of that size are right",
    executed_macs=4,
)
VERDICTS = (
    Verification(status="exact", reason="bit for bit", max_abs_error=0.0, bits=float("inf"), executed_macs=1),
    Verification(
        status="within_rounding",
        reason="below the bound everywhere",
        max_abs_error=1.5e-7,
        bits=23.25,
        worst_index=(0, 1, 2, 3),
        bound=2.5e-6,
        executed_macs=4,
    ),
    Verification(
        status="low_accuracy", reason="uniformly 11.7 bits", max_abs_error=2e-3, bits=11.7, format="TF32"
    ),
    Verification(
        status="mismatch",
        reason="concentrated in output channels 3, 7",
        max_abs_error=0.5,
        bits=3.1,
        worst_index=(0, 3, 0, 0),
        bound=1e-6,
        location="output channels 3, 7",
    ),
    MISCOUNTED,
    Verification(status="vacuous", reason="all activations are NaN; try --data", max_abs_error=float("nan")),
    Verification(status="not_executed", reason="its branch was not taken"),
)


RUNTIME = RuntimeInfo(
    name="onnxruntime",
    version="1.2.3",
    provider="CPUExecutionProvider",
    threads=2,
    optimization="all",
    device="cpu",
    seed=0,
    input_shapes={"x": (1, 3, 224, 224)},
)


def verified(report: AuditReport) -> AuditReport:
    """The report with verdicts, one kind after the other."""
    ran = {"provider": RUNTIME.provider, "compiled_nodes": 1}
    verdicts = itertools.cycle(
        verdict if verdict.status == "not_executed" else replace(verdict, **ran) for verdict in VERDICTS
    )
    layers = tuple(replace(layer, verification=next(verdicts)) for layer in report.layers)
    return replace(report, layers=layers, runtime=RUNTIME)


TIMED_ON = replace(RUNTIME, threads=1, device="cpu")
TIMINGS = {
    "stem": Timing(
        seconds=280e-6,
        spread=0.02,
        kernel="Conv (NCHWc)",
        model_seconds=301e-6,
        model_spread=0.031,
        model_share=0.0745,
        reorders=0,
        macs_per_second=38.7e9,
        bound="compute",
    ),
    "block/depthwise": Timing(
        seconds=91e-6,
        dense_seconds=2.17e-3,
        promised=32.0,
        realised=23.85,
        realised_interval=(23.4, 24.4),
        efficiency=23.85 / 32,
        spread=0.021,
        kernel="Conv (NCHWc)",
        dense_kernel="Conv (NCHWc)",
        model_seconds=104e-6,
        model_spread=0.04,
        model_share=0.0257,
        reorders=0,
        macs_per_second=39.7e9,
        bound="memory",
    ),
    "grouped": Timing(
        seconds=1.31e-3,
        dense_seconds=1.27e-3,
        promised=4.0,
        realised=0.969,
        realised_interval=(0.93, 1.01),
        efficiency=0.969 / 4,
        spread=0.042,
        kernel="Conv",
        dense_kernel="Conv (NCHWc)",
        model_seconds=1.62e-3,
        model_spread=0.026,
        model_share=0.401,
        reorders=2,
        reorder_seconds=310e-6,
        macs_per_second=5.5e9,
        bound="overhead",
    ),
    "then": Timing(
        kernel="Conv (NCHWc)",
        model_seconds=0.95e-6,
        model_spread=0.21,
        model_share=0.0002,
        reorders=0,
        reason="shorter than the profiler's step of 1 us",
    ),
    "else": Timing(reason="its branch was not taken"),
}
MODEL_TIMING = ModelTiming(
    seconds=4.04e-3,
    interval=(3.97e-3, 4.12e-3),
    spread=0.018,
    runs=42,
    profiled_seconds=4.04e-3,
    parts=(
        TimePart(name="convolutions", kind="layers", count=9, seconds=3.31e-3, spread=0.02, share=0.819),
        TimePart(name="layout reorders", kind="reorders", count=2, seconds=310e-6, spread=0.03, share=0.077),
        TimePart(name="Add", kind="other_op", count=3, seconds=202e-6, spread=0.05, share=0.05),
        TimePart(name="Gemm", kind="other_op", count=1, seconds=121e-6, spread=0.05, share=0.03),
        TimePart(name="fused|thing", kind="unattributed", count=1, seconds=8e-6, spread=None, share=0.002),
        TimePart(name="between", kind="between", count=16, seconds=89e-6, spread=0.09, share=0.022),
    ),
    attributed=0.976,
    grouped_layers=2,
    promised=13.3,
    realised=2.46,
    realised_interval=(2.38, 2.54),
    efficiency=2.46 / 13.3,
    with_reorders=2.02,
    with_reorders_interval=(1.95, 2.09),
    noise=0.012,
    roofs=Roofs(macs_per_second={"float32": 48.2e9}, bytes_per_second=21.3e9),
    runtime=TIMED_ON,
    cpu="Some CPU @ 2 GHz",
)


def timed(report: AuditReport) -> AuditReport:
    """The report of the mixed network with times, some of them missing."""
    missing = Timing(reason="the time budget ran out; give more by --time-budget")
    layers = tuple(replace(layer, timing=TIMINGS.get(layer.name, missing)) for layer in report.layers)
    return replace(report, layers=layers, timing=MODEL_TIMING, runtime=report.runtime or TIMED_ON)
