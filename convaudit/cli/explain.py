"""``convaudit explain MODEL --layer NAME``: one convolution, every number with its arithmetic."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from convaudit.cli.colors import painted
from convaudit.cli.errors import note
from convaudit.cli.group import Command
from convaudit.cli.options import source_keywords, source_options
from convaudit.cli.output import check_output, write_result
from convaudit.cli.values import LAYER, MODEL
from convaudit.cli.view import output_options
from convaudit.reporters import DEFAULT_FORMAT, FORMATS, View, chosen_format

_EPILOG = """
Why a layer has its parameters, how each dimension of its output follows,
what its groups removed, which input channels reach which output channels,
and where the taps of its kernel lie.

Examples:
  convaudit explain model.onnx
  convaudit explain model.onnx --layer layer1.0.conv2
  convaudit explain model.onnx --layer conv1 --layer conv2 --lint
  convaudit explain torchvision:resnet50 -i 1x3x224x224 --layer conv1
  convaudit explain model.onnx --layer conv1 -o conv1.md

Exit codes:
  0  explained
  2  an unknown layer, or a model that could not be audited
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("model", metavar="MODEL", type=MODEL)
@click.option(
    "--layer",
    "names",
    type=LAYER,
    multiple=True,
    help="A layer, named as the audit prints it, or several; the costliest one unless given.",
)
@click.option("--lint", is_flag=True, help="Also look for groups that the weights hide.")
@source_options
@output_options("explain")
def explain(
    model: str,
    names: Sequence[str],
    lint: bool,
    format_name: str | None,
    output: str | None,
    **options: Any,
) -> None:
    """Explain a layer: its wiring, and the arithmetic of every number."""
    from convaudit.api import audit
    from convaudit.explanations import explained_layers
    from convaudit.reporters.grid import terminal_width

    name = chosen_format("explain", format_name, output)
    check_output(output, model)
    report = audit(model, **source_keywords(options), lint=lint)
    told = explained_layers(report, names)
    printed = output is None or output == "-"
    text = FORMATS[name].render("explain", told, View(width=terminal_width() if printed else None))
    write_result(_printable(text) if printed and name == DEFAULT_FORMAT else text, output)
    if not names and len(report.layers) > 1:
        note(f"the costliest of {len(report.layers)} layers; --layer NAME explains another")


def _printable(text: str) -> str:
    """The text with its colours, drawn in characters that standard output has."""
    from convaudit.reporters.sketches import in_ascii

    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        text = in_ascii(text)
    return painted("explain", text)
