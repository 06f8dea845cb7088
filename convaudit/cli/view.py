"""Options on how a result is written: in which format, to which file, and how it looks there."""

from __future__ import annotations

from collections.abc import Callable

import click

from convaudit.cli.options import Decorated, decorated
from convaudit.cli.values import FILE, Choice
from convaudit.errors import UsageError
from convaudit.reporters import DEFAULT_FORMAT, FORMATS, Document, Format, View, formats_of


def output_options(document: Document) -> Callable[[Decorated], Decorated]:
    """``--format`` with the formats that a document can be written in, and ``--output``."""
    format_option = click.option(
        "-f",
        "--format",
        "format_name",
        type=Choice(list(formats_of(document))),
        show_default=f"by FILE's suffix, else {DEFAULT_FORMAT}",
        help="How to write the result.",
    )
    output_option = click.option(
        "-o", "--output", type=FILE, help="Write to a file instead of standard output."
    )
    return lambda command: decorated(command, format_option, output_option)


def file_options(command: Decorated) -> Decorated:
    """``--junit FILE`` and its like: one for each format in which a check can be written to a file."""
    return decorated(
        command,
        *(
            click.option(f"--{name}", type=FILE, help=f"Also write {form.about}.")
            for name, form in file_formats().items()
        ),
    )


def file_formats() -> dict[str, Format]:
    """The formats of a check's files; the default one goes to standard output."""
    return {
        name: form for name, form in formats_of("check").items() if form.suffixes and name != DEFAULT_FORMAT
    }


def check_before(view: View, name: str) -> None:
    """Refuse before minutes are spent on measuring what could not be written afterwards.

    Raises:
        UsageError: A kind, a column, a key or a style is unknown.
    """
    from convaudit.analyzer import analyze
    from convaudit.records import Network
    from convaudit.reporters.columns import filled_columns

    empty = analyze(Network(source="", format="", inputs=(), layers=()))
    FORMATS[name].render("audit", empty, view)
    if name != "csv":  # a table without layers has no columns
        filled_columns(empty, (), view.columns)


def check_untimed(view: View) -> None:
    """Refuse columns and keys of times where none are measured: they would be empty.

    Raises:
        UsageError: One is of times.
    """
    from convaudit.reporters.time_cells import TIME_COLUMNS

    asked = {"--columns": view.columns or (), "--sort": (view.sort,) if view.sort else ()}
    for option, names in asked.items():
        for name in names:
            if name in TIME_COLUMNS or name.startswith("timing_"):
                raise UsageError(f"{option} {name} shows what --time or --timings measures; give one of them")


def check_findings(name: str, *, lint: bool) -> None:
    """Refuse to look for what a format would not show.

    Args:
        name: The format's.
        lint: Whether an audit is to look for what the model carries for nothing.

    Raises:
        UsageError: Its findings would not be seen.
    """
    if lint and not FORMATS[name].shows_findings:
        able = "|".join(other for other, form in FORMATS.items() if form.shows_findings)
        raise UsageError(
            f"--lint is for --format {able}, not for {name}; convaudit lint tells its findings in all formats"
        )


_HEEDED = {
    "--table-style": "style",
    "--columns": "columns",
    "--all-ops": "all_ops",
    "--depth": "depth",
    "--all": "every",
}
"""What not every format heeds, by its option."""


def check_view(view: View, name: str, *, several: bool) -> None:
    """Refuse what a format would ignore.

    Args:
        view: What was asked for.
        name: The format's.
        several: Whether several models are to be shown.

    Raises:
        UsageError: An option would do nothing.
    """
    for option, field in _HEEDED.items():
        if getattr(view, field) and field not in FORMATS[name].heeds:
            able = [other for other, form in FORMATS.items() if field in form.heeds]
            raise UsageError(f"{option} is for --format {'|'.join(able)}, not for {name}")
    if view.only and view.all_ops:
        raise UsageError("--only lists one kind of convolutions, --all-ops what is none; choose one")
    chosen = view.only or view.all_ops or view.depth or view.every
    if several and chosen and not FORMATS[name].lists_layers:
        able = [other for other, form in FORMATS.items() if form.lists_layers]
        raise UsageError(
            "--only, --all, --all-ops and --depth are for one model's layers; of several models there is "
            f"one row each (or use --format {'|'.join(able)})"
        )
