"""The quantities that budgets and baselines limit: the model's total, and what its parts add to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from convaudit.analyzer import unknowns
from convaudit.analyzer.examples import example_of
from convaudit.analyzer.totals import calls_macs
from convaudit.checks.outcome import Contributor, percent
from convaudit.formulas import Count, Formula, multiply, subtract
from convaudit.records import AuditReport, LayerCost

Parts = Iterable[tuple[str, Count | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One measure of a whole model, of each of its convolutions, and of what else it consists of."""

    noun: str
    total: Callable[[AuditReport], Count | None]
    of_layer: Callable[[LayerCost], Count | None]
    of_others: Callable[[AuditReport], Parts] = lambda report: ()


def why_unknown(quantity: Quantity, report: AuditReport) -> str:
    """Why a total is not a number, and what to do about it."""
    total = quantity.total(report)
    if isinstance(total, Formula):
        return f"{quantity.noun} depend on {fix_sizes(sorted(total.symbols), report)}"
    if quantity is FILE_SIZE:
        return "the file size is unknown: the model is not a file, or its external data is missing"
    if quantity is LIVE_ACTIVATION_BYTES:
        fix = f" ({fix_sizes(report.symbols, report)})" if report.symbols else ""
        return f"{quantity.noun} are unknown: {report.live_activations.reason}{fix}"
    return "; ".join([f"{quantity.noun} are unknown", *unknowns(report)[:1]])


def fix_sizes(names: Sequence[str], report: AuditReport) -> str:
    """``H, N; fix the size, for instance by --dim H=224 --dim N=1``: sizes that the model can take."""
    sizes = example_of(report).sizes
    options = " ".join(f"--dim {name}={sizes.get(name, 1)}" for name in names)
    return f"{', '.join(names)}; fix the size, for instance by {options}"


def largest_parts(
    quantity: Quantity, report: AuditReport, total: int, most: int = 3
) -> tuple[Contributor, ...]:
    """The layers that contribute most to ``total``, the largest first, among other parts that outweigh them.

    Parts of unknown size are left out.
    """
    layers = _largest(((layer.name, quantity.of_layer(layer)) for layer in report.layers), most)
    least = layers[-1][1] if len(layers) == most else 0
    others = [part for part in _largest(quantity.of_others(report), most) if part[1] > least]
    parts = [(amount, name, True) for name, amount in layers]
    parts += [(amount, name, False) for name, amount in others]
    parts.sort(key=lambda part: part[0], reverse=True)
    return tuple(
        Contributor(name=name, detail=f"{amount:,} ({percent(Fraction(amount, total))})", is_layer=is_layer)
        for amount, name, is_layer in parts
    )


def _largest(parts: Parts, most: int) -> list[tuple[str, int]]:
    known = [(name, amount) for name, amount in parts if isinstance(amount, int) and amount]
    return sorted(known, key=lambda part: part[1], reverse=True)[:most]


def params_elsewhere(report: AuditReport) -> Count | None:
    """Stored parameters that are not of convolutions."""
    return subtract(report.totals.model_params, report.totals.params)


def calls_flops(layer: LayerCost) -> Count | None:
    """FLOPs of all calls of a layer in one run."""
    return multiply(calls_macs(layer), 2)


def _other_macs(report: AuditReport) -> Parts:
    return [(f"{other.count} {other.op}", other.macs) for other in report.other_ops]


PARAMS = Quantity(
    noun="parameters",
    total=lambda report: report.totals.model_params,
    of_layer=lambda layer: layer.params,
    of_others=lambda report: [("everything but convolutions", params_elsewhere(report))],
)
MACS = Quantity(
    noun="MACs",
    total=lambda report: report.totals.model_macs,
    of_layer=calls_macs,
    of_others=_other_macs,
)
CONVOLUTION_MACS = Quantity(
    noun="MACs of the convolutions",
    total=lambda report: report.totals.macs,
    of_layer=calls_macs,
)
FLOPS = Quantity(
    noun="FLOPs",
    total=lambda report: multiply(report.totals.model_macs, 2),
    of_layer=calls_flops,
    of_others=lambda report: [(name, multiply(macs, 2)) for name, macs in _other_macs(report)],
)
FILE_SIZE = Quantity(
    noun="bytes of the file and its external data",
    total=lambda report: report.file_bytes,
    of_layer=lambda layer: layer.weight_bytes,
)
WEIGHT_BYTES = Quantity(
    noun="bytes of convolution weights",
    total=lambda report: report.totals.weight_bytes,
    of_layer=lambda layer: layer.weight_bytes,
)
ACTIVATION_BYTES = Quantity(
    noun="bytes of activations in the largest layer",
    total=lambda report: report.totals.peak_activation_bytes,
    of_layer=lambda layer: layer.activation_bytes,
)
LIVE_ACTIVATION_BYTES = Quantity(
    noun="bytes of activations at once, at least",
    total=lambda report: report.totals.live_activation_bytes,
    of_layer=lambda layer: None,
    of_others=lambda report: [(report.live_activations.step or "", report.live_activations.bytes)],
)
