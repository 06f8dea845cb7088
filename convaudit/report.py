"""``Report``: what ``convaudit.audit`` returns, an ``AuditReport`` that can show and export itself."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from convaudit.errors import DependencyError
from convaudit.records import AuditReport

if TYPE_CHECKING:
    import pandas

    from convaudit.reporters.charts.plots import Plots


class Report(AuditReport):
    """An audit's findings: data first, and every way to show them."""

    __slots__ = ()

    @classmethod
    def of(cls, report: AuditReport) -> Report:
        """The same findings as a Report."""
        return cls(**{field.name: getattr(report, field.name) for field in fields(AuditReport)})

    def __repr__(self) -> str:
        return f"<convaudit.Report of {self.source!r}: {self.totals.layers} convolutions>"

    def __str__(self) -> str:
        from convaudit.reporters import FORMATS, View
        from convaudit.reporters.grid import terminal_width

        return FORMATS["table"].render("audit", self, View(width=terminal_width())).rstrip("\n")

    def _repr_html_(self) -> str:
        from convaudit.reporters.table import notebook_html

        return notebook_html(self)

    @property
    def plot(self) -> Plots:
        """Charts, by the names that ``print(report.plot)`` lists: ``report.plot.macs()``.

        Raises:
            UsageError: When one is called: the report lacks what it shows; the message says what to ask for.
            DependencyError: When one is called: Altair is not installed.
        """
        from convaudit.reporters.charts.plots import Plots

        return Plots(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain lists, dictionaries and exact numbers, as its JSON Schema describes them."""
        from convaudit.reporters.plain import report_dict

        return report_dict(self)

    def to_json(self) -> str:
        """The same as JSON text."""
        from convaudit.reporters import FORMATS

        return FORMATS["json"].render("audit", self)

    def to_pandas(self) -> pandas.DataFrame:
        """One row a layer, columns as in the CSV; counts in symbolic dimensions are text.

        Raises:
            DependencyError: pandas is not installed.
        """
        from convaudit.reporters.csv import CSV_COLUMNS, flat_layer

        try:
            import pandas
        except ImportError as error:
            raise DependencyError("to_pandas needs pandas: pip install 'convaudit[pandas]'") from error
        return pandas.DataFrame([flat_layer(layer) for layer in self.layers], columns=list(CSV_COLUMNS))
