"""README, docs, the examples' READMEs: each command and Python block is run, each output shown is real."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.programs import ROOT, environment, run

EXAMPLES = sorted(ROOT.glob("examples/*/README.md"))
DOCUMENTS = [pytest.param(path, id=path.parent.name) for path in EXAMPLES]
DOCUMENTS.insert(0, pytest.param(ROOT / "README.md", id="root"))
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
MACHINE = re.compile(r"(?<=verified with )onnxruntime \S+,|\d+ threads?(?=,)")
"""What the machine that runs a command tells of itself: it may differ from that of the document."""
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
COMMAND = re.compile(r"^\$ (.*)$", re.M)


def folder_of(document: Path, scratch: Path) -> Path:
    """Where the document's commands run: a copy of an example's folder, or an empty one."""
    folder = scratch / "here"
    if document in EXAMPLES:
        shutil.copytree(document.parent, folder)
    else:
        folder.mkdir()
    return folder


EXECUTED = [pytest.param(ROOT / "docs" / f"{name}.md", id=name) for name in ("index", "explain", "tutorial")]


@pytest.mark.parametrize("document", [*DOCUMENTS, *EXECUTED])
def test_commands_print_what_the_document_shows(
    document: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A block with any output is compared whole; in one of commands alone each must succeed."""
    folder, variables = folder_of(document, tmp_path), environment(tmp_path)

    def executed(block: re.Match[str]) -> str:
        commands = COMMAND.findall(block[1])
        shows_output = len(commands) < len(block[1].splitlines())
        shown = ""
        for command in commands:
            done = run(command, folder, variables)
            assert shows_output or done.returncode == 0, f"{command}: {done.stderr}"
            shown += f"$ {command}\n" + (done.stdout + done.stderr if shows_output else "")
        return f"```console\n{shown}```"

    text = document.read_text(encoding="utf-8")
    run_again = CONSOLE.sub(executed, text)
    if request.config.getoption("--overwrite-golden"):
        document.write_text(run_again, encoding="utf-8")
    else:
        assert MACHINE.sub("...", run_again) == MACHINE.sub("...", text)


def pages_with(pattern: re.Pattern[str]) -> list[Any]:
    return [
        pytest.param(page, id=page.stem) for page in PAGES if pattern.search(page.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("document", pages_with(PYTHON))
def test_python_blocks_run(document: Path, tmp_path: Path) -> None:
    folder, variables = folder_of(document, tmp_path), environment(tmp_path)
    run("convaudit example", folder, variables)
    for number, block in enumerate(PYTHON.findall(document.read_text(encoding="utf-8"))):
        script = tmp_path / f"block_{number}.py"
        script.write_text(block)
        done = run(f"python {script}", folder, variables)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", [pytest.param(path, id=path.parent.name) for path in EXAMPLES])
def test_an_example_shows_how_to_run_its_scripts(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [
        script.name for script in document.parent.glob("*.py") if f"python {script.name}" not in text
    ] == []


def test_ci_runs_the_commands_of_the_readme() -> None:
    first_screen = CONSOLE.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert first_screen is not None
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in COMMAND.findall(first_screen[1]):
        assert command in script
