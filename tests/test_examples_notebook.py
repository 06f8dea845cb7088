"""The notebook of examples/ runs, and shows what its file says it does."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from tests.programs import ROOT

FILE = ROOT / "examples" / "notebook" / "designing_groups.ipynb"
MEASURED = "sweep("
"""The cell whose numbers differ from run to run."""


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    notebook = nbformat.read(FILE, as_version=4)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython")),
    }
    client = nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute(env=environment, cwd=str(tmp_path_factory.mktemp("notebook")))
    return notebook


def shown(notebook: Any) -> list[dict[str, str]]:
    """What each cell of code shows, without what is measured; a picture only by its kind."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            data = cell.outputs[0].data if cell.outputs else {}
            kinds = dict.fromkeys(data, "")
            if MEASURED not in cell.source:
                kinds |= {
                    kind: without_addresses(data[kind]) for kind in data if not kind.startswith("image/")
                }
            found.append(kinds)
    return found


def without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def test_it_shows_what_the_file_says(executed: Any) -> None:
    assert shown(executed) == shown(nbformat.read(FILE, as_version=4))


def test_every_cell_shows_one_thing_and_no_error(executed: Any) -> None:
    outputs = [cell.outputs for cell in executed.cells if cell.cell_type == "code"]
    assert [[output.output_type for output in each] for each in outputs] == [["execute_result"]] * len(
        outputs
    )


def test_the_sweep_compares_the_numbers_of_groups(executed: Any) -> None:
    (cell,) = [cell for cell in executed.cells if MEASURED in cell.source]
    html = cell.outputs[0].data["text/html"]
    assert "4.67 k" in html
    assert "the model&#x27;s" in html
    assert "timed with torch" in html


def test_the_file_is_small_and_names_no_place() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert "execution" not in nbformat.read(FILE, as_version=4).cells[1].metadata
    assert str(Path.home()) not in text
