"""Shapes and counts of generated models, against what onnxruntime really produces.

    python -m tests.fuzz.shapes SEED N          # N models; exit code 1 if there is a finding
    python -m tests.fuzz.shapes --chain TEXT    # one of them again, as a finding prints it

Each model is a chain of 1 to 3 patterns (``patterns``) in front of a convolution, its sizes open. The
formulas of every tensor, and of the convolution's MACs, must be what onnxruntime has at four sizes, or
unknown; and the same model with its sizes fixed must be right as well, every fifth also as onnxruntime saves
it when it is optimised. Everything runs in a child process: a crash is a finding.

Not judged are sizes at which a pooling's window is larger than its padded input: there is no output by ONNX's
formula, and onnxruntime makes one of 1, because its division rounds towards zero.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random
from typing import Any

from tests.fuzz.children import Child
from tests.fuzz.patterns import PATTERNS, Builder, Unfit

SECONDS = 20.0
MEMORY = 6 * 2**30
OPSETS = range(7, 26)
Sizes = tuple[int, int, int]
Shapes = Mapping[str, "tuple[int | None, ...] | None"]


@dataclass(frozen=True)
class Chain:
    """How to make one model again."""

    opset: int
    channels: int
    rank: int
    sizes: tuple[Sizes, ...]
    convolution: int
    steps: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        sizes = ",".join("x".join(map(str, size)) for size in self.sizes)
        steps = " ".join(f"{name}:{seed}" for name, seed in self.steps)
        return f"{self.opset} {self.channels} {self.rank} {sizes} {self.convolution} {steps}".strip()

    @classmethod
    def parse(cls, text: str) -> Chain:
        """The chain of a finding's text."""
        opset, channels, rank, sizes, convolution, *steps = text.split()
        return cls(
            int(opset),
            int(channels),
            int(rank),
            tuple(_three(size.split("x")) for size in sizes.split(",")),
            int(convolution),
            tuple((step.split(":")[0], int(step.split(":")[1])) for step in steps),
        )


def _three(parts: Sequence[str]) -> Sizes:
    n, h, w = map(int, parts)
    return n, h, w


@dataclass(frozen=True)
class Finding:
    """What is wrong with a model.

    Attributes:
        kind: "wrong", "refused" or "crash".
        what: In words.
    """

    kind: str
    what: str


@dataclass
class Result:
    """What became of one model.

    Attributes:
        ran: At how many sizes onnxruntime ran it.
        unknown: Whether a size of the convolution, or its MACs, are unknown with open sizes.
    """

    ran: int = 0
    unknown: bool = False
    findings: list[Finding] = field(default_factory=list)


def chains(seed: int, count: int, names: Sequence[str] = ()) -> Iterator[Chain]:
    """``count`` chains; the same for the same seed."""
    rng = Random(seed)
    names = list(names) or sorted(PATTERNS)
    for _ in range(count):
        small = (rng.randint(1, 3), rng.randint(1, 6), rng.randint(1, 6))
        others = [
            (rng.randint(1, 3), rng.randint(low, high), rng.randint(low, high))
            for low, high in ((5, 17), (16, 40), (30, 70))
        ]
        yield Chain(
            opset=rng.choice(OPSETS),
            channels=rng.choice([1, 2, 3, 4, 4, 6, 8]),
            rank=rng.choice([3, 4, 4, 4, 4, 4]),
            sizes=(small, *others),
            convolution=rng.randrange(10**6),
            steps=tuple((rng.choice(names), rng.randrange(10**6)) for _ in range(rng.choice([1, 2, 2, 3]))),
        )


def build(chain: Chain) -> tuple[bytes, str, tuple[tuple[str, int], ...]]:
    """The model, its convolution's result, and the steps that fitted."""
    builder = Builder(chain.opset, chain.channels, chain.rank)
    fitted = []
    for step in chain.steps:
        before = (len(builder.nodes), len(builder.values), builder.value, builder.channels, builder.rank)
        try:
            PATTERNS[step[0]](builder, Random(step[1]))
            fitted.append(step)
        except Unfit:
            nodes, values, builder.value, builder.channels, builder.rank = before
            del builder.nodes[nodes:], builder.values[values:]
    result = builder.convolve(Random(chain.convolution))
    return builder.model().SerializeToString(), result, tuple(fitted)


# --- in the child ----------------------------------------------------------------------------------------


def run(task: str, *arguments: Any) -> Any:
    """One of the functions below, in the child."""
    return {"execute": _execute, "audit": _audit, "optimize": _optimize}[task](*arguments)


def _optimize(model: bytes, result: str) -> bytes:
    """The model as onnxruntime saves it after all of its optimisations, its outputs all tensors again."""
    import tempfile
    from pathlib import Path

    import onnx
    import onnxruntime

    proto = onnx.ModelProto.FromString(model)
    del proto.graph.output[:]
    proto.graph.output.add(name=result)
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        saved = onnx.load(options.optimized_model_filepath)
    del saved.graph.output[:]
    del saved.graph.value_info[:]
    saved.graph.output.extend(
        onnx.ValueInfoProto(name=name) for node in saved.graph.node for name in node.output if name
    )
    return saved.SerializeToString()


