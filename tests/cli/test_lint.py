"""``convaudit lint``: which rules, which exit code, which file."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import Result
from onnx import helper, numpy_helper

import convaudit
from convaudit.errors import LoadError
from convaudit.units import human
from tests.cli.conftest import save_model
from tests.programs import ROOT

Run = Callable[..., Result]


def save_idle(path: Path, **changes: np.ndarray) -> Path:
    """A chain of two 1x1 convolutions; of the first one's 8 filters two are all zero."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((8, 4, 1, 1)).astype(np.float32)
    first[2:4] = 0
    weights = {"w1": first, "w2": rng.standard_normal((4, 8, 1, 1)).astype(np.float32), **changes}
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1"], ["y"], "first"),
            helper.make_node("Conv", ["y", "w2"], ["z"], "second"),
        ],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("z", 1, None)],
        [numpy_helper.from_array(weight, name) for name, weight in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    save_idle(tmp_path / "idle.onnx")
    return "idle.onnx"


def rules_found(result: Result) -> list[str]:
    return [found["rule"] for model in json.loads(result.stdout) for found in model["findings"]]


def test_a_finding_is_exit_code_1(run: Run, idle: str) -> None:
    found = run("lint", idle)
    assert (found.exit_code, found.stderr) == (1, "")
    assert "CA101 constant-filter" in found.stdout
    assert run("lint", idle, "--exit-zero").exit_code == 0


def test_a_fix_says_what_both_files_hold(run: Run, idle: str) -> None:
    save_idle(Path(idle), b1=np.ones(8, np.float32))
    model = onnx.load(idle)
    model.graph.node[0].input.append("b1")
    onnx.save(model, idle)
    found = run("lint", idle, "--fix", "-o", "s.onnx")
    assert found.exit_code == 0, found.output
    before, after = (convaudit.audit(path).totals for path in (idle, "s.onnx"))
    assert (before.params, after.params) == (72, 58)
    told = " ".join(found.stdout.split())
    assert f"conv params {before.params} -> {after.params} (-19.4%)" in told
    assert f"MACs {human(before.macs)} -> {human(after.macs)} (-25.0%)" in told
    assert "1 finding taken out: 1 CA101" in told
    assert "its convolutions: 2 " in told
    assert found.stderr.count("note: second has a bias now, 4 elements") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["idle.onnx", "s.onnx"]
    assert run("lint", "s.onnx").exit_code == 0


@pytest.mark.parametrize("given", [["--select", "CA302"], ["--ignore", "CA"[:2] + "1,ca2,CA3"]])
def test_what_is_not_looked_for_is_not_found(run: Run, idle: str, given: list[str]) -> None:
    given = given if "--select" in given else ["--select", "CA1,CA3", "--ignore", "CA1"]
    result = run("lint", idle, *given)
    assert result.exit_code == 0
    assert "nothing found by" in result.stdout


@pytest.mark.parametrize("words", ["CA101", "ca101", "CA1", "CA", "constant-filter", "CA302, CA101"], ids=str)
def test_words_that_select(run: Run, idle: str, words: str) -> None:
    assert "CA101" in rules_found(run("lint", idle, "-f", "json", "--select", words))


def test_select_is_repeatable(run: Run, idle: str) -> None:
    assert "CA101" in rules_found(
        run("lint", idle, "-f", "json", "--select", "CA302", "--select", "constant-filter")
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(["--select", "CA111"], "'CA111' is not a rule; did you mean 'CA101'?", id="code"),
        pytest.param(["--ignore", "constant-filters"], "did you mean 'constant-filter'?", id="name"),
        pytest.param(["--select", "C"], "prefixes such as CA2", id="letter"),
        pytest.param(["--select", "CA1", "--ignore", "CA"], "nothing would be looked for", id="empty"),
        pytest.param(["--select", "CA401"], "give --time", id="untimed"),
        pytest.param(["--fix"], "--fix needs --output", id="in-place"),
        pytest.param(["--fix", "-o", "-"], "--fix needs --output", id="stdout"),
        pytest.param(["--fix", "-o", "x.onnx", "idle.onnx"], "give one MODEL", id="two"),
        pytest.param(["--within-rounding"], "--within-rounding is for --fix", id="no-fix"),
        pytest.param(["--unverified"], "--unverified is for --fix", id="no-fix-2"),
        pytest.param(["--seed", "1"], "it needs --fix, --time or --data", id="idle"),
        pytest.param(["--time-budget", "1s"], "how long --time may take", id="budget"),
        pytest.param(["-o", "idle.onnx"], "is a file that is read", id="over"),
        pytest.param(["-o", "x.log"], "", id="suffix"),
        pytest.param(["-o", "x.onnx"], "no format is named .onnx; name the file .txt", id="network"),
        pytest.param(["-o", "x.xml"], "named as junit, which is not written here", id="junit"),
    ],
)
def test_what_is_refused(run: Run, idle: str, given: list[str], message: str) -> None:
    result = run("lint", idle, *given)
    if not message:
        assert result.exit_code == 1
        return
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("x.onnx").exists()


@pytest.mark.parametrize(
    ("suffix", "start"), [("json", "[\n"), ("sarif", "{\n"), ("csv", "source,rule"), ("md", "## convaudit")]
)
def test_the_suffix_chooses_the_format(run: Run, idle: str, suffix: str, start: str) -> None:
    assert run("lint", idle, "-o", f"found.{suffix}").exit_code == 1
    assert Path(f"found.{suffix}").read_text().startswith(start)


