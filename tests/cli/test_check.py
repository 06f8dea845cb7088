"""``convaudit check``: exit codes, precedence, baselines, outputs, and one real change from end to end."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import jsonschema
import junitparser
import onnx
import pytest
from click.testing import Result

from convaudit.reporters.checked import CHECK_SCHEMA_VERSION
from tests.cli.conftest import save_model
from tests.models import MOBILENET_V2_MACS, MOBILENET_V2_PARAMS, mobilenet_v2
from tests.schemas import SARIF, validate

SCHEMA = json.loads((resources.files("convaudit.reporters") / "check.schema.json").read_text())
Run = Callable[..., Result]
PARAMS = 8 * 2 * 9
MACS = PARAMS * 36  # save_model's convolution: 6x6 outputs
DENSE = "features.7.depthwise"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, outside of GitHub Actions."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def mobilenets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MobileNetV2, and with the same net after one depthwise convolution became dense."""
    folder = tmp_path_factory.mktemp("mobilenets")
    mobilenet_v2(folder / "good.onnx")
    mobilenet_v2(folder / "bad.onnx", dense=DENSE)
    return folder


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        pytest.param(["--max-params", str(PARAMS)], 0, f"{PARAMS} parameters, within {PARAMS}", id="within"),
        pytest.param(["--max-params", str(PARAMS - 1)], 1, "1 (0.7%) over the limit of 143", id="over"),
        pytest.param(["--max-macs", "600M", "--min-saving", "50%"], 0, "2 of 2 checks passed", id="two"),
        pytest.param(["--forbid", "grouped", "--forbid", "transposed"], 1, "conv: grouped", id="forbid-two"),
        pytest.param(["--forbid-unknown"], 0, "nothing is unknown", id="flag"),
        pytest.param(["--max-size", "20MB"], 0, "within 20,000,000", id="size"),
        pytest.param(["--groups-multiple-of", "8"], 1, "conv: 2 -> 4 channels a group", id="groups"),
        pytest.param(["--forbid", "grouped", "--forbid", "grouped"], 1, "are grouped\n", id="forbid-twice"),
        pytest.param(["--max-macs", "1M"], 0, "1 model checked: all passed", id="all-passed"),
    ],
)
def test_exit_codes(run: Run, model: str, options: list[str], code: int, said: str) -> None:
    result = run("check", model, *options)
    assert (result.exit_code, result.stderr) == (code, "")
    assert said in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["--max-params", "5X"], "Invalid value for '--max-params': '5X'", id="malformed"),
        pytest.param(["--min-saving", "0.4"], "such as 40%", id="good-one-shown"),
        pytest.param(["--forbid", "round"], "'round' is not a kind of convolution", id="kind"),
        pytest.param(
            ["--forbid", "dens"], "did you mean 'dense'? choose from dense, pointwise", id="near-kind"
        ),
        pytest.param([], "no budget holds for it", id="nothing-to-check"),
        pytest.param(["--no-forbid-unknown"], "no budget holds for it", id="nothing-left-to-check"),
        pytest.param(
            ["--baseline", "gone.json"], "does not exist; make it with --write-baseline", id="baseline"
        ),
        pytest.param(["--max-macs", "1", "--write-baseline"], "needs a --baseline FILE", id="nowhere"),
        pytest.param(["", "--max-macs", "1"], "the model's name is empty; give a file", id="empty"),
        pytest.param(["--write-baseline"], "needs a --baseline FILE", id="nowhere-alone"),
        pytest.param(["--min-saving", "101%"], "'101%' is more than all; write at most 100%", id="share"),
        pytest.param(
            ["--max-macs", "1", "--config", "gone.toml"], "gone.toml: cannot be opened", id="config"
        ),
        pytest.param(["--max-macs", "1", "--dim", "M=1"], "M", id="no-such-dimension"),
        pytest.param(["--verify", "--verify-isolated"], "exclude each other", id="two-ways-to-verify"),
        pytest.param(["--max-macs", "1", "--junit", "no/such/folder.xml"], "cannot write", id="output"),
        pytest.param(["also_gone.onnx", "--max-macs", "9M"], "also_gone.onnx", id="missing-model"),
    ],
)
def test_trouble(run: Run, model: str, arguments: list[str], said: str) -> None:
    result = run("check", model, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_no_model_at_all(run: Run) -> None:
    result = run("check", "--max-params", "5M")
    assert result.exit_code == 2
    assert "no MODEL is given" in result.stderr


def test_one_models_failure_does_not_hide_the_others(run: Run, model: str) -> None:
    result = run("check", "gone.onnx", model, "--max-params", "1")
    assert result.exit_code == 2
    assert "gone.onnx: could not be audited" in result.stdout
    assert "143 (14300.0%) over the limit of 1" in result.stdout


def test_every_failure_names_its_model(run: Run, model: str, elsewhere: Path) -> None:
    other = str(save_model(elsewhere / "other.onnx"))
    result = run("check", model, other, "--max-params", "1", "--dim", "M=1")
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [model, other]


def test_a_symbolic_total_names_the_dimension_to_fix(run: Run, elsewhere: Path) -> None:
    path = str(save_model(elsewhere / "dynamic.onnx", batch="N"))
    result = run("check", path, "--max-macs", "600M")
    assert result.exit_code == 1
    assert "MACs depend on N; fix the size, for instance by --dim N=1" in result.stdout
    assert run("check", path, "--max-macs", "600M", "--dim", "N=1").exit_code == 0


def test_half_a_model_has_no_size(run: Run, model: str, elsewhere: Path) -> None:
    onnx.save(
        onnx.load(model), "external.onnx", save_as_external_data=True, location="weights", size_threshold=0
    )
    size = (elsewhere / "external.onnx").stat().st_size + (elsewhere / "weights").stat().st_size
    assert run("check", "external.onnx", "--max-size", str(size)).exit_code == 0
    assert run("check", "external.onnx", "--max-size", str(size - 1)).exit_code == 1
    (elsewhere / "weights").unlink()
    assert run("check", "external.onnx", "--max-params", "1k").exit_code == 0
    result = run("check", "external.onnx", "--max-size", "1GB")
    assert result.exit_code == 1
    assert "its external data is missing (limit 1,000,000,000)" in result.stdout


def test_a_torch_file_has_a_size(run: Run, elsewhere: Path) -> None:
    torch = pytest.importorskip("torch")
    program = torch.export.export(torch.nn.Conv2d(4, 8, 3), (torch.zeros(1, 4, 8, 8),))
    torch.export.save(program, "net.pt2")
    size = (elsewhere / "net.pt2").stat().st_size
    assert run("check", "net.pt2", "--max-size", str(size)).exit_code == 0
    assert run("check", "net.pt2", "--max-size", str(size - 1)).exit_code == 1


CONFIG = f"""
[tool.convaudit]
max-params = {PARAMS}
dim = ["N=2"]

[tool.convaudit.models."nets/*.onnx"]
max-macs = {2 * MACS}
"""


@pytest.fixture
def project(elsewhere: Path) -> Path:
    """A project whose pyproject.toml names a model with an open dimension."""
    (elsewhere / "nets").mkdir()
    save_model(elsewhere / "nets" / "net.onnx", batch="N")
    (elsewhere / "pyproject.toml").write_text(CONFIG)
    return elsewhere


def test_check_alone_checks_all_that_the_file_names(run: Run, project: Path) -> None:
    result = run("check")
    assert result.exit_code == 0
    assert "nets/net.onnx: 2 of 2 checks passed" in result.stdout
    assert f"{2 * MACS:,} MACs, within {2 * MACS:,}" in result.stdout


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param(["--max-params", "1"], 1, id="a-budget"),
        pytest.param(["--dim", "N=3"], 1, id="a-dimension"),
        pytest.param(["--dim", "N=1"], 0, id="a-smaller-dimension"),
        pytest.param(["-i", "3x4x8x8"], 1, id="an-input"),
    ],
)
def test_the_command_line_beats_the_file(run: Run, project: Path, options: list[str], code: int) -> None:
    assert run("check", *options).exit_code == code


