"""How a command fails: one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import click

from convaudit.errors import ConvauditError

DEBUG_VARIABLE = "CONVAUDIT_DEBUG"


class ExitCode(IntEnum):
    """What a script can rely on."""

    OK = 0
    FINDING = 1
    TROUBLE = 2
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it
    BROKEN_PIPE = 141  # 128 + SIGPIPE


@contextmanager
def handled() -> Iterator[None]:
    """Turn every exception of the block into its exit code, with one line where there is something to say."""
    try:
        yield
        sys.stdout.flush()
    except (click.exceptions.Exit, click.ClickException):
        raise
    except BrokenPipeError:
        # whoever read our output has enough; without this the interpreter complains when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.BROKEN_PIPE)
    except (KeyboardInterrupt, click.Abort):
        click.echo(err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        report_failure(error)
        sys.exit(ExitCode.TROUBLE)


def report_failure(error: Exception, source: str = "") -> None:
    """One line on stderr: what convaudit refuses in its own words, anything else as an internal error."""
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exception(error)
    fail(failure_text(error, source))


def failure_text(error: Exception, source: str = "") -> str:
    """What failed, in one line that names the source."""
    if isinstance(error, ConvauditError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "out of memory"
    else:
        text = (
            f"internal error: {type(error).__name__}: {str(error)[:200]}; please report it with the model "
            f"and what {DEBUG_VARIABLE}=1 (or --debug) prints"
        )
    return text if source in text else f"{source}: {text}"


def fail(message: str) -> None:
    """One line on stderr; nothing that a file smuggled into the message reaches the terminal raw."""
    from convaudit.reporters.text import printable

    click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(message)}", err=True)
