"""What ``lint`` found, in every format that writes it."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import pytest

from convaudit.formulas import symbol
from convaudit.linting.rules import LINT_RULES
from convaudit.lints import Findings
from convaudit.records.findings import Finding, LintReport, LintTotals
from convaudit.reporters import FORMATS, View, formats_of
from convaudit.reporters.findings import LINT_SCHEMA_VERSION, channel_ranges, note_lines
from convaudit.reporters.notebook import lint_html
from convaudit.reporters.plain import keys_of
from tests.cli.test_hostile_text import HOSTILE, commands
from tests.programs import ROOT
from tests.schemas import SARIF, validate

SCHEMA = json.loads((resources.files("convaudit.reporters") / "lint.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CONTRACT = {
    *("rule", "name", "layer", "channels", "message", "certainty"),
    *("removable_params", "removable_macs", "fixable"),
}


def finding(rule: str = "CA101", layer: str = "backbone.7", **changes: Any) -> Finding:
    """491 of 768 filters that are zero."""
    fields: dict[str, Any] = {
        "channels": (*range(4), 17, *range(100, 1072, 2)),
        "message": "491 of 768 filters are all zero",
        "severity": LINT_RULES[rule].severity,
        "certainty": "exact",
        "removable_params": 350_000,
        "removable_macs": 120_000_000,
        "removable_bytes": 1_400_000,
        "fixable": True,
    }
    return Finding(rule=rule, name=LINT_RULES[rule].name, layer=layer, **(fields | changes))


def linted(*findings: Finding, **changes: Any) -> LintReport:
    """A detector of 2.44 M weights with these findings."""
    totals = LintTotals(
        params=2_440_000,
        macs=1_900_000_000,
        removable_params=640_000,
        removable_macs=210_000_000,
        removable_bytes=2_560_000,
        fixable_params=350_000,
        fixable_macs=120_000_000,
    )
    fields: dict[str, Any] = {
        "source": "detector.onnx",
        "format": "onnx",
        "layers": 62,
        "examined": 62,
        "rules": tuple(LINT_RULES),
        "findings": findings,
        "totals": totals,
    }
    return LintReport(**(fields | changes))


FOUND = linted(
    finding(),
    finding("CA301", channels=None, message="9 of 4,608 weights are denormal", removable_params=0,
            removable_macs=0, removable_bytes=0, fixable=False, reason="they weigh nothing"),
    finding("CA103", "head", channels=(3,), message="channel 3 adds 1e-12 of the sum",
            certainty="within_rounding", removable_params=290_000, removable_macs=90_000_000),
    notes=("dynamic: its weight is computed at run time", "other: its weight is computed at run time"),
)  # fmt: skip
NOTHING = LintTotals(**dict.fromkeys(("params", "macs", "removable_params", "removable_macs",
                                      "removable_bytes", "fixable_params", "fixable_macs")))  # fmt: skip
FAILED = linted(source="broken.onnx", layers=0, examined=0, rules=(), totals=NOTHING, error="no model")
CLEAN = linted(source="clean.onnx")
OPEN_TOTALS = replace(CLEAN.totals, removable_macs=symbol("N") * 2, macs=symbol("N") * 10)
OPEN = linted(finding(removable_macs=symbol("N") * 64), source="open.onnx")
REPORTS = [
    pytest.param([FOUND], id="found"),
    pytest.param([CLEAN], id="clean"),
    pytest.param([FOUND, FAILED, CLEAN], id="several"),
    pytest.param([OPEN], id="formula"),
    pytest.param([], id="none"),
]


def rendered(name: str, *reports: LintReport, width: int | None = None) -> str:
    return FORMATS[name].render("lint", reports, View(width=width))


def test_the_schema_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == f"urn:convaudit:schema:lint:{LINT_SCHEMA_VERSION}"


@pytest.mark.parametrize(
    ("record", "name", "own"),
    [
        pytest.param(LintReport, "model", {"schema_version", "convaudit_version"}, id="model"),
        pytest.param(Finding, "finding", set(), id="finding"),
        pytest.param(LintTotals, "totals", set(), id="totals"),
    ],
)
def test_the_schema_describes_every_key(record: type, name: str, own: set[str]) -> None:
    described = SCHEMA["$defs"][name]
    assert set(described["properties"]) == set(described["required"]) == {*keys_of(record), *own}


@pytest.mark.parametrize("reports", REPORTS)
def test_json_keeps_its_schema(reports: list[LintReport]) -> None:
    document = json.loads(rendered("json", *reports))
    VALIDATOR.validate(document)
    assert [one["source"] for one in document] == [one.source for one in reports]


def test_json_keeps_the_contract() -> None:
    (model,) = json.loads(rendered("json", FOUND))
    assert {"source", "findings", "totals"} <= model.keys()
    assert all(one.keys() >= CONTRACT for one in model["findings"])
    assert model["findings"][0]["channels"] == list(FOUND.findings[0].channels or ())
    assert model["totals"]["removable_params"] == 640_000
    (model,) = json.loads(rendered("json", OPEN))
    assert model["findings"][0]["removable_macs"] is None
    assert model["findings"][0]["formula"] == {"removable_macs": "64*N"}


def test_a_schema_that_can_fail() -> None:
    document = json.loads(rendered("json", FOUND))
    document[0]["findings"][0]["certainty"] = "maybe"
    with pytest.raises(jsonschema.ValidationError, match="maybe"):
        VALIDATOR.validate(document)


@pytest.mark.parametrize("width", [80, 160, 40])
def test_the_table_fits(width: int) -> None:
    text = rendered("table", FOUND, CLEAN, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "0-3, 17, 100, 102, 104, 106, 482 more" in " ".join(text.split())


def test_the_closing_lines_say_what_could_go_and_how() -> None:
    lines = rendered("table", FOUND).splitlines()
    assert lines[-3:] == [
        "removable: 640 k of 2.44 M conv params (26 %), 210 M of 1.90 G MACs (11 %), 2.56 MB",
        "fixable: 350 k params and 120 M MACs, "
        "by convaudit lint detector.onnx --fix -o detector-smaller.onnx",
        "within rounding: 290 k params and 90.0 M MACs more, with --fix --within-rounding",
    ]


def test_the_command_takes_no_name_for_an_option() -> None:
    assert (
        rendered("table", replace(FOUND, source="-a b.onnx"))
        .splitlines()[-2]
        .endswith("by convaudit lint './-a b.onnx' --fix -o './-a b-smaller.onnx'")
    )


UNFIXABLE = linted(finding(fixable=False, reason="an output of the model"))


@pytest.mark.parametrize(
    ("report", "text"),
    [
        pytest.param(CLEAN, "clean.onnx (onnx): nothing found by 12 rules in 62 of 62 convolutions "
                     "(2.44 M params)", id="clean"),
        pytest.param(replace(CLEAN, examined=60), "in 60 of 62 convolutions", id="not-all"),
        pytest.param(replace(CLEAN, layers=0, examined=0), "it has no convolution, so nothing was looked at",
                     id="no-layers"),
        pytest.param(replace(FOUND, examined=60), "3 findings in 2 of 62 convolutions, 60 of which were "
                     "looked at", id="found-not-all"),
        pytest.param(UNFIXABLE, "exact, not fixable: an output of the model", id="reason"),
        pytest.param(UNFIXABLE, "fixable: none of it", id="none-fixable"),
        pytest.param(FOUND, "saves 350 k params (14 %), 120 M MACs (6.3 %); exact, fixable", id="saves"),
        pytest.param(FOUND, f"\n{'':28}exact, not fixable: they weigh", id="saves-nothing"),
        pytest.param(linted(finding(removable_params=None)), "saves ? params, 120 M", id="unknown"),
        pytest.param(linted(finding(removable_macs=symbol("N") * 2), totals=OPEN_TOTALS),
                     "saves 350 k params (14 %), 20 % of the MACs; exact", id="share-of-a-formula"),
        pytest.param(linted(finding(removable_macs=symbol("N") * 2), totals=OPEN_TOTALS),
                     "removable: 640 k of 2.44 M conv params (26 %), 20 % of the MACs, 2.56 MB\n"
                     "fixable: 350 k params and 20 % of the MACs, by", id="total-of-a-formula"),
        pytest.param(OPEN, "saves 350 k params (14 %), 64*N MACs; exact", id="formula"),
        pytest.param(linted(finding("CA301", removable_params=0, removable_macs=0, fixable=False),
                            totals=replace(CLEAN.totals, removable_params=0, removable_macs=0)),
                     "\nremovable: 0 of 2.44 M conv params\n", id="nothing-to-save"),
    ],
)  # fmt: skip
def test_the_table_says(report: LintReport, text: str) -> None:
    assert text in rendered("table", report)


@pytest.mark.parametrize(
    ("channels", "text"),
    [
        pytest.param((), "", id="none"),
        pytest.param((5,), "5", id="one"),
        pytest.param((1, 0, 2, 9), "0-2, 9", id="runs"),
        pytest.param(range(0, 24, 2), "0, 2, 4, 6, 8, 10, 6 more", id="more"),
        pytest.param(range(500), "0-499", id="long-run"),
    ],
)
def test_channels_are_shortened(channels: Any, text: str) -> None:
    assert channel_ranges(channels) == text


def test_equal_notes_are_told_together_and_not_endlessly() -> None:
    assert note_lines(FOUND.notes) == ["dynamic, other: its weight is computed at run time"]
    lines = note_lines([f"layer{i}: reason {i}" for i in range(50)])
    assert (len(lines), lines[-1]) == (11, "and 40 more notes: see --format json")


def test_csv_has_a_line_for_each_finding() -> None:
    rows = list(csv.DictReader(io.StringIO(rendered("csv", FOUND, FAILED, OPEN))))
    assert [row["rule"] for row in rows] == ["CA101", "CA301", "CA103", "CA101"]
    assert rows[0]["channels"].startswith("0-3 17 100 102 ")
    assert (rows[1]["channels"], rows[1]["removable_params"]) == ("", "0")
    assert rows[3]["removable_macs"] == "64*N"


def test_sarif_keeps_its_schema_and_describes_each_rule() -> None:
    document = json.loads(rendered("sarif", FOUND, FAILED))
    validate(document, SARIF)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == ["CA101", "CA301", "CA103"]
    assert [result["level"] for result in run["results"]] == ["warning", "note", "warning"]
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    for rule in rules:
        assert f"](#{rule['helpUri'].partition('docs/rules.md#')[2]})" in page
    assert rules[0]["fullDescription"]["text"].startswith(LINT_RULES["CA101"].summary)
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert [one["level"] for one in invocation["toolExecutionNotifications"]] == ["error", "note"]
    fingerprints = [result["partialFingerprints"]["convaudit/v1"] for result in run["results"]]
    assert len(set(fingerprints)) == 3


def test_annotations_are_one_a_model_the_gravest_first() -> None:
    report = linted(*(finding(layer=f"c{i}") for i in range(500)), finding("CA302", "bad"))
    failing, notes = rendered("github", report, CLEAN, linted(finding("CA301", "low"))).splitlines()
    title, _, data = failing.partition("::error title=")[2].partition("::")
    assert title == "detector.onnx%3A convaudit lint%3A 501 findings in 501 of 62 convolutions"
    lines = data.split("%0A")
    assert lines[0].startswith("removable: 640 k of 2.44 M conv params (26 %25)")
    assert lines[1].startswith("CA302 non-finite-weights: bad: ")
    assert lines[-1] == "and 441 more findings"
    assert notes.startswith("::notice title=detector.onnx%3A convaudit lint%3A 1 finding in 1 of 62")


@pytest.mark.parametrize(("number", "shown"), [(3, 3), (10, 10), (11, 10), (500, 10)])
def test_annotations_are_as_many_as_github_shows_of_each_kind(number: int, shown: int) -> None:
    reports = [linted(finding()), linted(finding("CA302"))] * number
    lines = rendered("github", *reports).splitlines()
    kinds = [line.split()[0] for line in lines]
    assert kinds == ["::error"] * shown + ["::warning"] * shown
    more = f"::warning title=convaudit%3A {number - 9} more models::detector.onnx, detector.onnx"
    assert lines[-1].startswith(more) == (number > shown)


def test_a_model_that_failed_is_annotated() -> None:
    text = rendered("github", FAILED)
    assert text == "::error title=broken.onnx%3A convaudit lint%3A could not be looked at::no model\n"


def test_markdown_begins_with_the_summary_and_folds_long_lists() -> None:
    text = rendered("markdown", FOUND, FAILED, CLEAN)
    assert re.search(r"\| `detector.onnx` +\| +62 \| +3 \| +640 k \(26 %\) \|", text)
    assert text.index("`clean.onnx`") < text.index("### `detector.onnx`")
    assert "- broken.onnx: no model" in text
    assert "<details>" not in text
    assert "<details><summary>11 findings</summary>\n\n|" in rendered("markdown", linted(*[finding()] * 11))


@pytest.mark.parametrize(
    "reports",
    [
        pytest.param([linted(*[finding(layer="x" * 200)] * 3000)], id="findings"),
        pytest.param([replace(FOUND, source=f"{i}.onnx") for i in range(2000)], id="models"),
        pytest.param([replace(FOUND, findings=(finding(),) * 300)] * 40, id="both"),
        pytest.param([linted(finding(message="x" * 100_000))], id="one"),
    ],
)
def test_markdown_fits_into_a_comment(reports: list[LintReport]) -> None:
    text = rendered("markdown", *reports)
    assert len(text) < 65_536
    assert "see `--format json`" in text
    assert text.count("<details>") == text.count("</details>")


def test_a_notebook_shows_text() -> None:
    html = lint_html(replace(FOUND, findings=(finding(layer="<script>", message="<b>", reason="<i>"),)))
    assert "&lt;script&gt;" in html
    assert set(re.findall(r"</?(\w+)", html)) <= {
        *("div", "style", "span", "p", "b", "ul", "li", "table"),
        *("thead", "tbody", "tr", "th", "td"),
    }


def test_findings_print_themselves() -> None:
    findings = Findings(FOUND)
    assert str(findings) == rendered("table", FOUND).rstrip("\n")
    assert repr(findings) == "<convaudit.Findings of 'detector.onnx': 3>"
    assert [findings.to_dict()] == json.loads(findings.to_json()) == json.loads(rendered("json", FOUND))
    assert (findings.totals, findings.notes) == (FOUND.totals, FOUND.notes)
    assert "<b>detector.onnx (onnx): 3 findings" in findings._repr_html_()


@pytest.mark.parametrize("name", formats_of("lint"))
@pytest.mark.parametrize("width", [40, None])
def test_hostile_text_commands_nothing(name: str, width: int | None) -> None:
    reports = [
        linted(finding(layer=text, message=text, reason=text, fixable=False), source=text, notes=(text,))
        for text in HOSTILE
    ]
    text = rendered(name, *reports, replace(FAILED, error=HOSTILE[0]), width=width)
    text = re.sub(r"(?m)^::(warning|error|notice) title=[^:,]*::", "", text)
    assert list(commands(text)) == []
    if name == "csv":
        cells = [cell.strip() for row in csv.reader(io.StringIO(text)) for cell in row]
        assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\uff1d"))] == []
    if name == "markdown":
        outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
        assert re.findall(r"(?<!\\)\]\(|(?<!\\)<[b-ce-z!]|://|www\.|@\w", outside) == []
