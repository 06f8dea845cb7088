"""Claims that hold within rounding: what is found once negligible kernels are taken for zero."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from convaudit.records.findings import Claim

_WAYS = {"CA101": "give a constant", "CA102": "add nothing", "CA105": "add nothing"}
"""What a rule about whole channels says of them."""


def further(exact: Sequence[Claim], rounded: Sequence[Claim], basis: str) -> tuple[Claim, ...]:
    """Claims of whole channels that hold only within rounding.

    Args:
        exact: What holds as it is.
        rounded: What holds where negligible kernels are taken for zero; that includes the former.
        basis: On which inputs they are, and what tells so.
    """
    return tuple(_further(exact, rounded, basis))


def _further(exact: Sequence[Claim], rounded: Sequence[Claim], basis: str) -> Iterator[Claim]:
    proven: dict[str, set[int]] = defaultdict(set)
    for claim in exact:
        if claim.rule in _WAYS:
            proven[claim.layer].update(claim.channels or ())
    for claim in rounded:
        channels = tuple(one for one in claim.channels or () if one not in proven[claim.layer])
        if claim.rule not in _WAYS or not channels:
            continue
        yield Claim(
            rule="CA103",
            layer=claim.layer,
            channels=channels,
            message=f"{len(channels)} channels {_WAYS[claim.rule]} within the rounding of the sums, {basis}",
            certainty="within_rounding",
            regions=claim.regions,
            fixable=claim.fixable,
            reason=claim.reason,
        )
