"""What checks found, in every format: golden outputs, and each format's own schema or parser."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import junitparser
import pytest

from convaudit.analyzer import analyze
from convaudit.checks import Budgets, check_baseline, check_budgets, difference_of
from convaudit.checks.outcome import CheckedModel, Contributor, Outcome
from convaudit.reporters import FORMATS, View, formats_of
from convaudit.reporters.github import render_check as render_annotations
from convaudit.reporters.json import render_diff as render_difference_json
from convaudit.reporters.junit import render_check as render_junit
from convaudit.reporters.markdown import render_check as render_outcomes_markdown
from convaudit.reporters.markdown import render_diff as render_difference_markdown
from convaudit.reporters.sarif import render_check as render_sarif
from convaudit.version import DOCUMENTS, REPOSITORY, __version__
from tests.checks.test_budgets import REPORT
from tests.checks.test_diff import DENSE_B, NET, project, stem
from tests.networks import network
from tests.programs import ROOT
from tests.schemas import SARIF, validate

BEFORE = analyze(network(*NET, source="before.onnx"))
AFTER = analyze(network(*DENSE_B[:-1], project("last"), stem("extra", stride=(2, 2)), source="after.onnx"))
LIMITS = Budgets(max_params=5_000, max_macs=12_000, groups_multiple_of=4, forbid=("dense", "grouped"))
MODELS = [
    CheckedModel(source="nets/a.onnx", outcomes=tuple(check_budgets(REPORT, LIMITS)), seconds=1.25),
    CheckedModel(source="nets/b.onnx", outcomes=tuple(check_baseline(BEFORE, AFTER))),
    CheckedModel(source="package.module:factory", error="cannot be loaded: 100% broken", seconds=0.5),
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


def test_sarif_says_what_each_check_means_and_where_it_is_explained() -> None:
    driver = json.loads(render_sarif(MODELS))["runs"][0]["tool"]["driver"]
    assert driver["informationUri"] == REPOSITORY
    texts = {}
    for rule in driver["rules"]:
        page, _, anchor = rule["helpUri"].removeprefix(f"{DOCUMENTS}/").partition("#")
        headings = re.findall("^## (.*)$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.M)
        assert anchor in [heading.lower() for heading in headings]
        assert rule["fullDescription"]["text"].startswith(rule["shortDescription"]["text"])
        assert rule["help"]["markdown"].replace("`", "") == rule["help"]["text"]
        texts[rule["id"]] = rule["shortDescription"]["text"]
    assert texts["max-params"] == "Most parameters that the model may have."
    assert texts["baseline-macs"] == "The MACs must not grow over the baseline."


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
        pytest.param("nets/\udcff.onnx", "nets/%FF.onnx", id="no-unicode"),
    ],
)
def test_sarif_uris(source: str, uri: str) -> None:
    text = render_sarif([replace(MODELS[0], source=source)])
    (artifact,) = json.loads(text)["runs"][0]["artifacts"]
    assert artifact["location"]["uri"] == uri
    assert r"\ud" not in text.replace(r"\\ud", "")  # half of a letter, which strict readers refuse


JUNIT = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {
            *("name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname"),
            *("id", "package", "file", "log", "url"),
        },
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "time", "classname", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    **dict.fromkeys(("failure", "error", "skipped"), ({"type", "message"}, set())),
    "system-out": (set(), set()),
}
"""What Jenkins' junit-10.xsd allows: attributes and children of each element that is written."""