def test_a_file_named_by_option(run: Run, project: Path, model: str) -> None:
    (project / "strict.toml").write_text("max-params = 1")
    assert run("check", model, "--config", "strict.toml").exit_code == 1
    (project / "strict.toml").write_text("max-parms = 1")
    result = run("check", model, "--config", "strict.toml")
    assert result.exit_code == 2
    assert "unknown key 'max-parms'; did you mean 'max-params'?" in result.stderr


@pytest.mark.parametrize("option", ["--require-verified", "--verify", "--verify-isolated"])
def test_verification_is_required_by_any_of_its_options(run: Run, model: str, option: str) -> None:
    result = run("check", model, option)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "require-verified  1 of 1 convolutions are verified" in result.stdout


IDLE = [
    pytest.param(["--seed", "1"], "--seed says how to run a model; it needs --verify", id="seed"),
    pytest.param(["--opt-level", "basic"], "--opt-level says how to run a model", id="optimisation"),
    pytest.param(["--provider", "cpu"], "--provider says how to run a model", id="provider"),
    pytest.param(["--threads", "1"], "--threads says how to run a model", id="threads"),
    pytest.param(["--tolerance", "2%"], "--tolerance is for comparing with a --baseline", id="tolerance"),
    pytest.param(
        ["--baseline", "b.json", "--write-baseline", "--tolerance", "2%"],
        "--tolerance is for comparing",
        id="tolerance-of-a-new-baseline",
    ),
]


