"""What a network carries for nothing: claims of a front end, findings with what they save, and their totals.

A *claim* names weight elements that could go and why; it knows no cost. A *finding* is a claim with what it
saves, each element counted once in a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from convaudit.formulas import Count
from convaudit.records.displayed import Displayed
from convaudit.records.network import Network
from convaudit.records.twins import OutputDifference
from convaudit.records.verification import Verified

Certainty = Literal["exact", "within_rounding", "observed"]
"""The network computes the same function without it; what it adds is below the rounding error of the sums
that it enters, on the inputs named; or it was measured, which proves nothing elsewhere."""
Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Elements of one layer's weight: those of these outputs, inputs and taps; None means all of them.

    Whole filters (``outputs`` alone) are meant with their bias.
    """

    layer: str
    outputs: tuple[int, ...] | None = None  # output channels of the layer
    inputs: tuple[int, ...] | None = None  # its input channels, counted over all groups
    taps: tuple[int, ...] | None = None  # positions in the flattened kernel


HiddenGroup: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Output channels of a layer, and the input channels that alone reach them."""


ClaimKey: TypeAlias = tuple[str, str, tuple[int, ...] | None]
"""What a claim, or a finding made of it, is about: its rule, layer and channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that a rule has found."""

    rule: str  # its code
    layer: str
    channels: tuple[int, ...] | None  # output channels of the layer; None: it is not of single channels
    message: str  # one sentence, with the numbers that prove it
    certainty: Certainty = "exact"
    regions: tuple[Region, ...] = ()  # what could go, in this layer and those that read it
    skipped: Fraction = Fraction(0)  # share of the layer's positions that nothing reads
    blocks: tuple[HiddenGroup, ...] = ()  # groups that the weight hides
    fixable: bool = False
    reason: str | None = None  # why it cannot be fixed

    @property
    def key(self) -> ClaimKey:
        """What it is about."""
        return self.rule, self.layer, self.channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim with what it saves. What an earlier finding saves already is not counted again."""

    rule: str
    name: str  # of the rule: "constant-filter"
    layer: str
    channels: tuple[int, ...] | None
    message: str
    severity: Severity
    certainty: Certainty
    removable_params: Count | None
    removable_macs: Count | None  # of one run of the model
    removable_bytes: Count | None
    fixable: bool
    reason: str | None = None  # why it cannot be fixed
    blocks: tuple[HiddenGroup, ...] = ()  # groups that the weight hides

    @property
    def key(self) -> ClaimKey:
        """What it is about."""
        return self.rule, self.layer, self.channels


@dataclass(frozen=True, slots=True, kw_only=True)
class LintTotals:
    """Sums over a model's convolutions; each element counts once, and MACs are those of one run."""

    params: Count | None
    macs: Count | None
    removable_params: Count | None
    removable_macs: Count | None
    removable_bytes: Count | None
    fixable_params: Count | None
    fixable_macs: Count | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What a front end found in a network."""

    claims: tuple[Claim, ...]
    examined: frozenset[str]  # the layers whose weights were looked at
    notes: tuple[str, ...] = ()  # what could not be looked at, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport(Displayed):
    """What was found in one model.

    Attributes:
        source: What the user named.
        format: What kind of model it is.
        layers: Its convolutions.
        examined: How many of them had weights that could be looked at. Of the others nothing is known.
        rules: Codes of the rules that were looked for.
        findings: In the order of the layers, then of the codes.
        totals: Sums over the model's convolutions.
        notes: What could not be looked at, and why.
        error: Why nothing could be looked at; None unless it failed.
    """

    source: str
    format: str
    layers: int
    examined: int
    rules: tuple[str, ...]
    findings: tuple[Finding, ...]
    totals: LintTotals
    notes: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """A network without what it carried for nothing, verified against the one that it was made of."""

    before: Network
    after: Network
    applied: tuple[Claim, ...]
    left: tuple[Claim, ...]  # with their reasons
    notes: tuple[str, ...] = ()  # what else is no longer as it was
    outputs: tuple[OutputDifference, ...] = ()  # none: unverified
    runs: int = 0  # inputs on which both ran
    verified: Verified | None = None  # None: it does not run, and was wanted all the same
    files: tuple[tuple[str, int], ...] = ()  # that were written, and their bytes
    sizes: Mapping[str, int] = field(default_factory=dict)  # bytes of the files "before" and "after"
    proto: Any = None  # the network itself, where no file was asked for
