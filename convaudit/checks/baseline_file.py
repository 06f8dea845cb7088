"""The baseline's file: JSON, models sorted, one line a layer, the same bytes for the same models.

It holds numbers, no formulas: a regression is a comparison of numbers, so sizes have to be fixed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from convaudit.checks.quantities import depends_text
from convaudit.errors import UsageError
from convaudit.formulas import Formula, parse
from convaudit.records import AuditReport, LayerCost, TensorInfo, Totals

SCHEMA_VERSION = 1

_NOT_STORED = {"weight_shape", "output_dtype", "bias_dtype", "weight_name", "bias_name", "stored_params"}
_NOT_STORED |= {"stored", "branches", "scope", "address", "notes", "verification"}
_LAYER_FIELDS = [field for field in fields(LayerCost) if field.name not in _NOT_STORED]


def dumps(reports: Mapping[str, AuditReport]) -> str:
    """The file's text for reports by the name under which they will be looked up.

    Raises  UsageError if a total is a formula.
    """
    models = {name: _model_text(name, report) for name, report in sorted(reports.items())}
    return _object({"models": _object(models, 2), "schema_version": str(SCHEMA_VERSION)}, 0) + "\n"


def loads(text: str, where: str) -> dict[str, AuditReport]:
    """Reports by name, with no more in them than a comparison needs.

    Raises  UsageError, naming ``where``, if ``text`` is no baseline.
    """
    try:
        document = json.loads(text)
        version = document["schema_version"]
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {version!r}, this convaudit reads {SCHEMA_VERSION}")
        return {name: _report(name, model) for name, model in document["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{where}: not a convaudit baseline ({type(error).__name__}: {error}); "
            "remove it, and make a new one with --write-baseline"
        ) from error


# --- writing --------------------------------------------------------------------------------------------


def _model_text(name: str, report: AuditReport) -> str:
    totals = {field.name: getattr(report.totals, field.name) for field in fields(Totals)}
    for noun, total in totals.items():
        if isinstance(total, Formula):
            raise UsageError(f"{name}: a baseline holds numbers, but {depends_text(noun, total)}")
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
    values = ((field, getattr(layer, field.name)) for field in _LAYER_FIELDS)
    return {field.name: value for field, value in values if value != field.default}


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
        format=_checked("str", model["format"]),
        inputs=tuple(
            TensorInfo(**{**tensor, "shape": _tuples(tensor["shape"])}) for tensor in model["inputs"]
        ),
        layers=tuple(_layer(layer) for layer in model["layers"]),
        totals=Totals(**{name: _checked("int | None", total) for name, total in model["totals"].items()}),
        other_ops=(),
        uncounted_ops=(),
        warnings=(),
        file_bytes=_checked("int | None", model["file_bytes"]),
    )


def _layer(values: Mapping[str, Any]) -> LayerCost:
    types = {field.name: str(field.type) for field in _LAYER_FIELDS}
    return LayerCost(**{name: _checked(types[name], _tuples(value)) for name, value in values.items()})


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "Layout": (str,),
    "bool": (bool,),
    "int": (int,),
    "int | None": (int, type(None)),
    "Count | None": (int, type(None)),
}
"""What JSON has to hold for a field of a record, by the field's annotation; anything else is a tuple."""


def _checked(annotation: str, value: Any) -> Any:
    if not isinstance(value, _TYPES.get(annotation, (tuple, type(None)))):
        raise TypeError(f"{value!r} where {annotation} is expected")
    return value


def _tuples(value: Any) -> Any:
    """Lists as tuples; a text in a list is a size that was left open."""
    if not isinstance(value, list):
        return value
    return tuple(parse(item) if isinstance(item, str) else _tuples(item) for item in value)
