"""Completion: commands, files and values in one press, and what a real bash makes of the answer."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time

import onnx
import pytest
from click.shell_completion import ZshComplete
from onnx import TensorProto, helper

from convaudit.cli.completion import Bash, Fish
from convaudit.cli.group import cli
from convaudit.cli.words import PACKAGES, architectures
from convaudit.frontends.torch.loader.architectures import _import_torchvision
from tests.cli.conftest import save_model

COMMANDS_AND_FILES = {"audit", "check", "diff", "lint", "sweep", "twin", "file"}
OFFERED = [
    pytest.param("convaudit ", COMMANDS_AND_FILES | {"torchvision:"}, id="first"),
    pytest.param("convaudit che", {"check", "file"}, id="command"),
    pytest.param("convaudit mod", {"file"}, id="model"),
    pytest.param("convaudit check mod", {"file"}, id="model-of-a-command"),
    pytest.param("convaudit check m.onnx ", {"file", "torchvision:", "timm:"}, id="second-model"),
    pytest.param("convaudit --verb", set(), id="no-option"),
    pytest.param("convaudit --verif", {"--verify", "--verify-isolated"}, id="option"),
    pytest.param("convaudit --vers", {"--version"}, id="option-of-the-program"),
    pytest.param("convaudit m.onnx --form", {"--format"}, id="option-after-the-model"),
    pytest.param("convaudit check --max-m", {"--max-macs"}, id="option-of-a-command"),
    pytest.param("convaudit m.onnx --format j", {"json"}, id="choice"),
    pytest.param("convaudit m.onnx --format=j", {"json"}, id="joined-choice"),
    pytest.param("convaudit m.onnx --only dep", {"depthwise"}, id="kind"),
    pytest.param("convaudit check --forbid dep", {"depthwise"}, id="choice-of-a-budget"),
    pytest.param("convaudit m.onnx --columns na", {"name"}, id="column"),
    pytest.param("convaudit m.onnx --columns kind,k", {"kind,kernel"}, id="next-column"),
    pytest.param("convaudit m.onnx --sort macs_", {"macs_saved"}, id="sort-key"),
    pytest.param("convaudit m.onnx --table-style gith", {"github"}, id="style"),
    pytest.param("convaudit m.onnx --provider cp", {"cpu"}, id="provider"),
    pytest.param("convaudit m.onnx --opt-level ba", {"basic"}, id="level"),
    pytest.param("convaudit lint --select zero", {"zero-border"}, id="rule"),
    pytest.param("convaudit lint --ignore CA301,CA101", {"CA301,CA101"}, id="next-rule"),
    pytest.param("convaudit rule latent", {"latent-groups"}, id="rule-to-read"),
    pytest.param("convaudit sweep m.onnx --layer ", {"block/conv"}, id="layer"),
    pytest.param("convaudit explain m.onnx --layer ", {"block/conv"}, id="layer-to-explain"),
    pytest.param("convaudit twin m.onnx --layers bl", {"block/conv"}, id="layers"),
    pytest.param("convaudit sweep --layer ", set(), id="layer-of-no-model"),
    pytest.param("convaudit m.onnx --dim ", {"batch="}, id="dimension"),
    pytest.param("convaudit m.onnx -i ", {"x="}, id="input"),
    pytest.param("convaudit m.onnx --dim batch=", set(), id="value"),
    pytest.param("convaudit m.onnx -o ", {"file"}, id="output"),
    pytest.param("convaudit check --junit ", {"file"}, id="junit"),
    pytest.param("convaudit chek ", {"file", "torchvision:", "timm:"}, id="misspelt-command"),
    pytest.param("convaudit - ", {"file", "torchvision:", "timm:"}, id="standard-input"),
    pytest.param("convaudit 'm.onnx' --fo", {"--format"}, id="quoted"),
    pytest.param("convaudit 'some na", {"file"}, id="open-quote"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model with a layer whose name a shell takes as it is, and one whose name it would run."""
    monkeypatch.chdir(tmp_path)
    path = save_model(tmp_path / "m.onnx", batch="batch", name="block/conv")
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Conv", ["x", "weight"], ["z"], "$(touch gone)", group=2))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    onnx.save(model, path)
    return tmp_path


def answer(shell, line, monkeypatch, word=None):
    """What is offered for a line of which the last word, or part of it, is to be completed."""
    words = line.split()
    incomplete = "" if line.endswith(" ") else words[-1]
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_WORD", incomplete if word is None else word)
    monkeypatch.setenv("COMP_CWORD", incomplete if shell is Fish else str(len(words) - bool(incomplete)))
    return shell(cli, {}, "convaudit", "_CONVAUDIT_COMPLETE").complete()


