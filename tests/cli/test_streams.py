"""Streams and files that cannot be written, and a working directory that is gone: exit 2 and one line."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import save_model

PROGRAM = f"{shlex.quote(sys.executable)} -m convaudit"
FULL = "No space left on device"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    save_model(folder / "m.onnx")
    return folder


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """A command line of sh, in which ``convaudit`` is the program."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path[1:]])}
    script = f'convaudit() {{ {PROGRAM} "$@"; }}; {command}'
    return subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


CLOSED = "cannot write the result: standard output is closed; name a file with --output"
UNWRITABLE = [
    pytest.param("convaudit m.onnx >/dev/full", f"cannot write to standard output: {FULL}", id="full"),
    pytest.param(
        "convaudit check m.onnx --max-macs 1G >/dev/full",
        f"cannot write to standard output: {FULL}",
        id="check-full",
    ),
    pytest.param(
        "convaudit diff m.onnx m.onnx >/dev/full", f"cannot write to standard output: {FULL}", id="diff-full"
    ),
    pytest.param("convaudit --help >/dev/full", FULL, id="help-full"),
    pytest.param("convaudit check --help >/dev/full", FULL, id="help-of-a-command-full"),
    pytest.param("convaudit --version >/dev/full", FULL, id="version-full"),
    pytest.param("convaudit m.onnx >&-", CLOSED, id="closed"),
    pytest.param(
        "_CONVAUDIT_COMPLETE=nu_source convaudit m.onnx",
        "_CONVAUDIT_COMPLETE is 'nu_source'; write bash_source, zsh_source or fish_source",
        id="shell",
    ),
    pytest.param("convaudit check m.onnx --max-macs 1 >&-", CLOSED, id="check-closed"),
    pytest.param("convaudit m.onnx -o /dev/full", f"cannot write '/dev/full': {FULL}", id="file-full"),
    pytest.param("convaudit m.onnx -o ''", "cannot write ''", id="file-without-a-name"),
    pytest.param(
        "convaudit check m.onnx --baseline no/b.json --write-baseline >/dev/null",
        "cannot write 'no/b.json': No such file",
        id="baseline",
    ),
    pytest.param(
        "convaudit check m.onnx --baseline /dev/zero >/dev/null",
        "/dev/zero: cannot be opened: it is a pipe or device",
        id="endless-baseline",
    ),
    pytest.param(
        "convaudit check --config /dev/zero",
        "/dev/zero: cannot be opened: it is a pipe or device",
        id="endless-config",
    ),
    pytest.param(
        "GITHUB_STEP_SUMMARY=/dev/full convaudit check m.onnx --max-macs 1G --github >/dev/null",
        f"cannot write GITHUB_STEP_SUMMARY: [Errno 28] {FULL}",
        id="summary",
    ),
    pytest.param(
        "mkdir gone && cd gone && rmdir ../gone && convaudit m.onnx", "m.onnx: cannot be opened", id="gone"
    ),
    pytest.param(
        "convaudit m.onnx --verify --data /dev/zero",
        "/dev/zero: cannot be opened: it is a pipe or device",
        id="data",
    ),
]


@pytest.mark.parametrize(("command", "said"), UNWRITABLE)
def test_what_cannot_be_written_or_read(folder: Path, command: str, said: str) -> None:
    result = shell(folder, command)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


SILENT = [
    pytest.param("convaudit missing.onnx 2>&-", 2, id="failure"),
    pytest.param("convaudit missing.onnx 2>/dev/full", 2, id="failure-on-a-full-disk"),
    pytest.param("convaudit --nonsense 2>/dev/full", 2, id="usage"),
    pytest.param("convaudit m.onnx >&- 2>&-", 2, id="both-closed"),
    pytest.param("convaudit m.onnx 2>&- >/dev/null", 0, id="success"),
    pytest.param(
        "convaudit m.onnx --verify -o audit.txt <&- >&- 2>&- && test -s audit.txt", 0, id="all-closed"
    ),
    pytest.param("convaudit check m.onnx --max-macs 1 2>/dev/full >/dev/null", 1, id="finding"),
    pytest.param("(convaudit --help; test $? -eq 141 && echo >&2 piped) | true", 0, id="pipe"),
]


@pytest.mark.parametrize(("command", "code"), SILENT)
def test_the_exit_code_says_it_all_where_nobody_listens(folder: Path, command: str, code: int) -> None:
    result = shell(folder, command)
    assert result.returncode == code
    assert result.stderr.strip() == ("piped" if "piped" in command else "")


OVERWRITING = [
    pytest.param("convaudit m.onnx -o ./m.onnx", id="audit"),
    pytest.param("convaudit m.onnx -f json -o link.onnx", id="through-a-link"),
    pytest.param("convaudit m.onnx m.onnx -o m.onnx", id="several"),
    pytest.param("convaudit diff m.onnx m.onnx -o m.onnx", id="diff"),
    pytest.param("convaudit sweep m.onnx --all -o m.onnx", id="sweep"),
    pytest.param("convaudit check m.onnx --max-macs 1G --junit m.onnx", id="check"),
    pytest.param("convaudit twin m.onnx -o x.npz --data x.npz", id="data"),
    pytest.param("convaudit check m.onnx --max-macs 1G --data x.npz --json x.npz", id="data-of-a-check"),
    pytest.param("convaudit check m.onnx --baseline x.npz --json x.npz", id="baseline"),
    pytest.param(
        "echo max-macs=1 >c.toml; convaudit check m.onnx --config c.toml -o c.toml -f json", id="config"
    ),
]


@pytest.mark.parametrize("command", OVERWRITING)
def test_what_is_read_is_never_written_over(folder: Path, tmp_path: Path, command: str) -> None:
    before = (folder / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(before)
    (tmp_path / "link.onnx").symlink_to("m.onnx")
    (tmp_path / "x.npz").write_bytes(b"mine")
    done = shell(tmp_path, command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is a file that is read; name another one to write" in done.stderr
    assert ((tmp_path / "m.onnx").read_bytes(), (tmp_path / "x.npz").read_bytes()) == (before, b"mine")


@pytest.mark.parametrize(
    ("options", "place"),
    [
        pytest.param("--json r --junit ./r", "'./r'", id="files"),
        pytest.param("-o r.json --json r.json", "'r.json'", id="output"),
        pytest.param("--json -", "standard output", id="printed"),
        pytest.param("--baseline b.json --write-baseline --json b.json", "'b.json'", id="baseline"),
    ],
)
def test_two_results_never_go_to_one_place(folder: Path, options: str, place: str) -> None:
    before = sorted(folder.iterdir())
    done = shell(folder, f"convaudit check m.onnx --max-macs 1G {options}")
    said = f"error: two results would go to {place}; give each a file of its own\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
    assert sorted(folder.iterdir()) == before


def test_nothing_half_written_stays(folder: Path) -> None:
    (folder / "kept.txt").write_text("old")
    before = sorted(folder.iterdir())
    result = shell(folder, "ulimit -f 0; trap '' XFSZ; convaudit m.onnx -o kept.txt")
    assert result.returncode == 2
    assert result.stderr == "error: cannot write 'kept.txt': File too large\n"
    assert (folder / "kept.txt").read_text() == "old"
    assert sorted(folder.iterdir()) == before


def test_a_model_elsewhere_is_checked_from_a_folder_that_is_gone(folder: Path) -> None:
    model = shlex.quote(str(folder / "m.onnx"))
    gone = "mkdir gone && cd gone && rmdir ../gone &&"
    for command in (f"convaudit {model}", f"convaudit check {model} --max-macs 1G"):
        result = shell(folder, f"{gone} {command}")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout
