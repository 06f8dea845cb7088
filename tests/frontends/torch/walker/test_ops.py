"""torch's operators by name: every one that multiplies is counted, or its cost is unknown and says why."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convaudit.analyzer import analyze
from convaudit.analyzer.costs import macs
from convaudit.frontends.torch.ops import CONV_OPS, conv_call, read_conv
from convaudit.frontends.torch.other_ops import MAC_COUNTERS, count_macs, unknown_cost
from convaudit.frontends.torch.stored import Stored
from convaudit.frontends.torch.verifier.in_situ import verify_in_situ
from convaudit.frontends.torch.verifier.isolated import verify_isolated
from convaudit.frontends.torch.walker.layers import Layers
from convaudit.frontends.torch.walker.script import out_of_sight
from convaudit.frontends.torch.walker.walk import walk_torch
from convaudit.records import ConvLayer

aten = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def row_of(func: Any, *args: Any, output: Tensor) -> ConvLayer:
    call = read_conv(func, args, {})
    assert call is not None
    return Layers(Stored([]), "root").add(call, call.arranged(output))


IMAGE, KERNEL, BIAS = meta(2, 4, 9, 9), meta(8, 4, 3, 3), meta(8)
VOLUME = meta(1, 4, 5, 6, 7)
# operator, its arguments, output shape, groups, MACs
CONVOLUTIONS = [
    pytest.param(
        aten.conv_tbc,
        (meta(10, 2, 4), meta(3, 4, 6), meta(6), 1),
        (10, 2, 6),
        1,
        2 * 6 * 10 * 4 * 3,
        id="tbc",
    ),
    pytest.param(
        aten._slow_conv2d_forward,
        (IMAGE, KERNEL, [3, 3], BIAS, [2, 2], [1, 1]),
        (2, 8, 5, 5),
        1,
        2 * 8 * 25 * 36,
        id="slow-2d",
    ),
    pytest.param(
        aten.slow_conv3d_forward,
        (VOLUME, meta(8, 4, 1, 2, 3), [1, 2, 3], None, [1, 1, 1], [0, 0, 0]),
        (1, 8, 5, 5, 5),
        1,
        8 * 125 * 24,
        id="slow-3d",
    ),
    pytest.param(
        aten.slow_conv_dilated2d,
        (IMAGE, KERNEL, [3, 3], BIAS, [1, 1], [2, 2], [2, 2]),
        (2, 8, 9, 9),
        1,
        2 * 8 * 81 * 36,
        id="slow-dilated",
    ),
    pytest.param(
        aten.slow_conv_transpose2d,
        (IMAGE, meta(4, 8, 2, 2), [2, 2], BIAS, [2, 2], [0, 0], [0, 0], [1, 1]),
        (2, 8, 18, 18),
        1,
        2 * 4 * 81 * 8 * 4,
        id="slow-transposed",
    ),
    pytest.param(
        aten._conv_depthwise2d,
        (IMAGE, meta(8, 1, 3, 3), [3, 3], BIAS, [1, 1], [1, 1], [1, 1]),
        (2, 8, 9, 9),
        4,
        2 * 8 * 81 * 9,
        id="depthwise-2d",
    ),
    pytest.param(
        aten.conv_depthwise3d,
        (VOLUME, meta(4, 1, 1, 1, 1), [1, 1, 1], None, [1, 1, 1], [0, 0, 0], [1, 1, 1]),
        (1, 4, 5, 6, 7),
        4,
        4 * 210,
        id="depthwise-3d",
    ),
    pytest.param(
        aten._nnpack_spatial_convolution,
        (IMAGE, KERNEL, BIAS, [1, 1], [1, 1]),
        (2, 8, 9, 9),
        1,
        2 * 8 * 81 * 36,
        id="nnpack",
    ),
    pytest.param(
        aten._mps_convolution_transpose,
        (IMAGE, meta(4, 2, 2, 2), [0, 0], [0, 0], [2, 2], [1, 1], 4),
        (2, 8, 18, 18),
        4,
        2 * 4 * 81 * 2 * 4,
        id="mps-transposed",
    ),
    pytest.param(
        aten.cudnn_convolution_add_relu,
        (IMAGE, meta(8, 2, 3, 3), meta(2, 8, 7, 7), 1.0, BIAS, [1, 1], [0, 0], [1, 1], 2),
        (2, 8, 7, 7),
        2,
        2 * 8 * 49 * 18,
        id="cudnn-add-relu",
    ),
    pytest.param(
        torch.ops.onednn.qconv2d_pointwise,
        (IMAGE, 0.1, 0, meta(8, 2, 3, 3), *[BIAS] * 3, [1, 1], [0, 0], [1, 1], 2, 0.1, 0, None, "", [], ""),
        (2, 8, 7, 7),
        2,
        2 * 8 * 49 * 18,
        id="onednn-quantised",
    ),
    pytest.param(
        torch.ops.mkldnn._convolution_pointwise,
        (IMAGE, KERNEL, None, [0, 0], [1, 1], [1, 1], 1, "relu", [], ""),
        (2, 8, 7, 7),
        1,
        2 * 8 * 49 * 36,
        id="onednn-pointwise",
    ),
]


@pytest.mark.parametrize(("func", "args", "output", "groups", "expected"), CONVOLUTIONS)
def test_every_operator_that_convolves_is_a_layer(
    func: Any, args: tuple[Any, ...], output: tuple[int, ...], groups: int, expected: int
) -> None:
    row = row_of(func.default, *args, output=meta(*output))
    assert (row.groups, macs(row)) == (groups, expected)


@pytest.mark.parametrize(
    ("func", "fused"),
    [
        pytest.param(aten.cudnn_convolution_relu, "relu", id="relu"),
        pytest.param(aten.cudnn_convolution_add_relu, "add, relu", id="add-relu"),
        pytest.param(torch.ops.mkldnn._convolution_pointwise, "hardswish", id="onednn"),
        pytest.param(aten.convolution, None, id="none"),
    ],
)
def test_what_an_operator_fuses_behind_its_convolution_is_known(func: Any, fused: str | None) -> None:
    given = {"self": IMAGE, "input": IMAGE, "X": IMAGE, "weight": KERNEL, "W": KERNEL, "attr": "hardswish"}
    sizes = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "transposed": False, "output_padding": 0}
    names = {argument.name for argument in func.default._schema.arguments}
    call = read_conv(func.default, (), {k: v for k, v in (given | sizes).items() if k in names})
    assert call is not None
    assert call.fused == fused


class Packed:
    """What XNNPACK's convolutions keep in an object, which this build of torch may not have."""

    def __init__(self, *state: Any) -> None:
        self.state = state

    def __getstate__(self) -> Any:
        return self.state, "xnnpack.Conv2dOpContext"


