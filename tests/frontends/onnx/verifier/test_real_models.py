"""Whole shipped networks verify without a mismatch, in situ and isolated."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convaudit.frontends.onnx.verifier import verify_in_situ, verify_isolated
from tests.frontends.onnx.models import walked

OCR = Path(str(files("rapidocr_onnxruntime") / "models"))
VAD = Path(str(files("silero_vad") / "data"))
HONEST = {"exact", "within_rounding"}


@pytest.mark.parametrize(
    ("path", "layers"),
    [
        pytest.param(OCR / "ch_PP-OCRv4_det_infer.onnx", 64, id="ocr-detection"),
        pytest.param(OCR / "ch_PP-OCRv4_rec_infer.onnx", 38, id="ocr-recognition"),
        pytest.param(OCR / "ch_ppocr_mobile_v2.0_cls_infer.onnx", 53, id="ocr-orientation"),
        pytest.param(VAD / "silero_vad_16k_sequence.onnx", 6, id="vad-sequence"),
    ],
)
def test_network(path: Path, layers: int) -> None:
    found = walked(path)
    for verdicts in (verify_in_situ(found).verdicts, verify_isolated(found).verdicts):
        assert len(verdicts) == layers
        assert {verdict.status for verdict in verdicts} <= HONEST


def test_old_network_with_declared_initializers() -> None:
    """IR version 3: every weight is an input, too."""
    found = walked(Path(str(files("onnx.backend.test") / "data" / "light" / "light_squeezenet.onnx")))
    verdicts = verify_in_situ(found).verdicts
    assert len(verdicts) == 26
    assert {verdict.status for verdict in verdicts} <= HONEST


def speech(rate: int) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    return {
        "input": generator.standard_normal((1, 576 if rate == 16000 else 288)).astype(np.float32),
        "state": np.zeros((2, 1, 128), np.float32),
        "sr": np.array(rate),
    }


@pytest.mark.parametrize("rate", [16000, 8000])
def test_each_branch_of_the_voice_detector(rate: int) -> None:
    """Six convolutions for either sampling rate, in the two branches of one If."""
    found = walked(VAD / "silero_vad.onnx")
    verdicts = verify_in_situ(found, data=speech(rate)).verdicts
    ran = {
        layer.branches[0].arm
        for layer, verdict in zip(found.network.layers, verdicts, strict=True)
        if verdict.status in HONEST
    }
    skipped = [verdict for verdict in verdicts if verdict.status == "not_executed"]
    assert len(ran) == 1
    assert len(skipped) == 6
    assert len(verdicts) == 12
