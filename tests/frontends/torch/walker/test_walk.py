"""The torch walker: every way of writing a convolution, with exact counts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.utils as torch_utils
from torch import nn
from torch.nn.utils import prune

from convaudit.analyzer import analyze
from convaudit.errors import ExecutionError, UsageError
from convaudit.frontends.torch.walker.walk import walk_torch
from convaudit.records import ConvLayer
from tests.frontends.torch import modules


def only_layer(module: nn.Module, **given: Any) -> ConvLayer:
    (layer,) = walk_torch(module, **given).layers
    return layer


def weight_norm(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return torch_utils.weight_norm(module)


# id, module, input shape, then one (name, weight shape, input shape, calls, MACs of a call) for each layer
FUNCTIONAL = [
    ("{}features.1 (conv2d #1)", (8, 4, 3, 3), (1, 4, 16, 16), 1, 8 * 14 * 14 * 4 * 9),
    ("{}features.1 (conv2d #2)", (8, 2, 1, 1), (1, 8, 14, 14), 1, 8 * 14 * 14 * 2),
    ("{}features.1.child", (8, 8, 3, 3), (1, 8, 14, 14), 2, 8 * 14 * 14 * 8 * 9),
    ("{}features.1.child (form 2)", (8, 8, 3, 3), (1, 8, 14, 14), 1, 8 * 12 * 12 * 8 * 9),
]


def functional(prefix: str = "") -> list[tuple[Any, ...]]:
    return [(name.format(prefix), *rest) for name, *rest in FUNCTIONAL]


def frozen() -> nn.Module:
    return torch.jit.freeze(torch.jit.script(modules.Nested().eval()))


def traced() -> nn.Module:
    return torch.jit.trace(modules.Nested().eval(), torch.zeros(1, 4, 16, 16))


def compiled_in_place() -> nn.Module:
    module = nn.Conv2d(4, 8, 3)
    module.compile()
    return module


SMALL = (1, 4, 9, 9)
MACS = 8 * 7 * 7 * 4 * 9
CASES: list[tuple[str, Callable[[], nn.Module], Any, list[tuple[Any, ...]]]] = [
    ("functional", modules.Nested, (1, 4, 16, 16), functional()),
    ("scripted", lambda: torch.jit.script(modules.Nested()), (1, 4, 16, 16), functional()),
    ("traced", traced, (1, 4, 16, 16), functional()),
    ("frozen", frozen, (1, 4, 16, 16), functional()),
    (
        "scripted-inside-eager",
        lambda: nn.Sequential(nn.ReLU(), torch.jit.script(modules.Nested())),
        (1, 4, 16, 16),
        functional("1."),
    ),
    ("root", lambda: nn.Conv2d(4, 8, 3), SMALL, [("Conv2d", (8, 4, 3, 3), SMALL, 1, MACS)]),
    ("unbatched", lambda: nn.Conv2d(4, 8, 3), (4, 9, 9), [("Conv2d", (8, 4, 3, 3), SMALL, 1, MACS)]),
    ("half", lambda: nn.Conv2d(4, 8, 3).half(), SMALL, [("Conv2d", (8, 4, 3, 3), SMALL, 1, MACS)]),
    (
        "1d-circular",
        lambda: nn.Conv1d(4, 8, 3, padding=1, padding_mode="circular"),
        (2, 4, 9),
        [("Conv1d", (8, 4, 3), (2, 4, 11), 1, 2 * 8 * 9 * 4 * 3)],
    ),
    (
        "3d-grouped",
        lambda: nn.Conv3d(4, 8, (1, 2, 3), groups=4),
        (2, 4, 3, 4, 5),
        [("Conv3d", (8, 1, 1, 2, 3), (2, 4, 3, 4, 5), 1, 2 * 8 * (3 * 3 * 3) * 6)],
    ),
    (
        "transposed-grouped",
        lambda: nn.ConvTranspose2d(8, 4, 3, stride=2, groups=4, output_padding=1, padding=1),
        (1, 8, 5, 5),
        [("ConvTranspose2d", (8, 1, 3, 3), (1, 8, 5, 5), 1, 8 * 5 * 5 * 9)],
    ),
    (
        "same-even-kernel",
        lambda: nn.Conv2d(4, 8, 4, padding="same", groups=2),
        SMALL,
        [("Conv2d", (8, 2, 4, 4), SMALL, 1, 8 * 9 * 9 * 2 * 16)],
    ),
    (
        "overridden-forward",
        lambda: modules.OverriddenForward(4, 8, 3),
        SMALL,
        [("OverriddenForward", (8, 4, 3, 3), SMALL, 1, MACS)],
    ),
    (
        "two-shapes",
        modules.TwoShapes,
        (1, 4, 8, 8),
        [
            ("head", (4, 4, 3, 3), (1, 4, 8, 8), 1, 4 * 64 * 36),
            ("head (at 1x4x4x4)", (4, 4, 3, 3), (1, 4, 4, 4), 1, 4 * 16 * 36),
        ],
    ),
    (
        "shared-module",
        lambda: nn.Sequential(*[nn.Conv2d(4, 4, 1)] * 3),
        (1, 4, 2, 2),
        [("0", (4, 4, 1, 1), (1, 4, 2, 2), 3, 64)],
    ),
    ("lazy", lambda: nn.Sequential(nn.LazyConv2d(8, 3)), SMALL, [("0", (8, 4, 3, 3), SMALL, 1, MACS)]),
    (
        "compiled",
        lambda: torch.compile(nn.Sequential(nn.Conv2d(4, 8, 3), torch.compile(nn.Conv2d(8, 8, 1)))),
        SMALL,
        [("0", (8, 4, 3, 3), SMALL, 1, MACS), ("1", (8, 8, 1, 1), (1, 8, 7, 7), 1, 8 * 49 * 8)],
    ),
    ("compiled-in-place", compiled_in_place, SMALL, [("Conv2d", (8, 4, 3, 3), SMALL, 1, MACS)]),
    ("inference-mode", modules.InferenceMode, SMALL, [("conv", (8, 4, 3, 3), SMALL, 1, MACS)]),
    (
        "vmap",
        modules.Vmapped,
        SMALL,
        [("Vmapped", (30, 4, 3, 3), SMALL, 1, 30 * 49 * 36)],
    ),
    (
        "complex",  # three real convolutions by Gauss's trick, of which one has no bias
        lambda: nn.Conv2d(4, 8, 3, dtype=torch.complex64),
        SMALL,
        [("Conv2d", (8, 4, 3, 3), SMALL, 2, MACS), ("Conv2d (form 2)", (8, 4, 3, 3), SMALL, 1, MACS)],
    ),
    (
        "meta",
        lambda: nn.Conv2d(4, 8, 3, device="meta"),
        SMALL,
        [("Conv2d", (8, 4, 3, 3), SMALL, 1, MACS)],
    ),
]


@pytest.mark.parametrize(
    ("build", "shape", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_counts_every_way_of_writing_a_convolution(
    build: Callable[[], nn.Module], shape: Any, expected: list[tuple[Any, ...]]
) -> None:
    report = analyze(walk_torch(build(), input_shape=shape))
    found = [(row.name, row.weight_shape, row.input_shape, row.calls, row.macs) for row in report.layers]
    assert found == expected


def test_same_padding_of_an_even_kernel_is_reported_as_the_module_states_it() -> None:
    layer = only_layer(nn.Conv2d(4, 8, (4, 3), padding="same", dilation=(3, 1)), input_shape=(1, 4, 9, 7))
    assert layer.padding == ((4, 5), (1, 1))
    assert layer.input_shape == (1, 4, 9, 7)
    assert layer.output_shape == (1, 8, 9, 7)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_run_as_a_pad_and_a_convolution_without(mode: str) -> None:
    layer = only_layer(nn.Conv2d(4, 8, 3, padding=1, padding_mode=mode), input_shape=(1, 4, 6, 6))
    assert layer.padding == ((0, 0), (0, 0))
    assert layer.input_shape == (1, 4, 8, 8)
    assert layer.notes == (f"the module pads its input first (padding_mode={mode!r})",)


# module, effective weight elements, stored ones without the bias, what the note must name
COMPUTED_WEIGHTS = [
    pytest.param(
        lambda: torch_utils.parametrizations.weight_norm(nn.Conv2d(4, 8, 3)),
        288,
        296,
        r"288 effective .*original0 \(8\), parametrizations.weight.original1 \(288\)",
        id="parametrised-weight-norm",
    ),
    pytest.param(
        lambda: weight_norm(nn.Conv2d(4, 8, 3)),
        288,
        296,
        r"288 effective .*weight_g \(8\), weight_v \(288\)",
        id="weight-norm",
    ),
    pytest.param(
        lambda: prune.l1_unstructured(nn.Conv2d(4, 8, 3), "weight", 0.25),
        288,
        288,
        r"weight_mask keeps 216 of 288",
        id="pruned",
    ),
    pytest.param(
        lambda: torch_utils.parametrizations.spectral_norm(nn.Conv2d(4, 8, 3)),
        288,
        288,
        r"288 effective .*_u \(8\), .*_v \(36\), parametrizations.weight.original \(288\)",
        id="spectral-norm",
    ),
]


@pytest.mark.parametrize(("build", "effective", "stored", "note"), COMPUTED_WEIGHTS)
def test_names_what_a_computed_weight_is_stored_as(
    build: Callable[[], nn.Module], effective: int, stored: int, note: str
) -> None:
    network = walk_torch(build(), input_shape=SMALL)
    (row,) = analyze(network).layers
    assert row.params == effective + 8
    assert network.model_params == stored + 8
    assert (row.stored_params or row.params) == stored + 8
    assert any(re.search(note, text) for text in row.notes), row.notes


def test_a_weight_that_is_an_input_is_dynamic() -> None:
    inputs = {"x": torch.zeros(1, 4, 5, 5), "weight": torch.zeros(6, 2, 3, 3)}
    layer = only_layer(modules.Dynamic(), inputs=inputs)
    assert layer.weight_name is None
    assert layer.groups == 2
    assert layer.weight_shape == (6, 2, 3, 3)


def test_parameters_that_no_operator_read_are_named() -> None:
    network = walk_torch(modules.Unused().eval(), input_shape=(1, 4, 2, 2))
    assert network.warnings == (
        "never used in this forward: auxiliary.0; the model's parameters include theirs",
    )
    assert network.model_params == 2 * 20


@pytest.mark.parametrize(
    ("module", "inputs", "expected"),
    [
        pytest.param(nn.Linear(6, 5), torch.zeros(3, 2, 6), {"addmm": 3 * 2 * 6 * 5}, id="linear"),
        pytest.param(
            nn.LSTM(10, 20, 2, bidirectional=True),
            torch.zeros(5, 3, 10),
            {"mkldnn_rnn_layer": 15 * 2 * 80 * ((10 + 20) + (40 + 20))},
            id="lstm",
        ),
        pytest.param(nn.GRU(10, 20), torch.zeros(5, 3, 10), {"addmm": 15 * 60 * (10 + 20)}, id="gru"),
        pytest.param(
            nn.MultiheadAttention(16, 4),
            (torch.zeros(5, 2, 16),) * 3,
            {"addmm": 4 * 10 * 16 * 16, "bmm": 2 * 8 * 5 * 5 * 4},
            id="attention",
        ),
        pytest.param(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
            torch.zeros(2, 5, 16),
            {
                "addmm": 10 * 16 * 16 + 2 * 10 * 16 * 32,
                "mm": 10 * 16 * 48,
                "_scaled_dot_product_flash_attention_for_cpu": 2 * 8 * 5 * 5 * 4,
            },
            id="transformer",
        ),
        pytest.param(
            nn.Bilinear(3, 4, 5),
            (torch.zeros(2, 3), torch.zeros(2, 4)),
            {"_trilinear": None},
            id="bilinear",
        ),
    ],
)
def test_counts_the_other_multiplying_operators(
    module: nn.Module, inputs: Any, expected: dict[str, int | None]
) -> None:
    assert {op.op: op.macs for op in walk_torch(module, inputs=inputs).other_ops} == expected


def test_an_operator_without_a_rule_is_reported_with_the_reason() -> None:
    (other,) = walk_torch(nn.Bilinear(3, 4, 5), input_shape=[(2, 3), (2, 4)]).other_ops
    assert (other.count, other.macs, other.reason) == (1, None, "no rule for this operator")


def test_control_flow_on_values_is_run_for_real_and_said() -> None:
    network = walk_torch(modules.DependsOnValues(), input_shape=(1, 4, 5, 5))
    assert [(layer.name, layer.calls) for layer in network.layers] == [("conv", 2)]
    assert network.warnings == (
        "the forward was run for real, since it fails without values: "
        "what aten._local_scalar_dense returns depends on the input's values",
    )


BAD_INPUTS = [
    pytest.param({}, UsageError, r"give either input_shape=\(1, 3, 224, 224\), .* or inputs=", id="none"),
    pytest.param({"input_shape": (1,), "inputs": 1}, UsageError, r"give either", id="both"),
    pytest.param({"input_shape": "1y3"}, UsageError, r"1y3", id="text"),
    pytest.param(
        {"input_shape": {"image": (1, 4, 9, 9)}},
        UsageError,
        r"its forward takes input, not 'image'",
        id="name",
    ),
    pytest.param({"input_shape": (1, -4, 9, 9)}, UsageError, r"non-negative integer, got -4", id="negative"),
    pytest.param(
        {"input_shape": (1, 3, 9, 9)},
        ExecutionError,
        r"Conv2d: the forward failed on 1x3x9x9: .*expected input\[1, 3, 9, 9\] to have 4 channels",
        id="channels",
    ),
    pytest.param(
        {"inputs": ("x",)}, ExecutionError, r"failed on no tensor: .*argument.*\(str,", id="no-tensor"
    ),
]


@pytest.mark.parametrize(("given", "error", "message"), BAD_INPUTS)
def test_unusable_inputs_are_one_clear_line(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        walk_torch(nn.Conv2d(4, 8, 3), **given)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("build", "options"),
    [
        pytest.param(modules.DependsOnValues, {"allow_run": False}, id="forbidden"),
        pytest.param(lambda: modules.DependsOnValues().to("meta"), {}, id="meta"),
    ],
)
def test_a_forward_that_needs_values_and_has_none_fails(
    build: Callable[[], nn.Module], options: dict[str, Any]
) -> None:
    with pytest.raises(ExecutionError, match=r"depends on the input's values"):
        walk_torch(build(), input_shape=(1, 4, 5, 5), **options)


# --- forms that only run for real, or through an operator of their own ------------------------------------


def test_mkldnn_modules() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = modules.Mkldnn(nn.Sequential(nn.Conv2d(4, 8, 3, groups=2)))
    network = walk_torch(module, input_shape=SMALL)
    (layer,) = network.layers
    assert (layer.name, layer.op, layer.groups) == ("inner.0", "aten.mkldnn_convolution", 2)
    assert layer.weight_name == "inner.0.weight"
    assert network.model_params == 8 * 2 * 9 + 8


def test_intrinsic_fused_modules_are_one_convolution() -> None:
    fused = torch.ao.nn.intrinsic.ConvReLU2d(nn.Conv2d(4, 8, 3), nn.ReLU())
    assert only_layer(fused, input_shape=SMALL).name == "0"


def test_quantisation_aware_convolution_with_batch_norm_is_one() -> None:
    config = torch.ao.quantization.get_default_qat_qconfig("x86")
    module = torch.ao.nn.intrinsic.qat.ConvBn2d(4, 8, 3, qconfig=config)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    layer = only_layer(module, input_shape=SMALL)
    assert (layer.name, layer.weight_shape) == ("ConvBn2d", (8, 4, 3, 3))
    assert layer.weight_name == "bn.weight, weight"
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_deformable_convolution() -> None:
    """Here torchvision has no compiled operators, so the test declares this one and gives it a shape."""

    def fake(x: torch.Tensor, weight: torch.Tensor, offset: torch.Tensor, *_: Any) -> torch.Tensor:
        return x.new_empty(x.shape[0], weight.shape[0], *offset.shape[2:])

    library = torch.library.Library("torchvision", "FRAGMENT")
    operands = "Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias"
    sizes = ", ".join(f"SymInt {name}_{axis}" for name in ("stride", "pad", "dilation") for axis in "hw")
    if not hasattr(torch.ops.torchvision, "deform_conv2d"):
        library.define(
            f"deform_conv2d({operands}, {sizes}, SymInt groups, SymInt offset_groups, bool use_mask)"
            " -> Tensor"
        )
        library.impl("deform_conv2d", fake, "Meta")
    report = analyze(walk_torch(modules.Deformable(), input_shape=(2, 4, 9, 9)))
    (offset, layer) = report.layers
    assert (offset.name, layer.name) == ("offset", "Deformable")
    assert (layer.kind, layer.groups, layer.padding) == ("deformable", 2, ((1, 1), (0, 0)))
    assert layer.output_shape == (2, 6, 9, 7)
    assert layer.macs == 2 * 6 * 9 * 7 * 2 * 9
    library._destroy()


def test_a_custom_operator_is_reported_as_unknown() -> None:
    library = torch.library.Library("somebodys", "DEF")
    library.define("mixing(Tensor x) -> Tensor")
    library.impl("mixing", torch.relu, "CompositeExplicitAutograd")
    (other,) = walk_torch(modules.Custom(), input_shape=SMALL).other_ops
    assert (other.op, other.count, other.macs) == ("somebodys.mixing", 2, None)
    assert other.reason == "a custom operator, in Custom"
    library._destroy()


def test_a_users_inference_mode_and_autocast_are_respected() -> None:
    module = nn.Conv2d(4, 8, 3)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        layer = only_layer(module, inputs=torch.zeros(SMALL))
        assert module(torch.zeros(SMALL)).dtype is torch.bfloat16  # no fake weight was left in its cache
    assert (layer.dtype, layer.weight_name) == ("bfloat16", "weight")


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        pytest.param(torch.zeros(SMALL), ["x"], id="tensor"),
        pytest.param((torch.zeros(SMALL), torch.zeros(SMALL)), ["x", "extra"], id="tuple"),
        pytest.param([torch.zeros(SMALL)], ["x"], id="list"),
        pytest.param({"x": torch.zeros(SMALL), "extra": None}, ["x"], id="keywords"),
        pytest.param(
            {"x": {"a": torch.zeros(SMALL), "b": [torch.zeros(SMALL)]}}, ["x['a']", "x['b'][0]"], id="nest"
        ),
        pytest.param({"a": torch.zeros(SMALL)}, ["x['a']"], id="one-mapping"),
    ],
)
def test_inputs_may_be_any_nest_of_tensors(inputs: Any, names: list[str]) -> None:
    network = walk_torch(modules.Nest(), inputs=inputs)
    assert [tensor.name for tensor in network.inputs] == names
    assert network.layers[0].calls == len(names)


def test_shapes_take_the_modules_dtype_and_device() -> None:
    network = walk_torch(nn.Conv2d(4, 8, 3, dtype=torch.float64), input_shape={"": SMALL})
    assert network.inputs[0].dtype == "float64"


def test_a_module_that_pads_by_itself_is_reported_as_it_runs() -> None:
    """Ports of TensorFlow's networks call their own padding "same", too, with the odd position elsewhere."""
    layer = only_layer(modules.PadsItself(4, 8, 3, stride=2), input_shape=(1, 4, 8, 8))
    assert layer.padding == ((0, 0), (0, 0))
    assert layer.input_shape == (1, 4, 9, 9)