@pytest.mark.parametrize(("options", "said"), IDLE)
def test_options_that_would_do_nothing_are_refused(
    run: Run, model: str, options: list[str], said: str
) -> None:
    result = run("check", model, "--max-macs", "1G", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_seed_is_for_the_models_that_are_verified(run: Run, elsewhere: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        save_model(elsewhere / name)
    (elsewhere / "convaudit.toml").write_text(
        'max-macs = "1G"\n[models."a.onnx"]\nrequire-verified = true\n[models."b.onnx"]\n'
    )
    result = run("check", "--seed", "7")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 of 1 convolutions are verified" in result.stdout


def test_a_vacuous_verification_is_none(run: Run, mobilenets: Path) -> None:
    """These weights are all zero, so that any computation would agree."""
    result = run("check", str(mobilenets / "good.onnx"), "--verify-isolated")
    assert result.exit_code == 1
    assert "52 of 52 convolutions are not verified" in result.stdout
    assert "features.18: vacuous: " in result.stdout


def test_baseline_written_read_and_regressed(run: Run, elsewhere: Path) -> None:
    save_model(elsewhere / "net.onnx")
    written = run("check", "net.onnx", "--baseline", "base.json", "--write-baseline")
    assert (written.exit_code, written.stderr) == (0, "wrote base.json\n")
    text = (elsewhere / "base.json").read_text()
    assert run("check", "net.onnx", "--baseline", "base.json").exit_code == 0
    save_model(elsewhere / "net.onnx", groups=1)
    result = run("check", "net.onnx", "--baseline", "base.json", "--tolerance", "2%")
    assert result.exit_code == 1
    assert f"{MACS:,} -> {2 * MACS:,} MACs (+100.0%), more than the tolerance of 2.0%" in result.stdout
    assert f"conv: +{MACS:,}: groups 2 -> 1" in result.stdout
    assert run("check", "net.onnx", "--baseline", "base.json", "--tolerance", "100%").exit_code == 0
    save_model(elsewhere / "net.onnx")
    run("check", "net.onnx", "--baseline", "base.json", "--write-baseline")
    assert (elsewhere / "base.json").read_text() == text


def test_a_baseline_keeps_models_that_are_not_checked(run: Run, elsewhere: Path) -> None:
    for name in ("b.onnx", "a.onnx"):
        save_model(elsewhere / name)
        assert run("check", name, "--baseline", "base.json", "--write-baseline").exit_code == 0
    assert list(json.loads((elsewhere / "base.json").read_text())["models"]) == ["a.onnx", "b.onnx"]
    save_model(elsewhere / "c.onnx")
    for options in ([], ["a.onnx"]):
        result = run("check", "c.onnx", *options, "--baseline", "base.json")
        assert result.exit_code == 0
        said = "skipped  baseline  new: 'c.onnx' is not in base.json; add it with --write-baseline"
        assert said in result.stdout
        assert "c.onnx: nothing checked, 1 skipped" in result.stdout
        names = "a.onnx, b.onnx" if not options else "b.onnx"
        were = "2 of its 2 models were" if not options else "1 of its 2 models was"
        assert result.stderr == f"note: base.json: {were} not checked: {names}\n"
    result = run("check", "c.onnx", "--baseline", "base.json", "--require-baseline")
    assert result.exit_code == 1
    assert "FAILED   require-baseline  new: 'c.onnx' is not in base.json" in result.stdout


def test_models_of_a_baseline_that_are_gone_are_told_and_dropped(run: Run, elsewhere: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        save_model(elsewhere / name)
    run("check", "a.onnx", "b.onnx", "--baseline", "base.json", "--write-baseline")
    text = (elsewhere / "base.json").read_text()
    names = ["package.module:factory", "<stdin>", "x" * 300]
    others = "".join(f'"{name}": {_first_model(text)},' for name in names)
    (elsewhere / "base.json").write_text(text.replace('"models": {', '"models": {' + others))
    (elsewhere / "b.onnx").unlink()
    result = run("check", "a.onnx", "--baseline", "base.json")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "note: base.json: 2 of its 5 models were not checked: package.module:factory, <stdin>",
        f"note: base.json: {names[2]}, b.onnx were not found; --write-baseline drops that",
    ]
    written = run("check", "a.onnx", "--baseline", "base.json", "--write-baseline")
    assert written.stderr.endswith(f": dropped {names[2]}, b.onnx, which were not found\n")
    kept = json.loads((elsewhere / "base.json").read_text())["models"]
    assert list(kept) == ["<stdin>", "a.onnx", "package.module:factory"]


def _first_model(text: str) -> str:
    return json.dumps(next(iter(json.loads(text)["models"].values())))


def test_a_baseline_holds_from_any_folder(run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "nets").mkdir()
    save_model(elsewhere / "nets" / "net.onnx")
    run("check", "nets/net.onnx", "--baseline", "base.json", "--write-baseline")
    monkeypatch.chdir(elsewhere / "nets")
    assert run("check", "net.onnx", "--baseline", "../base.json").exit_code == 0


def test_nothing_is_written_when_a_model_could_not_be_audited(run: Run, model: str, elsewhere: Path) -> None:
    assert run("check", model, "gone.onnx", "--baseline", "base.json", "--write-baseline").exit_code == 2
    assert not (elsewhere / "base.json").exists()


def test_a_damaged_baseline_is_refused_and_not_overwritten(run: Run, model: str, elsewhere: Path) -> None:
    (elsewhere / "base.json").write_text("{")
    save_model(elsewhere / "a.onnx")
    (elsewhere / "c.toml").write_text('baseline = "base.json"\nmodels."a.onnx".baseline = "a.json"')
    run("check", "a.onnx", model, "--config", "c.toml", "--write-baseline")
    assert not (elsewhere / "a.json").exists()
    for options in ([], ["--write-baseline"]):
        result = run("check", model, "--baseline", "base.json", *options)
        assert result.exit_code == 2
        assert "base.json: not a convaudit baseline" in result.stderr
        assert "remove it, and make a new one with --write-baseline" in result.stderr
    assert (elsewhere / "base.json").read_text() == "{"


def test_a_symbolic_model_does_not_keep_the_others_from_their_baseline(run: Run, elsewhere: Path) -> None:
    save_model(elsewhere / "dynamic.onnx", batch="N")
    save_model(elsewhere / "fixed.onnx")
    models = ["dynamic.onnx", "fixed.onnx", "--baseline", "base.json"]
    result = run("check", *models, "--write-baseline")
    assert (result.exit_code, result.stderr) == (0, "wrote base.json\n")
    assert re.search("skipped  baseline-macs  +not written: MACs depend on N; .*--dim N=1\n", result.stdout)
    totals = {
        name: model["totals"]["macs"]
        for name, model in json.loads((elsewhere / "base.json").read_text())["models"].items()
    }
    assert totals == {"dynamic.onnx": None, "fixed.onnx": MACS}
    again = run("check", *models)
    assert again.exit_code == 0
    assert "dynamic.onnx: 3 of 5 checks passed, 2 skipped" in again.stdout
    save_model(elsewhere / "dynamic.onnx", batch="N", groups=1)
    assert run("check", *models).exit_code == 1


def test_the_settings_nearest_to_each_model_hold_and_are_said(
    run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "nets").mkdir()
    for name in ("net.onnx", "nets/net.onnx"):
        save_model(elsewhere / name)
    (elsewhere / "convaudit.toml").write_text("max-params = 1")
    (elsewhere / "pyproject.toml").write_text("[tool.convaudit]\nmax-macs = 1")
    (elsewhere / "nets" / "convaudit.toml").write_text('max-params = "5M"')
    result = run("check", "net.onnx", "nets/net.onnx", "-f", "json")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "settings: convaudit.toml for net.onnx",
        "settings: pyproject.toml is not read: convaudit.toml beside it counts",
        "settings: nets/convaudit.toml for nets/net.onnx",
    ]
    found = {one["config"]: one["status"] for one in json.loads(result.stdout)}
    assert found == {"convaudit.toml": "failed", "nets/convaudit.toml": "passed"}
    pinned = run("check", "nets/net.onnx", "--config", "convaudit.toml")
    assert (pinned.exit_code, pinned.stderr) == (1, "")
    monkeypatch.chdir(elsewhere / "nets")
    (elsewhere / "nets" / "convaudit.toml").unlink()
    above = run("check", "net.onnx")
    assert above.stderr.startswith("settings: ../convaudit.toml for net.onnx\n")


def test_a_baseline_is_written_of_the_models_that_have_one(run: Run, elsewhere: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        save_model(elsewhere / name)
    (elsewhere / "convaudit.toml").write_text(
        '[models."a.onnx"]\nbaseline = "base.json"\n[models."b.onnx"]\nmax-params = 1'
    )
    result = run("check", "--write-baseline")
    assert (result.exit_code, result.stderr) == (1, "wrote base.json\n")
    assert list(json.loads((elsewhere / "base.json").read_text())["models"]) == ["a.onnx"]


@pytest.mark.parametrize("options", [["-f", "json"], ["-o", "out.json"], ["--json", "out.json"]])
def test_json_in_every_way(run: Run, model: str, options: list[str]) -> None:
    limits = ["--max-params", "1", "--max-macs", "1M", "--min-saving", "40%", "--forbid", "grouped"]
    result = run("check", model, *limits, "--max-layer-macs", "9", "--github", *options)
    assert result.exit_code == 1
    text = result.stdout if options[0] == "-f" else Path("out.json").read_text()
    commands = result.stderr if options[0] == "-f" else result.stdout
    assert re.search("^::error title=.*max-params: 144", commands, re.M)
    (document,) = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMA).validate([document])
    assert (document["status"], document["source"], document["config"]) == ("failed", model, None)
    found = {one["rule"]: (one["status"], one["value"], one["limit"]) for one in document["outcomes"]}
    assert found == {
        "max-params": ("failed", PARAMS, 1),
        "max-macs": ("passed", MACS, 1_000_000),
        "max-layer-macs": ("failed", MACS, 9),
        "min-saving": ("passed", 0.5, 0.4),
        "forbid": ("failed", None, ["grouped"]),
    }
    assert document["outcomes"][0]["contributors"] == [
        {"name": "conv", "detail": "144 (100.0%)", "is_layer": True}
    ]


def test_json_of_what_cannot_be_audited_and_of_formulas(run: Run, elsewhere: Path) -> None:
    save_model(elsewhere / "dynamic.onnx", batch="N")
    result = run("check", "dynamic.onnx", "gone.onnx", "--max-macs", "1M", "-f", "json")
    assert result.exit_code == 2
    document = json.loads(result.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert [one["status"] for one in document] == ["failed", "error"]
    (outcome,) = document[0]["outcomes"]
    assert (outcome["value"], outcome["formula"]) == (None, {"value": f"{MACS}*N"})
    assert "gone.onnx" in document[1]["error"]


def test_the_schema_of_json_is_valid_and_can_fail(run: Run, model: str) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == f"urn:convaudit:schema:check:{CHECK_SCHEMA_VERSION}"
    document = json.loads(run("check", model, "--max-params", "1", "-f", "json").stdout)
    document[0]["outcomes"][0]["status"] = "maybe"
    with pytest.raises(jsonschema.ValidationError, match="maybe"):
        validator.validate(document)


@pytest.mark.parametrize("form", ["markdown", "junit", "sarif", "github"])
def test_every_format_goes_to_standard_output(run: Run, model: str, form: str) -> None:
    result = run("check", model, "--max-params", "1", "-f", form, "--github")
    assert result.stdout == run("check", model, "--max-params", "1", "-f", form).stdout or form == "junit"
    assert ("::error" in result.stderr) == (form != "github")


def test_a_summary_that_cannot_be_written(run: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "no/such/folder.md")
    result = run("check", model, "--max-params", "5M", "--github")
    assert result.exit_code == 2
    assert "cannot write GITHUB_STEP_SUMMARY" in result.stderr


def test_inside_github_actions(
    run: Run, model: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = elsewhere / "summary.md"
    summary.write_text("what an earlier step wrote\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = run("check", model, "--max-params", "1")
    assert f"::error title={model}%3A convaudit%3A 1 of 1 checks failed::max-params: 144" in result.stdout
    assert summary.read_text().startswith("what an earlier step wrote\n<!-- convaudit check -->\n")
    assert "| ❌ | `max-params` |" in summary.read_text()
    assert "::error" not in run("check", model, "--max-params", "1", "--no-github").stdout


def test_outside_of_github_actions_nothing_is_annotated(run: Run, model: str) -> None:
    assert "::error" not in run("check", model, "--max-params", "1").stdout
    assert "::error" in run("check", model, "--max-params", "1", "--github").stdout


BUDGETS = ["--max-params", "3.6M", "--max-macs", "310M", "--max-size", "20MB", "--baseline", "base.json"]


def test_a_depthwise_convolution_that_becomes_dense(run: Run, mobilenets: Path, elsewhere: Path) -> None:
    """The scenario of the whole tool: found by the check, named in the diff, shown in every format."""
    shutil.copy(mobilenets / "good.onnx", "net.onnx")
    assert run("check", "net.onnx", "--baseline", "base.json", "--write-baseline").exit_code == 0
    within = run("check", "net.onnx", *BUDGETS)
    assert within.exit_code == 0
    assert f"{MOBILENET_V2_PARAMS:,} parameters, within 3,600,000" in within.stdout
    assert f"{MOBILENET_V2_MACS:,} MACs, within 310,000,000" in within.stdout

    shutil.copy(mobilenets / "bad.onnx", "net.onnx")
    formats = ["--junit", "out.xml", "--sarif", "out.sarif", "--markdown", "out.md"]
    over = run("check", "net.onnx", *BUDGETS, *formats)
    assert over.exit_code == 1
    failed = [
        "max-params",
        "max-macs",
        "baseline-params",
        "baseline-macs",
        "baseline-size",
        "baseline-weight-bytes",
    ]
    assert [line.split()[1] for line in over.stdout.splitlines() if "FAILED" in line] == failed

    (suite,) = junitparser.JUnitXml.fromfile("out.xml")
    assert [case.name for case in suite if case.is_failure] == failed
    assert all(DENSE in case.result[0].text for case in suite if case.is_failure)

    sarif = json.loads(Path("out.sarif").read_text())
    validate(sarif, SARIF)
    results = sarif["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == failed
    named = [place["fullyQualifiedName"] for r in results for place in r["locations"][0]["logicalLocations"]]
    assert named.count(DENSE) == len(failed)

    text = Path("out.md").read_text()
    markdown = re.findall(r"^\| ❌ \| `(?:max|baseline)-.*$", text, re.M)
    assert len(markdown) == len(failed)
    assert all(DENSE in line for line in markdown)

    difference = run("diff", str(mobilenets / "good.onnx"), "net.onnx")
    assert difference.exit_code == 1
    assert f"~ {DENSE}: groups 192 -> 1, params 1,920 -> 331,968" in difference.stdout


def test_the_last_line_tells_of_checks_that_were_skipped(run: Run) -> None:
    custom = onnx.helper.make_node("Custom", ["x"], ["y"], domain="mine")
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([custom], "g", values[:1], values[1:])
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("mine", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets), "opaque.onnx")
    written = run("check", "opaque.onnx", "--baseline", "base.json", "--write-baseline")
    assert written.stdout.startswith("opaque.onnx: nothing checked, 3 skipped\n")
    result = run("check", "opaque.onnx", "--baseline", "base.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("1 model checked: nothing failed, 3 checks skipped\n")
