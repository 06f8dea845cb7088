"""Damaged files: whatever a few bits do to a real model, the answer is an audit or one line, never a crash.

Mutated is a model's skeleton, so that every change hits structure and not one of a million weights.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from convaudit.cli.group import cli
from convaudit.frontends.onnx.loader.onnx_file import load_onnx

LIGHT = Path(str(files("onnx.backend.test") / "data" / "light"))
MODELS = [
    pytest.param(LIGHT / "light_shufflenet.onnx", 250, id="shufflenet"),
    pytest.param(LIGHT / "light_bvlc_alexnet.onnx", 150, id="alexnet"),
    pytest.param(Path(str(files("silero_vad") / "data" / "silero_vad_16k_sequence.onnx")), 50, id="silero"),
]


def mutations(data: bytes, count: int) -> Iterator[bytes]:
    """Flipped bits, overwritten, inserted, deleted and doubled bytes, truncations."""
    for seed in range(count):
        dice = random.Random(seed)
        damaged, place = bytearray(data), dice.randrange(len(data))
        match seed % 6:
            case 0:
                damaged[place] ^= 1 << dice.randrange(8)
            case 1:
                for _ in range(dice.randrange(2, 30)):
                    damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            case 2:
                damaged[place] = dice.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 3:
                damaged[place:place] = dice.randbytes(dice.randrange(1, 9))
            case 4:
                del damaged[place : place + dice.randrange(1, 9)]
            case 5:
                del damaged[place:]
        yield bytes(damaged)


@pytest.mark.parametrize(("model", "count"), MODELS)
def test_damaged_model(model: Path, count: int, tmp_path: Path) -> None:
    path = tmp_path / "damaged.onnx"
    codes: Counter[int] = Counter()
    for damaged in mutations(load_onnx(model).proto.SerializeToString(), count):
        path.write_bytes(damaged)
        result = CliRunner().invoke(cli, [str(path), "--no-run"])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        codes[result.exit_code] += 1
        if result.exit_code == 2:
            assert result.stderr.startswith("error: ")
            assert result.stderr.count("\n") == 1
            assert not result.stdout
    # both happen, so the mutations are neither harmless nor fatal throughout
    assert codes.keys() == {0, 2}


def test_damaged_model_as_a_process(tmp_path: Path) -> None:
    data = (LIGHT / "light_squeezenet.onnx").read_bytes()
    path = tmp_path / "damaged.onnx"
    for damaged in mutations(data, 6):
        path.write_bytes(damaged)
        run = subprocess.run(
            [sys.executable, "-m", "convaudit", path], capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode in (0, 2)
        assert "Traceback" not in run.stderr