def test_frozen_torchscript_is_said_to_hold_its_parameters_elsewhere() -> None:
    network = walk_torch(frozen(), input_shape=(1, 4, 16, 16))
    assert network.model_params == walk_torch(modules.Nested(), input_shape=(1, 4, 16, 16)).model_params
    assert "holds its parameters as constants" in network.warnings[0]
    assert walk_torch(traced(), input_shape=(1, 4, 16, 16)).warnings == ()


class Borrowing(nn.Module):
    """Two convolutions, of whose parameters ``use`` makes what it likes."""

    def __init__(self, use: Callable[[nn.Conv2d, nn.Conv2d, torch.Tensor], Any]) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 16, 3)
        self.b = nn.Conv2d(4, 16, 3)
        self.use = use

    def forward(self, x: torch.Tensor) -> Any:
        return self.use(self.a, self.b, x)


# each of the two stores 576 + 16; what is used, then the stored parameters and bytes of what was used
BORROWED = [
    pytest.param(
        lambda a, b, x: (conv(x, a.weight[:4], a.bias[:4]), conv(x, a.weight, a.bias)),
        *(592, 2368),
        id="slice-then-whole",
    ),
    pytest.param(
        lambda a, b, x: (conv(x, a.weight, a.bias), conv(x, a.weight[:4], a.bias[:4])),
        *(592, 2368),
        id="whole-then-slice",
    ),
    pytest.param(lambda a, b, x: conv(x, a.weight[:4], a.bias[:4]), 592, 2368, id="slice-alone"),
    pytest.param(lambda a, b, x: conv(x, a.weight[:, :2], groups=2), 576, 2304, id="grouped-slice"),
    pytest.param(lambda a, b, x: conv(x, a.weight.data, a.bias.data), 592, 2368, id="data"),
    pytest.param(lambda a, b, x: conv(x, a.weight.data[:4], a.bias.data[:4]), 592, 2368, id="data-slice"),
    pytest.param(
        lambda a, b, x: (conv(x, a.weight), conv(x, a.weight + b.weight)), 1152, 4608, id="one-then-a-sum"
    ),
    pytest.param(
        lambda a, b, x: conv(x, torch.cat([a.weight, b.weight]), torch.cat([a.bias, b.bias])),
        *(1184, 4736),
        id="concatenated",
    ),
    pytest.param(
        lambda a, b, x: (conv(x.double(), a.weight.double()), a(x)),
        592,
        2368,
        id="in-another-type-then-as-it-is",
    ),
]
conv = nn.functional.conv2d


