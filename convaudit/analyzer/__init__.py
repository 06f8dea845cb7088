"""Network in, AuditReport out: what every convolution costs and what its ``groups`` save.

The counting convention is one for the whole project: multiply-accumulates are nominal (taps on padding
count, bias additions do not), FLOPs are twice that, and a transposed convolution is counted at its input
positions. Whatever cannot be known stays ``None`` and is named in the report's warnings.
"""

from __future__ import annotations

from dataclasses import replace

from convaudit.analyzer.costs import layer_cost
from convaudit.analyzer.examples import example_of
from convaudit.analyzer.totals import network_totals
from convaudit.analyzer.warnings import unknowns, warnings
from convaudit.records import AuditReport, Network

__all__ = ["analyze", "unknowns"]


def analyze(network: Network) -> AuditReport:
    """Cost every convolution of ``network``, beside its groups=1 counterpart, and sum up.

    Args:
        network: What a walker found.

    Returns:
        The report, with nothing verified.

    Raises:
        ModelError: A tensor has more axes than any runtime's.

    >>> from convaudit.records import ConvLayer
    >>> layer = ConvLayer(
    ...     name="conv", op="Conv", in_channels=6, out_channels=6, kernel_size=(1, 1), stride=(1, 1),
    ...     padding=((0, 0), (0, 0)), dilation=(1, 1), groups=3, output_shape=(1, 6, 4, 4), weight_name="w",
    ... )
    >>> report = analyze(Network(source="demo", format="onnx", inputs=(), layers=(layer,)))
    >>> report.totals.params, report.totals.dense_params, report.totals.macs
    (12, 36, 192)
    """
    layers = tuple(layer_cost(layer) for layer in network.layers)
    totals = network_totals(network, layers)
    report = AuditReport(
        source=network.source,
        format=network.format,
        inputs=network.inputs,
        layers=layers,
        totals=totals,
        live_activations=network.live_activations,
        other_layers=network.other_layers,
        hand_made_groups=network.hand_made_groups,
        other_ops=network.other_ops,
        uncounted_ops=network.uncounted_ops,
        file_bytes=network.file_bytes,
        holds_at=network.holds_at,
        warnings=network.warnings,
    )
    told = warnings(layers, totals, network.other_ops, lambda count: example_of(report).text(count))
    return replace(report, warnings=report.warnings + told)
