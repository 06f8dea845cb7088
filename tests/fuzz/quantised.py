"""Random convolutions of every form, verified in situ and isolated: no verdict may be false.

Quantised (QLinearConv, ConvInteger, DequantizeLinear around Conv), deformable, fused, half-precision,
transposed and plain ones, of every rank, with groups, uneven pads, strides and dilations.

    python -m tests.fuzz.quantised SEED N
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tests.fuzz.children import Child

MICROSOFT = "com.microsoft"
NOT_FALSE = {"exact", "within_rounding"}
LEVELS = ("all", "extended", "basic", "disabled")
PROVES_NOTHING = (
    "all zero",
    "meets only zeros",
    "saturated everywhere",
    "the sums do not show",
    "below the rounding",
)
NOT_TAKEN = "the body choice/else_branch did not run on this input"
REWRITTEN = ("Dilation not supported for AutoPadType", "has both 'auto_pad' and 'pads' attributes")
"""What onnxruntime refuses of legal ONNX, and convaudit therefore rewrites."""
SECONDS = 60.0
MEMORY = 8 * 2**30


@dataclass
class Geometry:
    """Sizes and attributes of one convolution, the same for all its forms."""

    rank: int
    batch: int
    groups: int
    inputs: int  # channels of a group, as are outputs
    outputs: int
    size: list[int]
    kernel: list[int]
    transposed: bool
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def x(self) -> list[int]:
        return [self.batch, self.groups * self.inputs, *self.size]

    @property
    def weight(self) -> list[int]:
        if self.transposed:
            return [self.groups * self.inputs, self.outputs, *self.kernel]
        return [self.groups * self.outputs, self.inputs, *self.kernel]

    @property
    def channels(self) -> int:
        return self.groups * self.outputs


def geometry(
    rng: random.Random, *, transposed: bool = False, ranks: tuple[int, ...] = (1, 2, 2, 3)
) -> Geometry:
    """A convolution whose output is not empty, unless its batch is."""
    rank = rng.choice(ranks)
    depthwise = rng.random() < 0.25
    groups = rng.choice([1, 1, 1, 2, 3, 4, 8]) if not depthwise else rng.choice([2, 3, 5, 8, 16])
    strides = [rng.choice([1, 1, 2, 3]) for _ in range(rank)]
    dilations = [rng.choice([1, 1, 1, 2, 3]) for _ in range(rank)]
    kernel = [rng.choice([1, 2, 3, 3, 4, 5]) for _ in range(rank)]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    found = Geometry(
        rank=rank,
        batch=rng.choice([1, 1, 1, 2, 3, 0] if rng.random() < 0.3 else [1, 2]),
        groups=groups,
        inputs=1 if depthwise else rng.choice([1, 2, 3, 4, 7]),
        outputs=rng.choice([1, 1, 2]) if depthwise else rng.choice([1, 2, 3, 4, 5]),
        size=[
            max(1, span + rng.randrange(-1, 8)) if transposed else span + rng.randrange(8) for span in spans
        ],
        kernel=kernel,
        transposed=transposed,
        attributes={"strides": strides, "dilations": dilations, "group": groups, "kernel_shape": kernel},
    )
    for name in ("dilations", "strides", "kernel_shape"):
        if rng.random() < 0.2 and (name == "kernel_shape" or set(found.attributes[name]) == {1}):
            del found.attributes[name]
    _pad(rng, found, strides, spans)
    return found


def _pad(rng: random.Random, found: Geometry, strides: list[int], spans: list[int]) -> None:
    how = rng.choice(["none", "pads", "pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if how == "pads":
        most = [
            min(span - 1, (size - 1) * stride + span - 1) if found.transposed else span
            for span, size, stride in zip(spans, found.size, strides, strict=True)
        ]
        before = [rng.randint(0, limit // 2) for limit in most]
        after = [
            rng.randint(0, limit - head) if found.transposed else rng.randint(0, limit)
            for limit, head in zip(most, before, strict=True)
        ]
        found.attributes["pads"] = before + after
    elif how != "none" and not (found.transposed and _short(spans, strides)):
        found.attributes["auto_pad"] = how
        if rng.random() < 0.1:
            found.attributes["pads"] = [0] * 2 * found.rank
    if found.transposed and rng.random() < 0.3:
        found.attributes["output_padding"] = [rng.randrange(stride) for stride in strides]


def _short(spans: list[int], strides: list[int]) -> bool:
    """Whether SAME ends behind the last tap of a transposed one, where onnxruntime ends before ONNX does."""
    return any(span < stride for span, stride in zip(spans, strides, strict=True))


class Graph:
    """A model in the making."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.values = np.random.default_rng(rng.randrange(2**32))
        self.nodes: list[NodeProto] = []
        self.stored: list[TensorProto] = []
        self.data: dict[str, Any] = {}  # of the inputs

    def input(self, name: str, dtype: str, shape: list[int]) -> str:
        make = self.floats if dtype.startswith("float") else self.integers
        self.data[name] = make(shape, dtype)
        return name

    def store(self, name: str, array: Any) -> str:
        self.stored.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        self.nodes.append(
            helper.make_node(op, inputs, [output], f"node_{output}", domain=domain, **attributes)
        )
        return output

    def model(self, opset: int) -> ModelProto:
        declared = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in self.data.items()
        ]
        output = helper.make_empty_tensor_value_info(self.nodes[-1].output[0])
        if opset >= 11 and self.rng.random() < 0.2:
            self._wrap(output)  # before, an If wants one shape of both arms, and nothing is handed out of it
        graph = helper.make_graph(self.nodes, "fuzz", declared, [output], self.stored)
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _wrap(self, output: ValueInfoProto) -> None:
        """Put all nodes into both arms of an If, of which the first runs."""
        arms = {f"{arm}_branch": helper.make_graph(self.nodes, arm, [], [output]) for arm in ("then", "else")}
        condition = self.store("condition", np.array(True))
        self.nodes = [helper.make_node("If", [condition], [output.name], "choice", **arms)]

    # --- operands ---------------------------------------------------------------------------------------

    def integers(self, shape: Any, dtype: str) -> Any:
        """8-bit integers: of the full range, or few values, or all the same but one."""
        limits = np.iinfo(dtype)
        kind = self.rng.random()
        if kind < 0.7:
            return self.values.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
        low = self.rng.randint(int(limits.min), int(limits.max) - 3)
        return self.values.integers(low, low + 3, shape, endpoint=True).astype(dtype)

    def zero_point(self, dtype: str, shape: Any = ()) -> Any:
        limits = np.iinfo(dtype)
        choices = [0, 0, int(limits.min), int(limits.max), self.rng.randint(int(limits.min), int(limits.max))]
        return np.full(shape, self.rng.choice(choices), dtype)

    def scale(self, shape: Any = ()) -> Any:
        return np.asarray(2.0 ** self.values.uniform(-9, 0, shape), np.float32)

    def floats(self, shape: Any, dtype: str = "float32") -> Any:
        values = self.values.standard_normal(shape)
        if self.rng.random() < 0.2:
            values = np.where(self.values.random(shape) < 0.7, 0.0, values)  # pruned
        if self.rng.random() < 0.1 and dtype == "float32":
            values = values * 10.0 ** self.rng.randint(-12, 12)
        return np.asarray(values, dtype)

    def y_scale(self, g: Geometry, x_scale: Any, w_scale: Any) -> Any:
        """Mostly one that neither saturates nor vanishes."""
        spread = float(np.mean(x_scale)) * float(np.mean(w_scale)) * 5000 * np.sqrt(g.inputs * prod(g.kernel))
        return np.asarray(spread / 40 * 2.0 ** self.rng.uniform(-3, 3), np.float32)


