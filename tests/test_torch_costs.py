"""What auditing torch models may cost a process: imports, memory, and no weights at all."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.programs import ROOT

SCRIPT = """
import json, resource, sys
import torch
from torch import nn
import convaudit

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.device("meta"):
    huge = nn.Sequential(*[nn.Conv2d(8192, 8192, 8, groups=1, padding="same") for _ in range(3)])
    huge.append(nn.Conv2d(8192, 8192, 3, groups=8192))
totals = convaudit.audit(huge, input_shape=(1, 8192, 1024, 1024)).totals
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
convaudit.audit(nn.Conv2d(2, 4, 3), input_shape=(1, 2, 8, 8), verify=True)
print(json.dumps({
    "weight_bytes": totals.weight_bytes,
    "activation_bytes": totals.peak_activation_bytes,
    "used_kilobytes": used,
    "imported": [name for name in ("onnx", "onnxruntime", "onnx_shape_inference") if name in sys.modules],
}))
"""


@pytest.fixture(scope="module")
def costs() -> dict[str, Any]:
    """What a fresh process says after the audit of a huge model and the verification of a small one."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_model_larger_than_memory_costs_none(costs: dict[str, Any]) -> None:
    assert costs["weight_bytes"] > 50e9
    assert costs["activation_bytes"] > 50e9
    assert costs["used_kilobytes"] < 100_000  # beside what importing torch takes


def test_auditing_a_module_imports_neither_onnx_nor_onnxruntime(costs: dict[str, Any]) -> None:
    assert costs["imported"] == []
