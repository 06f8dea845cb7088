"""One exception tree: whatever convaudit refuses, it refuses with one of these.

Each message is a single line that names who, which value, which rule and what to do next, so that the
command line can print it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable


class ConvauditError(Exception):
    """Base of all errors that convaudit raises on purpose; the command line exits with 2."""


class UsageError(ConvauditError, ValueError):
    """A caller's value cannot be used: an unknown input name, a malformed shape, a wrong rank."""


class UnknownNameError(UsageError, KeyError, AttributeError):
    """No layer, or no chart, has this name; the message has the nearest one."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would quote it


class LoadError(ConvauditError):
    """A model cannot be read: missing, truncated, not a model, or unsafe."""


class ModelError(ConvauditError, ValueError):
    """A model was read, but what it says breaks a rule of convolution."""


class GroupsError(ModelError):
    """``groups`` does not divide a channel count."""


class ShapeError(ModelError):
    """Shapes that do not fit together: weight against input, kernel against padded input, ..."""


class DependencyError(ConvauditError, ImportError):
    """Something is needed that is not installed, such as an optional package; the message says what."""


class ExecutionError(ConvauditError):
    """The model's own runtime failed while convaudit was running it."""


def first_line(error: BaseException) -> str:
    """Another library's message, cut to the one line that a person reads."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name.

    Args:
        name: What was given.
        known: The names that there are.

    Returns:
        ``"; did you mean 'macs'?"``, or nothing where no known name is near.
    """
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