def test_codes_have_the_colour_of_their_severity(run: Run, idle: str) -> None:
    text = run("lint", idle, color=True).stdout
    assert "  \x1b[33mCA101\x1b[0m constant-filter" in text
    assert "\x1b[1mremovable: " in text
    assert "\x1b" not in run("lint", idle, "-f", "markdown", color=True).stdout


def test_one_failure_does_not_hide_the_others(run: Run, idle: str) -> None:
    Path("broken.onnx").write_bytes(b"nonsense")
    result = run("lint", "broken.onnx", idle, "missing.onnx")
    assert result.exit_code == 2
    assert "idle.onnx (onnx): " in result.stdout
    assert result.stderr.count("error: ") == 2
    models = json.loads(run("lint", "broken.onnx", idle, "-f", "json").stdout)
    assert [model["error"] is None for model in models] == [False, True]


def test_without_a_convolution_nothing_was_looked_at(run: Run, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 4])],
        [helper.make_tensor_value_info("y", 1, [1, 4])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    result = run("lint", str(tmp_path / "m.onnx"))
    assert result.exit_code == 0
    assert "it has no convolution, so nothing was looked at" in result.stderr


def test_without_weights_nothing_is_proven(run: Run, tmp_path: Path) -> None:
    path = save_model(tmp_path / "m.onnx")
    model = onnx.load(path)
    weight = model.graph.initializer.pop()
    model.graph.input.append(helper.make_tensor_value_info("weight", 1, list(weight.dims)))
    onnx.save(model, path)
    result = run("lint", str(path))
    assert result.exit_code == 2
    assert "not one convolution has weights that could be looked at" in result.stderr
    assert "conv: its weight is computed at run time" in result.stderr
    (model,) = json.loads(run("lint", str(path), "-f", "json").stdout)
    assert "not one convolution" in model["error"]
    with pytest.raises(LoadError, match="not one convolution has weights that could be looked at"):
        convaudit.lint(path)


@pytest.mark.parametrize(
    ("extra", "note"),
    [
        pytest.param("Magic", "not followed, so taken to read everything: 1 custom.Magic", id="unknown-op"),
        pytest.param("Magic", "convolutions may run in it, so all sums are unknown", id="unseen"),
    ],
)
def test_notes_say_what_was_not_looked_at(run: Run, tmp_path: Path, extra: str, note: str) -> None:
    assert note in run("lint", str(save_model(tmp_path / "m.onnx", extra=extra))).stderr


@pytest.mark.parametrize(("limit", "code"), [("50%", 0), ("1%", 1)])
def test_check_holds_the_share(run: Run, idle: str, limit: str, code: int) -> None:
    result = run("check", idle, "--max-removable", limit)
    assert result.exit_code == code
    assert "of 64 convolution parameters do nothing" in result.stdout


@pytest.mark.parametrize(
    ("file", "given", "found"),
    [
        pytest.param('ignore = ["CA1", "CA3"]', [], False, id="ignore"),
        pytest.param('select = "CA302"', [], False, id="select"),
        pytest.param('select = ["CA302"]', ["--select", "CA101"], True, id="command-line-first"),
        pytest.param('ignore = ["CA101"]', ["--select", "CA101,CA302"], False, id="both"),
    ],
)
def test_a_file_names_rules(run: Run, idle: str, file: str, given: list[str], found: bool) -> None:
    Path("convaudit.toml").write_text(f"[lint]\n{file}\n")
    assert ("CA101" in rules_found(run("lint", idle, "-f", "json", *given))) == found


@pytest.mark.parametrize(
    ("file", "message"),
    [
        pytest.param("[lint]\nignore = ['CA111']", "convaudit.toml: lint: ignore: 'CA111' is not a rule; did "
                     "you mean 'CA101'?", id="rule"),
        pytest.param("[lint]\nignored = ['CA101']", "unknown key 'ignored'; did you mean 'ignore'", id="key"),
        pytest.param("[lint]\nignore = 3", "lint: ignore: 3 is not text", id="type"),
        pytest.param("lint = 3", "lint: write a table", id="table"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(run: Run, idle: str, file: str, message: str) -> None:
    Path("convaudit.toml").write_text(f"{file}\n")
    result = run("lint", idle)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr


def test_a_file_holds_the_share(run: Run, idle: str) -> None:
    Path("convaudit.toml").write_text('models."*.onnx".max-removable = "1%"\n')
    assert run("check").exit_code == 1


def test_the_readme_shows_what_is_found(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = re.findall(r"(?s)## What does nothing\n.*?```text\n(.*?)```", (ROOT / "README.md").read_text())
    spec = importlib.util.find_spec("silero_vad")
    assert spec is not None, "the extra 'test' installs silero-vad"
    (folder,) = spec.submodule_search_locations or ()
    model = Path(folder, "data", "silero_vad_16k_sequence.onnx")
    shutil.copy(model, tmp_path / "vad.onnx")
    monkeypatch.chdir(tmp_path)
    found = run("lint", "vad.onnx").stdout
    for part in shown.split("\n\n"):
        assert part.strip("\n") in found
