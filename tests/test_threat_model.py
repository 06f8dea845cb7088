"""The threat model names tests that exist, one at least for each promise, and README points to it."""

from __future__ import annotations

import ast
import re

import pytest

from tests.programs import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
TESTS = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize(("path", "name"), sorted(set(TESTS.findall(PAGE))))
def test_named_tests_exist(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_is_held_by_a_test() -> None:
    promises = [line for line in PAGE.splitlines() if line.startswith("| ") and "held by" not in line]
    assert len(promises) > 15
    assert [line for line in promises if not TESTS.search(line)] == []


def test_the_readme_points_to_it() -> None:
    assert "(docs/threat-model.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
