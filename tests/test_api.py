from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx.parser
import pytest

import convaudit
from convaudit.analyzer import analyze
from convaudit.frontends import TimeRequest, VerifyRequest
from convaudit.records import Network, Verification, Verified
from convaudit.records.timing import LayerSamples, Timed
from tests.cli.conftest import save_model
from tests.networks import RUNTIME, conv_layer, mixed_network, network, verified

MACS = 36 * 8 * 2 * 9


@pytest.fixture
def path(tmp_path):
    return save_model(tmp_path / "model.onnx", batch="N")


def test_audit_takes_a_path_a_text_and_a_proto(path):
    reports = [convaudit.audit(source, dims={"N": 2}) for source in (path, str(path), onnx.load(path))]
    assert [report.totals.macs for report in reports] == [2 * MACS] * 3
    assert reports[0].layers == reports[2].layers


@pytest.mark.parametrize(
    "shape", [(2, 4, 8, 8), [2, 4, 8, 8], {"x": (2, 4, 8, 8)}], ids=["tuple", "list", "name"]
)
def test_input_shape(path, shape):
    assert convaudit.audit(path, input_shape=shape).totals.macs == 2 * MACS


def test_symbolic_counts_can_be_evaluated(path):
    report = convaudit.audit(path)
    assert isinstance(report.totals.macs, convaudit.Formula)
    assert report.totals.macs.substitute({"N": 5}) == 5 * MACS
    assert report.symbols == ("N",)


def test_a_module_is_audited_by_the_same_call():
    torch = pytest.importorskip("torch")
    module = torch.nn.Conv2d(4, 8, 3, groups=2, bias=False)
    report = convaudit.audit(module, input_shape=(1, 4, 8, 8))
    assert (report.totals.macs, report.totals.params, report.format) == (MACS, 144, "torch")


BAD = [
    pytest.param({"verify": "sometimes"}, "verify must be", id="verify"),
    pytest.param({"inputs": (1,)}, "an ONNX model takes input_shape= and dims=", id="inputs"),
    pytest.param({"input_shape": [(1, 4, 8, 8), (1, 4, 8, 8)]}, "give a shape by name for each", id="shapes"),
    pytest.param({"dims": {"M": 1}}, "M", id="dims"),
]


@pytest.mark.parametrize(("keywords", "message"), BAD)
def test_bad_arguments(path, keywords, message):
    with pytest.raises(convaudit.UsageError, match=message):
        convaudit.audit(path, **keywords)


IDLE = [
    pytest.param({"seed": 0}, "seed says how to run a model; give verify=True", id="seed"),
    pytest.param({"memory_bytes": 2**30}, "memory_bytes says how to run a model", id="memory"),
    pytest.param({"optimization": "all"}, "optimization says how to run a model", id="optimization"),
    pytest.param({"provider": "cpu"}, "provider says how to run a model", id="provider"),
    pytest.param({"threads": 1}, "threads says how to run a model", id="threads"),
    pytest.param({"verify": "isolated", "memory_bytes": 2**30}, "which verify='isolated' avoids", id="run"),
]
IDLE_TIMES = [
    pytest.param({"time_budget": 3.0}, "time_budget says how long to time; give time=True", id="budget"),
    pytest.param({"time": True, "time_budget": 0}, "time_budget must be .* above 0, got 0", id="no-budget"),
    pytest.param({"time": True, "time_budget": -1.0}, "above 0, got -1.0", id="negative-budget"),
    pytest.param({"time": True, "time_budget": float("nan")}, "above 0, got nan", id="nan-budget"),
    pytest.param({"time": True, "time_budget": "30s"}, "must be a number of seconds", id="text-budget"),
    pytest.param({"time": "yes"}, "time must be True or False", id="time"),
    pytest.param({"timings": 3}, "timings must be the path of a profile, got 3", id="no-path"),
    pytest.param({"twin_timings": "a.json"}, "twin_timings are compared with timings", id="twin-alone"),
    pytest.param({"timings": "a.json", "time": True}, "time=True would measure nothing", id="both"),
    pytest.param({"timings": "a.json", "threads": 2}, "threads says how to run a model", id="threads"),
]
IDLE_FOR_TORCH = [
    pytest.param({"verify": True, "optimization": "all"}, "optimization is for onnx", id="optimization"),
    pytest.param({"verify": True, "memory_bytes": 2**30}, "memory_bytes is for onnxruntime", id="memory"),
    pytest.param({"verify": True, "provider": "cpu"}, "provider is for onnxruntime", id="provider"),
]


