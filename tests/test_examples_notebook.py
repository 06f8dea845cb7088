"""The notebook of examples/ runs, and shows what its file says it does."""

from __future__ import annotations

import os
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


FACTS = {
    "dense.totals": ["169 k", "64.7 M"],
    'grouped["stage2.0.spatial"]': ["64 x 8 x 3 x 3 + 64 = 4,672", "<svg"],
    "convaudit.diff(": ["groups 1 -&gt; 8", "-33,030,144"],
    "to_pandas()": ["168576", "31653888", "28114944"],
    "found.lint": ["CA101 constant-filter", "CA204 latent-groups", "groups=4"],
    "convaudit.check(dense": ["max-params", "max-macs"],
}
"""By a part of a cell's code: what it shows, whoever runs it."""


@pytest.mark.parametrize("part", FACTS)
@pytest.mark.parametrize("stored", [True, False], ids=["stored", "executed"])
def test_it_shows_what_holds(executed: Any, part: str, stored: bool) -> None:
    notebook = nbformat.read(FILE, as_version=4) if stored else executed
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and part in cell.source]
    html = cell.outputs[0].data["text/html"]
    assert [fact for fact in FACTS[part] if fact not in html] == []


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
