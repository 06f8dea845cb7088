"""examples/ci as its readers use it: its commands, the action, the GitLab job, the pre-commit hook."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import programs
from tests.programs import ROOT, shell
from tests.schemas import GITHUB_ACTION, GITHUB_WORKFLOW, GITLAB_CI, validate

EXAMPLE = ROOT / "examples" / "ci"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example, to work in."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "project"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return programs.environment(tmp_path)


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def test_the_readme_shows_the_files_as_they_are() -> None:
    assert blocks("toml") == [(EXAMPLE / "convaudit.toml").read_text(encoding="utf-8")]


def test_the_model_and_the_baseline_are_what_the_script_and_the_command_write(
    project: Path, environment: dict[str, str]
) -> None:
    run = shell("python make_nets.py && convaudit check --write-baseline", project, environment)
    assert (run.returncode, run.stderr) == (0, "wrote convaudit-baseline.json\n")
    for name in ("nets/block.onnx", "convaudit-baseline.json"):
        assert (project / name).read_bytes() == (EXAMPLE / name).read_bytes()


def test_the_python_block_passes_and_fails_as_a_test(project: Path, environment: dict[str, str]) -> None:
    (project / "test_block.py").write_text(*blocks("python"))
    quick = {**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    assert shell("python -m pytest -q test_block.py", project, quick).returncode == 0
    failed = shell("python make_nets.py --dense; python -m pytest -q test_block.py", project, quick)
    assert failed.returncode == 1
    assert "depthwise: 20,736 (95.1%)" in failed.stdout


def action() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLE / "action.yml").read_text(encoding="utf-8"))
    return loaded


def test_the_action_and_the_workflow_keep_githubs_schemas() -> None:
    validate(action(), GITHUB_ACTION)
    # YAML 1.1 reads the key "on" as true; GitHub does not
    workflow = {
        "on" if key is True else key: value for key, value in yaml.safe_load(blocks("yaml")[0]).items()
    }
    validate(workflow, GITHUB_WORKFLOW)


@pytest.mark.parametrize(
    ("change", "code"), [("", 0), ("python make_nets.py --dense", 1)], ids=["good", "bad"]
)
def test_the_actions_steps_run(
    project: Path, environment: dict[str, str], tmp_path: Path, change: str, code: int
) -> None:
    """Every ``run`` step, as a runner would run it with the inputs' defaults."""
    shell(change, project, environment)
    summary = tmp_path / "summary.md"
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    defaults = {f"${{{{ inputs.{name} }}}}": given["default"] for name, given in action()["inputs"].items()}
    codes = []
    for step in action()["runs"]["steps"]:
        if "run" in step:
            inputs = {name: defaults[value] for name, value in step["env"].items()}
            run = shell(step["run"], project, {**environment, **github, **inputs})
            codes.append(run.returncode)
    assert codes == [0, code]
    assert (tmp_path / "skipped.log").read_text() == "-m pip install --quiet convaudit\n"
    assert ("checks failed::max-params: 21,800 parameters" in run.stdout) == bool(code)
    assert summary.read_text() == (project / "convaudit.md").read_text()
    assert (project / "convaudit.xml").exists()
    assert (project / "convaudit.sarif").exists()


def test_the_gitlab_job_keeps_its_schema_and_runs(project: Path, environment: dict[str, str]) -> None:
    pipeline = yaml.safe_load((EXAMPLE / "gitlab-ci.yml").read_text(encoding="utf-8"))
    validate(pipeline, GITLAB_CI)
    job = pipeline["convaudit"]
    run = shell("\n".join(job["script"]), project, environment)
    assert (run.returncode, run.stderr) == (0, "")
    assert (project / job["artifacts"]["reports"]["junit"]).exists()
    assert all((project / path).exists() for path in job["artifacts"]["paths"])


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.invalid"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="pre-commit works on git repositories")
def test_the_hook_is_run_by_pre_commit(project: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """The real thing on a scratch repository: pre-commit clones, installs and runs the hook.

    Only the hook's dependencies are not installed again: it sees those of this interpreter, so that nothing
    is downloaded.
    """
    hooks = tmp_path / "hooks"
    shutil.copytree(ROOT / "convaudit", hooks / "convaudit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, hooks / name)
    (hooks / "README.md").touch()
    git(hooks, "init", "--quiet")
    git(hooks, "add", ".")
    git(hooks, "commit", "--quiet", "--message", "hooks")
    revision = git(hooks, "rev-parse", "HEAD")

    config = yaml.safe_load(blocks("yaml")[1])
    config["repos"][0] |= {"repo": str(hooks), "rev": revision}
    config["default_language_version"] = {"python": sys.executable}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    git(project, "init", "--quiet")
    git(project, "add", ".")
    offline = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
    offline |= {"PYTHONPATH": sysconfig.get_paths()["purelib"], "PRE_COMMIT_HOME": str(tmp_path / "cache")}
    commit = f'"{sys.executable}" -m pre_commit run'

    good = shell(commit, project, {**environment, **offline})
    assert good.returncode == 0, good.stdout + good.stderr
    assert re.search(r"convaudit check\.+Passed", good.stdout)

    shell("python make_nets.py --dense && git add nets", project, environment)
    bad = shell(commit, project, {**environment, **offline})
    assert bad.returncode == 1
    assert re.search(r"convaudit check\.+Failed", bad.stdout)
    assert "depthwise: +20,304: groups 48 -> 1" in bad.stdout