@pytest.mark.parametrize(("line", "offers"), OFFERED)
def test_what_bash_is_offered(folder, monkeypatch, capsys, line, offers):
    rows = [row.split(",", 1) for row in answer(Bash, line, monkeypatch).splitlines()]
    found = {"file" if kind == "file" else value for kind, value in rows}
    assert offers <= found
    assert offers or not found
    assert len(found) == len(rows)
    assert len(offers) > 4 or found == offers or line.endswith("-i ")
    assert {kind for kind, value in rows if value.endswith((":", "="))} <= {"part"}
    assert capsys.readouterr() == ("", "")
    assert os.listdir(folder) == ["m.onnx"]


@pytest.mark.parametrize("shell", [ZshComplete, Fish])
@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("convaudit che", ["check", "file"]),
        ("convaudit m.onnx --columns kind,k", ["kind,kernel"]),
        ("convaudit sweep m.onnx --layer b", ["block/conv"]),
    ],
)
def test_what_other_shells_are_offered(folder, monkeypatch, shell, line, offers):
    text = answer(shell, line, monkeypatch)
    assert all(one in text for one in offers)


COLONS = [
    pytest.param("convaudit torchvision:resnet1", "resnet1", "plain,resnet18", id="broken"),
    pytest.param("convaudit torchvision:", ":", "plain,resnet18", id="at-the-break"),
    pytest.param(
        "convaudit 'torchvision:resnet1", "'torchvision:resnet1", "plain,torchvision:resnet18", id="quoted"
    ),
    pytest.param("convaudit torchv", "torchv", "part,torchvision:", id="before"),
]


@pytest.mark.parametrize(("line", "word", "offers"), COLONS)
def test_bash_breaks_words_at_colons(monkeypatch, line, word, offers):
    assert offers in answer(Bash, line, monkeypatch, word).splitlines()


@pytest.mark.parametrize("package", PACKAGES)
def test_architectures_are_read_off_the_files(package):
    _import_torchvision(package)  # which timm needs, and which not every torch lets in
    names = (
        importlib.import_module(package).models if package == "torchvision" else pytest.importorskip(package)
    )
    assert architectures(package) == sorted(names.list_models())


def test_architectures_of_what_is_not_there():
    assert architectures("nowhere_at_all") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell, tmp_path):
    environment = {**os.environ, "_CONVAUDIT_COMPLETE": f"{shell}_source"}
    program = [sys.executable, "-m", "convaudit"]
    done = subprocess.run(program, capture_output=True, text=True, env=environment, check=True)
    assert f"_CONVAUDIT_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(done.stdout)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True)


PRESSES = [
    pytest.param("convaudit c", ["check", "c\\ d.onnx", "check/"], id="commands-and-files"),
    pytest.param("convaudit lint 'c d", ["lint 'c d.onnx' "], id="file-with-a-blank"),
    pytest.param("convaudit torchvision:resnext101_64", ["torchvision:resnext101_64x4d "], id="colon"),
]


def test_a_real_bash(tmp_path):
    """One session, as a person has it: what is on the screen after TAB."""
    pty = pytest.importorskip("pty")
    if shutil.which("bash") is None or importlib.util.find_spec("torchvision") is None:
        pytest.skip("no bash, or no torchvision")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "convaudit"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m convaudit "$@"\n')
    program.chmod(0o755)
    work = tmp_path / "work"
    (work / "check").mkdir(parents=True)
    save_model(work / "c d.onnx")
    own, its = pty.openpty()
    environment = {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path[1:]]),
        "PS1": "ready ",
        "TERM": "dumb",
    }
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], cwd=work, env=environment, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    try:
        bind = 'bind "set bell-style none"; bind "set show-all-if-ambiguous on"'
        say(own, f'{bind}; eval "$(_CONVAUDIT_COMPLETE=bash_source convaudit)"; echo lo""aded\n', ["loaded"])
        for press in PRESSES:
            line, expected = press.values
            say(own, f"{line}\t", expected)
            say(own, '\x15echo cl""eared\n', ["cleared"])
    finally:
        shell.kill()
        shell.wait()
        os.close(own)


def say(terminal, keys, expected):
    """Type, and read until all that is expected was shown."""
    import select

    os.write(terminal, keys.encode())
    shown, end = "", time.monotonic() + 60
    while not all(text in shown for text in expected):
        assert select.select([terminal], [], [], max(0, end - time.monotonic()))[0], (
            f"after {keys!r}: {shown}"
        )
        shown += os.read(terminal, 10_000).decode(errors="replace")
