"""Baselines: the file's bytes, what comes back from it, and which changes are regressions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from convaudit.analyzer import analyze
from convaudit.checks import baseline_file, check_baseline, difference_of
from convaudit.checks.baseline import not_written
from convaudit.checks.baseline_file import dumps, loads
from convaudit.errors import UsageError
from convaudit.formulas import symbol
from convaudit.records import AuditReport, ConvLayer, OtherOp
from tests.checks.test_diff import DENSE_B, NET, anonymous, stem
from tests.networks import conv_layer, mixed_network, network


def audit(layers: list[ConvLayer], **changes: Any) -> AuditReport:
    return analyze(network(*layers, **({"file_bytes": 20_000} | changes)))


REPORT = audit(NET)


def statuses(before: AuditReport, after: AuditReport, tolerance: str = "0") -> dict[str, str]:
    outcomes = check_baseline(before, after, Fraction(tolerance))
    return {outcome.rule.removeprefix("baseline-"): outcome.status for outcome in outcomes}


def all_of(status: str, **others: str) -> dict[str, str]:
    return dict.fromkeys(("params", "macs", "size", "weight-bytes", "activation-bytes"), status) | others


def test_the_file_is_json_with_sorted_models_and_one_line_a_layer() -> None:
    text = dumps({"b.onnx": REPORT, "a.onnx": REPORT})
    assert text.endswith("}\n")
    assert sum('"name": "b.dw"' in line for line in text.splitlines()) == 2
    assert len(text.splitlines()) < 2 * (len(REPORT.layers) + 9) + 6
    document = json.loads(text)
    assert list(document) == ["models", "schema_version"]
    assert list(document["models"]) == ["a.onnx", "b.onnx"]
    assert dumps({"a.onnx": REPORT, "b.onnx": REPORT}) == text


def test_golden_bytes(golden: Callable[[str, str], None]) -> None:
    golden("baseline.json", dumps({"nets/b.onnx": REPORT, "nets/a.onnx": audit([stem()])}))


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(REPORT, id="plain"),
        pytest.param(audit([]), id="no-convolution"),
        pytest.param(analyze(mixed_network()), id="unknowns"),
        pytest.param(
            audit([stem(input_shape=(symbol("N") * 2, None), output_shape=(1, 32, 32, 32))]), id="open-size"
        ),
    ],
)
def test_what_is_read_back_does_not_differ(report: AuditReport) -> None:
    (back,) = loads(dumps({"m": report}), "baseline.json").values()
    difference = difference_of(back, report)
    assert difference.equal
    assert not difference.renamed
    assert dumps({"m": back}) == dumps({"m": report})


def test_what_is_no_number_is_not_written_and_said() -> None:
    report = audit([stem(batch=symbol("batch"))])
    (back,) = loads(dumps({"m": report}), "base.json").values()
    assert (back.totals.params, back.totals.macs, back.layers[0].macs) == (report.totals.params, None, None)
    said = {outcome.rule: (outcome.status, outcome.message) for outcome in not_written(report)}
    assert said["baseline-macs"][0] == "skipped"
    assert re.match(r"not written: MACs depend on batch; .*--dim batch=1", said["baseline-macs"][1])
    assert {*said} == {"baseline-macs", "baseline-activation-bytes"}
    assert statuses(back, REPORT)["macs"] == statuses(back, report)["macs"] == "skipped"
    assert statuses(back, report)["params"] == "passed"
    assert not_written(REPORT) == []


GOOD = json.loads(dumps({"m": REPORT}))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("", id="empty"),
        pytest.param("{}", id="nothing-in-it"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param(json.dumps(GOOD | {"schema_version": 0}), id="no-version"),
        pytest.param(json.dumps(GOOD | {"schema_version": "1"}), id="version-a-text"),
        pytest.param(json.dumps(GOOD | {"models": []}), id="models-are-a-list"),
        pytest.param(json.dumps(GOOD | {"models": {"m": {}}}), id="empty-model"),
        *(
            pytest.param(json.dumps(GOOD | {"models": {"m": GOOD["models"]["m"] | change}}), id=name)
            for name, change in {
                "layer-without-name": {"layers": [{"op": "Conv"}]},
                "layer-of-an-unknown-field": {"layers": [{"colour": "red"}]},
                "layer-name-a-number": {"layers": [GOOD["models"]["m"]["layers"][0] | {"name": 5}]},
                "kernel-an-object": {"layers": [GOOD["models"]["m"]["layers"][0] | {"kernel_size": {}}]},
                "total-a-text": {"totals": GOOD["models"]["m"]["totals"] | {"macs": "many"}},
                "total-missing": {"totals": {}},
                "shape-a-number": {"inputs": [{"name": "x", "shape": 5, "dtype": "float32"}]},
                "size-a-text": {"file_bytes": "1"},
                "size-a-flag": {"file_bytes": True},
                "layer-without-macs": {
                    "layers": [{k: v for k, v in GOOD["models"]["m"]["layers"][0].items() if k != "macs"}]
                },
            }.items()
        ),
    ],
)
def test_a_damaged_file_is_refused_by_name(damage: str) -> None:
    with pytest.raises(UsageError, match=r"^base\.json: not a convaudit baseline \(.*--write-baseline"):
        loads(damage, "base.json")


def test_a_newer_form_is_refused_with_what_to_do() -> None:
    newer = json.dumps(GOOD | {"schema_version": 2})
    with pytest.raises(UsageError, match=r"^base\.json: a newer convaudit wrote this.*update convaudit"):
        loads(newer, "base.json")


@pytest.mark.parametrize("value", [1, 2.5, "text", [1, [2]], {"a": 1}, None, True], ids=repr)
def test_fields_that_a_later_version_adds_are_ignored(value: object) -> None:
    later = json.loads(json.dumps(GOOD))
    model = later["models"]["m"]
    for place in (later, model, model["totals"], *model["layers"], *model["inputs"]):
        place["added_later"] = value
    assert loads(json.dumps(later), "base.json") == loads(json.dumps(GOOD), "base.json")


def test_a_field_that_an_earlier_version_did_not_store_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if ``dense_macs`` had come into the records after the file was written, and not into its form."""
    stored = {name: types for name, types in baseline_file._LAYER.items() if name != "dense_macs"}
    monkeypatch.setattr(baseline_file, "_LAYER", stored)
    earlier = json.loads(json.dumps(GOOD))
    for layer in earlier["models"]["m"]["layers"]:
        del layer["dense_macs"]
    (back,) = loads(json.dumps(earlier), "base.json").values()
    assert {layer.dense_macs for layer in back.layers} == {None}
    assert statuses(back, REPORT) == all_of("passed")


