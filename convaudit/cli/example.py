"""``convaudit example``: a small trained network to try the other commands on."""

from __future__ import annotations

import os
import shlex
from importlib import resources

import click

from convaudit.cli.errors import note
from convaudit.cli.group import Command
from convaudit.cli.output import write_file
from convaudit.cli.values import FILE
from convaudit.errors import UsageError

NAME = "digits.onnx"
_EPILOG = f"""
Examples:
  convaudit example
  convaudit {NAME} --verify
  convaudit check {NAME} --max-params 20k --max-macs 500k

The network has dense, pointwise, grouped and depthwise convolutions, and
reads 99 % of the handwritten digits that it has not seen.

Exit codes:
  0  written, or there already
  2  could not write it
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.option("-o", "--output", type=FILE, default=NAME, show_default=True, help="Where to write it.")
def example(output: str) -> None:
    """Write a small trained network to try convaudit on."""
    model = resources.files("convaudit.cli").joinpath(NAME).read_bytes()
    if os.path.isfile(output) and not _holds(output, model):
        raise UsageError(f"{output!r} exists and is another file; name a new one with --output")
    write_file(model, output)
    again = shlex.quote(output)
    note(f"wrote {output}; now try: convaudit {again} --verify")


def _holds(path: str, content: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(content) + 1) == content
