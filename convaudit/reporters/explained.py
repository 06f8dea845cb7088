"""An explanation in words and rows, whatever the format; and what JSON and a notebook show of it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from convaudit.explaining.text import number
from convaudit.formulas import multiply
from convaudit.records.explanation import Arithmetic, Dimension, Explanation, Wiring
from convaudit.reporters.cells import channels_text, kernel_text
from convaudit.reporters.html import framed, heading_html, list_html
from convaudit.reporters.plain import plain
from convaudit.reporters.text import printable
from convaudit.shapes import as_text
from convaudit.version import __version__

EXPLAIN_SCHEMA_VERSION = 1
EXPLAIN_KEYS = (
    *("schema_version", "convaudit_version", "source", "layer", "weight", "params", "dense_params", "macs"),
    *("dense_macs", "factor", "dimensions", "wiring", "wiring_reason", "remarks"),
)
_WIRING = ("in_channels", "out_channels", "groups", "inputs_per_group", "outputs_per_group", "style")

Rows = list[tuple[str, str]]


def explained_heading(told: Explanation) -> str:
    """``layer1.0.conv2 of model.onnx: grouped 128->128 3x3 p1, groups 32, on 1x128x56x56 float32``."""
    layer = told.layer
    of = f" of {told.source}" if told.source else ""
    what = f"{layer.kind} {channels_text(layer)} {kernel_text(layer)}, groups {layer.groups}"
    return printable(f"{layer.name}{of}: {what}, on {as_text(layer.input_shape)} {layer.dtype}")


def explained_sections(told: Explanation) -> dict[str, Rows]:
    """Rows of a name and the arithmetic with its numbers filled in, below headings."""
    layer = told.layer
    return {
        "Weight": [*_weight(told), *_beside_dense("params", told.params, told.dense_params, told)],
        f"Output {printable(as_text(layer.output_shape))}": list(_output(told)),
        "Multiply-accumulates": [
            *_beside_dense("MACs", told.macs, told.dense_macs, told),
            *([("counted", "at each input position: it is transposed")] if layer.transposed else []),
            *_calls(told),
        ],
    }


def explained_lines(told: Explanation) -> list[str]:
    """What it is, in sentences; then what the audit notes on it."""
    reason = [] if told.wiring_reason is None else [f"its wiring is unknown: {told.wiring_reason}"]
    return [printable(line) for line in (*told.remarks, *reason, *told.layer.notes)]


def explanation_dict(told: Explanation) -> dict[str, Any]:
    """An explanation as plain dictionaries, lists, texts and exact integers."""
    own = {
        "schema_version": EXPLAIN_SCHEMA_VERSION,
        "convaudit_version": __version__,
        "layer": told.layer.name,
        "wiring": None if told.wiring is None else _wiring_dict(told.wiring),
    }
    return {key: own[key] if key in own else plain(getattr(told, key)) for key in EXPLAIN_KEYS}


def explanation_html(told: Explanation) -> str:
    """An explanation for a notebook's cell, with its pictures; every text from the model is escaped."""
    from convaudit.reporters.pictures import grid_svg, wiring_svg

    rows = "".join(
        f'<tr><th class="left" colspan="2">{escape(title)}</th></tr>'
        + "".join(
            f'<tr><td class="left">{escape(name)}</td><td class="left">{escape(text)}</td></tr>'
            for name, text in section
        )
        for title, section in explained_sections(told).items()
    )
    return framed(
        heading_html(explained_heading(told)),
        list_html(explained_lines(told)),
        f'<div class="pictures">{wiring_svg(told)}{grid_svg(told)}</div>',
        f'<div class="scroll"><table>{rows}</table></div>',
    )


def _weight(told: Explanation) -> Iterator[tuple[str, str]]:
    layer = told.layer
    shape = as_text([one.value for one in told.weight])
    axes = " x ".join(one.name for one in told.weight)
    yield "shape", printable(f"{shape} {layer.weight_dtype}: {axes}")


def _beside_dense(
    name: str, own: Arithmetic, dense: Arithmetic, told: Explanation
) -> Iterator[tuple[str, str]]:
    yield name, printable(own.text + (f": {own.reason}" if own.reason else ""))
    if own.added:
        yield "", f"the last {'term is' if len(own.added) == 1 else 'terms are'} the bias"
    if name == "params" and told.layer.weight_bytes is not None:
        yield "bytes", printable(number(told.layer.weight_bytes))
    if name == "MACs":
        yield "", printable(" x ".join(one.name for one in own.factors))
    if told.factor > 1:
        yield "groups=1", printable(f"{dense.text}{_times(own, dense)}")


def _times(own: Arithmetic, dense: Arithmetic) -> str:
    """How many times as many, where that is a number."""
    if not isinstance(own.total, int) or not isinstance(dense.total, int) or not own.total:
        return ""
    times = dense.total / own.total if dense.total % own.total else dense.total // own.total
    return f", {times:,} times as many" if isinstance(times, int) else f", {times:.3g} times as many"


def _output(told: Explanation) -> Iterator[tuple[str, str]]:
    rules: dict[str, list[str]] = {}
    for one in told.dimensions:
        yield f"{one.letter} {one.name}", printable(_dimension(one))
        if one.window is not None and one.reason is None:
            rules.setdefault(one.symbols, []).append(one.letter)
    for symbols in rules:
        yield "rule", symbols


def _dimension(one: Dimension) -> str:
    if one.reason is not None:
        return f"{one.text}: {one.reason}"
    more = {"input": ", the input's", "weight": ", one a filter"}
    return one.text + more.get(one.rule, "")


def _calls(told: Explanation) -> Iterator[tuple[str, str]]:
    calls = told.layer.calls
    if calls == 1:
        return
    if calls is None:
        yield "calls", "unknown: it runs in a loop of unknown length"
        return
    total = multiply(told.layer.macs, calls)
    yield "calls", printable(f"{number(calls)} in one run: {number(total)} in all")


def _wiring_dict(wiring: Wiring) -> dict[str, Any]:
    return {
        **{key: getattr(wiring, key) for key in _WIRING},
        "multiplier": wiring.multiplier,
        "hidden_groups": [
            {"inputs": list(block.inputs), "outputs": list(block.outputs)} for block in wiring.latent
        ],
        "shares_weight_with": list(wiring.shared),
    }
