"""What checks found, in every format: golden outputs, and each format's own schema or parser."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import jsonschema
import junitparser
import pytest

from convaudit.analyzer import analyze
from convaudit.checks import Budgets, check_baseline, check_budgets, difference_of
from convaudit.checks.outcome import CheckedModel, Contributor, Outcome
from convaudit.errors import DependencyError
from convaudit.reporters import FORMATS, View, formats_of
from convaudit.reporters.github import render_check as render_annotations
from convaudit.reporters.json import render_diff as render_difference_json
from convaudit.reporters.junit import render_check as render_junit
from convaudit.reporters.markdown import render_check as render_outcomes_markdown
from convaudit.reporters.markdown import render_diff as render_difference_markdown
from convaudit.reporters.sarif import render_check as render_sarif
from convaudit.version import __version__
from tests.checks.test_budgets import REPORT
from tests.checks.test_diff import DENSE_B, NET, project, stem
from tests.networks import network
from tests.schemas import SARIF, validate

BEFORE = analyze(network(*NET, source="before.onnx"))
AFTER = analyze(network(*DENSE_B[:-1], project("last"), stem("extra", stride=(2, 2)), source="after.onnx"))
LIMITS = Budgets(max_params=5_000, max_macs=12_000, groups_multiple_of=4, forbid=("dense", "grouped"))
MODELS = [
    CheckedModel(source="nets/a.onnx", outcomes=tuple(check_budgets(REPORT, LIMITS))),
    CheckedModel(source="nets/b.onnx", outcomes=tuple(check_baseline(BEFORE, AFTER))),
    CheckedModel(source="package.module:factory", error="cannot be loaded: 100% broken"),
]
GOOD = [CheckedModel(source="good.onnx", outcomes=tuple(check_budgets(REPORT, Budgets(max_params=5_000))))]
# What a hostile file may call its layers: markup of every format, and a terminal's control codes.
NASTY = "a|b`c<b>]]>&\"'\x1b[2J\x00\n::error::%0A\u202e"
HOSTILE = [
    CheckedModel(
        source=f"dir/{NASTY}.onnx",
        outcomes=(
            Outcome(
                rule="max-macs",
                status="failed",
                message=f"unknown ({NASTY})",
                contributors=(Contributor(name=NASTY, detail=NASTY),),
            ),
        ),
    ),
    CheckedModel(source=NASTY, error=NASTY),
]
CHANGED = difference_of(BEFORE, AFTER)

OUTPUTS = {
    "outcomes.txt": ("table", "check", MODELS, View()),
    "outcomes.md": ("markdown", "check", MODELS, View()),
    "outcomes.xml": ("junit", "check", MODELS, View()),
    "outcomes.sarif": ("sarif", "check", MODELS, View()),
    "outcomes.github": ("github", "check", MODELS, View()),
    "difference.txt": ("table", "diff", CHANGED, View(width=80)),
    "difference.md": ("markdown", "diff", CHANGED, View()),
    "difference.json": ("json", "diff", CHANGED, View()),
}


def rendered(name: str) -> str:
    form, document, content, view = OUTPUTS[name]
    return FORMATS[form].render(document, content, view).replace(__version__, "VERSION")


@pytest.mark.parametrize("name", OUTPUTS)
def test_golden(name, golden):
    golden(name, rendered(name))


@pytest.mark.parametrize("models", [MODELS, GOOD, HOSTILE, []], ids=["mixed", "good", "hostile", "none"])
def test_sarif_keeps_its_published_schema(models: list[CheckedModel]) -> None:
    validate(json.loads(render_sarif(models)), SARIF)


def test_the_sarif_schema_refuses_what_is_none() -> None:
    document = json.loads(render_sarif(MODELS))
    document["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError, match="fatal"):
        validate(document, SARIF)


def test_sarif_says_what_failed_where_and_what_could_not_be_audited() -> None:
    (run,) = json.loads(render_sarif(MODELS))["runs"]
    found = [
        (r["ruleId"], r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        for r in run["results"]
    ]
    assert found == [(f.rule, model.source) for model in MODELS for f in model.failures]
    assert [run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] for r in run["results"]] == [
        r for r, _ in found
    ]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert len(invocation["toolExecutionNotifications"]) == 1
    grown = next(r for r in run["results"] if r["ruleId"] == "baseline-macs")
    assert grown["locations"][0]["logicalLocations"][0] == {"fullyQualifiedName": "b.dw"}


@pytest.mark.parametrize(
    ("source", "uri"),
    [
        pytest.param("nets/a b.onnx", "nets/a%20b.onnx", id="blank"),
        pytest.param("/models/a.onnx", "file:///models/a.onnx", id="absolute"),
        pytest.param("torchvision:resnet50", "torchvision%3Aresnet50", id="no-file"),
    ],
)
def test_sarif_uris(source: str, uri: str) -> None:
    (artifact,) = json.loads(render_sarif([replace(GOOD[0], source=source)]))["runs"][0]["artifacts"]
    assert artifact["location"]["uri"] == uri


@pytest.mark.parametrize("models", [MODELS, GOOD, HOSTILE], ids=["mixed", "good", "hostile"])
def test_junit_comes_back_from_its_parser(models: list[CheckedModel]) -> None:
    suites = list(junitparser.JUnitXml.fromstring(render_junit(models).encode()))
    assert len(suites) == len(models)
    for suite, model in zip(suites, models, strict=True):
        assert suite.tests == max(len(model.outcomes), 1)
        assert suite.failures == len(model.failures)
        assert suite.errors == (model.error is not None)
        for case, outcome in zip(suite, model.outcomes, strict=False):
            assert case.name == outcome.rule
            assert case.is_failure == (outcome.status == "failed")
            assert case.is_skipped == (outcome.status == "skipped")


def test_junit_names_the_changed_layer() -> None:
    (suite,) = junitparser.JUnitXml.fromstring(render_junit(MODELS[1:2]).encode())
    (failure,) = next(case for case in suite if case.name == "baseline-macs").result
    assert "b.dw: +2,285,568: groups 32 -> 1" in failure.text


def test_junit_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "junitparser", None)
    with pytest.raises(DependencyError, match=r"convaudit\[ci\]"):
        render_junit(MODELS)


COMMAND = re.compile(r"::error file=(?P<file>[^,:]*),title=(?P<title>[^,:]*)::(?P<data>[^\r\n]*)")


def unescape(text: str) -> str:
    for code, character in {"%0A": "\n", "%0D": "\r", "%3A": ":", "%2C": ",", "%25": "%"}.items():
        text = text.replace(code, character)
    return text


@pytest.mark.parametrize("models", [MODELS, HOSTILE], ids=["mixed", "hostile"])
def test_each_annotation_is_one_command(models: list[CheckedModel]) -> None:
    lines = render_annotations(models).splitlines()
    commands = [COMMAND.fullmatch(line) for line in lines]
    assert all(commands)
    assert len(lines) == sum(len(model.failures) + (model.error is not None) for model in models)


def test_annotations_read_back() -> None:
    first = COMMAND.fullmatch(render_annotations(MODELS).splitlines()[0])
    assert first is not None
    assert (unescape(first["file"]), unescape(first["title"])) == ("nets/a.onnx", "convaudit max-macs")
    assert unescape(first["data"]).splitlines()[1:] == [
        "1 Gemm: 10,000 (62.4%)",
        "stem: 3,456 (21.6%)",
        "depthwise: 2,304 (14.4%)",
        "grouped: 256 (1.6%)",
    ]
    assert render_annotations(GOOD) == ""


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row)) - 1


@pytest.mark.parametrize("models", [MODELS, HOSTILE], ids=["mixed", "hostile"])
def test_markdown_tables_have_as_many_cells_in_every_row(models: list[CheckedModel]) -> None:
    rows = [line for line in render_outcomes_markdown(models).splitlines() if line.startswith("|")]
    assert {cells(row) for row in rows} == {3}


def test_markdown_difference_rows() -> None:
    nasty = difference_of(BEFORE, analyze(network(*NET, stem(NASTY))))
    tables: list[set[int]] = []
    for block in render_difference_markdown(nasty).split("\n\n"):
        if block.startswith("|"):
            tables.append({cells(row) for row in block.splitlines()})
    assert tables == [{3}, {5}]


@pytest.mark.parametrize("form", formats_of("check"))
def test_no_control_code_of_a_model_gets_through(form: str) -> None:
    text = FORMATS[form].render("check", HOSTILE)
    assert not [c for c in text if not c.isprintable() and c not in "\n\t"]


def test_a_difference_in_json_has_the_exact_numbers() -> None:
    document = json.loads(render_difference_json(CHANGED))
    assert document["equal"] is False
    (changed,) = document["changed"]
    assert changed["fields"]["groups"] == {"before": 32, "after": 1}
    assert [layer["name"] for layer in document["added"]] == ["extra"]
    for total in document["totals"].values():
        assert total["delta"] == total["after"] - total["before"]


def test_two_runs_give_the_same_bytes() -> None:
    assert [rendered(name) for name in OUTPUTS] == [rendered(name) for name in OUTPUTS]
