"""Running what documents and CI files say, as their readers would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
