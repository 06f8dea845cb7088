"""Compact text of single facts of a layer, for the tables."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.analyzer.totals import calls_macs
from convaudit.formulas.growth import ratio
from convaudit.records import ConvLayer, LayerCost, Totals
from convaudit.reporters.text import printable
from convaudit.shapes import as_text
from convaudit.units import human


def kernel_text(layer: ConvLayer) -> str:
    """``3x3 s2 p1 d2``: kernel size, stride, padding, dilation; stride 1, padding 0 and dilation 1 go unsaid.

    ``p1x2`` is one padding for each axis, ``p0:1`` is 0 before and 1 after; ``o1`` is output padding.
    """
    if layer.kernel_size is None:
        return "?"
    words = ["x".join(map(str, layer.kernel_size))]
    for letter, values, default in (
        ("s", layer.stride, "1"),
        ("p", layer.padding, "0"),
        ("d", layer.dilation, "1"),
        ("o", layer.output_padding or (0,), "0"),
    ):
        text = _per_axis(values)
        if text != default:
            words.append(letter + text)
    return " ".join(words)


def _per_axis(values: Sequence[int | tuple[int, int]] | None) -> str:
    if values is None:
        return "?"
    texts = [_pair(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


def _pair(value: int | tuple[int, int]) -> str:
    if isinstance(value, int):
        return str(value)
    before, after = value
    return str(before) if before == after else f"{before}:{after}"


def channels_text(layer: ConvLayer) -> str:
    """``32->64``."""
    return f"{as_text((layer.in_channels,))}->{as_text((layer.out_channels,))}"


def share_of(layer: LayerCost, totals: Totals) -> float | None:
    """The layer's part of the MACs of all convolutions, over all its calls."""
    return ratio(calls_macs(layer), totals.macs)


def macs_text(totals: Totals) -> str:
    """MACs of all convolutions, or what they are at least."""
    known = human(totals.macs) if totals.macs is not None else f">={human(totals.macs_at_least)}"
    return printable(known)


def intensity_text(layer: LayerCost) -> str:
    """FLOPs per byte."""
    intensity = layer.arithmetic_intensity
    return "?" if intensity is None else f"{intensity:.1f}"


def status_text(layer: LayerCost) -> str:
    """The verdict in words; empty where verification was not asked for."""
    return "" if layer.verification is None else layer.verification.words


def bits_text(layer: LayerCost) -> str:
    """Bits of accuracy carried; ``all`` if the result is exact, empty if nothing was compared."""
    bits = None if layer.verification is None else layer.verification.bits
    return "" if bits is None else f"{bits:.1f}".replace("inf", "all")


def error_text(layer: LayerCost) -> str:
    """The largest absolute error."""
    error = None if layer.verification is None else layer.verification.max_abs_error
    return "" if error is None else f"{error:.2g}"
