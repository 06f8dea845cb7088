"""The baseline's file: JSON, models sorted, one line a layer, the same bytes for the same models.

It holds numbers, no formulas: a regression is a comparison of numbers, so what depends on sizes that are open
is stored as unknown, and not compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from convaudit.errors import UsageError
from convaudit.formulas import Formula, parse
from convaudit.records import COSTS, AuditReport, LayerCost, TensorInfo, Totals

BASELINE_VERSION = 1
"""Rises when a stored field goes or changes its meaning; one that is added is ignored by older readers."""

_TEXT, _FLAG, _INTEGER = (str,), (bool,), (int,)
_COUNT, _SIZES = (int, type(None)), (tuple, type(None))
_LAYER: dict[str, tuple[type, ...]] = {
    "name": _TEXT,
    "op": _TEXT,
    "in_channels": _COUNT,
    "out_channels": _COUNT,
    "kernel_size": _SIZES,
    "stride": _SIZES,
    "padding": _SIZES,
    "dilation": _SIZES,
    "groups": _INTEGER,
    "output_padding": _SIZES,
    "transposed": _FLAG,
    "deformable": _FLAG,
    "input_shape": _SIZES,
    "output_shape": _SIZES,
    "dtype": _TEXT,
    "weight_dtype": _TEXT,
    "bias": _FLAG,
    "layout": _TEXT,
    "calls": _COUNT,
    **dict.fromkeys(COSTS, _COUNT),
}
"""What is stored of a layer; a field that has its record's default value is left out."""
_TOTALS: dict[str, tuple[type, ...]] = {
    **{field.name: _COUNT for field in fields(Totals) if field.default is MISSING},
    "layers": _INTEGER,
}
Record = TypeVar("Record", LayerCost, Totals)


def dumps(reports: Mapping[str, AuditReport]) -> str:
    """The file's text for reports by the name under which they will be looked up."""
    models = {name: _model_text(report) for name, report in sorted(reports.items())}
    return _object({"models": _object(models, 2), "schema_version": str(BASELINE_VERSION)}, 0) + "\n"


def loads(text: str, where: str) -> dict[str, AuditReport]:
    """Reports by name, with no more in them than a comparison needs.

    Fields that this version does not know are ignored; those that it knows and an older one did not, unknown.

    Raises:
        UsageError: ``text`` is not a baseline, or is of a newer form; the message names ``where``.
    """
    try:
        document = json.loads(text)
        version = _checked("schema_version", document["schema_version"], _INTEGER)
        if version < 1:
            raise ValueError(f"schema_version is {version}")
        if version <= BASELINE_VERSION:
            return {name: _report(name, model) for name, model in document["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{where}: not a convaudit baseline ({type(error).__name__}: {error}); "
            "remove it, and make a new one with --write-baseline"
        ) from error
    raise UsageError(
        f"{where}: a newer convaudit wrote this baseline (schema_version {version}, here "
        f"{BASELINE_VERSION} is read); update convaudit, or remove the file and make a new one with "
        "--write-baseline"
    )


# --- writing --------------------------------------------------------------------------------------------


def _model_text(report: AuditReport) -> str:
    totals = {name: _number(getattr(report.totals, name)) for name in _TOTALS}
    layers = ",\n".join("        " + _json(_layer_values(layer)) for layer in report.layers)
    inputs = [{"name": tensor.name, "shape": tensor.shape, "dtype": tensor.dtype} for tensor in report.inputs]
    return _object(
        {
            "file_bytes": _json(report.file_bytes),
            "format": _json(report.format),
            "inputs": _json(inputs),
            "layers": f"[\n{layers}\n      ]" if report.layers else "[]",
            "totals": _json(totals),
        },
        4,
    )


def _layer_values(layer: LayerCost) -> dict[str, Any]:
    """The fields that a comparison needs; one that has its default value is left out."""
    defaults = {field.name: field.default for field in fields(LayerCost)}
    values = {name: _number(getattr(layer, name)) for name in _LAYER}
    return {name: value for name, value in values.items() if value != defaults[name]}


def _number(value: object) -> object:
    return None if isinstance(value, Formula) else value


def _object(members: Mapping[str, str], indent: int) -> str:
    """A JSON object of members that are JSON already, one a line."""
    blank = " " * (indent + 2)
    lines = ",\n".join(f"{blank}{json.dumps(name)}: {text}" for name, text in members.items())
    return f"{{\n{lines}\n{' ' * indent}}}"


def _json(value: object) -> str:
    return json.dumps(value, default=str)


# --- reading --------------------------------------------------------------------------------------------


def _report(name: str, model: Mapping[str, Any]) -> AuditReport:
    return AuditReport(
        source=name,
        format=_checked("format", model["format"], _TEXT),
        inputs=tuple(
            TensorInfo(
                name=_checked("name", tensor["name"], _TEXT),
                shape=_checked("shape", _tuples(tensor["shape"]), _SIZES),
                dtype=_checked("dtype", tensor["dtype"], _TEXT),
            )
            for tensor in model["inputs"]
        ),
        layers=tuple(_record(LayerCost, _LAYER, layer) for layer in model["layers"]),
        totals=_record(Totals, _TOTALS, model["totals"]),
        other_ops=(),
        uncounted_ops=(),
        warnings=(),
        file_bytes=_checked("file_bytes", model["file_bytes"], _COUNT),
    )


def _record(
    record: type[Record], stored: Mapping[str, tuple[type, ...]], values: Mapping[str, Any]
) -> Record:
    """A record of the stored fields; one that the file's form has no place for is unknown."""
    known = {
        name: _checked(name, _tuples(values[name]), types) for name, types in stored.items() if name in values
    }
    needed = [field.name for field in fields(record) if field.default is MISSING]
    missing = [name for name in needed if name in stored and name not in known]
    if missing:
        raise KeyError(missing[0])
    return record(**{**dict.fromkeys(needed), **known})


def _checked(name: str, value: Any, types: tuple[type, ...]) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise TypeError(f"{name} is {value!r:.100}")
    return value


def _tuples(value: Any) -> Any:
    """Lists as tuples; a text in a list is a size that was left open."""
    if not isinstance(value, list):
        return value
    return tuple(parse(item) if isinstance(item, str) else _tuples(item) for item in value)