@pytest.mark.parametrize(
    ("op", "state", "groups", "fused"),
    [
        pytest.param(
            "prepacked.conv2d_clamp_run",
            (meta(8, 2, 3, 3), BIAS, [1, 1], [0, 0], [1, 1], 2, None, None),
            2,
            None,
            id="plain",
        ),
        pytest.param(
            "prepacked.conv2d_clamp_run",
            (KERNEL, BIAS, [1, 1], [0, 0], [1, 1], 1, 0.0, None),
            1,
            "what was prepared with its weight",
            id="clamped",
        ),
        pytest.param(
            "prepacked.conv2d_transpose_clamp_run",
            (meta(4, 2, 3, 3), None, [2, 2], [1, 1], [1, 1], [1, 1], 4, None, None),
            4,
            None,
            id="transposed",
        ),
    ],
)
def test_convolutions_prepared_for_xnnpack(
    op: str, state: tuple[Any, ...], groups: int, fused: str | None
) -> None:
    call = conv_call(op, {"X": IMAGE, "W_prepack": Packed(*state)})
    assert (call.groups, call.transposed, call.fused) == (groups, "transpose" in op, fused)


A, B = meta(6, 4), meta(4, 5)
GROUPED = meta(3, 4, 5)
E5M2 = torch.float8_e5m2
# operator, arguments, MACs
PRODUCTS = [
    pytest.param(aten._grouped_mm, (A, GROUPED), 6 * 4 * 5, id="grouped-2d-3d"),
    pytest.param(aten._grouped_mm, (meta(3, 6, 4), GROUPED), 3 * 6 * 4 * 5, id="grouped-3d-3d"),
    pytest.param(aten._grouped_mm, (meta(3, 6, 4), meta(4, 9)), 6 * 4 * 9, id="grouped-3d-2d"),
    pytest.param(aten._grouped_mm, (A, B), 6 * 4 * 5, id="grouped-2d-2d"),
    pytest.param(aten._scaled_grouped_mm, (A, GROUPED, BIAS, BIAS), 6 * 4 * 5, id="scaled-grouped"),
    pytest.param(
        aten._scaled_mm, (meta(6, 4, dtype=E5M2), meta(4, 5, dtype=E5M2), BIAS, BIAS), 120, id="scaled"
    ),
    pytest.param(
        aten._scaled_mm,
        (meta(6, 2, dtype=torch.float4_e2m1fn_x2), meta(2, 5, dtype=torch.float4_e2m1fn_x2), BIAS, BIAS),
        120,
        id="scaled-4-bits",
    ),
    pytest.param(aten._weight_int8pack_mm, (A, meta(5, 4, dtype=torch.int8), BIAS), 120, id="int8-packed"),
    pytest.param(
        aten._weight_int4pack_mm_for_cpu,
        (A, meta(5, 2, dtype=torch.uint8), 2, BIAS),
        120,
        id="int4-packed",
    ),
    pytest.param(aten.addbmm, (meta(6, 5), meta(3, 6, 4), GROUPED), 360, id="addbmm"),
    pytest.param(aten.baddbmm_, (meta(3, 6, 5), meta(3, 6, 4), GROUPED), 360, id="baddbmm-in-place"),
    pytest.param(aten.affine_grid_generator, (meta(2, 2, 3), [2, 3, 5, 7], False), 420, id="affine-grid"),
    pytest.param(torch.ops.quantized.matmul, (A, B, 0.1, 0), 120, id="quantised"),
    pytest.param(torch.ops.mkl._mkl_linear, (A, meta(99), meta(5, 4), None, 6), 120, id="mkl"),
    *[
        pytest.param(
            aten.convolution_backward,
            (meta(2, 8, 7, 7), IMAGE, meta(8, 2, 3, 3), None, [1], [0], [1], False, [0], 2, mask),
            sum(mask[:2]) * 2 * 8 * 49 * 18,
            id=f"backward-{name}",
        )
        for name, mask in (
            ("input", [True, False, False]),
            ("both", [True, True, True]),
            ("bias", [False, False, True]),
        )
    ],
    pytest.param(
        aten.convolution_backward,
        (
            meta(2, 8, 18, 18),
            IMAGE,
            meta(4, 8, 2, 2),
            None,
            [2],
            [0],
            [1],
            True,
            [0],
            1,
            [False, True, False],
        ),
        2 * 4 * 81 * 32,
        id="backward-transposed",
    ),
]


