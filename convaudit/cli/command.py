"""The command class that all subcommands share: failure handling, ``--debug``, epilogs as written."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import click

from convaudit.cli.errors import DEBUG_VARIABLE, ExitCode, fail, handled
from convaudit.errors import did_you_mean


class Command(click.Command):
    """A command whose failures are one line, and whose epilog keeps its line breaks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(_debug_option())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse arguments in one line, as everything else is refused, where click would print the usage."""
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.NoSuchOption as error:
            near = did_you_mean(error.option_name, error.possibilities or ())
            refuse(ctx, f"{error.message.rstrip('.')}{near}")
        except click.UsageError as error:
            refuse(ctx, error.format_message())

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Help is written on the way."""
        with handled():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        from convaudit.apart import user_code_apart

        with handled(), user_code_apart():
            return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_epilog(self.epilog, formatter)


def refuse(ctx: click.Context, message: str) -> NoReturn:
    """One line that ends with where to read on, and exit code 2."""
    sentence = message if message.endswith("?") else f"{message.rstrip('.')};"
    fail(f"{sentence} see '{ctx.command_path} --help'")
    ctx.exit(ExitCode.TROUBLE)


def write_epilog(epilog: str | None, formatter: click.HelpFormatter) -> None:
    """Examples and exit codes, line by line."""
    if epilog:
        formatter.write_paragraph()
        for line in epilog.strip("\n").split("\n"):
            formatter.write(f"{line}\n")


def _debug_option() -> click.Option:
    def switch_on(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            os.environ[DEBUG_VARIABLE] = "1"

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=switch_on,
        help=f"Show tracebacks of failures (also {DEBUG_VARIABLE}=1).",
    )