# --- one function for each form -------------------------------------------------------------------------


def qlinear(b: Graph) -> ModelProto:
    g = geometry(b.rng)
    microsoft = b.rng.random() < 0.5
    last = microsoft and b.rng.random() < 0.7
    x_type = b.rng.choice(["uint8", "int8"])
    w_type = "int8" if x_type == "int8" else b.rng.choice(["uint8", "int8"])
    per_channel = b.rng.random() < 0.5
    channels = (g.channels,) if per_channel else b.rng.choice([(), (1,)])
    x_scale, w_scale = b.scale(), b.scale(channels)
    x_shape = [g.x[0], *g.x[2:], g.x[1]] if last else g.x
    operands = [
        b.input("x", x_type, x_shape),
        b.store("xs", x_scale),
        b.store("xz", b.zero_point(x_type)),
        b.store("w", b.integers(g.weight, w_type)),
        b.store("ws", w_scale),
        b.store(
            "wz",
            np.zeros(channels, w_type)
            if per_channel and w_type == "int8"
            else b.zero_point(w_type, channels),
        ),
        b.store("ys", b.y_scale(g, x_scale, w_scale)),
        b.store("yz", b.zero_point(x_type)),
    ]
    if b.rng.random() < 0.5:
        operands.append(b.store("b", b.values.integers(-5000, 5000, g.channels).astype(np.int32)))
    more = {"channels_last": 1} if last else {}
    b.node("QLinearConv", operands, "y", MICROSOFT if microsoft else "", **g.attributes, **more)
    return b.model(b.rng.choice([10, 13, 19, 21]))


