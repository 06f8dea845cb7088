"""THE table of ops of the channel analysis: a row says how facts pass a node, forward and backward."""

from __future__ import annotations

from convaudit.frontends.onnx.channels.transfers import (
    constants,
    control,
    convolutions,
    elementwise,
    joining,
    matrices,
    moving,
    normalising,
    quantising,
    reductions,
    slicing,
    spatial,
)
from convaudit.frontends.onnx.channels.transfers.row import Transfer

TRANSFERS: dict[str, Transfer] = {
    **constants.CONSTANT_OPS,
    **control.CONTROL_OPS,
    **convolutions.CONVOLVING_OPS,
    **elementwise.ELEMENTWISE_OPS,
    **joining.JOINING_OPS,
    **matrices.MATRIX_TRANSFERS,
    **moving.MOVING_OPS,
    **normalising.NORMALISING_OPS,
    **quantising.QUANTISING_OPS,
    **reductions.REDUCING_OPS,
    **slicing.SLICING_OPS,
    **spatial.SPATIAL_OPS,
}
"""By op type, with its domain unless that is ONNX's own; any other op is ``OPAQUE``."""
