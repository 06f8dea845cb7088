"""The analyzer's one entry: costs for every layer, then the totals, then what to warn of."""

from __future__ import annotations

from dataclasses import fields, replace

from convaudit.analyzer import costs
from convaudit.analyzer.totals import total
from convaudit.analyzer.warnings import warnings
from convaudit.errors import ModelError
from convaudit.formulas import add, multiply
from convaudit.records import AuditReport, ConvLayer, LayerCost, Network

_DEFORMABLE_NOTE = "its bilinear sampling of the input is not counted"
_MAX_RANK = 64  # NumPy's


def analyze(network: Network) -> AuditReport:
    """Cost every convolution of ``network``, beside its groups=1 counterpart, and sum up.

    >>> layer = ConvLayer(
    ...     name="conv", op="Conv", in_channels=6, out_channels=6, kernel_size=(1, 1), stride=(1, 1),
    ...     padding=((0, 0), (0, 0)), dilation=(1, 1), groups=3, output_shape=(1, 6, 4, 4), weight_name="w",
    ... )
    >>> report = analyze(Network(source="demo", format="onnx", inputs=(), layers=(layer,)))
    >>> report.totals.params, report.totals.dense_params, report.totals.macs
    (12, 36, 192)
    """
    layers = tuple(layer_cost(layer) for layer in network.layers)
    totals = total(network, layers)
    return AuditReport(
        source=network.source,
        format=network.format,
        inputs=network.inputs,
        layers=layers,
        totals=totals,
        other_ops=network.other_ops,
        uncounted_ops=network.uncounted_ops,
        file_bytes=network.file_bytes,
        warnings=network.warnings + warnings(layers, totals, network.other_ops),
    )


def layer_cost(layer: ConvLayer) -> LayerCost:
    """The layer's record with its costs; every count is of one call.

    Raises  ModelError for a tensor of more axes than any runtime has.
    """
    _check_rank(layer)
    weight, bias, macs = costs.weight_elements(layer), costs.bias_elements(layer), costs.macs(layer)
    if layer.deformable:
        layer = replace(layer, notes=(*layer.notes, _DEFORMABLE_NOTE))
    return LayerCost(
        **{field.name: getattr(layer, field.name) for field in fields(ConvLayer)},
        params=add(weight, bias),
        macs=macs,
        dense_params=add(multiply(weight, layer.groups), bias),
        dense_macs=multiply(macs, layer.groups),
        weight_bytes=costs.weight_bytes(layer),
        activation_bytes=costs.activation_bytes(layer),
    )


def _check_rank(layer: ConvLayer) -> None:
    """A hostile file may declare thousands of axes, whose product has more digits than Python prints."""
    for name in ("input_shape", "output_shape", "weight_shape", "kernel_size"):
        sizes = getattr(layer, name)
        if sizes is not None and len(sizes) > _MAX_RANK:
            raise ModelError(
                f"{layer.name}: {name} has {len(sizes)} axes; no runtime goes beyond {_MAX_RANK}"
            )
