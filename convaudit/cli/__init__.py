"""The command line: the only part that prints or exits."""

from __future__ import annotations

from convaudit.cli.group import main

__all__ = ["main"]