@pytest.mark.parametrize("models", [MODELS, GOOD, HOSTILE, []], ids=["mixed", "good", "hostile", "none"])
def test_junit_keeps_the_schema_of_jenkins(models: list[CheckedModel]) -> None:
    root = ElementTree.fromstring(render_junit(models).encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = JUNIT[element.tag]
        assert {*element.attrib} <= attributes
        assert {child.tag for child in element} <= children
        assert re.fullmatch(r"\d+\.\d{3}", element.get("time", "0.000"))


@pytest.mark.parametrize("models", [MODELS, GOOD, HOSTILE], ids=["mixed", "good", "hostile"])
def test_junit_comes_back_from_its_parser(models: list[CheckedModel]) -> None:
    suites = list(junitparser.JUnitXml.fromstring(render_junit(models).encode()))
    assert len(suites) == len(models)
    for suite, model in zip(suites, models, strict=True):
        audit, *cases = suite
        assert suite.tests == 1 + len(model.outcomes)
        assert suite.failures == len(model.failures)
        assert suite.errors == audit.is_error == (model.error is not None)
        for case, outcome in zip(cases, model.outcomes, strict=True):
            assert case.name == outcome.rule
            assert case.is_failure == (outcome.status == "failed")
            assert case.is_skipped == (outcome.status == "skipped")


def test_junit_says_how_long_each_model_took() -> None:
    xml = junitparser.JUnitXml.fromstring(render_junit(MODELS).encode())
    assert (xml.time, [suite.time for suite in xml]) == (1.75, [1.25, 0.0, 0.5])
    for suite in xml:
        times = [case.time or 0.0 for case in suite]
        assert times == [suite.time, *[0.0] * (len(times) - 1)]


def test_junit_names_the_changed_layer() -> None:
    (suite,) = junitparser.JUnitXml.fromstring(render_junit(MODELS[1:2]).encode())
    (failure,) = next(case for case in suite if case.name == "baseline-macs").result
    assert "b.dw: +2,285,568: groups 32 -> 1" in failure.text


COMMAND = re.compile(r"::error (?:file=(?P<file>[^,:]*),)?title=(?P<title>[^,:]*)::(?P<data>[^\r\n]*)")


def unescape(text: str) -> str:
    for code, character in {"%0A": "\n", "%0D": "\r", "%3A": ":", "%2C": ",", "%25": "%"}.items():
        text = text.replace(code, character)
    return text


@pytest.mark.parametrize("models", [MODELS, HOSTILE], ids=["mixed", "hostile"])
def test_each_model_is_one_command(models: list[CheckedModel]) -> None:
    lines = render_annotations(models).splitlines()
    assert all(COMMAND.fullmatch(line) for line in lines)
    assert len(lines) == sum(bool(model.failures) or model.error is not None for model in models)


def test_annotations_read_back() -> None:
    first = COMMAND.fullmatch(render_annotations(MODELS).splitlines()[0])
    assert first is not None
    assert unescape(first["title"]) == "nets/a.onnx: convaudit: 3 of 4 checks failed"
    assert unescape(first["data"]).splitlines()[:6] == [
        "max-macs: 16,016 MACs, 4,016 (33.5%) over the limit of 12,000",
        "  1 Gemm: 10,000 (62.4%)",
        "  stem: 3,456 (21.6%)",
        "  depthwise: 2,304 (14.4%)",
        "  grouped: 256 (1.6%)",
        "groups-multiple-of: 1 of 1 grouped convolutions do not have a multiple of 4 channels a group",
    ]
    assert render_annotations(GOOD) == ""


@pytest.mark.parametrize(("number", "shown"), [(9, 9), (10, 10), (11, 10), (1000, 10)])
def test_annotations_are_as_many_as_github_shows(number: int, shown: int) -> None:
    models = [replace(MODELS[index % 2], source=f"m{index}.onnx") for index in range(number)]
    lines = render_annotations([*GOOD, *models]).splitlines()
    assert len(lines) == shown
    last = COMMAND.fullmatch(lines[-1])
    assert last is not None
    if number > shown:
        assert unescape(last["title"]) == f"convaudit: {number - 9} more models"
        assert last["data"].startswith("m9.onnx, m10.onnx")
    else:
        assert unescape(last["title"]).startswith(f"m{number - 1}.onnx: ")


def test_a_models_file_is_named_as_its_repository_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    nets = tmp_path / "repo" / "nets"
    nets.mkdir()
    for path in (nets / "a,b:100%.onnx", tmp_path / "elsewhere.onnx"):
        path.touch()
    monkeypatch.chdir(nets)
    sources = ["a,b:100%.onnx", "../../elsewhere.onnx", "gone.onnx", "package.module:factory"]
    models = [replace(MODELS[0], source=source) for source in sources]
    found = [COMMAND.fullmatch(line) for line in render_annotations(models).splitlines()]
    files = [None if one is None or one["file"] is None else unescape(one["file"]) for one in found]
    assert files == ["nets/a,b:100%.onnx", None, None, None]
    (run,) = json.loads(render_sarif(models[:2]))["runs"]
    assert [artifact["location"]["uri"] for artifact in run["artifacts"]] == [
        "nets/a%2Cb%3A100%25.onnx",
        "../../elsewhere.onnx",
    ]
    monkeypatch.chdir(tmp_path / "repo")
    (again,) = json.loads(render_sarif([replace(models[0], source="nets/a,b:100%.onnx")]))["runs"]
    assert again["results"] == run["results"][: len(again["results"])]


def cells(row: str) -> int:
    return len(re.findall(r"(?<!\\)\|", row)) - 1


@pytest.mark.parametrize("models", [MODELS, HOSTILE], ids=["mixed", "hostile"])
def test_markdown_tables_have_as_many_cells_in_every_row(models: list[CheckedModel]) -> None:
    rows = [line for line in render_outcomes_markdown(models).splitlines() if line.startswith("|")]
    assert {cells(row) for row in rows} == {3}


def test_markdown_begins_with_a_row_for_each_model_and_folds_what_passed() -> None:
    text = render_outcomes_markdown([*GOOD, *MODELS])
    summary, *sections = text.split("\n### ")
    assert summary.startswith("<!-- convaudit check -->\n\n## convaudit: 4 models checked: 2 failed, 1 could")
    assert re.findall(r"^\| (.) \| `(.*?)` \| (.*) \|$", summary, re.M) == [
        ("🚫", "package.module:factory", "could not be audited"),
        ("❌", "nets/a.onnx", "3 of 4 checks failed: `max-macs`, `groups-multiple-of`, `forbid`"),
        (
            "❌",
            "nets/b.onnx",
            "3 of 5 checks failed: `baseline-params`, `baseline-macs`, `baseline-weight-bytes`",
        ),
        ("✅", "good.onnx", "1 of 1 checks passed"),
    ]
    open_, folded = text.split("<details><summary>1 model without a failure</summary>\n\n")
    assert ("### `nets/b.onnx`" in open_, "### `good.onnx`" in folded) == (True, True)
    assert folded.endswith("|\n\n</details>\n")
    assert len(sections) == 4


LONG = Outcome(
    rule="max-macs",
    status="failed",
    message="@" * 5_000,
    contributors=(Contributor(name="c|" * 5_000, detail="`" * 5_000),) * 3,
)


@pytest.mark.parametrize(
    ("models", "said"),
    [
        pytest.param([replace(MODELS[0], source=f"{i}.onnx") for i in range(5_000)], 3, id="failed"),
        pytest.param([replace(GOOD[0], source=f"{i}.onnx") for i in range(5_000)], 2, id="passed"),
        pytest.param([replace(MODELS[2], error="@" * 9_999)] * 80, 1, id="errors"),
        pytest.param([replace(GOOD[0], outcomes=(LONG,) * 40)], 1, id="checks"),
        pytest.param([replace(GOOD[0], source="`|@\n" * 30_000, outcomes=(LONG,))] * 300, 2, id="names"),
    ],
)
def test_markdown_fits_into_a_comment(models: list[CheckedModel], said: int) -> None:
    text = render_outcomes_markdown(models)
    assert len(text) < 65_536
    assert len(re.findall(r"no room here|No room here|more checks", text)) == said
    assert text.count("<details>") == text.count("</details>")
    assert {cells(row) for row in text.splitlines() if row.startswith("|")} == {3}


@pytest.mark.parametrize(
    "name", [":white_check_mark:", "a:x:b", ":+1:", "@octocat", "#12", "!7", "GH-3", "x/y#4", "www.a.b"]
)
def test_markdown_makes_nothing_of_plain_names(name: str) -> None:
    """GitHub and GitLab look for these in the text that Markdown leaves, but not in code."""
    checked = [CheckedModel(source=name, outcomes=(replace(LONG, message=name, contributors=()),))]
    text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", render_outcomes_markdown([*checked, *MODELS]))
    assert not re.search(r":[a-z+-][\w+-]*:|@\w|[#!]\d|GH-\d|www\.", html.unescape(text.replace("\\", "")))


def test_a_name_in_a_table_keeps_its_cell() -> None:
    r"""GitHub's tables take the first backslash of ``\\|`` to escape the second one, even in code."""
    row = next(
        line
        for line in render_outcomes_markdown([replace(GOOD[0], source="a\\|b|c`\nd")]).splitlines()
        if "passed |" in line
    )
    assert row == r"| ✅ | ``a\x7cb\|c`\nd`` | 1 of 1 checks passed |"


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