@pytest.mark.parametrize(
    ("after", "tolerance", "expected"),
    [
        pytest.param(REPORT, "0", all_of("passed"), id="unchanged"),
        pytest.param(audit(anonymous(NET)), "0", all_of("passed"), id="renamed"),
        pytest.param(audit(NET[::-1]), "0", all_of("passed"), id="reordered"),
        pytest.param(audit(NET[:-1]), "0", all_of("passed"), id="improved"),
        pytest.param(
            audit(DENSE_B, file_bytes=55_712),
            "2/100",
            all_of("failed", **{"activation-bytes": "passed"}),
            id="dense",
        ),
        pytest.param(audit(NET, file_bytes=20_400), "2/100", all_of("passed"), id="just-tolerated"),
        pytest.param(audit(NET, file_bytes=20_401), "2/100", all_of("passed", size="failed"), id="too-much"),
        pytest.param(audit(NET, file_bytes=20_001), "0", all_of("passed", size="failed"), id="no-tolerance"),
        pytest.param(
            audit(NET, file_bytes=None), "1", all_of("passed", size="failed"), id="size-now-unknown"
        ),
        pytest.param(
            audit(NET, other_ops=(OtherOp(op="X", count=1, macs=None),)),
            "1",
            all_of("passed", macs="failed"),
            id="macs-now-unknown",
        ),
    ],
)
def test_regressions(after: AuditReport, tolerance: str, expected: dict[str, str]) -> None:
    assert statuses(REPORT, after, tolerance) == expected


def test_what_the_baseline_does_not_know_is_skipped_and_said() -> None:
    before = audit(NET, file_bytes=None)
    assert statuses(before, REPORT) == all_of("passed", size="skipped")


def test_a_regression_names_the_layer_and_its_change() -> None:
    outcomes = {outcome.rule: outcome for outcome in check_baseline(REPORT, audit(DENSE_B))}
    outcome = outcomes["baseline-macs"]
    assert outcome.message.endswith("more than the tolerance of 0.0%")
    assert [(part.name, part.detail) for part in outcome.contributors] == [
        ("b.dw", f"+{31 * 32 * 9 * 256:,}: groups 32 -> 1")
    ]


def test_an_added_layer_is_named() -> None:
    grown = audit([*NET, conv_layer("extra", 16, 16, (1, 1), (16, 16))])
    outcomes = {outcome.rule: outcome for outcome in check_baseline(REPORT, grown)}
    assert [(c.name, c.detail) for c in outcomes["baseline-params"].contributors] == [("extra", "+256: new")]


def test_a_layer_of_unknown_size_explains_no_growth() -> None:
    unknown = replace(stem(), weight_shape=None, in_channels=None)
    outcomes = {
        outcome.rule: outcome
        for outcome in check_baseline(REPORT, audit([unknown, *DENSE_B[1:]], file_bytes=55_712))
    }
    assert [part.name for part in outcomes["baseline-size"].contributors] == ["b.dw"]
    assert outcomes["baseline-weight-bytes"].message.startswith("bytes of convolution weights are unknown")


def test_an_improvement_is_said() -> None:
    outcomes = {outcome.rule: outcome for outcome in check_baseline(audit(DENSE_B), REPORT)}
    assert "improved" in outcomes["baseline-params"].message
    assert "--write-baseline" in outcomes["baseline-params"].message


def test_another_input_is_said_beside_what_it_changed() -> None:
    before = audit([stem()])
    after = audit([conv_layer("stem", 3, 32, (3, 3), (64, 64), padding=((1, 1), (1, 1)))])
    outcomes = {outcome.rule: outcome for outcome in check_baseline(before, after)}
    assert outcomes["baseline-macs"].message.endswith("the input changed from 1x3x32x32 to 1x3x64x64")
