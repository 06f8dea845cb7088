"""Which input channels reach which output channels."""

from __future__ import annotations

from convaudit.records import AuditReport, LayerCost
from convaudit.records.explanation import ChannelBlock, Wiring


def wiring_of(layer: LayerCost, report: AuditReport | None = None) -> tuple[Wiring | None, str | None]:
    """The wiring, or why it is unknown."""
    ins, outs, groups = layer.in_channels, layer.out_channels, layer.groups
    if not isinstance(ins, int) or not isinstance(outs, int):
        which = "input" if not isinstance(ins, int) else "output"
        return None, f"the number of its {which} channels is open"
    if groups < 1 or ins % groups or outs % groups:
        return None, "its channels are filled up for one machine's vector width: groups do not divide them"
    wiring = Wiring(
        in_channels=ins,
        out_channels=outs,
        groups=groups,
        latent=_latent(layer, report),
        shared=_sharing(layer, report),
    )
    return wiring, None


def _sharing(layer: LayerCost, report: AuditReport | None) -> tuple[str, ...]:
    if report is None or layer.weight_name is None:
        return ()
    return tuple(
        other.name
        for other in report.layers
        if other.weight_name == layer.weight_name and other.name != layer.name
    )


def _latent(layer: LayerCost, report: AuditReport | None) -> tuple[ChannelBlock, ...]:
    found = report.lint.findings if report is not None and report.lint is not None else ()
    for finding in found:
        if finding.rule == "CA204" and finding.layer == layer.name:
            return tuple(ChannelBlock(inputs=ins, outputs=outs) for outs, ins in finding.blocks)
    return ()
