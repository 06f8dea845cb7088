"""``convaudit sweep MODEL --layer NAME``: what every number of groups costs, and how long it takes."""

from __future__ import annotations

from typing import Any

import click

from convaudit.cli.errors import ExitCode, fail
from convaudit.cli.group import Command
from convaudit.cli.options import source_keywords, source_options, sweep_options
from convaudit.cli.output import check_output, write_document
from convaudit.cli.progress import progress_bar
from convaudit.cli.values import LAYER, MODEL, Value, read_groups
from convaudit.cli.view import output_options
from convaudit.errors import UsageError
from convaudit.reporters import Document, View, chosen_format

_EPILOG = """
The layer is timed alone, with random weights, at all numbers of groups in
turn. A row is dominated where another one has fewer groups, so does more
multiply-adds, and yet is faster beyond the spread. What groups do to the
network's accuracy is another matter.

Examples:
  convaudit sweep model.onnx --layer layer1.0.conv2
  convaudit sweep model.onnx --layer layer1.0.conv2 --groups 8,16,32
  convaudit sweep model.onnx --all --time-budget 2min
  convaudit sweep package.module:factory -i 1x3x224x224 --layer layer1.0.conv2
  convaudit sweep model.onnx --layer layer1.0.conv2 -o sweep.csv

Exit codes:
  0  timed
  2  nothing was timed: an unknown layer, groups that do not divide its
     channels, open sizes, too small a budget
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("model", type=MODEL, metavar="MODEL")
@click.option("--layer", type=LAYER, help="The layer, named as the audit prints it.")
@click.option("--all", "every", is_flag=True, help="Every distinct layer: where a better groups exists.")
@click.option(
    "--groups",
    type=Value("LIST", read_groups),
    help="These numbers of groups, 1 and the layer's own; all that divide its channels unless given.",
)
@source_options
@sweep_options
@output_options("sweep")
def sweep(
    model: str,
    layer: str | None,
    every: bool,
    groups: list[int] | None,
    format_name: str | None,
    output: str | None,
    **options: Any,
) -> None:
    """Time one layer at every number of groups that its channels allow."""
    from convaudit.reporters.grid import terminal_width
    from convaudit.sweeps import sweep as sweep_model

    if (layer is None) != every:
        raise UsageError("name one layer with --layer, or sweep every distinct one with --all")
    document: Document = "sweeps" if every else "sweep"
    check_output(output, model)
    name = chosen_format(document, format_name, output)
    with progress_bar(model) as progress:
        found = sweep_model(
            model,
            layer=layer,
            groups=groups,
            **source_keywords(options),
            time_budget=options["time_budget"],
            memory_bytes=options["memory"],
            provider=options["provider"],
            threads=options["threads"],
            optimization=options["opt_level"],
            progress=progress,
        )
    view = View(width=terminal_width() if output is None else None)
    write_document(document, found, name, output, view)
    rows = [row for one in (found if isinstance(found, list) else [found]) for row in one.rows]
    if all(row.seconds is None for row in rows):
        fail(f"{model}: nothing was timed: {rows[0].reason}")
        click.get_current_context().exit(ExitCode.TROUBLE)