@pytest.mark.parametrize(("keywords", "message"), [*IDLE, *IDLE_TIMES])
def test_an_argument_that_would_do_nothing_is_refused(path, keywords, message):
    with pytest.raises(convaudit.UsageError, match=message):
        convaudit.audit(path, **keywords)


@pytest.mark.parametrize(("keywords", "message"), IDLE + IDLE_FOR_TORCH)
def test_an_argument_that_would_do_nothing_is_refused_for_torch(keywords, message):
    torch = pytest.importorskip("torch")
    module = torch.nn.Conv2d(4, 8, 3)
    with pytest.raises(convaudit.UsageError, match=message):
        convaudit.audit(module, input_shape=(1, 4, 8, 8), **keywords)


@pytest.mark.parametrize("source", [42, None, b"model.onnx", ["model.onnx"]], ids=repr)
def test_sources_that_are_none(source):
    with pytest.raises(convaudit.UsageError, match=r"cannot audit an object of type \w+; pass a path"):
        convaudit.audit(source)


NOTHING = Verified(verdicts=(), runtime=RUNTIME)


@dataclass
class Opened:
    """A model that a front end opened."""

    network: Network
    verify: Callable[[VerifyRequest], Verified]


def test_verdicts_come_into_the_report_in_order(path, monkeypatch):
    layers = mixed_network().layers
    verdicts = [Verification(status="exact", reason=layer.name) for layer in layers]
    asked = []

    def verify(request):
        asked.append(request)
        for _ in range(len(layers) + 3):  # a layer called again takes another step
            request.progress(1)
        return Verified(verdicts=tuple(verdicts), runtime=RUNTIME)

    monkeypatch.setattr(convaudit.api, "open_model", lambda *_: Opened(mixed_network(), verify))
    seen = []
    report = convaudit.audit(
        path, verify=True, seed=3, memory_bytes=5, progress=lambda done, total: seen.append((done, total))
    )
    assert [layer.verification.reason for layer in report.layers] == [layer.name for layer in layers]
    assert report.runtime == RUNTIME
    assert (asked[0].isolated, asked[0].seed, asked[0].memory_bytes) == (False, 3, 5)
    assert seen[0] == (1, 10)
    assert seen[-1] == (10, 10)


@dataclass
class Timeable(Opened):
    """One that can be timed."""

    time: Callable[[TimeRequest], Timed]


def test_what_is_verified_and_timed_counts_twice(path, monkeypatch):
    layers = mixed_network().layers
    verdicts = tuple(Verification(status="exact", reason=layer.name) for layer in layers)

    def verify(request):
        request.progress(len(layers) + 3)
        return Verified(verdicts=verdicts, runtime=RUNTIME)

    def time(request):
        request.progress(4)
        request.progress(99)
        samples = tuple(LayerSamples(in_model=(0.1,) * 9) for _ in layers)
        return Timed(layers=samples, runs=(1.0,) * 9, runtime=replace(RUNTIME, threads=1))

    monkeypatch.setattr(convaudit.api, "open_model", lambda *_: Timeable(mixed_network(), verify, time))
    seen = []
    report = convaudit.audit(path, verify=True, time=True, progress=lambda *steps: seen.append(steps))
    assert seen == [(10, 20), (10, 20), (14, 20), (20, 20)]
    assert (report.runtime.threads, report.timing.runtime.threads) == (2, 1)
    assert report.layers[0].timing.model_seconds == 0.1


def test_a_model_without_convolutions_cannot_be_verified(path, monkeypatch):
    monkeypatch.setattr(convaudit.api, "open_model", lambda *_: Opened(network(), lambda _: NOTHING))
    assert convaudit.audit(path).totals.layers == 0
    with pytest.raises(convaudit.UsageError, match="nothing to verify, the model contains no convolution"):
        convaudit.audit(path, verify=True)


def test_a_missing_verdict_is_no_pass(path, monkeypatch):
    monkeypatch.setattr(convaudit.api, "open_model", lambda *_: Opened(mixed_network(), lambda _: NOTHING))
    with pytest.raises(ValueError, match="shorter"):
        convaudit.audit(path, verify="isolated")


REPORT = convaudit.Report.of(verified(analyze(mixed_network())))


def test_a_report_prints_as_the_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = str(REPORT)
    assert "total of 10" in text
    assert max(map(len, text.splitlines())) <= 80
    assert not text.endswith("\n")
    assert repr(REPORT) == "<convaudit.Report of 'demo.onnx': 10 convolutions>"


