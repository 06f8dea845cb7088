"""What docs/ and CONTRIBUTING.md say of the code is so: tables are whole, and every name exists."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from convaudit.checks.baseline import QUANTITIES
from convaudit.checks.budgets import BUDGETS
from convaudit.records import KINDS, STATUSES
from convaudit.records.explanation import DimensionRule
from convaudit.records.findings import Finding, LintTotals
from convaudit.records.timing import SweepRow
from convaudit.reporters import FORMATS
from convaudit.reporters.columns import COLUMNS
from convaudit.reporters.explained import EXPLAIN_KEYS
from convaudit.reporters.plain import keys_of
from convaudit.reporters.sweeps import SWEEP_KEYS
from tests.conftest import SLOW
from tests.programs import ROOT

REPORTERS = ROOT / "convaudit" / "reporters"
SCHEMA = json.loads((REPORTERS / "report.schema.json").read_text(encoding="utf-8"))
LINT = json.loads((REPORTERS / "lint.schema.json").read_text(encoding="utf-8"))["$defs"]
CHECK = json.loads((REPORTERS / "check.schema.json").read_text(encoding="utf-8"))["$defs"]
LAYER = SCHEMA["$defs"]["layer"]["properties"]
PAGES = [ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:convaudit|tests|docs|examples|\.ci)/[\w./-]*")
DOCUMENTED = re.compile(r"^\.\. auto\w+:: (\S+)$", re.M)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
NAME = re.compile(r"convaudit(?:\.(?!toml\b)\w+)+")


def section(page: str, title: str = "") -> str:
    """The text below a heading, up to the next one."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.split(r"^#+ ", text.partition(f"\n## {title}\n")[2] if title else text, flags=re.M)[title == ""]


def first_column(text: str) -> set[str]:
    """Names in the first column of the tables there."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `") and "---" not in line]
    return {name for row in rows for name in CODE.findall(row)}


TABLES = [
    pytest.param(section("columns.md", "In the table"), COLUMNS, id="columns"),
    pytest.param(section("columns.md", "In JSON and CSV"), LAYER, id="layer"),
    pytest.param(section("json.md"), SCHEMA["$defs"]["report"]["properties"], id="report"),
    pytest.param(section("json.md", "Sweeps"), SWEEP_KEYS, id="sweep"),
    pytest.param(section("json.md", "Rows of a sweep"), keys_of(SweepRow), id="sweep-row"),
    pytest.param(section("json.md", "Explanations"), EXPLAIN_KEYS, id="explanation"),
    pytest.param(section("explain.md", "What it shows"), get_args(DimensionRule), id="dimension-rules"),
    pytest.param(section("json.md", "Findings"), LINT["model"]["properties"], id="lint"),
    pytest.param(section("json.md", "Findings of a model"), keys_of(Finding), id="finding"),
    pytest.param(section("json.md", "Totals of findings"), keys_of(LintTotals), id="lint-totals"),
    pytest.param(section("json.md", "Checks"), CHECK["model"]["properties"], id="check"),
    pytest.param(section("json.md", "Outcomes of a check"), CHECK["outcome"]["properties"], id="outcome"),
    pytest.param(section("ci.md", "Budgets"), BUDGETS, id="budgets"),
    pytest.param(section("ci.md", "Baselines"), QUANTITIES, id="baselines"),
    pytest.param(section("formats.md"), FORMATS, id="formats"),
    pytest.param(section("verdicts.md", "The verdicts"), STATUSES, id="verdicts"),
    pytest.param(section("counting.md", "Kinds"), KINDS, id="kinds"),
]


def test_suffixes_and_writers_of_formats_are_told() -> None:
    commands = ("audit", "diff", "check", "sweep", "lint", "explain")
    for line in section("formats.md").splitlines():
        if line.startswith("| `"):
            name, suffixes, writers = (cell.strip() for cell in line.split("|")[1:4])
            form = FORMATS[name.strip("`")]
            assert tuple(CODE.findall(suffixes)) == form.suffixes
            able = [command for command in commands if command in form.documents]
            assert writers == ("all commands" if len(able) == len(commands) else ", ".join(able))


@pytest.mark.parametrize(("text", "names"), TABLES)
def test_tables_name_all_that_there_is(text: str, names: Any) -> None:
    told = first_column(text)
    assert told == {*names}, f"describe { {*names} - told }, take {told - {*names}} out"


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES])
def test_paths_and_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for code in CODE.findall(text) + DOCUMENTED.findall(text):
        if PATH.fullmatch(code):
            assert (ROOT / code).exists(), code
        elif NAME.fullmatch(code):
            assert resolved(code) is not None, code


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in PAGES])
def test_named_tests_exist(page: Path) -> None:
    for path, name in TEST.findall(page.read_text(encoding="utf-8")):
        defined = re.findall(r"^def (test_\w+)", (ROOT / path).read_text(encoding="utf-8"), re.M)
        assert name in defined, f"{path}::{name}"


def test_every_claim_of_times_has_its_test() -> None:
    claims = [line for line in section("timing.md", "Which test holds it").splitlines() if line[:2] == "| "]
    assert len(claims) > 15
    assert [line for line in claims[1:] if not TEST.search(line)] == []


def resolved(name: str) -> object:
    """What a dotted name stands for: a module, or something in one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


@pytest.mark.parametrize("name", ["convaudit.audits", "convaudit.records.Layer"])
def test_the_test_of_names_can_fail(name: str) -> None:
    with pytest.raises(AttributeError, match=name.rpartition(".")[2]):
        resolved(name)


def test_slow_tests_exist() -> None:
    assert [name for name in SLOW if not (ROOT / "tests" / name).exists()] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    trees = re.findall(r"^```{toctree}\n(.*?)^```$", (ROOT / "docs" / "index.md").read_text(), re.M | re.S)
    listed = {line for tree in trees for line in tree.splitlines() if re.fullmatch(r"[\w-]+", line)}
    assert listed == {page.stem for page in PAGES[1:]} - {"index"}
