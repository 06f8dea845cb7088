"""Set-up that every test shares."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from convaudit import apart

# what is not a terminal has no width; pytest-xdist gives its workers one
os.environ.pop("COLUMNS", None)

# one helper for all files and factories of torch: a new one imports torch for seconds
apart.IDLE_SECONDS = 3600.0

# millions of objects live as long as the session: looking at them often costs a tenth of its time
gc.set_threshold(50_000, 20, 100)

# a deadline is a timed assertion, which fails on a busy machine
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

if importlib.util.find_spec("torch") is not None:
    import torch

    # torchvision 0.28 beside a CPU-only torch has no compiled operators and refuses to import until these
    # two are declared. The reference must live as long as the process, or the declarations go with it.
    TORCHVISION_OPERATORS = torch.library.Library("torchvision", "DEF")
    TORCHVISION_OPERATORS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    TORCHVISION_OPERATORS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


TESTS = Path(__file__).parent
SLOW = (
    *(
        "fuzz",
        "frontends/torch",
        "cli/test_foreign_code.py",
        "cli/test_hostile_text.py",
        "cli/test_mutations.py",
    ),
    *("cli/test_nonsense.py", "cli/test_program.py", "cli/test_streams.py", "cli/test_torch.py"),
    *("engine/test_backend_cases.py", "frontends/onnx/verifier/test_real_models.py"),
    *("frontends/onnx/walker/test_backend_cases.py", "frontends/onnx/walker/test_real_models.py"),
    *(
        "judge/test_honest.py",
        "judge/test_planted.py",
        "judge/test_problem.py",
        "test_api.py",
        "test_apart.py",
    ),
    *(
        "reporters/page/test_browser.py",
        "test_documents.py",
        "test_examples_ci.py",
        "test_examples_digits.py",
        "test_examples_notebook.py",
    ),
    *("test_torch_agrees_with_onnx.py", "test_torch_costs.py"),
)
"""Folders and files that take seconds each; ``-m "not slow"`` leaves them out."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(TESTS / name) for name in SLOW):
            item.add_marker("slow")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """A worker for each core where all tests are run; for a few it would take longer to start them."""
    return None if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--overwrite-golden", action="store_true", help="write golden files instead of comparing"
    )


@pytest.fixture
def trusted_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that are known not to crash onnxruntime are not tried in a process of their own first."""
    from convaudit.frontends.onnx.variant import proof

    monkeypatch.setattr(proof, "crashes", lambda settings, models, *rest: [{} for _ in models])


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the golden file of that name beside the test."""

    def compare(name: str, text: str) -> None:
        path = Path(request.path).parent / "golden" / name
        if request.config.getoption("--overwrite-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        assert path.exists(), f"no {path.name} yet: run with --overwrite-golden and review it"
        assert text == path.read_bytes().decode("utf-8")

    return compare