def test_a_report_exports_itself():
    assert json.loads(REPORT.to_json()) == REPORT.to_dict()
    assert "<table>" in REPORT._repr_html_()


def test_to_pandas():
    pytest.importorskip("pandas")
    frame = REPORT.to_pandas()
    assert list(frame["name"]) == [layer.name for layer in REPORT.layers]
    assert frame["macs"].sum() == sum(layer.macs for layer in REPORT.layers)
    assert frame["weight_shape"][0] == REPORT.layers[0].weight_shape
    assert frame["padding"][0] == REPORT.layers[0].padding
    assert frame["verification_status"].value_counts()["exact"] == 2
    assert list(convaudit.Report.of(analyze(network())).to_pandas().columns) == list(frame.columns)


def test_totals_of_to_pandas_sum():
    pytest.importorskip("pandas")
    layers = [conv_layer("twice", calls=2, groups=3, size=(4, 5)), conv_layer("once", size=(3, 3))]
    report = convaudit.Report.of(analyze(network(*layers)))
    frame = report.to_pandas()
    for column in ("macs", "flops", "dense_macs", "macs_saved"):
        assert frame[f"{column}_total"].sum() == getattr(report.totals, column)
    assert frame["share_conv"].sum() == pytest.approx(1)
    assert frame["share"].sum() == pytest.approx(report.totals.macs / report.totals.model_macs)


def test_what_is_unknown_leaves_integers_of_to_pandas_exact():
    pytest.importorskip("pandas")
    layers = [conv_layer("known", size=(2**27 + 1, 2**27 + 1)), conv_layer("unknown", calls=None)]
    frame = convaudit.Report.of(analyze(network(*layers))).to_pandas()
    assert frame["macs_total"][0] == layers_macs(layers[0])
    assert str(frame["macs_total"][1]) == "<NA>"


def layers_macs(layer):
    return analyze(network(layer)).totals.macs


def test_a_report_is_a_collection_of_its_layers():
    first = REPORT.layers[0]
    assert REPORT[first.name] is REPORT[0] is first
    assert REPORT[-1] is REPORT.layers[-1]
    assert len(REPORT) == len(REPORT.layers) == len(list(REPORT))
    assert first.name in REPORT
    assert first in REPORT
    assert "no such layer" not in REPORT
    assert REPORT._ipython_key_completions_() == [layer.name for layer in REPORT.layers]


def test_an_unknown_layer_is_named_with_the_nearest_one():
    name = REPORT.layers[0].name
    with pytest.raises(
        convaudit.UnknownNameError, match=f"^demo.onnx: no layer is called .*mean '{name}'"
    ) as e:
        REPORT[name + "x"]
    assert isinstance(e.value, KeyError | convaudit.UsageError)
    with pytest.raises(KeyError, match="it has none"):
        convaudit.Report.of(analyze(network()))["conv"]
    with pytest.raises(TypeError, match=r"^demo.onnx: a layer is found by its name or its place, got 1.5$"):
        REPORT[1.5]
    with pytest.raises(IndexError, match=r"^demo.onnx: no layer 99; it has \d+ layers"):
        REPORT[99]


def test_several_layers_are_layers_too():
    for some in (REPORT[:2], REPORT.layers[:2]):
        assert type(some) is convaudit.LayerCosts
        assert some == (REPORT[0], REPORT[1])
        assert "2 convolutions" in some._repr_html_()


def test_a_report_without_layers_is_true():
    report = convaudit.Report.of(analyze(network()))
    assert len(report) == 0
    assert report


def test_to_pandas_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(convaudit.DependencyError, match=r"pip install 'convaudit\[pandas\]'"):
        REPORT.to_pandas()


def test_reports_of_equal_models_are_equal():
    first, second = (convaudit.Report.of(analyze(network(conv_layer("c", 4, 4)))) for _ in range(2))
    assert first == second
    assert first != REPORT


@pytest.fixture
def tiled(tmp_path):
    """A model whose height is a run-time value, ``n`` times 8, and its inputs."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]> g (float[N,4,8,8] x, int64 n) => (float[a,b,c,d] y) {
            zero = Constant<value_ints = [0]>()
            two = Constant<value_ints = [1, 1]>()
            one = Constant<value_ints = [1]>()
            axis = Unsqueeze(n, zero)
            repeats = Concat<axis = 0>(two, axis, one)
            tall = Tile(x, repeats)
            y = Conv<group = 2>(tall, w)
        }""")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((8, 2, 3, 3), np.float32), "w"))
    return model, {"x": np.ones((2, 4, 8, 8), np.float32), "n": np.array(3)}


