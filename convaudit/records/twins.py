"""What the front end hands back that made a network's groups=1 twin: what changed, and what proves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convaudit.records.network import Network
from convaudit.records.verification import Verified


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDifference:
    """How far one output of the twin is from the original's, on the inputs on which both ran.

    Distances are relative: the root of the mean square of the difference, over that of the output.
    """

    name: str
    largest: float  # absolute difference of one element
    distance: float
    noise: float  # the original's own, between onnxruntime's optimisation levels
    limit: float  # what rounding explains


@dataclass(frozen=True, slots=True, kw_only=True)
class Twinned:
    """A network with groups=1, verified against the one that it was made of."""

    before: Network
    after: Network
    changed: tuple[str, ...]  # layers, by their names
    left: Mapping[str, str] = field(default_factory=dict)  # why a layer keeps its groups
    notes: tuple[str, ...] = ()  # what else is no longer as it was
    outputs: tuple[OutputDifference, ...] = ()
    runs: int = 0  # inputs on which both ran
    verified: Verified
    files: tuple[tuple[str, int], ...] = ()  # that were written, and their bytes
    proto: Any = None  # the network itself, where no file was asked for