def integer(b: Graph) -> ModelProto:
    g = geometry(b.rng)
    x_type, w_type = b.rng.choice(
        [("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8"), ("int8", "uint8")]
    )
    dynamic = x_type == "uint8" and b.rng.random() < 0.4
    if dynamic:
        b.input("f", "float32", g.x)
        b.nodes.append(helper.make_node("DynamicQuantizeLinear", ["f"], ["x", "xs", "xz"], "quantise"))
        zero_point = "xz"
    else:
        b.input("x", x_type, g.x)
        zero_point = b.store("xz", b.zero_point(x_type)) if b.rng.random() < 0.7 else ""
    weight = b.store("w", b.integers(g.weight, w_type))
    w_zero_point = b.store("wz", b.zero_point(w_type)) if b.rng.random() < 0.5 else ""
    b.node("ConvInteger", ["x", weight, zero_point, w_zero_point], "y", **g.attributes)
    return b.model(b.rng.choice([11, 13, 21]))


def around(b: Graph) -> ModelProto:
    """DequantizeLinear before Conv or ConvTranspose, QuantizeLinear behind."""
    g = geometry(b.rng, transposed=b.rng.random() < 0.3)
    dtype = b.rng.choice(["uint8", "int8"])
    x_scale: Any = b.scale()
    per_channel = b.rng.random() < 0.5
    count = g.weight[1] if g.transposed else g.weight[0]
    shape = (count,) if per_channel else ()
    w_scale = b.scale(shape)
    axis: dict[str, Any] = {"axis": 1 if g.transposed else 0} if per_channel else {}
    b.store("xs", x_scale), b.store("xz", b.zero_point(dtype))
    if b.rng.random() < 0.5:
        b.input("x", dtype, g.x)
    else:
        b.node("QuantizeLinear", [b.input("f", "float32", g.x), "xs", "xz"], "x")
    b.node("DequantizeLinear", ["x", "xs", "xz"], "xf")
    weight = [b.store("w", b.integers(g.weight, "int8")), b.store("ws", w_scale)]
    b.node("DequantizeLinear", [*weight, b.store("wz", np.zeros(shape, np.int8))], "wf", **axis)
    operands = ["xf", "wf"]
    if b.rng.random() < 0.5:
        bias = b.values.integers(-900, 900, g.channels).astype(np.int32)
        scale = np.asarray(x_scale * (w_scale if not g.transposed else np.mean(w_scale)), np.float32)
        more: dict[str, Any] = {"axis": 0} if scale.ndim else {}
        operands.append(b.node("DequantizeLinear", [b.store("b", bias), b.store("bs", scale)], "bf", **more))
    b.node("ConvTranspose" if g.transposed else "Conv", operands, "yf", **g.attributes)
    if b.rng.random() < 0.7:
        if b.rng.random() < 0.4:
            b.node("Relu", ["yf"], "yr")
        y_scale = b.store("ys", b.y_scale(g, x_scale, w_scale))
        b.node("QuantizeLinear", [b.nodes[-1].output[0], y_scale, b.store("yz", b.zero_point(dtype))], "y")
    return b.model(b.rng.choice([13, 19, 21]))


def deformable(b: Graph) -> ModelProto:
    g = geometry(b.rng, ranks=(2,))
    g.attributes.pop("auto_pad", None)
    strides, dilations = (g.attributes.get(name, [1, 1]) for name in ("strides", "dilations"))
    pads = g.attributes.setdefault("pads", [0] * 4)
    out = [
        (size + pads[i] + pads[i + 2] - dilations[i] * (g.kernel[i] - 1) - 1) // strides[i] + 1
        for i, size in enumerate(g.size)
    ]
    groups = b.rng.choice([n for n in range(1, g.x[1] + 1) if g.x[1] % n == 0])
    taps = groups * prod(g.kernel)
    operands = [
        b.input("x", "float32", g.x),
        b.store("w", b.floats(g.weight)),
        b.input("o", "float32", [g.batch, 2 * taps, *out]),
    ]
    operands.append(b.store("b", b.floats([g.channels])) if b.rng.random() < 0.5 else "")
    operands.append(b.input("m", "float32", [g.batch, taps, *out]) if b.rng.random() < 0.5 else "")
    b.node("DeformConv", operands, "y", **g.attributes, offset_group=groups)
    return b.model(b.rng.choice([19, 22]))