@pytest.mark.parametrize(("func", "args", "expected"), PRODUCTS)
def test_products_in_every_form_are_counted(func: Any, args: tuple[Any, ...], expected: int) -> None:
    assert count_macs(func.default, args, {}) == expected


class Backward(nn.Module):
    """A forward that differentiates: an energy model's, or one that explains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.conv(x).sum(), x)
        return gradient


def test_a_convolution_differentiated_in_the_forward_is_counted() -> None:
    network = walk_torch(Backward(), input_shape=(1, 4, 9, 9))
    forward = macs(network.layers[0])
    assert {other.op: other.macs for other in network.other_ops} == {"convolution_backward": forward}


class TimeBatchChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 4, 6))
        self.bias = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.conv_tbc(x, self.weight, self.bias, 1)


def test_a_time_batch_channels_convolution_is_verified() -> None:
    module, given = TimeBatchChannels(), {"input_shape": (10, 2, 4)}
    network = walk_torch(module, **given)
    (layer,) = analyze(network).layers
    assert (layer.weight_name, layer.params, layer.macs) == ("weight", 3 * 4 * 6 + 6, 2 * 6 * 10 * 12)
    (verdict,) = verify_in_situ(module, network, **given).verdicts
    assert verdict.status == "within_rounding"
    (verdict,) = verify_isolated(module, network).verdicts
    assert verdict.reason == "its weight is stored with its axes in another order: verify it in situ"


# --- the whole of torch's operators -------------------------------------------------------------------------

TELLING = re.compile(r"conv|mm|mv|dot|linear|attention|rnn|lstm|gru|bilinear|einsum|fft|matmul|linalg")
MULTIPLIES_NOTHING = re.compile(
    r"gamma|sqrt|cummax|cummin|dummy|symmetric|hamming|convert|comm|upsample|prepack|unpack$|unpack_fp16|reorder|"
    r"(linear|mm|conv)_backward$|fused_(lstm|gru)_cell|fftfreq|flatten_weight|powsum|vector_norm|linalg_cross|"
    r"check_errors|sparse_mm_search|pack_gemm"
)
UNKNOWN = re.compile(  # looked at: what they cost depends on values, on a packed weight, or is not defined
    r"backward|fft|linalg|cdist|linear_combination|cslt|sparse|hspmm|sspaddmm|(flash|cudnn|efficient)_attention|"
    r"triton|multi_head|foreach_mm|dyn_quant|mixed_dtypes|int4|quantized_\w*(lstm|gru|rnn)|_lstm_mps|trilinear|"
    r"einsum|wrapped_|fp16|qlinear|_mm_plus_mm|input_mm|native_0|transformer|fused_\w*matmul"
)


def composite(namespace: str, name: str) -> bool:
    """Whether the recorder sees what the operator is made of."""
    packet = getattr(getattr(torch.ops, namespace), name)
    found = []
    for overload in packet.overloads():
        try:
            found.append(getattr(packet, overload)._can_decompose())
        except RuntimeError:
            found.append(True)  # of numbers and lists, not of tensors
    return any(found)


def registered() -> list[tuple[str, str]]:
    names = {name.partition(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    return sorted(tuple(name.split("::")) for name in names)  # type: ignore[misc]


def test_every_operator_with_a_telling_name_is_classified() -> None:
    unclassified = []
    for namespace, name in registered():
        op = f"{namespace}.{name}"
        if not TELLING.search(name) or unknown_cost(op) == "a custom operator" or composite(namespace, name):
            continue
        counted = op in CONV_OPS or op.removesuffix("_") in MAC_COUNTERS
        unknown = unknown_cost(op) is not None and UNKNOWN.search(name)
        nothing = unknown_cost(op) is None and MULTIPLIES_NOTHING.search(name)
        if not (counted or unknown or nothing):
            unclassified.append(op)
    assert unclassified == []


def test_no_rule_is_for_an_operator_that_torch_does_not_have() -> None:
    known = {f"{namespace}.{name}" for namespace, name in registered()}
    ours = {*CONV_OPS, *MAC_COUNTERS}
    built = ("torchvision.", "prepacked.")  # which a build of torch may lack
    assert {op for op in ours if op not in known and not op.startswith(built)} == set()


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        pytest.param("_c10d_functional.all_reduce", None, id="collective"),
        pytest.param("c10d.allgather_", None, id="collective-c10d"),
        pytest.param("symm_mem.fused_all_gather_matmul", "no rule for this operator", id="fused-collective"),
        pytest.param("somebodys.identity", "a custom operator", id="custom"),
        pytest.param("aten._some_new_convolution_form", "no rule for this operator", id="new-convolution"),
        pytest.param("aten._scaled_super_mm", "no rule for this operator", id="new-product"),
        pytest.param("onednn.qconv4d_pointwise", "no rule for this operator", id="prefixed"),
        pytest.param("aten.upsample_bilinear2d", None, id="interpolation"),
        pytest.param("prims.convert_element_type", None, id="conversion"),
        pytest.param("prim.FusionGroup", "TorchScript runs it by itself, unseen", id="torchscript"),
    ],
)
def test_unknown_is_what_is_not_known_to_multiply_nothing(op: str, reason: str | None) -> None:
    assert unknown_cost(op) == reason


# --- optimised TorchScript ----------------------------------------------------------------------------------


def optimised() -> torch.jit.ScriptModule:
    net = nn.Sequential(
        nn.Conv2d(4, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=2),
        nn.Hardswish(),
        nn.Flatten(),
        nn.Linear(8 * 25, 3),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.optimize_for_inference(torch.jit.script(net.eval()))  # type: ignore[no-any-return]


@pytest.mark.parametrize("prefix", ["", "1."], ids=["script", "inside-eager"])
def test_optimised_torchscript_is_counted_and_verified(prefix: str) -> None:
    script = optimised()
    code = str(script.graph)
    assert "prim::mkldnn_convolution" in code
    module = nn.Sequential(nn.ReLU(), script) if prefix else script
    given = {"input_shape": (1, 4, 9, 9)}
    network = walk_torch(module, **given)
    report = analyze(network)
    found = [(row.name, row.weight_shape, row.groups, row.params, row.macs) for row in report.layers]
    assert found == [
        (f"{prefix}0", (8, 4, 3, 3), 1, 296, 8 * 49 * 36),
        (f"{prefix}3", (8, 4, 3, 3), 2, 296, 8 * 25 * 36),
    ]
    assert report.totals.model_macs == 8 * 49 * 36 + 8 * 25 * 36 + 600
    assert network.model_params == 2 * 296 + 603
    assert str(script.graph) == code  # the user's own is as it was
    assert {verdict.status for verdict in verify_in_situ(module, network, **given).verdicts} == {
        "within_rounding"
    }
    assert {verdict.status for verdict in verify_isolated(module, network).verdicts} == {"within_rounding"}


def scripted_with(kind: str) -> torch.jit.ScriptModule:
    """A script with one node of ``kind`` in its code, which is not run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        shared = torch.jit.script(nn.Sequential(nn.ReLU()))
    clone = torch._C._hack_do_not_use_clone_module_with_class(shared._c, [], [])  # equal classes share code
    script = torch.jit._recursive.wrap_cpp_module(clone)
    graph: Any = script.graph
    first = next(iter(graph.nodes()))
    graph.create(kind, [], 1).insertBefore(first)
    return script


