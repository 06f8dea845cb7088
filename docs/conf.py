"""How the documentation is built: ``sphinx-build -W docs docs/_build``, without a network."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

import convaudit
from convaudit.cli.group import COMMANDS, cli

project = "convaudit"
author = copyright = "the convaudit authors"  # noqa: A001  # Sphinx's name
release = convaudit.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
html_theme = "furo"
html_title = f"convaudit {release}"
exclude_patterns = ["_build", "_generated"]


def write_command_line(folder: Path) -> None:
    """What each command prints with ``--help``, as a page."""
    folder.mkdir(exist_ok=True)
    parts = []
    for name in ("", *COMMANDS):
        text = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="convaudit").output
        parts.append(f"## convaudit {name}".rstrip() + f"\n\n```text\n{text}```\n")
    (folder / "cli.md").write_text("\n".join(parts), encoding="utf-8")


write_command_line(Path(__file__).parent / "_generated")