ACTIVATIONS: list[tuple[str, Callable[[random.Random], list[float]]]] = [
    ("Relu", lambda _: []),
    ("Tanh", lambda _: []),
    ("Sigmoid", lambda _: []),
    ("LeakyRelu", lambda rng: [rng.uniform(0, 0.5)]),
    ("Clip", lambda rng: sorted([rng.uniform(-3, 3), rng.uniform(-3, 3)])),
    ("HardSigmoid", lambda rng: [rng.uniform(0.1, 0.4), rng.uniform(0, 1)]),
]


def fused(b: Graph) -> ModelProto:
    g = geometry(b.rng)
    activation, params = b.rng.choice(ACTIVATIONS)
    values = params(b.rng)
    attributes = {**g.attributes, "activation": activation} | (
        {"activation_params": values} if values else {}
    )
    operands = [b.input("x", "float32", g.x), b.store("w", b.floats(g.weight))]
    operands.append(b.store("b", b.floats([g.channels])) if b.rng.random() < 0.6 else "")
    if b.rng.random() < 0.4:
        residual = b.node("Conv", operands[:2], "z", **g.attributes)
        operands.append(residual)
    b.node("FusedConv", operands, "y", MICROSOFT, **attributes)
    return b.model(b.rng.choice([11, 17, 21]))


def fused_last(b: Graph) -> ModelProto:
    """onnxruntime runs it on few machines only."""
    g = geometry(b.rng, ranks=(2,))
    shape = [g.x[0], *g.x[2:], g.x[1]]
    operands = [b.input("x", "float16", shape), b.store("w", b.floats(g.weight, "float16"))]
    b.node("NhwcFusedConv", operands, "y", MICROSOFT, **g.attributes, activation="Relu")
    return b.model(17)


def half(b: Graph) -> ModelProto:
    g = geometry(b.rng, transposed=b.rng.random() < 0.3)
    operands = [b.input("x", "float16", g.x), b.store("w", b.floats(g.weight, "float16"))]
    if b.rng.random() < 0.5:
        operands.append(b.store("b", b.floats([g.channels], "float16")))
    b.node("ConvTranspose" if g.transposed else "Conv", operands, "y", **g.attributes)
    if b.rng.random() < 0.5:
        b.node("Relu", ["y"], "z")
    return b.model(b.rng.choice([11, 17, 22]))


def plain(b: Graph) -> ModelProto:
    return _float(b, transposed=False)


def transposed(b: Graph) -> ModelProto:
    return _float(b, transposed=True)


def _float(b: Graph, *, transposed: bool) -> ModelProto:
    g = geometry(b.rng, transposed=transposed)
    weight = b.floats(g.weight)
    # a weight that is stored, calculated from what is stored, or an input
    how = b.rng.random()
    if how < 0.7:
        name = b.store("w", weight)
    elif how < 0.85:
        name = b.node("Neg", [b.store("v", weight)], "w")
    else:
        name = b.input("w", "float32", g.weight)
    operands = [b.input("x", "float32", g.x), name]
    if b.rng.random() < 0.5:
        operands.append(b.store("b", b.floats([g.channels])))
    b.node("ConvTranspose" if transposed else "Conv", operands, "y", **g.attributes)
    if b.rng.random() < 0.3:
        b.node("Relu", ["y"], "z")
    return b.model(b.rng.choice([11, 17, 22]))


def causal(b: Graph) -> ModelProto:
    channels, length, kernel = b.rng.randint(1, 8), b.rng.randint(1, 12), b.rng.randint(1, 5)
    batch = b.rng.choice([1, 2])
    operands = [
        b.input("x", "float32", [batch, channels, length]),
        b.store("w", b.floats([channels, 1, kernel])),
    ]
    operands.append(b.store("b", b.floats([channels])) if b.rng.random() < 0.5 else "")
    operands.append(b.input("p", "float32", [batch, channels, kernel - 1]) if b.rng.random() < 0.5 else "")
    while not operands[-1]:
        operands.pop()
    activation = {"activation": "silu"} if b.rng.random() < 0.5 else {}
    node = helper.make_node(
        "CausalConvWithState", operands, ["y", "s"], "causal", domain=MICROSOFT, **activation
    )
    b.nodes.append(node)
    return b.model(17)


