"""What auditing torch models may cost a process: imports, memory, and no weights at all."""

from __future__ import annotations

import subprocess
import sys

from tests.programs import ROOT

BILLIONS = """
import resource, sys
import torch
from torch import nn
import convaudit

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.device("meta"):
    huge = nn.Sequential(*[nn.Conv2d(8192, 8192, 8, groups=1, padding="same") for _ in range(3)])
    huge.append(nn.Conv2d(8192, 8192, 3, groups=8192))
report = convaudit.audit(huge, input_shape=(1, 8192, 1024, 1024))
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(report.totals.weight_bytes, report.totals.peak_activation_bytes, used)
"""


def run(script: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_larger_than_memory_costs_none() -> None:
    weights, activations, kilobytes = map(int, run(BILLIONS).split())
    assert weights > 50e9
    assert activations > 50e9
    assert kilobytes < 100_000  # beside what importing torch takes


def test_auditing_a_module_imports_neither_onnx_nor_onnxruntime() -> None:
    script = """
import sys
import torch
import convaudit
convaudit.audit(torch.nn.Conv2d(2, 4, 3), input_shape=(1, 2, 8, 8), verify=True)
print(sorted(name for name in ("onnx", "onnxruntime", "onnx_shape_inference") if name in sys.modules))
"""
    assert run(script).strip() == "[]"
