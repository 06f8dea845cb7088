"""Damaged and hostile files: exit code 0 or 2, one line, and no library speaks to the terminal."""

from __future__ import annotations

import random
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper

from tests.cli.conftest import LIGHT_MODELS

MODELS = {name: LIGHT_MODELS / f"light_{name}.onnx" for name in ("squeezenet", "zfnet512")}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", MODELS)
def test_mutated_models_are_audited_or_refused_in_one_line(run, tmp_path, name, seed):
    original = MODELS[name].read_bytes()
    generator = random.Random(f"{name}{seed}")
    path = tmp_path / "mutated.onnx"
    codes = set()
    for _ in range(40):
        path.write_bytes(mutated(original, generator))
        result = run(str(path), "--no-run")
        codes.add(result.exit_code)
        assert result.exit_code in (0, 2), result.stderr
        assert result.stderr.count("\n") == (1 if result.exit_code else 0), result.stderr
        assert result.stderr.isprintable() or result.stderr.rstrip("\n").isprintable()
        assert "internal error" not in result.stderr
    assert codes == {0, 2}


def mutated(data: bytes, generator: random.Random) -> bytes:
    """A few bytes changed; one time in five the end is missing as well."""
    changed = bytearray(data)
    if generator.random() < 0.2:
        changed = changed[: generator.randrange(1, len(changed))]
    for _ in range(generator.choice([1, 1, 2, 8])):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(changed)


def test_the_process_prints_nothing_but_its_one_line(tmp_path):
    """In a process of its own, where what C++ code and logging print is seen too."""
    path = tmp_path / "dangling.onnx"
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "\x1b[2Jnowhere"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    onnx.save(helper.make_model(graph), path)
    result = subprocess.run(
        [sys.executable, "-m", "convaudit", str(path)], capture_output=True, text=True, check=False
    )
    assert result.returncode in (0, 2)
    assert "\x1b" not in result.stdout + result.stderr
    assert result.stderr.count("\n") == (1 if result.returncode else 0), result.stderr