FORMS: dict[str, tuple[int, Callable[[Graph], ModelProto]]] = {
    "QLinearConv": (5, qlinear),
    "ConvInteger": (4, integer),
    "QDQ": (4, around),
    "DeformConv": (3, deformable),
    "FusedConv": (3, fused),
    "NhwcFusedConv": (1, fused_last),
    "float16": (3, half),
    "transposed": (4, transposed),
    "plain": (3, plain),
    "causal": (1, causal),
}
"""Name, weight and maker of each form."""


@dataclass(frozen=True)
class Case:
    """One model of the fuzz."""

    form: str
    model: ModelProto
    data: dict[str, Any]


def made(seed: int, number: int) -> Case:
    """Case ``number`` of a seed."""
    rng = random.Random(f"{seed}/{number}")
    form = rng.choices(list(FORMS), [weight for weight, _ in FORMS.values()])[0]
    graph = Graph(rng)
    return Case(form, FORMS[form][1](graph), graph.data)


# --- in the child ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What was said of one model."""

    form: str
    refusal: str | None  # onnxruntime's own, of the model as it is
    empty: bool  # there is nothing to compare: a batch of zero
    verdicts: dict[str, tuple[str, str]]  # status or error, and reason, by how it was verified

    def faults(self) -> list[str]:
        """Verdicts that must not be."""
        return [
            f"{how}: {status}: {reason}"
            for how, (status, reason) in self.verdicts.items()
            if not self._honest(status, reason)
        ]

    def _honest(self, status: str, reason: str) -> bool:
        if status in NOT_FALSE:
            return True
        if status == "vacuous":
            return self.empty or any(words in reason for words in PROVES_NOTHING)
        return (
            status in ("not_executed", "ExecutionError")
            and self.refusal is not None
            and not any(words in self.refusal for words in REWRITTEN)
            and "onnxruntime: " in reason
        )


def examine(seed: int, number: int) -> Found:
    """Run and verify one model; called in the child."""
    import convaudit

    case = made(seed, number)
    # without optimisation, too: so it runs where its weights do not fit into memory
    refusal = _refusal(case, "ORT_ENABLE_ALL") or _refusal(case, "ORT_DISABLE_ALL")
    rng = random.Random(number)
    keywords: dict[str, Any] = {"seed": number, "allow_run": False, "optimization": rng.choice(LEVELS)}
    in_situ = {"data": rng.choice([case.data, None]), "memory_bytes": rng.choice([1, 2**30])}
    verdicts: dict[str, tuple[str, str]] = {}
    for how, more in (("in-situ", in_situ), ("isolated", {})):
        try:
            report = convaudit.audit(case.model, **{**keywords, **more, "verify": how})
            found = [layer.verification for layer in report.layers if layer.verification]
            found = [verdict for verdict in found if not verdict.reason.startswith(NOT_TAKEN)]
            worst = next((verdict for verdict in found if verdict.status not in NOT_FALSE), found[0])
            verdicts[how] = worst.status, worst.reason
        except convaudit.ConvauditError as error:
            verdicts[how] = type(error).__name__, str(error)
    empty = any(array.size == 0 for array in case.data.values())
    return Found(case.form, refusal, empty, verdicts)


def _refusal(case: Case, level: str) -> str | None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    try:
        session = onnxruntime.InferenceSession(
            case.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        session.run(None, case.data)
    except Exception as error:
        return str(error)
    return None


# --- in the parent --------------------------------------------------------------------------------------


def fuzz(seed: int, models: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """How often each form got which verdict, and what must not be, one line each."""
    counts: Counter[tuple[str, str]] = Counter()
    faults = []
    with Child(examine, seconds=SECONDS, memory_bytes=MEMORY) as child:
        for number in range(models):
            outcome = child(seed, number)
            found = outcome.value
            if found is None:
                faults.append(f"{seed} {number}: {outcome.error or outcome.crash}")
                continue
            faults += [f"{seed} {number} ({found.form}): {fault}" for fault in found.faults()]
            for status, _ in found.verdicts.values():
                counts[found.form, status] += 1
    return counts, faults


def main(seed: int, models: int) -> int:
    counts, faults = fuzz(seed, models)
    for (form, status), number in sorted(counts.items()):
        print(f"{form:14} {status:24} {number}")
    for fault in faults:
        print(fault)
    print(f"{models} models, {2 * models} verifications, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
