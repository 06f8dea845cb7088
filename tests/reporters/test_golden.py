"""Whole outputs, reviewed once; beside each, invariants that hold for every report."""

from __future__ import annotations

import pytest

from convaudit.analyzer import analyze
from convaudit.reporters import FORMATS, View, formats_of
from convaudit.reporters.notebook import report_html
from convaudit.version import __version__
from tests.networks import mixed_network, network, symbolic_network, timed, verified

MIXED = analyze(mixed_network())
SYMBOLIC = analyze(symbolic_network())
VERIFIED = verified(MIXED)
TIMED = timed(MIXED)
EMPTY = analyze(network())
BOTH = [MIXED, SYMBOLIC]

OUTPUTS = {
    "mixed_80.txt": ("table", "audit", MIXED, View(width=80)),
    "mixed_wide.txt": ("table", "audit", MIXED, View()),
    "mixed_40.txt": ("table", "audit", MIXED, View(width=40)),
    "mixed_grid.txt": ("table", "audit", MIXED, View(only=("grouped",), top=1, style="grid", width=100)),
    "symbolic_80.txt": ("table", "audit", SYMBOLIC, View(width=80)),
    "verified_80.txt": ("table", "audit", VERIFIED, View(width=80)),
    "timed_80.txt": ("table", "audit", TIMED, View(width=80)),
    "timed_100.txt": ("table", "audit", TIMED, View(width=100)),
    "timed_wide.txt": ("table", "audit", timed(VERIFIED), View()),
    "timed_models.txt": ("table", "models", [TIMED, SYMBOLIC], View(width=100)),
    "timed.md": ("markdown", "audit", TIMED, View()),
    "timed.csv": ("csv", "audit", TIMED, View()),
    "timed.json": ("json", "audit", TIMED, View()),
    "empty.txt": ("table", "audit", EMPTY, View(width=80)),
    "models.txt": ("table", "models", [VERIFIED, SYMBOLIC], View(width=100)),
    "mixed.md": ("markdown", "audit", MIXED, View()),
    "symbolic.md": ("markdown", "audit", SYMBOLIC, View()),
    "models.md": ("markdown", "models", BOTH, View()),
    "verified.csv": ("csv", "audit", VERIFIED, View()),
    "models.csv": ("csv", "models", BOTH, View()),
    "verified.json": ("json", "audit", VERIFIED, View()),
    "symbolic.json": ("json", "models", [SYMBOLIC], View()),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_golden(name, golden):
    form, document, content, view = OUTPUTS[name]
    golden(name, FORMATS[form].render(document, content, view).replace(__version__, "VERSION"))


def test_golden_notebook(golden):
    golden("mixed.html", report_html(MIXED))
    golden("timed.html", report_html(TIMED))


@pytest.mark.parametrize(
    "report",
    [MIXED, SYMBOLIC, VERIFIED, TIMED, EMPTY],
    ids=["mixed", "symbolic", "verified", "timed", "empty"],
)
def test_two_runs_give_the_same_bytes(report):
    for form in formats_of("audit").values():
        assert form.render("audit", report) == form.render("audit", report)