@pytest.mark.parametrize("verify", [False, True, "isolated"])
def test_data_give_sizes_and_what_the_run_for_shapes_is_made_on(tiled, tmp_path, verify):
    model, arrays = tiled
    np.savez(tmp_path / "data.npz", **arrays)
    for data in (arrays, tmp_path / "data.npz"):
        report = convaudit.audit(model, data=data, verify=verify)
        assert report.layers[0].input_shape == (2, 4, 24, 8)
        assert report.totals.macs == 2 * 22 * 6 * 8 * 2 * 9
        assert not verify or report.layers[0].verification.status in ("exact", "within_rounding")
    one = {"x": arrays["x"]}
    assert convaudit.audit(model, data=one, input_shape={"n": 3}, verify=verify).layers == report.layers


BAD_DATA = [
    pytest.param({"x": (2, 4, 8, 9)}, {}, "dimension 3 is fixed at 8 in the model, so 2x4x8x9", id="size"),
    pytest.param({"z": (1,)}, {}, "no input is called 'z'", id="name"),
    pytest.param({"x": (2, 4, 8, 8)}, {"dims": {"N": 3}}, "'N' cannot be both 3 and 2", id="dim"),
    pytest.param({"x": (2, 4, 8, 8)}, {"input_shape": {"x": (1, 4, 8, 8)}}, "to be 1x4x8x8, its", id="shape"),
    pytest.param({"x": (2, 4, 8, 8)}, {}, "data are needed for the inputs n, x, got x", id="missing"),
]


@pytest.mark.parametrize(("shapes", "keywords", "message"), BAD_DATA)
def test_data_that_do_not_fit_the_model(tiled, shapes, keywords, message):
    data = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(convaudit.UsageError, match=message):
        convaudit.audit(tiled[0], data=data, **keywords)


def test_data_for_torch_have_to_do_something():
    torch = pytest.importorskip("torch")
    module = torch.nn.Conv2d(4, 8, 3, groups=2, bias=False)
    data = {"input": np.ones((1, 4, 8, 8), np.float32)}
    for verify in (False, True, "isolated"):
        assert convaudit.audit(module, data=data, verify=verify).totals.macs == MACS
    with pytest.raises(convaudit.UsageError, match="data would do nothing beside the inputs' shapes"):
        convaudit.audit(module, data=data, input_shape=(1, 4, 8, 8))


def test_diff_and_check_take_models_and_reports(path, tmp_path):
    dense = save_model(tmp_path / "dense.onnx", batch="N", groups=1)
    report = convaudit.audit(path, dims={"N": 2})
    differences = [
        convaudit.diff(str(path), dense, dims={"N": 2}),
        convaudit.diff(report, dense, dims={"N": 2}),
        convaudit.diff(report, convaudit.audit(dense, dims={"N": 2})),
    ]
    assert [[str(c) for c in d.changed[0].changes if c.field == "groups"] for d in differences] == [
        ["groups 2 -> 1"]
    ] * 3
    budgets = convaudit.Budgets(max_macs=1, require_verified=True)
    (broken,) = convaudit.check(path, budgets, dims={"N": 1})
    assert broken.rule == "max-macs"
    assert [outcome.rule for outcome in convaudit.check(report, budgets)] == ["max-macs", "require-verified"]


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda source: convaudit.diff(source, source), id="diff"),
        pytest.param(lambda source: convaudit.check(source, convaudit.Budgets(max_macs=1)), id="check"),
        pytest.param(lambda source: convaudit.assert_within(source, max_macs=1), id="assert_within"),
    ],
)
def test_what_takes_models_names_what_it_cannot_take(call):
    with pytest.raises(convaudit.UsageError, match="cannot audit an object of type int; pass a path"):
        call(3)
    with pytest.raises(convaudit.LoadError, match=r"missing\.onnx"):
        call("missing.onnx")


def test_a_report_takes_no_sizes(path):
    report = convaudit.audit(path)
    budgets = convaudit.Budgets(max_macs=1)
    for call in (
        lambda: convaudit.diff(report, report, dims={"N": 2}),
        lambda: convaudit.check(report, budgets, dims={"N": 2}),
        lambda: convaudit.assert_within(report, dims={"N": 2}, max_macs=1),
    ):
        with pytest.raises(convaudit.UsageError, match="dims is for a model; a report was audited already"):
            call()
