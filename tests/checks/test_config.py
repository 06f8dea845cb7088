"""Settings in a file: where they are found, which win, and how what cannot be read is refused."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from convaudit.checks.budgets import BUDGETS
from convaudit.checks.config import find_config, load_config, nested_configs
from convaudit.checks.settings import KEYS, make_settings, read_values
from convaudit.errors import UsageError
from tests.checks.test_budgets import some_value
from tests.programs import ROOT

SETTINGS = """
max-params = "5M"
dim = ["batch=1"]

[models."nets/*.onnx"]
max-macs = "600M"

[models."nets/small.onnx"]
max-params = "1M"

[models."package.module:factory"]
forbid-unknown = true
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with two models, the current folder."""
    (tmp_path / "nets").mkdir()
    for name in ("large.onnx", "small.onnx"):
        (tmp_path / "nets" / name).touch()
    (tmp_path / "convaudit.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        pytest.param("max-params", "5M", 5_000_000, id="count"),
        pytest.param("max-macs", 600_000_000, 600_000_000, id="integer"),
        pytest.param("max-size", "20MB", 20_000_000, id="bytes"),
        pytest.param("max-weight-bytes", "1KiB", 1024, id="binary-bytes"),
        pytest.param("min-saving", "40%", Fraction(2, 5), id="percentage"),
        pytest.param("tolerance", "2.5%", Fraction(1, 40), id="tolerance"),
        pytest.param("groups-multiple-of", 8, 8, id="multiple"),
        pytest.param("forbid", ["depthwise"], ("depthwise",), id="kinds"),
        pytest.param("forbid", "depthwise", ("depthwise",), id="one-kind"),
        pytest.param("forbid-unknown", True, True, id="flag"),
        pytest.param("baseline", "b.json", Path("b.json"), id="path"),
        pytest.param("dim", ["N=1", "H=2"], ("N=1", "H=2"), id="texts"),
    ],
)
def test_values_are_read_by_their_type(key: str, value: object, expected: object) -> None:
    assert read_values({key: value}, "here") == {key: expected}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param("max-params", "5X", r"max-params: '5X' .*such as 5000000, 5M", id="unit"),
        pytest.param("max-params", 1.5, r"max-params: '?1\.5'? .*whole number", id="float"),
        pytest.param("max-params", True, r"max-params: 'True' .*5M", id="a-flag-is-no-count"),
        pytest.param("max-params", -5, r"max-params: '-5' .*5M", id="negative"),
        pytest.param("max-params", ["5M"], r"max-params: .*5M", id="list"),
        pytest.param("max-size", "20 miles", r"max-size: .*20MB", id="bytes"),
        pytest.param("min-saving", 0.4, r"min-saving: '0\.4' .*40%", id="share-without-sign"),
        pytest.param("groups-multiple-of", 0, r"groups-multiple-of: 0 is too small", id="zero-lanes"),
        pytest.param("forbid", ["round"], r"forbid: 'round' .*depthwise", id="kind"),
        pytest.param("forbid-unknown", "yes", r"forbid-unknown: 'yes' is neither true nor false", id="flag"),
        pytest.param("baseline", 5, r"baseline: 5 is not a path", id="path"),
        pytest.param("dim", [1], r"dim: 1 is not text", id="texts"),
        pytest.param("max-parms", 5, r"unknown key 'max-parms'; did you mean 'max-params'\?", id="typo"),
        pytest.param("max_macs", 5, r"unknown key 'max_macs'; did you mean 'max-macs'\?", id="underscore"),
        pytest.param("", 5, r"unknown key ''; choose from max-params, ", id="empty-key"),
    ],
)
def test_a_bad_value_is_refused_with_a_good_one(key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=rf"^here: {message}"):
        read_values({key: value}, "here")


@pytest.mark.parametrize(
    ("source", "command_line", "expected"),
    [
        pytest.param("other.onnx", {}, {"max_params": 5_000_000}, id="top"),
        pytest.param("nets/large.onnx", {}, {"max_params": 5_000_000, "max_macs": 600_000_000}, id="glob"),
        pytest.param(
            "nets/small.onnx", {}, {"max_params": 1_000_000, "max_macs": 600_000_000}, id="later-table-wins"
        ),
        pytest.param(
            "nets/small.onnx",
            {"max-params": 7, "max-size": 9},
            {"max_params": 7, "max_macs": 600_000_000, "max_size": 9},
            id="command-line-wins",
        ),
        pytest.param(
            "package.module:factory", {}, {"max_params": 5_000_000, "forbid_unknown": True}, id="no-file"
        ),
        pytest.param(
            "./nets/../nets/large.onnx",
            {},
            {"max_params": 5_000_000, "max_macs": 600_000_000},
            id="the-same-file-written-otherwise",
        ),
    ],
)
def test_precedence(
    project: Path, source: str, command_line: dict[str, Any], expected: dict[str, Any]
) -> None:
    settings = find_config(project).settings(source, command_line)
    assert settings.budgets.given() == expected
    assert settings.dim == ("batch=1",)


def test_a_flag_can_be_taken_back_by_the_command_line(project: Path) -> None:
    settings = find_config(project).settings("package.module:factory", {"forbid-unknown": False})
    assert settings.budgets.given() == {"max_params": 5_000_000}


def test_all_models_that_the_file_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = ["nets/large.onnx", "nets/small.onnx", "package.module:factory"]
    assert find_config(project).sources() == models
    monkeypatch.chdir(project / "nets")
    assert find_config(project / "nets").sources() == ["large.onnx", "small.onnx", models[2]]
    assert find_config(project / "nets").settings("small.onnx", {}).budgets.max_params == 1_000_000


def test_a_glob_that_matches_nothing_is_an_error(project: Path) -> None:
    (project / "convaudit.toml").write_text('[models."nest/*.onnx"]\n')
    with pytest.raises(UsageError, match=r"models: 'nest/\*\.onnx' matches no file"):
        find_config(project).sources()


def test_a_baseline_lies_beside_the_file(project: Path) -> None:
    (project / "convaudit.toml").write_text('baseline = "base.json"\n')
    assert find_config(project / "nets").settings("m.onnx", {}).baseline == Path("base.json")
    assert load_config(project / "convaudit.toml").settings("m", {"baseline": Path("b")}).baseline == Path(
        "b"
    )


def test_pyproject_holds_settings_too_and_only_with_its_table(project: Path) -> None:
    (project / "nets" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert find_config(project / "nets").path == Path("convaudit.toml")
    (project / "nets" / "pyproject.toml").write_text("[tool.convaudit]\nmax-macs = 3\n")
    assert find_config(project / "nets").settings("m", {}).budgets.given() == {"max_macs": 3}
    (project / "pyproject.toml").write_text("[tool.convaudit]\nmax-macs = 4\n")
    assert find_config(project).path == Path("convaudit.toml")


def test_without_any_file_there_are_no_settings(tmp_path: Path) -> None:
    config = find_config(tmp_path)
    assert config.path is None
    assert config.sources() == []
    assert not config.settings("m", {}).budgets.given()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param("convaudit.toml", "max-params = ", r"not TOML", id="syntax"),
        pytest.param("convaudit.toml", b"\xff\xfe", r"cannot be read", id="not-text"),
        pytest.param("convaudit.toml", "models = 5", r"write a table for each glob", id="models"),
        pytest.param("convaudit.toml", "models.x = 5", r"write a table for each glob", id="model"),
        pytest.param(
            "convaudit.toml",
            "[models.x]\nmax-parms=5",
            r"models: 'x': unknown key 'max-parms'",
            id="key-inside",
        ),
        pytest.param(
            "convaudit.toml", "[modles.x]", r"unknown key 'modles'; did you mean 'models'", id="models-typo"
        ),
        pytest.param("pyproject.toml", "[tool.other]", r"has no table \[tool\.convaudit\]", id="no-table"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, name: str, text: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=rf"{name}: .*{message}"):
        load_config(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.toml: cannot be opened: No such file"):
        load_config(tmp_path / "gone.toml")


@pytest.mark.parametrize("pattern", ["", "/abs/*.onnx"])
def test_a_path_that_is_not_relative_is_refused(project: Path, pattern: str) -> None:
    (project / "convaudit.toml").write_text(f'[models."{pattern}"]\n')
    with pytest.raises(UsageError, match="not a path or glob relative"):
        find_config(project).sources()


def test_every_key_makes_a_setting() -> None:
    good = {key: some_value(setting) for key, setting in KEYS.items()}
    settings = make_settings(read_values(good, "here"))
    assert [*settings.budgets.given()] == [key.replace("-", "_") for key in BUDGETS]
    others = [key for key in KEYS if key not in BUDGETS]
    assert {key: getattr(settings, key.replace("-", "_")) for key in others} == {
        key: KEYS[key].read(good[key]) for key in others
    }


def test_the_readme_s_settings_can_be_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    (tmp_path / "convaudit.toml").write_text(block)
    config = load_config(tmp_path / "convaudit.toml")
    assert config.values["tolerance"] == Fraction(1, 50)
    assert config.models["nets/*.onnx"]["max-params"] == 5_000_000


NESTED = {
    "convaudit.toml": 'baseline = "base.json"',
    "pyproject.toml": "[tool.convaudit]\nmax-params = 1",
    "nets/convaudit.toml": 'baseline = "base.json"',
    "nets/old/pyproject.toml": "[project]",
    "nets/old/deep/pyproject.toml": '[tool.convaudit]\nbaseline = "../../../base.json"',
}


@pytest.fixture
def nested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder, with settings in folders of it, and beside it another one's."""
    for name, text in {f"repo/{name}": text for name, text in NESTED.items()}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "convaudit.toml").write_text("max-params = 3")
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path


