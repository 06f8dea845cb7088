"""Compact text of single facts of a layer, for the tables."""

from __future__ import annotations

from collections.abc import Sequence

from convaudit.analyzer.examples import Example
from convaudit.formulas import Count
from convaudit.records import ConvLayer, LayerCost
from convaudit.reporters.text import printable, shorten
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


def intensity_at(layer: LayerCost, example: Example) -> float | None:
    """FLOPs per byte, at the example's sizes."""
    flops = example.value(layer.flops)
    weights, activations = example.value(layer.weight_bytes), example.value(layer.activation_bytes)
    if flops is None or weights is None or not activations:
        return None
    return flops / (weights + activations)


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


def brief_count(count: Count | None, *, below: int, width: int) -> str:
    """A count where there is little room: exact below a limit, else of at most ``width`` characters."""
    if isinstance(count, int) and -below < count < below:
        return f"{count:,}"
    return shorten(printable(human(count) if isinstance(count, int) else str(count or "?")), width)
