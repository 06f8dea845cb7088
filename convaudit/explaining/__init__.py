"""A layer explained: why it has these parameters, these sizes, these multiply-accumulates; what reaches what.

Nothing here knows a model's format: the rows of an audit say all of it. Every number is filled into the
formula that makes it, and held against the audit's own.
"""

from __future__ import annotations

from convaudit.explaining.counts import explained_counts, weight_axes
from convaudit.explaining.dimensions import output_dimensions
from convaudit.explaining.remarks import remarks_on
from convaudit.explaining.wiring import wiring_of
from convaudit.records import AuditReport, LayerCost
from convaudit.records.explanation import Explanation

__all__ = ["explanation"]


def explanation(layer: LayerCost, report: AuditReport | None = None) -> Explanation:
    """Explain one layer of an audit.

    Args:
        layer: Its row.
        report: The audit that it is a row of: it tells which layers share its weight, and, where it was
            linted, which groups the weight hides.

    >>> from convaudit.analyzer import analyze
    >>> from convaudit.records import ConvLayer, Network
    >>> layer = ConvLayer(
    ...     name="conv", op="Conv", in_channels=6, out_channels=6, kernel_size=(3,), stride=(2,),
    ...     padding=((1, 1),), dilation=(1,), groups=3, input_shape=(1, 6, 9), output_shape=(1, 6, 5),
    ... )
    >>> report = analyze(Network(source="demo", format="onnx", inputs=(), layers=(layer,)))
    >>> explained = explanation(report.layers[0], report)
    >>> explained.params.text, explained.dimensions[-1].text
    ('6 x 2 x 3 = 36', 'floor((9 + 1 + 1 - 1*(3 - 1) - 1)/2) + 1 = 5')
    """
    wiring, reason = wiring_of(layer, report)
    dimensions = output_dimensions(layer)
    counts = explained_counts(layer)
    return Explanation(
        layer=layer,
        source=report.source if report else "",
        weight=weight_axes(layer),
        params=counts.params,
        dense_params=counts.dense_params,
        macs=counts.macs,
        dense_macs=counts.dense_macs,
        dimensions=dimensions,
        wiring=wiring,
        wiring_reason=reason,
        remarks=tuple(remarks_on(layer, dimensions, wiring)),
    )
