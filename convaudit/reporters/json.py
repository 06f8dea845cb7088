"""The report as JSON: exact integers, formulas as text, everything that was found.

``report.schema.json`` beside this file is the schema. What is not a finite number is ``null``: the ``bits``
of an exact result, for one, whose ``status`` says so.

``schema_version`` rises when a key goes, or changes its type or meaning. Keys and words (a status, a kind)
are added without that: a reader should ignore keys that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from convaudit.formulas import Count, Formula
from convaudit.records import AuditReport, Branch, LayerCost, RuntimeInfo, TensorInfo, Totals, Verification
from convaudit.reporters.select import EVERYTHING, Selection, select
from convaudit.reporters.text import json_text
from convaudit.version import __version__

SCHEMA_VERSION = 2
LAYER_KEYS = (
    *("name", "op", "kind", "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation"),
    *("groups", "output_padding", "input_shape", "output_shape", "weight_shape", "layout"),
    *("dtype", "weight_dtype", "output_dtype", "bias", "weight_name", "bias_name", "stored_params"),
    *("scope", "branches", "calls", "params", "macs", "flops", "dense_params", "dense_macs"),
    *("params_saved", "macs_saved", "weight_bytes", "activation_bytes", "arithmetic_intensity"),
    *("formula", "notes", "verification"),
)
"""Keys of a layer's object, in their order."""
_LAYER_COUNTS = (
    *("in_channels", "out_channels", "calls", "params", "macs", "flops", "dense_params", "dense_macs"),
    *("params_saved", "macs_saved", "weight_bytes", "activation_bytes"),
)
_TOTAL_COUNTS = (
    *("params", "macs", "flops", "dense_params", "dense_macs", "params_saved", "macs_saved"),
    *("weight_bytes", "peak_activation_bytes", "macs_at_least", "model_params", "model_macs"),
)


def report_dict(report: AuditReport, selection: Selection = EVERYTHING) -> dict[str, Any]:
    """The report as plain lists, dictionaries, strings and numbers; totals are those of all layers."""
    return {
        "schema_version": SCHEMA_VERSION,
        "convaudit_version": __version__,
        "source": report.source,
        "format": report.format,
        "file_bytes": report.file_bytes,
        "inputs": [_tensor(tensor) for tensor in report.inputs],
        "runtime": None if report.runtime is None else _runtime(report.runtime),
        "layers": [layer_dict(layer) for layer in select(report, selection)],
        "totals": totals_dict(report.totals),
        "other_ops": [
            {
                "op": other.op,
                "count": other.count,
                **_counts({"macs": other.macs}),
                "reason": other.reason,
                "branches": _branches(other.branches),
                "opaque": other.opaque,
            }
            for other in report.other_ops
        ],
        "uncounted_ops": [{"op": op, "count": count} for op, count in report.uncounted_ops],
        "warnings": list(report.warnings),
    }


def render_json(
    reports: Sequence[AuditReport], selection: Selection = EVERYTHING, *, as_list: bool = False
) -> str:
    """One report's object, or ``as_list`` those of all."""
    objects = [report_dict(report, selection) for report in reports]
    return json_text(objects if as_list else objects[0])


def layer_dict(layer: LayerCost) -> dict[str, Any]:
    """One layer, by the names of the record's fields, in the order of ``LAYER_KEYS``."""
    values = {
        **_counts({name: getattr(layer, name) for name in _LAYER_COUNTS}),
        "name": layer.name,
        "op": layer.op,
        "kind": layer.kind,
        "kernel_size": _listed(layer.kernel_size),
        "stride": _listed(layer.stride),
        "padding": None if layer.padding is None else [list(pair) for pair in layer.padding],
        "output_padding": _listed(layer.output_padding),
        "dilation": _listed(layer.dilation),
        "groups": layer.groups,
        "input_shape": _shape(layer.input_shape),
        "output_shape": _shape(layer.output_shape),
        "weight_shape": _shape(layer.weight_shape),
        "layout": layer.layout,
        "dtype": layer.dtype,
        "weight_dtype": layer.weight_dtype,
        "output_dtype": layer.output_dtype,
        "bias": layer.bias,
        "weight_name": layer.weight_name,
        "bias_name": layer.bias_name,
        "stored_params": layer.stored_params,
        "scope": layer.scope,
        "branches": _branches(layer.branches),
        "arithmetic_intensity": layer.arithmetic_intensity,
        "notes": list(layer.notes),
        "verification": None if layer.verification is None else _verification(layer.verification),
    }
    return {key: values[key] for key in LAYER_KEYS}


def totals_dict(totals: Totals) -> dict[str, Any]:
    return {"layers": totals.layers, **_counts({name: getattr(totals, name) for name in _TOTAL_COUNTS})}


def _counts(counts: Mapping[str, Count | None]) -> dict[str, Any]:
    """Integers as they are; each other count is null, and ``formula`` has its text, or null if unknown."""
    integers = {name: count if isinstance(count, int) else None for name, count in counts.items()}
    formulas = {name: str(count) for name, count in counts.items() if isinstance(count, Formula)}
    unknown = {name: None for name, count in counts.items() if count is None}
    return {**integers, "formula": {**formulas, **unknown}}


def _runtime(runtime: RuntimeInfo) -> dict[str, Any]:
    fields = ("name", "version", "provider", "threads", "optimization", "device", "seed")
    return {
        **{name: getattr(runtime, name) for name in fields},
        "input_shapes": {name: _shape(shape) for name, shape in runtime.input_shapes.items()},
        "input_values": dict(runtime.input_values),
    }


def _verification(verification: Verification) -> dict[str, Any]:
    return {
        "status": verification.status,
        "reason": verification.reason,
        "max_abs_error": _finite(verification.max_abs_error),
        "bits": _finite(verification.bits),
        "worst_index": _listed(verification.worst_index),
        "bound": _finite(verification.bound),
        "location": verification.location,
        "format": verification.format,
        "executed_macs": verification.executed_macs,
    }


def _branches(branches: Iterable[Branch]) -> list[dict[str, str]]:
    return [{"choice": branch.choice, "arm": branch.arm} for branch in branches]


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    shape = _shape(tensor.shape)
    return {"name": tensor.name, "shape": shape, "dtype": tensor.dtype, "value": tensor.value}


def _shape(shape: Iterable[Count | None] | None) -> list[int | str | None] | None:
    if shape is None:
        return None
    return [str(size) if isinstance(size, Formula) else size for size in shape]


def _listed(values: Iterable[int] | None) -> list[int] | None:
    return None if values is None else list(values)


def _finite(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else float(value)