@pytest.mark.parametrize(
    ("place", "source", "path"),
    [
        pytest.param("repo", "a.onnx", "convaudit.toml", id="project"),
        pytest.param("repo", "nets/a.onnx", "nets/convaudit.toml", id="nearest"),
        pytest.param("repo", "nets/old/a.onnx", "nets/convaudit.toml", id="no-table"),
        pytest.param("repo", "nets/old/deep/a.onnx", "nets/old/deep/pyproject.toml", id="deep"),
        pytest.param("repo", "gone/a.onnx", "convaudit.toml", id="no-such-folder"),
        pytest.param("repo", "../other/a.onnx", "convaudit.toml", id="outside"),
        pytest.param("repo", "package.module:factory", "convaudit.toml", id="code"),
        pytest.param("repo/nets/old", "a.onnx", "../convaudit.toml", id="from-below"),
        pytest.param("repo/nets", "../a.onnx", "convaudit.toml", id="above-the-project"),
        pytest.param(".", "repo/nets/a.onnx", "repo/nets/convaudit.toml", id="from-above"),
        pytest.param(".", "other/a.onnx", "other/convaudit.toml", id="another-project"),
    ],
)
def test_the_settings_nearest_to_a_model_hold(
    nested: Path, monkeypatch: pytest.MonkeyPatch, place: str, source: str, path: str
) -> None:
    monkeypatch.chdir(nested / place)
    (config,) = nested_configs(find_config(Path.cwd()), [source])
    assert config.path == Path(path)


def test_one_baseline_has_one_name_in_all_settings(nested: Path) -> None:
    sources = ["a.onnx", "nets/old/deep/a.onnx"]
    configs = nested_configs(find_config(Path.cwd()), sources)
    pairs = zip(configs, sources, strict=True)
    assert {config.settings(source, {}).baseline for config, source in pairs} == {Path("base.json")}


def test_settings_beside_that_do_not_count_are_known(nested: Path) -> None:
    assert find_config(Path.cwd()).unread == (Path("pyproject.toml"),)
    (nested / "repo" / "pyproject.toml").write_text("damaged =")
    assert find_config(Path.cwd()).unread == ()
