"""THE table of ops of the channel analysis: a row says how facts pass a node, forward and backward."""

from __future__ import annotations

from convaudit.frontends.onnx.channels.transfers import convolutions, elementwise, joining
from convaudit.frontends.onnx.channels.transfers.row import Transfer

TRANSFERS: dict[str, Transfer] = {
    **elementwise.ELEMENTWISE_OPS,
    **convolutions.CONVOLVING_OPS,
    **joining.JOINING_OPS,
}
"""By op type, with its domain unless that is ONNX's own; any other op is ``OPAQUE``."""