@pytest.mark.parametrize("build", [lambda m: m, torch.jit.trace], ids=["eager", "traced"])
@pytest.mark.parametrize(("use", "params", "size"), BORROWED)
def test_a_stored_tensor_counts_once_whatever_is_made_of_it(
    use: Callable[..., Any], params: int, size: int, build: Callable[..., nn.Module]
) -> None:
    module: Any = Borrowing(use)
    if build is torch.jit.trace:
        module = build(module, torch.zeros(1, 4, 8, 8))
    report = analyze(walk_torch(module, input_shape=(1, 4, 8, 8)))
    assert (report.totals.params, report.totals.weight_bytes) == (params, size)
    assert report.totals.dense_params == params + (
        288 if "2, 3, 3" in str(report.layers[0].weight_shape) else 0
    )


def test_a_module_in_training_mode_is_audited_in_eval_mode_and_what_that_leaves_out_is_said() -> None:
    """Every module that was just built is in training mode; what is deployed runs in eval mode."""

    class Auxiliary(modules.Unused):
        def forward(self, x: torch.Tensor) -> Any:
            return (self.used(x), self.auxiliary(x)) if self.training else self.used(x)

    training, evaluating = (walk_torch(Auxiliary().train(mode), input_shape=SMALL) for mode in (True, False))
    assert training.layers == evaluating.layers
    assert training.warnings == (
        "never used in this forward, which was in eval mode though the module is in training mode: "
        "auxiliary.0; the model's parameters include theirs",
    )


@pytest.mark.parametrize("exported", [False, True], ids=["module", "program"])
def test_fixed_kernels_count_and_are_named(exported: bool) -> None:
    class Blurred(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 1)
            self.register_buffer("blur", torch.ones(4, 1, 3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return conv(self.conv(x), self.blur, groups=4)

    module = Blurred().eval()
    model: Any = torch.export.export(module, (torch.zeros(SMALL),)) if exported else module
    network = walk_torch(model, **({} if exported else {"input_shape": SMALL}))
    assert network.model_params == sum(p.numel() for p in module.parameters()) + 36
    assert network.warnings == (
        "fixed kernels count as parameters: blur; they are buffers or constants, and what the module calls "
        "its parameters has 36 elements fewer",
    )
