"""Results as text: what is written, in which formats, and where the functions are that write it.

A *document* is what a command has found. A *format* is a row of ``FORMATS`` and a module with a function for
each document that it writes: ``render_audit(report, view)`` and so on. Adding a format is one module and one
row: commands then offer it by ``--format``, by a file's suffix, and, of a check, by an option of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

from convaudit.errors import UsageError

Document: TypeAlias = Literal["audit", "models", "diff", "check", "sweep", "sweeps", "lint", "explain"]
"""An ``AuditReport``; several of them; a ``Difference``; the ``CheckedModel`` records of a check; a ``Sweep``
of one layer; those of all distinct layers of a model; the ``LintReport`` records of models; the
``Explanation`` records of layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a document is to look. What a format cannot heed, the command line refuses.

    Attributes:
        only: The kinds of layers to list, each by any word that fits it; None: all.
        all_ops: Whether the other multiplying ops are listed too, in one ranking.
        depth: How deep the subtotals by block of the name go; None: as deep as says most.
        every: Whether every layer is listed, however many there are.
        sort: The column to sort them by; None: in the model's order.
        top: How many of them to list; None: all.
        columns: The columns to show; None: those that say most, as far as they fit.
        style: The table style, compact or one of tabulate's; None: compact.
        width: Characters of a line; None: no limit.
        remarks: Whether warnings and notes are in the text; the command line writes them to standard error.
    """

    only: tuple[str, ...] | None = None
    all_ops: bool = False
    depth: int | None = None
    every: bool = False
    sort: str | None = None
    top: int | None = None
    columns: tuple[str, ...] | None = None
    style: str | None = None
    width: int | None = None
    remarks: bool = True


DEFAULT_VIEW = View()


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way to write documents.

    Attributes:
        module: The module with a function ``render_DOCUMENT`` for each document; imported when it is used.
        documents: What it writes.
        about: What it is, for ``--help``.
        suffixes: How its files are named. A format without them is never written to a file of its own.
        heeds: The fields of a ``View`` that not every format heeds, and it does.
        lists_layers: Whether it lists the layers of several models too, where others have one row a model.
        shows_findings: Whether an audit's findings of what a model carries for nothing are in it.
    """

    module: str
    documents: tuple[Document, ...]
    about: str
    suffixes: tuple[str, ...] = ()
    heeds: tuple[str, ...] = ()
    lists_layers: bool = False
    shows_findings: bool = False

    def render(self, document: Document, content: Any, view: View = DEFAULT_VIEW) -> str:
        """The text of a document, which is one of ``documents``."""
        text: str = getattr(import_module(self.module), f"render_{document}")(content, view)
        return text


DEFAULT_FORMAT = "table"
FORMATS = {
    "table": Format(
        module="convaudit.reporters.table",
        documents=("audit", "models", "diff", "check", "sweep", "sweeps", "lint", "explain"),
        about="text for a terminal",
        suffixes=(".txt", ".log"),
        heeds=("columns", "style", "all_ops", "depth", "every"),
    ),
    "markdown": Format(
        module="convaudit.reporters.markdown",
        documents=("audit", "models", "diff", "check", "sweep", "sweeps", "lint", "explain"),
        about="Markdown, for a comment on a pull request",
        suffixes=(".md", ".markdown"),
        heeds=("columns", "all_ops", "depth", "every"),
    ),
    "csv": Format(
        module="convaudit.reporters.csv",
        documents=("audit", "models", "sweep", "sweeps", "lint"),
        about="CSV, one row a layer",
        suffixes=(".csv",),
        heeds=("columns", "all_ops"),
    ),
    "json": Format(
        module="convaudit.reporters.json",
        documents=("audit", "models", "diff", "check", "sweep", "sweeps", "lint", "explain"),
        about="JSON with exact integers",
        suffixes=(".json",),
        lists_layers=True,
    ),
    "html": Format(
        module="convaudit.reporters.page",
        documents=("audit", "models", "diff", "explain"),
        about="a page to look at, in one file",
        suffixes=(".html", ".htm"),
        heeds=("columns",),
        lists_layers=True,
        shows_findings=True,
    ),
    "junit": Format(
        module="convaudit.reporters.junit",
        documents=("check",),
        about="JUnit XML",
        suffixes=(".xml",),
    ),
    "sarif": Format(
        module="convaudit.reporters.sarif",
        documents=("check", "lint"),
        about="SARIF 2.1.0",
        suffixes=(".sarif",),
    ),
    "github": Format(
        module="convaudit.reporters.github",
        documents=("check", "lint"),
        about="annotations of GitHub Actions",
    ),
}
"""Every format by the name that ``--format`` takes."""


def formats_of(document: Document) -> dict[str, Format]:
    """The formats that a document can be written in, by name."""
    return {name: form for name, form in FORMATS.items() if document in form.documents}


def chosen_format(document: Document, name: str | None, path: str | None) -> str:
    """The name of the format to write a document in.

    Args:
        document: What is to be written.
        name: The format that was asked for; None: the one that the path's suffix tells, else the default.
        path: Where it is to be written; None: to standard output. Without a suffix it tells nothing.

    Raises:
        UsageError: The suffix is that of a format that the document is not written in, or of none at all.
    """
    if name is not None or path is None:
        return name or DEFAULT_FORMAT
    suffix = PurePath(path).suffix.lower()
    if not suffix:
        return DEFAULT_FORMAT
    able = formats_of(document)
    choice = "|".join(able)
    told = next((known for known, form in FORMATS.items() if suffix in form.suffixes), None)
    if told is None:
        usual = ", ".join(form.suffixes[0] for form in able.values() if form.suffixes)
        raise UsageError(
            f"{path!r}: no format is named {suffix}; name the file {usual}, or give --format {choice}"
        )
    if told not in able:
        raise UsageError(f"{path!r} is named as {told}, which is not written here; use --format {choice}")
    return told