@pytest.mark.parametrize(
    ("kind", "unseen"),
    [
        pytest.param("prim::FusionGroup", {"prim.FusionGroup": 1}, id="fusion"),
        pytest.param("prim::MMTreeReduce", {"prim.MMTreeReduce": 1}, id="products"),
        pytest.param("prim::a_new_one", {"prim.a_new_one": 1}, id="new"),
        pytest.param("somebodys::operator", {"somebodys.operator": 1}, id="custom"),
        pytest.param("prim::TupleConstruct", {}, id="tuple"),
        pytest.param("aten::relu", {}, id="dispatched"),
    ],
)
def test_what_torchscript_runs_out_of_sight_is_unknown(kind: str, unseen: dict[str, int]) -> None:
    assert out_of_sight(nn.Sequential(scripted_with(kind))) == unseen


def test_an_unseen_operator_makes_the_models_total_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convaudit.frontends.torch.walker.script._MULTIPLIES_NOTHING", frozenset())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.script(nn.Sequential(nn.Conv2d(4, 8, 3)))
    network = walk_torch(script, input_shape=(1, 4, 9, 9))
    assert analyze(network).totals.model_macs is None
    assert {other.reason for other in network.other_ops} == {
        "TorchScript runs it by itself, unseen, in Sequential"
    }
