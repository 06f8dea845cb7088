"""``convaudit twin MODEL -o DENSE.onnx``: the same function with groups=1 throughout."""

from __future__ import annotations

from typing import Any

import click

from convaudit.cli.errors import note
from convaudit.cli.group import Command
from convaudit.cli.options import run_keywords, run_options, source_keywords, source_options
from convaudit.cli.output import check_output, write_result
from convaudit.cli.progress import progress_bar
from convaudit.cli.values import FILE, LAYER, MODEL

_EPILOG = """
The weights of the twin are block-diagonal, so it computes the same function:
its time against the model's says what the groups are worth. Before it is
written, each weight is compared bit for bit, each convolution is verified,
and both networks run on the same inputs.

Examples:
  convaudit twin model.onnx -o dense.onnx
  convaudit twin model.onnx -o dense.onnx --layers conv1,conv2
  convaudit twin model.onnx -o dense.onnx --memory 4GiB
  convaudit model.onnx --timings phone.json --twin-timings phone-dense.json

Exit codes:
  0  verified and written
  2  not written: nothing has groups, or it could not be made or verified
"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("model", type=MODEL, metavar="MODEL.onnx")
@click.option("-o", "--output", type=FILE, required=True, help="The file to write.")
@click.option(
    "--layers",
    multiple=True,
    type=LAYER,
    metavar="NAME[,NAME]",
    help="Change these alone, named as the audit prints them; may be repeated.",
)
@source_options
@run_options(memory="Bound on what the dense weights take together, 1GiB unless given.")
def twin(model: str, output: str, layers: tuple[str, ...], **options: Any) -> None:
    """Write the same network with groups=1 throughout, verified against the original."""
    from convaudit.reporters.grid import terminal_width, wrapped
    from convaudit.reporters.twins import twin_lines, twin_remarks
    from convaudit.twins import made_twin

    check_output(output, options["data"])
    with progress_bar(model) as progress:
        made = made_twin(
            model,
            output,
            layers=list(layers) or None,
            source_keywords={**source_keywords(options), "data": options["data"]},
            how=run_keywords(options),
            progress=progress,
        )
    for line in twin_remarks(made):
        note(line)
    write_result(wrapped(twin_lines(made), terminal_width()), None)
