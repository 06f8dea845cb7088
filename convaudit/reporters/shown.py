"""A report as a table shows it: at which sizes its counts are read, and of what its shares are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from convaudit.analyzer.blocks import BlockCost, Member, cost_of_all
from convaudit.analyzer.examples import Example, example_of
from convaudit.analyzer.totals import exclusive_sum
from convaudit.formulas import multiply
from convaudit.records import AuditReport, LayerCost


@dataclass(frozen=True, slots=True)
class Shown:
    """A report, and what all its cells rest on.

    Attributes:
        report: What an audit found.
        example: Sizes for the dimensions that it leaves open.
        model_macs: Of the whole model at these sizes; None: unknown.
        known_macs: What is known of them.
        conv_macs: Of the convolutions, or what is known of them.
        all_ops: Whether the other multiplying ops are listed and counted in the last row.
        listed: What the rows that are listed add up to; None: all are listed.
        everything: What convolutions and other ops add up to; None: only convolutions are listed.
    """

    report: AuditReport
    example: Example
    model_macs: int | None
    known_macs: int
    conv_macs: int
    all_ops: bool = False
    listed: BlockCost | None = None
    everything: BlockCost | None = None

    def macs(self, member: Member) -> int | None:
        """MACs of all calls of an op, at the example's sizes."""
        return self.example.value(multiply(member.macs, member.calls))

    def share(self, member: Member) -> float | None:
        """The op's part of the model's MACs; of those that are known, where some are not."""
        return _divided(self.macs(member), self.known_macs)

    def share_conv(self, member: Member) -> float | None:
        """The layer's part of the MACs of all convolutions."""
        return _divided(self.macs(member), self.conv_macs) if isinstance(member, LayerCost) else None

    def of_rows(self, rows: Sequence[Member]) -> Shown:
        """The same with what the rows add up to that are listed."""
        partial = len(rows) != len(self.members)
        return replace(
            self,
            listed=cost_of_all(rows, self.example.sizes) if partial else None,
            everything=cost_of_all(self.members, self.example.sizes) if self.all_ops else None,
        )

    @property
    def members(self) -> tuple[Member, ...]:
        """All that may be listed."""
        return (*self.report.layers, *(self.report.other_layers if self.all_ops else ()))


def shown(report: AuditReport, *, all_ops: bool = False) -> Shown:
    """A report at its example.

    Args:
        report: What an audit found.
        all_ops: Whether the other multiplying ops are listed too.
    """
    example, totals = example_of(report), report.totals
    others = exclusive_sum(
        (other.branches, 0 if other.macs is None else other.macs) for other in report.other_ops
    )
    conv_macs = example.value(totals.macs_at_least) or 0
    known = example.value(totals.model_macs)
    return Shown(
        report=report,
        example=example,
        model_macs=known,
        known_macs=conv_macs + (example.value(others) or 0) if known is None else known,
        conv_macs=conv_macs,
        all_ops=all_ops,
    )


def _divided(part: int | None, whole: int) -> float | None:
    return None if part is None or not whole else part / whole