def _execute(model: bytes, sizes: Sequence[Sizes]) -> list[Shapes | None]:
    """Shapes that onnxruntime produces at each size; None where it fails."""
    import numpy as np
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    run_options = onnxruntime.RunOptions()
    run_options.log_severity_level = 4
    names = [output.name for output in session.get_outputs()]
    found: list[Shapes | None] = []
    for size in sizes:
        given = _named(size)
        feeds = {
            value.name: np.random.default_rng(0).random(
                [given.get(dim, dim) for dim in value.shape], dtype=np.float32
            )
            for value in session.get_inputs()
        }
        try:
            results = session.run(None, feeds, run_options)
        except Exception:
            found.append(None)
            continue
        shapes = {name: tuple(np.shape(result)) for name, result in zip(names, results, strict=True)}
        shapes.update({name: feed.shape for name, feed in feeds.items()})
        found.append(None if _has_window_too_large(model, shapes) else shapes)
    return found


def _has_window_too_large(model: bytes, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a pooling's window is larger than its padded input."""
    import onnx

    for node in onnx.ModelProto.FromString(model).graph.node:
        given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        same = given.get("auto_pad", b"").startswith(b"SAME")
        if "Pool" not in node.op_type or "kernel_shape" not in given or same:
            continue
        kernel, shape = given["kernel_shape"], shapes[node.input[0]]
        rank = len(kernel)
        sizes = shape[1:-1] if node.op_type == "NhwcMaxPool" else shape[2:]
        pads = given.get("pads") or [0] * 2 * rank
        dilations = given.get("dilations") or [1] * rank
        for axis, size in enumerate(sizes):
            if dilations[axis] * (kernel[axis] - 1) + 1 > size + pads[axis] + pads[axis + rank]:
                return True
    return False


def _named(size: Sizes) -> dict[str, int]:
    n, h, w = size
    return {"N": n, "H": h, "W": w, "M": n, "K": h}


@dataclass(frozen=True)
class Audited:
    """What convaudit says of a model at one size, its formulas worked out."""

    shapes: Shapes
    output: tuple[int | None, ...] | None
    macs: int | None
    refusal: str | None = None


def _audit(model: bytes, sizes: Sequence[Sizes], static: Sequence[Sizes]) -> list[Audited]:
    """What convaudit says with open sizes, at each of ``sizes``; then with ``static`` ones fixed."""
    import onnx

    import convaudit
    from convaudit.errors import ConvauditError
    from convaudit.formulas import Formula

    proto = onnx.ModelProto.FromString(model)
    used = {dim.dim_param for value in proto.graph.input for dim in value.type.tensor_type.shape.dim}

    def at(count: Any, size: Sizes) -> Any:
        return count.substitute(_named(size)) if isinstance(count, Formula) else count

    def all_at(shape: Any, size: Sizes) -> Any:
        return None if shape is None else tuple([at(count, size) for count in shape])

    answers = []
    for dims, places in [(None, sizes), *((_named(size), [size]) for size in static)]:
        given = None if dims is None else {name: size for name, size in dims.items() if name in used}
        try:
            report = convaudit.audit(proto, dims=given, allow_run=False)
            shapes = _inferred(proto, given or {})
        except ConvauditError as error:
            answers += [Audited({}, None, None, refusal=str(error)) for _ in places]
            continue
        layer = report.layers[-1]
        answers += [
            Audited(
                {name: all_at(shape, size) for name, shape in shapes.items()},
                all_at(layer.output_shape, size),
                at(layer.macs, size),
            )
            for size in places
        ]
    return answers


def _inferred(proto: Any, dims: Mapping[str, int]) -> dict[str, Any]:
    """Shapes of the main graph's tensors after all stages of inference."""
    from convaudit.frontends.onnx.functions import expand_functions
    from convaudit.frontends.onnx.loader.onnx_file import load_onnx
    from convaudit.frontends.onnx.shapes.inference import stages
    from convaudit.frontends.onnx.shapes.inferred import Dimensions, Inferred
    from convaudit.frontends.onnx.shapes.inputs import fix_inputs

    expanded = expand_functions(load_onnx(proto).proto)
    inputs = fix_inputs(expanded.model, {}, dims)
    inferred = Inferred(Dimensions(inputs.symbols))
    for _ in stages(inputs, inferred):
        pass
    return {
        name: inferred.shape((), name) for node in expanded.model.graph.node for name in node.output if name
    }


# --- judging ---------------------------------------------------------------------------------------------


def judge(chain: Chain, child: Child) -> Result:
    """Run and audit one model, and compare; of every fifth also what onnxruntime makes of it."""
    model, convolution, _ = build(chain)
    result = _judge_model(chain, model, convolution, child)
    if chain.convolution % 5 == 0 and result.ran and not result.findings:
        optimized = child("optimize", model, convolution)
        if optimized.value is not None:
            again = _judge_model(chain, optimized.value, convolution, child, weighs=False)
            result.findings += [replace(one, what=f"optimised: {one.what}") for one in again.findings]
    return result


def _judge_model(
    chain: Chain, model: bytes, convolution: str, child: Child, *, weighs: bool = True
) -> Result:
    ran = child("execute", model, chain.sizes)
    if ran.crash:
        return Result()  # onnxruntime's own
    if ran.error:
        return Result()
    places = [index for index, shapes in enumerate(ran.value) if shapes is not None]
    if not places:
        return Result()
    sizes = [chain.sizes[index] for index in places]
    fixed = sizes[chain.convolution % len(sizes)]
    audited = child("audit", model, sizes, [fixed])
    result = Result(ran=len(places))
    if audited.crash or audited.error:
        result.findings.append(Finding("crash", audited.crash or audited.error or ""))
        return result
    weight = _weight_of(model) if weighs else None
    real = [ran.value[index] for index in places]
    for answer, shapes, size, how in [
        *(
            (answer, shapes, size, "open")
            for answer, shapes, size in zip(audited.value, real, sizes, strict=False)
        ),
        (audited.value[-1], real[sizes.index(fixed)], fixed, "fixed"),
    ]:
        result.findings += _compare(answer, shapes, convolution, weight, f"{how} sizes, {size}")
        if how == "open" and not result.findings:
            unknown = answer.output is None or None in answer.output or answer.macs is None
            result.unknown = result.unknown or unknown
    return result


def _weight_of(model: bytes) -> tuple[int, ...]:
    import onnx

    proto = onnx.ModelProto.FromString(model)
    name = proto.graph.node[-1].input[1]
    return next(tuple(tensor.dims) for tensor in proto.graph.initializer if tensor.name == name)


def _compare(
    answer: Audited, shapes: Shapes, convolution: str, weight: tuple[int, ...] | None, where: str
) -> Iterator[Finding]:
    if answer.refusal is not None:
        yield Finding("refused", f"{answer.refusal} ({where})")
        return
    for name, real in shapes.items():
        said = answer.shapes.get(name)
        if said is None or real is None:
            continue
        if len(said) != len(real) or any(a is not None and a != b for a, b in zip(said, real, strict=True)):
            yield Finding("wrong", f"{name} is {real}, not {said} ({where})")
            return
    if weight is None:
        return
    output = shapes[convolution]
    macs = 1
    for factor in (*(output or ()), *weight[1:]):
        macs *= factor or 0
    if answer.macs is not None and answer.macs != macs:
        yield Finding("wrong", f"MACs are {macs}, not {answer.macs} ({where})")


def minimised(chain: Chain, finding: Finding, child: Child) -> tuple[Chain, Finding]:
    """The shortest part of a chain that has a finding of the same kind."""
    _, _, fitted = build(chain)
    for length in range(len(fitted)):
        for steps in combinations(fitted, length):
            shorter = replace(chain, steps=steps)
            for other in judge(shorter, child).findings:
                if other.kind == finding.kind:
                    return shorter, other
    return replace(chain, steps=fitted), finding


def fuzz(seed: int, count: int, names: Sequence[str] = ()) -> tuple[Counter[str], Counter[str], list[str]]:
    """Judge ``count`` models: what became of them, which patterns stay unknown, and the findings."""
    outcomes: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    findings: list[str] = []
    with Child(run, seconds=SECONDS, memory_bytes=MEMORY, calls=2000) as child:
        for chain in chains(seed, count, names):
            result = judge(chain, child)
            outcomes["models"] += 1
            if not result.ran:
                outcomes["refused by onnxruntime"] += 1
                continue
            if result.findings:
                least, finding = minimised(chain, result.findings[0], child)
                outcomes[finding.kind] += 1
                findings.append(f"{finding.kind}: {finding.what}\n    --chain '{least}'")
            elif result.unknown:
                outcomes["unknown"] += 1
                blamed = next(
                    (s[0] for s in build(chain)[2] if judge(replace(chain, steps=(s,)), child).unknown),
                    "several together",
                )
                unknown[blamed] += 1
            else:
                outcomes["agree"] += 1
    return outcomes, unknown, findings


def main(arguments: Sequence[str]) -> int:
    """The program."""
    if arguments[:1] == ["--chain"]:
        with Child(run, seconds=SECONDS, memory_bytes=MEMORY) as child:
            result = judge(Chain.parse(arguments[1]), child)
        print(f"ran at {result.ran} sizes", "unknown" if result.unknown else "", *result.findings, sep="\n")
        return int(bool(result.findings))
    seed, count, *names = arguments
    outcomes, unknown, findings = fuzz(int(seed), int(count), names)
    print(*findings, sep="\n")
    print("; ".join(f"{number} {what}" for what, number in outcomes.most_common()))
    print("unknown:", ", ".join(f"{number} {name}" for name, number in unknown.most_common()) or "none")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
