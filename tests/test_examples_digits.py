"""The script that made examples/digits makes the network that ``convaudit example`` writes."""

from __future__ import annotations

from pathlib import Path

import convaudit
from tests.programs import ROOT, environment, run

EXAMPLE = ROOT / "examples" / "digits"
SHIPPED = ROOT / "convaudit" / "cli" / "digits.onnx"


def test_training_again_gives_the_same_structure(tmp_path: Path) -> None:
    done = run(f"python train.py --epochs 1 --output {tmp_path}/digits.onnx", EXAMPLE, environment(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("accuracy on unseen digits: ")
    fresh, shipped = convaudit.audit(tmp_path / "digits.onnx"), convaudit.audit(SHIPPED)
    assert fresh.layers == shipped.layers
    assert fresh.totals == shipped.totals
