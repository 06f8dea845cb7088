"""What holds of a network within rounding: what is found once negligible kernels are taken for zero."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from convaudit.engine.operands import Array
from convaudit.errors import ExecutionError, UsageError
from convaudit.frontends import LintRequest
from convaudit.frontends.onnx.channels.facts import Facts, Mask
from convaudit.frontends.onnx.channels.negligible import Negligible, certified
from convaudit.frontends.onnx.channels.run_on_data import negligible_on
from convaudit.frontends.onnx.runtime import Settings
from convaudit.frontends.onnx.walker import Walked
from convaudit.records.findings import Claim

_ON_EVERY_INPUT = "on every input, by bounds of the activations"
_ON_THESE = "at every position of one run, on {}"
_OF_ONE_RUN = "other inputs may need it: only what bounds certify for every input is taken out"
_OF_CHANNELS = ("CA101", "CA102", "CA105")
"""Rules about whole channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Kernels that are taken for zero.

    Attributes:
        kernels: Which ones, (groups, out/groups, in/groups) by the layer's name.
        shares: What they add to a sum at most, relative to the sum of its terms' absolute values, by layer.
        basis: On which inputs, and what tells so.
        certified: Whether it is on every input.
    """

    kernels: Mapping[str, Mask]
    shares: Mapping[str, float]
    basis: str
    certified: bool = True

    def joined(self, other: Negligible, basis: str, *, certified: bool) -> Ignored:
        """With others."""
        kernels = dict(self.kernels)
        for name, mask in other.kernels.items():
            kernels[name] = kernels[name] | mask if name in kernels else mask
        shares = {
            name: self.shares.get(name, 0.0) + other.shares.get(name, 0.0)
            for name in (*self.shares, *other.shares)
        }
        return Ignored(kernels=kernels, shares=shares, basis=basis, certified=certified)


NOTHING = Ignored(kernels={}, shares={}, basis="")


def ignored_kernels(
    walked: Walked,
    facts: Facts,
    how: LintRequest | None,
    settings: Settings,
    data: Mapping[str, Array] | None,
) -> tuple[list[Ignored], list[str]]:
    """Kernels that may be taken for zero: certified ones, then those with what a run adds to them.

    Args:
        walked: The model.
        facts: What is known of its tensors.
        how: Whether it is run; None: it is not.
        settings: How it is run.
        data: Values of its inputs by name; None: random ones.

    Returns:
        Only what is not empty, and not what was there before; notes on what could not be done.

    Raises:
        LoadError: Weights are missing.
    """
    found: list[Ignored] = []
    proven = NOTHING.joined(certified(walked, facts), _ON_EVERY_INPUT, certified=True)
    if proven.kernels:
        found.append(proven)
    if how is None or not how.run:
        return found, []
    try:
        seen = negligible_on(walked, facts, data, settings, how)
    except (ExecutionError, UsageError) as error:
        return found, [f"what drowns in rounding on the data is not known: {error}"]
    if seen.kernels:
        basis = _ON_THESE.format("random input" if data is None else "the data")
        found.append(proven.joined(seen, basis, certified=False))
    return found, []


def claims_within_rounding(
    exact: Sequence[Claim],
    steps: Sequence[Ignored],
    claims_of: Callable[[Mapping[str, Mask]], Sequence[Claim]],
) -> tuple[Claim, ...]:
    """Claims of whole channels that hold only within rounding.

    Args:
        exact: What holds as it is.
        steps: What is taken for zero, each with all of those before.
        claims_of: All claims where kernels are taken for zero.
    """
    claims = list(exact)
    for step in steps:
        claims += _further(claims, claims_of(step.kernels), step)
    return tuple(claims[len(exact) :])


def _further(known: Sequence[Claim], rounded: Sequence[Claim], step: Ignored) -> Iterator[Claim]:
    proven: dict[str, set[int]] = defaultdict(set)
    stuck: dict[str, set[int]] = defaultdict(set)  # what is known of them takes them not out
    for claim in known:
        if claim.rule in _OF_CHANNELS or claim.rule == "CA103":
            proven[claim.layer].update(claim.channels or ())
            stuck[claim.layer].update(() if claim.fixable else claim.channels or ())
    for claim in rounded:
        fixable = claim.fixable and step.certified
        done = proven[claim.layer] - (stuck[claim.layer] if fixable else set())
        channels = tuple(one for one in claim.channels or () if one not in done)
        if claim.rule not in _OF_CHANNELS or not channels:
            continue
        proven[claim.layer].update(channels)
        stuck[claim.layer].difference_update(channels)
        yield Claim(
            rule="CA103",
            layer=claim.layer,
            channels=channels,
            message=_message(claim, channels, step),
            certainty="within_rounding",
            regions=claim.regions,
            fixable=fixable,
            reason=claim.reason if step.certified else _OF_ONE_RUN,
        )


def _message(claim: Claim, channels: Sequence[int], step: Ignored) -> str:
    layers = {claim.layer, *(region.layer for region in claim.regions)}
    share = max(step.shares.get(layer, 0.0) for layer in layers)
    share = share or max(step.shares.values(), default=0.0)  # of layers whose columns others stay for
    largest = f"at most {share:.1e}" if share else "nothing"
    several = f"{len(channels)} filter{'s' * (len(channels) > 1)}"
    if claim.rule == "CA101" and claim.layer in step.shares:
        return f"beside the bias of {several} all else adds {largest} of it: a constant, {step.basis}"
    give = "give" if len(channels) > 1 else "gives"
    return (
        f"what {several} {give} adds {largest} of each sum that it enters: below its rounding, {step.basis}"
    )
