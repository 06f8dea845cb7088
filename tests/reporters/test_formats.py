"""CSV, JSON, Markdown, HTML: what machines and other programs read."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from functools import reduce
from importlib import resources

import jsonschema
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from convaudit.analyzer import analyze
from convaudit.errors import UsageError
from convaudit.formulas import Count
from convaudit.records import (
    AuditReport,
    Branch,
    LayerCost,
    LiveActivations,
    OtherLayer,
    OtherOp,
    RuntimeInfo,
    TensorInfo,
    Totals,
    Verification,
)
from convaudit.records.timing import ModelTiming, Roofs, TimePart, Timing
from convaudit.reporters import View
from convaudit.reporters.csv import CSV_COLUMNS
from convaudit.reporters.csv import render_audit as render_csv
from convaudit.reporters.json import render_audit as render_json
from convaudit.reporters.json import render_models as render_models_json
from convaudit.reporters.markdown import render_audit as render_markdown
from convaudit.reporters.markdown import render_models as render_models_markdown
from convaudit.reporters.notebook import report_html
from convaudit.reporters.plain import SCHEMA_VERSION, keys_of, report_dict
from convaudit.reporters.text import json_text
from tests.networks import conv_layer, mixed_network, network, symbolic_network, timed, verified
from tests.reporters.test_table import HOSTILE

SCHEMA = json.loads((resources.files("convaudit.reporters") / "report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
MIXED = analyze(mixed_network())
SYMBOLIC = analyze(symbolic_network())
REPORTS = [
    pytest.param(MIXED, id="mixed"),
    pytest.param(SYMBOLIC, id="symbolic"),
    pytest.param(verified(MIXED), id="verified"),
    pytest.param(timed(MIXED), id="timed"),
    pytest.param(analyze(network()), id="empty"),
    pytest.param(analyze(network(conv_layer(HOSTILE))), id="hostile"),
]
CONTRACT = {
    *("name", "op", "kind", "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation"),
    *("groups", "input_shape", "output_shape", "weight_shape", "dtype", "bias", "calls", "params", "macs"),
    *("dense_params", "dense_macs", "params_saved", "macs_saved", "verification"),
}
TOP_KEYS = {
    *("schema_version", "convaudit_version", "source", "format", "layers", "totals", "other_ops", "warnings"),
    *("runtime", "other_layers"),
}


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"] == f"urn:convaudit:schema:report:{SCHEMA_VERSION}"


def described(*path: str | int) -> dict[str, object]:
    """The part of the schema at a path."""
    return reduce(lambda part, key: part[key], path, SCHEMA["$defs"])


RECORDS = [
    pytest.param(AuditReport, ("report",), {"schema_version", "convaudit_version"}, id="report"),
    pytest.param(TensorInfo, ("report", "properties", "inputs", "items"), set(), id="input"),
    pytest.param(OtherOp, ("report", "properties", "other_ops", "items"), set(), id="other-op"),
    pytest.param(LiveActivations, ("report", "properties", "live_activations"), set(), id="live-activations"),
    pytest.param(OtherLayer, ("other_layer",), set(), id="other-layer"),
    pytest.param(LayerCost, ("layer",), set(), id="layer"),
    pytest.param(Totals, ("totals",), set(), id="totals"),
    pytest.param(Branch, ("branches", "items"), set(), id="branch"),
    pytest.param(Verification, ("verification",), set(), id="verification"),
    pytest.param(RuntimeInfo, ("runtime",), set(), id="runtime"),
    pytest.param(Timing, ("timing",), set(), id="timing"),
    pytest.param(ModelTiming, ("model_timing",), set(), id="model-timing"),
    pytest.param(TimePart, ("model_timing", "properties", "parts", "items"), set(), id="time-part"),
    pytest.param(Roofs, ("model_timing", "properties", "roofs", "anyOf", 1), set(), id="roofs"),
]


@pytest.mark.parametrize(("record", "path", "others"), RECORDS)
def test_the_schema_describes_every_field_of_the_records(record, path, others):
    schema = described(*path)
    undescribed = set(keys_of(record)) - set(schema["properties"])
    assert not undescribed, f"describe {undescribed} in report.schema.json, or hide them: plain.HIDDEN"
    assert set(schema["properties"]) == set(schema["required"]) == set(keys_of(record)) | others


def test_a_field_that_nobody_described_is_seen():
    @dataclass(frozen=True, kw_only=True)
    class Grown(LayerCost):
        workspace_bytes: Count | None

    assert keys_of(Grown)[-5:] == ("workspace_bytes", "formula", "notes", "verification", "timing")
    with pytest.raises(AssertionError, match=r"describe \{'workspace_bytes'\}"):
        test_the_schema_describes_every_field_of_the_records(Grown, ("layer",), set())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@given(JSON_VALUES)
@example({"a": [[], {}, [2**70, -1, True]], "%s": "100% \u2028"})
def test_json_text_is_what_the_standard_encoder_makes(value):
    assume("u005b" not in json.dumps(value))  # text that says it itself is no escape of ours
    assert json_text(value).replace("\\u005b", "[") == json.dumps(value, indent=2) + "\n"


@pytest.mark.parametrize("report", REPORTS)
def test_a_report_is_written_as_the_standard_encoder_would(report):
    assert render_json(report) == json.dumps(json.loads(render_json(report)), indent=2) + "\n"
    assert json.loads(render_json(report)) == report_dict(report)


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": {1, 2}}], ids=["nan", "inf", "set"])
def test_json_text_refuses_what_json_cannot_say(value):
    with pytest.raises((ValueError, TypeError), match="not JSON"):
        json_text(value)


@pytest.mark.parametrize("report", REPORTS)
def test_json_keeps_to_its_schema(report):
    VALIDATOR.validate(json.loads(render_json(report)))
    VALIDATOR.validate(json.loads(render_models_json([report, report])))


BROKEN = [
    pytest.param(lambda d: d.pop("totals"), id="missing-key"),
    pytest.param(lambda d: d.update(extra=1), id="extra-key"),
    pytest.param(lambda d: d["layers"][0].update(macs=1.5), id="fraction"),
    pytest.param(lambda d: d["layers"][0]["formula"].update(name="N"), id="formula-of-no-count"),
    pytest.param(lambda d: d["layers"][0].update(padding=[[1]]), id="padding-no-pair"),
    pytest.param(lambda d: d["layers"][0]["verification"].update(status="fine"), id="status"),
    pytest.param(lambda d: d.update(schema_version=1), id="version"),
    pytest.param(lambda d: d.pop("runtime"), id="no-runtime"),
    pytest.param(lambda d: d["runtime"].update(threads=0), id="no-thread"),
    pytest.param(lambda d: d["runtime"]["input_shapes"].update(x="1x3"), id="shape-as-text"),
]


@pytest.mark.parametrize("damage", BROKEN)
def test_the_schema_refuses_other_reports(damage):
    report = report_dict(verified(MIXED))
    damage(report)
    with pytest.raises(jsonschema.ValidationError, match="is not valid under any of the given schemas"):
        VALIDATOR.validate(report)


def test_json_has_the_contracts_keys():
    report = report_dict(verified(MIXED))
    assert set(report) >= TOP_KEYS
    assert set(report["layers"][0]) >= CONTRACT
    runtime = ["name", "version", "provider", "threads", "optimization", "device", "seed"]
    assert list(report["runtime"]) == [*runtime, "input_shapes", "input_values"]
    assert report["runtime"]["input_shapes"] == {"x": [1, 3, 224, 224]}
    verdict = ["status", "reason", "max_abs_error", "bits", "worst_index", "bound"]
    assert set(verdict) <= set(report["layers"][0]["verification"])
    assert {"op", "count", "macs"} <= set(report["other_ops"][0])
    assert {"params", "macs", "dense_params", "dense_macs", "model_params"} <= set(report["totals"])


def test_json_is_strict_and_keeps_what_is_finite():
    text = render_json(verified(MIXED))
    report = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    verdicts = [layer["verification"] for layer in report["layers"]]
    assert (verdicts[0]["status"], verdicts[0]["bits"], verdicts[0]["max_abs_error"]) == ("exact", None, 0.0)
    assert verdicts[1]["bits"] == 23.25
    assert verdicts[4]["max_abs_error"] is None


def test_every_null_count_comes_with_its_formula_or_with_null():
    for report in (report_dict(MIXED), report_dict(SYMBOLIC)):
        for counts in (*report["layers"], *report["other_layers"], report["totals"], *report["other_ops"]):
            formula = counts["formula"]
            assert all(counts[name] is None for name in formula)
            names = [name for name in ("params", "macs", "dense_macs", "calls") if name in counts]
            assert all(name in formula for name in names if counts[name] is None)
    layer = report_dict(SYMBOLIC)["layers"][0]
    assert layer["formula"]["macs"] == "864*N*ceil(H/2)*ceil(W/2)"
    assert layer["input_shape"] == ["N", 3, "H", "W"]
    assert report_dict(MIXED)["totals"]["formula"]["macs"] is None


def test_json_sums_agree_with_its_layers():
    layers = [
        conv_layer(f"c{i}", 8, 8, (3, 3), (9, 9), groups=2**i, calls=i + 1, bias=True) for i in range(4)
    ]
    report = json.loads(render_json(analyze(network(*layers))))
    for name in ("macs", "dense_macs", "flops", "macs_saved"):
        assert report["totals"][name] == sum(layer[name] * layer["calls"] for layer in report["layers"])
    for name in ("params", "dense_params", "params_saved", "weight_bytes"):
        assert report["totals"][name] == sum(layer[name] for layer in report["layers"])


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_exact_integers_and_empty_unknowns():
    table = rows(render_csv(MIXED))
    assert [row["name"] for row in table] == [layer.name for layer in MIXED.layers]
    assert [int(row["macs"]) for row in table] == [layer.macs for layer in MIXED.layers]
    assert [row["calls"] for row in table] == ["1"] * 8 + ["", "1"]
    assert table[4]["padding"] == "0:1x2:0"
    assert rows(render_csv(SYMBOLIC))[0]["macs"] == "864*N*ceil(H/2)*ceil(W/2)"


def test_csv_columns_and_selection():
    text = render_csv(MIXED, View(only=("depthwise",), columns=("name", "groups", "macs")))
    assert text == "name,groups,macs\nblock/depthwise,32,3612672\n"
    with pytest.raises(UsageError, match=r"unknown column 'kernel_siz'; did you mean 'kernel_size'\?"):
        render_csv(MIXED, View(columns=("kernel_siz",)))


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)"])
def test_csv_names_are_no_formulas_for_a_spreadsheet(name):
    (row,) = rows(render_csv(analyze(network(conv_layer(name)))))
    assert row["name"] == f"'{name}"


def test_csv_without_layers_has_its_header():
    assert render_csv(analyze(network())) == ",".join(CSV_COLUMNS) + "\n"


def test_markdown_shows_hostile_names_as_they_are():
    text = render_markdown(analyze(network(conv_layer(HOSTILE, weight_name=None))))
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "``conv\\x1b[2J\\r\\n\\|<script>`*_\\u202e=``" in text
    assert not re.search(r"(?<!\\)<script", text.replace(table[2], ""))


def test_models_markdown_escapes_sources():
    assert "a\\|b" in render_models_markdown([analyze(network(conv_layer(), source="a|b"))])


def test_html_escapes_hostile_names():
    html = report_html(analyze(network(conv_layer(HOSTILE, weight_name=None), source="<b>")))
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 2
    assert "&lt;b&gt;" in html
