"""What the project says of itself: citation, hooks, addresses, Pythons, what an sdist holds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import tomllib
import yaml

import convaudit
from convaudit.version import REPOSITORY
from tests.programs import ROOT
from tests.schemas import CITATION, PRE_COMMIT, validate

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def read_yaml(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return loaded


def test_the_citation_keeps_its_schema_and_names_this_version() -> None:
    citation = read_yaml("CITATION.cff")
    validate(citation, CITATION)
    assert citation["version"] == convaudit.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]


def test_addresses_are_of_one_repository() -> None:
    files = [*(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md"), *ROOT.glob("*.md")]
    texts = [path.read_text(encoding="utf-8") for path in [*files, ROOT / "CITATION.cff"]]
    found = re.findall(r"https://github\.com/[\w-]+/convaudit\b", "".join(texts))
    assert len(found) >= 2
    assert {*found} == {PROJECT["urls"]["Repository"]} == {REPOSITORY}
    assert all(url.startswith(f"{found[0]}") for url in PROJECT["urls"].values())


def test_hooks_run_what_ci_runs() -> None:
    config = read_yaml(".pre-commit-config.yaml")
    validate(config, PRE_COMMIT)
    (repository,) = config["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        command, *arguments = shlex.split(hook["entry"])
        words = [command, *(argument for argument in arguments if not argument.startswith("-"))]
        assert re.search(rf"^{' '.join(words)}\b", CI, re.M), hook["id"]


def test_pythons_are_those_that_are_tried() -> None:
    classifiers = [text.rpartition(" ")[2] for text in PROJECT["classifiers"]]
    versions = [text for text in classifiers if re.fullmatch(r"3\.\d+", text)]
    assert [*versions] == [f"3.{minor}" for minor in range(10, 15)]
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{versions[0].replace('.', '')}"
    assert f"vermin --target={versions[0]}-" in CI
    assert f"mypy --python-version {versions[-1]}" in CI
    (tried,) = re.findall(r"^for python in (.*); do$", CI, re.M)
    assert {f"python{version}" for version in versions} == {*tried.split(), "python3.11"}


def manifest() -> Iterator[tuple[str, str]]:
    for line in (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words and words[0] in ("graft", "include"):
            yield from ((words[0], name) for name in words[1:])


@pytest.mark.parametrize(("command", "name"), [*manifest()])
def test_an_sdist_holds_what_there_is(command: str, name: str) -> None:
    assert (ROOT / name).is_dir() if command == "graft" else (ROOT / name).is_file()
