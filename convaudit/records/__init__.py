"""The records that flow through convaudit: frozen, typed, with no behaviour beyond derivation.

A walker makes a ``Network`` of ``ConvLayer`` records, the analyzer turns it into an ``AuditReport`` of
``LayerCost`` rows, a verifier adds a ``Verification`` to each row, a timer a ``Timing``, and reporters only
read. The records of times stand in ``records.timing``, imported where something is timed.

The vocabulary is torch's. A *count* is an ``int``, a ``Formula`` where it depends on a symbolic dimension, or
``None`` where it is unknown; then ``notes`` or ``warnings`` say why. Nothing unknown is ever 0.
"""

from convaudit.records.hand_made import CutOut, parts_of_one, with_notes
from convaudit.records.network import (
    KINDS,
    Branch,
    ChannelLayout,
    ConvLayer,
    HandMadeGroups,
    Kind,
    LiveActivations,
    Network,
    OtherLayer,
    OtherOp,
    Shape,
    ShapeSource,
    TensorInfo,
    Trainable,
)
from convaudit.records.report import COSTS, AuditReport, LayerCost, LayerCosts, Totals
from convaudit.records.verification import (
    STATUSES,
    Optimization,
    RuntimeInfo,
    Status,
    Verification,
    Verified,
    status_words,
)

__all__ = [
    "COSTS",
    "KINDS",
    "STATUSES",
    "AuditReport",
    "Branch",
    "ChannelLayout",
    "ConvLayer",
    "CutOut",
    "HandMadeGroups",
    "Kind",
    "LayerCost",
    "LayerCosts",
    "LiveActivations",
    "Network",
    "Optimization",
    "OtherLayer",
    "OtherOp",
    "RuntimeInfo",
    "Shape",
    "ShapeSource",
    "Status",
    "TensorInfo",
    "Totals",
    "Trainable",
    "Verification",
    "Verified",
    "parts_of_one",
    "status_words",
    "with_notes",
]
