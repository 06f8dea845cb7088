"""Records as plain dictionaries, lists, strings and numbers: what JSON, CSV and pandas are made of.

The keys of a record's dictionary are its fields, each followed by the properties that derive from it. A field
that is added to a record is so in every format of data; a test then asks for it in the JSON's schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from math import isfinite
from operator import attrgetter
from typing import Any, get_args, get_type_hints

from convaudit.formulas import Formula
from convaudit.records import AuditReport
from convaudit.reporters import DEFAULT_VIEW, View
from convaudit.reporters.selection import selected_layers
from convaudit.version import __version__

SCHEMA_VERSION = 2
DERIVED = {
    "op": ("kind",),
    "macs": ("flops",),
    "dense_macs": ("params_saved", "macs_saved"),
    "trainable_params": ("frozen_params",),
    "model_trainable_params": ("model_frozen_params",),
    "activation_bytes": ("arithmetic_intensity",),
}
"""Properties that are shown, by the field that each comes after."""
HIDDEN = frozenset(
    {"transposed", "deformable", "bias_dtype", "stored", "shapes_from", "holds_at", "lint", "blocks"}
)
"""Fields that are not shown: another one tells what they do."""
LAST = ("notes", "verification", "timing")
"""Fields that come after the counts."""
_SCALARS = frozenset({str, int, bool, type(None)})


def report_dict(report: AuditReport, view: View = DEFAULT_VIEW, *, lazy: bool = False) -> dict[str, Any]:
    """A report as its JSON Schema describes it; the totals are those of all layers.

    Args:
        report: What an audit found.
        view: Which of its layers to list.
        lazy: Whether the lists of layers are iterators, by which only one layer's dictionary is in memory at
            a time.
    """
    layers, others = map(plain, selected_layers(report, view)), map(plain, report.other_layers)
    values = {
        "layers": layers if lazy else list(layers),
        "other_layers": others if lazy else list(others),
        "uncounted_ops": [{"op": op, "count": count} for op, count in report.uncounted_ops],
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "convaudit_version": __version__,
        **{
            key: values[key] if key in values else plain(getattr(report, key)) for key in keys_of(AuditReport)
        },
    }


def keys_of(record: type) -> tuple[str, ...]:
    """The keys of a record's dictionary, in their order.

    After the last count comes ``formula``, a dictionary: for each count that is null its formula as text, or
    null if it is unknown.
    """
    return _plan(record).keys


def plain(value: Any) -> Any:
    """A record, or what stands in one: tuples as lists, formulas as text, None for what is not finite."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, tuple | list):
        return list(value) if _SCALARS.issuperset(map(type, value)) else [plain(item) for item in value]
    if isinstance(value, Formula | str):  # text of another class: the name of a model that was piped in
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return _dictionary(value)
    return float(value) if isfinite(value) else None


def _dictionary(record: Any) -> dict[str, Any]:
    plan = _plan(record.__class__)
    values = zip(plan.keys, plan.values(record), strict=True)
    document = {key: value if type(value) in _SCALARS else plain(value) for key, value in values}
    if plan.counts:
        formulas = {key: document[key] for key in plan.counts if not isinstance(document[key], int)}
        document |= dict.fromkeys(formulas)
        document["formula"] = dict(sorted(formulas.items(), key=lambda formula: formula[1] is None))
    return document


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How records of one type become dictionaries."""

    keys: tuple[str, ...]
    counts: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]  # one for each key; "formula" is then made from the counts


@cache
def _plan(record: type) -> _Plan:
    shown = sorted(
        (field.name for field in fields(record) if field.name not in HIDDEN), key=LAST.__contains__
    )
    groups = [[name, *(key for key in DERIVED.get(name, ()) if hasattr(record, key))] for name in shown]
    types = _types(record)
    for group in groups:
        types |= {key: _types(getattr(record, key).fget)["return"] for key in group[1:]}
    counts = tuple(key for group in groups for key in group if Formula in get_args(types[key]))
    for group in groups:
        if counts and counts[-1] in group:
            group.append("formula")
    keys = tuple(key for group in groups for key in group)
    values = attrgetter(*(counts[0] if key == "formula" else key for key in keys))
    return _Plan(keys=keys, counts=counts, values=values)


def _types(owner: Any) -> dict[str, Any]:
    # Count names Formula before it is defined; other records are imported where they are made
    return get_type_hints(
        owner, localns={"Formula": Formula, "Timing": object, "ModelTiming": object, "LintReport": object}
    )
