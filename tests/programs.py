"""Running what documents and CI files say, as their readers would."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from unittest import mock

from click.testing import CliRunner

from convaudit.cli.group import cli

ROOT = Path(__file__).parent.parent


def environment(scratch: Path) -> dict[str, str]:
    """An environment with these ``convaudit`` and ``python``, which installs and tests nothing again."""
    programs = scratch / "bin"
    programs.mkdir()
    python = f'exec "{sys.executable}" "$@"'
    skipped = f'echo "$@" >> "{scratch}/skipped.log"'
    for name, script in {
        "convaudit": f'exec "{sys.executable}" -m convaudit "$@"',
        "pip": skipped,
        "python": f'case "$*" in "-m pip "* | "-m pytest") {skipped};; *) {python};; esac',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GIT_"))}
    return {
        **kept,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "COLUMNS": "100",
    }


def shell(script: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub's and GitLab's runners do: it stops at the first failing command."""
    command = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def run(command: str, folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """As ``shell``, but what needs no shell in this process, which has torch imported: that takes seconds."""
    words = shlex.split(command, comments=True)
    plain = re.search(r"[|&;<>$*`]", command) is None
    with contextlib.chdir(folder), mock.patch.dict(os.environ, variables, clear=True):
        if plain and words[0] == "convaudit":
            result = CliRunner().invoke(cli, words[1:], prog_name="convaudit")
            return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)
        if plain and words[0] == "python" and not words[1].startswith("-"):
            return _script(words)
    return shell(command, folder, variables)


def _script(words: list[str]) -> subprocess.CompletedProcess[str]:
    """``python SCRIPT ARGUMENT...``"""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", words[1:]),
        mock.patch.object(sys, "path", [str(Path(words[1]).parent), *sys.path]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            runpy.run_path(words[1], run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:
            traceback.print_exc()
            code = 1
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
