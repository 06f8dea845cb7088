"""``Report``: what ``convaudit.audit`` returns, an ``AuditReport`` that can show and export itself."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from convaudit.errors import DependencyError, UnknownNameError, did_you_mean
from convaudit.records import AuditReport, LayerCost, LayerCosts
from convaudit.records.displayed import terminal_text

if TYPE_CHECKING:
    import pandas

    from convaudit.reporters.charts.plots import Plots


class Report(AuditReport):
    """An audit's findings: data first, and every way to show them."""

    __slots__ = ()

    @classmethod
    def of(cls, report: AuditReport) -> Report:
        """The same findings as a Report."""
        values = {field.name: getattr(report, field.name) for field in fields(AuditReport)}
        return cls(**values | {"layers": LayerCosts(report.layers)})

    @overload
    def __getitem__(self, key: str | SupportsIndex) -> LayerCost: ...
    @overload
    def __getitem__(self, key: slice) -> LayerCosts: ...
    def __getitem__(self, key: str | SupportsIndex | slice) -> LayerCost | LayerCosts:
        """A layer by name or place, or several: ``report["layer1.0.conv2"]``, ``report[-1]``, ``report[:3]``.

        Raises:
            UnknownNameError: No layer has this name; the message has the nearest one. It is a KeyError too.
            IndexError: There are not as many layers.
            TypeError: The key is neither a name, nor a place, nor a slice.
        """
        if isinstance(key, str):
            for layer in self.layers:
                if layer.name == key:
                    return layer
            near = did_you_mean(key, [layer.name for layer in self.layers])
            raise UnknownNameError(f"{self.source}: no layer is called {key!r:.100}{near or _listed(self)}")
        layers = LayerCosts(self.layers)
        if isinstance(key, slice):
            return layers[key]
        try:
            return layers[operator.index(key)]
        except IndexError:
            raise IndexError(f"{self.source}: no layer {key}{_listed(self)}") from None
        except TypeError:
            wrong = f"{self.source}: a layer is found by its name or its place, got {key!r:.100}"
            raise TypeError(wrong) from None

    def __len__(self) -> int:
        """How many convolutions it has."""
        return len(self.layers)

    def __bool__(self) -> bool:
        """True: a report of a model without convolutions is a report all the same."""
        return True

    def __iter__(self) -> Iterator[LayerCost]:
        """Its convolutions, in the model's order."""
        return iter(self.layers)

    def __contains__(self, key: object) -> bool:
        """Whether a convolution has this name, or is this record."""
        return any(key in (layer.name, layer) for layer in self.layers)

    def _ipython_key_completions_(self) -> list[str]:
        return [layer.name for layer in self.layers]

    def __repr__(self) -> str:
        return f"<convaudit.Report of {self.source!r}: {self.totals.layers} convolutions>"

    def __str__(self) -> str:
        return terminal_text("audit", self)

    def _repr_html_(self) -> str:
        from convaudit.reporters.notebook import report_html

        return report_html(self)

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
        """One row a layer, columns as in the CSV, shapes as tuples.

        Counts are of one call; ``macs_total``, ``flops_total``, ``dense_macs_total`` and ``macs_saved_total``
        are of all calls of a run, and add up to the report's totals. What does not add up: MACs of
        exclusive branches, of which a run takes one, and parameters that layers share. ``share`` is of the
        model's MACs, ``share_conv`` of those of all convolutions. Counts that depend on open dimensions are
        text, and what is unknown is missing, which pandas leaves out of a sum.

        Raises:
            DependencyError: pandas is not installed.
        """
        try:
            from convaudit.reporters.frames import frame_of

            return frame_of(self)
        except ImportError as error:
            raise DependencyError("to_pandas needs pandas: pip install 'convaudit[pandas]'") from error


def _listed(report: Report) -> str:
    return f"; it has {len(report)} layers, which report.layers lists" if report.layers else "; it has none"
