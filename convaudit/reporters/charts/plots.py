"""``report.plot``: the charts of an audit by their names, which a notebook completes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from convaudit.errors import UnknownNameError, did_you_mean
from convaudit.records import AuditReport
from convaudit.reporters.charts import CHARTS, charts_of, make_chart

if TYPE_CHECKING:
    import altair


class Plots:
    """The charts of one report: ``report.plot.macs()``; ``dir`` lists those that say something.

    Each takes a ``theme``, "light" or "dark", for a picture that stands alone: ``.save("macs.png")``. Without
    one it has the colours of the notebook that it is shown in.
    """

    def __init__(self, report: AuditReport) -> None:
        self._report = report

    def __getattr__(self, name: str) -> Callable[..., altair.LayerChart]:
        if name.startswith("_"):  # what notebooks ask of every object
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name not in CHARTS:
            hint = did_you_mean(name, CHARTS) or ";"
            raise UnknownNameError(f"no chart is called {name!r:.100}{hint} choose from {', '.join(CHARTS)}")
        report = self._report

        def plot(theme: str | None = None) -> altair.LayerChart:
            return make_chart(name, report, theme)

        plot.__name__ = plot.__qualname__ = name
        plot.__doc__ = CHARTS[name].about
        return plot

    def __dir__(self) -> list[str]:
        return list(charts_of(self._report))

    def __repr__(self) -> str:
        lines = [f"charts of {self._report.source!r}:"]
        for name, chart in CHARTS.items():
            about = chart.about if chart.applies(self._report) else f"not here: {chart.lacking(self._report)}"
            lines.append(f"  report.plot.{name}()  {about}")
        return "\n".join(lines)
