"""THE table of ties: a row says which indices a node lets go only together. Any other op pins all."""

from __future__ import annotations

from convaudit.frontends.onnx.channels.ties.convolutions import CONVOLUTION_TIES
from convaudit.frontends.onnx.channels.ties.joining import JOINING_TIES
from convaudit.frontends.onnx.channels.ties.plain import ALONG, PLAIN_TIES
from convaudit.frontends.onnx.channels.ties.reshaping import RESHAPING_TIES
from convaudit.frontends.onnx.channels.ties.row import Tying

TIES: dict[str, Tying] = {**PLAIN_TIES, **CONVOLUTION_TIES, **JOINING_TIES, **RESHAPING_TIES}
"""By op type, with its domain unless that is ONNX's own."""
HANDING_ON = (PLAIN_TIES.keys() | JOINING_TIES.keys() | RESHAPING_TIES.keys()) - set(ALONG)
"""Ops that hand each channel on by itself."""
