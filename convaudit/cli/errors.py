"""How a command fails: one line on stderr and an exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any

import click

from convaudit.errors import ConvauditError

DEBUG_VARIABLE = "CONVAUDIT_DEBUG"
_QUIET = "convaudit.quiet"
_MOST_TEXT = 1000
"""Characters of one line; a message repeats what a file holds, which may be a million numbers."""


class ExitCode(IntEnum):
    """What a script can rely on."""

    OK = 0
    FINDING = 1
    TROUBLE = 2
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it
    BROKEN_PIPE = 141  # 128 + SIGPIPE
    TERMINATED = 143  # 128 + SIGTERM


@contextmanager
def handled() -> Iterator[None]:
    """Turn every exception of the block into its exit code, with one line where there is something to say."""
    try:
        yield
    except (click.exceptions.Exit, click.ClickException):
        raise
    except BrokenPipeError:
        silence(sys.stdout)  # whoever read our output has enough
        sys.exit(ExitCode.BROKEN_PIPE)
    except (KeyboardInterrupt, click.Abort):
        _to_stderr("")
        sys.exit(ExitCode.INTERRUPTED)
    except Exception as error:
        report_failure(error)
        if isinstance(error, OSError):
            silence(sys.stdout)
        sys.exit(ExitCode.TROUBLE)


def open_standard_streams() -> None:
    """Give what the caller closed a place that swallows all, but for our results.

    Else the first file that is opened becomes standard output, for native code, and ``sys.stderr`` is None.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process


def clean_up_when_terminated() -> None:
    """Let SIGTERM end the program as Ctrl-C does: what is half-written is taken away first."""

    def leave(*_: Any) -> None:
        sys.exit(ExitCode.TERMINATED)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, leave)


def silence(stream: Any) -> None:
    """Drop what a stream still holds, which the interpreter would complain about at its end."""
    with suppress(OSError, AttributeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report_failure(error: Exception, source: str = "") -> None:
    """One line on stderr: what convaudit refuses in its own words, anything else as an internal error."""
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        from convaudit.reporters.text import printable

        trace = "".join(traceback.format_exception(error)).rstrip("\n")
        _to_stderr("\n".join(map(printable, trace.split("\n"))))
    fail(failure_text(error, source))


def failure_text(error: Exception, source: str = "") -> str:
    """What failed, in one line that names the source."""
    if isinstance(error, ConvauditError):
        text = str(error)
    elif isinstance(error, MemoryError):
        text = "out of memory"
    elif isinstance(error, OSError) and error.strerror:  # a full disk, a folder that is gone
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = (
            f"internal error: {type(error).__name__}: {str(error)[:200]}; please report it with the model "
            f"and what {DEBUG_VARIABLE}=1 (or --debug) prints"
        )
    from convaudit.reporters.text import shorten

    return shorten(text if source in text else f"{source}: {text}", _MOST_TEXT)


def fail(message: str) -> None:
    """One line on stderr; nothing that a file smuggled into the message reaches the terminal raw."""
    from convaudit.reporters.text import printable

    _to_stderr(f"{click.style('error:', fg='red', bold=True)} {printable(message)}")


def note(message: str) -> None:
    """One line on stderr that is no failure, unless ``--quiet`` is given."""
    from convaudit.reporters.text import printable

    if not is_quiet():
        _to_stderr(printable(message))


def be_quiet(context: click.Context) -> None:
    """Write no notes until the command has ended, and show no progress."""
    context.meta[_QUIET] = True


def is_quiet() -> bool:
    """Whether ``--quiet`` is given."""
    context = click.get_current_context(silent=True)
    return context is not None and _QUIET in context.meta


def color_wanted() -> bool | None:
    """Whether the environment asks for colours, or for none; None: only a terminal gets them.

    ``NO_COLOR`` (https://no-color.org) beats ``FORCE_COLOR`` (https://force-color.org); each counts unless it
    is empty.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def _to_stderr(line: str) -> None:
    """A line for people; where none can be written, the exit code says it all."""
    try:
        click.echo(line, err=True, color=color_wanted())
    except OSError:
        silence(sys.stderr)
