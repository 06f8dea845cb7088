"""How a record shows itself in a notebook: the reporters know, and are asked by name.

They stand above the records, and are loaded only where something is shown.
"""

from __future__ import annotations

from importlib import import_module


def terminal_text(document: str, content: object) -> str:
    """The table that a terminal shows of a record.

    Args:
        document: Which of the reporters' documents it is.
        content: What that document is made of.
    """
    reporters = import_module("convaudit.reporters")
    width = import_module("convaudit.reporters.grid").terminal_width()
    return str(reporters.FORMATS["table"].render(document, content, reporters.View(width=width))).rstrip("\n")


class Displayed:
    """A record that a notebook shows as HTML, in which every text from a model is escaped."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(import_module("convaudit.reporters.notebook").html_of(self))
