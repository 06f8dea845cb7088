"""``convaudit``: the commands, imported when they are called, of which ``audit`` is the default."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn

import click

from convaudit.cli.errors import (
    DEBUG_VARIABLE,
    ExitCode,
    be_quiet,
    clean_up_when_terminated,
    fail,
    handled,
    open_standard_streams,
)
from convaudit.errors import did_you_mean
from convaudit.version import __version__

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "audit": ("convaudit.cli.audit:audit", "List every convolution of each MODEL; the default command."),
    "check": ("convaudit.cli.check:check", "Check models against budgets and a baseline, in CI."),
    "diff": ("convaudit.cli.diff:diff", "Compare two models layer by layer."),
    "explain": ("convaudit.cli.explain:explain", "Explain a layer: its wiring, every number's arithmetic."),
    "lint": ("convaudit.cli.lint:lint", "Find what a network carries for nothing, and take it out."),
    "rule": ("convaudit.cli.rule:rule", "Say what a rule of lint means and how it is proven."),
    "sweep": ("convaudit.cli.sweep:sweep", "Time one layer at every number of groups."),
    "twin": ("convaudit.cli.twin:twin", "Write the same network with groups=1 throughout."),
    "example": ("convaudit.cli.example:example", "Write a small trained network to try convaudit on."),
}
"""Where to find each, and its help: both are listed without importing what the command needs."""
DEFAULT = "audit"
_OTHERS = "Options"
_OWN_OPTIONS = ("--help", "-h", "--version", "-V")
_ANYWHERE = ("--debug", "--quiet", "-q")
"""Options of every command, which may stand before its name as well."""
_NEAR_OPTIONS = ("--help", "--version", "--verify", "--time")
"""What newcomers write as if it were a command."""


class Command(click.Command):
    """A command whose failures are one line, and whose epilog keeps its line breaks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [_quiet_option(), _debug_option()]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse arguments in one line, as everything else is refused, where click would print the usage."""
        if ctx.resilient_parsing and args and self._wants_value(args[-1]):
            args = args[:-1]  # the shell completes its value; click would forget the MODEL before it
        try:
            return self._parsed(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.NoSuchOption as error:
            near = _elsewhere(error.option_name) or did_you_mean(error.option_name, error.possibilities or ())
            refuse(ctx, f"there is no option {error.option_name!r}{near}")
        except click.UsageError as error:
            refuse(ctx, error.format_message())

    def _parsed(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except BaseException:
            ctx.close()  # click does so only once a command runs; a model that was piped in must not stay
            raise

    def _wants_value(self, word: str) -> bool:
        options = (param for param in self.params if isinstance(param, click.Option))
        return any(word in option.opts and not option.is_flag for option in options)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Help is written on the way."""
        with handled():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        from convaudit.apart import user_code_apart

        with handled(), user_code_apart():
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_epilog(self.epilog, formatter)


def _elsewhere(option: str) -> str:
    """The end of a message about an option that another command has."""
    others = [
        name
        for name in COMMANDS
        for param in load_command(name).params
        if option in (*param.opts, *param.secondary_opts)
    ]
    return f" here; it is an option of 'convaudit {others[0]}'" if others else ""


def load_command(name: str) -> click.Command:
    """One of ``COMMANDS``."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


def refuse(ctx: click.Context, message: str) -> NoReturn:
    """One line that ends with where to read on, and exit code 2."""
    sentence = message if message.endswith("?") else f"{message.rstrip('.')};"
    fail(f"{sentence} see '{ctx.command_path} --help'")
    ctx.exit(ExitCode.TROUBLE)


def write_options(
    params: Iterable[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Options below the headings that they have, the others last."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for param in params:
        record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
        if record is not None:
            sections.setdefault(getattr(param, "section", _OTHERS), []).append(record)
    for title in sorted(sections, key=_OTHERS.__eq__):
        with formatter.section(title):
            formatter.write_dl(sections[title])


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


def _quiet_option() -> click.Option:
    def switch_on(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            be_quiet(ctx)

    return click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=switch_on,
        help="Write no notes, and show no progress; errors and the result stay.",
    )


class DefaultGroup(click.Group):
    """``convaudit model.onnx`` is ``convaudit audit model.onnx``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        before = list(takewhile(_ANYWHERE.__contains__, args))
        args = args[len(before) :]
        if (args or before) and args[:1] not in ([name] for name in (*COMMANDS, *_OWN_OPTIONS)):
            if args and not ctx.resilient_parsing:  # completion asks about half a line
                self._refuse_commands(ctx, args)
            args = [DEFAULT, *args]
        return super().parse_args(ctx, [*args[:1], *before, *args[1:]])

    def _refuse_commands(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse a command that is misspelt, or that stands where models do."""
        first, *others = args
        # a word such as "chek" names no model that anybody has; a path, a suffix or a module would
        if first.isidentifier() and not os.path.lexists(first):
            word = first.lower()
            near = did_you_mean(word, COMMANDS) or did_you_mean(f"--{word}", _NEAR_OPTIONS)
            if near:
                refuse(ctx, f"{first!r} is neither a command nor a file{near}")
        for word, before in zip(others, args, strict=False):
            if word in COMMANDS and not before.startswith("-") and not os.path.lexists(word):
                refuse(ctx, f"{word!r} is a command, and a command stands first: convaudit {word} MODEL")

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Help and version are written on the way."""
        with handled():
            return super().make_context(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The default command's options are this command's options."""
        *params, help_option = load_command(DEFAULT).get_params(ctx)
        write_options([*params, *self.params, help_option], ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        load_command(DEFAULT).format_epilog(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, and what the default command completes: its options, or models."""
        from click.shell_completion import CompletionItem

        default = load_command(DEFAULT)
        if incomplete.startswith("-"):
            found = [*default.shell_complete(ctx, incomplete), *super().shell_complete(ctx, incomplete)]
            return list({item.value: item for item in found}.values())
        models = next(param for param in default.params if isinstance(param, click.Argument))
        commands = [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *models.shell_complete(ctx, incomplete)]


@click.group(
    cls=DefaultGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    options_metavar="",
    subcommand_metavar="MODEL... | COMMAND [OPTIONS]",
)
@click.version_option(__version__, "-V", "--version", prog_name="convaudit", message="%(prog)s %(version)s")
def cli() -> None:
    """What the convolutions of a network cost, what groups save, and whether each is right.

    A MODEL is a file (.onnx, .pt2, TorchScript .pt), torchvision:NAME (without weights: nothing is
    downloaded), or package.module:factory, which imports and runs the code that it names.
    """


def main() -> None:
    """The ``convaudit`` program."""
    # What a short process imports lives until its end. Searching it for garbage, on the way and once more
    # at exit, takes a tenth of the time of an audit.
    gc.set_threshold(50_000)
    wanted = os.environ.get("_CONVAUDIT_COMPLETE")
    if wanted:
        import convaudit.cli.completion  # noqa: F401  # registers itself
    open_standard_streams()
    clean_up_when_terminated()
    try:
        with handled():
            if wanted and not re.fullmatch("(bash|zsh|fish)_(source|complete)", wanted):
                fail(f"_CONVAUDIT_COMPLETE is {wanted!r:.100}; write bash_source, zsh_source or fish_source")
                sys.exit(ExitCode.TROUBLE)
            cli(prog_name="convaudit")
    finally:
        gc.freeze()
