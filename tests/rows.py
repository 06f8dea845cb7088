"""What holds for the rows of the multiplying ops of every model, in whatever format."""

from __future__ import annotations

from convaudit.analyzer import analyze
from convaudit.analyzer.totals import exclusive_sum
from convaudit.formulas import add, multiply, product
from convaudit.records import Network


def rows_sum_up(network: Network) -> None:
    """Rows by op and exclusive arm sum up to ``other_ops``, all rows to the model; names are unique."""
    sums: dict[object, list[object]] = {}
    for row in network.other_layers:
        sums.setdefault((row.op, row.branches), []).append(multiply(row.macs, row.calls))
    counted = [other for other in network.other_ops if not other.opaque]
    assert {(other.op, other.branches): other.macs for other in counted} == {
        key: add(*parts) for key, parts in sums.items()
    }
    names = [layer.name for layer in (*network.layers, *network.other_layers)]
    assert len(names) == len(set(names))
    for row in network.other_layers:
        assert (row.macs is not None and row.calls is not None) or row.notes, f"{row.name}: unknown, why?"
        assert row.params == add(*(product(tensor.shape) for tensor in row.stored))
    report = analyze(network)
    if not any(other.opaque for other in network.other_ops):
        rows = [
            (row.branches, multiply(row.macs, row.calls)) for row in (*report.layers, *report.other_layers)
        ]
        assert exclusive_sum(rows) == report.totals.model_macs
    if isinstance(network.model_params, int):
        stored = {tensor.name: product(tensor.shape) for row in network.other_layers for tensor in row.stored}
        assert all(size is None or size <= network.model_params for size in [add(*stored.values())])
