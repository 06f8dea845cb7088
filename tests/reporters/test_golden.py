"""Whole outputs, reviewed once; beside each, invariants that hold for every report."""

from __future__ import annotations

import pytest

from convaudit.analyzer import analyze
from convaudit.reporters.csv import render_csv
from convaudit.reporters.html import render_html
from convaudit.reporters.json import render_json
from convaudit.reporters.markdown import render_markdown
from convaudit.reporters.models import render_models_csv, render_models_markdown, render_models_table
from convaudit.reporters.select import Selection
from convaudit.reporters.table import Layout, render_table
from convaudit.version import __version__
from tests.networks import mixed_network, network, symbolic_network, verified

MIXED = analyze(mixed_network())
SYMBOLIC = analyze(symbolic_network())
VERIFIED = verified(MIXED)
EMPTY = analyze(network())
BOTH = [MIXED, SYMBOLIC]
TOP = Selection(only="grouped", top=1)

OUTPUTS = {
    "mixed_80.txt": lambda: render_table(MIXED, layout=Layout(width=80)),
    "mixed_wide.txt": lambda: render_table(MIXED),
    "mixed_40.txt": lambda: render_table(MIXED, layout=Layout(width=40)),
    "mixed_grid.txt": lambda: render_table(MIXED, TOP, Layout(style="grid", width=100)),
    "symbolic_80.txt": lambda: render_table(SYMBOLIC, layout=Layout(width=80)),
    "verified_80.txt": lambda: render_table(VERIFIED, layout=Layout(width=80)),
    "empty.txt": lambda: render_table(EMPTY, layout=Layout(width=80)),
    "models.txt": lambda: render_models_table([VERIFIED, SYMBOLIC], Layout(width=100)),
    "mixed.md": lambda: render_markdown(MIXED),
    "symbolic.md": lambda: render_markdown(SYMBOLIC),
    "models.md": lambda: render_models_markdown(BOTH),
    "verified.csv": lambda: render_csv(VERIFIED),
    "models.csv": lambda: render_models_csv(BOTH),
    "verified.json": lambda: render_json([VERIFIED]).replace(__version__, "VERSION"),
    "symbolic.json": lambda: render_json([SYMBOLIC], as_list=True).replace(__version__, "VERSION"),
    "mixed.html": lambda: render_html(MIXED),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_golden(name, golden):
    golden(name, OUTPUTS[name]())


@pytest.mark.parametrize(
    "report", [MIXED, SYMBOLIC, VERIFIED, EMPTY], ids=["mixed", "symbolic", "verified", "empty"]
)
def test_two_runs_give_the_same_bytes(report):
    assert render_table(report) == render_table(report)
    assert render_json([report]) == render_json([report])
